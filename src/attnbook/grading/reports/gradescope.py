"""A result as Gradescope's `results.json`.

Follows "Autograder Specifications", section "Output format"
(https://gradescope-autograders.readthedocs.io/en/latest/specs/). Three things that a
reader might not expect: the format has no maximum for the whole (Gradescope holds it in
the assignment's settings), so ours stands in `extra_data`; the text for the whole is
rendered as HTML unless `output_format` says "text"; and a result without any score
counts as a crash of the grader, so that a fault is a failed test with 0 points, which
the student sees at once and can mend by handing in again.
"""

import json
from pathlib import Path

from attnbook.grading.assignments import Assignment
from attnbook.grading.reports.faults import explained
from attnbook.grading.reports.feedback import ANSWERED, carried_over
from attnbook.grading.reports.pages import file_in, points
from attnbook.grading.results import CheckResult, FreeText, Result, VisibleCheck

VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")


def write(result: Result, assignment: Assignment, folder: Path) -> Path:
    """Write `<folder>/<key>.json` and return its path.

    Raises:
        ValueError: the result's key is no file name.
    """
    path = file_in(folder, result.key, ".json")
    text = json.dumps(results_json(result, assignment), indent=1)
    path.write_text(text, "utf-8")
    return path


def results_json(
    result: Result, assignment: Assignment, visibility: str = "after_due_date"
) -> dict:
    """Return what goes into `/autograder/results/results.json`.

    Args:
        result: of one submission.
        assignment: what it answers.
        visibility: when students see the hidden checks: shown at once, they invite
            trying until all pass. The notebook's own checks are always shown.

    Raises:
        ValueError: Gradescope knows no such visibility.
    """
    if visibility not in VISIBILITIES:
        raise ValueError(f"visibility is one of {VISIBILITIES}, not {visibility!r}")
    tests = [_visible(check) for check in result.visible]
    tests += [_hidden(check, assignment, visibility) for check in result.checks]
    tests += [
        _text(text, visibility) for text in result.texts if text.earned is not None
    ]
    if result.fault:
        tests = [_fault(result)]
    return {
        "score": 0.0 if result.fault else round(result.earned, 2),
        "execution_time": round(result.seconds),
        "output": _output(result, assignment),
        "output_format": "text",
        "visibility": "visible" if result.fault else visibility,
        "stdout_visibility": "hidden",
        "extra_data": {
            "assignment": assignment.name,
            "max_score": round(result.maximum, 2),
            "fault": result.fault.partition(":")[0],
        },
        "tests": tests,
    }


def _output(result: Result, assignment: Assignment) -> str:
    if result.fault:
        return f"{assignment.title}: there is no mark yet, because of the file."
    waiting = [text for text in result.texts if text.earned is None]
    lines = [assignment.title]
    lines += [
        f"Question {text.question} ({points(text.points)} points) is marked by hand."
        for text in waiting
    ]
    lines += [
        f"Code cell {cell.cell}: {cell.outcome}. {cell.message}".strip()
        for cell in result.cells
    ]
    return "\n".join(lines)


def _test(name: str, output: str, visibility: str, **more) -> dict:
    test = {"name": name, "name_format": "text"}
    test |= {"output": output, "output_format": "text", "visibility": visibility}
    return test | more


def _status(passed: bool) -> str:
    return "passed" if passed else "failed"


def _visible(check: VisibleCheck) -> dict:
    name = f"In the notebook: {check.title} (no points)"
    status = _status(check.outcome == "passed")
    return _test(name, check.message, "visible", status=status)


def _hidden(check: CheckResult, assignment: Assignment, visibility: str) -> dict:
    passed = check.outcome == "passed"
    lines = [] if passed else [ANSWERED.get(check.outcome, check.outcome)]
    if not passed and check.mistake and check.mistake != check.outcome:
        lines.append(f"{check.mistake}.")
    lines += [check.hint] if check.hint and not passed else []
    lines += [carried_over(assignment, check.question)] if check.carried else []
    return _test(
        f"Question {check.question}: {check.title}",
        "\n".join(lines),
        visibility,
        status=_status(passed),
        score=round(check.earned, 2),
        max_score=round(check.points, 2),
        number=check.id,
    )


def _text(text: FreeText, visibility: str) -> dict:
    return _test(
        f"Question {text.question}, marked by hand",
        text.comment,
        visibility,
        score=round(text.earned, 2),
        max_score=round(text.points, 2),
        number=text.question,
    )


def _fault(result: Result) -> dict:
    output = "\n".join(explained(result.fault))
    return _test("The file can be graded", output, "visible", status=_status(False))
