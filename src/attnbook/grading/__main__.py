"""The commands: release, grade, merge, doctor.

Exit status: 0 when all is well; for `grade`, when every submission has a mark or a
named fault. 1 when something failed that a person must look at, 2 for wrong use,
3 when there is no sandbox.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from attnbook.grading import assignments, commands
from attnbook.grading.boxes.sandbox import NoSandbox
from attnbook.grading.intake import collect
from attnbook.grading.reports.sheets import SheetError

EXPECTED = (assignments.AssignmentError, collect.CollectError, SheetError)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all four commands."""
    main = argparse.ArgumentParser("python -m attnbook.grading", description=__doc__)
    kinds = main.add_subparsers(dest="command", required=True)
    for name, add in {
        "release": add_release,
        "grade": add_grade,
        "merge": add_merge,
        "doctor": add_doctor,
    }.items():
        function = getattr(commands, name)
        add(kinds.add_parser(name, help=function.__doc__.split("\n")[0]))
    return main


def add_assignments(command: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of assignments."""
    command.add_argument(
        "--assignments",
        type=Path,
        default=Path("assignments"),
        metavar="DIR",
        help="folder of the assignments' sources (default: %(default)s)",
    )


def add_backend(command: argparse.ArgumentParser) -> None:
    """Add the option that names a sandbox."""
    command.add_argument(
        "--backend",
        choices=("bubblewrap", "util-linux", "podman", "docker"),
        help="the sandbox (default: the first that works here)",
    )


def add_release(command: argparse.ArgumentParser) -> None:
    """Describe `release`."""
    command.add_argument("names", nargs="*", help="a1, a2, …; all if none is given")
    add_assignments(command)
    add_backend(command)
    command.add_argument(
        "--notebooks",
        type=Path,
        default=Path("notebooks/assignments"),
        metavar="DIR",
        help="where student notebooks go (default: %(default)s)",
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path(".build/assignments"),
        metavar="DIR",
        help="where instructor notebooks go (default: %(default)s)",
    )
    command.add_argument(
        "--config",
        type=Path,
        default=Path("_config.yml"),
        metavar="FILE",
        help="holds the repository's address (default: %(default)s)",
    )
    command.add_argument(
        "--nbgrader", action="store_true", help="also write nbgrader source notebooks"
    )
    command.add_argument("--jobs", type=int, help="how many at once")


def add_grade(command: argparse.ArgumentParser) -> None:
    """Describe `grade`."""
    command.add_argument("name", help="the assignment: a1, a2, …")
    command.add_argument("submissions", type=Path, help="a zip file or a folder")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--jobs", type=int, help="how many at once (default: cores)")
    command.add_argument(
        "--names",
        choices=("auto", *collect.PATTERNS),
        default="auto",
        help="how file names tell the student (default: %(default)s)",
    )
    command.add_argument(
        "--shard",
        type=shard,
        default=(1, 1),
        metavar="I/N",
        help="grade the I-th of N parts; `merge` joins them",
    )
    command.add_argument(
        "--gradescope", action="store_true", help="also write Gradescope's results.json"
    )
    command.add_argument(
        "--unsafe",
        action="store_true",
        help="run submissions WITHOUT a sandbox: they can read and change all you can",
    )
    add_assignments(command)
    add_backend(command)


def add_merge(command: argparse.ArgumentParser) -> None:
    """Describe `merge`."""
    command.add_argument("folders", nargs="+", type=Path, help="folders `grade` wrote")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--manual",
        type=Path,
        action="append",
        default=[],
        metavar="CSV",
        help="a filled-in free_text.csv (may be given more than once)",
    )
    command.add_argument("--gradescope", action="store_true")
    add_assignments(command)


def add_doctor(command: argparse.ArgumentParser) -> None:
    """Describe `doctor`."""
    add_backend(command)


def shard(text: str) -> tuple[int, int]:
    """Read I/N."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with 1 ≤ I ≤ N")
    return int(part), int(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        return getattr(commands, options.command)(options)
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    except NoSandbox as error:
        print(error, file=sys.stderr)
        return 3
    except EXPECTED as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
