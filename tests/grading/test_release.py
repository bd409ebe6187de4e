"""Release writes nothing before every gate holds, and nothing new without a change."""

import os

import nbformat
import pytest
import tiny

from attnbook.grading.releasing import gates
from attnbook.grading.releasing import release as module
from attnbook.grading.releasing.release import ReleaseRefused, release


@pytest.fixture
def gate(monkeypatch):
    """Replace the gates by a list of reasons, and count how often it is asked for."""
    asked, reasons = [], []

    def refusals(assignment, student, backend, jobs):
        asked.append(assignment.name)
        return list(reasons)

    monkeypatch.setattr(gates, "refusals", refusals)
    return asked, reasons


@pytest.fixture
def runs(monkeypatch):
    """Count how often a notebook is executed."""
    seen = []

    def execute(notebook, folder, real=module.execute):
        seen.append(folder)
        return real(notebook, folder)

    monkeypatch.setattr(module, "execute", execute)
    return seen


def make(folder, *edits, source="source", **options):
    """Release a tiny assignment under a folder."""
    return release(
        tiny.make(folder / source, *edits),
        notebooks=folder / "notebooks",
        out=folder / "out",
        kept=folder / "kept",
        **options,
    )


def everything(folder):
    """Return the bytes of all that a release wrote."""
    paths = [*(folder / "notebooks").rglob("*"), *(folder / "out").rglob("*")]
    return {path: path.read_bytes() for path in paths if path.is_file()}


def test_release_through_the_real_gates_writes_both_notebooks(tmp_path):
    made = make(tmp_path)
    places = [path.relative_to(tmp_path).as_posix() for path in made]
    assert places == ["notebooks/a9_tiny.ipynb", "out/a9_tiny/instructor.ipynb"]
    for path in made:
        nbformat.validate(nbformat.read(path, as_version=4))


def test_student_notebook_is_executed_and_clean(tmp_path, gate):
    student = nbformat.read(make(tmp_path)[0], as_version=4)
    code = [cell for cell in student.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5]
    assert code[2].outputs[0].text == "Question 1: not attempted yet.\n"
    assert set(student.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in student.cells)


def test_second_release_changes_no_byte_and_runs_nothing(tmp_path, gate, runs):
    make(tmp_path)
    before = everything(tmp_path)
    make(tmp_path, source="again")
    assert everything(tmp_path) == before
    assert len(runs) == len(gate[0]) == 1


def test_changed_text_is_released_without_running(tmp_path, gate, runs):
    make(tmp_path)
    edit = ("source.md", "You build one weighted average.", "You build an average.")
    path = make(tmp_path, edit, source="again")[0]
    assert "You build an average." in path.read_text("utf-8")
    assert "not attempted yet.\\n" in path.read_text("utf-8")
    assert (len(runs), len(gate[0])) == (1, 2)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("judges.py", "points=4", "points=5"),
        ("answers.py", "with a loop", "with loops"),
        ("assignment.toml", "tiny-public-salt", "another-salt"),
    ],
)
def test_gates_are_tried_again_after_a_change(tmp_path, gate, file, old, new):
    make(tmp_path)
    make(tmp_path, (file, old, new), source="again")
    assert len(gate[0]) == 2


def test_gates_are_tried_again_with_another_salt(tmp_path, gate, monkeypatch):
    make(tmp_path)
    monkeypatch.setitem(os.environ, "ATTNBOOK_SALT", "correct horse")
    make(tmp_path, source="again")
    assert len(gate[0]) == 2


def test_refused_release_names_every_reason_and_writes_nothing(tmp_path, gate):
    gate[1].extend(["one thing", "another"])
    with pytest.raises(
        ReleaseRefused, match="(?s)a9_tiny is not.*one.*another"
    ) as error:
        make(tmp_path)
    assert error.value.reasons == ["one thing", "another"]
    assert everything(tmp_path) == {}


def test_refusal_is_not_remembered(tmp_path, gate):
    for source in ("source", "again"):
        gate[1].append("one thing")
        with pytest.raises(ReleaseRefused):
            make(tmp_path, source=source)
    assert len(gate[0]) == 2


def test_cell_that_raises_is_refused(tmp_path, gate):
    edit = ("source.md", "import numpy as np\n", "import numpy as np\n\n1 / 0\n")
    with pytest.raises(ReleaseRefused, match="ZeroDivisionError"):
        make(tmp_path, edit)


def test_output_that_gives_something_away_is_refused(tmp_path, gate):
    line = "print('tiny-public-' + 'salt')"
    edit = ("source.md", "import numpy as np\n", f"import numpy as np\n\n{line}\n")
    with pytest.raises(ReleaseRefused, match="holds the salt"):
        make(tmp_path, edit)
    assert everything(tmp_path) == {}


def test_nbgrader_source_is_written_where_it_is_asked_for(tmp_path, gate):
    path = make(tmp_path, for_nbgrader=True)[-1]
    assert path == tmp_path / "out" / "a9_tiny" / "nbgrader.ipynb"
    assert "### BEGIN SOLUTION" in path.read_text("utf-8")


def test_link_to_colab_has_the_given_repository(tmp_path, gate):
    path = make(tmp_path, repository="https://github.com/me/book", branch="dev")[0]
    assert "github/me/book/blob/dev/notebooks/assignments/a9_tiny" in path.read_text()
