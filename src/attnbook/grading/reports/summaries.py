"""What a class did, for the report: marks, common mistakes, checks, outcomes.

Shares are of the submissions that have a mark; a fault is no mark and is in no
statistic. Everything a plot draws also stands in a table or beside it in words.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np

from attnbook.grading.assignments import Assignment, Question
from attnbook.grading.reports import plots
from attnbook.grading.reports.feedback import SIGNS
from attnbook.grading.reports.pages import (
    bar,
    escaped,
    plural,
    points,
    said,
    table,
    words,
)
from attnbook.grading.results import CheckResult, Result

MOST_MISTAKES = 15
MOST_KEYS = 5
# Outcomes that are no mistake of the kind one explains in class.
UNTOLD = ("passed", "not attempted", "timed out", "killed")


def most_points(graded: Sequence[Result]) -> float:
    """Return the most that could be had so far: free text counts once one is marked."""
    marked = any(text.earned is not None for one in graded for text in one.texts)
    return max(one.maximum if marked else one.automatic_maximum for one in graded)


def link(result: Result, text: str = "") -> str:
    """Return a link to a student's feedback."""
    address = escaped(f"feedback/{quote(result.key, safe='')}.html")
    return f'<a href="{address}">{said(text or result.student or result.key)}</a>'


# marks


def totals(graded: Sequence[Result]) -> str:
    """Return the histogram of totals with its table."""
    most = most_points(graded)
    if not most:
        return ""
    bars = plots.count([one.earned for one in graded], most)
    title = f"Totals of {plural(len(graded), 'submission')}"
    plot = plots.histogram("totals", title, bars)
    counts = plots.numbers("Submissions by total", bars)
    return (
        '<h2>Totals</h2><div class="figures two">'
        f"<div>{plot}</div><div>{counts}</div></div>"
    )


def marks_in(question: Question, graded: Sequence[Result]) -> tuple[list[float], float]:
    """Return the points each submission has in a question, and the most it can have.

    An answer in words counts once it is marked.
    """
    earned, most = [], 0.0
    for one in graded:
        items = [check for check in one.checks if check.question == question.id]
        items += [text for text in one.texts if text.question == question.id]
        most = max(most, sum(item.points for item in items))
        if items and all(item.earned is not None for item in items):
            earned.append(sum(item.earned for item in items))
    return earned, most


def questions(graded: Sequence[Result], assignment: Assignment) -> str:
    """Return mean, median and quartiles of each question, and a histogram of each."""
    rows, figures = [], []
    for question in assignment.questions:
        earned, most = marks_in(question, graded)
        title = f"{words(question.id)}. {words(question.title)}"
        rows.append(_statistics(title, earned, most))
        if earned and most:
            figures.append(_figure(question, plots.count(earned, most)))
    totals = [one.earned for one in graded]
    rows.append(_statistics("Total", totals, most_points(graded)))
    head = ["Question", "Points", "Marked", "Mean", "Lower quartile", "Median"]
    head += ["Upper quartile", "Mean share"]
    kinds = ["long", *["number"] * 7]
    return (
        "<h2>Questions</h2>"
        + table("Points by question", head, rows, kinds, "sticky")
        + f'<div class="figures">{"".join(figures)}</div>'
    )


def _statistics(title: str, earned: Sequence[float], most: float) -> list[str]:
    if not earned or not most:
        return [title, points(most), "0", *["–"] * 5]
    quarters = map(float, np.percentile(earned, [25, 50, 75]))
    mean = float(np.mean(earned))
    numbers = map(points, (mean, *quarters))
    return [
        title,
        points(most),
        str(len(earned)),
        *numbers,
        f"{100 * mean / most:.0f} %",
    ]


def _figure(question: Question, bars: plots.Bars) -> str:
    title = f"Points in question {question.id}"
    plot = plots.histogram(f"question-{escaped(question.id)}", title, bars, 190)
    heading = f"<h3>{words(question.id)}. {words(question.title)}</h3>"
    counts = plots.numbers(title, bars)
    name = f"Numbers of question {words(question.id)}"
    folded = f"<details><summary>{name}</summary>{counts}</details>"
    return f"<div>{heading}{plot}{folded}</div>"


# mistakes and checks


