"""Build a box's file system in fresh namespaces, move into it, start the launcher.

Sent as text to a Python that `unshare` has made process 1 of its own namespaces.
Python makes the system calls because `mount` cannot set a whole tree read-only before
util-linux 2.39, and a tree that is left writable below the top is a hole. The old root
is gone when the launcher starts, not only out of sight.

Arguments: the plan as JSON (see `util_linux.py`), then the launcher's command line.
"""

import ctypes
import json
import os
import socket
import struct
import sys

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC = 1, 2, 4, 8, 32, 4096, 16384
QUIET = NOSUID | NODEV
DETACH = 2
MOUNT_SETATTR, HERE, RECURSIVE = 442, -100, 0x8000
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
OLD = "/old"
DEVICES = ("null", "zero", "full", "random", "urandom")
# an empty file costs memory that no size bounds
FILES = 20_000

libc = ctypes.CDLL(None, use_errno=True)


def need(result: int, what: str) -> None:
    """Raise the system's error where a call failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Call mount(2)."""
    texts = [text.encode() for text in (source, target, kind)]
    result = libc.mount(*texts, ctypes.c_ulong(flags), options.encode())
    need(result, f"mount {kind} on {target}")


def place(path: str, like: str) -> None:
    """Make an empty folder or file to mount on."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if os.path.isdir(like):
        os.makedirs(path, 0o755, exist_ok=True)
    elif not os.path.exists(path):
        os.close(os.open(path, os.O_CREAT, 0o444))


def show(source: str, path: str) -> None:
    """Mount a part of the machine, all below it read-only."""
    place(path, OLD + source)
    mount(OLD + source, path, "", BIND | REC)
    attributes = struct.pack("QQQQ", RDONLY | QUIET, 0, 0, 0)
    result = libc.syscall(
        ctypes.c_long(MOUNT_SETATTR),
        ctypes.c_long(HERE),
        path.encode(),
        ctypes.c_long(RECURSIVE),
        attributes,
        ctypes.c_long(len(attributes)),
    )
    need(result, f"make {path} read-only (Linux 5.12 or newer)")


def scratch(path: str, mib: int) -> None:
    """Mount a small writable folder."""
    os.makedirs(path, 0o755, exist_ok=True)
    options = f"size={mib}m,nr_inodes={FILES},mode=1777"
    mount("tmpfs", path, "tmpfs", QUIET, options)


def cover(path: str) -> None:
    """Put nothing in the place of a folder or file."""
    if os.path.isdir(path):
        mount("tmpfs", path, "tmpfs", QUIET | RDONLY, "size=4k,nr_inodes=2")
    else:
        mount(OLD + os.devnull, path, "", BIND)


def devices() -> None:
    """Fill /dev with what gives or takes bytes and belongs to nobody."""
    os.makedirs("/dev", 0o755)
    for name in DEVICES:
        place(f"/dev/{name}", os.devnull)
        mount(f"{OLD}/dev/{name}", f"/dev/{name}", "", BIND)
    os.symlink("/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")


def enter() -> None:
    """Make an empty tmpfs the root, with the machine's own under `OLD` for now."""
    mount("tmpfs", "/tmp", "tmpfs", QUIET, "size=1m,mode=755")
    os.mkdir("/tmp" + OLD)
    os.chdir("/tmp")
    number = PIVOT_ROOT[os.uname().machine]
    need(libc.syscall(ctypes.c_long(number), b".", OLD[1:].encode()), "pivot_root")
    os.chdir("/")


def main() -> None:
    """Build the box's root as planned and go on as the launcher."""
    plan, command = json.loads(sys.argv[1]), sys.argv[2:]
    os.umask(0)
    enter()
    # scratch first: Python may live below one of these folders, and is shown there
    for path, mib in plan["scratch"].items():
        scratch(path, mib)
    for source, path in plan["parts"]:
        show(source, path)
    for path, target in plan["links"]:
        os.symlink(target, path)
    for path in plan["hidden"]:
        cover(path)
    os.mkdir("/proc", 0o755)
    mount("proc", "/proc", "proc", QUIET | NOEXEC)
    devices()
    scratch(*plan["shared"])
    need(libc.umount2(OLD.encode(), DETACH), "give up the old root")
    os.rmdir(OLD)
    mount("", "/", "", REMOUNT | BIND | RDONLY | QUIET)
    socket.sethostname("box")
    os.umask(0o022)
    os.chdir(plan["home"])
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
