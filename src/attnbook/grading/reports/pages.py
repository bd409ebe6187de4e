"""HTML pages of the grader: one file each, no script, nothing from elsewhere.

Three kinds of words come in, and each has its own door: `said` for what a student may
have written (names, messages), `quoted` for what runs over several lines, `words` for
an instructor's titles and hints, where `backticks` become code. All of them escape. A
policy in the page refuses scripts and requests even if one of them failed to.
"""

import html
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
LONGEST = 20_000  # characters of a text that a page shows
# What browsers do not show, or read as commands; tab and line feed stay.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def escaped(text: object) -> str:
    """Return text that is safe in an element and in a quoted attribute."""
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return html.escape(CONTROLS.sub("�", plain), quote=True)


def said(text: object) -> str:
    """Return one line of a student's; it cannot turn the direction of what follows."""
    return f"<bdi>{escaped(shortened(str(text), 300))}</bdi>"


def quoted(text: str, kind: str = "") -> str:
    """Return a student's text with its line breaks."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<pre{attribute}>{escaped(shortened(text.strip(), LONGEST))}</pre>"


def words(text: str) -> str:
    """Return an instructor's words: `backticks` mark code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escaped(text))


def shortened(text: str, longest: int) -> str:
    """Cut a text that is too long to be read, and say so."""
    return text if len(text) <= longest else text[:longest] + " … (cut here)"


def points(value: float) -> str:
    """Write points without needless decimals."""
    return f"{round(value, 2):g}"


def plural(count: int, noun: str) -> str:
    """Return "1 cell" or "2 cells"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def bar(share: float) -> str:
    """Return a bar that repeats a number beside it, for the eye only."""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}"
    return f'<span class="bar" aria-hidden="true"><span style="width:{width}%">' + (
        "</span></span>"
    )


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    kinds: Sequence[str] = (),
    kind: str = "",
) -> str:
    """Return a table whose first column names the rows.

    Args:
        caption: what it shows, as words; also the name of its scrolling box.
        head: the columns' names, as words.
        rows: cells, as HTML.
        kinds: a class for each column, "number" for those with numbers.
        kind: a class for the table.
    """
    kinds = [*kinds, *[""] * (len(head) - len(kinds))]
    classes = [f' class="{one}"' if one else "" for one in kinds]
    top = "".join(
        f'<th scope="col"{one}>{escaped(cell)}</th>'
        for cell, one in zip(head, classes, strict=True)
    )
    body = "\n".join(_row(row, classes) for row in rows)
    name = escaped(caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{name}">'
        f'<table class="{kind}"><caption>{name}</caption>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(cells: Sequence[str], classes: Sequence[str]) -> str:
    first, *rest = zip(cells, classes, strict=True)
    others = "".join(f"<td{name}>{cell}</td>" for cell, name in rest)
    return f'<tr><th scope="row"{first[1]}>{first[0]}</th>{others}</tr>'


def box(heading: str, body: str, kind: str = "", level: int = 2) -> str:
    """Return a box with a heading (words) of some level and a body (HTML)."""
    top = f"<h{level}>{escaped(heading)}</h{level}>"
    return f'<section class="box {kind}">{top}{body}</section>'


def file_in(folder: Path, key: str, ending: str) -> Path:
    """Return the path of a student's file, in a folder that then is there.

    Raises:
        ValueError: the key leads elsewhere.
    """
    path = folder / f"{key}{ending}"
    if path.parent != folder or path.stem != key or "\0" in key:
        raise ValueError(f"key {key!r} is not safe as a file name")
    folder.mkdir(parents=True, exist_ok=True)
    return path


def document(title: str, body: str, kind: str) -> str:
    """Return a whole page.

    Args:
        title: the browser's title, as words.
        body: the page's content, as HTML.
        kind: a class for the page, "feedback" or "report".
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>{escaped(title)}</title>
<style>
{_style()}</style>
</head>
<body class="{kind}">
<main>
{body}
</main>
</body>
</html>
"""


@cache
def _style() -> str:
    return (files("attnbook.grading.reports") / "pages.css").read_text("utf-8")