def mistakes(graded: Sequence[Result]) -> str:
    """Return the named mistakes, by how many submissions made each."""
    made: dict[tuple[str, str], dict[str, Result]] = defaultdict(dict)
    hints: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for one in graded:
        for check in one.checks:
            if check.mistake and check.outcome not in UNTOLD:
                name = (check.question, check.mistake)
                made[name][one.key] = one
                hints[name][check.hint] = None
    if not made:
        return ""
    order = sorted(made, key=lambda name: (-len(made[name]), name))
    items = [
        _mistake(name, list(made[name].values()), hints[name], len(graded))
        for name in order[:MOST_MISTAKES]
    ]
    rare = len(order) - MOST_MISTAKES
    more = f"<p>{plural(rare, 'rarer mistake')} not listed.</p>" if rare > 0 else ""
    return (
        "<h2>Most common mistakes</h2><p>By how many submissions made them. A full bar "
        f"is all {len(graded)} that have a mark.</p>"
        f'<ol class="bars">{"".join(items)}</ol>{more}'
    )


def _mistake(
    name: tuple[str, str], made: list[Result], hints: dict[str, None], total: int
) -> str:
    share = len(made) / total
    keys = ", ".join(link(one, one.key) for one in made[:MOST_KEYS])
    keys += f" and {len(made) - MOST_KEYS} more" if len(made) > MOST_KEYS else ""
    hint = "".join(f'<p class="note">{words(text)}</p>' for text in hints if text)
    return (
        f"<li><h3>Question {words(name[0])}: {words(name[1])}</h3>{bar(share)}"
        f'<p class="count">{len(made)} of {total} ({100 * share:.0f} %): {keys}</p>'
        f"{hint}</li>"
    )


def _by_check(graded: Sequence[Result]) -> dict[str, list[CheckResult]]:
    found: dict[str, list[CheckResult]] = defaultdict(list)
    for one in graded:
        for check in one.checks:
            found[check.id].append(check)
    return found


def checks(graded: Sequence[Result]) -> str:
    """Return how often each check passed, and how it ended elsewhere."""
    found = _by_check(graded)
    passes = {
        name: sum(check.outcome == "passed" for check in checks)
        for name, checks in found.items()
    }
    nobody = [name for name, n in passes.items() if not n]
    everybody = [name for name, n in passes.items() if n == len(found[name])]
    text = f"<p>Everybody passed: {escaped(', '.join(everybody) or 'none')}. "
    text += f"Nobody passed: {escaped(', '.join(nobody) or 'none')}."
    text += " Is such a check, or the statement, at fault?</p>" if nobody else "</p>"
    rows = [_check(checks, passes[name]) for name, checks in found.items()]
    head = ["Check", "Passed", "Share", "Otherwise"]
    kinds = ["long", "number", "bar-cell", "medium"]
    return f"<h2>Checks</h2>{text}" + table("Outcomes by check", head, rows, kinds)


def _check(checks: list[CheckResult], passed: int) -> list[str]:
    others = Counter(check.outcome for check in checks if check.outcome != "passed")
    rest = ", ".join(f"{n} {_word(name)}" for name, n in others.most_common())
    carried = sum(check.carried for check in checks)
    rest += f"{'; ' if rest else ''}{carried} by carry-over" if carried else ""
    title = f"{words(checks[0].id)}. {words(checks[0].title)}"
    share = passed / len(checks)
    return [title, f"{passed} of {len(checks)}", bar(share), rest or "–"]


def _word(outcome: str) -> str:
    return escaped(SIGNS[outcome][2])


def outcomes(graded: Sequence[Result]) -> str:
    """Return how often checks and cells ended in which way."""
    checks = [check for one in graded for check in one.checks]
    rows = []
    for outcome in SIGNS:
        number = sum(check.outcome == outcome for check in checks)
        if number:
            share = number / len(checks)
            who = sum(any(c.outcome == outcome for c in one.checks) for one in graded)
            rows.append([_word(outcome), str(number), str(who), bar(share)])
    stopped = sum(any(cell.outcome != "error" for cell in one.cells) for one in graded)
    raised = sum(any(cell.outcome == "error" for cell in one.cells) for one in graded)
    text = (
        f"<p>Cells had to be stopped in {plural(stopped, 'submission')}, and raised "
        f"errors in {plural(raised, 'submission')}.</p>"
    )
    head = ["Outcome", "Checks", "Submissions", "Share of checks"]
    kinds = ["", "number", "number", "bar-cell"]
    return "<h2>Outcomes</h2>" + table("How checks ended", head, rows, kinds) + text
