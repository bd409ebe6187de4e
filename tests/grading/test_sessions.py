"""One box and the conversation with it: clocks, caps, restarts, functions outside."""

import contextlib

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from attnbook.grading import sessions
from attnbook.grading.assignments import Limits
from attnbook.grading.boxes.sandbox import choose
from attnbook.grading.judging import Check
from attnbook.grading.sessions import Run, Session, Stopped, called, rebuilt, sendable

CALLS = """
def call(ns, function, x):
    return function(x)

def read(ns, function, x):
    return repr(vars(function)) + repr(function.__closure__)

def often(ns, function, x):
    return [float(function(x)[0]) for _ in range(300)]

def both(ns, one, two, x):
    return sum(len(one(x)) + len(two(x)) for _ in range(200))
"""


class Secret:
    """A hidden implementation."""

    def __call__(self, x):
        return 2 * x


def run_of(assignment, cells, checks=(), visible=()):
    numbered = list(enumerate(cells, 1))
    return Run(assignment, choose(), numbered, {}, visible, checks).to_the_end()


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    edit = ("probes.py", '"""Calls of the student\'s functions."""', CALLS)
    short = ("assignment.toml", "cell_seconds = 5", "cell_seconds = 1")
    folder = tmp_path_factory.mktemp("tiny")
    return tiny.make(folder, edit, short)


def check_of(probe):
    return Check(
        id="9",
        question="1",
        points=1,
        title="a function",
        probe=probe,
        inputs=lambda rng: {"function": Secret(), "x": np.array([1.0, 3.0])},
        judge=print,
    )


def test_function_of_a_check_runs_outside(assignment):
    answer = run_of(assignment, [], [check_of("call")]).probes["9"]
    np.testing.assert_array_equal(rebuilt(answer["value"]), [2.0, 6.0])


def test_function_of_a_check_cannot_be_read_inside(assignment):
    answer = run_of(assignment, [], [check_of("read")]).probes["9"]
    assert "call_outside" in answer["value"] or "cell at" in answer["value"]
    assert "Secret" not in answer["value"]


def test_function_of_a_check_is_called_a_limited_number_of_times(assignment):
    answer = run_of(assignment, [], [check_of("often")]).probes["9"]
    assert answer == {"refused": "at most 200 calls of a function"}


def test_each_function_of_a_check_has_its_calls(assignment):
    check = Check(
        id="9",
        question="1",
        points=1,
        title="two functions",
        probe="both",
        inputs=lambda rng: {"one": Secret(), "two": Secret(), "x": np.array([1.0])},
        judge=print,
    )
    answer = run_of(assignment, [], [check]).probes["9"]
    assert answer == {"value": 400}


def test_large_argument_is_refused():
    array = {"$array": [2049], "dtype": "float", "data": [0.0] * 2049}
    reply = {"call": 0, "arguments": [[array], {}]}
    assert "2048" in called([Secret()], reply)["refused"]


@pytest.mark.parametrize(
    "reply",
    [
        {"call": 0},
        {"call": 7, "arguments": [[], {}]},
        {"call": "x", "arguments": [[1.0], {}]},
        {"call": 0, "arguments": 5},
        {"call": 0, "arguments": [["x"], {"y": 1}]},
    ],
)
def test_odd_call_is_refused_and_raises_nothing(reply):
    assert "refused" in called([Secret()], reply)


def test_cell_that_hangs_is_run_again_for_its_definitions(assignment):
    hangs = "x = 3\ndef f():\n    return x\nwhile True:\n    pass"
    outcome = run_of(assignment, [hangs, "assert f() == 3"], [check_of("call")])
    assert outcome.cells[1]["stopped"] == "timed out"
    assert set(outcome.cells) == {1}
    assert outcome.restarts == 2


def test_cell_that_hangs_in_a_definition_is_dropped(assignment):
    hangs = "def slow():\n    while True:\n        pass\n\n@slow()\ndef f():\n    pass"
    outcome = run_of(assignment, [hangs, "y = 1"], [check_of("call")])
    assert outcome.restarts == 3
    assert "value" in outcome.probes["9"]


def test_time_for_everything_is_bounded(tmp_path):
    edit = ("assignment.toml", "cell_seconds = 5", "total_seconds = 1")
    assignment = tiny.make(tmp_path, edit)
    outcome = run_of(assignment, ["while True:\n    pass"], assignment.checks)
    assert {tuple(answer.items()) for answer in outcome.probes.values()} == {
        (("stopped", "timed out"),)
    }


def test_box_that_does_not_come_up_is_our_failure(assignment, monkeypatch):
    monkeypatch.setattr(sessions, "PROGRAM", "raise SystemExit")
    with pytest.raises(RuntimeError, match=r"did not come up.*doctor"):
        run_of(assignment, [], [check_of("call")])


def test_extra_file_lies_in_the_working_directory(assignment):
    read = "raise ValueError(open('model.bin', 'rb').read())"
    run = Run(assignment, choose(), [(1, read)], {"model.bin": b"\0x"}, (), ())
    run.once()
    assert run.outcome.cells[1]["message"] == "b'\\x00x'"


def test_flood_of_answers_ends_the_box():
    limits = Limits(output_mib=1)
    with Session(choose(), limits, 1e12) as session:
        session.ask({"do": "ready", "framework": "numpy"}, 30)
        flood = "import os\nos.write(4, b'x' * 2 ** 22)\nos.write(5, b'x' * 2 ** 22)"
        order = {"do": "cell", "source": flood, "title": "cell 1"}
        with pytest.raises(Stopped, match="output limit"):
            session.ask({**order, "only_definitions": False}, 5)


def test_memory_of_all_processes_together_is_limited():
    fork = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        kept = b"x" * (100 * 2 ** 20)
        time.sleep(30)
time.sleep(30)"""
    with Session(choose(), Limits(memory_mib=400), 1e12) as session:
        session.ask({"do": "ready", "framework": "numpy"}, 30)
        order = {"do": "cell", "source": fork, "title": "cell 1"}
        with pytest.raises(Stopped, match="memory limit"):
            session.ask({**order, "only_definitions": False}, 20)


# what travels

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.just("$array"), inner)
    ),
)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float64])
def test_array_travels_unchanged(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    sent = sendable(array)[0]
    back = rebuilt(
        {
            **sent,
            "dtype": array.dtype.kind.replace("b", "bool")
            .replace("i", "int")
            .replace("f", "float"),
        }
    )
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


@given(ANYTHING)
def test_whatever_comes_back_is_rebuilt_or_refused(value):
    with contextlib.suppress(ValueError, OverflowError):
        rebuilt(value)


@pytest.mark.parametrize(
    "forged",
    [
        {"$array": [2], "dtype": "float", "data": ["1", "2"]},
        {"$array": [2], "dtype": "object", "data": [1, 2]},
        {"$array": "2", "dtype": "float", "data": [1, 2]},
        {"$array": [True], "dtype": "float", "data": [1.0]},
        {"$array": [3], "dtype": "float", "data": [1.0]},
        {"$array": [1], "dtype": "float"},
    ],
)
def test_forged_array_is_refused(forged):
    with pytest.raises(ValueError, match=r"array|numbers|reshape"):
        rebuilt(forged)
