"""What is known of one submission after grading: plain data, no student objects."""

import json
from dataclasses import asdict, dataclass, field

# How a check can end. Only "passed" brings points.
OUTCOMES = (
    "passed",
    "wrong",  # a judge rejected the value
    "error",  # the student's function raised
    "missing",  # the name it needs is not defined
    "not attempted",  # the stub still stands
    "timed out",
    "killed",  # memory, a crash, or an exit
)


@dataclass(kw_only=True)
class CheckResult:
    """How one check ended.

    `title`, `mistake` and `hint` are the instructor's words and may be shown to the
    student; `mistake` is also what the report counts. `carried` says that an earlier
    question's function was replaced by the right one, so that its fault counts once.
    """

    id: str
    question: str
    title: str
    points: float
    earned: float
    outcome: str
    mistake: str = ""
    hint: str = ""
    carried: bool = False

    def __post_init__(self):
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome {self.outcome!r} is none of {OUTCOMES}")


@dataclass(kw_only=True)
class VisibleCheck:
    """How a check cell of the released notebook ended; brings no points.

    `message` holds the assertion's text. It passed through the student's process:
    escape it.
    """

    title: str
    outcome: str
    message: str = ""


@dataclass(kw_only=True)
class FreeText:
    """An answer in words, as the student wrote it (untrusted text)."""

    question: str
    points: float
    text: str
    found: bool = True
    earned: float | None = None  # by `merge`
    comment: str = ""


@dataclass(kw_only=True)
class CellFault:
    """A cell that raised, hung or was not Python; `cell` counts code cells from 1."""

    cell: int
    outcome: str
    message: str = ""


@dataclass(kw_only=True)
class Result:
    """One submission: either a named fault, or a mark with all that led to it."""

    assignment: str
    key: str  # safe as a file name, unique in the class
    student: str  # as the file name gave it (untrusted text)
    file: str = ""
    fault: str = ""
    flags: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)
    visible: list[VisibleCheck] = field(default_factory=list)
    texts: list[FreeText] = field(default_factory=list)
    cells: list[CellFault] = field(default_factory=list)
    seconds: float = 0.0  # wall clock
    cpu_seconds: float = 0.0

    @property
    def earned(self) -> float:
        """Automatic points, plus those given by hand where they are there."""
        manual = sum(text.earned or 0.0 for text in self.texts)
        return sum(check.earned for check in self.checks) + manual

    @property
    def automatic_maximum(self) -> float:
        """Points that the checks can bring."""
        return sum(check.points for check in self.checks)

    @property
    def maximum(self) -> float:
        """All points, free text included."""
        return self.automatic_maximum + sum(text.points for text in self.texts)

    def to_json(self) -> str:
        """Return the result as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Rebuild a result that `to_json` wrote."""
        data = json.loads(text)
        parts = {
            "checks": CheckResult,
            "visible": VisibleCheck,
            "texts": FreeText,
            "cells": CellFault,
        }
        for name, kind in parts.items():
            data[name] = [kind(**item) for item in data[name]]
        return cls(**data)
