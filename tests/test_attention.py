"""Attention: soft, hard, key-value, scaled dot-product, one head, split heads."""

import math

import jaxtyping
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from attnbook import attention, masks, scores, tracing
from attnbook.attention import scaled_dot_product_attention as sdpa

B, T, S, H, Dh, D = 2, 3, 5, 7, 11, 13
EXACT = {"rtol": 0, "atol": 1e-12}
# Fused against readable, each at least three times the worst of 1,500 random draws.
CLOSE = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
    torch.float32: {"rtol": 2e-6, "atol": 2e-6},
    torch.float16: {"rtol": 6e-3, "atol": 6e-3},
    torch.bfloat16: {"rtol": 3e-2, "atol": 3e-2},
}


def triple(batch=(B,), d_v=Dh, num_queries=T, num_keys=S, dtype=torch.float64):
    q = torch.randn(*batch, num_queries, D, dtype=dtype)
    k = torch.randn(*batch, num_keys, D, dtype=dtype)
    return q, k, torch.randn(*batch, num_keys, d_v, dtype=dtype)


def formula(q, k, v, mask=None, bias=0.0, scale=None):
    """Equation 1 of Vaswani et al. 2017, row by row."""
    raw = q @ k.mT * (scale or 1 / math.sqrt(q.shape[-1])) + bias
    raw = raw if mask is None else raw.masked_fill(~mask, -math.inf)
    weights = raw.exp() / raw.exp().sum(dim=-1, keepdim=True)
    return weights.nan_to_num(0.0) @ v


def gradients(work, *inputs):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    out = work(*inputs)
    ruler = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * ruler).sum().backward()
    return out.detach(), [x.grad for x in inputs]


# reference: soft, key-value and hard attention


@pytest.mark.parametrize("score", [scores.dot_score, scores.scaled_dot_score])
def test_soft_attention_is_the_weighted_sum_of_its_inputs(score):
    q, x, _ = triple()
    context, weights = attention.soft_attention(q, x, score)
    assert_close(weights, score(q, x).softmax(-1), **EXACT)
    assert_close(context, torch.einsum("bts,bsd->btd", weights, x), **EXACT)


def test_key_value_attention_takes_its_sum_over_the_values():
    q, k, v = triple()
    context, weights = attention.key_value_attention(q, k, v)
    assert_close(weights, (q @ k.mT).softmax(-1), **EXACT)
    assert_close(context, torch.einsum("bts,bsd->btd", weights, v), **EXACT)


def test_key_value_attention_with_equal_keys_and_values_is_soft_attention():
    q, x, _ = triple()
    got = attention.key_value_attention(q, x, x)
    assert torch.equal(got[0], attention.soft_attention(q, x)[0])


def test_key_value_attention_takes_a_learned_score_of_other_widths():
    q, k, v = triple()
    score = scores.AdditiveScore(4, D, H).double()
    context, weights = attention.key_value_attention(q[..., :4], k, v, score)
    assert context.shape == (B, T, Dh)
    assert_close(weights, score(q[..., :4], k).softmax(-1), **EXACT)


def test_hard_attention_returns_the_input_with_the_largest_score():
    q, x, _ = triple()
    chosen, index = attention.hard_attention(q, x)
    assert torch.equal(index, (q @ x.mT).argmax(-1))
    assert torch.equal(chosen[1, 2], x[1, index[1, 2]])


# reference: scaled dot-product attention


@pytest.mark.parametrize("masked", [False, True])
def test_fused_readable_formula_and_pytorch_agree(masked):
    q, k, v = triple(batch=(B, H))
    mask = masks.padding(torch.tensor([2, S]), S)[:, None] if masked else None
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert_close(formula(q, k, v, mask), expected, **EXACT)
    assert_close(sdpa(q, k, v, mask), expected, **EXACT)
    assert_close(sdpa(q, k, v, mask, return_weights=True)[0], expected, **EXACT)


