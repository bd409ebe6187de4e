"""Code in colour, without mark-up for what has no colour of its own."""

import re
from functools import cache
from pathlib import Path

from pygments.formatters import HtmlFormatter
from sphinx.highlighting import PygmentsBridge

STYLE = Path(__file__).parents[1] / "assets/book.css"


@cache
def coloured() -> frozenset[str]:
    """Return the classes of tokens that the style sheet colours."""
    rules = re.findall(r"\.highlight :is\(([^)]*)\)", STYLE.read_text("utf-8"))
    return frozenset(name for rule in rules for name in re.findall(r"\.(\w+)", rule))


class LeanFormatter(HtmlFormatter):
    """Leaves out the spans of names, brackets and operators: most of a cell's."""

    def _get_css_classes(self, ttype):
        found = super()._get_css_classes(ttype)
        return found if coloured().intersection(found.split()) else ""


def setup(app):
    """Use the lean formatter for all code."""
    PygmentsBridge.html_formatter = LeanFormatter
