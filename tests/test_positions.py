"""Positions: every code against the formula of its paper, and what it promises."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from attnbook import positions
from attnbook.multihead import MultiHeadAttention
from attnbook.positions import rope, sinusoidal

B, T, S, H, Dh, D = 2, 3, 5, 7, 22, 26
EXACT = {"rtol": 0, "atol": 1e-12}
SINGLE = {"rtol": 0, "atol": 1e-6}
STYLES = ["half", "pairs"]


# reference: sinusoids


def test_sinusoidal_is_the_formula_of_the_paper():
    expected = torch.empty(T, D, dtype=torch.float64)
    for p in range(T):
        for i in range(D // 2):
            expected[p, 2 * i] = math.sin(p / 10_000 ** (2 * i / D))
            expected[p, 2 * i + 1] = math.cos(p / 10_000 ** (2 * i / D))
    assert_close(sinusoidal(T, D), expected.float(), rtol=0, atol=1e-7)


def test_sinusoidal_is_precise_at_a_far_position():
    angle = 99_999 / 10_000 ** (2 / D)
    assert abs(sinusoidal(100_000, D)[-1, 2].item() - math.sin(angle)) < 1e-6


def test_base_sets_the_longest_wave():
    expected = [math.sin(2 / 50 ** (2 * i / 4)) for i in range(2)]
    assert_close(sinusoidal(3, 4, base=50)[2, ::2].tolist(), expected, **SINGLE)


def test_tensor2tensor_has_the_same_columns_in_another_order():
    span = torch.arange(T)[:, None] / 10_000 ** (torch.arange(0, D, 2) / D)
    theirs = torch.cat((span.sin(), span.cos()), dim=-1)
    order = torch.arange(D).view(2, -1).T.flatten()
    assert_close(theirs[:, order], sinusoidal(T, D), **SINGLE)


# law: sinusoids


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_sinusoidal_products_depend_on_the_offset_only(p, q, shift):
    table = sinusoidal(81, D).double()
    got = table[p] @ table[q], table[p + shift] @ table[q + shift]
    assert_close(*got, rtol=0, atol=1e-5)


def test_shift_of_a_sinusoid_is_a_rotation():
    table, k = sinusoidal(9, D).double(), 4
    angles = k * 10_000 ** (-torch.arange(0, D, 2).double() / D)
    turned = positions.rotate(table[:5], angles.cos(), -angles.sin(), "pairs")
    assert_close(turned, table[k:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("start", [0, 4])
def test_sinusoidal_positions_add_the_table_from_start(start):
    x, layer = torch.randn(B, T, D), positions.SinusoidalPositions(7, D)
    assert torch.equal(layer(x, start), x + sinusoidal(7, D)[start : start + T])
    assert list(layer.state_dict()) == []


@pytest.mark.parametrize("start", [0, 4])
def test_learned_positions_add_their_rows_from_start(start):
    x, layer = torch.randn(B, T, D), positions.LearnedPositions(7, D)
    assert torch.equal(layer(x, start), x + layer.weight[start : start + T])


def test_learned_positions_start_with_the_deviation_of_bert():
    weight = positions.LearnedPositions(101, 103).weight
    assert abs(weight.std().item() - 0.02) < 1e-3


# reference: relative positions


def t5_bucket(relative, bidirectional, num_buckets, max_distance):
    """Write `_relative_position_bucket` of Mesh TensorFlow for one number."""
    bucket, n = 0, -relative
    if bidirectional:
        num_buckets //= 2
        bucket += num_buckets if n < 0 else 0
        n = abs(n)
    else:
        n = max(n, 0)
    max_exact = num_buckets // 2
    if n < max_exact:
        return bucket + n
    share = math.log(n / max_exact) / math.log(max_distance / max_exact)
    far = max_exact + int(share * (num_buckets - max_exact))
    return bucket + min(far, num_buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 20), (12, 9)])
def test_bucket_is_that_of_t5(bidirectional, num_buckets, max_distance):
    offset = torch.arange(-200, 201)[None]
    options = (num_buckets, max_distance, bidirectional)
    got = positions.relative_bucket(offset, *options)
    for o, bucket in zip(offset[0].tolist(), got[0].tolist(), strict=True):
        assert bucket == t5_bucket(o, bidirectional, num_buckets, max_distance), o


def test_published_buckets_of_t5():
    offset = torch.tensor([[-128, -64, -16, -8, -7, 0, 7, 8, 16, 64, 128]])
    expected = [[15, 14, 10, 8, 7, 0, 23, 24, 26, 30, 31]]
    assert positions.relative_bucket(offset).tolist() == expected


def test_relative_bias_reads_one_number_per_head_and_bucket():
    layer = positions.RelativeBias(H, num_buckets=8, max_distance=20)
    nn.init.normal_(layer.weight)
    bias = layer(T, S)
    for t in range(T):
        for s in range(S):
            offset = torch.tensor([[s - (t + S - T)]])
            bucket = positions.relative_bucket(offset, 8, 20).item()
            assert torch.equal(bias[:, t, s], layer.weight[bucket])


def test_relative_bias_starts_as_plain_attention():
    assert torch.equal(positions.RelativeBias(H)(S), torch.zeros(H, S, S))


def test_offsets_count_from_the_end_of_both():
    assert positions.offsets(2, 5).tolist() == [[-3, -2, -1, 0, 1], [-4, -3, -2, -1, 0]]


# reference: ALiBi


def authors_slopes(n):
    """Write `get_slopes` of ofirpress/attention_with_linear_biases."""

    def of_power(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(n).is_integer():
        return of_power(n)
    below = 2 ** math.floor(math.log2(n))
    return of_power(below) + authors_slopes(2 * below)[0::2][: n - below]


@pytest.mark.parametrize("num_heads", [1, 2, 3, 6, 7, 8, 12, 16, 20])
def test_slopes_are_those_of_the_authors(num_heads):
    got = positions.alibi_slopes(num_heads)
    assert_close(got, torch.tensor(authors_slopes(num_heads)), rtol=1e-6, atol=0)


def test_alibi_falls_by_its_slope_per_step():
    bias = positions.alibi_bias(H, T, S)
    for h, slope in enumerate(positions.alibi_slopes(H)):
        for t in range(T):
            for s in range(S):
                assert bias[h, t, s] == -slope * abs(s - (t + S - T))


# reference: RoPE


def roformer(x):
    """Write equation 34 of Su et al. 2021."""
    m = torch.arange(x.shape[-2])[:, None]
    theta = 10_000 ** (-torch.arange(0, Dh, 2).double() / Dh)
    angles = (m * theta).repeat_interleave(2, dim=-1)
    other = torch.stack((-x[..., 1::2], x[..., 0::2]), -1).flatten(-2)
    return x * angles.cos() + other * angles.sin()


def llama(x):
    """Write `apply_rotary_pos_emb` of transformers' Llama."""
    theta = 10_000 ** (-torch.arange(0, Dh, 2).double() / Dh)
    angles = torch.outer(torch.arange(x.shape[-2]).double(), theta)
    angles = torch.cat((angles, angles), dim=-1)
    half = torch.cat((-x[..., Dh // 2 :], x[..., : Dh // 2]), dim=-1)
    return x * angles.cos() + half * angles.sin()


@pytest.mark.parametrize(("style", "official"), [("pairs", roformer), ("half", llama)])
def test_rope_is_the_official_one_in_both_conventions(style, official):
    x = torch.randn(B, H, S, Dh, dtype=torch.float64)
    assert_close(rope(x, style=style), official(x), **EXACT)


def test_the_two_conventions_are_not_the_same():
    x = torch.randn(B, H, S, Dh, dtype=torch.float64)
    assert (rope(x, style="half") - rope(x, style="pairs")).abs().max() > 0.1


@pytest.mark.parametrize(("to", "other"), [("half", "pairs"), ("pairs", "half")])
def test_rope_order_turns_one_convention_into_the_other(to, other):
    x = torch.randn(B, H, S, Dh, dtype=torch.float64)
    order = positions.rope_order(Dh, to)
    assert_close(rope(x, style=other)[..., order], rope(x[..., order], style=to))


@pytest.mark.parametrize(("to", "other"), [("half", "pairs"), ("pairs", "half")])
def test_converted_weights_run_in_the_other_convention(to, other):
    ours, x = MultiHeadAttention(3 * Dh, 3).double(), torch.randn(B, S, 3 * Dh).double()
    expected = ours(x, rotate=positions.Rope(S, Dh, style=other))
    rows = positions.rope_order(Dh, to) + Dh * torch.arange(3)[:, None]
    rows = torch.cat((rows.flatten(), rows.flatten() + 3 * Dh))
    with torch.no_grad():  # the rows of W_q and W_k, head by head
        ours.in_proj_weight[: 6 * Dh] = ours.in_proj_weight[rows].clone()
    assert_close(ours(x, rotate=positions.Rope(S, Dh, style=to)), expected, **EXACT)


# law: RoPE


@pytest.mark.parametrize("style", STYLES)
@given(start=st.integers(-50, 5000))
def test_rope_scores_depend_on_the_offset_only(style, start):
    q, k = torch.randn(2, S, Dh, dtype=torch.float64).unbind()
    at = torch.arange(S)
    shifted = rope(q, at + start, style=style) @ rope(k, at + start, style=style).mT
    scores = rope(q, style=style) @ rope(k, style=style).mT
    assert_close(shifted, scores, rtol=0, atol=1e-9)


@pytest.mark.parametrize("style", STYLES)
def test_rope_keeps_norms_and_the_first_position(style):
    x = torch.randn(B, H, S, Dh, dtype=torch.float64)
    turned = rope(x, style=style)
    assert_close(turned.norm(dim=-1), x.norm(dim=-1), **EXACT)
    assert torch.equal(turned[:, :, 0], x[:, :, 0])


@pytest.mark.parametrize("style", STYLES)
def test_rope_table_equals_rope(style):
    x, layer = torch.randn(B, H, T, Dh), positions.Rope(S, Dh, style=style)
    at = torch.arange(T)
    assert_close(layer(x), rope(x, style=style), **SINGLE)
    assert_close(layer(x, start=2), rope(x, at + 2, style=style), **SINGLE)


def test_rope_keeps_half_precision():
    x = torch.randn(B, T, Dh, dtype=torch.bfloat16)
    assert rope(x).dtype == positions.Rope(T, Dh)(x).dtype == torch.bfloat16


# reference: DETR


def detr(padding, num_feats):
    """Write `PositionEmbeddingSine` (normalize=True) of facebookresearch/detr."""
    y = (~padding).cumsum(1, dtype=torch.float32)
    x = (~padding).cumsum(2, dtype=torch.float32)
    y = y / (y[:, -1:, :] + 1e-6) * 2 * math.pi
    x = x / (x[:, :, -1:] + 1e-6) * 2 * math.pi
    dim_t = torch.arange(num_feats, dtype=torch.float32)
    dim_t = 10_000 ** (2 * dim_t.div(2, rounding_mode="floor") / num_feats)
    codes = []
    for place in (y, x):
        code = place[..., None] / dim_t
        even, odd = code[..., 0::2].sin(), code[..., 1::2].cos()
        codes.append(torch.stack((even, odd), dim=4).flatten(3))
    return torch.cat(codes, dim=3).permute(0, 3, 1, 2)


def picture(height, width, valid_height, valid_width):
    valid = torch.zeros(1, height, width, dtype=torch.bool)
    valid[:, :valid_height, :valid_width] = True
    return valid


def test_sine_2d_is_detrs():
    valid = torch.cat((picture(5, 7, 5, 7), picture(5, 7, 3, 2)))
    expected = detr(~valid, 6)
    assert_close(positions.sine_2d(valid, 12), expected, rtol=0, atol=1e-5)


def test_padding_does_not_change_the_code_of_valid_cells():
    small = positions.sine_2d(picture(3, 2, 3, 2), 8)
    padded = positions.sine_2d(picture(5, 7, 3, 2), 8)
    assert torch.equal(padded[:, :, :3, :2], small)


def test_sine_2d_has_rows_first_and_columns_second():
    code = positions.sine_2d(picture(5, 7, 5, 7), 8)
    assert torch.equal(code[:, :4], code[:, :4, :, :1].expand(-1, -1, -1, 7))
    assert torch.equal(code[:, 4:], code[:, 4:, :1].expand(-1, -1, 5, -1))


# contract


@pytest.mark.parametrize(
    "make", [lambda d: sinusoidal(T, d), lambda d: rope(torch.ones(T, d))]
)
def test_odd_width_is_refused(as_user, make):
    with pytest.raises(ValueError, match="come in pairs: width 7 is not even"):
        make(7)


@pytest.mark.parametrize(
    "layer",
    [
        positions.SinusoidalPositions(4, 2),
        positions.LearnedPositions(4, 2),
        positions.Rope(4, 2),
    ],
    ids=["sinusoidal", "learned", "rope"],
)
@pytest.mark.parametrize(("start", "last"), [(0, 4), (3, 7), (-1, 3)])
def test_position_beyond_the_table_is_refused(as_user, layer, start, last):
    message = f"positions {start} … {last} do not fit into max_len = 4"
    with pytest.raises(ValueError, match=message):
        layer(torch.ones(1, 5, 2), start)


@pytest.mark.parametrize(("buckets", "distance"), [(32, 8), (3, 9)])
def test_too_few_buckets_are_refused(as_user, buckets, distance):
    message = f"num_buckets = {buckets} needs max_distance > .*, got {distance}"
    with pytest.raises(ValueError, match=message):
        positions.relative_bucket(torch.zeros(1, 1).long(), buckets, distance)


@pytest.mark.parametrize("num_heads", [0, -3])
def test_alibi_needs_a_head(as_user, num_heads):
    with pytest.raises(ValueError, match=f"num_heads must be ≥ 1, got {num_heads}"):
        positions.alibi_bias(num_heads, T)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rope(torch.ones(T, 2), style="llama"),
        lambda: positions.Rope(T, 2, style="llama"),
        lambda: positions.rope_order(2, to="llama"),
    ],
)
def test_unknown_convention_is_refused(as_user, make):
    with pytest.raises(ValueError, match="must be 'half' or 'pairs', got 'llama'"):
        make()


def test_rope_order_refuses_an_odd_width(as_user):
    with pytest.raises(ValueError, match="d_head = 5 is not even"):
        positions.rope_order(5, "half")


@pytest.mark.parametrize("d_model", [6, 0])
def test_sine_2d_needs_a_width_divisible_by_four(as_user, d_model):
    with pytest.raises(ValueError, match=f"d_model = {d_model} is not divisible by 4"):
        positions.sine_2d(picture(2, 2, 2, 2), d_model)


def test_more_queries_than_keys_are_refused(as_user):
    with pytest.raises(ValueError, match="5 queries cannot be the last of 3 positions"):
        positions.offsets(5, 3)
