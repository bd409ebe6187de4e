"""The two-fact task asks what its objects can answer, and nothing gives it away."""

import pytest
import torch

from attnbook.tasks import two_facts


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_answers_are_the_colours_of_the_two_named_objects():
    q, x, colours = two_facts(7, 5, generator())
    for box in range(7):
        for question in range(2):
            name = q[box, 0, 5 * question : 5 * (question + 1)]
            row = (x[box, :, :5] @ name).argmax()
            assert x[box, row, 5:].argmax() == colours[box, question]


def test_every_object_has_one_name_and_one_colour():
    q, x, _ = two_facts(3, 7)
    assert (x.unflatten(-1, (2, 7)).sum(-1) == 1).all()
    assert (q.unflatten(-1, (2, 7)).sum(-1) == 1).all()
    assert (x[..., :7].sum(1) == 1).all()


def test_the_two_names_differ_and_so_do_the_two_colours():
    q, _, colours = two_facts(200, 3, generator())
    assert (q.view(200, 2, 3).sum(1) <= 1).all()
    assert (colours[:, 0] != colours[:, 1]).all()


def test_every_ordered_pair_of_colours_is_equally_likely():
    _, _, colours = two_facts(30_000, 3, generator())
    share = (3 * colours[:, 0] + colours[:, 1]).bincount(minlength=9) / 30_000
    expected = (1 - torch.eye(3)).flatten() / 6
    torch.testing.assert_close(share, expected, atol=0.015, rtol=0)


def test_the_other_objects_tell_nothing():
    q, x, colours = two_facts(30_000, 3, generator())
    asked = (q.view(-1, 2, 3).sum(1)[:, None] * x[..., :3]).sum(-1)  # 1 = asked for
    other = x[asked == 0][:, 3:].argmax(-1)
    assert abs((other == colours[:, 0]).float().mean() - 1 / 3) < 0.015
    assert abs((other == colours[:, 1]).float().mean() - 1 / 3) < 0.015


def test_same_generator_gives_the_same_boxes():
    first, second = two_facts(2, 3, generator(1)), two_facts(2, 3, generator(1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("sizes", [(0, 3), (2, 2)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=r"num_boxes ≥ 1 and num_objects ≥ 3, got"):
        two_facts(*sizes)
