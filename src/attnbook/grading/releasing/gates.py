"""Gates: what must hold before students get an assignment.

The solution gets full marks and the stub none; every expected wrong answer loses marks
and meets the hint that is meant for it; right answers in other words lose none; the
student notebook runs with only what Colab has and holds nothing secret. Solutions go
through the same `grade_notebook` as submissions do.
"""

import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode, v4
from tqdm import tqdm

from attnbook.grading import batch
from attnbook.grading.answers import WrongAnswer
from attnbook.grading.assignments import Assignment
from attnbook.grading.releasing import colab_only
from attnbook.grading.releasing.sources import parts
from attnbook.grading.releasing.versions import notebook, solved_version
from attnbook.grading.results import Result

# Shorter lines (`return x`) stand in many places and give nothing away.
SHORT = 12
SOLUTION_FILES = "solution"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One notebook to grade, and what its result must be.

    Args:
        name: what the list of reasons calls it.
        notebook: handed in.
        extras: other files handed in.
        faults: returns what is not as it must be.
    """

    name: str
    notebook: NotebookNode
    extras: dict[str, bytes]
    faults: Callable[[Result], list[str]]


def refusals(
    assignment: Assignment, student: NotebookNode, backend=None, jobs: int | None = None
) -> list[str]:
    """Return every reason not to release an assignment, or an empty list.

    Args:
        assignment: its sources.
        student: the notebook to be released.
        backend: a sandbox back-end; the best that works here if None.
        jobs: how many notebooks are graded at once.
    """
    found = unplanted(assignment) + leaks(assignment, student)
    code = [cell.source for cell in student.cells if cell.cell_type == "code"]
    lonely = colab_only.faults(code, assignment.limits.total_seconds)
    found += [f"with only what Colab has: {fault}" for fault in lonely]
    todo = trials(assignment, student)
    off = os.environ.get("ATTNBOOK_PROGRESS") == "0"
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        tried = pool.map(lambda one: _tried(assignment, one, backend), todo)
        for reasons in tqdm(tried, assignment.name, len(todo), disable=off):
            found += reasons
    return found


def _tried(assignment: Assignment, trial: Trial, backend) -> list[str]:
    data = nbformat.writes(trial.notebook).encode()
    result = batch.grade_notebook(assignment, data, trial.extras, backend)
    found = [f"fault: {result.fault}"] if result.fault else trial.faults(result)
    return [f"{trial.name}: {fault}" for fault in found]


def trials(assignment: Assignment, student: NotebookNode) -> list[Trial]:
    """Return all that is graded before a release."""
    extras = solution_files(assignment)
    solved = solved_version(assignment)
    made = [
        Trial(
            name="stub",
            notebook=student,
            extras={},
            faults=lambda result: not_nothing(result, assignment.files),
        ),
        Trial(name="solution", notebook=solved, extras=extras, faults=not_full),
    ]
    for wrong in assignment.wrong_answers:
        trial = Trial(
            name=f"wrong answer {wrong.mistake!r} at {wrong.check}",
            notebook=with_answer(solved, wrong.code),
            extras=extras,
            faults=lambda result, wrong=wrong: not_named(result, wrong),
        )
        made.append(trial)
    for right in assignment.right_answers:
        trial = Trial(
            name=f"right answer {right.name!r}",
            notebook=with_answer(solved, right.code),
            extras=extras,
            faults=not_full,
        )
        made.append(trial)
    return made


def solution_files(assignment: Assignment) -> dict[str, bytes]:
    """Return the files that students hand in too, as the solution has them."""
    folder = assignment.folder / SOLUTION_FILES
    paths = [folder / name for name in sorted(assignment.files)]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def with_answer(solved: NotebookNode, code: str) -> NotebookNode:
    """Return the solved notebook with an answer that overrides the right one."""
    return notebook([*map(NotebookNode, solved.cells), v4.new_code_cell(code.strip())])


# what a result must be


def not_full(result: Result) -> list[str]:
    """List what a right answer lost."""
    found = [
        f"{check.id} {check.outcome}: {check.mistake}"
        for check in result.checks
        if check.earned < check.points or check.carried
    ]
    found += [
        f"visible check {check.title!r}, {check.outcome}: {check.message}"
        for check in result.visible
        if check.outcome != "passed"
    ]
    found += [f"answer {text.question} is not found" for text in _lost_texts(result)]
    return found + _cell_faults(result)


def not_nothing(result: Result, files: Collection[str] = ()) -> list[str]:
    """List what is wrong with how the unanswered notebook is marked.

    A check may also end as a mistake that names the file which was not handed in.
    """
    fine = ("not attempted", "missing")
    found = [
        f"{check.id} {check.outcome}, {check.earned:g} points: {check.mistake}"
        for check in result.checks
        if check.earned
        or not (check.outcome in fine or any(file in check.mistake for file in files))
    ]
    found += [
        f"visible check {check.title!r}, {check.outcome}: {check.message}"
        for check in result.visible
        if check.outcome != "not attempted"
    ]
    return found + _cell_faults(result)


def not_named(result: Result, wrong: WrongAnswer) -> list[str]:
    """List how a wrong answer came away, if its mistake was not named."""
    if not any(check.earned < check.points for check in result.checks):
        return ["full marks"]
    for check in result.checks:
        if check.id == wrong.check:
            named = wrong.mistake in (check.mistake, check.outcome)
            return [] if named else [f"{check.outcome}, {check.mistake!r} was named"]
    return ["there is no such check"]


def _cell_faults(result: Result) -> list[str]:
    return [f"cell {f.cell}, {f.outcome}: {f.message}" for f in result.cells]


def _lost_texts(result: Result) -> list:
    return [text for text in result.texts if not text.found]


def unplanted(assignment: Assignment) -> list[str]:
    """List the named mistakes that no expected wrong answer shows."""
    shown = {wrong.mistake for wrong in assignment.wrong_answers}
    return [
        f"check {check.id}: no wrong answer shows {mistake.name!r}"
        for check in assignment.checks
        for mistake in check.mistakes
        if mistake.name not in shown
    ]


# secrets


def leaks(assignment: Assignment, student: NotebookNode) -> list[str]:
    """List what a student notebook, outputs included, gives away.

    A line that the statement itself shows is no secret; the salt always is.
    """
    text = everything(student)
    given = "\n".join(p.released for p in parts(assignment) if not p.for_instructors)
    found = [
        f"{what}: {line!r}"
        for what, line in secrets(assignment)
        if len(line) > SHORT and line in text and line not in given
    ]
    secret = assignment.salt.removesuffix(f":{assignment.name}")
    salts = {secret, assignment.public_salt}
    found += [f"the salt: {salt!r}" for salt in sorted(salts) if salt in text]
    tags = [tag for cell in student.cells for tag in cell.metadata.get("tags", ())]
    found += ["a cell for instructors"] if "instructor" in tags else []
    return [f"the student notebook holds {leak}" for leak in found]


def secrets(assignment: Assignment) -> list[tuple[str, str]]:
    """Return what students must not read, line by line, each with its kind."""
    found = []
    for part in parts(assignment):
        notes = part.solved.splitlines() if part.for_instructors else ()
        found += [("a line of a solution", line.strip()) for line in part.secret]
        found += [("a line for instructors", line.strip()) for line in notes]
    for check in assignment.checks:
        hints = [check.hint, *(mistake.hint for mistake in check.mistakes)]
        found += [(f"a hint of check {check.id}", hint) for hint in hints]
        found.append(("the title of a check", check.title))
    return found


def everything(student: NotebookNode) -> str:
    """Return all text of a notebook: sources, outputs, metadata."""
    cells = [f"{c.source}\n{c.metadata}\n{text_of(c)}" for c in student.cells]
    return "\n".join([str(student.metadata), *cells])


def text_of(cell: NotebookNode) -> str:
    """Return what a cell's outputs show, as text."""
    shown: list[str] = []
    for output in cell.get("outputs", ()):
        items = [output.get("text", ""), *output.get("data", {}).values()]
        shown += [str(item) for item in [*items, *output.get("traceback", ())]]
    return "\n".join(shown)