@pytest.mark.parametrize("readable", [False, True])
def test_gradient_equals_pytorch(readable):
    inputs, mask = triple(batch=(B, H)), masks.causal(T, S)

    def ours(q, k, v):
        out = sdpa(q, k, v, mask, return_weights=readable)
        return out[0] if readable else out

    _, expected = gradients(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask), *inputs
    )
    assert_close(gradients(ours, *inputs)[1], expected, **EXACT)


def test_causal_equals_pytorch_is_causal_on_a_square():
    q, k, v = triple(batch=(B, H), num_queries=S)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert_close(sdpa(q, k, v, causal=True), expected, **EXACT)
    assert_close(sdpa(q, k, v, causal=True, return_weights=True)[0], expected, **EXACT)


@pytest.mark.parametrize(("num_queries", "num_keys"), [(T, S), (S, T), (1, S), (S, 1)])
@pytest.mark.parametrize("readable", [False, True])
def test_causal_is_bottom_right_when_sizes_differ(num_queries, num_keys, readable):
    q, k, v = triple(num_queries=num_queries, num_keys=num_keys)
    out = sdpa(q, k, v, causal=True, return_weights=readable)
    out = out[0] if readable else out
    for t in range(num_queries):
        seen = t + 1 + num_keys - num_queries
        row = q[:, t : t + 1], k[:, : max(seen, 0)], v[:, : max(seen, 0)]
        assert_close(out[:, t : t + 1], formula(*row), **EXACT)


@pytest.mark.parametrize("readable", [False, True])
def test_bias_is_added_to_the_scaled_scores(readable):
    q, k, v = triple()
    bias, mask = torch.randn(T, S, dtype=torch.float64), masks.causal(T, S)
    out = sdpa(q, k, v, mask, bias, scale=0.3, return_weights=readable)
    expected = formula(q, k, v, mask, bias, scale=0.3)
    assert_close(out[0] if readable else out, expected, **EXACT)


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_bias_of_another_precision_is_converted(dtype, readable):
    q, k, v = triple(dtype=torch.float32)
    bias = torch.randn(T, S)
    out = sdpa(q, k, v, bias=bias.to(dtype), return_weights=readable)
    out = out[0] if readable else out
    assert_close(out, formula(q, k, v, bias=bias), rtol=0, atol=1e-2)


@pytest.mark.parametrize("batch", [(), (1,), (B,), (B, H), (1, B, H)])
def test_any_number_of_batch_axes_gives_the_same(batch):
    q, k, v = triple(batch)
    out = sdpa(q, k, v, masks.causal(T, S))
    assert out.shape == (*batch, T, Dh)
    assert_close(out, formula(q, k, v, masks.causal(T, S)), **EXACT)


def test_self_attention_equals_multihead_attention_with_one_head():
    x = torch.randn(B, S, D, dtype=torch.float64)
    ours = attention.SelfAttention(D, D, D).double()
    theirs = nn.MultiheadAttention(D, 1, bias=False, batch_first=True).double()
    parts = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    theirs.out_proj.weight.data = torch.eye(D, dtype=torch.float64)
    expected = theirs(x, x, x, attn_mask=~masks.causal(S), need_weights=False)[0]
    assert_close(ours(x, causal=True), expected, **EXACT)


def test_split_heads_cuts_the_width_into_blocks():
    x = torch.randn(B, T, H * Dh)
    heads = attention.split_heads(x, H)
    assert heads.shape == (B, H, T, Dh)
    for h in range(H):
        assert torch.equal(heads[:, h], x[..., h * Dh : (h + 1) * Dh])


def test_merge_heads_puts_the_heads_side_by_side():
    heads = torch.randn(B, H, T, Dh)
    expected = torch.cat([heads[:, h] for h in range(H)], dim=-1)
    assert torch.equal(attention.merge_heads(heads), expected)


@pytest.mark.parametrize("batch", [(), (1,), (B, 1)])
def test_merge_heads_undoes_split_heads(batch):
    x = torch.randn(*batch, T, H * Dh)
    assert torch.equal(attention.merge_heads(attention.split_heads(x, H)), x)


# law


