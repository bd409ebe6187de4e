"""Multi-head attention and its cache: equal to PyTorch's, whatever the mask."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attnbook import attention, masks, tracing
from attnbook.multihead import KeyValueCache, MultiHeadAttention
from attnbook.positions import Rope, alibi_bias

B, T, S, H, Dh = 2, 3, 5, 7, 2
D, KDIM, VDIM = H * Dh, 11, 13
EXACT = {"rtol": 0, "atol": 1e-12}
SINGLE = {"rtol": 0, "atol": 1e-6}


def pair(kdim=None, vdim=None, bias=True, dtype=torch.float64):
    """Return PyTorch's module, with biases that are not zero, and ours."""
    options = {"kdim": kdim, "vdim": vdim, "bias": bias}
    theirs = nn.MultiheadAttention(D, H, batch_first=True, **options).to(dtype)
    if bias:
        nn.init.normal_(theirs.in_proj_bias)
        nn.init.normal_(theirs.out_proj.bias)
    ours = MultiHeadAttention(D, H, **options).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def inputs(kdim=D, vdim=D, dtype=torch.float64):
    sizes = ((T, D), (S, kdim), (S, vdim))
    return [torch.randn(B, *size, dtype=dtype) for size in sizes]


# reference: nn.MultiheadAttention


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kdim", "vdim"), [(None, None), (KDIM, VDIM), (KDIM, None), (None, VDIM)]
)
def test_output_equals_pytorch_for_all_widths(kdim, vdim, bias):
    theirs, ours = pair(kdim, vdim, bias)
    q, k, v = inputs(kdim or D, vdim or D)
    assert_close(ours(q, k, v), theirs(q, k, v, need_weights=False)[0], **EXACT)


@pytest.mark.parametrize("kdim", [None, KDIM])
def test_single_precision_equals_pytorch(kdim):
    theirs, ours = pair(kdim, dtype=torch.float32)
    q, k, v = inputs(kdim or D, dtype=torch.float32)
    assert_close(ours(q, k, v), theirs(q, k, v, need_weights=False)[0], **SINGLE)


def test_weights_of_each_head_equal_pytorch():
    theirs, ours = pair()
    q, k, v = inputs()
    expected = theirs(q, k, v, average_attn_weights=False)[1]
    weights = ours(q, k, v, return_weights=True)[1]
    assert weights.shape == (B, H, T, S)
    assert_close(weights, expected, **EXACT)


def test_self_attention_equals_pytorch_with_causal_and_padding_masks():
    theirs, ours = pair()
    x, lengths = torch.randn(B, S, D, dtype=torch.float64), torch.tensor([2, S])
    seen = masks.padding(lengths, S)
    forbidden = {"attn_mask": ~masks.causal(S), "key_padding_mask": ~seen[:, 0]}
    expected = theirs(x, x, x, need_weights=False, **forbidden)[0]
    assert_close(ours(x, attn_mask=seen, causal=True), expected, **EXACT)


def test_cross_attention_equals_pytorch_with_padded_keys():
    theirs, ours = pair(KDIM, VDIM)
    q, k, v = inputs(KDIM, VDIM)
    seen = masks.padding(torch.tensor([2, 4]), S)
    expected = theirs(q, k, v, key_padding_mask=~seen[:, 0], need_weights=False)[0]
    assert_close(ours(q, k, v, seen), expected, **EXACT)


def test_mask_per_head_equals_pytorch_with_heads_in_the_batch():
    theirs, ours = pair()
    q, k, v = inputs()
    mask = torch.rand(B, H, T, S) < 0.5
    mask[..., 0] = True
    theirs_mask = ~mask.flatten(0, 1)
    expected = theirs(q, k, v, attn_mask=theirs_mask, need_weights=False)[0]
    assert_close(ours(q, k, v, mask), expected, **EXACT)


def test_bias_equals_pytorch_with_a_float_mask():
    theirs, ours = pair()
    q, k, v = inputs()
    bias = torch.randn(B, H, T, S, dtype=torch.float64)
    float_mask = bias.flatten(0, 1)
    expected = theirs(q, k, v, attn_mask=float_mask, need_weights=False)[0]
    assert_close(ours(q, k, v, bias=bias), expected, **EXACT)


def test_gradients_equal_pytorch():
    theirs, ours = pair()
    q, k, v = inputs()
    theirs(q, k, v, need_weights=False)[0].square().sum().backward()
    ours(q, k, v).square().sum().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    assert_close({n: p.grad for n, p in ours.named_parameters()}, expected, **EXACT)


