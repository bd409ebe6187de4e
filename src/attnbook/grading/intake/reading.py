"""Read a submitted notebook: its cells, the code that runs, the answers in words.

The bytes are taken apart in a limited child process (`parsing`). What comes back is
text: code is never parsed, compiled or run on this side.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attnbook.grading.intake.magics import without_magics

FAULTS = (
    "empty file",
    "too large",
    "not UTF-8 or UTF-16 text",
    "a web page, not a notebook",
    "not JSON",
    "not a notebook",
    "too deeply nested",
    "too many cells",
    "reader stopped",  # out of time or memory
)
WALL_SECONDS = 20.0
PLACEHOLDER = "Write here; keep the line above."

_PARSER = Path(__file__).with_name("parsing.py")
_LARGEST_ANSWER = 32 << 20


class Unreadable(ValueError):
    """A file that is no readable notebook; `fault` is one of `FAULTS`."""

    def __init__(self, fault: str):
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True)
class Cell:
    """One cell; raw cells count as Markdown."""

    kind: str  # "code" or "markdown"
    source: str


def read_notebook(data: bytes) -> list[Cell]:
    """Return a notebook's cells: formats 2 to 4.5 and what may follow, UTF-8 or -16.

    Raises:
        Unreadable: it is none, or too large; its `fault` says which.
    """
    answer = _ask_child(data)
    try:
        found = json.loads(answer)
    except ValueError:
        raise Unreadable("reader stopped") from None
    if "cells" not in found:
        fault = found.get("fault")
        raise Unreadable(fault if fault in FAULTS else "reader stopped")
    return [Cell(kind, source) for kind, source in found["cells"]]


def _ask_child(data: bytes) -> bytes:
    command = [sys.executable, "-I", "-S", "-B", str(_PARSER)]
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        child = subprocess.Popen(
            command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        clock = threading.Timer(WALL_SECONDS, child.kill)
        clock.start()
        try:
            with child:
                return child.stdout.read(_LARGEST_ANSWER)
        finally:
            clock.cancel()


def normalised(source: str) -> str:
    """Return a cell's source for comparing it with a released one."""
    lines = [line.expandtabs(4).rstrip() for line in source.splitlines()]
    return "\n".join(lines).strip("\n")


def runnable(cells: list[Cell], dropped: Iterable[str]) -> list[tuple[int, str]]:
    """Return the code to run, as `(number, source)`, numbers counting code cells.

    Args:
        cells: the notebook's.
        dropped: sources of released cells that are not run (checks, plots); a cell
            that the student has changed is none of them.
    """
    dropped = {normalised(source) for source in dropped} | {""}
    code = [cell.source for cell in cells if cell.kind == "code"]
    return [
        (number, without_magics(source))
        for number, source in enumerate(code, start=1)
        if normalised(source) not in dropped
    ]


def find_texts(
    cells: list[Cell], questions: Iterable[str], released_markdown: Iterable[str]
) -> dict[str, str | None]:
    """Return the answers in words by question: "" if left empty, None if not found.

    An answer stands behind its label, "**Answer 5.**" or something like it, and goes on
    in the Markdown cells below, up to the next label, heading of a question or released
    cell. Of a label in Markdown and one in code, the first counts; of several with the
    same label, all.
    """
    questions = {name.casefold(): name for name in questions}
    released = {normalised(source) for source in released_markdown}
    label = _label(list(questions))
    found: dict[str, str | None] = dict.fromkeys(questions.values())
    for kind in ("markdown", "code"):
        for name, text in _labelled(cells, kind, label, released):
            name = questions[name.casefold()]
            before = found[name]
            if before is None or (kind == "markdown" and text not in before):
                found[name] = f"{before or ''}\n\n{text}".strip()
    return found


def _label(questions: list[str]) -> re.Pattern:
    names = "|".join(re.escape(name) for name in sorted(questions, key=len)[::-1])
    words = r"answer[ \t]*(?:to[ \t]+)?(?:question[ \t]+)?"
    name = rf"{words}({names or '(?!)'})(?!\w|\.\d)"
    marks = r"[ \t]*[*_.:)]*[.:]?"
    marked = rf"[ \t>\"'-]*[#*_][ \t#*_]*{name}{marks}"
    bare = rf"[ \t>\"'-]*{name}[ \t]*(?:[.:)]|$)"
    return re.compile(rf"^(?:{marked}|{bare})", re.IGNORECASE | re.MULTILINE)


_HEADING = re.compile(r"^#{1,6}[ \t]*Question[ \t]+\d+\b", re.MULTILINE)
_PLACEHOLDER = re.compile(rf"[*_]{{0,3}}{re.escape(PLACEHOLDER[:-1])}\.?[*_]{{0,3}}")


def _labelled(cells, kind, label, released):
    """Yield `(question, text)` for each label in cells of this kind."""
    for at, cell in enumerate(cells):
        labels = list(label.finditer(cell.source)) if cell.kind == kind else []
        ends = [match.start() for match in labels[1:]] + [len(cell.source)]
        for match, end in zip(labels, ends, strict=False):
            text = cell.source[match.end() : end]
            if kind == "code":
                text = re.sub(r"^[ \t]*#+ ?|[\"']{3}", "", text, flags=re.MULTILINE)
            parts = [text]
            if end == len(cell.source) and not _HEADING.search(text):
                parts += _below(cells[at + 1 :], label, released)
            text = "\n\n".join(part.strip() for part in parts if part.strip())
            heading = _HEADING.search(text)
            text = text[: heading.start()] if heading else text
            yield match[1] or match[2], _PLACEHOLDER.sub("", text, count=1).strip()


def _below(cells, label, released):
    """Return the Markdown that follows an answer's cell and still belongs to it."""
    texts = []
    for cell in cells:
        if label.search(cell.source):
            break
        if cell.kind == "markdown":
            if normalised(cell.source) in released:
                break
            texts.append(cell.source)
    return texts
