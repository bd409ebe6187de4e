"""Try a sandbox before trusting it: canaries that must not get out.

The attempts are in `canaries.py`, which runs in the box. Here stands the bait (a secret
file, open ports, a marked variable) and what each attempt must have come to. A canary
that got no answer is a dead one: it does not count as well.
"""

import contextlib
import json
import os
import secrets
import selectors
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnbook.grading.assignments import Limits
from attnbook.grading.boxes import host
from attnbook.grading.boxes.box import HOME, SHARED, SMALL_MIB, Box

PROGRAM = Path(__file__).with_name("canaries.py")
LIMITS = Limits(memory_mib=256, scratch_mib=20, processes=24, total_seconds=10)
SECONDS = 8.0
VARIABLE = "ATTNBOOK_CANARY"
MOST_NAMES = 200  # of files in one folder of yours that are looked for
# In a container, message queues have a folder, and the kernel a bound for them.
WRITABLE = {HOME, "/tmp", SHARED, "/dev/mqueue"}
Verdict = tuple[bool, str]


@dataclass(frozen=True)
class Canary:
    """One attempt to get out of a sandbox: whether it was held, and what was seen."""

    name: str
    ok: bool
    detail: str


def examine(backend) -> list[Canary]:
    """Run every canary in a box of this back-end.

    Raises:
        NoSandbox: no box comes up.
    """
    with contextlib.ExitStack() as stack:
        bait = stack.enter_context(_bait())
        box = backend.start(PROGRAM.read_text("utf-8"), LIMITS)
        stack.callback(box.kill)
        found = _answers(box, bait)
        hidden = not _alive(bait["mark"])
        box.kill()
        found["after"] = [hidden, _alive(bait["mark"])]
    return [_judged(name, judge, found, bait) for name, judge in JUDGES.items()]


def describe(canaries: list[Canary]) -> str:
    """Return a table of canaries, and the sum of it in its last line."""
    width = max(len(canary.name) for canary in canaries)
    lines = [
        f"{'ok  ' if canary.ok else 'FAIL'}  {canary.name:<{width}}  {canary.detail}"
        for canary in canaries
    ]
    bad = sum(not canary.ok for canary in canaries)
    last = f"{bad} of {len(canaries)} got out: do not grade with this."
    return "\n".join([*lines, last if bad else "All canaries were held."])


@contextlib.contextmanager
def _bait() -> Iterator[dict[str, Any]]:
    """Lay out what a canary would like to reach."""
    mark = f"attnbook-canary-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
        _abstract(mark),
    ):
        secret = Path(folder, "secret.txt")
        secret.write_text(mark, "utf-8")
        os.environ[VARIABLE] = mark
        try:
            yield {
                "mark": mark,
                "secret": str(secret),
                "private": _private(),
                "port": listener.getsockname()[1],
                "scratch": {HOME: LIMITS.scratch_mib, "/tmp": SMALL_MIB}
                | {SHARED: SMALL_MIB},
                "memory_mib": LIMITS.memory_mib,
                "processes": LIMITS.processes,
            }
        finally:
            del os.environ[VARIABLE]


@contextlib.contextmanager
def _abstract(name: str) -> Iterator[None]:
    """Listen on a socket that has no file, where the system knows such ones."""
    with socket.socket(socket.AF_UNIX) as one:
        with contextlib.suppress(OSError):
            one.bind("\0" + name)
            one.listen()
        yield


def _private() -> list[str]:
    """Return files of yours: the grader's, the home folder's, this folder's."""
    shown = {*host.tree().parents, *(path for _, path in host.tree().parts)}
    folders = {
        Path(__file__).parent,
        Path.home(),
        Path.cwd(),
        Path(__file__).parents[3],
    }
    paths = []
    for folder in folders - {Path("/")}:
        with contextlib.suppress(OSError):
            paths += [str(path) for path in sorted(folder.iterdir())[:MOST_NAMES]]
    return [path for path in paths if path not in shown and not path.startswith(HOME)]


