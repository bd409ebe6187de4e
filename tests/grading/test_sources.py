"""`source.md`, split at its markers; whatever would publish a solution is an error."""

import pytest
import tiny

from attnbook.grading.assignments import AssignmentError
from attnbook.grading.releasing.sources import defined, parts, text_answer

CONTEXT = "    return softmax(scores) @ values\n    # END SOLUTION\n"
BLOCK = f"    # BEGIN SOLUTION\n{CONTEXT}"


def answer(assignment, name):
    """Return the answer cell that defines a name."""
    cells = [part for part in parts(assignment) if part.kind == "code"]
    return next(p for p in cells if p.is_answer and name in defined(p.solved))


def test_solution_becomes_a_stub_at_its_indent(tmp_path):
    part = answer(tiny.make(tmp_path), "context")
    last = part.released.splitlines()[-1]
    assert last == '    raise NotImplementedError("write me")'
    assert "softmax" not in part.released


def test_solved_cell_keeps_the_solution_and_loses_the_markers(tmp_path):
    part = answer(tiny.make(tmp_path), "context")
    assert part.solved.splitlines()[-1] == "    return softmax(scores) @ values"
    assert "SOLUTION" not in part.solved


def test_stub_lines_replace_the_raise_and_keep_their_indent(tmp_path):
    lines = "    # STUB: if True:\n    # STUB:     return None  # what?\n"
    part = answer(
        tiny.make(tmp_path, ("source.md", CONTEXT, CONTEXT + lines)), "context"
    )
    assert part.released.endswith("\n    if True:\n        return None  # what?")
    assert "STUB" not in part.solved


def test_two_solutions_in_a_cell_leave_two_stubs(tmp_path):
    more = f"{CONTEXT}\n\ndef twice(x):\n    # BEGIN SOLUTION\n    return 2 * x\n"
    more += "    # END SOLUTION\n"
    part = answer(tiny.make(tmp_path, ("source.md", CONTEXT, more)), "twice")
    assert part.released.count("raise NotImplementedError") == 2
    assert len(part.secret) == 2


def test_answer_in_words_becomes_a_place_to_write(tmp_path):
    [part] = [p for p in parts(tiny.make(tmp_path)) if text_answer(p) == "3"]
    assert part.released == "**Answer 3.**\n\n*Write here; keep the line above.*"
    assert "infinity over infinity" in part.solved


def test_cell_knows_the_heading_above_it(tmp_path):
    assert answer(tiny.make(tmp_path), "context").heading == "Question 2. Context"


EDITS = {
    "no end": (CONTEXT, CONTEXT.replace("    # END SOLUTION\n", ""), "cell 8: stray"),
    "no begin": (BLOCK, CONTEXT, "cell 8: stray"),
    "nested": (BLOCK, "    # BEGIN SOLUTION\n" + BLOCK, "cell 8: stray"),
    "typing error": (BLOCK, BLOCK.replace("# BEGIN", "# Begin"), "cell 8: stray"),
    "stub alone": (CONTEXT, CONTEXT + "    x = 1\n    # STUB: x\n", "cell 8: stray"),
    "empty": (CONTEXT, "    # END SOLUTION\n    return 1\n", "cell 8: an empty"),
    "not Python": (CONTEXT, CONTEXT.replace(")", ""), "cell 8: .*never closed"),
    "stub no Python": (CONTEXT, CONTEXT + "    # STUB: x = (\n", "cell 8: .*never"),
    "tag": (
        '[check]\n\nwith check("Question 1',
        '[chek]\n\nwith check("Question 1',
        "cell 5: tags",
    ),
    "tagged answer": (
        "ipython3\ndef context",
        "ipython3\n:tags: [check]\n\ndef context",
        "cell 8: .*has tags",
    ),
    "heading": ("## Question 2. Context", "## Question 2. Contexts", "0 headings"),
    "words": ("**Answer 3.**", "**Answer three.**", "starts with '?.*Answer 3"),
    "words unmarked": ("<!-- BEGIN SOLUTION -->\n", "", "stray"),
    "name": ("def context(", "def kontext(", "no answer cell defines .'context'"),
    "crowded title": ("average.\n", "average.\n\n## Start\n", "introduction only"),
    "title": ("# Assignment 9. A tiny assignment", "Hello", "cell 1 is not a title"),
}


@pytest.mark.parametrize("name", EDITS)
def test_fault_of_the_source_is_named_with_its_place(tmp_path, name):
    old, new, message = EDITS[name]
    assignment = tiny.make(tmp_path, ("source.md", old, new))
    with pytest.raises(AssignmentError, match=message) as error:
        parts(assignment)
    assert str(assignment.folder / "source.md") in str(error.value)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(a): b = 1", {"f"}),
        ("class C:\n    d = 1", {"C"}),
        ("a, (b, *c) = 1, (2, 3)", {"a", "b", "c"}),
        ("import x.y, z as w\nfrom m import n as o", {"x", "w", "o"}),
        ("if a:\n    b = 1\nfor c in d:\n    e: int = 2", {"b", "c", "e"}),
        ("a = [b for b in c]; f = lambda g: (h := g)", {"a", "f"}),
        ("with a as b:\n    c += 1", {"b", "c"}),
    ],
)
def test_defined_names_are_those_of_the_top_level(code, names):
    assert defined(code) == names
