"""Run a student's cells and the probes, inside the sandbox.

This file is sent into the sandbox as text and is the only code of ours beside the
student's. It may assume nothing: the student's code runs in the same process and can
change anything here. So it decides nothing. It takes orders as JSON lines on what was
standard input, and answers with plain data on what was standard output; whatever
arrives outside is checked there again.

Standard library only; NumPy and PyTorch are imported when a probe needs them.
"""

import __future__

import ast
import base64
import builtins
import json
import os
import random
import sys
import types
import warnings

LONGEST_TEXT = 20_000  # characters of a text that a probe returns
LONGEST_MESSAGE = 400  # characters of an error message
LARGEST_ARRAY = 200_000  # numbers
DEEPEST = 12  # lists within lists
DEFINITIONS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
)
STUBS = ("", "write me")
FUTURE = __future__.annotations.compiler_flag


class Missing(Exception):
    """A probe asked for a name that the notebook does not define."""


class Answers:
    """The student's names, as a probe sees them."""

    def __init__(self, names: dict):
        self._names = names

    def __getitem__(self, name: str):
        if name not in self._names:
            raise Missing(name)
        if self._names[name] is None:
            raise NotImplementedError
        return self._names[name]

    def get(self, name: str, default=None):
        """Return what a name stands for, or the default."""
        return self._names.get(name, default)


class Checks:
    """Stands in for the notebook's `check`: keeps how each block of asserts ended."""

    def __init__(self):
        self.seen = []

    def __call__(self, title: str):
        self.seen.append([str(title)[:LONGEST_MESSAGE], "passed", ""])
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            self.seen[-1][1:] = outcome_of(error)
        return error is None or isinstance(error, Exception)


def outcome_of(error: BaseException) -> list[str]:
    """Return a word for how a visible check ended, and its message."""
    if is_stub(error):
        return ["not attempted", ""]
    if isinstance(error, AssertionError):
        return ["wrong", message_of(error)]
    return ["error", f"{type(error).__name__}: {message_of(error)}"]


def is_stub(error: BaseException) -> bool:
    """Tell a stub from what PyTorch raises where it has no such operation."""
    return isinstance(error, NotImplementedError) and message_of(error) in STUBS


def message_of(error: BaseException) -> str:
    """Return an error's text, whatever its `__str__` does."""
    try:
        return str(error)[:LONGEST_MESSAGE]
    except BaseException:
        return ""