@pytest.mark.parametrize("readable", [False, True])
def test_order_of_the_keys_does_not_matter(readable):
    q, k, v = triple()
    order = torch.randperm(S)
    got = sdpa(q, k[:, order], v[:, order], return_weights=readable)
    expected = sdpa(q, k, v)
    assert_close(got[0] if readable else got, expected, **EXACT)


def test_self_attention_permutes_with_its_input():
    x, order = torch.randn(B, S, D, dtype=torch.float64), torch.randperm(S)
    layer = attention.SelfAttention(D, T, Dh).double()
    assert_close(layer(x[:, order]), layer(x)[:, order], **EXACT)


@pytest.mark.parametrize("t", range(S))
def test_the_future_cannot_touch_the_past(t):
    x = torch.randn(S, D, dtype=torch.float64, requires_grad=True)
    layer = attention.SelfAttention(D, T, Dh).double()
    layer(x, causal=True)[t].sum().backward()
    assert x.grad[t + 1 :].eq(0).all()
    assert x.grad[: t + 1].abs().sum(dim=-1).gt(0).all()


def test_changing_the_future_leaves_the_past_bit_identical():
    x = torch.randn(S, D)
    layer, changed = attention.SelfAttention(D, T, Dh), x.clone()
    changed[3] += 100.0
    before, after = layer(x, causal=True), layer(changed, causal=True)
    assert torch.equal(before[:3], after[:3])
    assert not torch.equal(before[3:], after[3:])


@pytest.mark.parametrize("readable", [False, True])
def test_causal_with_a_cache_equals_the_whole_sequence(readable):
    q, k, v = triple(num_queries=S)
    whole = sdpa(q, k, v, causal=True)
    for new in (1, T):
        last = sdpa(q[:, -new:], k, v, causal=True, return_weights=readable)
        assert_close(last[0] if readable else last, whole[:, -new:], **EXACT)


@pytest.mark.parametrize("readable", [False, True])
def test_padding_is_invisible_to_value_and_gradient(readable):
    q, k, v = triple()
    mask = masks.padding(torch.full((B,), 3), S)

    def ours(q, k, v, mask=None):
        out = sdpa(q, k, v, mask, return_weights=readable)
        return out[0] if readable else out

    out, padded = gradients(lambda *qkv: ours(*qkv, mask), q, k, v)
    expected, short = gradients(ours, q, k[:, :3], v[:, :3])
    assert_close(out, expected, **EXACT)
    assert_close(padded[0], short[0], **EXACT)
    for got, wanted in zip(padded[1:], short[1:], strict=True):
        assert_close(got[:, :3], wanted, **EXACT)
        assert got[:, 3:].eq(0).all()


@pytest.mark.parametrize("native", [False, True], ids=["old kernels", "new kernels"])
@pytest.mark.parametrize("readable", [False, True])
def test_query_without_keys_gets_zeros_and_no_gradient(monkeypatch, readable, native):
    if not native:
        monkeypatch.setattr(attention, "ZEROS_ARE_NATIVE", False)
    q, k, v = triple()
    mask = torch.ones(T, S, dtype=torch.bool)
    mask[1] = False

    def ours(q, k, v):
        out = sdpa(q, k, v, mask, return_weights=readable)
        return out[0] if readable else out

    out, (dq, dk, dv) = gradients(ours, q, k, v)
    assert out[:, 1].eq(0).all()
    assert dq[:, 1].eq(0).all()
    assert all(grad.isfinite().all() and grad.any() for grad in (dq, dk, dv))


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_no_keys_at_all_gives_zeros(readable, causal):
    q, k, v = triple(num_keys=0)
    out = sdpa(q, k, v, causal=causal, return_weights=readable)
    assert torch.equal((out[0] if readable else out), torch.zeros(B, T, Dh).double())


def test_equal_keys_give_the_mean_of_the_values():
    q, k, v = triple()
    expected = v.mean(dim=1, keepdim=True).expand(B, T, Dh)
    assert_close(sdpa(q, k[:, :1].expand(B, S, D), v), expected, **EXACT)


