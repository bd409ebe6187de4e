"""Takes a notebook's bytes apart, in a process of its own and under limits.

`reading` starts this file as a script (`python -I -S -B parsing.py`): bytes on stdin,
one JSON object on stdout. It uses the standard library only, writes no file, and looks
at nothing but cell types and sources, so that outputs, metadata and their size cannot
matter. A process of its own, because a parser that meets a stranger's file may use up
its memory, its stack or its time, and must then not take the class with it.
"""

import json
import re
import sys

ADDRESS_SPACE = 1 << 30
CPU_SECONDS = 10
LARGEST = 10 << 20  # of the file, in bytes
MOST_CELLS = 5_000
MOST_TEXT = 2_000_000  # characters of all sources together

# Colab pastes pictures into Markdown as text, megabytes of it.
_PICTURE = re.compile(r"data:[\w/+.-]*;base64,[A-Za-z0-9+/=\s]*")


class Refused(Exception):
    """The file is no notebook that can be read; the text is a fault of `reading`."""


def cells(data: bytes) -> list[list[str]]:
    """Return `[kind, source]` for each cell, kind being "code" or "markdown"."""
    if len(data) > LARGEST:
        raise Refused("too large")
    found = [_cell(item) for item in _items(_load(_text(data)))]
    if sum(len(source) for _, source in found) > MOST_TEXT:
        raise Refused("too large")
    return found


def _text(data: bytes) -> str:
    if not data.strip(b"\0 \t\r\n"):
        raise Refused("empty file")
    try:
        return data.decode(_encoding(data), "surrogatepass").lstrip("\ufeff")
    except UnicodeDecodeError:
        raise Refused("not UTF-8 or UTF-16 text") from None


def _encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16-le" if data[0] == 0xFF else "utf-16-be"
    # A notebook begins with "{" or a blank: in UTF-16, one byte of the first is zero.
    if len(data) > 1 and data[1] == 0 != data[0]:
        return "utf-16-le"
    return "utf-16-be" if data[0] == 0 else "utf-8"


def _load(text: str) -> object:
    if text.lstrip().startswith("<"):
        raise Refused("a web page, not a notebook")
    try:
        # float: an int of more than 4300 digits is refused by Python itself.
        return json.loads(text, strict=False, parse_int=float)
    except RecursionError:
        raise Refused("too deeply nested") from None
    except ValueError:
        raise Refused("not JSON") from None


def _items(notebook: object) -> list[dict]:
    """Return the cells of format 4 and later, or of formats 2 and 3 (worksheets)."""
    if not isinstance(notebook, dict):
        raise Refused("not a notebook")
    sheets = notebook.get("worksheets")
    sheets = [notebook, *(sheets if isinstance(sheets, list) else ())]
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    lists = [found for found in lists if isinstance(found, list)]
    if not lists:
        raise Refused("not a notebook")
    if sum(map(len, lists)) > MOST_CELLS:
        raise Refused("too many cells")
    return [item for found in lists for item in found if isinstance(item, dict)]


def _cell(item: dict) -> list[str]:
    kind = item.get("cell_type")
    source = _source(item.get("source", item.get("input")))
    if kind == "code" or (not isinstance(kind, str) and "outputs" in item):
        return ["code", source]
    if kind == "heading":  # format 3
        level = item.get("level")
        level = int(level) if isinstance(level, float) and 1 <= level <= 6 else 1
        source = "#" * level + " " + source
    return ["markdown", _PICTURE.sub("data:", source)]


def _source(value: object) -> str:
    if isinstance(value, list):
        lines = [line for line in value if isinstance(line, str)]
        # Lines without their newline are not valid, but some converters write them.
        bare = len(lines) > 1 and not any("\n" in line for line in lines)
        value = ("\n" if bare else "").join(lines)
    text = value if isinstance(value, str) else ""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what is left
        return
    limits = {
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":  # macOS refuses this one
        limits[resource.RLIMIT_AS] = ADDRESS_SPACE
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


def main() -> None:
    """Read stdin, write `{"cells": …}` or `{"fault": …}`."""
    _limit()
    try:
        answer = {"cells": cells(sys.stdin.buffer.read(LARGEST + 1))}
    except Refused as refused:
        answer = {"fault": str(refused)}
    except MemoryError:
        answer = {"fault": "too large"}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())


if __name__ == "__main__":
    main()
