"""Scores compare queries with keys; masked_softmax makes weights of them."""

import math

import jaxtyping
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from attnbook import masks, scores

B, T, S, H, D, Dh = 2, 3, 5, 7, 13, 11
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
EXACT = {"rtol": 0, "atol": 1e-12}


def pair(d_q=D, d_k=D, batch=(B,)):
    q = torch.randn(*batch, T, d_q, dtype=torch.float64)
    return q, torch.randn(*batch, S, d_k, dtype=torch.float64)


# reference


def test_dot_score_is_the_sum_of_products():
    q, k = pair()
    assert_close(scores.dot_score(q, k), torch.einsum("btd,bsd->bts", q, k), **EXACT)


def test_scaled_dot_score_divides_by_the_root_of_the_width():
    q, k = pair()
    expected = torch.einsum("btd,bsd->bts", q, k) / math.sqrt(D)
    assert_close(scores.scaled_dot_score(q, k), expected, **EXACT)


def test_scaled_dot_score_takes_another_scale():
    q, k = pair()
    expected = 0.3 * scores.dot_score(q, k)
    assert_close(scores.scaled_dot_score(q, k, scale=0.3), expected, **EXACT)


@pytest.mark.parametrize("d_k", [Dh, D])
def test_bilinear_score_equals_nn_bilinear(d_k):
    q, k = pair(D, d_k)
    ours, theirs = scores.BilinearScore(D, d_k).double(), nn.Bilinear(d_k, D, 1, False)
    theirs.weight.data = ours.W.data[None]
    wide_k = k[:, None].expand(B, T, S, d_k).contiguous()
    wide_q = q[:, :, None].expand(B, T, S, D).contiguous()
    assert_close(ours(q, k), theirs(wide_k, wide_q)[..., 0], **EXACT)


def test_additive_score_is_one_tanh_of_the_sum():
    q, k = pair(D, Dh, batch=())
    score = scores.AdditiveScore(D, Dh, H).double()
    expected = torch.empty(T, S, dtype=torch.float64)
    for t in range(T):
        for s in range(S):
            expected[t, s] = score.v @ torch.tanh(score.W @ k[s] + score.U @ q[t])
    assert_close(score(q, k), expected, **EXACT)


def test_masked_softmax_is_softmax_over_the_allowed_keys():
    raw, allowed = torch.randn(T, S, dtype=torch.float64), [0, 3, 4]
    mask = torch.zeros(T, S, dtype=torch.bool)
    mask[:, allowed] = True
    weights = scores.masked_softmax(raw, mask)
    assert_close(weights[:, allowed], raw[:, allowed].softmax(-1), **EXACT)
    assert weights[:, [1, 2]].eq(0).all()


def test_masked_softmax_without_a_mask_is_softmax():
    raw = torch.randn(B, T, S)
    assert torch.equal(scores.masked_softmax(raw), raw.softmax(-1))


def test_softmax_jacobian_equals_autograd():
    raw = torch.randn(S, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda x: x.softmax(-1), raw)
    assert_close(scores.softmax_jacobian(raw.softmax(-1)), expected, **EXACT)


# law


def all_scores():
    return [
        scores.dot_score,
        scores.scaled_dot_score,
        scores.BilinearScore(D, D).double(),
        scores.AdditiveScore(D, D, H).double(),
    ]


@pytest.mark.parametrize("index", range(4), ids=["dot", "scaled", "bilinear", "add"])
def test_score_of_a_pair_does_not_depend_on_the_others(index):
    score, (q, k) = all_scores()[index], pair()
    assert_close(score(q, k)[:, 1:2, 3:4], score(q[:, 1:2], k[:, 3:4]), **EXACT)


@pytest.mark.parametrize("index", range(4), ids=["dot", "scaled", "bilinear", "add"])
@pytest.mark.parametrize("batch", [(), (1,), (B, H)])
def test_score_keeps_the_batch_axes(index, batch):
    q, k = pair(batch=batch)
    assert all_scores()[index](q, k).shape == (*batch, T, S)


