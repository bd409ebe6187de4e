"""The book's Sphinx extension: what makes its pages light, accessible and checked.

`maths` typesets formulas while the book is built; `cells` turns notebook cells and
their outputs into pages (figures, claims, explorables); `code` colours code; `prose`
makes callouts and tables; `pages` fills the theme's templates; `assets` writes
the few files that pages load.
"""

from pathlib import Path

from . import assets, cells, code, maths, pages, prose

THEME = Path(__file__).parents[1] / "theme"


def setup(app):
    """Register the theme and every part of the extension."""
    app.add_html_theme("attnbook", str(THEME))
    for part in (maths, code, cells, prose, pages, assets):
        part.setup(app)
    # Jupyter Book sets this for an extension that the book does without.
    app.add_config_value("comments_config", {}, "")
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
