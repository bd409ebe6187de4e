"""Try, inside a box, what a submission must not be able to do.

Sent as text, like `launch.py`. It takes one line with what to try, prints a line per
attempt with what came of it, and waits. `doctor.py` draws the conclusions outside. It
also runs with no box around it, as the proof that the attempts do succeed there: so
each is bounded, takes away what it made, and changes nothing.
"""

import ctypes
import errno
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

MIB = 2**20
NEW_USER = 0x10000000
ORPHAN = """
import os, signal, sys, time
for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(one, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.write(1, b"!")
time.sleep(20)
"""


def files(bait: dict) -> list[str]:
    """Read or find what lies on the machine."""
    paths = [bait["secret"], f"/proc/1/root{bait['secret']}", *bait["private"]]
    return [path for path in paths if os.path.lexists(path)]


def package(bait: dict) -> str:
    """Import the grader."""
    try:
        return importlib.import_module("attnbook").__file__
    except ModuleNotFoundError:
        return ""


def writing(bait: dict) -> list[str]:
    """Make a file in every place that is mounted, and on the way there."""
    with open("/proc/mounts") as mounts:
        places = {line.split()[1] for line in mounts}
    places |= {"/usr", "/etc", "/home", "/var", "/run", *sys.path}
    places |= {os.path.dirname(place) for place in places}
    return sorted(place for place in places if _writable(place))


def _writable(place: str) -> bool:
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError:
        return False
    return os.path.isdir(place)


def scratch(bait: dict) -> dict[str, list]:
    """Fill each writable folder with more than it may hold, in files of 4 MiB."""
    return {place: _fill(place, most) for place, most in bait["scratch"].items()}


def _fill(place: str, most: int) -> list:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        for written in range(most + 8):
            try:
                with open(os.path.join(folder, str(written // 4)), "ab") as file:
                    file.write(bytes(MIB))
            except OSError as error:
                return [written, errno.errorcode[error.errno]]
    return [most + 8, ""]


def network(bait: dict) -> list[str]:
    """Reach the machine, the world, and the machine under this one."""
    goals = {
        "this machine": (socket.AF_INET, ("127.0.0.1", bait["port"])),
        "an abstract socket": (socket.AF_UNIX, "\0" + bait["mark"]),
        "an outside address": (socket.AF_INET, ("192.0.2.1", 80)),
    }
    reached = [goal for goal, where in goals.items() if _reached(*where)]
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        return reached
    return [*reached, "vsock"]


def _reached(family: int, address: tuple | str) -> bool:
    start = time.monotonic()
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(1.0)
        try:
            one.connect(address)
        except OSError:
            return time.monotonic() - start > 0.5  # somebody had to think about it
    return True


def processes(bait: dict) -> list:
    """Name our process namespace and count what is in sight."""
    seen = [name for name in os.listdir("/proc") if name.isdecimal()]
    return [os.readlink("/proc/self/ns/pid"), len(seen)]


def rights(bait: dict) -> dict[str, str]:
    """Read what we may do."""
    wanted = ("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {name: lines[name].strip() for name in (*wanted, "NoNewPrivs")}


def namespaces(bait: dict) -> bool:
    """Make a user namespace, in which we would be root."""
    return ctypes.CDLL(None).unshare(NEW_USER) == 0


def environment(bait: dict) -> bool:
    """Find a variable of the grader's."""
    return bait["mark"] in os.environ.values()


def memory(bait: dict) -> bool:
    """Take a tenth more than there is."""
    try:
        bytearray(int(bait["memory_mib"] * 1.1) * MIB)
    except MemoryError:
        return False
    return True


def forks(bait: dict) -> int:
    """Start ten more sleeping processes than there may be, and end them."""
    children = []
    try:
        for _ in range(bait["processes"] + 10):
            child = os.fork()
            if child == 0:
                time.sleep(5)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children)


def orphans(bait: dict) -> bool:
    """Leave a process behind that no signal but the last one ends."""
    words = [sys.executable, "-I", "-S", "-c", ORPHAN, bait["mark"]]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        return child.stdout.read(1) == b"!"


ATTEMPTS = (files, package, writing, scratch, network, processes, rights, environment)
LAST = (memory, forks, orphans, namespaces)


def main() -> None:
    """Try everything, one line each."""
    bait = json.loads(sys.stdin.readline())
    for attempt in (*ATTEMPTS, *LAST):
        try:
            found = attempt(bait)
        except Exception as error:
            found = {"broke": repr(error)}
        print(json.dumps([attempt.__name__, found]), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
