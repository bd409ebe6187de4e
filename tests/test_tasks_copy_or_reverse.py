"""The copy-or-reverse task of chapter 8."""

import pytest
import torch

from attnbook.tasks import COPY, LETTERS, REVERSE, copy_or_reverse
from attnbook.tokenizers import END, PAD, START, until_end


@pytest.fixture(scope="module")
def pairs():
    source, target = copy_or_reverse(300, 7, torch.Generator().manual_seed(1))
    return list(zip(source.tolist(), target.tolist(), strict=True))


def test_copy_or_reverse_target_has_the_letters_in_the_order_asked_for(pairs):
    for source, target in pairs:
        letters = until_end(source[1:])
        wanted = letters if source[0] == COPY else letters[::-1]
        assert until_end(target) == wanted


def test_copy_or_reverse_has_both_orders_and_all_lengths(pairs):
    assert {source[0] for source, _ in pairs} == {COPY, REVERSE}
    lengths = {len(until_end(source[1:])) for source, _ in pairs}
    assert lengths == {3, 4, 5, 6, 7}
    assert {x for source, _ in pairs for x in until_end(source[1:])} == set(LETTERS)


def test_copy_or_reverse_marks_and_padding_stand_where_they_belong(pairs):
    for source, target in pairs:
        size = len(until_end(source[1:]))
        assert len(source) == len(target) == 9
        assert target[0] == START
        assert source[size + 1] == target[size + 1] == END
        assert set(source[size + 2 :] + target[size + 2 :]) <= {PAD}


def test_copy_or_reverse_repeats_with_a_generator():
    first, second = (
        copy_or_reverse(5, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(("num", "longest"), [(0, 8), (5, 2)])
def test_copy_or_reverse_refuses_sizes_too_small(num, longest):
    with pytest.raises(ValueError, match=f"got {num} and {longest}"):
        copy_or_reverse(num, longest)
