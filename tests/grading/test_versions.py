"""Student, solved and instructor notebooks, and what the grader knows of them."""

import nbformat
import pytest
import tiny

from attnbook.grading.releasing import versions
from attnbook.grading.releasing.header import header

ADDRESS = "https://github.com/someone/somebook"


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("versions"))


def text(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def tags(notebook):
    return {tag for cell in notebook.cells for tag in cell.metadata.get("tags", ())}


MAKERS = [
    versions.student_version,
    versions.solved_version,
    versions.instructor_version,
]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_notebook_is_valid_and_of_format_4_5(assignment, make):
    notebook = make(assignment)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_notebook_is_the_same_when_made_again(assignment, make):
    assert nbformat.writes(make(assignment)) == nbformat.writes(make(assignment))


def test_student_version_holds_stubs_and_no_solution(assignment):
    student = text(versions.student_version(assignment))
    assert student.count('raise NotImplementedError("write me")') == 3  # and the rules
    assert "shifted" not in student
    assert "infinity over" not in student


def test_student_version_keeps_check_tags_and_drops_instructor_cells(assignment):
    student = versions.student_version(assignment)
    assert tags(student) == {"check"}
    assert "Most students" not in text(student)


def test_solved_version_runs_and_has_no_instructor_cell(assignment):
    solved = versions.solved_version(assignment)
    names = {}
    for cell in solved.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    assert names["context"](names["np"].zeros((1, 2)), names["np"].eye(2)).tolist()
    assert "Most students" not in text(solved)


def test_instructor_version_adds_notes_and_all_that_marks(assignment):
    instructor = versions.instructor_version(assignment)
    assert "Most students" in text(instructor)
    last = instructor.cells[-1].source
    assert "| 1b | 1 | softmax of large scores | What is the exponential" in last
    assert "*a sum in place of an average*:" in last
    assert "return scores @ values" in last
    assert "- gives a number (1)" in last


def test_edit_of_a_cell_changes_its_id_only(assignment, tmp_path):
    old = versions.student_version(assignment)
    edit = ("source.md", "scores as large as 1000", "scores as large as 2000")
    new = versions.student_version(tiny.make(tmp_path, edit))
    differ = [a.id != b.id for a, b in zip(old.cells, new.cells, strict=True)]
    assert differ.count(True) == 1


def test_equal_cells_have_different_ids():
    cells = [nbformat.v4.new_code_cell("x = 1") for _ in range(3)]
    assert len({cell.id for cell in versions.notebook(cells).cells}) == 3


def test_header_stands_below_the_title(assignment):
    student = versions.student_version(assignment, ADDRESS, "main")
    assert student.cells[0].source.startswith("# Assignment 9. ")
    assert student.cells[1].source == header(assignment, ADDRESS, "main")


def test_header_links_to_the_notebook_on_colab(assignment):
    place = "github/someone/somebook/blob/dev/notebooks/assignments/a9_tiny.ipynb"
    first = header(assignment, ADDRESS, "dev").splitlines()[0]
    assert first == (
        f"[Open this assignment on Colab](https://colab.research.google.com/{place})"
    )
    assert "Colab](" not in header(assignment)


def test_header_shows_the_points_that_the_judges_give(assignment):
    lines = header(assignment).splitlines()
    assert "| 1. Softmax | 3 | by hidden checks |" in lines
    assert "| 3. Why | 3 | by a person |" in lines
    assert "| **All** | **10** | |" in lines


def test_header_names_aims_chapters_time_and_limits(assignment):
    shown = header(assignment)
    assert "- compute a softmax;\n- average rows with it.\n" in shown
    assert "**You need** chapters 1 and 2. **Time:** about 30 minutes." in shown
    assert "`softmax` and `context`" in shown
    assert "A cell may take 5 seconds, everything together 60." in shown


def test_header_names_other_files_and_their_size(tmp_path):
    files = '[files]\n"model.safetensors" = 2_000_000\n[[questions]]\nid = "1"'
    edit = ("assignment.toml", '[[questions]]\nid = "1"', files)
    shown = header(tiny.make(tmp_path, edit))
    assert "Hand in the `.ipynb` file and `model.safetensors` (at most 2 MB)" in shown


def test_header_tells_of_carry_over_where_there_is_some(assignment, tmp_path):
    assert "A mistake counts once" in header(assignment)
    alone = tiny.make(tmp_path, ("assignment.toml", 'uses = ["softmax"]\n', ""))
    assert "A mistake counts once" not in header(alone)


def test_released_cells_are_the_checks(assignment):
    released = versions.released_cells(assignment)
    assert len(released) == 2
    assert all(source.startswith("with check(") for source in released)


def test_stubs_are_the_unanswered_code_cells(assignment):
    stubs = versions.stubs(assignment)
    assert len(stubs) == 2
    assert all(source.endswith('NotImplementedError("write me")') for source in stubs)


def test_visible_checks_have_the_title_of_their_call(assignment):
    titles = [title for title, _ in versions.visible_checks(assignment)]
    assert titles == ["Question 1", "Question 2"]


def test_visible_check_without_a_call_has_the_heading_as_title(tmp_path):
    edit = ("source.md", 'with check("Question 2"):', "if True:")
    _, (title, _) = versions.visible_checks(tiny.make(tmp_path, edit))
    assert title == "Question 2. Context"


def test_reference_code_defines_the_names_and_no_other_answer(assignment):
    code = versions.reference_code(assignment, {"softmax"})
    assert "shifted.sum" in code
    assert "def context" not in code
