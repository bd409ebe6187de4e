"""Grade one submission, or a class: read, run, judge, try again with carry-over.

A submission is graded on its own, with hidden inputs that depend on the salt and the
check only: the order of a class changes no mark. Finished results are kept by the hash
of everything that decided them, so a batch that was interrupted goes on where it was.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import numpy as np
from tqdm import tqdm

from attnbook.grading.assignments import Assignment, Question
from attnbook.grading.boxes.sandbox import choose
from attnbook.grading.intake import reading
from attnbook.grading.intake.collect import Submission
from attnbook.grading.intake.magics import without_comments
from attnbook.grading.judging import Check, Wrong, decide, draw
from attnbook.grading.releasing import versions
from attnbook.grading.reports.faults import GRADER_FAILED
from attnbook.grading.results import (
    OUTCOMES,
    CellFault,
    CheckResult,
    FreeText,
    Result,
    VisibleCheck,
)
from attnbook.grading.sessions import Outcome, Run, rebuilt

# Outcomes that an earlier question's fault can bring about.
AGAIN = ("wrong", "error", "missing", "not attempted", "timed out", "killed")
# Errors whose name is worth showing; any other name could be a message.
NAMED_ERRORS = re.compile(
    r"(Type|Value|Key|Index|Name|Attribute|Runtime|Assertion|"
    r"ZeroDivision|NotImplemented|Import|ModuleNotFound|Recursion|Memory|"
    r"UnboundLocal|EOF|FileNotFound|Overflow)Error|SystemExit"
)


def grade_notebook(
    assignment: Assignment,
    data: bytes,
    extras: Mapping[str, bytes] | None = None,
    backend=None,
    *,
    key: str = "submission",
    student: str = "",
    file: str = "",
) -> Result:
    """Grade one notebook.

    Args:
        assignment: what it answers.
        data: the notebook file's bytes, whatever they are.
        extras: other files that were handed in, by name.
        backend: a sandbox back-end; the best that works here if None.
        key: a name for the result that is safe as a file name.
        student: the name to show.
        file: where it came from, for the report.

    Returns:
        A result with marks, or with a named fault.

    Raises:
        NoSandbox: none works here.
        RuntimeError: the sandbox does not come up.
    """
    backend = backend or choose()
    start = monotonic()
    result = Result(assignment=assignment.name, key=key, student=student, file=file)
    try:
        cells = reading.read_notebook(data)
    except reading.Unreadable as unreadable:
        result.fault = unreadable.fault
        return result
    stubs = versions.stubs(assignment)
    dropped = versions.released_cells(assignment) | stubs
    code = reading.runnable(cells, dropped)
    run = Run(
        assignment=assignment,
        backend=backend,
        cells=code,
        extras=extras or {},
        visible=versions.visible_checks(assignment),
        checks=assignment.checks,
    )
    outcome = run.to_the_end()
    left = {s for c in cells if (s := reading.normalised(c.source)) in stubs}
    result.checks, result.flags = judge_all(assignment, outcome, left)
    outcome.cpu_seconds += carry_over(run, result, left)
    result.visible = [visible(*block, left) for block in blocks(outcome)]
    result.cells = [cell_fault(*item) for item in sorted(outcome.cells.items())]
    result.texts = texts(assignment, cells)
    result.flags += flags(assignment, code, result)
    result.seconds = round(monotonic() - start, 3)
    result.cpu_seconds = round(outcome.cpu_seconds, 3)
    return result


# judging


def judge_all(
    assignment: Assignment, outcome: Outcome, stubs_left: set[str]
) -> tuple[list[CheckResult], list[str]]:
    """Judge every answer; return the results and notes for the instructor."""
    results, notes = [], []
    for check in assignment.checks:
        answer = answer_to(check, outcome, stubs_left)
        result, note = judge_one(assignment, check, answer)
        if result.outcome == "missing" and outcome.cells:
            result.hint = "A cell of the notebook did not run to its end: is it there?"
        results.append(result)
        notes += note
    return results, notes


def answer_to(check: Check, outcome: Outcome, stubs_left: set[str]) -> dict:
    """Return a probe's answer; a name whose stub still stands is not attempted."""
    answer = outcome.probes[check.id]
    if "missing" in answer and still_a_stub(str(answer["missing"]), stubs_left):
        return {"not attempted": True}
    return answer


def judge_one(
    assignment: Assignment, check: Check, answer: dict
) -> tuple[CheckResult, list[str]]:
    """Turn one answer from the sandbox into points and words."""
    result = CheckResult(
        id=check.id,
        question=check.question,
        title=check.title,
        points=check.points,
        earned=0.0,
        outcome="wrong",
    )
    if "value" not in answer:
        known = {name for asked in assignment.questions for name in asked.names}
        result.outcome, result.mistake, result.hint = unanswered(answer, known)
        return result, []
    try:
        got = rebuilt(answer["value"])
        with np.errstate(all="ignore"):
            inputs = draw(check, assignment.salt)
            decide(check, inputs, got, assignment.tolerance)
    except Wrong as wrong:
        result.mistake, result.hint = wrong.mistake, wrong.hint
    except Exception as error:
        result.mistake = "not the kind of value that is asked for"
        result.hint = check.hint
        return result, [f"check {check.id}: {type(error).__name__} while judging"]
    else:
        result.outcome, result.earned = "passed", check.points
    return result, []


