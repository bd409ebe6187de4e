"""Planted wrong answers: each must be rejected, and by the name of its mistake.

Each module `chapter_NN` holds `MISTAKES`, a list of `Mistake`, and `ACCEPTED`, a
dictionary from exercise id to at least two right answers written differently.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A wrong answer and the words by which its checker must name it."""

    exercise: str
    name: str
    names_it: str  # regular expression that the checker's message must match
    answer: Any