def test_scaled_dot_score_has_the_same_spread_at_every_width():
    widths = [16, 1024]
    spread = [scores.scaled_dot_score(*torch.randn(2, 1000, d)).std() for d in widths]
    assert_close(spread[0], spread[1], rtol=0.05, atol=0)


def test_bilinear_score_with_the_roles_exchanged_needs_the_transpose():
    q, k = pair(D, Dh)
    there, back = scores.BilinearScore(D, Dh), scores.BilinearScore(Dh, D)
    back.W.data = there.W.data.T
    there, back = there.double(), back.double()
    assert_close(there(q, k), back(k, q).mT, **EXACT)


def test_bilinear_score_can_be_asymmetric_and_dot_cannot():
    x = torch.randn(T, D, dtype=torch.float64)
    assert_close(scores.dot_score(x, x), scores.dot_score(x, x).mT, **EXACT)
    raw = scores.BilinearScore(D, D).double()(x, x)
    assert (raw - raw.mT).abs().max() > 0.1


@pytest.mark.parametrize("index", [2, 3], ids=["bilinear", "additive"])
def test_every_parameter_of_a_score_gets_a_gradient(index):
    score = all_scores()[index]
    score(*pair()).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in score.parameters())


@st.composite
def scores_and_mask(draw):
    batch = draw(st.sampled_from([(), (1,), (2,), (2, 3)]))
    num_queries, num_keys = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    wide = draw(st.booleans())
    shape = (*batch, num_queries if wide else 1, num_keys)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    allowed = draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    mask = torch.rand(shape, generator=generator) < allowed
    assume(not masks.is_reversed_causal(mask))
    raw = torch.randn(*batch, num_queries, num_keys, generator=generator)
    scale = draw(st.sampled_from([0.0, 1.0, 1e4]))
    return (scale * raw).to(draw(st.sampled_from(DTYPES))), mask


@given(scores_and_mask())
def test_weights_sum_to_one_or_are_all_zero(case):
    raw, mask = case
    weights = scores.masked_softmax(raw, mask)
    rows = mask.any(dim=-1).expand(raw.shape[:-1]).double()
    tolerance = 8 * torch.finfo(raw.dtype).eps  # rounding of up to 7 terms
    assert_close(weights.double().sum(-1), rows, rtol=0, atol=tolerance)
    assert weights.masked_select(~mask).eq(0).all()


@given(scores_and_mask())
def test_gradient_is_finite_and_zero_at_forbidden_keys(case):
    raw, mask = case
    raw.requires_grad_()
    weights = scores.masked_softmax(raw, mask)
    (weights * torch.randn_like(weights)).sum().backward()
    assert raw.grad.isfinite().all()
    assert raw.grad.masked_select(~mask).eq(0).all()


@given(scores_and_mask())
def test_weights_do_not_change_when_a_row_of_scores_is_shifted(case):
    raw, mask = case
    raw = raw.double()
    shifted = scores.masked_softmax(raw + 3.0, mask)
    assert_close(shifted, scores.masked_softmax(raw, mask), rtol=0, atol=1e-9)


def test_forbidden_keys_do_not_compete_however_low_the_allowed_scores_are():
    raw = torch.tensor([[-1e30, -1e30, 0.0]], dtype=torch.float64)
    weights = scores.masked_softmax(raw, torch.tensor([[True, True, False]]))
    assert weights.tolist() == [[0.5, 0.5, 0.0]]


def test_row_without_keys_makes_no_nan_on_the_way_back_either():
    raw = torch.randn(T, S, requires_grad=True)
    mask = torch.zeros(T, S, dtype=torch.bool)
    with torch.autograd.set_detect_anomaly(True):  # raises at the first NaN
        scores.masked_softmax(raw, mask).sum().backward()
    assert raw.grad.eq(0).all()


