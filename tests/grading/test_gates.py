"""No assignment reaches students unless each gate holds; each gate is seen to close."""

import pytest
import tiny
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from attnbook.grading.releasing import gates
from attnbook.grading.releasing.versions import student_version
from attnbook.grading.results import CellFault, CheckResult, FreeText, Result
from attnbook.grading.results import VisibleCheck as Visible


def refusals(folder, *edits):
    """Return why a changed tiny assignment is not released."""
    assignment = tiny.make(folder, *edits)
    return gates.refusals(assignment, student_version(assignment))


def test_tiny_assignment_passes_every_gate(tmp_path):
    assert refusals(tmp_path) == []


def test_wrong_solution_is_refused(tmp_path):
    edit = ("source.md", "return softmax(scores) @ values", "return softmax(scores).T")
    found = refusals(tmp_path, edit)
    assert any(reason.startswith("solution: 2a ") for reason in found)
    assert any("visible check 'Question 2', " in reason for reason in found)


def test_statement_that_gives_the_answer_is_refused(tmp_path):
    given = "def softmax(x):\n    e = np.exp(x - x.max(-1, keepdims=True))\n"
    given = f"import numpy as np\n\n\n{given}    return e / e.sum(-1, keepdims=True)\n"
    found = refusals(tmp_path, ("source.md", "import numpy as np\n", given))
    assert "stub: 1a passed, 2 points: " in found


def test_wrong_answer_that_gets_full_marks_is_refused(tmp_path):
    edit = ("answers.py", "return scores @ values", "return softmax(scores) @ values")
    found = refusals(tmp_path, edit)
    assert found == ["wrong answer 'a sum in place of an average' at 2a: full marks"]


def test_wrong_answer_whose_mistake_is_not_named_is_refused(tmp_path):
    edit = ("answers.py", "return scores @ values", "return 2 * values[:3]")
    [reason] = refusals(tmp_path, edit)
    assert reason.endswith("at 2a: wrong, 'wrong numbers' was named")


def test_wrong_answer_for_an_unknown_check_is_refused(tmp_path):
    [reason] = refusals(tmp_path, ("answers.py", 'check="2a"', 'check="2z"'))
    assert reason.endswith("at 2z: there is no such check")


def test_right_answer_that_loses_marks_is_refused(tmp_path):
    found = refusals(tmp_path, ("answers.py", "row.sum() for", "row.max() for"))
    assert found
    assert all(reason.startswith("right answer 'with a loop': ") for reason in found)


def test_mistake_that_no_wrong_answer_shows_is_refused(tmp_path):
    one = 'name="a sum in place of an average"'
    found = refusals(tmp_path, ("judges.py", one, 'name="another name"'))
    assert "check 2a: no wrong answer shows 'another name'" in found


def test_statement_that_needs_more_than_colab_has_is_refused(tmp_path):
    edit = (
        "source.md",
        "import numpy as np\n",
        "import numpy as np\nimport attnbook\n",
    )
    found = refusals(tmp_path, edit)
    assert any(reason.startswith("with only what Colab has: ") for reason in found)


# what a result must be


def result(**changes):
    """Return a perfect result of one check, with changes."""
    check = {"id": "1a", "question": "1", "title": "t", "points": 2.0, "earned": 2.0}
    check |= {"outcome": "passed"} | changes
    return Result(
        assignment="a",
        key="k",
        student="s",
        checks=[CheckResult(**check)],
        visible=[Visible(title="v", outcome="passed")],
        texts=[FreeText(question="3", points=1, text="x")],
    )


def test_full_result_has_no_fault():
    assert gates.not_full(result()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: setattr(one.checks[0], "earned", 1),
        lambda one: setattr(one.checks[0], "carried", True),
        lambda one: setattr(one.visible[0], "outcome", "wrong"),
        lambda one: setattr(one.texts[0], "found", False),
        lambda one: one.cells.append(CellFault(cell=1, outcome="error")),
    ],
)
def test_each_loss_of_a_right_answer_is_listed(spoil):
    one = result()
    spoil(one)
    assert len(gates.not_full(one)) == 1


