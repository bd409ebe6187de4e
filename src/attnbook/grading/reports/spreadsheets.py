"""Tables that Excel and LibreOffice open without running what students wrote.

What students wrote must stay text: a cell that a spreadsheet could take for a formula
gets an apostrophe in front. That also holds behind a `;`, a tab or a line break inside
of a cell, because a spreadsheet that expects another separator splits there, whatever
the quotes say. `restored` takes the apostrophes away again. The files start with a
byte-order mark: without it Excel reads names and answers in the wrong encoding.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

BLANK = r"""(?:[^\S\t\r\n]|['"‘’“”])*"""
FORMULA = r"=+\-@＝＋－＠"
STARTS = rf"(?:\A(?={BLANK}[{FORMULA}\t\r])|(?<=[;\t\r\n])(?={BLANK}[{FORMULA}]))"
INERT = re.compile(STARTS)
MADE_INERT = re.compile(STARTS.replace("(?=", "'(?="))


class SheetError(ValueError):
    """A sheet cannot be used as it is; the message names row and column."""


def inert(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return INERT.sub("'", text.replace("\0", ""))


def restored(text: str) -> str:
    """Undo `inert`."""
    return MADE_INERT.sub("", text)


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write cells that are already `inert` where they have to be."""
    # a lone surrogate, which JSON can hold, has no place in UTF-8
    with path.open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_MINIMAL).writerows(rows)


def read_rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return rows as dictionaries, with the numbers a spreadsheet shows.

    Args:
        path: a sheet as a spreadsheet program saved it.
        needed: columns that must be there; others that are not read as "".

    Raises:
        SheetError: a needed column is missing, or the file is no table.
    """
    text = _decoded(path.read_bytes())
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        rows = list(enumerate(reader, 2))
    except csv.Error as error:
        raise SheetError(f"{path.name}, line {reader.line_num}: {error}") from error
    if not set(needed) <= set(names):
        raise SheetError(f"{path.name}, row 1: needs columns {', '.join(needed)}")
    return [
        (number, defaultdict(str, zip(names, row, strict=False)))
        for number, row in rows
    ]


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # what Excel saves as plain "CSV" in Western Europe
        return data.decode("cp1252", "replace")
