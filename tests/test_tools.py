"""The notebook tool executes what changed, keeps the rest, and finds every fault."""

import textwrap

import ledger
import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import v4

import notebooks
from attnbook.claims import claim
from attnbook.grading.releasing.versions import METADATA

CHAPTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# 1. A chapter

```{code-cell} ipython3
:tags: [setup]

import attnbook
```

Two and two:

```{code-cell} ipython3
x=2+2
x
```
"""


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """Return a chapter's text in a book of its own."""
    monkeypatch.setattr(notebooks, "CHAPTERS", tmp_path / "chapters")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setenv("ATTNBOOK_PROGRESS", "0")
    notebooks.CHAPTERS.mkdir()
    notebooks.NOTEBOOKS.mkdir()
    path = notebooks.CHAPTERS / "01_chapter.md"
    path.write_text(CHAPTER, "utf-8")
    return path


@pytest.fixture
def runs(monkeypatch):
    """Replace the kernel by one that is quick and keeps a list of its runs."""
    runs = []

    def execute(notebook, folder):
        runs.append(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for number, cell in enumerate(cells, start=1):
            cell.execution_count = number
            data = {"text/plain": f"run {len(runs)}"}
            cell.outputs = [
                v4.new_output("execute_result", data, execution_count=number)
            ]
        return notebook

    monkeypatch.setattr(notebooks, "execute", execute)
    return runs


def stored(chapter):
    return nbformat.read(notebooks.pair_of(chapter), as_version=4)


def change(chapter, old, new):
    source = chapter.read_text("utf-8")
    assert source.count(old) == 1
    chapter.write_text(source.replace(old, new), "utf-8")


def shown(chapter):
    return [
        c.outputs[0].data["text/plain"]
        for c in stored(chapter).cells
        if c.get("outputs")
    ]


def test_sync_executes_in_a_real_kernel_and_stores_it_clean(chapter):
    assert notebooks.sync(chapter, force=False) == "executed"
    notebook = stored(chapter)
    nbformat.validate(notebook)
    last = notebook.cells[-1]
    assert (last.execution_count, shown(chapter)) == (2, ["4"])
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    assert notebook.metadata == METADATA
    assert notebooks.faults(chapter) == []


def test_sync_formats_the_code_and_stamps_the_setup_in_both(chapter, runs):
    notebooks.sync(chapter, force=False)
    setup = notebooks.SETUP.format(repository=notebooks.repository()["url"]).rstrip()
    assert stored(chapter).cells[1].source == setup
    assert setup in chapter.read_text("utf-8")
    assert "\nx = 2 + 2\n" in chapter.read_text("utf-8")


RUN_HERE = """\
[Open](https://colab.research.google.com/github/{place}/blob/{branch}/notebooks/1.ipynb)
git clone https://github.com/{place}
pip install "attnbook @ git+https://github.com/{place}"
[Tell us](https://github.com/attnbook/attnbook/issues) or read
https://github.com/others/attention and https://colab.research.google.com/drive/1.
"""


@pytest.fixture
def fork(monkeypatch):
    """Be a fork and return its page that says how to run, and what it must say."""
    fork = {"url": "https://github.com/you/fork.js", "branch": "autumn-27"}
    monkeypatch.setattr(notebooks, "repository", lambda: fork)
    before = RUN_HERE.format(place="attnbook/attnbook", branch="main")
    return before, RUN_HERE.format(place="you/fork.js", branch="autumn-27")


def test_fork_sends_readers_to_itself(chapter, runs, fork, monkeypatch):
    page = chapter.with_name("README")
    page.write_text(fork[0], "utf-8")
    change(chapter, "Two and two:", fork[0])
    monkeypatch.setattr(notebooks, "PAGES", [page])
    monkeypatch.setattr("sys.argv", ["notebooks.py"])
    notebooks.main()
    assert page.read_text("utf-8") == fork[1]
    assert fork[1] in chapter.read_text("utf-8")
    assert stored(chapter).cells[2].source == fork[1].strip()
    assert notebooks.faults(chapter) == []
    assert notebooks.address_faults(page) == []


def test_check_finds_pages_of_another_repository(chapter, runs, fork, monkeypatch):
    notebooks.sync(chapter, force=False)
    page = chapter.with_name("README")
    page.write_text(fork[0], "utf-8")
    monkeypatch.setattr(notebooks, "PAGES", [page])
    monkeypatch.setattr("sys.argv", ["notebooks.py", "--check"])
    with pytest.raises(SystemExit) as stopped:
        notebooks.main()
    assert stopped.value.code.startswith("README names another repository")
    assert page.read_text("utf-8") == fork[0]


def test_second_sync_changes_nothing(chapter, runs):
    notebooks.sync(chapter, force=False)
    files = [chapter, notebooks.pair_of(chapter)]
    before = [path.read_bytes() for path in files]
    assert notebooks.sync(chapter, force=False) == "in step"
    assert [path.read_bytes() for path in files] == before
    assert len(runs) == 1


def test_changed_text_keeps_the_outputs(chapter, runs):
    notebooks.sync(chapter, force=False)
    change(chapter, "Two and two:", "Two and two make:")
    assert notebooks.sync(chapter, force=False) == "in step"
    assert "Two and two make:" in stored(chapter).cells[2].source
    assert shown(chapter) == ["run 1", "run 1"]
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("2 + 2", "2 + 3"), ("\nx = 2", "\n:tags: [nbval-ignore-output]\n\nx = 2")],
    ids=["code", "tags"],
)
def test_changed_code_is_executed_again(chapter, runs, old, new):
    notebooks.sync(chapter, force=False)
    change(chapter, old, new)
    assert notebooks.sync(chapter, force=False) == "executed"
    assert shown(chapter) == ["run 2", "run 2"]


