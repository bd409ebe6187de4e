"""Where submissions run: the back-ends, and the choice among them.

A back-end counts only if a box really starts: an installed `bwrap` says little where
the kernel, AppArmor or a surrounding container forbids namespaces.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from functools import cache
from typing import Protocol, runtime_checkable

from attnbook.grading.assignments import Limits
from attnbook.grading.boxes.box import (
    ENVIRONMENT,
    Box,
    NoSandbox,
    Usage,
    command,
    spawn,
    tree,
)
from attnbook.grading.boxes.bubblewrap import Bubblewrap
from attnbook.grading.boxes.containers import Container
from attnbook.grading.boxes.util_linux import UtilLinux

__all__ = ["BACKENDS", "Backend", "Box", "NoSandbox", "Usage", "choose"]

HELP = """\
How to get one:
  Debian, Ubuntu  sudo apt install bubblewrap
  Fedora          sudo dnf install bubblewrap
  Ubuntu 24.04 and later forbid namespaces to ordinary users; allow them to bubblewrap:
                  write this to /etc/apparmor.d/bwrap
                      abi <abi/4.0>,
                      include <tunables/global>
                      profile bwrap /usr/bin/bwrap flags=(unconfined) {
                        userns,
                      }
                  and run: sudo systemctl reload apparmor
  macOS           Docker Desktop or podman; in the book's folder:
                  docker build -t attnbook-grading assignments
  Windows         WSL2 with Debian or Ubuntu, and there as above
  in a container  it may need --privileged, or grade outside of it"""


@runtime_checkable
class Backend(Protocol):
    """Something that starts boxes."""

    name: str

    def start(self, program: str, limits: Limits) -> Box:
        """Run a program, given as Python source, in a new box.

        Raises:
            NoSandbox: no box comes up; the message says why.
        """


class Unsafe:
    """No sandbox: a child process that may do whatever you may.

    Memory, CPU time and the size of a file are limited, and what it starts is ended
    with it as far as it does not hide.
    """

    name = "unsafe"

    def start(self, program: str, limits: Limits) -> Box:
        """Run a program in a folder of its own."""
        folder = tempfile.mkdtemp(prefix="attnbook-unsafe-")
        words = command([sys.executable, "-I", "-B"], program, limits, contained=False)
        places = {"HOME": folder, "TMPDIR": folder, "PATH": os.environ.get("PATH", "")}
        options = {"env": ENVIRONMENT | places, "cwd": folder}
        try:
            process = spawn(words, start_new_session=True, **options)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

        def remove() -> None:
            for pid in list(tree(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)

        return Box(process, process.pid, remove)


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Bubblewrap(),
        UtilLinux(),
        # by itself podman adds writable folders without a bound
        Container("podman", ("--read-only-tmpfs=false",)),
        Container("docker"),
        Unsafe(),
    )
}


def choose(name: str | None = None) -> Backend:
    """Return a back-end that works here.

    Args:
        name: of the only one to try; else the first that works, never "unsafe".

    Raises:
        NoSandbox: none works; the message says why, and how to get one.
        ValueError: there is no back-end of that name.
    """
    if name is not None and name not in BACKENDS:
        raise ValueError(f"no sandbox is called {name!r}; known: {', '.join(BACKENDS)}")
    wanted = [name] if name else [known for known in BACKENDS if known != "unsafe"]
    reasons = []
    for one in wanted:
        reason = trouble(one)
        if not reason:
            return BACKENDS[one]
        reasons.append(f"  {one}: {reason}")
    tried = "\n".join(reasons)
    raise NoSandbox(f"No sandbox, so nothing was run. Tried:\n{tried}\n{HELP}")


@cache
def trouble(name: str) -> str:
    """Start a box and return why that failed; empty if it did not."""
    try:
        BACKENDS[name].start("", Limits()).kill()
    except (NoSandbox, OSError) as error:
        return str(error)
    return ""
