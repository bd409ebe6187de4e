"""The files of a batch, from a folder or a zip, without extracting or following any.

Nothing that a header says is believed: sizes are counted while reading and reading
stops at the cap. Symbolic links, devices, paths that lead outside and encrypted entries
are not opened; they become entries with a fault, so that the student keeps a row.
"""

import io
import os
import re
import stat
import struct
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_ENTRIES = 20_000  # in the batch, and in one student's zip
LARGEST_BATCH = 2 << 30  # bytes that are read in all

# What a damaged or hostile zip makes `zipfile` raise.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
)
_JUNK_FOLDERS = {"__MACOSX", ".ipynb_checkpoints", "__pycache__", ".git"}
_JUNK_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_ENTRY_SIGNATURE = b"PK\x01\x02"


class CollectError(ValueError):
    """The batch itself cannot be read; the message says what to do."""


class Fault(Exception):
    """One file cannot be read; the text is a fault of `collect`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of the batch, not yet read.

    Args:
        path: with "/", without "..", inside the folder or zip.
        date: when it was changed last, for comparing only.
        read: takes the most bytes that are wanted, returns no more; may raise `Fault`.
        fault: why it must not be read.
    """

    path: str
    date: tuple[int, ...] = ()
    read: Callable[[int], bytes] = bytes
    fault: str = ""

    @property
    def parts(self) -> list[str]:
        """The path's components."""
        return self.path.split("/")

    @property
    def junk(self) -> bool:
        """Whether an operating system or Jupyter left it, not a student."""
        *folders, name = self.parts
        return (
            not _JUNK_FOLDERS.isdisjoint(folders)
            or name in _JUNK_FILES
            or name.startswith("._")
        )


class Meter:
    """Counts what is read and stops at its limit."""

    def __init__(self, limit: int, error: Exception):
        self.left = limit
        self.error = error

    def count(self, size: int) -> None:
        """Take this many bytes off what is left."""
        self.left -= size
        if self.left < 0:
            raise self.error


def clean(text: str) -> str:
    """Return text for people: no control characters, no bidi overrides, one line."""
    text = unicodedata.normalize("NFC", text)
    kept = (" " if unicodedata.category(c)[0] == "Z" else c for c in text)
    return "".join(c for c in kept if unicodedata.category(c)[0] != "C")[:200].strip()


def batch_entries(source: Path) -> list[Entry]:
    """Return the files of a folder or a zip.

    Raises:
        CollectError: there is no such path, it is neither, or it holds too many.
    """
    if source.is_dir():
        found = _capped(_folder(source))
    elif not source.is_file():
        raise CollectError(f"there is no folder or zip {source}; check the path")
    elif source.stat().st_size > LARGEST_BATCH:
        raise CollectError(f"{source} is larger than 2 GiB; split it in parts")
    else:
        try:
            found = _capped(_opened(source.read_bytes()))
        except Fault:
            raise CollectError(
                f"{source} is not a zip that can be read; give a folder, or the zip as "
                "the learning platform made it"
            ) from None
    return found


def _capped(entries: Iterator[Entry]) -> list[Entry]:
    found = []
    for entry in entries:
        found.append(entry)
        if len(found) > MOST_ENTRIES:
            raise CollectError(
                f"more than {MOST_ENTRIES} files; give those of one assignment only"
            )
    return found


def _folder(folder: Path) -> Iterator[Entry]:
    closed: list[OSError] = []
    for root, names, files in os.walk(folder, onerror=closed.append):
        names.sort()
        links = [name for name in names if os.path.islink(os.path.join(root, name))]
        for name in sorted(files + links):
            yield _file(folder, Path(root) / name)
    for error in closed:
        path = Path(error.filename).relative_to(folder)
        yield Entry(path=path.as_posix(), fault="cannot be read")


def _file(folder: Path, path: Path) -> Entry:
    name, fault = _inside(path.relative_to(folder).as_posix())
    try:
        status = path.lstat()
    except OSError:
        return Entry(path=name, fault="cannot be read")
    kind = status.st_mode
    if stat.S_ISLNK(kind):
        fault = "symbolic link"
    elif not stat.S_ISREG(kind):
        fault = "not an ordinary file"
    date = tuple(time.localtime(status.st_mtime)[:6])
    return Entry(path=name, date=date, read=lambda n: _read(path, n), fault=fault)


def _read(path: Path, most: int) -> bytes:
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # not all exist everywhere
        flags |= getattr(os, name, 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            return file.read(most)
    except OSError:
        raise Fault("cannot be read") from None


def zip_entries(data: bytes) -> list[Entry]:
    """Return the files of a zip that is in memory.

    Raises:
        Fault: it is not a zip that can be read.
    """
    # `zipfile` believes no count: neither do we, and look before it builds its list.
    if data.count(_ENTRY_SIGNATURE) > MOST_ENTRIES:
        raise Fault("too many files")
    return list(_opened(data))


def _opened(data: bytes) -> Iterator[Entry]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (*_DAMAGED, NotImplementedError):
        raise Fault("damaged zip") from None
    for info in archive.infolist():
        if not info.is_dir():
            yield _zipped(archive, info)


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    path, fault = _inside(_name(info))
    kind = info.external_attr >> 16 if info.create_system == 3 else 0
    if stat.S_ISLNK(kind):
        fault = "symbolic link"
    elif stat.S_IFMT(kind) not in (0, stat.S_IFREG):
        fault = "not an ordinary file"
    elif info.flag_bits & 0x41:
        fault = "encrypted zip"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of the others, `zipfile` may unpack a block without bounds.
        fault = "unsupported zip"

    def read(most: int) -> bytes:
        try:
            with archive.open(info) as stream:
                return stream.read(most)
        except (*_DAMAGED, NotImplementedError, RuntimeError, OSError):
            raise Fault("damaged zip") from None

    return Entry(path=path, date=info.date_time, read=read, fault=fault)


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name; some programs write UTF-8 without saying so."""
    name = info.orig_filename.split("\0")[0]
    if not info.flag_bits & 0x800:
        try:
            return name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return name


def _inside(name: str) -> tuple[str, str]:
    """Return a path that stays inside, and the fault if the name's did not."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    outside = name.startswith("/") or re.match(r"[A-Za-z]:", name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    kept = [part for part in parts if part != ".."]
    if outside and kept and re.fullmatch(r"[A-Za-z]:", kept[0]):
        kept = kept[1:]
    fault = "path leads outside" if outside or len(kept) < len(parts) else ""
    return "/".join(kept) or "unnamed", fault
