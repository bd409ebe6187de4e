"""Take in a batch of submissions: who handed in what, or a named fault for each.

Every file ends in a row or in a flag of one, and nothing is unpacked to disk. Of
several notebooks the newest that can be read is taken, with a flag that says so. Keys
are made from one student's name and number only, so that they stay when others hand in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from attnbook.grading.intake.entries import (
    LARGEST_BATCH,
    CollectError,
    Entry,
    Fault,
    Meter,
    batch_entries,
    clean,
    zip_entries,
)
from attnbook.grading.intake.naming import (
    PATTERNS,
    Named,
    below_common_folder,
    choose_pattern,
    make_key,
    named,
    stray,
)
from attnbook.grading.intake.parsing import LARGEST as LARGEST_NOTEBOOK

__all__ = ["FAULTS", "PATTERNS", "CollectError", "Submission", "collect"]

FAULTS = (
    "no notebook",
    "empty file",
    "file too large",
    "symbolic link",
    "not an ordinary file",
    "path leads outside",
    "cannot be read",
    "damaged zip",
    "encrypted zip",
    "unsupported zip",
    "zip inside a zip",
    "too many files",
    "name not recognised",
)
LARGEST_ZIP = 64 << 20
LARGEST_STUDENT = 128 << 20  # bytes read for one student, extras not counted
_NAMED_FLAGS = 5


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What one student handed in.

    Args:
        key: safe as a file name everywhere, unique in the class.
        student: the name as the file name gave it (untrusted, cleaned of controls).
        file: the notebook's path inside the batch, or the faulty file's.
        notebook: its bytes.
        extras: other allowed files by name.
        fault: one of `FAULTS` instead of a notebook.
        flags: what the instructor should know.
    """

    key: str
    student: str
    file: str
    notebook: bytes = b""
    extras: dict[str, bytes] = field(default_factory=dict)
    fault: str = ""
    flags: tuple[str, ...] = ()


def collect(
    source: Path, names: str = "auto", extras: Mapping[str, int] | None = None
) -> list[Submission]:
    """Return one submission per student, and one per file of unknown origin, by key.

    Args:
        source: a folder or a zip, as Moodle or Canvas made it or by your own hand.
        names: one of `PATTERNS`, or "auto": the one that most notebooks and zips fit.
        extras: other files that may be handed in, with their largest size in bytes.

    Raises:
        CollectError: the batch itself cannot be read.
    """
    extras = extras or {}
    entries = [entry for entry in batch_entries(Path(source)) if not stray(entry)]
    if not entries:
        raise CollectError(f"{source} holds no files; download the submissions again")
    entries = below_common_folder(entries)
    pattern = choose_pattern(names, entries)
    students: dict[tuple[str, str], list[Named]] = {}
    found = []
    for entry in entries:
        file = named(pattern, entry, extras)
        if file is None:
            found.append(_unknown(entry))
        else:
            students.setdefault(file.who, []).append(file)
    whole = Meter(
        LARGEST_BATCH, CollectError("more than 2 GiB to read; split the batch in parts")
    )
    found += [_submission(files, extras, whole) for files in students.values()]
    return sorted(found, key=lambda submission: submission.key)


def _unknown(entry: Entry) -> Submission:
    key = make_key(f"unknown file {entry.path}", "")
    path = clean(entry.path)
    return Submission(key=key, student="", file=path, fault="name not recognised")


