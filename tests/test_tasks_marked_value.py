"""The recall task of chapter 4."""

import pytest
import torch

from attnbook.tasks import marked_value

DISTANCE = torch.tensor([1, 3, 7])


def test_marked_value_mark_lies_at_the_distance():
    x, _ = marked_value(DISTANCE, length=7)
    assert x.shape == (3, 8, 10)
    assert x[..., 8].sum(dim=1).tolist() == [1, 1, 1]
    assert (7 - x[..., 8].argmax(dim=1)).tolist() == [1, 3, 7]


def test_marked_value_answer_is_the_marked_tokens_value():
    x, answer = marked_value(DISTANCE, length=7)
    marked = x[torch.arange(3), 7 - DISTANCE]
    torch.testing.assert_close(marked[:, :8].argmax(dim=-1), answer)


def test_marked_value_question_is_last_and_carries_no_value():
    x, _ = marked_value(DISTANCE, length=7, num_values=5)
    assert x[:, -1].tolist() == 3 * [[0, 0, 0, 0, 0, 0, 1]]
    assert x[:, :-1, :5].sum(dim=-1).eq(1).all()


def test_marked_value_repeats_with_a_generator():
    first, second = (
        marked_value(DISTANCE, 7, generator=torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("distance", [[0, 1], [1, 8]])
def test_marked_value_refuses_a_distance_outside(distance):
    with pytest.raises(ValueError, match=r"distances must lie in 1 … length = 7"):
        marked_value(torch.tensor(distance), length=7)


def test_marked_value_refuses_one_value():
    with pytest.raises(ValueError, match="num_values ≥ 2, got 1"):
        marked_value(DISTANCE, length=7, num_values=1)
