"""Tables of a class: marks, free text to mark by hand, and the way back.

A submission with a fault has a row with empty totals: it has no mark, which is not 0.
How text is kept from being read as a formula stands in `spreadsheets`.
"""

import math
import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from attnbook.grading.reports.pages import points
from attnbook.grading.reports.spreadsheets import (
    SheetError,
    inert,
    read_rows,
    restored,
    write_rows,
)
from attnbook.grading.results import FreeText, Result

__all__ = [
    "Manual",
    "SheetError",
    "apply_manual",
    "join_shards",
    "read_manual",
    "write_free_text",
    "write_marks",
]

UNSAFE = "UNSAFE: graded without a sandbox; any submission could change these marks"
FREE_TEXT = ("key", "question", "max", "points", "comment", "found", "answer")
LONGEST_CELL = 30_000  # Excel holds 32 767 characters


@dataclass(frozen=True, kw_only=True)
class Manual:
    """A row of the filled free-text sheet; `points` is None where none are given."""

    sheet: str
    row: int
    key: str
    question: str
    points: float | None
    comment: str = ""


# marks


def write_marks(results: Sequence[Result], path: Path, unsafe: bool = False) -> None:
    """Write one row per submission, sorted by key.

    Totals and checks of a submission with a fault stay empty: it has no mark, not 0.
    `manual` and `unmarked` say what was marked by hand and which questions still wait.

    Args:
        results: of a class.
        path: the file to write.
        unsafe: say in the first line and in every row that there was no sandbox.
    """
    ids = list(dict.fromkeys(check.id for one in results for check in one.checks))
    head = ["student", "key", "file", "total", "max", "automatic", "manual", "unmarked"]
    head += [*ids, "fault", "flags", "seconds", "cpu_seconds"]
    rows = [_marks(one, ids) for one in sorted(results, key=lambda one: one.key)]
    if unsafe:
        rows = [["UNSAFE", *row] for row in rows]
        write_rows(path, [["# " + UNSAFE], ["unsafe", *head], *rows])
    else:
        write_rows(path, [head, *rows])


def _marks(result: Result, ids: Sequence[str]) -> list[str]:
    row = [result.student, result.key, result.file]
    row = [inert(text) for text in row]
    row += [""] * (5 + len(ids)) if result.fault else _earned(result, ids)
    row += [inert(result.fault), inert("; ".join(result.flags))]
    return [*row, f"{result.seconds:.2f}", f"{result.cpu_seconds:.2f}"]


def _earned(result: Result, ids: Sequence[str]) -> list[str]:
    automatic = sum(check.earned for check in result.checks)
    marked = [text.earned for text in result.texts if text.earned is not None]
    waiting = [text.question for text in result.texts if text.earned is None]
    by_id = {check.id: points(check.earned) for check in result.checks}
    return [
        *map(points, (result.earned, result.maximum, automatic)),
        points(sum(marked)) if marked else "",
        inert("; ".join(waiting)),
        *(by_id.get(name, "") for name in ids),
    ]


# free text


def write_free_text(results: Sequence[Result], path: Path) -> None:
    """Write one row per answer in words, with empty columns for points and comment.

    What was marked before stands in the row, so that merging loses nothing.
    """
    rows = [
        _free_text(result, text)
        for result in sorted(results, key=lambda one: one.key)
        for text in result.texts
        if not result.fault
    ]
    write_rows(path, [FREE_TEXT, *rows])


def _free_text(result: Result, text: FreeText) -> list[str]:
    answer = text.text
    if len(answer) > LONGEST_CELL:
        answer = answer[:LONGEST_CELL] + " … (cut here)"
    earned = "" if text.earned is None else points(text.earned)
    found = "yes" if text.found else "no"
    cells = [result.key, text.question, points(text.points), earned]
    return [inert(cell) for cell in (*cells, text.comment, found, answer)]


