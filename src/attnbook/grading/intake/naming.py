"""Whose file is this? The patterns of names that Moodle, Canvas and people use.

*Moodle* writes `Name_number_assignsubmission_file_/nb.ipynb` or, without folders,
`Name_number_assignsubmission_file_nb.ipynb`; the name holds no underscore, and a group
may have no number (moodle/moodle, mod/assign/classes/downloader.php). *Canvas* writes
`name_LATE_student_file_original.ipynb`: LATE only if it was, a number for the file that
grows with time, "anon_…" for the student where marking is anonymous, and `-2` where a
name was taken (instructure/canvas-lms, lib/content_zipper.rb). *Plain* is `key.ipynb`
or `key/anything.ipynb`. nbgrader leaves this to a regular expression of the
instructor's (`nbgrader zip_collect`).
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from attnbook.grading.intake.entries import CollectError, Entry, clean

PATTERNS = ("moodle", "canvas", "plain")

_MOODLE = re.compile(
    r"(?P<name>.+?)(?:_(?P<number>\d{1,20}))?_assignsubmission_[a-z]+(?:_(?P<rest>.*))?"
)
_CANVAS = re.compile(
    r"(?:(?P<name>.*?)_)??(?:(?P<late>LATE)_)?(?P<number>\d{1,20}|anon_[0-9A-Za-z]{1,20})"
    r"_(?:(?P<file>\d{1,20})_(?P<rest>.+)|(?P<entry>(?:text|link)\.html))"
)
_COPY = re.compile(r"(?P<stem>.+?)(?:-(?P<count>\d{1,6})| ?\(\d{1,6}\))(?P<ext>\.\w+)")
_KEY = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,78}[a-z0-9_-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)")  # Windows' own


@dataclass(frozen=True, kw_only=True)
class Named:
    """An entry whose name has been understood.

    Args:
        entry: the file.
        student: the student's name.
        number: the LMS's number for the student or group, where there is one.
        name: the student's own name for the file.
        order: the pattern's numbers; the larger is the newer.
        late: the name says so.
    """

    entry: Entry
    student: str
    number: str = ""
    name: str
    order: tuple[int, int] = (0, 0)
    late: bool = False

    @property
    def who(self) -> tuple[str, str]:
        """What tells students apart: the number, or the name if there is none."""
        return (self.number, "" if self.number else self.student)

    @property
    def age(self) -> tuple:
        """For sorting: the newest has the largest."""
        return (self.order, self.entry.date, self.entry.path)

    def is_called(self, name: str) -> bool:
        """Whether the file has this name, or had it before "-1" or " (1)"."""
        copy = _COPY.fullmatch(self.name)
        names = [self.name, copy["stem"] + copy["ext"]] if copy else [self.name]
        return name.casefold() in (one.casefold() for one in names)


def stray(entry: Entry) -> bool:
    """Whether a file is junk that no student's folder holds."""
    return replace(entry, path=entry.parts[0] + "/x").junk or (
        entry.junk and len(entry.parts) == 1
    )


def _is_work(name: str) -> bool:
    return name.lower().endswith((".ipynb", ".zip"))


def below_common_folder(entries: list[Entry]) -> list[Entry]:
    """Drop the one folder that holds the whole class, if there is one."""
    work = [entry for entry in entries if _is_work(entry.path) and not entry.junk]
    tops = {entry.parts[0] for entry in entries}
    if len(tops) != 1 or len(work) < 2 or any(len(e.parts) < 2 for e in entries):
        return entries
    if _MOODLE.fullmatch(*tops):
        return entries
    cut = [replace(entry, path=entry.path.split("/", 1)[1]) for entry in entries]
    return [entry for entry in cut if not stray(entry)]


def choose_pattern(names: str, entries: list[Entry]) -> str:
    """Return the pattern that most notebooks and zips fit.

    A stray file must not change how all others are read: it ends as not recognised.
    """
    if names not in (*PATTERNS, "auto"):
        raise CollectError(f"names {names!r} is none of auto, {', '.join(PATTERNS)}")
    work = [entry for entry in entries if _is_work(entry.path) and not entry.junk]
    work = work or entries
    for pattern in PATTERNS[:-1]:
        fitting = sum(named(pattern, entry, {}) is not None for entry in work)
        if names == pattern and not fitting:
            raise CollectError(
                f"no file is named as {pattern} does, {clean(work[0].path)!r} for one; "
                "try names auto or plain"
            )
        if names == pattern or (names == "auto" and 2 * fitting > len(work)):
            return pattern
    return "plain"


def named(pattern: str, entry: Entry, extras: Iterable[str]) -> Named | None:
    """Return what a pattern says about an entry; None where it does not fit."""
    if pattern == "moodle":
        return _moodle(entry)
    return _canvas(entry) if pattern == "canvas" else _plain(entry, extras)


def _moodle(entry: Entry) -> Named | None:
    for at, part in enumerate(entry.parts):
        match = _MOODLE.fullmatch(part)
        if match:
            inner = entry.parts[at + 1 :]
            name = inner[-1] if inner else match["rest"] or part
            number = match["number"] or ""
            return Named(entry=entry, student=match["name"], number=number, name=name)
    return None


def _canvas(entry: Entry) -> Named | None:
    for at, part in enumerate(entry.parts):
        match = _CANVAS.fullmatch(part)
        if match:
            inner = entry.parts[at + 1 :]
            copy = _COPY.fullmatch(match["rest"] or "")
            count = int(copy["count"] or 0) if copy else 0
            return Named(
                entry=entry,
                student=match["name"] or match["number"],
                number=match["number"] if match["number"].isdigit() else "",
                name=inner[-1] if inner else match["rest"] or match["entry"],
                order=(int(match["file"] or 0), count),
                late=bool(match["late"]),
            )
    return None


def _plain(entry: Entry, extras: Iterable[str]) -> Named:
    first, *inner = entry.parts
    if inner:
        return Named(entry=entry, student=first, name=inner[-1])
    for extra in extras:
        if first.endswith((f".{extra}", f"_{extra}")) and len(first) > len(extra) + 1:
            student = first[: -len(extra) - 1]
            return Named(entry=entry, student=student, name=extra)
    student = re.sub(r"\.ipynb$", "", Path(first).stem) or first
    return Named(entry=entry, student=student, name=first)


def make_key(student: str, number: str) -> str:
    """Return a key from what identifies the student, and from nothing else.

    A number is unique as it is. A name alone is the key if it is plain; else a hash of
    the name tells it from others that look alike once cleaned. A spreadsheet would turn
    a key like 007 or 1e5 into a number, so those get a hash too.
    """
    plain = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_-")[:50]
    if number:
        return f"{plain or 'student'}_{number}"
    hashed = re.search(r"-[0-9a-f]{10}$", student)
    odd = hashed or _DEVICES.match(student) or not re.search("[a-df-z]", student)
    if _KEY.fullmatch(student) and not odd:
        return student
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain or 'student'}-{digest[:10]}"
