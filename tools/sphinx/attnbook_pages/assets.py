"""The files that pages load: one style sheet, one script, fonts, explorables.

All are written after the pages, under names that carry no version: pages ask for
them with a digest, so that a browser never mixes an old script with a new page.
"""

import hashlib
import json
import re
import shutil
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"
KATEX = Path(__file__).parents[1] / "katex/node_modules/katex/dist"
UNUSED = ("basic.css", "pygments.css", "mystnb.*.css", "*.png")
FONT = re.compile(r"src:url\((fonts/[\w-]+\.woff2)\)[^}]*")


@cache
def style_sheet() -> str:
    """Return KaTeX's and our own style as one sheet."""
    katex = (KATEX / "katex.min.css").read_text(encoding="utf-8")
    katex = FONT.sub(r'src:url(\1) format("woff2")', katex)
    own = (ASSETS / "book.css").read_text(encoding="utf-8")
    return f"{katex}\n{own}"


def fonts() -> list[str]:
    """Return the fonts that the style sheet names."""
    return re.findall(r"url\((fonts/[\w-]+\.woff2)\)", style_sheet())


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def versions(app) -> dict[str, str]:
    """Return the digest of each file that pages ask for."""
    explore = Path(app.srcdir, "src/attnbook/explore")
    scripts = [ASSETS / "book.js", *sorted(explore.glob("*.js"))]
    found = {path.name: _digest(path.read_text("utf-8")) for path in scripts}
    return found | {"book.css": _digest(style_sheet())}


def write(app, error):
    """Write the style sheet, the scripts, the fonts and the pages without a source."""
    if error or app.builder.format != "html":
        return
    out, static = Path(app.outdir), Path(app.outdir, "_static")
    (static / "book.css").write_text(style_sheet(), encoding="utf-8")
    (static / "fonts").mkdir(exist_ok=True)
    for font in fonts():
        shutil.copy(KATEX / font, static / font)
    for name in ("book.js", "favicon.svg"):
        shutil.copy(ASSETS / name, static / name)
    for pattern in UNUSED:
        for path in static.glob(pattern):
            path.unlink()
    _write_explorables(app, static / "explore")
    _write_extra_pages(app, out)
    _write_worker(app, out)


def _write_explorables(app, folder: Path):
    """Copy the scripts of the explorables that the book shows."""
    names = {n for data in app.env.metadata.values() for n in data.get("explore", [])}
    folder.mkdir(exist_ok=True)
    for name in names:
        source = Path(app.srcdir, "src/attnbook/explore", f"{name}.js")
        if source.exists():
            shutil.copy(source, folder / source.name)


def _write_extra_pages(app, out: Path):
    """Write the way in, the page for wrong addresses and the list of pages."""
    root, base = app.config.root_doc, app.config.html_baseurl
    for name in ("index.html", "404.html"):
        text = (ASSETS / name).read_text(encoding="utf-8")
        text = text.replace("{title}", app.config.html_title)
        text = text.replace("{root}", f"{root}.html").replace("{base}", base)
        (out / name).write_text(text, encoding="utf-8")
    pages = (f"{base}{name}.html\n" for name in sorted(app.env.all_docs))
    (out / "sitemap.txt").write_text("".join(pages), encoding="utf-8")


def _write_worker(app, out: Path):
    """Write the service worker with the list of files that make the book."""
    pages = [f"{name}.html" for name in (*sorted(app.env.all_docs), "search")]
    static = [p.relative_to(out).as_posix() for p in out.glob("_static/**/*.*")]
    used = [p for p in sorted(static) if p.endswith((".js", ".css", ".woff2", ".svg"))]
    files = ["./", *pages, "searchindex.js", *used]
    digest = hashlib.sha256()
    for name in files[1:]:
        digest.update((out / name).read_bytes())
    name = digest.hexdigest()[:12]
    head = f'const FILES = {json.dumps(files)};\nconst NAME = "{name}";\n'
    worker = (ASSETS / "sw.js").read_text(encoding="utf-8")
    (out / "sw.js").write_text(head + worker, encoding="utf-8")


def setup(app):
    """Register the writing of assets."""
    app.connect("build-finished", write)
