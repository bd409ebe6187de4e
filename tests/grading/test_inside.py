"""What runs beside the student's code, tried without a box: it decides nothing."""

import json

import numpy as np
import pytest
import torch

from attnbook.grading import inside


def cell(source, names=None, only_definitions=False):
    return inside.run_cell(
        {} if names is None else names, source, "cell 1", only_definitions
    )


def test_cell_defines_names():
    names = {}
    assert cell("x = 1 + 1", names) == {}
    assert names["x"] == 2


def test_fault_names_its_line():
    fault = cell("x = 1\n\ny = x / 0")
    assert (fault["error"], fault["line"]) == ("ZeroDivisionError", 3)


def test_after_a_fault_only_definitions_run():
    names = {}
    cell("1 / 0\nimport math\nx = [1, 2]\ny = len(x)\ndef f():\n    pass", names)
    assert {"math", "x", "f"} <= set(names)
    assert "y" not in names


def test_only_definitions_leaves_out_loops():
    names = {}
    assert cell("while True:\n    pass\nclass A:\n    pass", names, True) == {}
    assert "A" in names


@pytest.mark.parametrize("error", ["SystemExit(1)", "KeyboardInterrupt()"])
def test_exits_are_faults(error):
    assert cell(f"raise {error}")["error"] == error.split("(")[0]


def test_syntax_error_is_a_fault():
    assert cell("def f(:")["error"] == "SyntaxError"


def test_annotations_of_the_future_reach_later_statements():
    names = {}
    cell("from __future__ import annotations\ndef f(x: Unknown):\n    pass", names)
    assert names["f"].__annotations__ == {"x": "Unknown"}


def test_error_without_a_text_has_a_fault():
    bad = (
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E"
    )
    assert cell(bad)["message"] == ""


def test_long_messages_are_cut():
    assert len(cell("raise ValueError('x' * 10 ** 6)")["message"]) == 400


# visible checks

BLOCKS = """
with check("one"):
    assert x == 1, "x is not 1"
with check("two"):
    assert x == 2, "x is not 2"
with check("three"):
    raise NotImplementedError
with check("four"):
    missing
"""


def test_each_block_of_a_visible_check_is_kept():
    assert inside.run_check({"x": 1}, BLOCKS, "checks") == [
        ["one", "passed", ""],
        ["two", "wrong", "x is not 2"],
        ["three", "not attempted", ""],
        ["four", "error", "NameError: name 'missing' is not defined"],
    ]


def test_check_cell_that_fails_outside_of_a_block_is_kept():
    [seen] = inside.run_check({}, "1 / 0", "checks")
    assert seen == ["checks", "error", "ZeroDivisionError: division by zero"]


def test_students_own_check_is_not_used():
    names = {"check": None, "x": 1}
    assert inside.run_check(names, BLOCKS, "checks")[0][1] == "passed"
    assert names["check"] is None


# values


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.5, "text", [1, [2.0]], {"a": [True]}],
)
def test_plain_value_travels_as_itself(value):
    assert inside.encode(value) == value


@pytest.mark.parametrize(
    "array",
    [np.eye(2), torch.eye(2), torch.eye(2, requires_grad=True), torch.eye(2).T],
    ids=["numpy", "torch", "with gradient", "transposed"],
)
def test_array_travels_as_shape_and_numbers(array):
    assert inside.encode(array) == {
        "$array": [2, 2],
        "dtype": "float",
        "data": [1.0, 0.0, 0.0, 1.0],
    }


@pytest.mark.parametrize(
    "value",
    [object(), 1j, np.array([1j]), np.array(["a"]), np.zeros(200_001), {1, 2}, print],
    ids=["object", "complex", "complex array", "texts", "large", "set", "function"],
)
def test_other_values_do_not_travel(value):
    with pytest.raises(TypeError):
        inside.encode(value)


def test_deep_lists_do_not_travel():
    deep = []
    for _ in range(20):
        deep = [deep]
    with pytest.raises(TypeError, match="lists within lists"):
        inside.encode(deep)


def test_nan_and_infinity_travel():
    text = json.dumps(inside.encode([float("nan"), float("inf")]))
    assert text == "[NaN, Infinity]"


# probes


def probe(code, source, framework="numpy", **inputs):
    probes, names = {}, {}
    exec(source, probes)
    exec(code, names)
    order = {"framework": framework, "name": "p", "inputs": inputs}
    return inside.run_probe(probes, names, order, None)


CALL = "def p(ns, x):\n    return ns['f'](x)"
ARRAY = {"$array": [2], "dtype": "float64", "data": [1.0, 2.0]}


def test_probe_returns_the_value():
    answer = probe("def f(x):\n    return x + 1", CALL, x=ARRAY)
    assert answer["value"]["data"] == [2.0, 3.0]


def test_framework_decides_what_arrays_become():
    code = "def f(x):\n    return type(x).__name__"
    assert probe(code, CALL, x=ARRAY) == {"value": "ndarray"}
    assert probe(code, CALL, "torch", x=ARRAY) == {"value": "Tensor"}


def test_missing_name_is_told_apart():
    assert probe("g = 1", CALL, x=1) == {"missing": "f"}


@pytest.mark.parametrize(
    "code", ["def f(x):\n    raise NotImplementedError", "f = None"]
)
def test_stub_is_told_apart(code):
    assert probe(code, CALL, x=1) == {"not attempted": True}


def test_what_torch_cannot_do_is_no_stub():
    code = "def f(x):\n    raise NotImplementedError('not implemented for Bool')"
    assert probe(code, CALL, x=1) == {"error": "NotImplementedError"}


def test_memory_that_torch_lacks_is_a_memory_error():
    code = "import torch\ndef f(x):\n    return torch.ones(10 ** 7, 10 ** 7)"
    assert probe(code, CALL, x=1) == {"error": "MemoryError"}


def test_error_of_a_probe_has_a_name_and_no_text():
    assert probe("def f(x):\n    raise ValueError(x)", CALL, x=1) == {
        "error": "ValueError"
    }


def test_state_is_put_back_between_probes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    inside.reset(str(tmp_path), "torch")
    first = torch.rand(1), np.random.rand()  # noqa: NPY002 (what students call)
    inside.reset(str(tmp_path), "torch")
    assert (torch.rand(1), np.random.rand()) == first  # noqa: NPY002
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
