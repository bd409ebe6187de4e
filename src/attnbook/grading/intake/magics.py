"""IPython's own lines in a code cell, and comments: out, so that line numbers stay.

They are found by a scanner that knows strings, brackets and comments only: Python's
parser may exhaust the stack on a hostile cell. What is valid Python is never changed,
for no statement can begin with "%", "!" or "?", end in "?" or go on after "= !".
"""

import re
from collections.abc import Iterator

# Cell magics whose body is Python that counts; every other one takes its cell along.
_KEPT_MAGICS = ("time", "timeit", "capture", "prun")
_MAGIC = re.compile(
    r"\s*(?:[%!?]"  # %magic, !command, ?name
    r"|[\w.*\[\]]+\?{1,2}\s*$"  # name?
    r"|[\w\s,.*\[\]]+=\s*[!%]"  # x = !command, x = %magic
    r"|(?:pip3?|conda|mamba|apt|apt-get)\s+(?:un)?install\s)"  # magics without %
)
_TIMED = re.compile(r"(\s*)%time\s+(?=[^\s-])")
_TOKEN = re.compile(r"'''|\"\"\"|['\"#()\[\]{}]")
_STRING_END = {
    quote: re.compile(r"(?:\\.|[^\\])*?" + quote, re.DOTALL)
    for quote in ("'", '"', "'''", '"""')
}


def without_magics(source: str) -> str:
    """Comment out IPython's lines; the number of lines stays.

    `%time statement` keeps its statement, for it defines names. A line inside a string,
    an open bracket or after a backslash is left alone.
    """
    lines = source.split("\n")
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    magic = re.match(r"%%\s*(\w*)", lines[first])
    if magic and magic[1] not in _KEPT_MAGICS:
        return "\n".join(f"# {line}" for line in lines)
    return "\n".join(_cleaned(lines))


def without_comments(source: str) -> str:
    """Return the code alone; the number of lines stays."""
    scanner = _Scanner()
    return "\n".join(line[: scanner.read(line)] for line in source.split("\n"))


def _cleaned(lines: list[str]) -> Iterator[str]:
    scanner, goes_on = _Scanner(), False
    for line in lines:
        timed = _TIMED.match(line) if scanner.fresh and not goes_on else None
        if timed:
            line = timed[1] + line[timed.end() :]
        elif goes_on or (scanner.fresh and _MAGIC.match(line)):
            yield _commented(line, goes_on)
            goes_on = line.endswith("\\")
            continue
        scanner.read(line)
        yield line


def _commented(line: str, goes_on: bool) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    # A block must not lose its only statement.
    keep = "pass  " if indent and not goes_on else ""
    return f"{indent}{keep}# {line.strip()}"


class _Scanner:
    """What is open at the end of a line: a string, brackets, a backslash."""

    def __init__(self):
        self.quote, self.depth, self.continued = "", 0, False

    @property
    def fresh(self) -> bool:
        """Whether the next line begins a statement."""
        return not (self.quote or self.depth or self.continued)

    def read(self, line: str) -> int:
        """Take in one line and return where its code ends and a comment begins."""
        at, comment = 0, False
        while at < len(line) and not comment:
            if self.quote:
                end = _STRING_END[self.quote].match(line, at)
                if end is None:
                    break
                at, self.quote = end.end(), ""
                continue
            token = _TOKEN.search(line, at)
            if token is None:
                break
            at = token.end()
            comment = token[0] == "#"
            self._token(token[0])
        trailing = len(line) - len(line.rstrip("\\"))
        self.continued = trailing % 2 == 1 and not comment
        if len(self.quote) == 1 and not self.continued:
            self.quote = ""  # not closed: an error of this line only
        return at - 1 if comment else len(line)

    def _token(self, token: str) -> None:
        if token in _STRING_END:
            self.quote = token
        elif token in "([{":
            self.depth += 1
        elif token in ")]}":
            self.depth = max(0, self.depth - 1)
