"""Run one submission: start boxes, keep the clock, and let one fault cost one question.

Orders go to `inside.py` as JSON lines, one at a time. What hangs, dies or floods is
noted, its box is thrown away, and the rest is run again in a fresh one: a cell that had
to be stopped then gives only its definitions, and a probe that had to be stopped is not
asked again. Hidden inputs are sent after the last cell has run and the visible checks
are answered, so no message that a student reads can hold them.
"""

import base64
import json
import os
import secrets
import selectors
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from attnbook.grading.assignments import Assignment, Limits
from attnbook.grading.judging import Check, draw

# How often the tree's memory is looked at while we wait.
POLL_SECONDS = 0.05
# For starting Python and importing torch, before the student's first line.
START_SECONDS = 30.0
MOST_RESTARTS = 12
MOST_FAULTS = 100  # cells with an error that are worth keeping
LONGEST_LINE = 8 * 2**20  # bytes
MOST_UNASKED = 1000  # lines that answer no order
MOST_CALLS = 200  # in one probe, for each function that stays outside
LARGEST_ARGUMENT = 2048  # numbers in one array that such a function is given
TOO_MANY = {"refused": f"at most {MOST_CALLS} calls of a function"}
PROGRAM = files("attnbook.grading").joinpath("inside.py").read_text("utf-8")


class Stopped(Exception):
    """The box had to be ended; `outcome` is "timed out" or "killed"."""

    def __init__(self, outcome: str, why: str):
        super().__init__(why)
        self.outcome = outcome


class Session:
    """One box, and the conversation with what runs in it."""

    def __init__(self, backend, limits: Limits, deadline: float):
        self.limits = limits
        self.deadline = deadline
        self.received = 0
        self.rest = bytearray()
        self.lines: deque[bytes] = deque()
        self.id = ""
        self.unasked = 0
        self.cpu_seconds = 0.0
        self.looked = 0.0
        self.refused = ""  # why the last call of a function outside was refused
        self.box = backend.start(PROGRAM, limits)
        self.selector = selectors.DefaultSelector()
        for pipe in (self.box.process.stdin, self.box.process.stdout):
            os.set_blocking(pipe.fileno(), False)
        self.selector.register(self.box.process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error) -> None:
        self.look()
        self.selector.close()
        self.box.kill()

    def ask(
        self,
        order: dict[str, Any],
        seconds: float,
        functions: Sequence[Callable] = (),
    ) -> Any:
        """Send one order and wait for its answer.

        Args:
            order: for `inside.Worker.carry_out`.
            seconds: how long to wait.
            functions: what may be called from inside, by its place.

        Raises:
            Stopped: there was none in time, or the box broke a limit or died.
        """
        self.id = secrets.token_hex(8)  # so that no answer is there before the order
        self.refused = ""
        until = min(time.monotonic() + seconds, self.deadline)
        self.send({**order, "id": self.id}, until)
        calls_left = MOST_CALLS * len(functions)
        while True:
            reply = self.reply_in(self.line(until))
            if "answer" in reply:
                return reply["answer"]
            if "call" in reply:
                calls_left -= 1
                answer = called(functions, reply) if calls_left >= 0 else TOO_MANY
                self.refused = answer.get("refused", self.refused)
                self.send(answer, until)
            elif not reply:
                self.unasked += 1
            if self.unasked > MOST_UNASKED:
                raise Stopped("killed", "stopped at its output limit")

    def reply_in(self, line: bytes) -> dict:
        """Return what a line says about the order that was sent; {} if nothing."""
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        mine = isinstance(reply, dict) and reply.get("id") == self.id
        return reply if mine else {}

    def send(self, what: dict[str, Any], until: float) -> None:
        """Write a line, but never wait for a reader that does not read."""
        pipe = self.box.process.stdin.fileno()
        data = json.dumps(what).encode() + b"\n"
        while data:
            try:
                data = data[os.write(pipe, data) :]
            except BlockingIOError:
                self.watch(until)
                time.sleep(POLL_SECONDS / 5)
            except OSError:
                raise Stopped("killed", "the process ended") from None

    def line(self, until: float) -> bytes:
        """Return the next line of answers."""
        while not self.lines:
            if self.selector.select(POLL_SECONDS):
                self.take()
            self.watch(until)
        return self.lines.popleft()

    def take(self) -> None:
        """Read what there is, up to the cap."""
        chunk = os.read(self.box.process.stdout.fileno(), 1 << 20)
        if not chunk:
            raise Stopped("killed", "the process ended: an exit or a crash")
        self.received += len(chunk)
        first, *others = chunk.split(b"\n")
        self.rest += first
        for other in others:
            self.lines.append(bytes(self.rest))
            self.rest = bytearray(other)
        flood = self.received > self.limits.output_mib * 2**20
        if flood or len(self.rest) > LONGEST_LINE:
            raise Stopped("killed", "stopped at its output limit")

    def watch(self, until: float) -> None:
        """End what is late or holds too much memory."""
        now = time.monotonic()
        if now > until:
            raise Stopped("timed out", "stopped at its time limit")
        if now - self.looked > POLL_SECONDS:
            self.look()
            if self.memory_mib > self.limits.memory_mib:
                raise Stopped("killed", "stopped at its memory limit")

    def look(self) -> None:
        """Measure the tree."""
        usage = self.box.usage()
        self.looked = time.monotonic()
        self.memory_mib = usage.memory_mib
        self.cpu_seconds = max(self.cpu_seconds, usage.cpu_seconds)


