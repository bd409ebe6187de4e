"""Callouts and tables: Markdown's quotes and tables as boxes of the page.

Chapters are plain Markdown, so that they read the same on Colab and GitHub. Only the
HTML book turns quotes that open with **Definition.** and the like into notes.
"""

import re

from docutils import nodes

KINDS = re.compile(
    r"(Definition|Claim|Misconception|Convention|Try it|Careful)\b.*[.:]$"
)


def kind_of(quote: nodes.block_quote) -> str | None:
    """Return the kind of a callout, as used in its class, or None for a quotation."""
    if not quote.children or not isinstance(quote[0], nodes.paragraph):
        return None
    opening = next((c for c in quote[0] if c.astext().strip()), None)
    if not isinstance(opening, nodes.strong):
        return None
    found = KINDS.match(opening.astext())
    return found and found[1].lower().replace(" ", "-")


def box_callouts(app, doctree):
    """Replace each callout's blockquote by a box, classed by its kind."""
    for quote in list(doctree.findall(nodes.block_quote)):
        if kind := kind_of(quote):
            box = nodes.container(classes=["ab-callout", f"ab-callout-{kind}"])
            box += quote.children
            box.source, box.line = quote.source, quote.line
            quote.replace_self(box)


def wrap_tables(app, doctree):
    """Put each table in a box that scrolls, so that the page need not."""
    for table in list(doctree.findall(nodes.table)):
        box = nodes.container(classes=["ab-scroll"])
        table.replace_self(box)
        box += table


def visit_entry(translator, node):
    """Write a table's cell; one without text is no heading of anything."""
    type(translator).visit_entry(translator, node)
    if not node.astext().strip():
        translator.body[-1] = translator.body[-1].replace("<th", "<td", 1)
        translator.context[-1] = "</td>\n"


def depart_entry(translator, node):
    """Close a table's cell."""
    type(translator).depart_entry(translator, node)


def visit_container(translator, node):
    """Write a container; a callout is a note to people who listen to the page."""
    role = {"ROLE": "note"} if "ab-callout" in node["classes"] else {}
    translator.body.append(translator.starttag(node, "div", **role))


def depart_container(translator, node):
    """Close a container."""
    translator.body.append("</div>\n")


def setup(app):
    """Register the boxes."""
    app.connect("doctree-read", box_callouts)
    app.connect("doctree-read", wrap_tables)
    app.add_node(nodes.entry, override=True, html=(visit_entry, depart_entry))
    app.add_node(
        nodes.container, override=True, html=(visit_container, depart_container)
    )