def test_force_executes_again(chapter, runs):
    notebooks.sync(chapter, force=False)
    assert notebooks.sync(chapter, force=True) == "executed"


def test_an_edit_changes_the_name_of_one_cell_only(chapter, runs):
    notebooks.sync(chapter, force=False)
    before = [cell.id for cell in stored(chapter).cells]
    change(chapter, "Two and two:", "Two and two make:")
    notebooks.sync(chapter, force=False)
    after = [cell.id for cell in stored(chapter).cells]
    assert [a == b for a, b in zip(before, after, strict=True)] == [
        True,
        True,
        False,
        True,
    ]


def test_equal_cells_get_different_names():
    cells = [v4.new_code_cell("x") for _ in range(3)]
    named = notebooks.numbered(cells)
    assert len({cell.id for cell in named.cells}) == 3
    nbformat.validate(named)


def test_a_cell_that_raises_stops_the_sync_and_stores_nothing(chapter):
    change(chapter, "x=2+2", "x=1/0")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.sync(chapter, force=False)
    assert not notebooks.pair_of(chapter).exists()


def spoil(chapter, how):
    notebook = stored(chapter)
    how(notebook.cells[-1])
    nbformat.write(notebook, notebooks.pair_of(chapter))


def test_faults_name_a_missing_notebook(chapter):
    assert notebooks.faults(chapter) == [
        "01_chapter.ipynb is missing: run `make notebooks`"
    ]


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        (lambda cell: cell.update(source="x = 5"), "01_chapter.ipynb differs from 01_"),
        (
            lambda cell: cell.update(execution_count=None),
            "code cell 2 was not executed",
        ),
        (
            lambda cell: cell.update(
                outputs=[v4.new_output("error", ename="E", evalue="", traceback=[])]
            ),
            "code cell 2 ended in an error",
        ),
    ],
    ids=["out of step", "unexecuted", "error"],
)
def test_faults_name_what_is_wrong_with_a_notebook(chapter, runs, how, fault):
    notebooks.sync(chapter, force=False)
    assert notebooks.faults(chapter) == []
    spoil(chapter, how)
    (found,) = notebooks.faults(chapter)
    assert fault in found


def test_faults_see_a_text_that_was_edited_later(chapter, runs):
    notebooks.sync(chapter, force=False)
    change(chapter, "Two and two:", "Two and two make:")
    (found,) = notebooks.faults(chapter)
    assert "differs from 01_chapter.md" in found


@pytest.mark.parametrize("fault", [True, False])
def test_check_exits_with_the_faults_and_changes_nothing(
    chapter, runs, monkeypatch, fault
):
    notebooks.sync(chapter, force=False)
    if fault:
        change(chapter, "Two and two:", "Two and two make:")
    monkeypatch.setattr("sys.argv", ["notebooks.py", "--check"])
    before = chapter.read_bytes(), notebooks.pair_of(chapter).read_bytes()
    with pytest.raises(SystemExit) as stopped:
        notebooks.main()
    assert bool(stopped.value.code) == fault
    assert (chapter.read_bytes(), notebooks.pair_of(chapter).read_bytes()) == before


def test_ledger_lists_what_the_outputs_hold(tmp_path, monkeypatch):
    made = claim("1.1", "a | b", [1, 2, 3], 0, 5, unit="ms")
    output = v4.new_output("display_data", made._repr_mimebundle_())
    cells = [
        v4.new_markdown_cell("# 1. A chapter"),
        v4.new_code_cell("", outputs=[output]),
    ]
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "01_chapter.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    assert ledger.claims_of(path) == [made]
    assert "\n## 1. A chapter\n" in ledger.page()
    assert r"| a \| b | 2 ± 2 ms | 0 to 5 | 3 |" in ledger.page()
    assert textwrap.shorten(ledger.page(), 30).startswith("--- description")
