"""The page for the instructor: what needs a look, what the class did, every student.

It works for any number of submissions, none included, and links to the feedback beside
it. It counts and compares; whether two submissions are too alike it does not judge.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attnbook.grading.assignments import Assignment
from attnbook.grading.reports import summaries
from attnbook.grading.reports.pages import (
    box,
    document,
    escaped,
    plural,
    points,
    said,
    table,
    words,
)
from attnbook.grading.results import Result

SLOWEST = 5


def write_report(
    results: Sequence[Result], assignment: Assignment, path: Path, unsafe: bool = False
) -> None:
    """Write the report of a class; it links to `feedback/<key>.html` beside it.

    Args:
        results: of the class, also none.
        assignment: what they answer.
        path: the file to write.
        unsafe: say at the top that there was no sandbox.
    """
    path.write_text(page(results, assignment, unsafe), "utf-8")


def page(
    results: Sequence[Result], assignment: Assignment, unsafe: bool = False
) -> str:
    """Return the page as HTML."""
    results = sorted(results, key=lambda one: one.key)
    graded = [one for one in results if not one.fault]
    parts = [
        f"<h1>Report: {words(assignment.title)}</h1>",
        f'<p class="who">{escaped(assignment.name)}, for the instructor</p>',
        _unsafe() if unsafe else "",
        _facts(results, graded),
        _faults(results),
        _flags(results),
    ]
    if graded:
        parts += [
            summaries.totals(graded),
            summaries.questions(graded, assignment),
            summaries.mistakes(graded),
            summaries.checks(graded),
            summaries.outcomes(graded),
            _slowest(graded),
        ]
    parts.append(_students(results, assignment))
    return document(f"Report: {assignment.title}", "\n".join(parts), "report")


# what needs a look


def _unsafe() -> str:
    text = (
        "<p>These submissions ran without a sandbox. Any of them could read your files "
        "and change these marks. Do not publish them.</p>"
    )
    return box("UNSAFE: graded without a sandbox", text, "bad")


def _facts(results: Sequence[Result], graded: Sequence[Result]) -> str:
    facts = {
        "submissions": str(len(results)),
        "with a mark": str(len(graded)),
        "with a fault, no mark": str(len(results) - len(graded)),
    }
    if graded:
        middle = float(np.median([one.earned for one in graded]))
        facts["median total"] = (
            f"{points(middle)} of {points(summaries.most_points(graded))}"
        )
    rows = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())
    waiting = sum(any(text.earned is None for text in one.texts) for one in graded)
    note = ""
    if waiting:
        note = (
            f"<p>{plural(waiting, 'submission')} still "
            f"{'waits' if waiting == 1 else 'wait'} for marks by hand (free_text.csv). "
            f"{'Totals hold automatic points only.' if waiting == len(graded) else ''}"
            "</p>"
        )
    return f'<dl class="facts">{rows}</dl>{note}'


def _faults(results: Sequence[Result]) -> str:
    rows = [
        [summaries.link(one), said(one.file), said(one.fault)]
        for one in results
        if one.fault
    ]
    if not rows:
        return ""
    text = "<p>These have no mark, which is not the same as 0 points.</p>"
    caption = "Submissions that could not be graded"
    return (
        "<h2>Faults</h2>"
        + text
        + table(caption, ["Student", "File", "Fault"], rows, ["", "medium", "long"])
    )


def _flags(results: Sequence[Result]) -> str:
    rows = [
        [summaries.link(one), "<br>".join(said(flag) for flag in one.flags)]
        for one in results
        if one.flags
    ]
    if not rows:
        return ""
    text = (
        "<p>Worth a human look. Flags take no points, and students do not see them.</p>"
    )
    head = ["Student", "Flags"]
    return f"<h2>Flags</h2>{text}" + table("Flags by student", head, rows, (), "narrow")


# submissions


def _slowest(graded: Sequence[Result]) -> str:
    slow = sorted(graded, key=lambda one: -one.seconds)[:SLOWEST]
    rows = [
        [summaries.link(one), f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}"]
        for one in slow
    ]
    head = ["Student", "Seconds", "CPU seconds"]
    kinds = ["", "number", "number"]
    caption = "The slowest submissions"
    return "<h2>Time</h2>" + table(caption, head, rows, kinds, "narrow")


def _students(results: Sequence[Result], assignment: Assignment) -> str:
    if not results:
        return "<p>There is no submission.</p>"
    graded = [one for one in results if not one.fault]
    total = f"Total of {points(summaries.most_points(graded))}" if graded else "Total"
    head = ["Student", "Key", total]
    head += [f"Q{question.id}" for question in assignment.questions]
    head += ["Remarks"]
    rows = [_student(one, assignment) for one in results]
    kinds = ["", "key", *["number"] * (len(head) - 3), "long"]
    caption = "All submissions; names lead to the feedback"
    return "<h2>Students</h2>" + table(caption, head, rows, kinds, "sticky")


def _student(result: Result, assignment: Assignment) -> list[str]:
    remarks = [result.fault] if result.fault else []
    remarks += result.flags
    if result.cells:
        remarks.append(f"{plural(len(result.cells), 'cell')} did not finish")
    row = [summaries.link(result), said(result.key)]
    if result.fault:
        row += ["no mark", *["–"] * len(assignment.questions)]
        return [*row, said("; ".join(remarks))]
    row.append(points(result.earned))
    for question in assignment.questions:
        earned, _ = summaries.marks_in(question, [result])
        row.append(points(earned[0]) if earned else "–")
    return [*row, said("; ".join(remarks))]