def read_manual(path: Path) -> list[Manual]:
    """Read the free-text sheet after marking, as a spreadsheet program saved it.

    Commas, semicolons or tabs separate; a decimal comma, a byte-order mark and an
    apostrophe before a number are all fine. Rows without points and comment are left
    out: they are not marked yet.

    Raises:
        SheetError: a column is missing, points are no number, below 0 or above the
            question's, or two rows mark the same answer.
    """
    found: dict[tuple[str, str], Manual] = {}
    for number, row in read_rows(path, ("key", "question", "points")):
        manual = _manual(path.name, number, row)
        if manual is None:
            continue
        key = (manual.key, manual.question)
        if key in found:
            other = f"row {found[key].row} marks the same answer"
            raise _wrong(manual, "key", f"{other}: {manual.key}, {manual.question}")
        found[key] = manual
    return list(found.values())


def _manual(sheet: str, number: int, row: dict[str, str]) -> Manual | None:
    given = row["points"].strip(" '\u00a0\u2019")
    comment = restored(row.get("comment", "")).strip()
    manual = Manual(
        sheet=sheet,
        row=number,
        key=restored(row["key"].strip()),
        question=restored(row["question"].strip()),
        points=None,
        comment=comment,
    )
    if not given:
        return manual if comment else None
    value, most = _number(given), _number(row["max"])
    if math.isnan(value):
        raise _wrong(manual, "points", f"{given!r} is not a number")
    if value < 0:
        raise _wrong(manual, "points", f"{given} is less than 0")
    if value > most:
        raise _wrong(manual, "points", f"{given} is more than {points(most)}")
    return replace(manual, points=value)


def _number(text: str) -> float:
    """Return a number, with a comma or a point for decimals; NaN if it is none."""
    plain = text.strip(" '").replace(",", ".").replace("\N{MINUS SIGN}", "-")
    plain = plain if re.fullmatch(r"[+-]?\d{0,9}\.?\d{0,9}", plain, re.ASCII) else ""
    return float(plain) if re.search(r"\d", plain) else math.nan


def apply_manual(results: Sequence[Result], manuals: Iterable[Manual]) -> list[Result]:
    """Return results that hold the points and comments given by hand.

    Raises:
        SheetError: a row's key or question is unknown, or it gives too many points.
    """
    merged = deepcopy(list(results))
    texts = {result.key: {t.question: t for t in result.texts} for result in merged}
    for manual in manuals:
        if manual.key not in texts:
            hint = "did the spreadsheet turn it into a number?"
            raise _wrong(manual, "key", f"no submission has key {manual.key!r}; {hint}")
        text = texts[manual.key].get(manual.question)
        if text is None:
            why = f"{manual.key} has no text question {manual.question!r}"
            raise _wrong(manual, "question", why)
        if manual.points is not None and manual.points > text.points:
            given = f"{points(manual.points)} is more than {points(text.points)}"
            raise _wrong(manual, "points", f"{given}, the question's points")
        text.earned = text.earned if manual.points is None else manual.points
        text.comment = manual.comment
    return merged


def _wrong(manual: Manual, column: str, why: str) -> SheetError:
    return SheetError(f"{manual.sheet}, row {manual.row}, column {column}: {why}")


# shards


def join_shards(shards: Iterable[Sequence[Result]]) -> list[Result]:
    """Return the results of one class that was graded in parts, sorted by key.

    Raises:
        SheetError: two shards are of different assignments, or hold the same key with
            different results (other than the time they took).
    """
    kept: dict[str, Result] = {}
    for result in (one for shard in shards for one in shard):
        first = kept.setdefault(result.key, result)
        if _untimed(first) != _untimed(result):
            raise SheetError(
                f"two shards hold different results for {result.key}: "
                f"files {first.file!r} and {result.file!r}; grade the class again"
            )
    names = sorted({result.assignment for result in kept.values()})
    if len(names) > 1:
        raise SheetError(f"shards of different assignments: {', '.join(names)}")
    return [kept[key] for key in sorted(kept)]


def _untimed(result: Result) -> Result:
    return replace(result, seconds=0.0, cpu_seconds=0.0)