@dataclass
class Outcome:
    """What came out of the boxes, not judged yet.

    `probes` holds, per check id, the answer of `inside.run_probe` or
    `{"stopped": outcome}`; `cells` the faults by cell number; `visible` the blocks of
    the visible checks as [title, outcome, message].
    """

    probes: dict[str, dict] = field(default_factory=dict)
    cells: dict[int, dict] = field(default_factory=dict)
    visible: dict[int, list] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    restarts: int = 0


@dataclass
class Run:
    """One submission on its way through as many boxes as it needs."""

    assignment: Assignment
    backend: Any
    cells: Sequence[tuple[int, str]]
    extras: Mapping[str, bytes]
    visible: Sequence[tuple[str, str]]
    checks: Sequence[Check]
    outcome: Outcome = field(default_factory=Outcome)
    only_definitions: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)

    def __post_init__(self):
        self.limits = self.assignment.limits
        self.deadline = time.monotonic() + self.limits.total_seconds

    def to_the_end(self) -> Outcome:
        """Run until every probe is answered or the time is used up."""
        while self.unanswered() and self.outcome.restarts <= MOST_RESTARTS:
            if time.monotonic() > self.deadline:
                break
            self.once()
            self.outcome.restarts += 1
        for check in self.unanswered():
            self.outcome.probes[check.id] = {"stopped": "timed out"}
        return self.outcome

    def unanswered(self) -> list[Check]:
        """Return the checks whose probe has not been asked."""
        return [check for check in self.checks if check.id not in self.outcome.probes]

    def once(self) -> None:
        """Go as far as one box lasts."""
        session = Session(self.backend, self.limits, self.deadline)
        try:
            with session:
                self.hand_in(session)
                self.run_cells(session)
                self.run_visible(session)
                self.run_probes(session)
        except Stopped:
            pass  # noted where it happened
        self.outcome.cpu_seconds += session.cpu_seconds

    def hand_in(self, session: Session) -> None:
        """Load the framework, then write the submission's other files.

        Raises:
            RuntimeError: the box does not come up, with no student's code in it yet.
        """
        framework = self.assignment.framework
        try:
            session.ask({"do": "ready", "framework": framework}, START_SECONDS)
        except Stopped as stopped:
            text = f"the sandbox {self.backend.name} did not come up: {stopped}"
            raise RuntimeError(f"{text}; try `doctor`") from stopped
        for name, data in self.extras.items():
            text = base64.b64encode(data).decode()
            session.ask({"do": "file", "name": name, "data": text}, START_SECONDS)

    def run_cells(self, session: Session) -> None:
        """Run the cells in order; those that lacked a name once more at the end."""
        again = []
        for number, source in self.cells:
            fault = self.run_cell(session, number, source)
            if fault.get("error") == "NameError":
                again.append((number, source))
        for number, source in again:
            if not self.run_cell(session, number, source):
                self.outcome.cells.pop(number, None)

    def run_cell(self, session: Session, number: int, source: str) -> dict:
        """Run one cell and note its fault."""
        if number in self.dropped:
            return {}
        order = {"do": "cell", "source": source, "title": f"cell {number}"}
        order["only_definitions"] = number in self.only_definitions
        try:
            fault = session.ask(order, self.limits.cell_seconds)
        except Stopped as stopped:
            self.note(number, {"stopped": stopped.outcome, "message": str(stopped)})
            late = number in self.only_definitions
            (self.dropped if late else self.only_definitions).add(number)
            raise
        fault = only(fault, "error", "message")
        if fault:
            self.note(number, fault)
        return fault

    def note(self, number: int, fault: dict) -> None:
        """Keep the first fault of a cell."""
        if len(self.outcome.cells) < MOST_FAULTS:
            self.outcome.cells.setdefault(number, fault)

    def run_visible(self, session: Session) -> None:
        """Run the visible checks that have no answer yet."""
        for place, (title, source) in enumerate(self.visible):
            if place in self.outcome.visible:
                continue
            order = {"do": "check", "title": title, "source": source}
            try:
                seen = session.ask(order, self.limits.probe_seconds)
            except Stopped as stopped:
                self.outcome.visible[place] = [[title, stopped.outcome, str(stopped)]]
                raise
            self.outcome.visible[place] = seen if isinstance(seen, list) else []

    def run_probes(self, session: Session) -> None:
        """Send the probes, then the hidden inputs one by one."""
        order = {"do": "probes", "source": self.assignment.probes}
        session.ask(order, self.limits.probe_seconds)
        for check in self.unanswered():
            seconds = self.limits.probe_seconds
            inputs, functions = sendable(draw(check, self.assignment.salt))
            order = {"do": "probe", "name": check.probe, "inputs": inputs}
            order["framework"] = self.assignment.framework
            try:
                answer = session.ask(order, seconds, functions)
            except Stopped as stopped:
                answer = {"stopped": stopped.outcome}
                self.outcome.probes[check.id] = answer
                raise
            answer = only(answer, "value", "missing", "not attempted", "error")
            if session.refused and "error" in answer:
                answer = {"refused": session.refused}
            self.outcome.probes[check.id] = answer