def _answers(box: Box, bait: dict[str, Any]) -> dict[str, Any]:
    """Send the bait and collect what the canaries say, as long as there is time."""
    box.process.stdin.write(json.dumps(bait).encode() + b"\n")
    box.process.stdin.flush()
    end, said = time.monotonic() + SECONDS, b""
    with selectors.DefaultSelector() as selector:
        selector.register(box.process.stdout, selectors.EVENT_READ)
        while b'"namespaces"' not in said or not said.endswith(b"\n"):
            if not selector.select(max(0.0, end - time.monotonic())):
                break
            part = os.read(box.process.stdout.fileno(), 2**16)
            said += part
            if not part:
                break
    lines = said.decode("utf-8", "replace").splitlines()
    return dict(json.loads(line) for line in lines if line.endswith("]"))


def _alive(mark: str) -> bool:
    """Whether a process of this machine carries the mark in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().rstrip(b"\0").endswith(mark.encode()):
                return True
    return False


def _judged(name: str, judge: Callable, found: dict, bait: dict) -> Canary:
    try:
        ok, detail = judge(found, bait)
    except (KeyError, TypeError, ValueError):
        key = judge.__name__.strip("_")
        return Canary(name, False, f"no answer: {found.get(key, 'silence')}")
    return Canary(name, ok, detail)


def _files(found: dict, bait: dict) -> Verdict:
    seen = [path for path in found["files"] if isinstance(path, str)]
    looked = len(bait["private"]) + 2
    return len(
        found["files"]
    ) == 0, f"{len(seen)} of {looked} in sight {seen[:2] or ''}"


def _package(found: dict, bait: dict) -> Verdict:
    return found["package"] == "", found["package"] or "no module of that name"


def _writing(found: dict, bait: dict) -> Verdict:
    places = [Path(place) for place in found["writing"]]
    held = all(any(map(place.is_relative_to, WRITABLE)) for place in places)
    return bool(places) and held, ", ".join(map(str, places))


def _scratch(found: dict, bait: dict) -> Verdict:
    full = found["scratch"]
    ok = all(
        full[place][1] in ("ENOSPC", "EFBIG") and full[place][0] <= most
        for place, most in bait["scratch"].items()
    )
    return ok, ", ".join(
        f"{place} {mib} MiB {why}" for place, (mib, why) in full.items()
    )


def _network(found: dict, bait: dict) -> Verdict:
    reached = found["network"]
    return reached == [], ", ".join(reached) or "nothing answers"


def _processes(found: dict, bait: dict) -> Verdict:
    namespace, count = found["processes"]
    ours = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns") else ""
    return namespace != ours and count <= LIMITS.processes, f"{count} in sight"


def _rights(found: dict, bait: dict) -> Verdict:
    rights = found["rights"]
    ids = {*rights["Uid"].split(), *rights["Gid"].split()}
    has = [name for name in rights if name.startswith("Cap") and int(rights[name], 16)]
    ok = "0" not in ids and not has and rights["NoNewPrivs"] == "1"
    return ok, f"uid {rights['Uid'].split()[0]}, {', '.join(has) or 'no capability'}"


def _environment(found: dict, bait: dict) -> Verdict:
    return found["environment"] is False, "seen" if found["environment"] else "not seen"


def _memory(found: dict, bait: dict) -> Verdict:
    limit = f"{LIMITS.memory_mib} MiB"
    return found[
        "memory"
    ] is False, f"{limit}: {'broken' if found['memory'] else 'holds'}"


def _forks(found: dict, bait: dict) -> Verdict:
    count = found["forks"]
    return 0 < count < LIMITS.processes, f"{count} started, {LIMITS.processes} allowed"


def _namespaces(found: dict, bait: dict) -> Verdict:
    made = found["namespaces"]
    return made is False, "made" if made else "refused"


def _orphans(found: dict, bait: dict) -> Verdict:
    hidden, left = found["after"]
    detail = "still there" if left else "gone with the box"
    return found["orphans"] is True and not left, (
        "in the engine's own machine, which ends it" if hidden else detail
    )


JUDGES: dict[str, Callable[[dict, dict], Verdict]] = {
    "reads no file of yours": _files,
    "cannot import attnbook": _package,
    "writes in its scratch only": _writing,
    "scratch is bounded": _scratch,
    "has no network": _network,
    "sees no process of yours": _processes,
    "is nobody, without rights": _rights,
    "knows no variable of yours": _environment,
    "memory is limited": _memory,
    "processes are limited": _forks,
    "cannot become root in a namespace": _namespaces,
    "leaves no process behind": _orphans,
}
