"""Every exercise can be solved as the book says, and starts unsolved."""

import ast
import importlib

import pytest
from chapters import CHAPTERS, calls, exercises, first_names, read

EXERCISES = [
    pytest.param(path, exercise, id=exercise.id)
    for path in CHAPTERS
    for exercise in exercises(read(path))
]


def verdict(exercise, names):
    """Run the exercise's check in a namespace and return what it shows."""
    expression = ast.Expression(exercise.check)
    return eval(compile(expression, "check", "eval"), names)


@pytest.mark.parametrize(("path", "exercise"), EXERCISES)
def test_solution_passes_its_check(path, exercise):
    names = first_names(read(path))
    exec(compile(exercise.code, f"solution {exercise.id}", "exec"), names)
    if exercise.check:
        assert verdict(exercise, names).state == "right"


@pytest.mark.parametrize(("path", "exercise"), EXERCISES)
def test_stub_is_not_attempted_yet(path, exercise):
    if exercise.check:
        names = first_names(read(path))
        exec(compile(exercise.stub, f"stub {exercise.id}", "exec"), names)
        assert verdict(exercise, names).state == "open"


@pytest.mark.parametrize(("path", "exercise"), EXERCISES)
def test_exercise_has_three_hints_and_a_solution(path, exercise):
    assert exercise.hints == ["Hint 1", "Hint 2", "Hint 3"]
    assert len(exercise.solution.split()) >= 10
    if exercise.check:
        assert exercise.check.args[0].value == exercise.id
        assert exercise.stub
        assert exercise.code


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_exercises_are_four_to_six_in_order(path):
    ids = [exercise.id for exercise in exercises(read(path))]
    chapter = int(path.name[:2])
    assert ids == [f"{chapter}.{number}" for number in range(1, len(ids) + 1)]
    assert 4 <= len(ids) <= 6


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_checker_is_used_and_every_check_has_one(path):
    checkers = importlib.import_module(f"attnbook.exercises.chapter_{path.name[:2]}")
    used = [call.args[0].value for call in calls(read(path), "check")]
    assert used == list(checkers.CHECKS)
    assert used == [e.id for e in exercises(read(path)) if e.check]
