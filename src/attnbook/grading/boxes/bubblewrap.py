"""Boxes made by bubblewrap, Debian's and Fedora's small tool for them.

An ordinary user gets a user namespace. Root gets none: there a limit on processes
would count for nothing, so the launcher becomes a plain user of its own instead, and
needs two capabilities up to that point.
"""

import os
import shutil
import subprocess
from functools import cache

from attnbook.grading.assignments import Limits
from attnbook.grading.boxes import host
from attnbook.grading.boxes.box import (
    ENVIRONMENT,
    HOME,
    MIB,
    SHARED,
    SMALL_MIB,
    Box,
    NoSandbox,
    command,
    first_child,
    spawn,
)

NAMESPACES = ("ipc", "pid", "net", "uts")
UNTIL_DROPPED = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


class Bubblewrap:
    """Starts boxes with `bwrap`, as root and as an ordinary user."""

    name = "bubblewrap"

    def start(self, program: str, limits: Limits) -> Box:
        """Run a program in a new box."""
        tree = host.tree()
        uid = host.plain_uid() if os.geteuid() == 0 else None
        python = [tree.python, "-I", "-S", "-B"]
        inside = command(python, program, limits, paths=tree.packages, uid=uid)
        outside = ["bwrap", *_rights(), *_mounts(tree, limits), "--", *inside]
        process = spawn(outside, env=ENVIRONMENT)
        return Box(process, first_child(process.pid))


def _rights() -> list[str]:
    known = _help()
    words = [f"--unshare-{name}" for name in NAMESPACES]
    words += ["--unshare-cgroup-try", "--hostname", "box"]
    words += ["--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        for capability in UNTIL_DROPPED:
            words += ["--cap-add", capability]
        return words
    # bwrap's own first process would have our uid and none of the launcher's limits;
    # root's has root's, and must be bwrap's: it is the one that bwrap may still end
    words += ["--unshare-user", "--as-pid-1"]
    return words + ["--disable-userns"] * ("--disable-userns" in known)


def _mounts(tree: host.Tree, limits: Limits) -> list[str]:
    # scratch first: Python may live below one of these folders, and is shown there
    words = _scratch(HOME, limits.scratch_mib) + _scratch("/tmp", SMALL_MIB)
    for path in tree.parents:  # else a closed one, like /root, would be closed here
        words += ["--perms", "0755", "--dir", path]
    for source, path in tree.parts:
        words += ["--ro-bind", source, path]
    for path, target in tree.links:
        words += ["--symlink", target, path]
    for path in tree.hidden:
        if os.path.isdir(path):
            words += ["--tmpfs", path, "--remount-ro", path]
        else:
            words += ["--ro-bind", os.devnull, path]
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    words += _scratch(SHARED, SMALL_MIB)
    return [*words, "--chdir", HOME, "--remount-ro", "/"]


def _scratch(path: str, mib: int) -> list[str]:
    return ["--perms", "1777", "--size", str(mib * MIB), "--tmpfs", path]


@cache
def _help() -> str:
    if shutil.which("bwrap") is None:
        raise NoSandbox("bwrap is not installed")
    shown = subprocess.run(["bwrap", "--help"], capture_output=True, text=True)
    text = shown.stdout + shown.stderr
    if "--size" not in text:
        raise NoSandbox("bwrap is older than 0.7 and cannot bound a scratch folder")
    return text