def test_forbidden_scores_are_invisible_even_if_not_a_number():
    raw, mask = torch.zeros(T, S), masks.padding(torch.tensor([2]), S)[0]
    raw[:, 2:] = math.nan
    expected = torch.tensor([0.5, 0.5, 0, 0, 0]).expand(T, S)
    assert torch.equal(scores.masked_softmax(raw, mask), expected)


def test_masked_softmax_leaves_scores_and_mask_alone():
    raw, mask = torch.randn(S, S), masks.causal(S)
    before = raw.clone()
    scores.masked_softmax(raw, mask)
    assert torch.equal(raw, before)
    assert torch.equal(mask, masks.causal(S))


def test_softmax_jacobian_rows_sum_to_zero():
    jacobian = scores.softmax_jacobian(torch.rand(B, S).double().softmax(-1))
    assert_close(jacobian.sum(-1), torch.zeros(B, S, dtype=torch.float64), **EXACT)
    assert_close(jacobian, jacobian.mT, **EXACT)


def test_scaled_dot_score_does_not_overflow_in_half_precision():
    q, k = torch.full((1, 64), 60.0).half(), torch.full((1, 64), 60.0).half()
    assert scores.dot_score(q, k).isinf().all()  # 230,400 > 65,504
    assert_close(scores.scaled_dot_score(q, k).item(), 28800.0, rtol=1e-3, atol=0)


# contract


@pytest.mark.parametrize(
    ("q", "k", "message"),
    [
        (torch.ones(T, 3), torch.ones(S, 5), "q has width 3 but k has width 5; a Bil"),
        (torch.ones(T, 3), torch.ones(S, 3).double(), "q is torch.float32 but k is"),
        (torch.ones(T, 3).int(), torch.ones(S, 3), "q must be floating point, got to"),
        (torch.ones(T, 3), torch.ones(S, 3).long(), "k must be floating point, got"),
        (torch.ones(3), torch.ones(S, 3), r"q must be \(…, positions, width\).*\(3,\)"),
        (torch.ones(B, T, 3), torch.ones(H, S, 3), r"\(2, 3, 3\) and k of shape \(7, "),
    ],
    ids=["width", "dtype", "int q", "int k", "vector", "batch"],
)
@pytest.mark.parametrize("score", [scores.dot_score, scores.scaled_dot_score])
def test_queries_and_keys_that_do_not_fit_are_refused(as_user, score, q, k, message):
    with pytest.raises(ValueError, match=message):
        score(q, k)


@pytest.mark.parametrize(
    "make", [scores.BilinearScore, lambda *d: scores.AdditiveScore(*d, H)]
)
@pytest.mark.parametrize(
    ("d_q", "d_k", "message"),
    [(Dh, Dh, "q has width 11, expected 13"), (D, D, "k has width 13, expected 11")],
)
def test_learned_score_refuses_other_widths(as_user, make, d_q, d_k, message):
    q, k = torch.ones(T, d_q), torch.ones(S, d_k)
    with pytest.raises(ValueError, match=message):
        make(D, Dh)(q, k)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(T, S), "must be boolean, got torch.float32"),
        (torch.ones(T, S, dtype=torch.int64), "must be boolean, got torch.int64"),
        (torch.ones(S, T) > 0, r"\(5, 3\) does not broadcast .* = \(2, 3, 5\)"),
        (torch.ones(H, T, S) > 0, r"\(7, 3, 5\) does not broadcast"),
    ],
    ids=["float", "int", "transposed", "batch"],
)
def test_masked_softmax_refuses_a_mask_it_would_have_to_guess(as_user, mask, message):
    with pytest.raises(ValueError, match=message):
        scores.masked_softmax(torch.zeros(B, T, S), mask)


def test_masked_softmax_refuses_a_reversed_causal_mask(as_user):
    with pytest.raises(ValueError, match="looks reversed"):
        scores.masked_softmax(torch.zeros(S, S), ~masks.causal(S))


def test_annotations_are_checked_under_pytest():
    with pytest.raises(jaxtyping.TypeCheckError):
        scores.dot_score(torch.ones(B, T, D), torch.ones(H, S, D))