def fault_of(error: BaseException) -> dict:
    """Describe an exception in plain text."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("cell "):
            line = trace.tb_lineno
        trace = trace.tb_next
    name = type(error).__name__[:80]
    return {"error": name, "message": message_of(error), "line": line}


# cells


def is_definition(statement: ast.stmt) -> bool:
    """Tell whether a statement only defines: a function, class, import or literal."""
    if isinstance(statement, ast.Assign):
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            return False
        return True
    return isinstance(statement, DEFINITIONS)


def run_cell(names: dict, source: str, title: str, only_definitions: bool) -> dict:
    """Run a cell statement by statement; after an error, only what it defines."""
    try:
        tree = ast.parse(source, title)
    except (SyntaxError, ValueError) as error:
        return {"error": type(error).__name__, "message": message_of(error), "line": 0}
    flags, fault = 0, {}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            flags = FUTURE
        if (only_definitions or fault) and not is_definition(statement):
            continue
        try:
            module = ast.Module([statement], [])
            exec(compile(module, title, "exec", flags, dont_inherit=True), names)
        except BaseException as error:
            fault = fault or fault_of(error)
    return fault


def run_check(names: dict, source: str, title: str) -> list:
    """Run a visible check cell and return how each of its blocks ended."""
    checks = Checks()
    fault = run_cell({**names, "check": checks}, source, title, False)
    if fault:
        text = f"{fault['error']}: {fault['message']}"
        checks.seen.append([title, "error", text])
    return checks.seen[:20]


# probes


def reset(home: str, framework: str) -> None:
    """Put back what one probe must not change for the next."""
    os.chdir(home)
    warnings.simplefilter("ignore")
    random.seed(0)
    numpy = __import__("numpy")
    numpy.random.seed(0)
    numpy.seterr(all="warn")
    if framework == "torch":
        torch = __import__("torch")
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        torch.manual_seed(0)


class Inputs:
    """Rebuilds a probe's inputs, and calls functions that stay outside.

    A hidden implementation that a student is to examine is no use in this process,
    where it could be read. What is here is a name: a call sends the arguments out and
    waits for the result.
    """

    def __init__(self, framework: str, call_outside):
        self.framework = framework
        self.call_outside = call_outside

    def decode(self, value):
        """Rebuild a value from JSON."""
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$outside" in value:
            return self.outside(value["$outside"])
        if "$array" not in value:
            return {name: self.decode(item) for name, item in value.items()}
        numpy = __import__("numpy")
        array = numpy.array(value["data"], value["dtype"]).reshape(value["$array"])
        torch = self.framework == "torch"
        return __import__("torch").from_numpy(array) if torch else array

    def outside(self, number: int):
        """Return a function whose body is outside."""

        def call(*arguments, **options):
            sent = encode([list(arguments), options])
            answer = self.call_outside({"call": number, "arguments": sent})
            if "refused" in answer:
                raise ValueError(answer["refused"])
            return self.decode(answer["value"])

        return call


def encode(value, depth: int = 0):
    """Turn what a probe returned into plain data.

    Raises:
        TypeError: there are no numbers in it, or too many.
    """
    if depth > DEEPEST:
        raise TypeError("lists within lists within lists")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, list | tuple):
        return [encode(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(name): encode(item, depth + 1) for name, item in value.items()}
    if hasattr(value, "detach"):
        value = value.detach().cpu().resolve_conj().resolve_neg()
    if not hasattr(value, "tolist") or not hasattr(value, "shape"):
        raise TypeError(f"a {type(value).__name__} is no number, text or array")
    return encode_array(value)


def encode_array(array) -> dict:
    """Turn a NumPy array or a tensor into its shape, its kind and a flat list."""
    shape = [int(size) for size in array.shape]
    kind = str(array.dtype).rpartition(".")[2]
    kind = next((k for k in ("bool", "int", "float") if k in kind), kind)
    count = 1
    for size in shape:
        count *= size
    if kind not in ("bool", "int", "float") or count > LARGEST_ARRAY:
        raise TypeError(f"an array of {count} values of kind {kind}")
    return {"$array": shape, "dtype": kind, "data": array.reshape(-1).tolist()}


def run_probe(probes: dict, names: dict, order: dict, call_outside) -> dict:
    """Call one probe and return its value, or what went wrong."""
    try:
        inputs = Inputs(order["framework"], call_outside).decode(order["inputs"])
        return {"value": encode(probes[order["name"]](Answers(names), **inputs))}
    except Missing as error:
        return {"missing": str(error)}
    except BaseException as error:
        if is_stub(error):
            return {"not attempted": True}
        # PyTorch raises a RuntimeError where memory is short
        short = "allocate memory" in message_of(error)
        return {"error": "MemoryError" if short else type(error).__name__[:80]}


# orders


class Worker:
    """Carries out the orders, one by one.

    Args:
        orders: a binary stream with a JSON object per line.
        answers: the stream for what comes of them.
    """

    def __init__(self, orders, answers):
        self.orders = orders
        self.answers = answers
        self.id = 0
        self.home = os.getcwd()
        main = types.ModuleType("__main__")
        self.names = main.__dict__
        self.names.update(display=lambda *args, **options: None, GRADING=True)
        self.names["__builtins__"] = builtins
        sys.modules["__main__"] = main
        self.probes: dict = {}

    def work(self) -> None:
        """Follow orders until there are no more."""
        for line in self.orders:
            order = json.loads(line)
            self.id = order["id"]
            try:
                answer = self.carry_out(order)
            except BaseException as error:
                answer = fault_of(error)
            self.say({"answer": answer})

    def say(self, what: dict) -> None:
        """Write one line."""
        text = json.dumps({"id": self.id, **what})
        self.answers.write(text.encode("ascii") + b"\n")
        self.answers.flush()

    def call_outside(self, what: dict) -> dict:
        """Ask for a call and return its result."""
        self.say(what)
        return json.loads(self.orders.readline())

    def carry_out(self, order: dict):
        """Do one thing and return plain data."""
        what = order["do"]
        if what == "ready":
            reset(self.home, order["framework"])
            return {}
        if what == "file":
            with open(os.path.join(self.home, order["name"]), "wb") as file:
                file.write(base64.b64decode(order["data"]))
            return {}
        if what == "cell":
            only = order["only_definitions"]
            return run_cell(self.names, order["source"], order["title"], only)
        if what == "check":
            return run_check(self.names, order["source"], order["title"])
        if what == "probes":
            exec(compile(order["source"], "probes", "exec"), self.probes)
            return {}
        reset(self.home, order["framework"])
        return run_probe(self.probes, self.names, order, self.call_outside)


def main() -> None:
    """Take the pipes for ourselves, then follow orders until there are no more."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    worker = Worker(orders, answers)
    worker.work()


if __name__ == "__main__":
    main()
