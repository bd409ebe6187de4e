"""One submission, run for real in a sandbox: marks, faults, carry-over, flags."""

import dataclasses
import json

import nbformat
import pytest
import tiny

from attnbook.grading import batch
from attnbook.grading.boxes.sandbox import choose
from attnbook.grading.intake.collect import Submission
from attnbook.grading.releasing import versions
from attnbook.grading.results import Result

SPY = """
import sys

frame = sys._getframe()
while "worker" not in frame.f_locals:
    frame = frame.f_back
raise ValueError(frame.f_locals["worker"].probes)
"""


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def solved(assignment, *more, replace=()):
    """Return the solved notebook as bytes, with other code and more cells."""
    notebook = versions.solved_version(assignment)
    for old, new in replace:
        found = [cell for cell in notebook.cells if old in cell.source]
        assert found, f"no cell holds {old!r}"
        for cell in found:
            cell.source = cell.source.replace(old, new)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in more]
    return nbformat.writes(notebook).encode()


def earned(result):
    return {check.id: check.earned for check in result.checks}


def test_solved_notebook_gets_every_automatic_point(assignment):
    result = batch.grade_notebook(assignment, solved(assignment))
    assert result.earned == result.automatic_maximum == 7
    assert (result.fault, result.flags, result.cells) == ("", [], [])
    assert [block.outcome for block in result.visible] == ["passed", "passed"]


def test_released_notebook_is_not_attempted(assignment):
    data = nbformat.writes(versions.student_version(assignment)).encode()
    result = batch.grade_notebook(assignment, data)
    ends = [check.outcome for check in result.checks]
    ends += [block.outcome for block in result.visible]
    assert ends == ["not attempted"] * 5


def test_mistake_is_named_and_costs_its_own_question_only(assignment):
    columns = ("scores.max(-1, keepdims=True)", "scores.max(0, keepdims=True)")
    over = ("shifted.sum(-1, keepdims=True)", "shifted.sum(0, keepdims=True)")
    data = solved(assignment, replace=[columns, over])
    result = batch.grade_notebook(assignment, data)
    assert earned(result) == {"1a": 0, "1b": 0, "2a": 4}
    assert result.checks[0].mistake == "softmax over the queries"
    assert result.checks[2].carried


def test_earlier_solution_does_not_help_a_wrong_later_answer(assignment):
    wrong = ("return softmax(scores) @ values", "return scores @ values")
    broken = ("return shifted /", "return 2 * shifted /")
    result = batch.grade_notebook(
        assignment, solved(assignment, replace=[wrong, broken])
    )
    assert earned(result) == {"1a": 0, "1b": 0, "2a": 0}


def test_stub_left_above_costs_its_own_question_only(assignment):
    stub = "def softmax(scores):\n    raise NotImplementedError"
    result = batch.grade_notebook(assignment, solved(assignment, stub))
    assert earned(result) == {"1a": 0, "1b": 0, "2a": 4}
    assert result.checks[0].outcome == "not attempted"


def test_mistake_is_named_as_if_the_earlier_answer_were_right(assignment):
    twice = "def softmax(scores):\n    return np.zeros(scores.shape)"
    mix = "def context(s, v):\n    return s @ v + 0 * softmax(s) @ v"
    result = batch.grade_notebook(assignment, solved(assignment, twice, mix))
    assert result.checks[2].mistake == "a sum in place of an average"
    assert not result.checks[2].carried


ERASES = """def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    scores[:] = 0
    return weights"""
NOTICES = """def context(scores, values):
    before = scores.sum()
    return softmax(scores) @ values + scores.sum() - before"""
MORE = """def softmax(scores, axis=-1):
    shifted = np.exp(scores)
    return shifted / shifted.sum(axis, keepdims=True)"""
ASKS_MORE = """def context(scores, values):
    return softmax(scores, axis=-1) @ values + 1"""


