"""`source.md`, read: cells with their solutions, and what is wrong with the markers.

A code cell's solution stands between `# BEGIN SOLUTION` and `# END SOLUTION`; students
get `raise NotImplementedError("write me")` in its place, or the code of the `# STUB:`
lines that follow. A Markdown cell's solution stands between `<!-- BEGIN SOLUTION -->`
and `<!-- END SOLUTION -->`. A marker that is nearly right is an error, not text: it
would publish a solution.
"""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache

import jupytext
from nbformat import NotebookNode

from attnbook.grading.assignments import Assignment, AssignmentError
from attnbook.grading.intake.reading import PLACEHOLDER

TEXT_FORMAT = "md:myst"
TAGS = {"check", "plot", "instructor", "nbval-ignore-output"}
STUB = 'raise NotImplementedError("write me")'
WRITE_HERE = f"*{PLACEHOLDER}*"
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.M)
BLOCKS = {
    "code": re.compile(
        r"^(?P<indent> *)# BEGIN SOLUTION\n(?P<solution>.*?)^ *# END SOLUTION(?:\n|\Z)"
        r"(?P<stub>(?: *# STUB:[^\n]*(?:\n|\Z))*)",
        re.M | re.S,
    ),
    "markdown": re.compile(
        r"^<!-- BEGIN SOLUTION -->\n(?P<solution>.*?)^<!-- END SOLUTION -->(?:\n|\Z)",
        re.M | re.S,
    ),
}
NEARLY = re.compile(r".*\b(?:begin|end)[\s_-]*solutions?\b.*|.*#\s*stub\s*:.*", re.I)
# Names that these bind are gone outside of them.
SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One cell of the source in its two versions.

    Args:
        kind: "code" or "markdown".
        tags: of the cell.
        source: as the author wrote it, with markers.
        solved: with the solution, without markers.
        released: with the stub in the solution's place.
        secret: the solution's lines; empty where the cell holds none.
        heading: the last heading above the cell, or in it.
    """

    kind: str
    tags: tuple[str, ...]
    source: str
    solved: str
    released: str
    secret: tuple[str, ...]
    heading: str

    @property
    def is_answer(self) -> bool:
        """Whether students write here."""
        return bool(self.secret)

    @property
    def for_instructors(self) -> bool:
        """Whether students never see the cell."""
        return "instructor" in self.tags


def parts(assignment: Assignment) -> tuple[Part, ...]:
    """Read an assignment's statement and check it against its toml.

    Raises:
        AssignmentError: a marker, a tag, a heading or a name is wrong; the message
            names the file and the cell.
    """
    found = _read(str(assignment.folder / "source.md"), assignment.source)
    _check_questions(assignment, found)
    return found


@lru_cache(maxsize=16)
def _read(file: str, text: str) -> tuple[Part, ...]:
    found, heading = [], ""
    for number, cell in enumerate(jupytext.reads(text, fmt=TEXT_FORMAT).cells, 1):
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(cell.source) or [heading])[-1]
        found.append(_part(cell, heading, f"{file}, cell {number}"))
    title = found[0].released if found else ""
    alone = title.startswith("# ") and len(HEADING.findall(title)) == 1
    _need(alone, f"{file}: cell 1 is not a title (# …) with its introduction only")
    return tuple(found)


def _part(cell: NotebookNode, heading: str, where: str) -> Part:
    tags = tuple(cell.metadata.get("tags", ()))
    known = set(tags) <= TAGS
    _need(known, f"{where}: tags {list(tags)} are not all of {sorted(TAGS)}")
    solved, released, secret = _split(cell.source, cell.cell_type, where)
    _need(not (secret and tags), f"{where}: a cell with a solution has tags {tags}")
    if cell.cell_type == "code":
        _parse(solved, where)
        _parse(released, where)
    return Part(
        kind=cell.cell_type,
        tags=tags,
        source=cell.source,
        solved=solved,
        released=released,
        secret=secret,
        heading=heading,
    )


def _parse(code: str, where: str) -> None:
    try:
        ast.parse(code)
    except SyntaxError as error:
        raise AssignmentError(f"{where}: {error}") from error


def _split(source: str, kind: str, where: str) -> tuple[str, str, tuple[str, ...]]:
    """Return a cell's solved and released versions and the lines of its solution."""
    block, secret = BLOCKS[kind], []

    def stub(found: re.Match) -> str:
        secret.extend(line for line in found["solution"].splitlines() if line.strip())
        return _stub(found, kind)

    solved = block.sub(lambda found: found["solution"], source).rstrip("\n")
    released = block.sub(stub, source).rstrip("\n")
    stray = NEARLY.search(solved) or NEARLY.search(released)
    _need(not stray, f"{where}: stray marker {stray and stray[0].strip()!r}")
    _need(bool(secret) or not block.search(source), f"{where}: an empty solution")
    return solved, released, tuple(secret)


def _stub(found: re.Match, kind: str) -> str:
    """Return what stands in a solution's place."""
    if kind == "markdown":
        return f"{WRITE_HERE}\n"
    lines = re.findall(r"# STUB: ?(.*)", found["stub"]) or [STUB]
    return "".join((found["indent"] + line).rstrip() + "\n" for line in lines)


def defined(code: str) -> set[str]:
    """Return the names that code defines at its top level, ifs and loops included."""
    names: set[str] = set()
    todo: list[ast.AST] = [ast.parse(code)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, SCOPES):
            todo += ast.iter_child_nodes(node)
    return names


def _check_questions(assignment: Assignment, found: tuple[Part, ...]) -> None:
    """See that the toml's questions, headings and names are in the statement."""
    file = assignment.folder / "source.md"
    shown = [part for part in found if not part.for_instructors]
    prose = "\n\n".join(part.released for part in shown if part.kind == "markdown")
    answers = [part for part in shown if part.kind == "code" and part.is_answer]
    have = set().union(*(defined(part.solved) for part in answers))
    for question in assignment.questions:
        heading = f"## Question {question.id}. {question.title}"
        count = [line.rstrip() for line in prose.splitlines()].count(heading)
        _need(count == 1, f"{file}: {count} headings {heading!r}, not one")
        lost = set(question.names) - have
        _need(not lost, f"{file}: no answer cell defines {sorted(lost)} of {heading!r}")
        mine = [part.is_answer for part in shown if text_answer(part) == question.id]
        start = f"**Answer {question.id}.**"
        fine = not question.text or mine == [True]
        _need(fine, f"{file}: not one cell with a solution starts with {start}")


def text_answer(part: Part) -> str:
    """Return the id of the text question that a cell answers, or ''."""
    found = re.match(r"\*\*Answer ([^*]+)\.\*\*", part.released)
    return found[1] if found and part.kind == "markdown" else ""


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise AssignmentError(message)
