"""Notebooks as students' programs write them, damaged ones, and answers in words."""

import ast
import json
import sysconfig
from pathlib import Path

import pytest

from attnbook.grading.intake import reading
from attnbook.grading.intake.magics import without_magics
from attnbook.grading.intake.reading import (
    FAULTS,
    Cell,
    Unreadable,
    find_texts,
    normalised,
    read_notebook,
    runnable,
)

CODE = {"cell_type": "code", "source": "x = 'ä'", "outputs": [{"text": "y" * 9}]}
TEXT = {"cell_type": "markdown", "source": ["# T\n", "two"]}
CELLS = [Cell("code", "x = 'ä'"), Cell("markdown", "# T\ntwo")]


def notebook(*cells, **more):
    return json.dumps({"cells": cells, "nbformat": 4, **more}, ensure_ascii=False)


def fault_of(data):
    with pytest.raises(Unreadable) as caught:
        read_notebook(data)
    assert caught.value.fault in FAULTS
    return caught.value.fault


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_notebook_is_read_in_each_encoding(encoding):
    assert read_notebook(notebook(CODE, TEXT).encode(encoding)) == CELLS


def test_utf16_be_with_its_mark_is_read():
    data = b"\xfe\xff" + notebook(CODE, TEXT).encode("utf-16-be")
    assert read_notebook(data) == CELLS


def test_format_3_has_worksheets_input_and_headings():
    cells = [
        {"cell_type": "heading", "level": 2, "source": "H"},
        {"cell_type": "code", "input": ["a\n", "b"]},
    ]
    data = json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]})
    expected = [Cell("markdown", "## H"), Cell("code", "a\nb")]
    assert read_notebook(data.encode()) == expected


def test_unknown_format_number_is_no_obstacle():
    assert read_notebook(notebook(CODE, TEXT, nbformat=5).encode()) == CELLS


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"cell_type": "code"}, Cell("code", "")),
        ({"cell_type": "raw", "source": "r"}, Cell("markdown", "r")),
        ({"cell_type": "code", "source": ["a", "b"]}, Cell("code", "a\nb")),
        ({"cell_type": "code", "source": ["a\r\n", 7, "b"]}, Cell("code", "a\nb")),
        ({"cell_type": "code", "source": {"a": 1}}, Cell("code", "")),
        ({"outputs": [], "source": "a"}, Cell("code", "a")),
        ({"cell_type": "code", "source": "a\x00b"}, Cell("code", "a\ufffdb")),
    ],
)
def test_odd_cells_are_read(cell, expected):
    assert read_notebook(notebook(cell).encode()) == [expected]


def test_lone_surrogates_are_replaced():
    data = rb'{"cells": [{"cell_type": "code", "source": "a\ud800b"}]}'
    assert read_notebook(data) == [Cell("code", "a\ufffdb")]


def test_a_raw_tab_in_a_string_is_read():
    data = b'{"cells": [{"cell_type": "code", "source": "a\tb"}]}'
    assert read_notebook(data) == [Cell("code", "a\tb")]


def test_pasted_pictures_are_left_out():
    cell = {"cell_type": "markdown", "source": "a ![](data:image/png;base64,AAAA) b"}
    assert read_notebook(notebook(cell).encode()) == [
        Cell("markdown", "a ![](data:) b")
    ]


def test_duplicate_keys_nan_and_huge_numbers_are_no_obstacle():
    data = '{"x": NaN, "y": ' + "9" * 5000 + ', "cells": 1, "cells": []}'
    assert read_notebook(data.encode()) == []


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty file"),
        (b"\0" * 1000, "empty file"),
        (b"PK\x03\x04\xff\xfe\x9c", "not UTF-8 or UTF-16 text"),
        (b"\n<!DOCTYPE html><html>", "a web page, not a notebook"),
        (notebook(CODE).encode()[:-9], "not JSON"),
        (b"import numpy", "not JSON"),
        (b"[]", "not a notebook"),
        (b'{"cells": {}}', "not a notebook"),
        (b'{"worksheets": 3}', "not a notebook"),
        (b'{"cells": ' + b"[" * 100_000, "too deeply nested"),
        (b'{"cells": [' + b"{}," * 1_000_000 + b"{}]}", "too many cells"),
        (b" " * (10 << 20) + b"{}", "too large"),
        (
            notebook({"cell_type": "code", "source": "x" * 2_000_001}).encode(),
            "too large",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_a_named_fault(data, fault):
    assert fault_of(data) == fault


@pytest.mark.parametrize(
    "script",
    [
        "while True: pass",
        "import os; os.abort()",
        "print('no json')",
        'print(\'{"fault": "made up"}\')',
    ],
)
def test_a_reader_that_stops_is_a_fault(tmp_path, monkeypatch, script):
    path = tmp_path / "parsing.py"
    path.write_text(script)
    monkeypatch.setattr(reading, "_PARSER", path)
    monkeypatch.setattr(reading, "WALL_SECONDS", 0.3)
    assert fault_of(b"{}") == "reader stopped"


def test_normalised_ignores_blanks_tabs_and_line_ends():
    assert normalised("\n\nif x:  \r\n\ty\r\n \n") == "if x:\n    y"
    assert normalised(" x") != normalised("x")


def test_runnable_drops_released_cells_and_keeps_numbers():
    cells = [Cell("code", "a"), Cell("markdown", "m"), Cell("code", "check \n")]
    cells += [Cell("code", " \n"), Cell("code", "!ls"), Cell("code", "check + 1")]
    expected = [(1, "a"), (4, "# !ls"), (5, "check + 1")]
    assert runnable(cells, {"check"}) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%matplotlib inline\nx", "# %matplotlib inline\nx"),
        ("if a:\n    !ls\nx", "if a:\n    pass  # !ls\nx"),
        ("?x\nx?\na.b??\nx", "# ?x\n# x?\n# a.b??\nx"),
        ("x = !ls\na, b = %env A", "# x = !ls\n# a, b = %env A"),
        ("!pip install \\\n  a\nx", "# !pip install \\\n  # a\nx"),
        ("pip install torch", "# pip install torch"),
        ("!echo \"it's\nx = 1\n!ls", "# !echo \"it's\nx = 1\n# !ls"),
        ("%%time\nx", "# %%time\nx"),
        ("\n%%capture out\n!ls\nx", "\n# %%capture out\n# !ls\nx"),
        ("%%bash\nls\n", "# %%bash\n# ls\n# "),
        ("%time x = f(\n1)\n%time", "x = f(\n1)\n# %time"),
        ("  %time y = 2", "  y = 2"),
        ("# (\n%cd a", "# (\n# %cd a"),
        ("x = 'open\n%cd a", "x = 'open\n# %cd a"),
        ("x)\n%cd a", "x)\n# %cd a"),
    ],
)
def test_ipython_lines_become_comments(source, expected):
    assert without_magics(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "s = '''\n%d\n!x\nx?\n'''",
        's = """\\"""\n%d"""',
        "x = (a\n% b)",
        "x = a \\\n% b",
        "s = 'a\\\n%b'",
        "x = {'a': [1,\n2]}\nx %= 3\nx != 4",
        "x = a = b\nf(x=1)  # %time\n'#'",
        "s = r'\\\\'\nt = \"'\"",
    ],
)
def test_python_lines_stay(source):
    ast.parse(source)
    assert without_magics(source) == source


