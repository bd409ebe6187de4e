"""A tiny assignment for tests: two automatic questions with carry-over, one in words.

`make(folder)` writes it and loads it; `edit` changes one of its files first.
"""

from pathlib import Path

from attnbook.grading.assignments import Assignment, load

NAME = "a9_tiny"

TOML = """\
name = "a9_tiny"
title = "A tiny assignment"
chapters = [1, 2]
minutes = 30
difficulty = "introductory"
objectives = ["compute a softmax", "average rows with it"]
framework = "numpy"
salt = "tiny-public-salt"
flag = ["attnbook"]
[limits]
cell_seconds = 5
probe_seconds = 2
[[questions]]
id = "1"
title = "Softmax"
names = ["softmax"]
[[questions]]
id = "2"
title = "Context"
names = ["context"]
uses = ["softmax"]
[[questions]]
id = "3"
title = "Why"
text = true
points = 3
rubric = ["says that the largest score overflows (2)", "gives a number (1)"]
"""

SOURCE = '''\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Assignment 9. A tiny assignment

You build one weighted average.

```{code-cell} ipython3
from contextlib import contextmanager

import numpy as np


@contextmanager
def check(question):
    """Say "not attempted yet" while a stub stands; let wrong answers raise."""
    try:
        yield
        print(f"{question}: these checks pass.")
    except NotImplementedError as stub:
        if str(stub) not in ("", "write me"):
            raise  # PyTorch has such errors of its own
        print(f"{question}: not attempted yet.")
```

## Question 1. Softmax

Return weights over the last axis, also for scores as large as 1000.

```{code-cell} ipython3
def softmax(scores):
    """Return weights over the last axis. scores (T, S) → (T, S)."""
    # BEGIN SOLUTION
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
    # END SOLUTION
```

```{code-cell} ipython3
:tags: [check]

with check("Question 1"):
    weights = softmax(np.array([[0.0, 0.0]]))
    assert np.allclose(weights.sum(-1), 1), "Each row of weights must sum to 1."
```

+++ {"tags": ["instructor"]}

Most students forget to shift by the largest score.

+++

## Question 2. Context

Return the average of the values under the softmax of the scores.

```{code-cell} ipython3
def context(scores, values):
    """scores (T, S), values (S, D) → (T, D)."""
    # BEGIN SOLUTION
    return softmax(scores) @ values
    # END SOLUTION
```

```{code-cell} ipython3
:tags: [check]

with check("Question 2"):
    mean = context(np.zeros((1, 2)), np.array([[1.0], [3.0]]))
    assert np.allclose(mean, 2), "Equal scores must give the mean of the values."
```

## Question 3. Why

Why does the largest score matter?

+++

**Answer 3.**

<!-- BEGIN SOLUTION -->
The exponential of 1000 is infinite, and infinity over infinity is no number.
<!-- END SOLUTION -->
'''

PROBES = '''\
"""Calls of the student's functions."""


def softmax_of(ns, scores):
    return ns["softmax"](scores)


def context_of(ns, scores, values):
    return ns["context"](scores, values)
'''

JUDGES = '''\
"""What the tiny assignment's answers must give."""

import numpy as np

from attnbook.grading.judging import Check, Mistake


def softmax(scores, axis=-1):
    shifted = np.exp(scores - scores.max(axis, keepdims=True))
    return shifted / shifted.sum(axis, keepdims=True)


COLUMNS = Mistake(
    name="softmax over the queries",
    hint="Which axis holds the keys: do your rows sum to 1, or your columns?",
    value=lambda scores: softmax(scores, 0),
)
SUM = Mistake(
    name="a sum in place of an average",
    hint="Are the scores turned into weights before they meet the values?",
    value=lambda scores, values: scores @ values,
)
CHECKS = [
    Check(
        id="1a",
        question="1",
        points=2,
        title="softmax of random scores",
        probe="softmax_of",
        inputs=lambda rng: {"scores": rng.normal(size=(3, 5))},
        expected=softmax,
        mistakes=(COLUMNS,),
        hint="Compare two scores by hand.",
    ),
    Check(
        id="1b",
        question="1",
        points=1,
        title="softmax of large scores",
        probe="softmax_of",
        inputs=lambda rng: {"scores": 1000 * rng.normal(size=(2, 3))},
        expected=softmax,
        hint="What is the exponential of 1000?",
    ),
    Check(
        id="2a",
        question="2",
        points=4,
        title="the average of random values",
        probe="context_of",
        inputs=lambda rng: {
            "scores": rng.normal(size=(3, 5)),
            "values": rng.normal(size=(5, 2)),
        },
        expected=lambda scores, values: softmax(scores) @ values,
        mistakes=(SUM,),
    ),
]
'''

ANSWERS = '''\
from attnbook.grading.answers import RightAnswer, WrongAnswer

WRONG = [
    WrongAnswer(
        mistake="softmax over the queries",
        check="1a",
        code="""def softmax(scores):
    shifted = np.exp(scores - scores.max(0, keepdims=True))
    return shifted / shifted.sum(0, keepdims=True)""",
    ),
    WrongAnswer(
        mistake="a sum in place of an average",
        check="2a",
        code="""def context(scores, values):
    return scores @ values""",
    ),
]
RIGHT = [
    RightAnswer(
        name="with a loop",
        code="""def softmax(scores):
    rows = [np.exp(row - row.max()) for row in scores]
    return np.array([row / row.sum() for row in rows])""",
    ),
]
'''

FILES = {
    "assignment.toml": TOML,
    "source.md": SOURCE,
    "probes.py": PROBES,
    "judges.py": JUDGES,
    "answers.py": ANSWERS,
}


def write(folder: Path, *edits: tuple[str, str, str]) -> Path:
    """Write the assignment under a folder, with (file, old text, new text) edits."""
    here = folder / NAME
    here.mkdir(parents=True)
    texts = dict(FILES)
    for file, old, new in edits:
        assert old in texts[file], f"{file} does not hold {old!r}"
        texts[file] = texts[file].replace(old, new)
    for file, text in texts.items():
        (here / file).write_text(text, "utf-8")
    return here


def make(folder: Path, *edits: tuple[str, str, str]) -> Assignment:
    """Write the assignment and load it."""
    return load(write(folder, *edits).name, folder)
