"""An assignment's sources: `assignment.toml`, `source.md`, probes, judges, answers.

Only `source.md` (without its solutions) is for students. `probes.py` is read as text
and goes into the sandbox; `judges.py` and `answers.py` are imported here and never do.
"""

import hashlib
import importlib.util
import os
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from attnbook.grading.answers import RightAnswer, WrongAnswer
from attnbook.grading.judging import Check

FILES = ("assignment.toml", "source.md", "probes.py", "judges.py", "answers.py")
FRAMEWORKS = ("numpy", "torch")
DIFFICULTIES = ("introductory", "intermediate", "advanced")
# Marks every hidden input; an instructor's own stands in a file that git ignores.
SALT_VARIABLE = "ATTNBOOK_SALT"
SALT_FILE = "salt.txt"


class AssignmentError(ValueError):
    """An assignment's sources are incomplete or contradict each other."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one submission may use."""

    cell_seconds: float = 10.0
    probe_seconds: float = 5.0
    total_seconds: float = 60.0
    memory_mib: int = 2048
    scratch_mib: int = 64
    processes: int = 64
    output_mib: int = 32


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of an assignment.

    Args:
        id: "1", "2", … as the statement counts them.
        title: as the statement's heading has it.
        names: what the answer must define (checks by probes).
        uses: names of *earlier* questions that this answer may call; where it fails,
            it is tried again with the right ones.
        text: answered in words and marked by hand.
        points: of a text question; elsewhere the checks hold them.
        rubric: for the marker, one line per criterion, with points.
    """

    id: str
    title: str
    names: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    text: bool = False
    points: float = 0.0
    rubric: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """One assignment, read from its folder."""

    folder: Path
    name: str
    title: str
    chapters: tuple[int, ...]
    minutes: int
    difficulty: str
    objectives: tuple[str, ...]
    framework: str
    public_salt: str
    questions: tuple[Question, ...]
    tolerance: float = 1e-6
    due: str = ""
    limits: Limits = field(default_factory=Limits)
    files: dict[str, int] = field(default_factory=dict)
    flag: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The statement with its solutions, as a MyST text notebook."""
        return (self.folder / "source.md").read_text("utf-8")

    @property
    def probes(self) -> str:
        """The probes' code, for the sandbox."""
        return (self.folder / "probes.py").read_text("utf-8")

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """The checks of `judges.py`, in its order."""
        checks = tuple(_module(self.folder / "judges.py").CHECKS)
        ids = [check.id for check in checks]
        _need(len(set(ids)) == len(ids), f"{self.name}: two checks share an id: {ids}")
        known = {question.id for question in self.questions if not question.text}
        for check in checks:
            where = f"{self.name}: check {check.id}"
            _need(check.question in known, f"{where} is for no question of {known}")
        unchecked = known - {check.question for check in checks}
        _need(not unchecked, f"{self.name}: questions without a check: {unchecked}")
        return checks

    @cached_property
    def wrong_answers(self) -> tuple[WrongAnswer, ...]:
        """Expected wrong answers, each with the mistake that must be named."""
        return tuple(_module(self.folder / "answers.py").WRONG)

    @cached_property
    def right_answers(self) -> tuple[RightAnswer, ...]:
        """Right answers that differ from the worked solution."""
        return tuple(_module(self.folder / "answers.py").RIGHT)

    @property
    def points(self) -> float:
        """All points: checks and free text."""
        text = sum(question.points for question in self.questions if question.text)
        return sum(check.points for check in self.checks) + text

    @property
    def fingerprint(self) -> str:
        """A hash over everything that decides a mark, salt included."""
        digest = hashlib.sha256(self.salt.encode())
        for name in FILES:
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()

    @property
    def salt(self) -> str:
        """What the hidden inputs are drawn from: private where there is one.

        In this order: the environment variable ATTNBOOK_SALT, the file `salt.txt`
        beside the assignments (git ignores it), the public salt of the toml.
        """
        private = self.folder.parent / SALT_FILE
        secret = os.environ.get(SALT_VARIABLE, "").strip()
        if not secret and private.exists():
            secret = private.read_text("utf-8").strip()
        return f"{secret}:{self.name}" if secret else self.public_salt

    @property
    def salt_is_public(self) -> bool:
        """Whether anybody who reads the repository can compute the hidden inputs."""
        return self.salt == self.public_salt


def find(folder: Path) -> list[str]:
    """Return the names of the assignments in a folder, in order."""
    return sorted(path.parent.name for path in folder.glob("*/assignment.toml"))


def load(name: str, folder: Path) -> Assignment:
    """Read one assignment.

    Args:
        name: its folder's name, or the part before the first underscore ("a1").
        folder: the folder that holds all assignments.

    Raises:
        AssignmentError: there is no such assignment, a file is missing, or the
            sources contradict each other; the message says where.
    """
    names = find(folder)
    found = [full for full in names if name in (full, full.split("_")[0])]
    have = ", ".join(names) or "none"
    _need(len(found) == 1, f"no assignment {name!r} in {folder}; there are: {have}")
    here = folder / found[0]
    missing = [file for file in FILES if not (here / file).exists()]
    _need(not missing, f"{here} lacks {', '.join(missing)}")
    data = tomllib.loads((here / "assignment.toml").read_text("utf-8"))
    try:
        return _build(here, data)
    except (KeyError, TypeError) as error:
        raise AssignmentError(f"{here / 'assignment.toml'}: {error!r}") from error


def _build(folder: Path, data: dict) -> Assignment:
    name = data["name"]
    where = folder / "assignment.toml"
    _need(name == folder.name, f"{where}: name {name!r} is not the folder's")
    _need(data["framework"] in FRAMEWORKS, f"{where}: framework is one of {FRAMEWORKS}")
    hard = data["difficulty"]
    _need(hard in DIFFICULTIES, f"{where}: difficulty is one of {DIFFICULTIES}")
    questions = tuple(_question(item) for item in data.pop("questions"))
    ids = [question.id for question in questions]
    _need(len(set(ids)) == len(ids), f"{where}: two questions share an id: {ids}")
    defined: set[str] = set()
    for question in questions:
        unknown = set(question.uses) - defined
        _need(not unknown, f"{where}: question {question.id} uses later {unknown}")
        defined |= set(question.names)
    return Assignment(
        folder=folder,
        public_salt=data.pop("salt"),
        questions=questions,
        chapters=tuple(data.pop("chapters")),
        objectives=tuple(data.pop("objectives")),
        limits=Limits(**data.pop("limits", {})),
        flag=tuple(data.pop("flag", ())),
        **data,
    )


def _question(item: dict) -> Question:
    lists = {name: tuple(item.pop(name, ())) for name in ("names", "uses", "rubric")}
    question = Question(**item, **lists)
    if question.text:
        _need(question.points > 0, f"text question {question.id} has no points")
        _need(bool(question.rubric), f"text question {question.id} has no rubric")
    else:
        _need(bool(question.names), f"question {question.id} names nothing to define")
    return question


def _module(path: Path):
    """Import an instructor's own file; nothing of a student's comes here."""
    spec = importlib.util.spec_from_file_location(
        f"attnbook_assignment_{path.parent.name}_{path.stem}", path
    )
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise AssignmentError(f"{path}: {error!r}") from error
    return module


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise AssignmentError(message)