def test_output_lies_between_the_smallest_and_the_largest_value():
    q, k, v = triple()
    out = sdpa(10 * q, k, v)
    assert (out <= v.amax(1, keepdim=True) + 1e-12).all()
    assert (out >= v.amin(1, keepdim=True) - 1e-12).all()


def test_scaling_queries_up_and_keys_down_changes_nothing():
    q, k, v = triple()
    assert_close(sdpa(4 * q, k / 4, v), sdpa(q, k, v), **EXACT)
    assert_close(sdpa(q, k, 3 * v), 3 * sdpa(q, k, v), **EXACT)


def test_soft_attention_is_the_mean_of_sampled_hard_attention():
    q, x, _ = triple(batch=())
    draws = 20_000
    many = q.expand(draws, T, D), x.expand(draws, S, D)
    score = scores.scaled_dot_score
    samples, _ = attention.hard_attention(*many, score, "sample")
    soft, _ = attention.soft_attention(q, x, score)
    errors = (samples.mean(0) - soft) / (samples.std(0) / math.sqrt(draws))
    assert errors.abs().max() < 4.5  # 39 normal deviates: once in 3,800 seeds


def test_sampled_positions_follow_the_weights():
    weights, draws = torch.tensor([0.1, 0.2, 0.3, 0.4]), 10_000
    q, x = torch.ones(draws, 1, 1), weights.log()[:, None].expand(draws, 4, 1)
    _, index = attention.hard_attention(q, x, mode="sample")
    share = index.flatten().bincount(minlength=4) / draws
    assert_close(share, weights, rtol=0, atol=0.022)  # 4.5 standard errors


def test_sampling_repeats_with_the_same_generator():
    q, x, _ = triple()
    draws = [
        attention.hard_attention(q, x, mode="sample", generator=generator)[1]
        for generator in (torch.Generator().manual_seed(3) for _ in range(2))
    ]
    assert torch.equal(*draws)


def test_hard_attention_gives_gradient_to_the_chosen_input_only():
    q, x, _ = triple(batch=())
    q, x = q[:1].requires_grad_(), x.requires_grad_()
    chosen, index = attention.hard_attention(q, x)
    chosen.sum().backward()
    assert q.grad is None
    expected = torch.zeros_like(x)
    expected[index] = 1.0
    assert torch.equal(x.grad, expected)


def test_inputs_and_mask_are_left_alone():
    inputs, mask = triple(), masks.causal(T, S)
    before = [x.clone() for x in inputs]
    sdpa(*inputs, mask, torch.zeros(T, S).double(), causal=True)
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))
    assert torch.equal(mask, masks.causal(T, S))


# law, on shapes, dtypes and masks that nobody would think of


@st.composite
def problems(draw):
    batch = draw(st.sampled_from([(), (1,), (2,), (2, 3), (1, 1), (2, 1, 3)]))
    sizes = [draw(st.integers(1, 7)) for _ in range(4)]
    num_queries, num_keys, d_k, d_v = sizes
    dtype = draw(st.sampled_from(list(CLOSE)))
    torch.manual_seed(draw(st.integers(0, 999)))
    q, k = torch.randn(*batch, num_queries, d_k), torch.randn(*batch, num_keys, d_k)
    v = torch.randn(*batch, num_keys, d_v)
    mask = bias = None
    if draw(st.booleans()):
        rows = num_queries if draw(st.booleans()) else 1
        axes = batch if draw(st.booleans()) else ()
        share = draw(st.sampled_from([0.0, 0.4, 1.0]))
        mask = torch.rand(*axes, rows, num_keys) < share
        assume(not masks.is_reversed_causal(mask))
    if draw(st.booleans()):
        bias = torch.randn(num_queries, num_keys).to(dtype)
    return (q.to(dtype), k.to(dtype), v.to(dtype)), mask, bias, draw(st.booleans())


@given(problems())
def test_fused_equals_readable_everywhere(problem):
    qkv, mask, bias, causal = problem
    context, weights = sdpa(*qkv, mask, bias, causal, return_weights=True)
    tolerance = CLOSE[context.dtype]
    assert_close(sdpa(*qkv, mask, bias, causal), context, **tolerance)
    sums = weights.double().sum(dim=-1)
    assert_close(sums, (sums > 0.5).double(), **tolerance)


