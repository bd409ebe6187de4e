"""Judges: decide outside the sandbox whether an answer is right, and name the mistake.

A check draws its inputs from the salt, hands them to a probe in the sandbox, and
compares what comes back with values that are computed here. What comes back is plain
data (numbers, text, lists, arrays rebuilt from numbers): a patched comparison, a tensor
that lies about equality or a forged result can change nothing but those numbers.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Wrong(Exception):
    """A rejected answer: the named mistake and the hint that the student reads.

    Args:
        mistake: a short name, the same for everybody who makes it.
        hint: one or two sentences on what to look at; no hidden number in them.
    """

    def __init__(self, mistake: str, hint: str):
        super().__init__(f"{mistake}: {hint}")
        self.mistake = mistake
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A wrong answer that students give, recognised by the value it brings.

    Args:
        name: what the feedback and the report call it.
        hint: what to look at.
        value: takes the check's inputs by name and returns the wrong value.
    """

    name: str
    hint: str
    value: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check with its points.

    Args:
        id: unique in the assignment, "1a".
        question: the question it belongs to, "1".
        points: what it brings when it passes.
        title: what is tested; students read it, so it names no hidden number.
        probe: the function of `probes.py` that is called with the inputs.
        inputs: takes a `numpy.random.Generator` seeded from the salt, returns the
            probe's arguments by name: arrays, numbers, text, lists, dictionaries, or
            functions. A function stays outside, where no student can read it: the
            probe gets one that sends its arguments here. It takes and returns NumPy
            arrays and plain data: at most 2,048 numbers an array, and per probe 200
            calls for each function.
        expected: takes the inputs by name and returns the right value.
        mistakes: tried in order when the value is not the expected one.
        hint: shown when no mistake is recognised.
        judge: replaces `expected` where a comparison is not enough: takes the inputs
            (a dictionary) and the value, returns if it is right and raises `Wrong`
            if it is not.
        tolerance: relative to the largest expected number; else the assignment's.
    """

    id: str
    question: str
    points: float
    title: str
    probe: str
    inputs: Callable[[np.random.Generator], dict[str, Any]] = field(
        default=lambda rng: {}
    )
    expected: Callable[..., Any] | None = None
    mistakes: tuple[Mistake, ...] = ()
    hint: str = "Compare your result with the definition on a case you do by hand."
    judge: Callable[[dict[str, Any], Any], None] | None = None
    tolerance: float | None = None

    def __post_init__(self):
        if (self.expected is None) == (self.judge is None):
            raise ValueError(
                f"check {self.id} needs either expected or judge, not both"
            )
        if self.points <= 0:
            raise ValueError(
                f"check {self.id} has {self.points} points, not more than 0"
            )


def draw(check: Check, salt: str) -> dict[str, Any]:
    """Return a check's hidden inputs: the same for everybody with this salt."""
    digest = hashlib.sha256(f"{salt}\n{check.id}".encode()).digest()
    seed = int.from_bytes(digest[:16], "big")
    return check.inputs(np.random.default_rng(seed))


def decide(check: Check, inputs: Mapping[str, Any], got: Any, tolerance: float) -> None:
    """Accept a value by returning, or name what is wrong with it.

    Args:
        check: the check.
        inputs: what `draw` gave.
        got: the value that came back from the sandbox, as plain data.
        tolerance: the assignment's, used where the check has none.

    Raises:
        Wrong: the value is not accepted.
    """
    tolerance = check.tolerance if check.tolerance is not None else tolerance
    if check.judge is not None:
        return check.judge(dict(inputs), got)
    expected = check.expected(**inputs)
    reason = difference(got, expected, tolerance)
    if reason is None:
        return None
    for mistake in check.mistakes:
        if difference(got, mistake.value(**inputs), tolerance) is None:
            raise Wrong(mistake.name, mistake.hint)
    raise Wrong(reason, check.hint)


def difference(got: Any, expected: Any, tolerance: float) -> str | None:
    """Say in a few words how two values differ; None where they agree.

    Arrays agree if kind, shape and numbers do, up to `tolerance` times the largest
    expected number (at least 1). NaN agrees with nothing.
    """
    if isinstance(expected, str) or expected is None:
        return (
            None if type(got) is type(expected) and got == expected else "wrong value"
        )
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            return "the names are not those of the statement"
        pairs = [(got[name], expected[name]) for name in expected]
    elif isinstance(expected, tuple | list):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            return f"not {len(expected)} values"
        pairs = list(zip(got, expected, strict=True))
    else:
        return _array_difference(got, np.asarray(expected), tolerance)
    for one, other in pairs:
        reason = difference(one, other, tolerance)
        if reason is not None:
            return reason
    return None


def _array_difference(got: Any, expected: np.ndarray, tolerance: float) -> str | None:
    got = numbers(got)
    if got.dtype.kind == "b" and expected.dtype.kind != "b":
        return "truth values where numbers are expected"
    if got.dtype.kind != "b" and expected.dtype.kind == "b":
        return "numbers where truth values are expected"
    if got.shape != expected.shape:
        return "wrong shape"
    if not np.isfinite(got).all():
        return "NaN or infinity in the result"
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    with np.errstate(over="ignore"):
        far = np.abs(got.astype(float) - expected.astype(float)) > tolerance * scale
    return "wrong numbers" if far.any() else None


def numbers(got: Any) -> np.ndarray:
    """Return a value from the sandbox as an array of numbers or truth values.

    Raises:
        Wrong: it is nothing of the kind.
    """
    if got is None:
        raise Wrong("nothing returned", "Does the function end with a return?")
    if isinstance(got, bool | int | float):
        if isinstance(got, int) and abs(got) > 2**62:
            raise Wrong("not a number", "The number is larger than any that is asked.")
        return np.asarray(got)
    if isinstance(got, np.ndarray) and got.dtype.kind in "biuf":
        return got
    raise Wrong("not an array", "Return an array of numbers, as the statement says.")
