"""Claims: statements of the book that an experiment must confirm.

A claim cell ends with `claim(...)`. It shows what was measured next to the band
that was expected, and raises `ClaimFailed` outside it, so that a chapter whose
text is wrong does not run. The page *All claims* is made from these outputs.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import SupportsFloat

MIME = "application/vnd.attnbook.claim+json"


class ClaimFailed(AssertionError):
    """A measured value lies outside the band that the text promises."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A confirmed claim, as a notebook shows it and the ledger lists it."""

    id: str
    statement: str
    mean: float
    half_interval: float | None
    num_seeds: int
    low: float | None
    high: float | None
    unit: str

    @property
    def measured(self) -> str:
        """The value as text, with its 95 % interval when there are several seeds."""
        text = f"{self.mean:.3g}"
        if self.half_interval is not None:
            text += f" ± {self.half_interval:.1g}"
        return text + (f" {self.unit}" if self.unit else "")

    @property
    def band(self) -> str:
        """The expected band as text."""
        if self.low is None:
            return f"at most {self.high:g}"
        if self.high is None:
            return f"at least {self.low:g}"
        return f"{self.low:g} to {self.high:g}"

    @property
    def seeds(self) -> str:
        """How often the experiment ran, as text."""
        return "" if self.num_seeds == 1 else f" ({self.num_seeds} seeds)"

    def __repr__(self) -> str:
        return (
            f"Claim {self.id} holds: {self.statement}. "
            f"Measured {self.measured}{self.seeds}; expected {self.band}."
        )

    def _repr_html_(self) -> str:
        statement = html.escape(self.statement)
        return (
            '<div class="ab-claim" style="border-left:4px solid #2e7d32;'
            'padding:.3em .8em"><strong>Claim '
            f"{self.id} holds.</strong> {statement}.<br>"
            f"Measured <strong>{html.escape(self.measured)}</strong>{self.seeds}; "
            f"expected {self.band}.</div>"
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            MIME: asdict(self),
        }


def claim(
    id: str,
    statement: str,
    measured: SupportsFloat | Iterable[SupportsFloat],
    low: float | None = None,
    high: float | None = None,
    *,
    unit: str = "",
) -> Claim:
    """Confirm a claim: the mean of what was measured lies in the expected band.

    Args:
        id: chapter and number, "2.3"; a letter may follow for parts, "2.3b".
        statement: one sentence without its full stop, in plain text.
        measured: one number for an exact statement; one per seed where there is
            randomness (at least three).
        low: smallest value that confirms the claim, or None.
        high: largest value that confirms the claim, or None.
        unit: unit of the number, as text.

    Returns:
        A `Claim` that a notebook displays; let it be the cell's last expression.

    Raises:
        ClaimFailed: the mean is outside the band, or not a finite number.
        ValueError: a malformed id, no band, an empty band or two seeds only.

    Example:
        >>> claim("0.1", "a fair coin falls heads half of the time", 0.49, 0.4, 0.6)
        Claim 0.1 holds: a fair coin falls heads half of the time. Measured 0.49; \
expected 0.4 to 0.6.
    """
    if not re.fullmatch(r"\d+\.\d+[a-z]?", id):
        raise ValueError(f"a claim's id looks like '2.3' or '2.3b', got {id!r}")
    if low is None and high is None:
        raise ValueError(f"claim {id} needs a band: give low, high or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"claim {id} has an empty band: {low} … {high}")
    values = _as_floats(measured)
    if len(values) == 2 or not values:
        raise ValueError(
            f"claim {id} got {len(values)} values: give one number, or three seeds"
        )
    mean, half_interval = _mean_and_interval(values)
    result = Claim(
        id=id,
        statement=statement.rstrip("."),
        mean=_round(mean),
        half_interval=None if half_interval is None else _round(half_interval),
        num_seeds=len(values),
        low=low,
        high=high,
        unit=unit,
    )
    too_low = low is not None and mean < low
    too_high = high is not None and mean > high
    if too_low or too_high or not math.isfinite(mean):
        raise ClaimFailed(
            f"Claim {id} does not hold: {result.statement}. Measured "
            f"{result.measured}{result.seeds}; expected {result.band}."
        )
    return result


def _as_floats(measured) -> list[float]:
    """Read a number, an array or a list of numbers as a list of floats."""
    if hasattr(measured, "tolist"):
        measured = measured.tolist()
    return [float(m) for m in measured] if _is_list(measured) else [float(measured)]


def _is_list(measured) -> bool:
    return isinstance(measured, Sequence) and not isinstance(measured, str)


def _mean_and_interval(values: list[float]) -> tuple[float, float | None]:
    """Return the mean and half the width of its 95 % t-interval."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    from scipy.stats import t  # slow to import, and few cells need it

    variance = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
    quantile = float(t.ppf(0.975, len(values) - 1))
    return mean, quantile * math.sqrt(variance / len(values))


def _round(x: float) -> float:
    """Keep the digits that the text shows; the rest differs between machines."""
    return float(f"{x:.3g}")