@given(problems())
def test_gradients_of_both_paths_are_finite_and_agree(problem):
    qkv, mask, bias, causal = problem

    def readable(q, k, v):
        return sdpa(q, k, v, mask, bias, causal, return_weights=True)[0]

    fused = gradients(lambda q, k, v: sdpa(q, k, v, mask, bias, causal), *qkv)[1]
    for got, expected in zip(fused, gradients(readable, *qkv)[1], strict=True):
        assert got.isfinite().all()
        assert_close(got, expected, **CLOSE[got.dtype])


@given(problems())
def test_forbidden_keys_weigh_nothing_and_get_no_gradient(problem):
    (q, k, v), mask, bias, causal = problem
    allowed = torch.ones(*q.shape[:-1], k.shape[-2], dtype=torch.bool)
    allowed = allowed if mask is None else allowed & mask
    allowed = allowed & masks.causal(*allowed.shape[-2:]) if causal else allowed
    _, weights = sdpa(q, k, v, mask, bias, causal, return_weights=True)
    assert weights.masked_select(~allowed).eq(0).all()
    unseen = ~allowed.any(dim=-2)
    _, (_, dk, dv) = gradients(lambda *qkv: sdpa(*qkv, mask, bias, causal), q, k, v)
    assert dk[unseen].eq(0).all()
    assert dv[unseen].eq(0).all()


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_scores_in_half_precision_pick_the_best_key(dtype, readable):
    q, k = torch.tensor([[1e2]], dtype=dtype), torch.tensor([[1e2], [-1e2], [99.0]])
    v, mask = torch.eye(3, dtype=dtype), torch.tensor([[True, True, False]])
    bias = torch.tensor([[-1e4, 1e4, 1e4]], dtype=dtype)
    for extra, best in ((None, 0), (bias * 2, 1)):
        out = sdpa(q, k.to(dtype), v, mask, extra, return_weights=readable)
        assert torch.equal((out[0] if readable else out)[0], v[best])


# law: the recording is the computation


def test_recording_takes_the_readable_path_and_changes_nothing():
    q, k, v = triple()
    with tracing.record() as trace:
        out = sdpa(q, k, v, masks.causal(T, S))
    assert_close(out, sdpa(q, k, v, masks.causal(T, S)), **EXACT)
    assert_close(trace["weights"][0] @ v, out, **EXACT)


# contract

ONES = torch.ones(T, D), torch.ones(S, D), torch.ones(S, Dh)


@pytest.mark.parametrize(
    ("q", "k", "v", "message"),
    [
        (torch.ones(T, 3), ONES[1], ONES[2], "q has width 3 but k has width 13"),
        (ONES[0], ONES[1], torch.ones(T, Dh), "5 keys but 3 values: each key needs"),
        (ONES[0].double(), ONES[1], ONES[2], "q is torch.float64 but k is torch.flo"),
        (ONES[0], ONES[1], ONES[2].half(), "k is torch.float32 but v is torch.float16"),
        (ONES[0].int(), ONES[1], ONES[2], "q must be floating point, got torch.int32"),
        (ONES[0], ONES[1], torch.ones(S), r"v must be \(…, positions, width\).*\(5,\)"),
        (ONES[0].expand(B, T, D), ONES[1].expand(H, S, D), ONES[2], r"\(2, .* batch"),
        (ONES[0], ONES[1].expand(B, S, D), ONES[2].expand(H, S, Dh), r"k of .* batch"),
    ],
    ids=["width", "pairs", "dtype", "v dtype", "int", "v vector", "batch", "v batch"],
)
def test_inputs_that_do_not_fit_are_refused(as_user, q, k, v, message):
    with pytest.raises(ValueError, match=message):
        sdpa(q, k, v)


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(T, S), "must be boolean, got torch.float32: pass a bias .* bias=…"),
        (torch.ones(T, S, dtype=torch.int32), "must be boolean, got torch.int32: writ"),
        (torch.ones(S, T) > 0, r"\(5, 3\) does not broadcast to .* \(2, 3, 5\)"),
        (torch.ones(H, T, S) > 0, r"\(7, 3, 5\) does not broadcast to .* \(2, 3, 5\)"),
        (torch.ones(H, B, T, S) > 0, r"\(7, 2, 3, 5\) does not broadcast to"),
    ],
    ids=["float", "int", "transposed", "batch", "one axis more"],
)
def test_mask_that_does_not_fit_is_refused(as_user, mask, message, readable):
    q, k, v = triple()
    with pytest.raises(ValueError, match=message):
        sdpa(q, k, v, mask, return_weights=readable)


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (torch.ones(T, S) > 0, "bias must be floating point, got torch.bool.*attn_mas"),
        (torch.ones(T, S).long(), "bias must be floating point, got torch.int64"),
        (torch.ones(T, S + 1), r"bias of shape \(3, 6\) does not broadcast .*2, 3, 5"),
        (torch.ones(H, T, S), r"bias of shape \(7, 3, 5\) does not broadcast"),
    ],
    ids=["bool", "int", "shape", "batch"],
)
def test_bias_that_does_not_fit_is_refused(as_user, bias, message, readable):
    q, k, v = triple()
    with pytest.raises(ValueError, match=message):
        sdpa(q, k, v, bias=bias, return_weights=readable)


