"""Checkers accept right answers and name the mistakes of wrong ones."""

import importlib
import re
from pathlib import Path

import pytest

from attnbook.exercises import WrongAnswer, check

MODULES = [
    importlib.import_module(f"mistakes.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("mistakes/chapter_*.py"))
]
MISTAKES = [mistake for module in MODULES for mistake in module.MISTAKES]
ACCEPTED = {
    exercise: answers
    for module in MODULES
    for exercise, answers in module.ACCEPTED.items()
}
EXERCISES = [
    exercise
    for module in MODULES
    for exercise in importlib.import_module(
        f"attnbook.exercises.{module.__name__.rpartition('.')[2]}"
    ).CHECKS
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.exercise} {m.name}")
def test_mistake_is_named(mistake):
    with pytest.raises(WrongAnswer) as caught:
        check(mistake.exercise, mistake.answer)
    assert re.search(mistake.names_it, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_two_different_right_answers_are_accepted(exercise):
    assert len(ACCEPTED[exercise]) >= 2
    for answer in ACCEPTED[exercise]:
        assert check(exercise, answer).state == "right"


@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_exercise_has_a_planted_mistake(exercise):
    assert any(mistake.exercise == exercise for mistake in MISTAKES)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_stub_is_not_an_error(exercise):
    def stub(*args, **kwargs):
        raise NotImplementedError

    assert check(exercise, stub).state == "open"


def test_pytorchs_own_not_implemented_is_shown_and_is_no_stub():
    def answer(*args):
        raise NotImplementedError("\"im2col_cpu\" not implemented for 'Long'")

    with pytest.raises(NotImplementedError, match="im2col"):
        check("2.1", answer)


@pytest.mark.parametrize(
    ("exercise", "message"),
    [
        ("2", "looks like '2.1'"),
        ("99.1", "chapter 99 has no exercises"),
        ("2.99", "there is no exercise 2.99; there are 2.1"),
    ],
)
def test_unknown_exercise_says_what_there_is(exercise, message):
    with pytest.raises(ValueError, match=message):
        check(exercise, None)
