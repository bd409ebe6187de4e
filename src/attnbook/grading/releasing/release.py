"""Release an assignment: prove it, run it, write what students and instructors get.

Nothing is written unless every gate holds (`gates`). A gate that held is remembered by
a hash of all that decided it, and a notebook whose code did not change is not run
again: a second release changes no byte.
"""

import hashlib
import tempfile
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from attnbook.grading import batch
from attnbook.grading.assignments import Assignment
from attnbook.grading.releasing import gates, nbgrader
from attnbook.grading.releasing.execution import execute, with_outputs_of
from attnbook.grading.releasing.versions import instructor_version, student_version

KEPT = Path(".build/grading")


class ReleaseRefused(RuntimeError):
    """An assignment is not ready for students.

    Args:
        name: the assignment's.
        reasons: every one, not just the first.
    """

    def __init__(self, name: str, reasons: list[str]):
        listed = "\n".join(f"  - {reason}" for reason in reasons)
        super().__init__(f"{name} is not released:\n{listed}")
        self.reasons = reasons


def release(
    assignment: Assignment,
    *,
    notebooks: Path,
    out: Path,
    repository: str = "",
    branch: str = "main",
    for_nbgrader: bool = False,
    backend=None,
    jobs: int | None = None,
    kept: Path = KEPT,
) -> list[Path]:
    """Write an assignment's notebooks, once every gate holds.

    Args:
        assignment: its sources.
        notebooks: where `<name>.ipynb` for students goes, executed.
        out: where `<name>/instructor.ipynb` goes.
        repository: the address on GitHub, for the link to Colab; none, no link.
        branch: the branch that the link opens.
        for_nbgrader: also write `<name>/nbgrader.ipynb`.
        backend: a sandbox back-end; the best that works here if None.
        jobs: how many notebooks are graded at once.
        kept: the folder that remembers which gates held.

    Returns:
        The files.

    Raises:
        ReleaseRefused: with every reason.
        AssignmentError: the sources contradict each other.
    """
    student = student_version(assignment, repository, branch)
    prove(assignment, student, kept, backend, jobs)
    target = notebooks / f"{assignment.name}.ipynb"
    mine = out / assignment.name
    made = {
        target: executed(assignment, student, target),
        mine / "instructor.ipynb": instructor_version(assignment),
    }
    if for_nbgrader:
        made[mine / "nbgrader.ipynb"] = nbgrader.export(assignment)
    for path, notebook in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    return list(made)


def prove(
    assignment: Assignment,
    student: NotebookNode,
    kept: Path,
    backend=None,
    jobs: int | None = None,
) -> None:
    """Try every gate, unless the same gates held before.

    Raises:
        ReleaseRefused: with every reason.
    """
    path = kept / f"{assignment.name}.held"
    digest = _digest(assignment, student)
    if path.exists() and path.read_text("utf-8") == digest:
        return
    reasons = gates.refusals(assignment, student, backend, jobs)
    if reasons:
        raise ReleaseRefused(assignment.name, reasons)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(digest, "utf-8")


def executed(
    assignment: Assignment, student: NotebookNode, target: Path
) -> NotebookNode:
    """Return the student notebook with its outputs.

    Raises:
        ReleaseRefused: a cell raises, or an output gives something away.
    """
    done = with_outputs_of(target, student)
    if done is None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = execute(student, Path(folder))
            except CellExecutionError as error:
                raise ReleaseRefused(assignment.name, [str(error)]) from error
    if reasons := gates.leaks(assignment, done):
        raise ReleaseRefused(assignment.name, reasons)
    return done


def _digest(assignment: Assignment, student: NotebookNode) -> str:
    """Return a hash over all that decides whether the gates hold."""
    digest = hashlib.sha256(
        f"{assignment.fingerprint}{batch.grader_version()}".encode()
    )
    digest.update(nbformat.writes(student).encode())
    for name, data in gates.solution_files(assignment).items():
        digest.update(f"{name}\n{hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()