def test_fault_that_its_own_checks_do_not_see_costs_no_later_question(assignment):
    result = batch.grade_notebook(assignment, solved(assignment, ERASES, NOTICES))
    assert earned(result) == {"1a": 2, "1b": 1, "2a": 4}
    assert [check.carried for check in result.checks] == [False, False, True]


def test_error_that_only_the_second_trial_has_is_not_named(assignment):
    result = batch.grade_notebook(assignment, solved(assignment, MORE, ASKS_MORE))
    assert earned(result) == {"1a": 2, "1b": 0, "2a": 0}
    assert (result.checks[2].outcome, result.checks[2].mistake) == (
        "wrong",
        "wrong numbers",
    )


@pytest.mark.parametrize("body", ["raise NotImplementedError", "while True: pass"])
def test_error_behind_an_earlier_fault_is_named(assignment, body):
    earlier = f"def softmax(scores):\n    {body}"
    later = "def context(s, v):\n    softmax(s)\n    return 1 / 0"
    result = batch.grade_notebook(assignment, solved(assignment, earlier, later))
    assert result.checks[2].mistake == "raises ZeroDivisionError"


def test_endless_cell_keeps_its_definitions(assignment):
    end = "\nwhile True:\n    pass"
    data = solved(
        assignment,
        replace=[
            (
                "return softmax(scores) @ values",
                f"return softmax(scores) @ values\n{end}",
            )
        ],
    )
    result = batch.grade_notebook(assignment, data)
    assert result.earned == 7
    assert [fault.outcome for fault in result.cells] == ["timed out"]


def test_endless_function_costs_one_check(assignment):
    slow = "def context(scores, values):\n    while True:\n        pass"
    result = batch.grade_notebook(assignment, solved(assignment, slow))
    assert earned(result) == {"1a": 2, "1b": 1, "2a": 0}
    assert result.checks[2].outcome == "timed out"


def test_cell_that_raises_keeps_what_it_defines_below(assignment):
    data = solved(assignment, "1 / 0\ndef context(s, v):\n    return softmax(s) @ v")
    result = batch.grade_notebook(assignment, data)
    assert result.earned == 7
    assert "ZeroDivisionError" in result.cells[0].message


def test_reordered_cells_are_run_again_once_their_names_are_there(assignment):
    notebook = versions.solved_version(assignment)
    notebook.cells.reverse()
    result = batch.grade_notebook(assignment, nbformat.writes(notebook).encode())
    assert result.earned == 7


def test_renamed_answer_is_missing_and_not_wrong(assignment):
    data = solved(assignment, replace=[("def context(", "def my_context(")])
    result = batch.grade_notebook(assignment, data)
    assert result.checks[2].outcome == "missing"
    assert result.checks[2].mistake == "the name context is not defined"


def test_unreadable_file_is_a_named_fault(assignment):
    result = batch.grade_notebook(assignment, b"%PDF-1.7")
    assert result.fault
    assert not result.checks


def test_flagged_name_is_reported_and_costs_nothing(assignment):
    result = batch.grade_notebook(assignment, solved(assignment, "import attnbook"))
    assert result.flags == ["uses attnbook"]
    assert result.earned == 7


@pytest.mark.parametrize(
    ("name", "code", "seen"),
    [
        ("attnbook", "from attnbook import masks", True),
        ("attnbook", "# attnbook: from the book", False),
        ("attnbook", "x = '#'; import attnbook", True),
        ("attnbook", "my_attnbook = attnbook2 = 1", False),
        ("torch.load", "torch.load('x')", True),
        ("torch.load", "torch_load = 1", False),
        ("GRADING =", "GRADING = True", True),
        ("__closure__", "f.__closure__", True),
    ],
)
def test_flags_look_for_names_in_code(assignment, name, code, seen):
    asked = dataclasses.replace(assignment, flag=(name,))
    notes = batch.flags(asked, [(1, code)], Result(assignment="", key="", student=""))
    assert notes == [f"uses {name}"] * seen


