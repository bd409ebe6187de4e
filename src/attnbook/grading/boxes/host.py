"""What a box sees of this machine: Python and its packages, read-only, and no more.

Packages come from the running interpreter, virtual environment or not. Whatever is
called attnbook among them is covered: it holds the exercises' checkers and, where it
is installed in place, the way to the judges. `.pth` files are not read in the box.
"""

import os
import secrets
import site
import sys
from dataclasses import dataclass
from pathlib import Path

HIDDEN = "attnbook"
# Above every range that useradd, systemd and containers hand out.
HIGHEST_UID = 2_100_000_000
# Libraries by name, Debian's choice of BLAS, and what torch asks about the CPU.
DETAILS = ("/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu")


@dataclass(frozen=True)
class Tree:
    """Read-only parts of the machine, each at its own path in the box.

    Args:
        python: the interpreter itself, not a virtual environment's link to it.
        packages: the folders of packages, for `sys.path`.
        parts: (source, path in the box) of folders and files to mount; a source is
            free of symbolic links, which would point elsewhere in the box.
        links: (path, target) of symbolic links.
        hidden: folders and files below `parts` to cover with nothing.
    """

    python: str
    packages: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]

    @property
    def parents(self) -> list[str]:
        """The folders that lead to the parts, from the root on."""
        above = {str(up) for _, part in self.parts for up in Path(part).parents}
        return sorted(above - {"/"})


def tree() -> Tree:
    """Look up this interpreter's parts."""
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    packages = _packages()
    roots = ("/", "/usr", sys.base_prefix, sys.base_exec_prefix)
    places = [os.path.join(root, lib) for root in roots for lib in ("lib", "lib64")]
    links = {place: os.readlink(place) for place in places if os.path.islink(place)}
    wanted = [place for place in places if place not in links]
    parts: list[tuple[str, str]] = []
    for path in (*wanted, *packages, python, *DETAILS):
        part = (os.path.realpath(path), path)
        if os.path.exists(path) and not any(_covers(have, part) for have in parts):
            parts.append(part)
    return Tree(
        python=python,
        packages=packages,
        parts=tuple(parts),
        links=tuple(links.items()),
        hidden=tuple(_hidden(packages)),
    )


def plain_uid() -> int:
    """Return a uid for one box: nobody's, so that its processes are counted apart."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    ends = [int(start) + int(count) for start, _, count in map(str.split, lines)]
    top = min(HIGHEST_UID, max(ends))
    return top - 1 - secrets.randbelow(min(top // 2, 100_000_000))


def _packages() -> tuple[str, ...]:
    known = [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(dict.fromkeys(path for path in sys.path if path in known))


def _hidden(packages: tuple[str, ...]) -> list[str]:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix, "lib", version, "site-packages")
    named = {
        path for folder in {*map(Path, packages), base} for path in folder.glob("*")
    }
    return sorted(str(p) for p in named if HIDDEN in p.name and not p.is_symlink())


def _covers(have: tuple[str, str], part: tuple[str, str]) -> bool:
    """Whether a mounted part shows another one already, at the right path."""
    below = os.path.relpath(part[1], have[1])
    return not below.startswith("..") and part[0] == os.path.normpath(
        os.path.join(have[0], below)
    )
