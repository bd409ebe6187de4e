"""What the theme's templates need to know about a page."""

from docutils import nodes
from sphinx.environment.adapters.toctree import TocTree

from .assets import versions

COLAB = "https://colab.research.google.com"


def describe(app, docname: str, doctree) -> str:
    """Return the page's description: its front matter's, else its first paragraph."""
    own = app.env.metadata.get(docname, {}).get("description")
    if own or doctree is None:
        return own or ""
    for paragraph in doctree.findall(nodes.paragraph):
        plain = paragraph.deepcopy()
        for formula in list(plain.findall(nodes.math)):
            formula.parent.remove(formula)
        text = " ".join(plain.astext().split())
        if len(text) > 40:
            return text if len(text) <= 160 else text[:157].rsplit(" ", 1)[0] + "…"
    return ""


def contents(app, docname: str) -> str:
    """Return the page's own sections as nested lists of links."""
    toc = TocTree(app.env).get_toc_for(docname, app.builder)
    sections = toc.next_node(nodes.list_item)
    inner = sections and next(
        (c for c in sections.children if isinstance(c, nodes.bullet_list)), None
    )
    return app.builder.render_partial(inner)["fragment"] if inner else ""


def navigation(context) -> str:
    """Return the book's pages as lists of links, the current one marked."""
    links = context["toctree"](
        maxdepth=1, titles_only=True, includehidden=True, collapse=False
    )
    # Sphinx's captions claim to be headings without a level, above the page's first
    links = (links or "").replace(' role="heading"', "")
    return links.replace('class="current reference', 'aria-current="page" class="')


def actions(app, docname: str) -> list[tuple[str, str]]:
    """Return the links above a page, as (text, address); downloads start with "_"."""
    options = app.config.html_theme_options
    repository = options["repository_url"]
    path = app.env.doc2path(docname, base=False)
    blob = f"blob/{options['repository_branch']}/{path}"
    links = []
    if path.endswith(".ipynb"):
        colab = options["launch_buttons"].get("colab_url") or COLAB
        owner = repository.removeprefix("https://github.com/")
        links += [
            ("Run on Colab", f"{colab}/github/{owner}/{blob}"),
            ("Download notebook", f"_sources/{path}"),
        ]
    return [*links, ("Source", f"{repository}/{blob}")]


def fill(app, pagename, templatename, context, doctree):
    """Add to a page's context what its template shows."""
    real = pagename in app.env.all_docs
    context["ab"] = {
        "title": app.config.html_title,
        "root": app.config.root_doc,
        "description": describe(app, pagename, doctree),
        "navigation": navigation(context),
        "contents": contents(app, pagename) if real else "",
        "actions": actions(app, pagename) if real else [],
        "explore": app.env.metadata.get(pagename, {}).get("explore", []),
        "repository": app.config.html_theme_options["repository_url"],
        "versions": versions(app),
    }


def setup(app):
    """Register the page context."""
    app.connect("html-page-context", fill)
