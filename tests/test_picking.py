"""Scores that learn to pick a key."""

import pytest
import torch
from torch.testing import assert_close

from attnbook.picking import cosine_score, train_to_pick, try_task


def negated(num, g):
    """Ask for the key that is the query with its sign changed."""
    k = torch.randn(num, 5, 3, generator=g)
    answer = torch.randint(5, (num,), generator=g)
    return -k[torch.arange(num), answer][:, None], k, answer


def test_cosine_score_does_not_see_lengths():
    q, k = torch.randn(2, 3, 7), torch.randn(2, 5, 7)
    expected = torch.cosine_similarity(q[:, :, None], k[:, None], dim=-1)
    assert_close(cosine_score(3 * q, 0.5 * k), expected, rtol=1e-5, atol=1e-6)


def test_try_task_trains_a_bilinear_score_and_leaves_the_dot_product():
    bilinear = try_task("bilinear", negated, seeds=2)
    assert bilinear.shape == (2,)
    assert bilinear.min() > 0.6
    assert try_task("dot", negated, seeds=2).max() < 0.1


def test_try_task_tests_on_the_test_task():
    def opposite(num, g):
        q, k, answer = negated(num, g)
        return -q, k, answer

    assert try_task("dot", negated, test=opposite, seeds=1)[0] > 0.6


def test_try_task_repeats():
    first, second = (try_task("cosine", negated) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_train_to_pick_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match="unknown kind of score 'euclid'; known: dot"):
        train_to_pick("euclid", negated, torch.Generator())