def test_no_line_of_the_standard_library_is_changed():
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::4]
    assert len(paths) > 30
    for path in paths:
        source = path.read_text("utf-8", errors="replace")
        assert without_magics(source) == source, path


def test_a_hostile_cell_takes_no_stack_and_little_time():
    for source in (
        "(" * 90_000,
        "'" * 90_000,
        "-" * 90_000 + "1",
        "x\n%a\n" * 9_000,
    ):
        assert without_magics(source).count("\n") == source.count("\n")


def words(*sources, released=("stated",), kind="markdown"):
    cells = [Cell(kind, source) for source in sources]
    return find_texts(cells, ["5", "6a"], set(released))


@pytest.mark.parametrize(
    "label",
    [
        "**Answer 5.**",
        "**Answer 5**",
        "**answer  5 :**",
        "__Answer 5.__",
        "### Answer 5",
        "Answer 5.",
        "Answer 5:",
        "ANSWER 5",
        "> **Answer to Question 5.**",
        "## Question 5. Why?\nstated\n\n**Answer 5.**",
    ],
)
@pytest.mark.parametrize("between", ["\n\n", "\n"])
def test_label_is_found_in_many_forms(label, between):
    assert words(f"{label}{between}Because *x*.")["5"] == "Because *x*."


def test_text_behind_the_label_on_its_line_counts():
    assert (
        words("**Answer 5.** Because.\n\n*Write here; keep the line above.*")["5"]
        == "Because."
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*Write here; keep the line above.*",
        "Write here; keep the line above",
        "_Write here; keep the line above._\n",
    ],
)
def test_an_answer_left_empty_is_empty(text):
    assert words(f"**Answer 5.**\n\n{text}") == {"5": "", "6a": None}


@pytest.mark.parametrize(
    "text",
    ["I think answer 5 is easy", "Answer 51.", "Answer 5.5 is", "Answer 5 is hard"],
)
def test_prose_is_no_label(text):
    assert words(text)["5"] is None


def test_an_answer_goes_on_below_and_ends_at_a_released_cell():
    got = words(
        "**Answer 5.**\n\n*Write here; keep the line above.*",
        "one",
        "two",
        "stated ",
        "x",
    )
    assert got == {"5": "one\n\ntwo", "6a": None}


def test_an_answer_ends_at_a_label_and_at_a_heading():
    got = words(
        "**Answer 5.** one\n\n**answer 6A:** two", "three\n## Question 7\nfour", "x"
    )
    assert got == {"5": "one", "6a": "two\n\nthree"}


def test_an_answer_goes_on_after_a_code_cell():
    cells = [
        Cell("markdown", "**Answer 5.** a"),
        Cell("code", "x"),
        Cell("markdown", "b"),
    ]
    assert find_texts(cells, ["5"], set()) == {"5": "a\n\nb"}


@pytest.mark.parametrize(
    "source",
    [
        "**Answer 5.** Because\nso",
        "# Answer 5.\n# Because\n# so",
        '"""Answer 5: Because\nso"""',
    ],
)
def test_an_answer_typed_as_code_is_found(source):
    assert words(source, kind="code")["5"] == "Because\nso"


def test_a_copied_cell_hides_no_answer():
    answers = [
        "**Answer 5.** a",
        "**Answer 5.**\n\n*Write here; keep the line above.*",
        "**Answer 5.** b",
    ]
    answers.append(answers[0])
    assert words(*answers)["5"] == "a\n\nb"


@pytest.mark.parametrize("text", ["*", "# ", "**Answer 5.", " "])
def test_hostile_text_comes_back_and_stalls_nothing(text):
    label, text = "**Answer 5.**", text * (500_000 // len(text))
    found = words(f"{label}\n\n{text}")["5"]
    assert text.strip().endswith(found)
    assert len(found) >= len(text.strip()) - len(label)  # or it begins with a label


def test_students_own_heading_with_the_word_question_ends_nothing():
    text = "**Answer 5.**\n\n## Question and method\n\nI asked.\n\n## Question 6. Next"
    assert words(text)["5"] == "## Question and method\n\nI asked."