def unanswered(answer: dict, known: set[str]) -> tuple[str, str, str]:
    """Return outcome, mistake and hint where a probe brought no value.

    Nothing of the answer is passed on but words that we know: the rest could be a
    hidden input.
    """
    if "missing" in answer:
        name = answer["missing"] if str(answer["missing"]) in known else "it needs"
        hint = "Answers are found by the names they define: keep the released names."
        return "missing", f"the name {name} is not defined", hint
    if "not attempted" in answer:
        return "not attempted", "not attempted", ""
    if "stopped" in answer:
        timed_out = answer["stopped"] == "timed out"
        hint = "A loop that does not end, or far too much work?"
        if not timed_out:
            hint = "Too much memory or output, an exit, or a crash?"
        return answer["stopped"], answer["stopped"], hint
    if "refused" in answer:
        hint = f"Its words were: {answer['refused']}."
        return "error", "asks too much of a hidden function", hint
    kind = str(answer.get("error", ""))
    kind = kind if NAMED_ERRORS.fullmatch(kind) else "an exception"
    hint = (
        "It fails on other sizes, values or number types (float64) than those of the "
        "visible checks."
    )
    if kind == "MemoryError":
        hint = "It needs more memory than there is: which table is that large?"
    return "error", f"raises {kind}", hint


def still_a_stub(name: str, stubs_left: set[str]) -> bool:
    """Tell whether the released stub of a name is still in the notebook."""
    pattern = re.compile(rf"^(?:(?:def|class)\s+)?{re.escape(name)}\b", re.MULTILINE)
    return any(pattern.search(stub) for stub in stubs_left)


# carry-over


def carry_over(first: Run, result: Result, stubs_left: set[str]) -> float:
    """Try later questions again with right earlier ones; return the CPU seconds.

    The worked solution of the earlier functions replaces the student's, in a box of its
    own, after the earlier questions are judged. It cannot bring the earlier points.
    Those with a failed check are replaced first, then all that the question may use: a
    fault that its own checks do not see should not cost a later question either. All of
    it together has as much time as the first run had.
    """
    seconds, deadline = 0.0, monotonic() + first.limits.total_seconds
    for question in first.assignment.questions:
        if all(still_a_stub(name, stubs_left) for name in question.names):
            continue
        faulty = set(question.uses) & names_with_faults(first.assignment, result)
        for names in sorted({frozenset(faulty), frozenset(question.uses)}, key=len):
            places = [
                place
                for place, check in enumerate(result.checks)
                if check.question == question.id and check.outcome in AGAIN
            ]
            if not names or not places:
                continue
            checks = [first.checks[place] for place in places]
            outcome = try_again(first, names, checks, deadline)
            seconds += outcome.cpu_seconds
            for place, check in zip(places, checks, strict=True):
                answer = answer_to(check, outcome, stubs_left)
                again, _ = judge_one(first.assignment, check, answer)
                if says_more(again, result.checks[place]):
                    result.checks[place] = replace(again, carried=bool(again.earned))
    return seconds


def says_more(again: CheckResult, before: CheckResult) -> bool:
    """Tell whether a second trial is the one to keep.

    Also where it is still wrong: now the mistake is this question's own. But where the
    student's functions ran together, an error may only say that the worked solution
    does not take all that the student's did, such as one more argument.
    """
    if again.outcome in ("timed out", "killed"):
        return False
    return again.outcome != "error" or before.outcome != "wrong"


def try_again(
    first: Run, names: Set[str], checks: Sequence[Check], deadline: float
) -> Outcome:
    """Run some probes again, with the worked solution of earlier names."""
    reference = versions.reference_code(first.assignment, names)
    run = replace(
        first,
        cells=[*first.cells, (0, reference)],
        visible=(),
        checks=checks,
        outcome=Outcome(),
    )
    run.deadline = deadline
    return run.to_the_end()


def names_with_faults(assignment: Assignment, result: Result) -> set[str]:
    """Return the names that belong to questions with a failed check."""
    failed = {check.question for check in result.checks if not check.earned}
    return {
        name
        for question in assignment.questions
        if question.id in failed
        for name in question.names
    }


# the rest of a result


def blocks(outcome: Outcome) -> list[list]:
    """Return the visible checks' blocks, in order, if they have the right form."""
    found = [block for _, seen in sorted(outcome.visible.items()) for block in seen]
    return [
        block
        for block in found
        if isinstance(block, list)
        and len(block) == 3
        and all(isinstance(text, str) for text in block)
    ]


def visible(
    title: str, outcome: str, message: str, stubs_left: set[str]
) -> VisibleCheck:
    """Return how a visible check ended."""
    lost = re.fullmatch(r"NameError: name '(\w+)' is not defined", message)
    if lost and still_a_stub(lost[1], stubs_left):
        outcome, message = "not attempted", ""
    outcome = outcome if outcome in OUTCOMES else "error"
    return VisibleCheck(title=shown(title), outcome=outcome, message=shown(message))


