"""Every example in a docstring of the package runs and shows what it says."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import attnbook

SOURCE = Path(attnbook.__file__).parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def examples():
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, DOCUMENTED) and ">>>" in (
                ast.get_docstring(node) or ""
            ):
                name = f"{module}.{getattr(node, 'name', '')}"
                yield pytest.param(module, ast.get_docstring(node), id=name)


@pytest.mark.parametrize(("module", "text"), list(examples()))
def test_example_shows_what_it_says(module, text, capsys):
    names = vars(importlib.import_module(module)).copy()
    example = doctest.DocTestParser().get_doctest(text, names, module, None, None)
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert capsys.readouterr().out == ""
