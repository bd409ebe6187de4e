"""Every notebook is in step, executed, claimed, listed, and keeps the house's form."""

import ast
import re
import statistics
from collections import Counter
from itertools import pairwise

import ledger
import pytest
import yaml
from chapters import (
    CHAPTERS,
    NOTEBOOKS,
    ROOT,
    calls,
    calls_in,
    code_cells,
    outside_folds,
    parse,
    prose_words,
    read,
    tags,
    text,
)

import notebooks
from attnbook.claims import MIME

# What one can finish in an hour; every code cell counts, exercises included.
WORDS = range(1800, 4001)
CELLS = range(15, 36)
FIGURES = range(4, 9)

MEDIAN_STATEMENTS, NINTH_DECILE, LONGEST = 5, 12, 40

CALLOUTS = r"Definition|Claim \d+\.\d+[a-z]?|Misconception|Convention|Try it|Careful"
CALLOUT = re.compile(rf"> \*\*({CALLOUTS})\.\*\*")
TAGS = {"setup", "hide-input", "hide-output", "hide-cell", "nbval-ignore-output"}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


# pairs and lists


@pytest.mark.parametrize(
    "chapter", sorted(notebooks.CHAPTERS.glob("*.md")), ids=lambda path: path.stem
)
def test_text_and_notebook_are_in_step_and_executed(chapter):
    assert notebooks.faults(chapter) == []


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.stem)
def test_pages_name_this_repository(page):
    assert notebooks.address_faults(page) == []


@each_notebook
def test_notebook_has_its_text(path):
    assert (notebooks.CHAPTERS / f"{path.stem}.md").exists()


def test_contents_list_every_notebook_and_no_other():
    contents = (ROOT / "_toc.yml").read_text("utf-8")
    yaml.safe_load(contents)
    listed = re.findall(r"file: notebooks/(\S+)", contents)
    folder = ROOT / "notebooks"
    stored = [path.relative_to(folder) for path in folder.rglob("*.ipynb")]
    assert sorted(listed) == sorted(str(path.with_suffix("")) for path in stored)
    assert [name for name in listed if name[0].isdigit()] == sorted(
        name for name in listed if name[0].isdigit()
    )


def test_ledger_page_is_in_step():
    assert ledger.page() == ledger.PAGE.read_text("utf-8"), "run `make notebooks`"


@each_notebook
def test_execution_ran_top_to_bottom(path):
    cells = [cell for cell in code_cells(read(path)) if cell.source.strip()]
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1))


# claims


def claims_of(path):
    """Return the id of each call of `claim`."""
    return [call.args[0].value for call in calls(read(path), "claim")]


def test_claims_have_different_ids():
    ids = Counter(name for path in NOTEBOOKS for name in claims_of(path))
    assert [name for name, count in ids.items() if count > 1] == []


@each_notebook
def test_every_claim_is_shown_where_it_is_made(path):
    for cell in code_cells(read(path)):
        made = [call.args[0].value for call in calls_in(parse(cell.source), "claim")]
        shown = [o.data[MIME]["id"] for o in cell.outputs if MIME in o.get("data", {})]
        assert sorted(shown) == sorted(made)


@each_notebook
def test_every_claim_is_stated_in_the_text_and_the_other_way_round(path):
    stated = re.findall(r"^> \*\*Claim (\d+\.\d+[a-z]?)\.\*\*", text(read(path)), re.M)
    assert sorted(stated) == sorted(claims_of(path))


@each_chapter
def test_claims_carry_the_number_of_their_chapter(path):
    names = claims_of(path)
    assert names
    assert {int(name.partition(".")[0]) for name in names} == {int(path.name[:2])}


# form


@each_chapter
def test_chapter_is_an_hour_long(path):
    assert prose_words(text(read(path))) in WORDS


@each_chapter
def test_cells_are_few_and_small(path):
    cells = code_cells(read(path))
    assert len(cells) in CELLS
    sizes = sorted(statements(cell.source) for cell in cells)
    assert statistics.median(sizes) <= MEDIAN_STATEMENTS
    assert sizes[int(0.9 * len(sizes))] <= NINTH_DECILE
    assert sizes[-1] <= LONGEST


def statements(source):
    """Count statements: how the formatter wraps them is not the author's doing."""
    return sum(isinstance(node, ast.stmt) for node in ast.walk(parse(source)))


@each_chapter
def test_at_most_two_code_cells_in_a_row(path):
    kinds = "".join(cell.cell_type[0] for cell in read(path).cells)
    assert "ccc" not in kinds


@each_chapter
def test_chapter_has_figures(path):
    outputs = [o for cell in code_cells(read(path)) for o in cell.outputs]
    assert sum(is_figure(output.get("data", {})) for output in outputs) in FIGURES


def is_figure(data):
    """Tell a picture, a table of weights or an interactive figure from the rest."""
    markup = data.get("text/html", "")
    return "image/png" in data or "ab-weights" in markup or "<ax-" in markup


@each_chapter
def test_chapter_has_an_interactive_figure(path):
    outputs = [o for cell in code_cells(read(path)) for o in cell.outputs]
    assert any("<ax-" in o.get("data", {}).get("text/html", "") for o in outputs)


@each_chapter
def test_title_carries_the_number_of_the_chapter(path):
    first = read(path).cells[0].source
    assert re.match(rf"# {int(path.name[:2])}\. \w", first)


DIRECTIVE = r"^\s*(?::{3,}|[`~]{3,}\s*\{)"
ROLE = r"(?<!`)\{[a-z][\w:-]*\}`[^`\n]+`"
TARGET = r"^\([\w-]+\)=$"


@each_notebook
def test_text_is_plain_markdown(path):
    """MyST directives, roles and targets print as raw text on Colab."""
    for myst in (DIRECTIVE, ROLE, TARGET):
        assert not re.search(myst, text(read(path)), re.M)


@each_notebook
def test_blockquotes_open_with_an_allowed_word(path):
    lines = ["", *outside_folds(text(read(path))).splitlines()]
    opening = [
        line
        for before, line in pairwise(lines)
        if line.startswith(">") and not before.startswith(">")
    ]
    assert [line for line in opening if not CALLOUT.match(line)] == []


@each_notebook
def test_pictures_have_alt_text_and_come_from_the_book(path):
    notebook = read(path)
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"].split()) >= 5
    for alt, address in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", text(notebook)):
        assert alt
        assert "://" not in address
    for tag in re.findall(r"<img[^>]*>", text(notebook)):
        assert re.search(r'alt="[^"]+"', tag)


@each_notebook
def test_outputs_hold_no_warning_and_no_error(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            shown = str(output.get("text", output.get("data", {}).get("text/plain")))
            assert not re.search(r"warning|traceback", shown, re.I), shown


@each_notebook
def test_outputs_hold_nothing_of_this_machine(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            shown = str(output.get("text", output.get("data", {}).get("text/plain")))
            assert not re.search(r" at 0x[0-9a-f]{6}|/home/|/root/|/work/", shown)


@each_notebook
def test_tags_are_known_and_cells_end_plainly(path):
    for cell in read(path).cells:
        assert set(tags(cell)) <= TAGS
        if cell.cell_type == "code":
            assert not cell.source.rstrip().endswith(";")


def test_no_function_stands_in_two_notebooks():
    seen = Counter()
    for path in NOTEBOOKS:
        bodies = set()
        for cell in code_cells(read(path)):
            for node in parse(cell.source).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    bodies.add(ast.dump(node))
        seen.update(bodies)
    assert [body for body, count in seen.items() if count > 1] == []
