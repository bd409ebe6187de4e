"""A running box: what it uses, and how it ends for certain.

The first process of a box is process 1 of its own process namespace, so the kernel
ends all others with it, whatever they did to hide. It is held by a pidfd: its number
may be reused, the descriptor may not. A box dies with the *thread* that started it
(that is how Linux defines the parent here), so start and use it in one thread.
"""

import contextlib
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attnbook.grading.assignments import Limits

MIB = 2**20
PAGE = mmap.PAGESIZE
INODE = 1024  # bytes of the kernel's that an empty file takes, about
START_SECONDS = 20.0
END_SECONDS = 10.0
READY = b"ready\n"
HOME = "/home/student"
SHARED = "/dev/shm"
SMALL_MIB = 16  # of /tmp and of shared memory
OPEN_FILES = 256
LAUNCH = Path(__file__).with_name("launch.py")
ENVIRONMENT = {
    "HOME": HOME,
    "TMPDIR": HOME,
    "LOGNAME": "student",
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
}


class NoSandbox(RuntimeError):
    """There is no box to run a submission in; the message says how to get one."""


@dataclass(frozen=True)
class Usage:
    """What all processes of a box use now; CPU seconds include ended ones."""

    memory_mib: float
    processes: int
    cpu_seconds: float


class Box:
    """A started box.

    Args:
        process: the child of this process, with binary pipes as stdin and stdout.
        first: the process whose end ends all others; None where the engine hides it.
        remove: what else ends it; called once.
    """

    def __init__(
        self,
        process: subprocess.Popen,
        first: int | None,
        remove: Callable[[], None] = lambda: None,
    ):
        self.process = process
        self._remove = remove
        self._lock = threading.Lock()
        self._first = first
        self._handle = None
        self._cpu_seconds = 0.0
        with contextlib.suppress(OSError):
            self._handle = os.pidfd_open(first) if first else None

    def usage(self) -> Usage:
        """Add up memory, processes and CPU time of the box's processes.

        Memory counts what lies in the scratch folders, too, empty files included:
        nothing else bounds their number. All is 0 where the engine hides its
        processes; it keeps the limits then.
        """
        with self._lock:
            if self._handle is None or _ended(self._handle, 0):
                return Usage(0.0, 0, self._cpu_seconds)
            stats = [stat for pid in tree(self._first) if (stat := _stat(pid))]
            pages = sum(int(stat[21]) for stat in stats)
            ticks = sum(int(number) for stat in stats for number in stat[11:15])
            seconds = ticks / os.sysconf("SC_CLK_TCK")
            self._cpu_seconds = max(self._cpu_seconds, seconds)
            memory = pages * PAGE + _scratch(self._first)
            return Usage(memory / MIB, len(stats), self._cpu_seconds)

    def kill(self) -> None:
        """End every process of the box and wait until they are gone.

        Raises:
            RuntimeError: the kernel did not end them in time.
        """
        with self._lock:
            self._remove()
            self._remove = lambda: None
            if self._handle is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                if not _ended(self._handle, END_SECONDS):
                    raise RuntimeError(f"a box did not end in {END_SECONDS} s")
                os.close(self._handle)
                self._handle = None
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()


def command(
    python: Sequence[str],
    program: str,
    limits: Limits,
    *,
    paths: Sequence[str] = (),
    uid: int | None = None,
    contained: bool = True,
    tied: bool = True,
) -> list[str]:
    """Return the command line that runs a program under `launch.py`.

    Args:
        python: the interpreter with its flags.
        program: Python source.
        limits: what it may use.
        paths: added to `sys.path`.
        uid: the user to become; None where it is one already.
        contained: False keeps all rights, for `--unsafe`.
        tied: whether to end with the process that started it.
    """
    hard = {
        "FSIZE": limits.scratch_mib * MIB,
        "CPU": int(2 * limits.total_seconds) + 1,
        "CORE": 0,
        "NOFILE": OPEN_FILES,
    }
    if contained or sys.platform == "linux":  # macOS refuses it
        hard["AS"] = limits.memory_mib * MIB
    if contained:  # elsewhere it would count all that you run
        hard["NPROC"] = limits.processes
    settings = {
        "limits": hard,
        "seconds": int(2 * limits.total_seconds + START_SECONDS),
        "paths": list(paths),
        "uid": uid,
        "contained": contained,
        "tied": tied,
    }
    return [*python, "-c", LAUNCH.read_text("utf-8"), json.dumps(settings), program]


def spawn(arguments: Sequence[str], **options) -> subprocess.Popen:
    """Start a command and return when the launcher inside says that it holds.

    Raises:
        NoSandbox: it ended or stayed silent instead; the message has its last words.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        arguments, stdin=pipe, stdout=pipe, stderr=pipe, **options
    )
    try:
        _await(process.stdout.fileno())
    except (OSError, TimeoutError) as error:
        process.kill()
        said = process.stderr.read(4000).decode("utf-8", "replace").strip()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
        lines = [line for line in said.splitlines() if line and "--help" not in line]
        last = lines[-1] if lines else str(error)
        raise NoSandbox(f"{arguments[0]}: {last}") from error
    # nobody reads it from here on, so what is written there goes nowhere
    process.stderr.close()
    process.stderr = None
    return process


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                yield from tree(int(child))


def first_child(pid: int) -> int | None:
    """Return the child of a process that has one; None where it has just ended."""
    with contextlib.suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(found[0]) if found else None
    return None


def _await(descriptor: int) -> None:
    end, said = time.monotonic() + START_SECONDS, b""
    while said != READY:
        left = end - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError(f"silent for {START_SECONDS} s")
        part = os.read(descriptor, len(READY) - len(said))
        said += part
        if not part or not READY.startswith(said):
            raise OSError("ended before it was ready")


def _ended(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], seconds)[0])


def _scratch(pid: int) -> int:
    """Return the bytes in the folders that a box can write, as the kernel counts."""
    total = 0
    with contextlib.suppress(OSError):
        for folder in (HOME, SHARED, "/tmp"):
            disk = os.statvfs(f"/proc/{pid}/root{folder}")
            total += (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            total += (disk.f_files - disk.f_ffree) * INODE
    return total


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name, which may hold anything."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return text.rpartition(")")[2].split()
    return None
