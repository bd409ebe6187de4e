"""Recording: the weights shown are the weights used."""

import pytest
import torch

from attnbook import masks, tracing
from attnbook.attention import SelfAttention, key_value_attention
from attnbook.attention import scaled_dot_product_attention as sdpa

B, T, S, D = 2, 3, 5, 13


def attend(**options):
    return sdpa(
        torch.randn(B, T, D), torch.randn(B, S, D), torch.ones(B, S, D), **options
    )


def test_record_holds_scores_and_weights_in_call_order():
    with tracing.record() as trace:
        attend()
        attend(causal=True)
    assert sorted(trace) == ["scores", "weights"]
    assert [w.shape for w in trace["weights"]] == [(B, T, S)] * 2
    assert not trace["weights"][1][:, 0, 3:].any()
    assert trace["weights"][0].all()


def test_recorded_weights_know_the_mask_the_model_used():
    x, mask = torch.randn(B, S, D), masks.padding(torch.tensor([2, S]), S)
    with tracing.record() as trace:
        SelfAttention(D, D, D)(x, mask)
    assert not trace["weights"][0].masked_select(~mask).any()


def test_key_value_attention_is_recorded_too():
    q, k, v = torch.randn(T, D), torch.randn(S, D), torch.randn(S, D)
    with tracing.record() as trace:
        _, weights = key_value_attention(q, k, v)
    assert torch.equal(trace["weights"][0], weights)


def test_record_keeps_no_graph_and_leaves_gradients_alone():
    x = torch.randn(S, D, requires_grad=True)
    with tracing.record() as trace:
        sdpa(x, x, x).sum().backward()
    assert not trace["weights"][0].requires_grad
    assert x.grad.any()


def test_nothing_is_recorded_outside_the_block():
    with tracing.record() as trace:
        attend()
    attend()
    assert len(trace["weights"]) == 1
    assert not tracing.recording()


def test_recording_ends_with_an_error():
    with pytest.raises(KeyError), tracing.record():
        raise KeyError
    assert not tracing.recording()


def test_inner_record_hides_the_outer_one_only_while_it_lasts():
    with tracing.record() as outer:
        with tracing.record() as inner:
            attend()
        attend()
    assert len(outer["weights"]) == len(inner["weights"]) == 1


def test_emit_without_a_recording_does_nothing():
    tracing.emit(weights=torch.ones(1))
    with tracing.record() as trace:
        pass
    assert not trace
