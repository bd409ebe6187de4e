"""Run a student notebook with only what Colab has: not this package, no network.

The file is both sides. `faults` starts it again as a script in an empty folder, and the
script runs the cells with imports guarded: what the *cells* import must be on the list,
while listed packages may import what they need.
"""

import builtins
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile

ALLOWED = {
    "IPython",
    "matplotlib",
    "mpl_toolkits",
    "numpy",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "tqdm",
}
# Importing torch takes seconds, on a busy machine many.
START_SECONDS = 120


def faults(cells: list[str], seconds: float) -> list[str]:
    """Run code cells as Colab would and list what goes wrong.

    Args:
        cells: the sources, in order.
        seconds: what all cells may take together.
    """
    command = [sys.executable, "-I", __file__]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                input=json.dumps(cells),
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "MPLBACKEND": "Agg"},
                timeout=START_SECONDS + seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [f"did not end in {seconds:g} seconds"]
    if done.returncode == 0:
        return []
    return done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]


def main() -> None:
    """Run the cells that stand on standard input; exit with their faults."""
    cells = json.load(sys.stdin)
    builtins.__import__ = guarded(builtins.__import__)
    sys.meta_path.insert(0, Absent())
    socket.socket.connect = no_network
    namespace = {"__name__": "__main__"}
    found = []
    for number, cell in enumerate(cells, 1):
        hidden = io.StringIO()
        try:
            with contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden):
                exec(compile(cell, f"code cell {number}", "exec"), namespace)
        except (Exception, SystemExit) as error:
            found.append(f"code cell {number}: {type(error).__name__}: {error}")
    sys.exit("\n".join(found) if found else 0)


def guarded(load):
    """Return an import function that refuses cells what Colab lacks."""

    def refusing(name, globals=None, locals=None, fromlist=(), level=0):
        by_cell = (globals or {}).get("__name__") == "__main__"
        top = name.partition(".")[0]
        if by_cell and top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{top} is not among what students have")
        return load(name, globals, locals, fromlist, level)

    return refusing


class Absent:
    """Answers for this package, first of all finders, that it is not there."""

    def find_spec(self, name, path=None, target=None):
        """Refuse the package and leave every other name to the next finder."""
        if name.partition(".")[0] == "attnbook":
            raise ModuleNotFoundError("students do not have attnbook")


def no_network(self, address):
    """Refuse a connection."""
    raise OSError(f"assignments use no network: {address}")


if __name__ == "__main__":
    main()
