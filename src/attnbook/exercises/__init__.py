"""Exercise checkers: `check("2.1", my_function)` names the mistake.

Each chapter has a module `chapter_NN` with a dictionary `CHECKS`: exercise id →
a function that takes the answer and raises `WrongAnswer` with the name of the
mistake. The checkers are themselves tested: they accept the book's solution and
two others, and reject every planted mistake of `tests/mistakes/` by name.
"""

import html
import importlib
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor


class WrongAnswer(AssertionError):
    """An answer that a checker rejects; the message names the mistake."""


class Verdict:
    """What `check` shows: one line, as text or as a small box."""

    def __init__(self, state: str, text: str):
        self.state = state
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<div class="ab-check ab-{self.state}">{html.escape(self.text)}</div>'


def check(exercise: str, answer) -> Verdict:
    """Try an answer on many random cases and name what is wrong with it.

    Args:
        exercise: chapter and number, "2.1".
        answer: a function, or a plain value where the exercise asks for one.

    Returns:
        A line to display: correct, or not attempted yet (the answer is None, or
        raises NotImplementedError as the stub does; see `is_stub`).

    Raises:
        WrongAnswer: the answer is wrong; the message names the likely mistake.
        ValueError: there is no such exercise.

    Example:
        >>> check("2.1", None)
        Exercise 2.1: not attempted yet. Write your answer and run this cell again.
    """
    checker = _find(exercise)
    later = (
        f"Exercise {exercise}: not attempted yet. "
        "Write your answer and run this cell again."
    )
    if answer is None or answer is ...:
        return Verdict("open", later)
    try:
        checker(answer)
    except NotImplementedError as error:
        if not is_stub(error):  # PyTorch raises it too, for a dtype it cannot do
            raise
        return Verdict("open", later)
    except WrongAnswer as wrong:
        raise WrongAnswer(f"Exercise {exercise}: {wrong}") from None
    return Verdict("right", f"Exercise {exercise}: correct.")


def is_stub(error: NotImplementedError) -> bool:
    """Tell whether an error is an empty answer's: no text, or "Exercise 2.1".

    Example:
        >>> is_stub(NotImplementedError("Exercise 2.1"))
        True
    """
    return re.fullmatch(r"(Exercise \d+\.\d+)?", str(error)) is not None


def _find(exercise: str) -> Callable:
    """Return the checker of an exercise."""
    match = re.fullmatch(r"(\d+)\.\d+", exercise)
    if not match:
        raise ValueError(f"an exercise's name looks like '2.1', got {exercise!r}")
    try:
        module = importlib.import_module(f"{__name__}.chapter_{int(match[1]):02d}")
    except ModuleNotFoundError:
        raise ValueError(f"chapter {match[1]} has no exercises yet") from None
    if exercise not in module.CHECKS:
        known = ", ".join(module.CHECKS)
        raise ValueError(f"there is no exercise {exercise}; there are {known}")
    return module.CHECKS[exercise]


def expect_equal(
    got,
    expected: Tensor,
    mistakes: Mapping[str, Tensor] | None = None,
    *,
    what: str = "the result",
    case: str = "",
    atol: float = 1e-9,
    rtol: float = 1e-7,
) -> None:
    """Compare a value with the right one and, if it differs, with known wrong ones.

    Args:
        got: what the answer returned.
        expected: the right value.
        mistakes: name of a mistake → the value that this mistake gives.
        what: the quantity, for the message.
        case: the input, for the message ("B=1, T=3, S=5").
        atol, rtol: tolerance, for float64 unless given.

    Raises:
        WrongAnswer: with the mistake's name if the value matches one, otherwise
            with the first thing that is off: type, shape, dtype, NaN, or value.

    Example:
        >>> wrong = {"softmax over queries?": torch.tensor([2.0])}
        >>> expect_equal(torch.tensor([2.0]), torch.tensor([1.0]), wrong)
        Traceback (most recent call last):
        ...
        attnbook.exercises.WrongAnswer: softmax over queries?
    """
    where = f" ({case})" if case else ""
    if not isinstance(got, Tensor):
        hint = ": is the return missing?" if got is None else ""
        raise WrongAnswer(
            f"{what}: expected a torch.Tensor, got {type(got).__name__}{hint}{where}"
        )
    got = got.detach()
    if _close(got, expected, atol, rtol):
        return
    for name, value in (mistakes or {}).items():
        if _close(got, value, atol, rtol):
            raise WrongAnswer(name + where)
    if got.shape != expected.shape:
        raise WrongAnswer(
            f"{what}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}{where}"
        )
    if got.dtype != expected.dtype:
        raise WrongAnswer(
            f"{what}: dtype {got.dtype}, expected {expected.dtype}{where}"
        )
    if got.isnan().any() and not expected.isnan().any():
        raise WrongAnswer(f"{what}: there is NaN in it{where}")
    error = (got.double() - expected.detach().double()).abs()
    place = [int(i) for i in torch.unravel_index(error.argmax(), error.shape)]
    raise WrongAnswer(
        f"{what}: off by up to {float(error.max()):.3g}, worst at index "
        f"{place}: got {float(got[tuple(place)]):.4g}, "
        f"expected {float(expected[tuple(place)]):.4g}{where}"
    )


def _close(a: Tensor, b: Tensor, atol: float, rtol: float) -> bool:
    """Tell whether shape, dtype and values agree (NaN equals NaN)."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.allclose(a, b.detach(), rtol, atol, equal_nan=True)
