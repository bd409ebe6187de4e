"""`tasks.first_of_two`: the order of two tokens, and nothing else, is the answer."""

import pytest
import torch

from attnbook.tasks import first_of_two


def test_first_of_two_answer_is_the_order_of_tokens_0_and_1():
    x, answer = first_of_two(67, 7)
    zero, one = ((x == token).long().argmax(dim=1) for token in (0, 1))
    assert torch.equal(answer, (zero < one).long())


def test_first_of_two_holds_each_of_the_two_tokens_once():
    x, _ = first_of_two(67, 7)
    assert ((x == 0).sum(dim=1) == 1).all()
    assert ((x == 1).sum(dim=1) == 1).all()


def test_first_of_two_uses_all_places_and_all_fillers():
    x, _ = first_of_two(997, 3, num_fillers=5)
    assert set(x.unique().tolist()) == set(range(7))
    assert ((x == 0).float().mean(dim=0) - 1 / 3).abs().max() < 0.1


def test_first_of_two_is_balanced():
    _, answer = first_of_two(1999, 11)
    assert abs(answer.float().mean() - 0.5) < 0.06


def test_first_of_two_repeats_with_a_generator():
    first, again = (
        first_of_two(5, 7, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@pytest.mark.parametrize(("length", "num_fillers"), [(1, 5), (5, 0)])
def test_first_of_two_refuses_impossible_sizes(length, num_fillers):
    with pytest.raises(ValueError, match=rf"got {length} and {num_fillers}"):
        first_of_two(3, length, num_fillers)
