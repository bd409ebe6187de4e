"""Counting what a computation costs."""

import pytest
import torch

from attnbook.costs import saved_bytes, seconds
from attnbook.scores import AdditiveScore


def test_saved_bytes_of_a_product_are_its_factors():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    assert saved_bytes(lambda: a @ b) == 4 * (15 + 35)


def test_saved_bytes_count_a_storage_once():
    x = torch.ones(3, 5, requires_grad=True)
    assert saved_bytes(lambda: x.exp().view(5, 3) ** 2) == 4 * 15


def test_saved_bytes_hold_what_a_dropped_graph_kept():
    x = torch.ones(1000, requires_grad=True)
    assert saved_bytes(lambda: [x.exp().sum().item() for _ in range(3)]) == 3 * 4000


def test_saved_bytes_of_the_additive_score_are_a_tensor_per_pair():
    # By hand: 128 · 128 · 64 · 4 bytes after the tanh, queries and keys, W and U, v.
    score = AdditiveScore(64, 64, 64)
    q, k = (torch.randn(128, 64, requires_grad=True) for _ in range(2))
    by_hand = 4 * (128 * 128 * 64 + 2 * 128 * 64 + 2 * 64 * 64 + 64)
    assert saved_bytes(lambda: score(q, k)) == by_hand == 4_292_864


def test_saved_bytes_without_gradients_are_none():
    assert saved_bytes(lambda: torch.ones(3).exp()) == 0


def test_seconds_runs_as_often_as_asked_without_gradients():
    seen = []
    assert seconds(lambda: seen.append(torch.is_grad_enabled()), repeats=3) >= 0
    assert seen == [False, False, False]


def test_seconds_refuses_no_runs():
    with pytest.raises(ValueError, match="seconds needs repeats ≥ 1, got 0"):
        seconds(lambda: None, repeats=0)
