"""Keep each chapter's text and its executed notebook in step.

`book/chapters/NN_name.md` is what authors write, `notebooks/NN_name.ipynb` what
readers run. `make notebooks` stamps the repository's address on both and on the pages
that say how to run them, formats the code, executes the notebooks whose code changed
and stores them clean; `--check` only compares.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from attnbook.grading.releasing.execution import execute
from attnbook.grading.releasing.versions import notebook as numbered

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "book" / "chapters"
NOTEBOOKS = ROOT / "notebooks"
TEXT_FORMAT = "md:myst"

SETUP = """\
# On Colab and other fresh machines: fetch the book's package; nothing else changes.
from importlib.util import find_spec

if find_spec("attnbook") is None:
    %pip install -q "attnbook @ git+{repository}"
"""


# Where to find what readers run; the rest of a page's links are the authors' business.
PAGES = (ROOT / "README.md", ROOT / "book" / "how_to_use.md")
ADDRESSES = {
    r"(?<=colab\.research\.google\.com/github/)[^)\s]+(?=/notebooks/)": "{path}",
    r"(?<=git\+)https://github\.com/[\w.-]+/[\w.-]+": "{url}",
    r"(?<=git clone )https://github\.com/[\w.-]+/[\w.-]+": "{url}",
}


def repository() -> dict[str, str]:
    """Read the one place that holds the repository's address (`url`, `branch`)."""
    return yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]


def stamped(text: str) -> str:
    """Return a text whose addresses of what readers run are those of the repository."""
    url, branch = repository()["url"], repository()["branch"]
    path = f"{url.removeprefix('https://github.com/')}/blob/{branch}"
    for pattern, address in ADDRESSES.items():
        text = re.sub(pattern, address.format(url=url, path=path), text)
    return text


def stamp(page: Path) -> None:
    """Write the repository's address into a page, where it holds another."""
    text = page.read_text("utf-8")
    if stamped(text) != text:
        page.write_text(stamped(text), "utf-8")


def read_chapter(path: Path) -> NotebookNode:
    """Read a text notebook, stamped and with stable ids."""
    notebook = jupytext.reads(stamped(path.read_text("utf-8")), fmt=TEXT_FORMAT)
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = SETUP.format(repository=repository()["url"]).rstrip()
    return numbered(notebook.cells)


def formatted(notebook: NotebookNode) -> NotebookNode:
    """Format the code cells with ruff."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chapter.ipynb")
        nbformat.write(notebook, path)
        command = [sys.executable, "-m", "ruff", "format", "--quiet", str(path)]
        config = ["--config", str(ROOT / "pyproject.toml")]
        subprocess.run([*command, *config], check=True)
        lines = nbformat.read(path, as_version=4)
    for cell, line in zip(notebook.cells, lines.cells, strict=True):
        cell.source = line.source
    return numbered(notebook.cells)


def code_of(notebook: NotebookNode) -> list[tuple]:
    """Return what decides whether a notebook must run again."""
    return [
        (cell.source, tuple(cell.metadata.get("tags", [])))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def pair_of(chapter: Path) -> Path:
    """Return the notebook that belongs to a chapter's text."""
    return NOTEBOOKS / f"{chapter.stem}.ipynb"


def with_outputs(notebook: NotebookNode, stored: NotebookNode) -> NotebookNode:
    """Take over the outputs of a stored notebook with the same code."""
    old = [cell for cell in stored.cells if cell.cell_type == "code"]
    new = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, before in zip(new, old, strict=True):
        cell.outputs = before.outputs
        cell.execution_count = before.execution_count
    return notebook


def sync(chapter: Path, force: bool) -> str:
    """Bring one pair into step and say what was done."""
    stamp(chapter)
    notebook = formatted(read_chapter(chapter))
    text = jupytext.reads(chapter.read_text("utf-8"), fmt=TEXT_FORMAT)
    if code_of(text) != code_of(notebook):
        write_text(chapter, notebook, text)
    target = pair_of(chapter)
    stored = nbformat.read(target, as_version=4) if target.exists() else None
    if not force and stored is not None and code_of(stored) == code_of(notebook):
        notebook, done = with_outputs(notebook, stored), "in step"
    else:
        notebook, done = execute(notebook, NOTEBOOKS), "executed"
    NOTEBOOKS.mkdir(exist_ok=True)
    nbformat.write(notebook, target)
    return done


def write_text(chapter: Path, notebook: NotebookNode, text: NotebookNode) -> None:
    """Write formatted code back into the text, keeping its own header."""
    for cell, new in zip(text.cells, notebook.cells, strict=True):
        cell.source = new.source
    chapter.write_text(jupytext.writes(text, fmt=TEXT_FORMAT), "utf-8")


def faults(chapter: Path) -> list[str]:
    """List what keeps a pair from being in step."""
    target = pair_of(chapter)
    if not target.exists():
        return [f"{target.name} is missing: run `make notebooks`"]
    notebook, stored = read_chapter(chapter), nbformat.read(target, as_version=4)
    found = []
    if [c.source for c in notebook.cells] != [c.source for c in stored.cells]:
        found.append(f"{target.name} differs from {chapter.name}: run `make notebooks`")
    for number, cell in enumerate(c for c in stored.cells if c.cell_type == "code"):
        where = f"{target.name}, code cell {number + 1}"
        if cell.source.strip() and not cell.execution_count:
            found.append(f"{where} was not executed")
        if any(output.output_type == "error" for output in cell.outputs):
            found.append(f"{where} ended in an error")
    return found


def address_faults(page: Path) -> list[str]:
    """Say if a page sends readers to another repository."""
    text = page.read_text("utf-8")
    other = f"{page.name} names another repository: run `make notebooks`"
    return [] if stamped(text) == text else [other]


def main() -> None:
    """Sync all chapters, or the named ones; with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of chapter names, as 02")
    parser.add_argument("--force", action="store_true", help="execute all again")
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    options = parser.parse_args()
    chapters = [
        path
        for path in sorted(CHAPTERS.glob("*.md"))
        if not options.names or any(name in path.stem for name in options.names)
    ]
    if options.check:
        found = [fault for chapter in chapters for fault in faults(chapter)]
        found += [fault for page in PAGES for fault in address_faults(page)]
        sys.exit("\n".join(found) if found else 0)
    for page in PAGES:
        stamp(page)
    for chapter in chapters:
        print(f"{chapter.stem}: {sync(chapter, options.force)}")


if __name__ == "__main__":
    main()
