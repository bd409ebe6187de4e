"""The three notebooks that one source makes, and what the grader knows of them.

*Student*: no solution line and no instructor cell, with a header made from the toml.
*Solved*: what `release` grades to see that full marks can be had. *Instructor*: solved,
with the instructor's cells and all that the judges hold. Chapter: the book's page for
instructors.
"""

import ast
import hashlib
from collections.abc import Set

import nbformat
from nbformat import NotebookNode, v4

from attnbook.grading.assignments import Assignment, Question
from attnbook.grading.intake.reading import normalised
from attnbook.grading.releasing.header import header, number
from attnbook.grading.releasing.sources import Part, defined, parts

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def student_version(
    assignment: Assignment, repository: str = "", branch: str = "main"
) -> NotebookNode:
    """Return what students get, not yet executed.

    Args:
        assignment: the assignment.
        repository: its address on GitHub, for the link to Colab; none, no link.
        branch: the branch that the link opens.
    """
    cells = [_cell(part, part.released) for part in _shown(assignment)]
    cells.insert(1, v4.new_markdown_cell(header(assignment, repository, branch)))
    return notebook(cells)


def solved_version(assignment: Assignment) -> NotebookNode:
    """Return the statement with the worked solution, without instructor cells."""
    return notebook([_cell(part, part.solved) for part in _shown(assignment)])


def instructor_version(assignment: Assignment) -> NotebookNode:
    """Return the solution with notes, checks, hints, wrong answers and rubrics."""
    cells = [_cell(part, part.solved) for part in parts(assignment)]
    cells.insert(1, v4.new_markdown_cell(header(assignment)))
    return notebook([*cells, v4.new_markdown_cell(_marking(assignment))])


def released_cells(assignment: Assignment) -> set[str]:
    """Return the check and plot cells, normalised: submissions lose them."""
    return {
        normalised(part.released)
        for part in _shown(assignment)
        if part.kind == "code" and {"check", "plot"} & set(part.tags)
    }


def stubs(assignment: Assignment) -> set[str]:
    """Return the unanswered answer cells, normalised: submissions lose them too.

    A copied cell with an answer would otherwise be undone by the stub below it.
    """
    return {
        normalised(part.released)
        for part in _shown(assignment)
        if part.kind == "code" and part.is_answer
    }


def visible_checks(assignment: Assignment) -> list[tuple[str, str]]:
    """Return title and source of each check cell, in order.

    The title is the text in the cell's `check(…)`, else the heading above it.
    """
    return [
        (_check_text(part.released) or part.heading, part.released)
        for part in _shown(assignment)
        if part.kind == "code" and "check" in part.tags
    ]


def reference_code(assignment: Assignment, names: Set[str]) -> str:
    """Return the solved cells that define any of these names, for carry-over."""
    cells = [
        part.solved
        for part in _shown(assignment)
        if part.kind == "code" and part.is_answer and names & defined(part.solved)
    ]
    return "\n\n".join(cells)


def notebook(cells: list[NotebookNode]) -> NotebookNode:
    """Return a notebook whose cells are named by content: an edit changes one id."""
    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha1(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    made = v4.new_notebook(cells=cells, metadata=nbformat.from_dict(METADATA))
    made.nbformat, made.nbformat_minor = 4, 5
    return made


def _shown(assignment: Assignment) -> list[Part]:
    return [part for part in parts(assignment) if not part.for_instructors]


def _cell(part: Part, source: str) -> NotebookNode:
    make = v4.new_code_cell if part.kind == "code" else v4.new_markdown_cell
    return make(source, metadata={"tags": list(part.tags)} if part.tags else {})


def _check_text(source: str) -> str:
    """Return the first text that a cell hands to `check`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check":
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            return str(texts[0]) if texts else ""
    return ""


def _marking(assignment: Assignment) -> str:
    """Write what decides the marks, as Markdown."""
    lines = [
        "## For instructors: how this is marked",
        "",
        "| Check | Points | Title (students read it) | Hint | Named mistakes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for check in assignment.checks:
        mistakes = "; ".join(f"{m.name}: {m.hint}" for m in check.mistakes)
        row = [check.id, number(check.points), check.title, check.hint, mistakes]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |")
    lines += ["", "**Expected wrong answers**", ""]
    for wrong in assignment.wrong_answers:
        code = f"```python\n{wrong.code.strip()}\n```"
        lines += [f"Check {wrong.check}, *{wrong.mistake}*:", "", code, ""]
    for question in assignment.questions:
        lines += _rubric(question)
    return "\n".join(lines).rstrip()


def _rubric(question: Question) -> list[str]:
    if not question.rubric:
        return []
    points = f"({number(question.points)} points, by hand)" if question.text else ""
    title = f"**Rubric of question {question.id}. {question.title}** {points}".rstrip()
    return [title, "", *(f"- {line}" for line in question.rubric), ""]
