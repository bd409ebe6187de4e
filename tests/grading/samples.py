"""Results as a class brings them, made up: for tests and to look at the pages.

`python tests/grading/samples.py FOLDER` writes every page and sheet of a class of 30.
"""

import random
import sys
from pathlib import Path

from attnbook.grading.assignments import Assignment, Question
from attnbook.grading.results import (
    CellFault,
    CheckResult,
    FreeText,
    Result,
    VisibleCheck,
)

# id, title, points, how many of a class pass, mistake, hint
CHECKS = [
    ("1a", "`softmax` of scores up to 3", 2, 0.93, "not normalised",
     "Do the weights of each row sum to 1?"),
    ("1b", "`softmax` of scores near 1000", 2, 0.66, "NaN or infinity in the result",
     "What is the exponential of 1000? Subtract something first."),
    ("2a", "`attention` on a small case, T ≠ S", 3, 0.7, "missing scale",
     "Compare the variance of your scores with that of the queries."),
    ("2b", "`attention` with d_v ≠ d_k", 2, 0.8, "wrong shape",
     "The context has the width of the values."),
    ("3a", "`masked_attention` with a causal mask", 3, 0.55, "mask turned over",
     "True means: may attend. Which keys do you set to −∞?"),
    ("3b", "a query with nothing to attend to", 2, 0.0, "NaN or infinity in the result",
     "A row of the mask that is False everywhere must give zeros."),
    ("4a", "`additive_scores` against the definition", 4, 0.6, "wrong numbers",
     "Compare your result with the definition on a case you do by hand."),
]  # fmt: skip
NAMES = [
    "Ada Lovelace", "Alan Turing", "Grace Hopper", "José Núñez", "王小明", "Zoë Brontë",
    "Noether, Emmy", "O'Neil Cathy", "=HYPERLINK(\"//x\")", "Łukasz Żółw",
    "<script>alert(1)</script>", "أحمد", "Maximiliane von Hohenstein-Wolfenbüttel",
]  # fmt: skip
FAULTS = ["empty file", "a web page, not a notebook", "not JSON"]

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def assignment() -> Assignment:
    """Return an assignment without a folder."""
    return Assignment(
        folder=Path("a1_scores"),
        name="a1_scores",
        title="Attention and its scores",
        chapters=(1, 2, 3),
        minutes=150,
        difficulty="introductory",
        objectives=("compute a softmax that survives large scores",),
        framework="numpy",
        public_salt="public",
        questions=(
            Question(id="1", title="Softmax that survives large scores", names=("s",)),
            Question(
                id="2", title="Attention", names=("attention",), uses=("softmax",)
            ),
            Question(
                id="3", title="Masks", names=("m",), uses=("softmax", "attention")
            ),
            Question(id="4", title="Additive scores", names=("additive_scores",)),
            Question(id="5", title="Why divide by √d?", text=True, points=6),
        ),
    )


def check(id="1a", question="1", points=2.0, **given) -> CheckResult:
    """Return a passed check, or what is given."""
    given = {"title": "a title", "earned": points, "outcome": "passed"} | given
    return CheckResult(id=id, question=question, points=points, **given)


def failed(id="1a", question="1", points=2.0, outcome="wrong", **given) -> CheckResult:
    """Return a check that did not pass."""
    given = {"mistake": "missing scale", "hint": "Look at the variance."} | given
    return check(id, question, points, outcome=outcome, earned=0.0, **given)


def result(key="ada", **given) -> Result:
    """Return a small result with one text question."""
    given = {
        "student": "Ada Lovelace",
        "file": f"{key}.ipynb",
        "checks": [check(), failed("2a", "2", 3.0)],
        "texts": [FreeText(question="5", points=6.0, text="Because it grows with d.")],
    } | given
    return Result(assignment="a1_scores", key=key, **given)


def group(number: int, seed: int = 0) -> list[Result]:
    """Return the results of a class."""
    rng = random.Random(seed)
    return [_student(i, rng) for i in range(number)]


def _student(i: int, rng: random.Random) -> Result:
    key = f"s{i:03d}"
    name = NAMES[i] if i < len(NAMES) else f"Student {i}"
    if i % 10 == 7:
        fault = FAULTS[i // 10 % 3]
        return result(key, student=name, fault=fault, checks=[], texts=[])
    skill = rng.gauss(0, 0.3)
    checks = [_check(row, skill, rng) for row in CHECKS]
    checks[3].carried = checks[3].outcome == "passed" and checks[0].outcome != "passed"
    text = "The variance of a sum of d products is d.\n- I measured 63.8 for d = 64."
    one = Result(
        assignment="a1_scores",
        key=key,
        student=name,
        file=f"submissions/{key}_a1.ipynb",
        checks=checks,
        texts=[FreeText(question="5", points=6, text=text, found=i != 4)],
        visible=[VisibleCheck(title=f"Question {n}", outcome="passed") for n in "124"],
        seconds=round(1 + abs(rng.gauss(0, 0.6)), 2),
        cpu_seconds=round(0.9 + abs(rng.gauss(0, 0.3)), 2),
    )
    one.visible.insert(
        2,
        VisibleCheck(
            title="Question 3",
            outcome="passed" if rng.random() < 0.8 else "wrong",
            message="Row 0 must attend to key 0 only: look at the diagonal.",
        ),
    )
    return _with_troubles(one, i)


def _check(row, skill: float, rng: random.Random) -> CheckResult:
    name, title, worth, share, mistake, hint = row
    given = {"title": title, "points": float(worth)}
    if share and rng.random() < share + skill:
        return check(name, name[0], **given)
    outcome = rng.choice(["wrong"] * 8 + ["error", "not attempted"])
    if outcome == "error":
        mistake, hint = "raises ValueError", "It fails on other sizes than those shown."
    if outcome == "not attempted":
        mistake, hint = "not attempted", ""
    given |= {"outcome": outcome, "mistake": mistake, "hint": hint}
    return failed(name, name[0], **given)


def _with_troubles(one: Result, i: int) -> Result:
    if i % 9 == 3:
        one.flags = ["uses attnbook"]
    if i % 8 == 5:
        one.cells = [
            CellFault(cell=7, outcome="timed out", message="stopped at its time limit"),
            CellFault(
                cell=9, outcome="error", message="NameError: name 'q' is missing"
            ),
        ]
        one.seconds += 10.0
        one.checks[-1] = failed(
            "4a", "4", 4.0, "timed out", title=CHECKS[-1][1], mistake="timed out",
            hint="A loop that does not end, or far too much work?",
        )  # fmt: skip
    return one


def marked(results: list[Result], seed: int = 1) -> list[Result]:
    """Give points by hand to every answer in words."""
    rng = random.Random(seed)
    for text in (text for one in results for text in one.texts):
        text.earned = float(rng.choice([0, 2, 3, 4, 4, 5, 6])) if text.found else 0.0
        text.comment = "Right. The number is missing." if text.earned < 6 else ""
    return results


def write(folder: Path) -> None:
    """Write all that `grade` writes for a class of 30, before and after marking."""
    from attnbook.grading.reports import feedback, report, sheets

    for name, results in (("auto", group(30)), ("marked", marked(group(30)))):
        here = folder / name
        here.mkdir(parents=True, exist_ok=True)
        sheets.write_marks(results, here / "marks.csv")
        sheets.write_free_text(results, here / "free_text.csv")
        report.write_report(results, assignment(), here / "report.html")
        for one in results:
            feedback.write_feedback(one, assignment(), here / "feedback")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
