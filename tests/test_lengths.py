"""The length experiment of chapter 6: one small model, five position codes."""

import pytest
import torch
from torch.testing import assert_close

from attnbook.experiments import lengths
from attnbook.runtime import device
from attnbook.tiny_lm import letters

each_scheme = pytest.mark.parametrize("scheme", lengths.SCHEMES)


def made(scheme):
    torch.manual_seed(0)
    return lengths.PositionLM(scheme)


@each_scheme
def test_position_lm_does_not_see_the_future(scheme):
    model, tokens = made(scheme), torch.randint(27, (2, 7))
    other = tokens.clone()
    other[:, 4:] = (other[:, 4:] + 1) % 27
    assert_close(model(tokens)[:, :4], model(other)[:, :4], rtol=1e-5, atol=1e-6)


@each_scheme
def test_position_lm_tells_past_order_apart_exactly_if_it_has_a_code(scheme):
    """One causal layer without a code averages a set: the last output is blind."""
    model, tokens = made(scheme), torch.tensor([[3, 5, 8, 2]])
    with torch.no_grad():
        model.attention.in_proj_weight.mul_(3)
        last, moved = model(tokens)[0, -1], model(tokens[:, [1, 2, 0, 3]])[0, -1]
    assert torch.allclose(last, moved, atol=1e-5) == (scheme == "none")


@each_scheme
def test_position_lm_reads_256_letters(scheme):
    assert made(scheme)(torch.zeros(1, 256, dtype=torch.int64)).shape == (1, 256, 27)


def test_position_lm_learns_positions_only_in_the_learned_scheme():
    sizes = {s: sum(p.numel() for p in made(s).parameters()) for s in lengths.SCHEMES}
    extra = {s: size - sizes["none"] for s, size in sizes.items()}
    assert extra == {**dict.fromkeys(lengths.SCHEMES, 0), "learned": 256 * 32}


def test_position_lm_refuses_an_unknown_scheme(as_user):
    with pytest.raises(ValueError, match="scheme must be one of .*, got 'alibi'"):
        lengths.PositionLM("alibi")


def test_draw_windows_targets_are_the_next_letters():
    _, text = letters()
    x, y = lengths.draw_windows(text, 3, torch.Generator().manual_seed(0))
    assert x.shape == y.shape == (3, 256)
    assert torch.equal(x[:, 1:], y[:, :-1])


def test_losses_of_a_model_that_knows_nothing_are_log_27():
    model = made("none").to(device())
    torch.nn.init.zeros_(model.out[1].weight)
    torch.nn.init.zeros_(model.out[1].bias)
    x = torch.arange(5, device=device())[None]
    assert_close(
        lengths.losses(model, x, x).cpu(), torch.full((5,), 3.2958), rtol=1e-4, atol=0
    )


def test_train_measures_the_same_letters_with_short_and_long_past():
    result = lengths.train("none", seed=0, steps=3)
    assert result["long"].shape == (256,)
    assert result["short"].shape == (64,)
    difference = (result["long"][-64:] - result["short"]).abs()
    assert difference.mean() < 0.2  # the letters differ by far more among themselves
    assert result["long"].std() > 0.1
