"""Export an assignment as an nbgrader source notebook, for those who have nbgrader.

What is lost: the hidden checks, their hints and the carry-over stay with our grader,
because nbgrader runs tests in the student's process, where an answer can change them
and a student can read them. Its points hang on the visible checks alone. `# STUB:`
lines are lost too: nbgrader puts its own stub in a solution's place.

What a reader would not expect: nbgrader gives a cell's points when it does not raise,
and our `check` lets a stub pass in silence. The export therefore defines it anew.

Rules of the metadata, schema version 3, as nbgrader 0.9 checks them: every cell that it
knows has `grade`, `solution`, `locked`, `task` and a `grade_id` of its own, of letters,
digits, `_` and `-`; a graded cell has `points`; a solution is not locked; tests are
graded and locked; `grade` with `solution` is marked by hand.
"""

import re
from collections import Counter

from nbformat import NotebookNode, v4

from attnbook.grading.assignments import Assignment, AssignmentError
from attnbook.grading.releasing.header import opening, points_of
from attnbook.grading.releasing.sources import Part, defined, parts, text_answer
from attnbook.grading.releasing.versions import notebook

SCHEMA_VERSION = 3
STRICT_CHECK = '''\
@contextmanager
def check(question):
    """Let stubs raise: nbgrader gives a cell's points when nothing is raised."""
    yield
    print(f"{question}: these checks pass.")'''


def export(assignment: Assignment) -> NotebookNode:
    """Return the assignment as a source notebook for `nbgrader generate_assignment`.

    Raises:
        AssignmentError: a question with hidden checks has no visible one, so that
            nbgrader would have nothing to give its points for.
    """
    shown = [part for part in parts(assignment) if not part.for_instructors]
    points = points_of_cells(assignment, shown)
    cells: list[NotebookNode] = []
    ids: Counter[str] = Counter()
    for part, question in zip(shown, owners(shown), strict=True):
        cells.append(_cell(part))
        if name := name_of(part, question):
            cells[-1].metadata.nbgrader = metadata(part, name, points.get(name), ids)
        if len(cells) == 1:
            cells.append(v4.new_markdown_cell(opening(assignment)))
        if part.kind == "code" and "check" in defined(part.solved):
            cells.append(v4.new_code_cell(STRICT_CHECK))
            cells[-1].metadata.nbgrader = metadata(part, name, None, ids)
    return notebook(cells)


def owners(shown: list[Part]) -> list[str]:
    """Return, for each cell, the question under whose heading it stands."""
    found, question = [], ""
    for part in shown:
        if part.kind == "markdown":
            headings = re.findall(r"^## Question ([^.\s]+)\.", part.released, re.M)
            question = (headings or [question])[-1]
        found.append(question)
    return found


def points_of_cells(assignment: Assignment, shown: list[Part]) -> dict[str, float]:
    """Return what an answer in words, or each check cell of a question, brings.

    Keys are the names of cells. The points of a question are split evenly over its
    check cells; one that stands in a question for words brings none.
    """
    pairs = zip(shown, owners(shown), strict=True)
    tests = Counter(question for part, question in pairs if "check" in part.tags)
    points = {}
    for question in assignment.questions:
        whole = points_of(assignment, question)
        if question.text:
            points[f"q{question.id}-text"] = whole
        elif tests[question.id]:
            points[f"q{question.id}-test"] = whole / tests[question.id]
        else:
            where = f"{assignment.name}, question {question.id}"
            raise AssignmentError(f"{where} has no cell with the tag `check`")
    return points


def name_of(part: Part, question: str) -> str:
    """Return what a cell is to nbgrader; '' for Markdown that it need not know."""
    if answered := text_answer(part):
        return f"q{answered}-text"
    if part.is_answer:
        return f"q{question}-answer"
    if "check" in part.tags:
        return f"q{question}-test"
    return "given" if part.kind == "code" else ""


def metadata(
    part: Part, name: str, points: float | None, ids: Counter[str]
) -> dict[str, object]:
    """Return nbgrader's metadata for a cell, with an id of its own."""
    name = re.sub(r"[^\w-]", "-", name, flags=re.ASCII)
    ids[name] += 1
    return {
        "schema_version": SCHEMA_VERSION,
        "grade": points is not None,
        "solution": part.is_answer,
        "locked": not part.is_answer,
        "task": False,
        "grade_id": f"{name}-{ids[name]}",
        "cell_type": part.kind,
        **({} if points is None else {"points": points}),
    }


def _cell(part: Part) -> NotebookNode:
    make = v4.new_code_cell if part.kind == "code" else v4.new_markdown_cell
    return make(delimited(part))


def delimited(part: Part) -> str:
    """Return a cell with nbgrader's delimiters around its solution."""
    text = re.sub(r"^ *# STUB:.*\n?", "", part.source, flags=re.M)
    text = re.sub(
        r"^( *)# (BEGIN|END) SOLUTION$", r"\1### \2 SOLUTION", text, flags=re.M
    )
    text = re.sub(
        r"^<!-- (BEGIN|END) SOLUTION -->$", r"### \1 SOLUTION", text, flags=re.M
    )
    return text.rstrip("\n")