def shown(text: object) -> str:
    """Return text from inside as something that can be written and read."""
    letters = [c if c.isprintable() or c in "\n\t" else "?" for c in str(text)[:400]]
    return "".join(letters).encode("utf-8", "replace").decode()


def cell_fault(number: int, fault: dict) -> CellFault:
    """Return what went wrong in a cell."""
    if "stopped" in fault:
        return CellFault(
            cell=number, outcome=fault["stopped"], message=fault["message"]
        )
    message = f"{fault.get('error', '')}: {fault.get('message', '')}"
    return CellFault(cell=number, outcome="error", message=shown(message))


def texts(assignment: Assignment, cells: Sequence) -> list[FreeText]:
    """Return the answers in words."""
    asked = [question for question in assignment.questions if question.text]
    released = released_markdown(assignment)
    found = reading.find_texts(cells, [question.id for question in asked], released)
    return [free_text(question, found[question.id]) for question in asked]


def released_markdown(assignment: Assignment) -> set[str]:
    """Return the statement's Markdown cells: none of them is part of an answer."""
    cells = versions.student_version(assignment).cells
    return {
        reading.normalised(cell.source)
        for cell in cells
        if cell.cell_type == "markdown"
    }


def free_text(question: Question, text: str | None) -> FreeText:
    """Return one answer in words."""
    found = text is not None
    return FreeText(
        question=question.id, points=question.points, text=text or "", found=found
    )


def flags(assignment: Assignment, code: Sequence, result: Result) -> list[str]:
    """Return what a person should look at; flags take no points."""
    source = "\n".join(without_comments(text) for _, text in code)
    notes = [
        f"uses {name}"
        for name in assignment.flag
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source)
    ]
    if result.checks and all(c.outcome == "missing" for c in result.checks):
        notes.append("defines no name of this assignment: another notebook?")
    notes += [
        f"answer {text.question} not found" for text in result.texts if not text.found
    ]
    return notes


# a class


@cache
def grader_version() -> str:
    """Return a hash over the grader's own code, Python and the two libraries."""
    parts = [sys.version, *map(version, ("numpy", "torch"))]
    digest = hashlib.sha256("\n".join(parts).encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def hash_of(submission: Submission, assignment: Assignment, backend) -> str:
    """Return a hash over all that decides a submission's marks."""
    digest = hashlib.sha256(grader_version().encode())
    digest.update(f"{assignment.fingerprint}{backend.name}".encode())
    parts = [("", submission.notebook), *sorted(submission.extras.items())]
    for name, data in parts:
        digest.update(f"{name}\n{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def grade_class(
    assignment: Assignment,
    submissions: Sequence[Submission],
    kept: Path,
    backend,
    jobs: int | None = None,
) -> list[Result]:
    """Grade submissions side by side.

    Args:
        assignment: what they answer.
        submissions: from `collect`.
        kept: the folder where finished results are kept, and found again.
        backend: a sandbox back-end.
        jobs: how many at once; the number of cores if None.

    Returns:
        One result per submission, in their order.
    """
    kept.mkdir(parents=True, exist_ok=True)
    off = os.environ.get("ATTNBOOK_PROGRESS") == "0"
    results: dict[str, Result] = {}
    with (
        ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool,
        tqdm(total=len(submissions), unit="submission", disable=off) as bar,
    ):
        todo = {
            pool.submit(_one, assignment, submission, kept, backend): submission.key
            for submission in submissions
        }
        try:
            for done in as_completed(todo):
                results[todo[done]] = done.result()
                bar.update()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[submission.key] for submission in submissions]


def _one(assignment: Assignment, submission: Submission, kept: Path, backend) -> Result:
    identity = {"key": submission.key, "student": submission.student}
    identity["file"] = submission.file
    if submission.fault:
        result = Result(assignment=assignment.name, fault=submission.fault, **identity)
        return replace(result, flags=list(submission.flags))
    path, digest = (
        kept / f"{submission.key}.json",
        hash_of(submission, assignment, backend),
    )
    result = _kept(path, digest)
    if result is None:
        try:
            result = grade_notebook(
                assignment, submission.notebook, submission.extras, backend, **identity
            )
        except Exception as error:  # one submission must not end the batch
            fault = f"{GRADER_FAILED}: {type(error).__name__}: {error}"
            result = Result(assignment=assignment.name, fault=fault, **identity)
        else:
            _keep(path, digest, result)
    return replace(result, **identity, flags=[*submission.flags, *result.flags])


def _kept(path: Path, digest: str) -> Result | None:
    try:
        data = json.loads(path.read_text("utf-8"))
        return (
            Result.from_json(json.dumps(data["result"]))
            if data["hash"] == digest
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(path: Path, digest: str, result: Result) -> None:
    text = json.dumps({"hash": digest, "result": json.loads(result.to_json())})
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)
