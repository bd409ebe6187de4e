"""Boxes that are containers, for institutions with podman or docker, and for macOS.

The image is the institution's to build (`assignments/Dockerfile`); none is ever
fetched. A container belongs to the engine, not to us, so it is ended by its name.
Docker Desktop hides its processes in a machine of its own: `usage` has nothing to add
up there, and the engine's limits on memory, processes and CPU are what holds.
"""

import contextlib
import os
import secrets
import subprocess
from pathlib import Path

from attnbook.grading.assignments import Limits
from attnbook.grading.boxes.box import (
    ENVIRONMENT,
    HOME,
    OPEN_FILES,
    SMALL_MIB,
    Box,
    NoSandbox,
    command,
    spawn,
)

IMAGE_VARIABLE = "ATTNBOOK_GRADING_IMAGE"
IMAGE = "attnbook-grading"
ENGINE_SECONDS = 60.0
# Each box has a uid of its own, below what a rootless engine can hand out.
FIRST_UID, UIDS = 10_000, 50_000


class Container:
    """Starts boxes with `docker` or `podman`, which take the same words.

    Args:
        name: of the engine and of its command.
        words: options that only this engine has.
    """

    def __init__(self, name: str, words: tuple[str, ...] = ()):
        self.name = name
        self.words = words

    def start(self, program: str, limits: Limits) -> Box:
        """Run a program in a new box."""
        box = f"attnbook-{secrets.token_hex(8)}"
        inside = command(["python3", "-I", "-B"], program, limits, tied=False)
        image = os.environ.get(IMAGE_VARIABLE) or IMAGE
        words = [self.name, "run", "--name", box, *options(limits), *self.words]
        try:
            # the name again, unread: it tells the process from all others
            process = spawn([*words, image, *inside, box])
        except FileNotFoundError:
            raise NoSandbox(f"{self.name} is not installed") from None
        except NoSandbox:
            self._remove(box)
            raise
        return Box(process, self._first(box), lambda: self._remove(box))

    def _first(self, box: str) -> int | None:
        """Return the container's first process if it runs on this very machine."""
        said = self._engine("inspect", "--format", "{{.State.Pid}}", box).strip()
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{said}/cmdline").read_text("utf-8", "replace")
            return int(said) if words.rstrip("\0").endswith(box) else None
        return None

    def _remove(self, box: str) -> None:
        self._engine("rm", "--force", box)

    def _engine(self, *words: str) -> str:
        shown = subprocess.run(
            [self.name, *words], capture_output=True, text=True, timeout=ENGINE_SECONDS
        )
        return shown.stdout


def options(limits: Limits) -> list[str]:
    """Return the limits and walls of a container as words for `run`."""
    uid = FIRST_UID + secrets.randbelow(UIDS)
    values = {
        "pull": "never",
        "network": "none",
        "hostname": "box",
        "user": f"{uid}:{uid}",
        "cap-drop": "ALL",
        "security-opt": "no-new-privileges",
        "memory": f"{limits.memory_mib}m",
        "memory-swap": f"{limits.memory_mib}m",
        "pids-limit": limits.processes,
        "cpus": 1,
        "shm-size": f"{SMALL_MIB}m",
        "workdir": HOME,
        "log-driver": "none",
        "stop-timeout": 0,
    }
    words = ["--rm", "--interactive", "--read-only"]
    words += [f"--{name}={value}" for name, value in values.items()]
    for path, mib in ((HOME, limits.scratch_mib), ("/tmp", SMALL_MIB)):
        words.append(f"--tmpfs={path}:size={mib}m,mode=1777")
    words += [f"--ulimit=nofile={OPEN_FILES}:{OPEN_FILES}"]
    words += [f"--ulimit=nproc={limits.processes}:{limits.processes}"]
    return words + [
        f"--env={name}={value}" for name, value in ENVIRONMENT.items() if name != "PATH"
    ]
