"""Planted answers: what `release` must see rejected by name, and accepted."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WrongAnswer:
    """A wrong answer that students give.

    Args:
        mistake: the name that the feedback must show.
        check: the id of the check that must name it.
        code: Python that replaces the right answer; run after the solved notebook.
    """

    mistake: str
    check: str
    code: str


@dataclass(frozen=True, kw_only=True)
class RightAnswer:
    """A right answer in other words, which must get full marks.

    Args:
        name: what is different about it.
        code: Python that replaces the worked solution.
    """

    name: str
    code: str