@pytest.mark.parametrize("kdim", [None, KDIM])
@pytest.mark.parametrize("bias", [True, False])
def test_weights_load_back_into_pytorch(kdim, bias):
    theirs, _ = pair(kdim, bias=bias)
    ours = MultiHeadAttention(D, H, kdim=kdim, bias=bias).double()
    theirs.load_state_dict(ours.state_dict())
    q, k, v = inputs(kdim or D)
    assert_close(ours(q, k, v), theirs(q, k, v, need_weights=False)[0], **EXACT)


@pytest.mark.parametrize("kdim", [None, KDIM])
def test_weights_are_drawn_as_pytorch_draws_them(kdim):
    torch.manual_seed(3)
    theirs = nn.MultiheadAttention(D, H, kdim=kdim)
    torch.manual_seed(3)
    ours = MultiHeadAttention(D, H, kdim=kdim)
    for name, parameter in theirs.named_parameters(recurse=False):
        assert torch.equal(getattr(ours, name), parameter)


def test_paper_formula_head_by_head():
    _, ours = pair(bias=False)
    q, k, v = inputs()
    w_q, w_k, w_v = ours.in_proj_weight.split(D)
    heads = []
    for h in range(H):
        rows = slice(h * Dh, (h + 1) * Dh)
        scores = (q @ w_q[rows].T) @ (k @ w_k[rows].T).mT / math.sqrt(Dh)
        heads.append(scores.softmax(-1) @ v @ w_v[rows].T)
    expected = torch.cat(heads, dim=-1) @ ours.out_proj.weight.T
    assert_close(ours(q, k, v), expected, **EXACT)


def test_one_head_is_scaled_dot_product_attention_between_projections():
    ours = MultiHeadAttention(D, 1, bias=False).double()
    x = torch.randn(B, S, D, dtype=torch.float64)
    q, k, v = (x @ w.T for w in ours.in_proj_weight.split(D))
    context = attention.scaled_dot_product_attention(q, k, v)
    assert_close(ours(x), context @ ours.out_proj.weight.T, **EXACT)


# law


@pytest.mark.parametrize("num_heads", [1, 2, D])
def test_number_of_parameters_does_not_depend_on_the_heads(num_heads):
    ours = MultiHeadAttention(D, num_heads)
    assert sum(p.numel() for p in ours.parameters()) == 4 * D**2 + 4 * D


def test_weights_sum_to_one():
    _, ours = pair()
    weights = ours(*inputs(), return_weights=True)[1]
    assert_close(weights.sum(-1), torch.ones(B, H, T).double(), **EXACT)


def test_order_of_the_tokens_is_not_seen():
    _, ours = pair()
    x, order = torch.randn(B, S, D, dtype=torch.float64), torch.randperm(S)
    assert_close(ours(x[:, order]), ours(x)[:, order], **EXACT)


def test_future_cannot_touch_the_past():
    _, ours = pair()
    x = torch.randn(B, S, D, dtype=torch.float64)
    changed = x.clone()
    changed[:, 3:] = 100.0
    assert torch.equal(ours(x, causal=True)[:, :3], ours(changed, causal=True)[:, :3])


def test_padding_is_invisible():
    _, ours = pair()
    q, k, v = inputs()
    mask = masks.padding(torch.tensor([3, 3]), S)
    assert_close(ours(q, k, v, mask), ours(q, k[:, :3], v[:, :3]), **EXACT)


def test_no_batch_axis_and_two_of_them_give_the_same():
    _, ours = pair()
    x = torch.randn(1, B, S, D, dtype=torch.float64)
    assert_close(ours(x, causal=True)[0], ours(x[0], causal=True), **EXACT)
    assert_close(ours(x[0, 1]), ours(x[0])[1], **EXACT)


def test_value_is_the_key_unless_given():
    _, ours = pair()
    q, k, _ = inputs()
    assert_close(ours(q, k), ours(q, k, k.clone()), **EXACT)


def test_query_row_with_nothing_to_see_gives_the_output_bias():
    _, ours = pair()
    out = ours(*inputs(), torch.zeros(T, S, dtype=torch.bool))
    assert_close(out, ours.out_proj.bias.expand(B, T, D), **EXACT)


def test_recording_shows_the_weights_of_the_same_pass():
    _, ours = pair()
    q, k, v = inputs()
    with tracing.record() as trace:
        out = ours(q, k, v)
    assert_close(out, ours(q, k, v), **EXACT)
    expected = ours(q, k, v, return_weights=True)[1]
    assert_close(trace["weights"], [expected], **EXACT)


# law: the cache


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize("rotated", [False, True])
def test_cached_steps_equal_one_causal_pass(chunks, rotated):
    _, ours = pair()
    x, cache = torch.randn(B, S, D, dtype=torch.float64), KeyValueCache(S)
    rotate = Rope(S, Dh).double() if rotated else None
    expected = ours(x, causal=True, rotate=rotate)
    steps = [
        ours(part, causal=True, rotate=rotate, cache=cache)
        for part in x.split(chunks, dim=1)
    ]
    assert_close(torch.cat(steps, dim=1), expected, **EXACT)


