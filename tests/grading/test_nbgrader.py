"""The nbgrader export obeys the rules that nbgrader checks, and keeps the points.

The rules were written down from nbgrader 0.9.6, whose `generate_assignment`, `validate`
and `autograde` took the tiny assignment's export: 7 of 7 for the solution, 0 for stubs.
"""

import re

import nbformat
import pytest
import tiny
from chapters import ROOT

from attnbook.grading.assignments import AssignmentError, find, load
from attnbook.grading.releasing import nbgrader

FOLDER = ROOT / "assignments"
KEYS = {"schema_version", "grade", "solution", "locked", "task", "grade_id"}


@pytest.fixture(params=[tiny.NAME, *find(FOLDER)])
def assignment(request, tmp_path):
    if request.param == tiny.NAME:
        return tiny.make(tmp_path)
    return load(request.param, FOLDER)


def known(notebook):
    """Return the cells that nbgrader knows, each with its metadata."""
    pairs = [(cell, cell.metadata.get("nbgrader")) for cell in notebook.cells]
    return [(cell, data) for cell, data in pairs if data]


def test_export_is_a_valid_notebook(assignment):
    nbformat.validate(nbgrader.export(assignment))


def test_metadata_is_complete_and_of_schema_3(assignment):
    for cell, data in known(nbgrader.export(assignment)):
        assert set(data) - {"points", "cell_type"} == KEYS
        assert data["schema_version"] == 3
        assert data["cell_type"] == cell.cell_type
        assert not data["task"]
        assert ("points" in data) == data["grade"]


def test_ids_are_unique_and_of_allowed_characters(assignment):
    ids = [data["grade_id"] for _, data in known(nbgrader.export(assignment))]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z0-9_\-]+", name) for name in ids)


def test_solutions_are_open_and_everything_else_is_locked(assignment):
    for cell, data in known(nbgrader.export(assignment)):
        assert data["locked"] != data["solution"]
        assert data["solution"] == ("### BEGIN SOLUTION" in cell.source)
        assert cell.source.count("### BEGIN") == cell.source.count("### END")


def test_no_marker_of_ours_is_left(assignment):
    for cell in nbgrader.export(assignment).cells:
        assert not re.search(r"^ *# (BEGIN|END|STUB)|<!--", cell.source, re.M)


def test_points_are_all_there(assignment):
    points = [data.get("points", 0) for _, data in known(nbgrader.export(assignment))]
    assert sum(points) == pytest.approx(assignment.points)


def test_answers_in_words_are_marked_by_hand(assignment):
    cells = known(nbgrader.export(assignment))
    manual = [cell.source for cell, data in cells if data["grade"] and data["solution"]]
    words = [question.id for question in assignment.questions if question.text]
    assert [re.match(r"\*\*Answer (.+?)\.\*\*", text)[1] for text in manual] == words


def test_check_lets_a_stub_raise(assignment):
    """nbgrader gives a cell's points when nothing is raised."""
    names = {}
    for cell, data in known(nbgrader.export(assignment)):
        if data["grade_id"] in ("given-1", "given-2"):
            exec(cell.source, names)
    with pytest.raises(NotImplementedError), names["check"]("Question 1"):
        raise NotImplementedError


def test_no_cell_for_instructors_is_exported(tmp_path):
    exported = nbgrader.export(tiny.make(tmp_path))
    assert not any("Most students" in cell.source for cell in exported.cells)


def test_points_are_split_over_the_checks_of_a_question(tmp_path):
    two = "```{code-cell} ipython3\n:tags: [check]\n\nassert True\n```\n\n## Question 3"
    assignment = tiny.make(tmp_path, ("source.md", "## Question 3", two))
    cells = known(nbgrader.export(assignment))
    points = {d["grade_id"]: d["points"] for _, d in cells if "test" in d["grade_id"]}
    assert points == {"q1-test-1": 3, "q2-test-1": 2, "q2-test-2": 2}


def test_question_without_a_visible_check_is_refused(tmp_path):
    old = ':tags: [check]\n\nwith check("Question 2")'
    edit = ("source.md", old, 'with check("Question 2")')
    with pytest.raises(AssignmentError, match="question 2 has no cell with the tag"):
        nbgrader.export(tiny.make(tmp_path, edit))
