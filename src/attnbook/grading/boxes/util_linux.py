"""Boxes made with util-linux only, for machines that have no bubblewrap.

`unshare` makes the namespaces, `new_root.py` the file system; `setpriv` ties the box
to this process. What the box sees and may do is the same as with bubblewrap.
"""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from attnbook.grading.assignments import Limits
from attnbook.grading.boxes import host
from attnbook.grading.boxes.box import (
    ENVIRONMENT,
    HOME,
    SHARED,
    SMALL_MIB,
    Box,
    NoSandbox,
    command,
    first_child,
    spawn,
)

NEW_ROOT = Path(__file__).with_name("new_root.py")
NAMESPACES = ("mount", "ipc", "pid", "net", "uts", "cgroup")
TOOLS = ("setpriv", "unshare")


class UtilLinux:
    """Starts boxes with `unshare`, as root and as an ordinary user."""

    name = "util-linux"

    def start(self, program: str, limits: Limits) -> Box:
        """Run a program in a new box."""
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise NoSandbox(f"{' and '.join(missing)} (util-linux) not installed")
        tree = host.tree()
        uid = host.plain_uid() if os.geteuid() == 0 else None
        python = [tree.python, "-I", "-S", "-B"]
        inside = command(python, program, limits, paths=tree.packages, uid=uid)
        plan = {
            **asdict(tree),
            "home": HOME,
            "scratch": {HOME: limits.scratch_mib, "/tmp": SMALL_MIB},
            "shared": (SHARED, SMALL_MIB),
        }
        build = [*python, "-c", NEW_ROOT.read_text("utf-8"), json.dumps(plan)]
        words = [*_namespaces(), *build, *inside]
        process = spawn(words, env=ENVIRONMENT, start_new_session=True)
        return Box(process, first_child(process.pid))


def _namespaces() -> list[str]:
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--fork", "--kill-child"]
    words += [f"--{name}" for name in NAMESPACES]
    # root needs no user namespace, where its limit on processes would not count
    return words + ["--map-current-user", "--keep-caps"] * (os.geteuid() != 0)
