"""Associative stores give back what they should, and blur as much as they must."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from attnbook.associative import (
    covariance,
    left_out_error,
    linear_look_up,
    recall,
    slope_sizes,
    store_and_ask,
)
from attnbook.scores import dot_score


def test_linear_look_up_is_attention_without_the_softmax():
    q, k, v = torch.randn(2, 3, 7), torch.randn(2, 5, 7), torch.randn(2, 5, 11)
    torch.testing.assert_close(linear_look_up(q, k, v), q @ k.mT / 7 @ v)


def test_linear_look_up_is_exact_for_keys_at_right_angles():
    k = math.sqrt(7) * torch.linalg.qr(torch.randn(7, 7).double()).Q
    v = torch.randn(7, 3).double()
    torch.testing.assert_close(linear_look_up(k, k, v), v)


@pytest.mark.usefixtures("as_user")
def test_linear_look_up_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="width"):
        linear_look_up(torch.ones(2, 3), torch.ones(4, 5), torch.ones(4, 2))
    with pytest.raises(ValueError, match="4 keys but 3 values"):
        linear_look_up(torch.ones(2, 3), torch.ones(4, 3), torch.ones(3, 2))


def test_covariance_is_numpy_s():
    p, a, b = torch.rand(7).double(), torch.randn(7, 3), torch.randn(7, 2)
    p = p / p.sum()
    theirs = np.cov(torch.cat([a, b], dim=-1).T, aweights=p, ddof=0)[:3, 3:]
    ours = covariance(p, a.double(), b.double())
    torch.testing.assert_close(ours, torch.tensor(theirs), atol=1e-7, rtol=0)


def test_covariance_is_the_slope_of_attention():
    q, k, v = (torch.randn(size).double() for size in ((5,), (7, 5), (7, 3)))
    slope = torch.autograd.functional.jacobian(lambda q: (k @ q).softmax(-1) @ v, q)
    torch.testing.assert_close(covariance((k @ q).softmax(-1), v, k), slope)


def test_recall_counts_answers_nearest_to_their_own_value():
    values = torch.tensor([[0.0], [10.0], [20.0], [30.0]])
    answers = torch.tensor([[-90.0], [14.0], [14.0], [29.0]])
    assert recall(answers, values) == 0.75


def test_recall_refuses_another_number_of_answers():
    with pytest.raises(ValueError, match="2 answers for 3 values"):
        recall(torch.ones(2, 5), torch.ones(3, 5))


def test_store_and_ask_finds_a_perfect_store_perfect():
    errors, shares = store_and_ask(lambda k, v: v, [2, 5], range(3), d=7)
    assert errors.shape == shares.shape == (3, 2)
    assert not errors.any()
    assert (shares == 1).all()


def test_store_and_ask_gives_linear_stores_their_crosstalk():
    errors, _ = store_and_ask(lambda k, v: linear_look_up(k, k, v), [64, 256], range(3))
    np.testing.assert_allclose(errors.mean(0), [1, 2], atol=0.1)


def test_softmax_recalls_more_than_a_linear_store():
    _, soft = store_and_ask(
        lambda k, v: F.scaled_dot_product_attention(k, k, v), [256], range(3)
    )
    _, linear = store_and_ask(lambda k, v: linear_look_up(k, k, v), [256], range(3))
    assert soft.mean() > 0.95 > linear.mean()


def test_store_and_ask_refuses_an_empty_store():
    with pytest.raises(ValueError, match=r"at least 1, got \[3, 0\]"):
        store_and_ask(lambda k, v: v, [3, 0], range(3))


def test_slope_sizes_are_those_of_autograd():
    sizes, largest = slope_sizes(2.0, seed=5, num_queries=3, num_keys=7, d=11)
    drawn = torch.Generator().manual_seed(5)
    q, k, v = (
        torch.randn(s, generator=drawn, dtype=torch.float64)
        for s in ((3, 11), (7, 11), (7, 5))
    )
    weights = (2 * q @ k.T / math.sqrt(11)).softmax(-1)
    torch.testing.assert_close(largest, weights.amax(-1))
    for query, size in zip(q, sizes, strict=True):
        slope = torch.autograd.functional.jacobian(
            lambda q: (2 * k @ q / math.sqrt(11)).softmax(-1) @ v, query
        )
        torch.testing.assert_close(slope.norm(), size)


def test_slope_sizes_refuse_a_sharpness_of_zero():
    with pytest.raises(ValueError, match="positive, got 0"):
        slope_sizes(0, seed=1)


def test_left_out_error_does_not_see_the_own_value():
    k, v = 100 * torch.eye(5), torch.randn(5, 3)
    others = (v.sum(0) - v) / 4  # the own key would take all
    expected = (others - v).square().mean().sqrt().item()
    assert left_out_error(k, v, dot_score) == pytest.approx(expected, rel=1e-5)


def test_left_out_error_needs_two_pairs():
    with pytest.raises(ValueError, match="at least 2 pairs, got 1"):
        left_out_error(torch.ones(1, 3), torch.ones(1, 2), dot_score)