def test_cached_memory_is_projected_once():
    _, ours = pair(KDIM, VDIM)
    q, k, v = inputs(KDIM, VDIM)
    cache = KeyValueCache(S)
    expected = ours(q, k, v)
    assert_close(ours(q, k, v, cache=cache), expected, **EXACT)
    assert_close(ours(q, 0 * k, 0 * v, cache=cache), expected, **EXACT)


def test_bias_reaches_the_cached_positions():
    _, ours = pair()
    x, cache = torch.randn(B, S, D, dtype=torch.float64), KeyValueCache(S)
    expected = ours(x, causal=True, bias=alibi_bias(H, S).double())
    for t in range(S):
        bias = alibi_bias(H, 1, t + 1).double()
        out = ours(x[:, t : t + 1], causal=True, bias=bias, cache=cache)
    assert_close(out, expected[:, -1:], **EXACT)


def test_cache_returns_all_that_was_stored():
    cache = KeyValueCache(S)
    k, v = torch.randn(B, H, 4, Dh), torch.randn(B, H, 4, 3)
    cache.append(k[:, :, :3], v[:, :, :3])
    keys, values = cache.append(k[:, :, 3:], v[:, :, 3:])
    assert cache.length == 4
    assert torch.equal(keys, k)
    assert torch.equal(values, v)


def test_cache_takes_its_memory_once():
    cache, place = KeyValueCache(S), None
    for _ in range(S):
        cache.append(torch.ones(B, H, 1, Dh), torch.ones(B, H, 1, Dh))
        place = place or cache.keys.data_ptr()
        assert cache.keys.data_ptr() == place


def test_reordered_rows_go_on_from_their_parents():
    cache, rows = KeyValueCache(S), torch.tensor([1, 1, 0])
    k, v = torch.randn(3, H, 2, Dh), torch.randn(3, H, 2, Dh)
    cache.append(k, v)
    cache.reorder(rows)
    keys, values = cache.filled()
    assert torch.equal(keys, k[rows])
    assert torch.equal(values, v[rows])


# contract


@pytest.mark.parametrize("num_heads", [0, -1, 3])
def test_heads_that_do_not_divide_the_width_are_refused(as_user, num_heads):
    message = rf"d_model = {D} is not divisible by num_heads = {num_heads}"
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(D, num_heads)


@pytest.mark.parametrize("wrong", ["query", "key", "value"])
def test_wrong_width_is_refused_by_name(as_user, wrong):
    ours, sizes = MultiHeadAttention(D, H), {"query": T, "key": S, "value": S}
    given = {n: torch.ones(B, size, D - (n == wrong)) for n, size in sizes.items()}
    with pytest.raises(ValueError, match=f"{wrong} has width {D - 1}, expected {D}"):
        ours(**given)


@pytest.mark.parametrize(("wrong", "kdim", "vdim"), [("key", 11, D), ("value", D, 11)])
def test_self_attention_needs_one_width(as_user, wrong, kdim, vdim):
    ours = MultiHeadAttention(D, H, kdim=kdim, vdim=vdim)
    with pytest.raises(ValueError, match=f"{wrong} has width {D}, expected 11"):
        ours(torch.ones(B, T, D))


def test_mask_of_another_size_is_refused(as_user):
    ours = MultiHeadAttention(D, H)
    with pytest.raises(ValueError, match=r"attn_mask of shape \(3, 4\)"):
        ours(torch.ones(B, T, D), attn_mask=torch.ones(3, 4, dtype=torch.bool))


def test_integer_mask_is_refused(as_user):
    ours = MultiHeadAttention(D, H)
    with pytest.raises(ValueError, match="attn_mask must be boolean, got torch.int64"):
        ours(torch.ones(B, T, D), attn_mask=torch.ones(T, T, dtype=torch.int64))


def test_full_cache_says_how_much_it_holds(as_user):
    ours, cache = MultiHeadAttention(D, H), KeyValueCache(2)
    with torch.no_grad(), pytest.raises(ValueError, match="position 3 .* max_len = 2"):
        ours(torch.ones(B, 3, D), cache=cache)


def test_value_without_key_is_refused(as_user):
    ours = MultiHeadAttention(D, H)
    with pytest.raises(ValueError, match="value needs a key"):
        ours(torch.ones(B, T, D), value=torch.ones(B, T, D))


def test_rotation_of_another_sequence_is_refused(as_user):
    ours, x = MultiHeadAttention(D, H), torch.ones(B, T, D)
    with pytest.raises(ValueError, match="rotate is for self-attention"):
        ours(x, x, rotate=Rope(S, Dh))
