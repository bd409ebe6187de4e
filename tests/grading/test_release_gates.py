"""The real assignments through the real sandbox, as `make assignments` proves them.

Every right answer, the stub, and for each check its first expected wrong answer; the
release itself tries all of them.
"""

from functools import cache

import nbformat
import pytest
from chapters import ROOT

from attnbook.grading.assignments import find, load
from attnbook.grading.batch import grade_notebook
from attnbook.grading.releasing import gates
from attnbook.grading.releasing.versions import student_version

FOLDER = ROOT / "assignments"


@cache
def trials_of(name):
    """Return an assignment and its trials by name, wrong answers once a check."""
    assignment = load(name, FOLDER)
    trials = gates.trials(assignment, student_version(assignment))
    chosen, checks = {}, set()
    for trial in trials:
        check = trial.name.rpartition(" at ")[2] if " at " in trial.name else None
        if check is None or check not in checks:
            chosen[trial.name] = trial
        checks.add(check)
    return assignment, chosen


CASES = [(name, trial) for name in find(FOLDER) for trial in trials_of(name)[1]]


@pytest.mark.parametrize(("name", "trial"), CASES)
def test_answer_comes_to_what_it_must(name, trial):
    assignment, trials = trials_of(name)
    one = trials[trial]
    data = nbformat.writes(one.notebook).encode()
    result = grade_notebook(assignment, data, one.extras)
    assert not result.fault
    assert one.faults(result) == []


@pytest.mark.parametrize("name", find(FOLDER))
def test_every_named_mistake_is_planted(name):
    assignment = load(name, FOLDER)
    assert gates.unplanted(assignment) == []
    assert len(assignment.wrong_answers) >= 8
    assert len(assignment.right_answers) >= 2