@pytest.mark.parametrize("outcome", ["not attempted", "missing"])
def test_stub_may_be_missing_or_not_attempted(outcome):
    one = result(outcome=outcome, earned=0)
    one.visible[0].outcome = "not attempted"
    assert gates.not_nothing(one) == []


@pytest.mark.parametrize(
    ("check", "visible", "cells"),
    [
        ({}, "not attempted", []),
        ({"outcome": "error", "earned": 0}, "not attempted", []),
        ({"outcome": "missing", "earned": 0}, "passed", []),
        ({"outcome": "missing", "earned": 0}, "not attempted", [("error", 1)]),
    ],
)
def test_each_sign_of_life_in_a_stub_is_listed(check, visible, cells):
    one = result(**check)
    one.visible[0].outcome = visible
    one.cells = [CellFault(cell=cell, outcome=outcome) for outcome, cell in cells]
    assert len(gates.not_nothing(one)) == 1


def test_stub_may_be_told_which_file_it_lacks():
    one = result(outcome="wrong", earned=0, mistake="no model.bin handed in")
    one.visible[0].outcome = "not attempted"
    assert gates.not_nothing(one, ["model.bin"]) == []
    assert len(gates.not_nothing(one, ["other.bin"])) == 1


def test_file_of_the_solution_is_handed_in(tmp_path):
    files = '[files]\n"model.bin" = 100\n[[questions]]\nid = "1"'
    edit = ("assignment.toml", '[[questions]]\nid = "1"', files)
    assignment = tiny.make(tmp_path, edit)
    folder = assignment.folder / "solution"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights")
    (folder / "train.py").write_text("pass")
    stub, solution, *_ = gates.trials(assignment, student_version(assignment))
    assert stub.extras == {}
    assert solution.extras == {"model.bin": b"weights"}


# secrets


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("gates"))


def test_student_notebook_gives_nothing_away(assignment):
    assert gates.leaks(assignment, student_version(assignment)) == []


@pytest.mark.parametrize(
    "line",
    [
        "return softmax(scores) @ values",
        "shifted = np.exp(scores - scores.max(-1, keepdims=True))",
        "The exponential of 1000 is infinite, and infinity over infinity is no number.",
        "Most students forget to shift by the largest score.",
        "Which axis holds the keys: do your rows sum to 1, or your columns?",
        "the average of random values",
        "tiny-public-salt",
    ],
)
def test_secret_line_is_found_wherever_it_stands(assignment, line):
    for cell in (
        new_markdown_cell(line),
        new_code_cell("1", outputs=[new_output("stream", text=line)]),
        new_code_cell(
            "1", outputs=[new_output("execute_result", {"text/plain": line})]
        ),
        new_code_cell("1", metadata={"note": line}),
    ):
        student = student_version(assignment)
        student.cells.append(cell)
        assert len(gates.leaks(assignment, student)) == 1


def test_instructors_own_salt_is_a_secret(assignment, monkeypatch):
    monkeypatch.setenv("ATTNBOOK_SALT", "correct horse")
    student = student_version(assignment)
    student.cells.append(new_markdown_cell("Our salt: correct horse"))
    [leak] = gates.leaks(assignment, student)
    assert leak.endswith("the salt: 'correct horse'")


def test_cell_for_instructors_is_a_leak(assignment):
    student = student_version(assignment)
    student.cells.append(new_markdown_cell("x", metadata={"tags": ["instructor"]}))
    assert gates.leaks(assignment, student) == [
        "the student notebook holds a cell for instructors"
    ]


def test_line_that_the_statement_shows_is_no_secret(tmp_path):
    old = "Return the average of the values"
    edit = ("source.md", old, f"`return softmax(scores) @ values`. {old}")
    assignment = tiny.make(tmp_path, edit)
    assert gates.leaks(assignment, student_version(assignment)) == []
