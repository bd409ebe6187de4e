"""The page that a student reads: what was earned, what failed, and what to look at.

It holds no flag (those are for the instructor) and no hidden number: of a hidden check
only title, outcome, named mistake and hint are known here. A fault says in plain words
what was wrong with the file and what to do.
"""

from pathlib import Path

from attnbook.grading.assignments import Assignment, Question
from attnbook.grading.reports.faults import explained
from attnbook.grading.reports.pages import (
    bar,
    box,
    document,
    escaped,
    file_in,
    plural,
    points,
    quoted,
    said,
    table,
    words,
)
from attnbook.grading.results import (
    CellFault,
    CheckResult,
    FreeText,
    Result,
    VisibleCheck,
)

SIGNS = {
    "passed": ("passed", "✓", "passed"),
    "wrong": ("failed", "✗", "wrong"),
    "error": ("failed", "✗", "error"),
    "missing": ("failed", "✗", "not defined"),
    "not attempted": ("open", "○", "not tried"),
    "timed out": ("failed", "✗", "too slow"),
    "killed": ("failed", "✗", "ended"),
}
# One sentence for each way of not passing.
ANSWERED = {
    "wrong": "The result is not the expected one.",
    "error": "Your code raised an error.",
    "missing": "The notebook does not define a name that this check needs.",
    "not attempted": "The stub still stands.",
    "timed out": "Your code did not finish in time and was stopped.",
    "killed": "Your code ended the process, or used too much memory, and was stopped.",
}
HOW = (
    '<p class="note">Points come from hidden checks. They call your functions with '
    "numbers that the notebook does not show, and this page does not show them "
    "either.</p>"
)


def write_feedback(result: Result, assignment: Assignment, folder: Path) -> Path:
    """Write `<folder>/<key>.html` and return its path.

    Raises:
        ValueError: the result's key is no file name.
    """
    path = file_in(folder, result.key, ".html")
    path.write_text(page(result, assignment), "utf-8")
    return path


def page(result: Result, assignment: Assignment) -> str:
    """Return the page as HTML."""
    who = f"For {said(result.student or result.key)}"
    if result.file:
        who += f", file {said(result.file)}"
    parts = [
        f"<h1>{words(assignment.title)}</h1>",
        f'<p class="who">{who}</p>',
        *(_fault(result) if result.fault else _marks(result, assignment)),
    ]
    return document(f"Feedback: {assignment.title}", "\n".join(parts), "feedback")


# a file that could not be graded


def _fault(result: Result) -> list[str]:
    wrong, what = explained(result.fault)
    text = (
        "<p>Your file could not be graded. This is not 0 points: it is no mark, until "
        "there is a file that can be graded.</p>"
    )
    return [
        box("No mark yet", text, "bad"),
        f"<h2>What was wrong with the file</h2><p>{said(wrong)}</p>",
        f"<h2>What to do</h2><p>{escaped(what)}</p>",
    ]


# a mark and what led to it


def _marks(result: Result, assignment: Assignment) -> list[str]:
    known = {question.id: question for question in assignment.questions}
    ids = dict.fromkeys(check.question for check in result.checks)
    ids |= dict.fromkeys(text.question for text in result.texts)
    order = [name for name in known if name in ids] + [n for n in ids if n not in known]
    questions = [known.get(name, Question(id=name, title="")) for name in order]
    return [
        _score(result),
        _summary(result, questions),
        _cells(result.cells, assignment),
        HOW,
        *(_question(result, question, assignment) for question in questions),
        _visible(result.visible),
    ]


def _score(result: Result) -> str:
    waiting = [text for text in result.texts if text.earned is None]
    possible = result.maximum - sum(text.points for text in waiting)
    text = f'<p class="score"><strong>{points(result.earned)}</strong> of '
    text += f"{points(possible)} points{' so far' if waiting else ''}</p>"
    if waiting:
        text += f"<p>{' '.join(map(_waiting, waiting))}</p>"
    return text


def _waiting(text: FreeText) -> str:
    return (
        f"Question {escaped(text.question)} ({points(text.points)} points) is marked "
        "by hand and not yet marked."
    )


def _summary(result: Result, questions: list[Question]) -> str:
    rows = []
    for question in questions:
        earned, possible, waits = _of_question(result, question.id)
        share = "" if waits else bar(earned / possible if possible else 0.0)
        got = "not yet marked" if waits else f"{points(earned)} of {points(possible)}"
        link = f'<a href="#question-{escaped(question.id)}">{_title(question)}</a>'
        rows.append([link, got, share])
    head = ["Question", "Points", "Share"]
    return table("Points by question", head, rows, ["", "number", "bar-cell"])


