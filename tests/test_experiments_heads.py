"""Chapter 5's experiments measure what they say."""

import pytest
import torch

from attnbook.attention import merge_heads, split_heads
from attnbook.experiments.heads import (
    PatchReader,
    answer_two_facts,
    patches,
    pruning_curve,
    train_reader,
)
from attnbook.multihead import MultiHeadAttention


class Solved(torch.nn.Module):
    """Two heads whose weights solve the two facts; `order` exchanges the answers."""

    def __init__(self, order=(0, 1)):
        super().__init__()
        self.order = order
        self.scale = torch.nn.Parameter(torch.tensor(50.0))

    def forward(self, q, x):
        names, colours = x.split(8, dim=-1)
        asked = q.split(8, dim=-1)
        scores = [self.scale * asked[i] @ names.mT for i in self.order]
        return torch.cat([score.softmax(-1) @ colours for score in scores], dim=-1)


def test_a_perfect_layer_gets_everything_right():
    run = answer_two_facts(Solved, 0, steps=1)
    assert (run.right, run.exchanged, run.both) == ([1, 1], [0, 0], 1)


def test_exchanged_answers_are_seen_as_such():
    run = answer_two_facts(lambda: Solved((1, 0)), 0, steps=1)
    assert (run.right, run.exchanged, run.both) == ([0, 0], [1, 1], 0)


def test_one_answer_twice_is_half_right():
    run = answer_two_facts(lambda: Solved((0, 0)), 0, steps=1)
    assert (run.right, run.exchanged, run.both) == ([1, 0], [0, 1], 0)


def test_watch_is_called_after_every_step_with_the_layer():
    run = answer_two_facts(Solved, 0, steps=3, watch=lambda layer: layer.scale.item())
    assert len(run.watched) == 3
    assert run.watched[-1] == run.layer.scale.item()


def test_what_stands_behind_is_trained_and_used():
    def zero():
        linear = torch.nn.Linear(16, 16)
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
        return linear

    assert answer_two_facts(Solved, 0, behind=zero, steps=0).both == 0
    assert answer_two_facts(Solved, 0, behind=zero, steps=20).both > 0.9


def test_same_seed_gives_the_same_run():
    first, second = (
        answer_two_facts(lambda: MultiHeadAttention(16, 2), 3, steps=2).right
        for _ in range(2)
    )
    assert first == second


def terms_of(reader, x):
    layer = reader.attention
    packed = torch.nn.functional.linear(x, layer.in_proj_weight, layer.in_proj_bias)
    q, k, v = (split_heads(part, layer.num_heads) for part in packed.chunk(3, -1))
    context = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
    alone = torch.eye(layer.num_heads)[:, None, :, None, None] * context
    bias = layer.out_proj.bias
    return torch.stack([layer.out_proj(merge_heads(c)) - bias for c in alone], dim=1)


def test_open_gates_change_nothing_and_closed_ones_leave_the_bias():
    reader, x = PatchReader(4), torch.rand(3, 16, 4)
    torch.nn.init.normal_(reader.attention.out_proj.bias)
    tokens = reader.tokens(x)
    terms = terms_of(reader, tokens)
    opened = reader.gated(tokens, terms, torch.ones(1, 4))
    torch.testing.assert_close(opened, reader(x), atol=1e-5, rtol=0)
    closed = reader.gated(tokens, terms, torch.zeros(3, 4))
    without = reader.answer(tokens, reader.attention.out_proj.bias.expand_as(tokens))
    torch.testing.assert_close(closed, without)


def test_pruning_curve_begins_and_ends_where_order_does_not_matter():
    torch.manual_seed(0)
    reader = PatchReader(2)
    full = train_reader(reader, steps=20)
    terms = terms_of(reader, reader.tokens(patches()[2]))
    curve = pruning_curve(reader, terms, [1, 0])
    assert curve[0] == pytest.approx((full, full))
    x, labels = reader.tokens(patches()[2]), patches()[3]
    empty = reader.answer(x, reader.attention.out_proj.bias.expand_as(x)).argmax(-1)
    none_left = 100 * (empty == labels).double().mean().item()
    assert curve[2] == pytest.approx((none_left, none_left))
    other = pruning_curve(reader, terms, [0, 1])
    assert (curve[1][0] + other[1][0]) / 2 == pytest.approx(curve[1][1])


def test_an_order_without_all_heads_is_refused():
    with pytest.raises(ValueError, match=r"each of 3 heads once, got \[0, 1, 1\]"):
        pruning_curve(PatchReader(4), torch.zeros(1, 3, 16, 32), [0, 1, 1])