def test_another_assignments_notebook_is_flagged(assignment):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    result = batch.grade_notebook(assignment, nbformat.writes(notebook).encode())
    assert any("another notebook" in flag for flag in result.flags)


def test_message_of_a_probe_reaches_nobody(assignment):
    """A hidden input could stand in it."""
    leak = "def context(scores, values):\n    raise ValueError(str(scores))"
    result = batch.grade_notebook(assignment, solved(assignment, leak))
    assert result.checks[2].mistake == "raises ValueError"
    assert "ValueError(" not in result.to_json()


def test_made_up_missing_name_reaches_nobody(assignment):
    frame = SPY.replace('raise ValueError(frame.f_locals["worker"].probes)', "")
    leak = """
Missing = frame.f_globals["Missing"]
def context(s, v):
    raise Missing("x" + str(s[0, 0]))
"""
    result = batch.grade_notebook(assignment, solved(assignment, frame + leak))
    assert result.checks[2].mistake == "the name it needs is not defined"


def test_made_up_error_name_reaches_nobody(assignment):
    leak = "def context(s, v):\n    raise type(f'E{s[0, 0]:.6f}', (Exception,), {})"
    result = batch.grade_notebook(assignment, solved(assignment, leak))
    assert result.checks[2].mistake == "raises an exception"


def test_no_probe_is_in_the_box_while_cells_run(assignment):
    """Cells write messages that students read; hidden inputs come even later."""
    result = batch.grade_notebook(assignment, solved(assignment, SPY))
    assert [fault.message for fault in result.cells] == ["ValueError: {}"]


# a class


def submissions(assignment, count):
    data = solved(assignment)
    names = [f"student{number}" for number in range(count)]
    return [
        Submission(key=name, student=name, file=f"{name}.ipynb", notebook=data)
        for name in names
    ]


def test_class_keeps_its_order_and_its_results(assignment, tmp_path):
    students = submissions(assignment, 3)
    results = batch.grade_class(assignment, students, tmp_path, choose(), jobs=2)
    assert [result.key for result in results] == ["student0", "student1", "student2"]
    assert {result.earned for result in results} == {7}


def test_second_run_takes_results_by_hash(assignment, tmp_path, monkeypatch):
    students = submissions(assignment, 1)
    first = batch.grade_class(assignment, students, tmp_path, choose())
    monkeypatch.setattr(batch, "grade_notebook", None)
    assert batch.grade_class(assignment, students, tmp_path, choose()) == first


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"hash": 1}'])
def test_damaged_kept_result_is_made_again(assignment, tmp_path, damage):
    students = submissions(assignment, 1)
    first = batch.grade_class(assignment, students, tmp_path, choose())
    (tmp_path / "student0.json").write_text(damage, "utf-8")
    again = batch.grade_class(assignment, students, tmp_path, choose())
    assert again[0].checks == first[0].checks


def test_changed_submission_is_graded_again(assignment, tmp_path):
    [student] = submissions(assignment, 1)
    batch.grade_class(assignment, [student], tmp_path, choose())
    changed = Submission(key="student0", student="student0", file="", notebook=b"")
    [result] = batch.grade_class(assignment, [changed], tmp_path, choose())
    assert result.fault == "empty file"


def test_other_libraries_are_another_grader(monkeypatch):
    here = batch.grader_version()
    monkeypatch.setattr(batch, "version", lambda name: f"another {name}")
    batch.grader_version.cache_clear()
    there = batch.grader_version()
    batch.grader_version.cache_clear()
    assert there != here


def test_failure_of_the_grader_is_a_fault_of_one_submission(
    assignment, tmp_path, monkeypatch
):
    def fail(assignment, data, extras, backend, **identity):
        raise OSError("no space left")

    monkeypatch.setattr(batch, "grade_notebook", fail)
    students = submissions(assignment, 1)
    [result] = batch.grade_class(assignment, students, tmp_path, choose())
    assert result.fault == "grader failed: OSError: no space left"
    assert not json.loads(result.to_json())["checks"]
