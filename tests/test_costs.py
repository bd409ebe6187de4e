"""Counting what a computation costs."""

import pytest
import torch

from attnbook.costs import saved_bytes, seconds


def test_saved_bytes_of_a_product_are_its_factors():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    assert saved_bytes(lambda: a @ b) == 4 * (15 + 35)


def test_saved_bytes_without_gradients_are_none():
    assert saved_bytes(lambda: torch.ones(3).exp()) == 0


def test_seconds_runs_as_often_as_asked_without_gradients():
    seen = []
    assert seconds(lambda: seen.append(torch.is_grad_enabled()), repeats=3) >= 0
    assert seen == [False, False, False]


def test_seconds_refuses_no_runs():
    with pytest.raises(ValueError, match="seconds needs repeats ≥ 1, got 0"):
        seconds(lambda: None, repeats=0)