def only(answer: Any, *names: str) -> dict:
    """Return what an answer may say; "stopped" and "refused" are for us to say."""
    answer = answer if isinstance(answer, dict) else {}
    return {name: answer[name] for name in names if name in answer}


def sendable(inputs: Any) -> tuple[Any, list[Callable]]:
    """Turn a check's inputs into what JSON holds, and the functions among them.

    A function stays here; inside, a call of it comes back to `called`.
    """
    functions: list[Callable] = []

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if callable(value):
            functions.append(value)
            return {"$outside": len(functions) - 1}
        if isinstance(value, np.ndarray):
            flat = value.reshape(-1).tolist()
            return {
                "$array": list(value.shape),
                "dtype": value.dtype.name,
                "data": flat,
            }
        return value.item() if isinstance(value, np.generic) else value

    return plain(inputs), functions


def called(functions: Sequence[Callable], reply: dict) -> dict:
    """Call a function of ours with a student's arguments, which may be anything."""
    try:
        arguments, options = rebuilt(reply["arguments"])
        for value in (*arguments, *options.values()):
            if np.size(value) > LARGEST_ARGUMENT:
                return {"refused": f"at most {LARGEST_ARGUMENT} numbers an array"}
        with np.errstate(all="ignore"):
            result = functions[reply["call"]](*arguments, **options)
        return {"value": sendable(result)[0]}
    except Exception:
        return {"refused": "the function cannot take these arguments"}


def rebuilt(value: Any, depth: int = 0) -> Any:
    """Turn what came back into plain data and NumPy arrays.

    Raises:
        ValueError: it is not what `inside.encode` writes.
    """
    if depth > 20:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [rebuilt(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" not in value:
        return {name: rebuilt(item, depth + 1) for name, item in value.items()}
    kinds = {"bool": bool, "int": np.int64, "float": np.float64}
    shape, data, kind = value["$array"], value.get("data"), value.get("dtype")
    sizes = isinstance(shape, list) and all(type(size) is int for size in shape)
    if not sizes or kind not in kinds or not isinstance(data, list):
        raise ValueError("not an array")
    types = {"bool": (bool,), "int": (int,), "float": (float, int)}[kind]
    if not all(type(item) in types for item in data):
        raise ValueError("not numbers")
    return np.array(data, dtype=kinds[kind]).reshape(shape)