def _submission(
    files: list[Named], extras: Mapping[str, int], whole: Meter
) -> Submission:
    student, number = min(file.student for file in files), files[0].number
    flags = ["late"] if any(file.late for file in files) else []
    if len({file.student for file in files}) > 1:
        flags.append(f"several names for number {number}")
    reader = _Reader(whole, sum(extras.values()))
    file, notebook = files[0].entry.path, b""
    files = [inner for file in files for inner in reader.unpacked(file)]
    files = sorted(reader.sound(files), key=lambda file: file.age, reverse=True)
    notebooks = [file for file in files if file.name.lower().endswith(".ipynb")]
    for one in notebooks:
        file, notebook = one.entry.path, reader.read(one, LARGEST_NOTEBOOK)
        if notebook:
            break
    if len(notebooks) > 1 and notebook:
        which = "newest" if one is notebooks[0] else "newest that can be read"
        flags.append(f"{len(notebooks)} notebooks: the {which} was taken")
    fault = ""
    if not notebook:
        file, fault = (reader.faults or [(file, "no notebook")]).pop(0)
    kept, more = _extras(reader, [one for one in files if one not in notebooks], extras)
    return Submission(
        key=make_key(student, number),
        student=clean(student),
        file=clean(file),
        notebook=notebook,
        extras=kept,
        fault=fault,
        flags=(*flags, *more),
    )


def _extras(
    reader: "_Reader", files: list[Named], extras: Mapping[str, int]
) -> tuple[dict[str, bytes], list[str]]:
    """Return the allowed files, the newest of each name, and flags on all others."""
    kept: dict[str, bytes] = {}
    ignored, older = [], set()
    for file in files:
        name = next((name for name in extras if file.is_called(name)), None)
        if name is None:
            ignored.append(_short(file.entry.path))
        elif name in kept:
            older.add(name)
        elif data := reader.read(file, extras[name]):
            kept[name] = data
    not_read = [f"{_short(path)} ({fault})" for path, fault in reader.faults]
    flags = [f"several files {name}: the newest was taken" for name in sorted(older)]
    return kept, [*flags, *_list("not read", not_read), *_list("ignored", ignored)]


def _short(path: str) -> str:
    return clean(path.split("/")[-1])[-80:]


def _list(what: str, names: list[str]) -> list[str]:
    flags = [f"{what}: {name}" for name in names[:_NAMED_FLAGS]]
    more = len(names) - _NAMED_FLAGS
    return [*flags, f"{what}: {more} more files"] if more > 0 else flags


class _Reader:
    """Reads one student's files and remembers what could not be read, and why."""

    def __init__(self, whole: Meter, size_of_extras: int):
        own = Meter(LARGEST_STUDENT + size_of_extras, Fault("file too large"))
        self.meters = (own, whole)
        self.faults: list[tuple[str, str]] = []  # path and fault

    def read(self, file: Named, most: int) -> bytes:
        """Return a file's content; nothing if there is a fault."""
        try:
            data = file.entry.read(most + 1)
            for meter in self.meters:
                meter.count(len(data))
        except Fault as fault:
            return self._refuse(file, str(fault))
        if not data or len(data) > most:
            return self._refuse(file, "file too large" if data else "empty file")
        return data

    def _refuse(self, file: Named, fault: str) -> bytes:
        self.faults.append((file.entry.path, fault))
        return b""

    def unpacked(self, file: Named) -> list[Named]:
        """Return the files of a zip, or the file itself; junk left out."""
        if file.entry.junk:
            return []
        if file.entry.fault or not file.name.lower().endswith(".zip"):
            return [file]
        data = self.read(file, LARGEST_ZIP)
        try:
            inner = zip_entries(data) if data else []
        except Fault as fault:
            self._refuse(file, str(fault))
            return []
        return [_inside(file, entry) for entry in inner if not entry.junk]

    def sound(self, files: list[Named]) -> list[Named]:
        """Return the files that may be read, and remember the others' faults."""
        for file in files:
            if file.entry.fault:
                self._refuse(file, file.entry.fault)
        return [file for file in files if not file.entry.fault]


def _inside(file: Named, entry: Entry) -> Named:
    fault = entry.fault
    if entry.path.lower().endswith(".zip"):
        fault = fault or "zip inside a zip"
    path = f"{file.entry.path}/{entry.path}"
    return replace(
        file, entry=replace(entry, path=path, fault=fault), name=entry.parts[-1]
    )
