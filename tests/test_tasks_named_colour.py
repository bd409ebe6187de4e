"""The named-colour task asks what its objects can answer."""

import pytest
import torch

from attnbook.tasks import named_colour


@pytest.mark.parametrize("distinct", [True, False])
def test_answer_is_the_colour_of_the_named_object(distinct):
    generator = torch.Generator().manual_seed(0)
    q, x, colour = named_colour(3, 5, distinct, generator)
    for box in range(3):
        for query in range(5):
            row = (x[box, :, :5] @ q[box, query]).argmax()
            assert x[box, row, 5:].argmax() == colour[box, query]


def test_every_object_has_one_name_and_one_colour():
    _, x, _ = named_colour(7, 3)
    assert (x.unflatten(-1, (2, 3)).sum(-1) == 1).all()
    assert (x[..., :3].sum(1) == 1).all()


def test_distinct_colours_all_differ():
    _, x, colour = named_colour(11, 5)
    assert (x[..., 5:].sum(1) == 1).all()
    assert (colour.sort(-1).values == torch.arange(5)).all()


def test_independent_colours_may_repeat():
    _, x, _ = named_colour(50, 5, False, torch.Generator().manual_seed(0))
    assert (x[..., 5:].sum(1) > 1).any()


def test_same_generator_gives_the_same_boxes():
    first, second = (
        named_colour(2, 3, True, torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("sizes", [(0, 3), (2, 1)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=r"num_boxes ≥ 1 and num_objects ≥ 2"):
        named_colour(*sizes)