def _of_question(result: Result, name: str) -> tuple[float, float, bool]:
    """Return points earned, points possible, and whether a person must still mark."""
    checks = [check for check in result.checks if check.question == name]
    texts = [text for text in result.texts if text.question == name]
    earned = sum(item.earned or 0.0 for item in (*checks, *texts))
    possible = sum(item.points for item in (*checks, *texts))
    return earned, possible, any(text.earned is None for text in texts)


def _title(question: Question) -> str:
    return f"{words(question.id)}. {words(question.title)}".rstrip(". ")


def _question(result: Result, question: Question, assignment: Assignment) -> str:
    checks = [check for check in result.checks if check.question == question.id]
    texts = [text for text in result.texts if text.question == question.id]
    name = escaped(question.id)
    parts = [f'<h2 id="question-{name}">Question {_title(question)}</h2>']
    if any(check.carried for check in checks):
        note = words(carried_over(assignment, question.id))
        parts.append(f'<p class="note">{note}</p>')
    if checks:
        caption = f"Hidden checks of question {question.id}"
        rows = [_check(check) for check in checks]
        head = ["Check", "Result", "Points"]
        parts.append(table(caption, head, rows, ["", "outcome", "number"]))
    return "\n".join([*parts, *map(_text, texts)])


def carried_over(assignment: Assignment, name: str) -> str:
    """Say that a question was tried again with right answers to earlier ones."""
    uses = next((q.uses for q in assignment.questions if q.id == name), ())
    right = "right answers to earlier questions"
    if len(uses) == 1:
        right = f"a right `{uses[0]}`"
    elif uses:
        right = "right versions of " + ", ".join(f"`{use}`" for use in uses)
    return (
        f"Question {name} was tried again with {right}, so that one mistake costs once."
    )


def _check(check: CheckResult) -> list[str]:
    title = words(check.title)
    if check.outcome != "passed":
        if check.mistake and check.mistake != check.outcome:
            title += f"<p><strong>{words(_sentence(check.mistake))}</strong></p>"
        hint = check.hint or ANSWERED.get(check.outcome, "")
        title += f"<p>{words(hint)}</p>"
    share = f"{points(check.earned)} of {points(check.points)}"
    return [title, sign(check.outcome), share]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def sign(outcome: str) -> str:
    """Return an outcome as a sign and a word; the colour only repeats them."""
    kind, mark, word = SIGNS.get(outcome, ("failed", "✗", outcome))
    mark = f'<span aria-hidden="true">{mark} </span>'
    return f'<span class="{kind}">{mark}{said(word)}</span>'


def _text(text: FreeText) -> str:
    if text.earned is None:
        parts = [f"<p>{_waiting(text)}</p>"]
    else:
        share = f"{points(text.earned)} of {points(text.points)} points"
        parts = [f"<p><strong>{share}</strong>, marked by hand.</p>"]
    if text.comment:
        parts.append(box("Comment", quoted(text.comment, "answer"), level=3))
    if not text.found:
        parts.append(
            "<p>No answer was found. It is looked for in the text cell that starts "
            f"with “Answer {escaped(text.question)}.”</p>"
        )
    elif text.text.strip():
        body = quoted(text.text, "answer")
        parts.append(f"<details><summary>Your answer</summary>{body}</details>")
    return "\n".join(parts)


def _cells(cells: list[CellFault], assignment: Assignment) -> str:
    if not cells:
        return ""
    items = [f"<li>{_cell(cell, assignment)}</li>" for cell in cells]
    heading = f"{plural(len(cells), 'cell')} of your notebook did not finish"
    after = "<p>Code cells are counted from 1. Grading went on after them.</p>"
    return box(heading, f"<ul>{''.join(items)}</ul>{after}", "warn")


def _cell(cell: CellFault, assignment: Assignment) -> str:
    seconds = points(assignment.limits.cell_seconds)
    said_what = {
        "timed out": f"was stopped after {seconds} s and skipped.",
        "killed": "ended the process and was skipped.",
        "error": "raised an error.",
    }.get(cell.outcome, escaped(cell.outcome))
    told = cell.outcome == "timed out" or not cell.message
    return f"Cell {cell.cell} {said_what}{'' if told else quoted(cell.message)}"


def _visible(checks: list[VisibleCheck]) -> str:
    if not checks:
        return ""
    rows = [[said(one.title) + _message(one), sign(one.outcome)] for one in checks]
    head = ["Check", "Result"]
    return (
        "<h2>The checks in your notebook</h2>"
        "<p>You saw these while you worked. They bring no points.</p>"
        + table("Visible checks", head, rows, ["", "outcome"])
    )


def _message(check: VisibleCheck) -> str:
    if check.outcome == "passed" or not check.message:
        return ""
    return quoted(check.message)
