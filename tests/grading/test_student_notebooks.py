"""The student notebooks of the repository: in step, secret, and fit for Colab."""

import re

import nbformat
import pytest
import yaml
from chapters import ROOT, code_cells, imported, parse, text

from attnbook.grading.assignments import find, load
from attnbook.grading.releasing import colab_only, gates
from attnbook.grading.releasing.versions import student_version

FOLDER = ROOT / "assignments"
NOTEBOOKS = ROOT / "notebooks" / "assignments"
NAMES = find(FOLDER)
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]

each = pytest.mark.parametrize("name", NAMES)


def stored(name):
    """Return a student notebook as it was committed."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def test_every_assignment_has_its_notebook_and_no_other():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


@each
def test_notebook_is_in_step_with_its_source(name):
    made = student_version(load(name, FOLDER), CONFIG["url"], CONFIG["branch"])
    for cell in code_cells(stored(name)):
        assert cell.execution_count, "run `make assignments`"
    pairs = [
        [(c.id, c.source, c.metadata) for c in n.cells] for n in (made, stored(name))
    ]
    assert pairs[0] == pairs[1], "run `make assignments`"


@each
def test_notebook_gives_nothing_away(name, monkeypatch):
    monkeypatch.delenv("ATTNBOOK_SALT", raising=False)
    assert gates.leaks(load(name, FOLDER), stored(name)) == []


@each
def test_notebook_runs_with_only_what_colab_has(name):
    cells = [cell.source for cell in code_cells(stored(name))]
    seconds = load(name, FOLDER).limits.total_seconds
    assert colab_only.faults(cells, seconds) == []


@each
def test_notebook_imports_no_package_of_ours(name):
    for cell in code_cells(stored(name)):
        assert "attnbook" not in imported(parse(cell.source))


@each
def test_outputs_hold_no_error_and_no_passed_check(name):
    for cell in code_cells(stored(name)):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
        if "check" in cell.metadata.get("tags", ()):
            assert "these checks pass" not in gates.text_of(cell)


@each
def test_colab_link_opens_the_notebook_itself(name):
    place = CONFIG["url"].removeprefix("https://github.com/")
    page = f"{place}/blob/{CONFIG['branch']}/notebooks/assignments/{name}.ipynb"
    found = re.findall(r"\]\((https://colab[^)]*)\)", text(stored(name)))
    assert found == [f"https://colab.research.google.com/github/{page}"]


@each
def test_text_is_plain_markdown(name):
    """MyST directives and roles print as raw text on Colab."""
    for myst in (r"^\s*(?::{3,}|[`~]{3,}\s*\{)", r"(?<!`)\{[a-z][\w:-]*\}`[^`\n]+`"):
        assert not re.search(myst, text(stored(name)), re.M)