def test_reversed_causal_mask_is_refused(as_user):
    x = torch.ones(S, D)
    with pytest.raises(ValueError, match=r"looks reversed.*masks.causal\(T, S\)"):
        attention.SelfAttention(D, T, Dh)(x, ~masks.causal(S))


def test_key_value_attention_refuses_unequal_numbers(as_user):
    with pytest.raises(ValueError, match="5 keys but 3 values"):
        attention.key_value_attention(ONES[0], ONES[1], ONES[0])


def test_soft_attention_refuses_a_mask_of_the_wrong_size(as_user):
    mask = torch.ones(S, S, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"\(5, 5\) does not broadcast"):
        attention.soft_attention(ONES[0], ONES[1], attn_mask=mask)


@pytest.mark.parametrize("mode", ["max", "ARGMAX", ""])
def test_hard_attention_refuses_an_unknown_mode(as_user, mode):
    with pytest.raises(ValueError, match=f"'argmax' or 'sample', got '{mode}'"):
        attention.hard_attention(ONES[0], ONES[1], mode=mode)


@pytest.mark.parametrize("mode", ["argmax", "sample"])
def test_hard_attention_refuses_to_choose_from_nothing(as_user, mode):
    with pytest.raises(ValueError, match=r"S ≥ 1 positions, got shape \(0, 13\)"):
        attention.hard_attention(ONES[0], torch.ones(0, D), mode=mode)


def test_self_attention_refuses_another_width(as_user):
    with pytest.raises(ValueError, match="x has width 11, expected 13"):
        attention.SelfAttention(D, T, Dh)(torch.ones(S, Dh))


@pytest.mark.parametrize(("d_model", "num_heads"), [(13, 5), (12, 0), (12, -3)])
def test_split_heads_refuses_heads_that_do_not_divide(as_user, d_model, num_heads):
    wanted = f"d_model = {d_model} is not divisible by num_heads = {num_heads}"
    with pytest.raises(ValueError, match=wanted):
        attention.split_heads(torch.ones(T, d_model), num_heads)


def test_annotations_are_checked_under_pytest():
    with pytest.raises(jaxtyping.TypeCheckError):
        sdpa(ONES[0], ONES[1], ONES[0])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_gpu_kernels_agree_with_the_readable_path(dtype):
    qkv = [x.to("cuda", dtype) for x in triple(batch=(B, H), d_v=D)]
    mask = torch.rand(T, S, device="cuda") < 0.4
    mask[1] = False
    expected = sdpa(*qkv, mask, return_weights=True)[0]
    assert_close(sdpa(*qkv, mask), expected, rtol=2e-2, atol=2e-2)
