"""The Sphinx extension on two small books: one in order, one with every fault."""

import base64
import json
import re
import shutil
import subprocess
import zlib

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from built_book import BUILD, REPOSITORY

NOTEBOOK = "01_small"
HEAD = (
    "---\ndescription: A small book that tests the extension of the large one.\n---\n"
)
CHAPTER = r"""# Small

[Open this chapter on Colab](https://colab.research.google.com/github/a/b.ipynb)

Inline $x_1$ and, displayed,

$$
\begin{aligned}
a &= b \\
c &= d
\end{aligned}
\tag{1.1}
$$

within a line $$y = z \tag{1.2}$$ too.

> **Definition.** A *weight* sums to $1$.

> **Claim 1.1.** It holds.

> **Try it.** Change it.

> Somebody said so.

|   | b |
|---|---|
| 1 | 2 |
"""


def png(width: int, height: int) -> str:
    """Return a white picture as base64."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    rows = zlib.compress((b"\0" + b"\xff" * width) * height)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def shown(data, metadata=None):
    """Return an output that displays data."""
    return nbformat.v4.new_output("display_data", data, metadata=metadata or {})


def cell(source, *outputs, tags=()):
    """Return an executed code cell."""
    metadata = {"tags": list(tags)}
    return nbformat.v4.new_code_cell(
        source, outputs=list(outputs), execution_count=1, metadata=metadata
    )


def figure(alt=None):
    """Return an output that holds a picture, as the plotting helpers make it."""
    stored = {"width": 70, "height": 30} | ({"alt": alt} if alt else {})
    return shown({"image/png": png(140, 60)}, {"image/png": stored})


def explorable(name):
    """Return an output that holds an explorable."""
    return shown(
        {
            "text/html": f"<ax-{name}>fallback</ax-{name}>"
            f'<script data-explore="{name}">let inline = "</b>";</script>'
        }
    )


def claim():
    """Return a claim's output with the book's own kind of data."""
    own = "application/vnd.attnbook.claim+json"
    return shown({"text/html": '<div class="ab-claim">1.1</div>', own: {"id": "1.1"}})


TABLE = shown({"text/html": "<table><tr><th></th><th>a</th></tr></table>"})
CELLS = [
    cell("plot()", figure("one line rises and the other one falls")),
    cell("plot()", figure("colours that carry a meaning"), tags=["keep-colours"]),
    cell('claim(\n    "1.1", "it holds", 1, 0, 2)', claim()),
    cell("table", TABLE),
    cell("explore.tiny()", explorable("tiny"), tags=["remove-input"]),
    cell("!ls\n%pip list", tags=["hide-input"]),
    cell("%pip install attnbook", tags=["setup"]),
    cell("answer = 1", tags=["hide-cell", "solution"]),
]


def make_book(root, text, cells):
    """Write a book of a root page and one notebook with the real settings."""
    for folder in ("book/chapters", "notebooks", "src/attnbook/explore"):
        (root / folder).mkdir(parents=True)
    (root / "tools").symlink_to(REPOSITORY / "tools")
    shutil.copy(REPOSITORY / "_config.yml", root)
    (root / "book/references.bib").touch()
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "parts": [{"chapters": [{"file": f"notebooks/{NOTEBOOK}"}]}],
    }
    (root / "_toc.yml").write_text(json.dumps(toc), "utf-8")
    link = f"[claim](../notebooks/{NOTEBOOK}.ipynb#claim-1.1)"
    (root / "book/index.md").write_text(f"{HEAD}# Root\n\nSee {link}.\n", "utf-8")
    (root / f"book/chapters/{NOTEBOOK}.md").write_text(f"\n\n{text}", "utf-8")
    (root / "src/attnbook/explore/tiny.js").write_text("// tiny\n", "utf-8")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(text), *cells],
        metadata={"language_info": {"name": "python"}},
    )
    nbformat.write(notebook, root / f"notebooks/{NOTEBOOK}.ipynb")
    return root


def build(root):
    """Run the build command on a small book."""
    return subprocess.run([*BUILD, str(root)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the root of a built book that is in order."""
    root = make_book(tmp_path_factory.mktemp("small"), CHAPTER, CELLS)
    done = build(root)
    assert not done.returncode, done.stderr
    return root


@pytest.fixture(scope="module")
def page(small):
    """Return the tree of the small book's chapter."""
    path = small / f".build/html/notebooks/{NOTEBOOK}.html"
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """Return what two builds in a row say about a book with every fault."""
    text = "# Faulty\n\nFine $x$.\n\n$$\n\\nonsense{x}\n$$\n"
    claims = 'claim("1.1", "a", 1, 0)\nclaim("1.1", "b", 1, 0)'
    foreign = shown({"application/vnd.plotly.v1+json": {}})
    faults = [
        cell("plot()", figure()),
        cell(claims),
        cell("explore.missing()", explorable("missing")),
        cell("plotly()", foreign),
    ]
    root = make_book(tmp_path_factory.mktemp("faulty"), text, faults)
    first, second = build(root), build(root)
    assert first.returncode
    assert second.returncode
    return first.stderr, second.stderr


def test_formulas_are_typeset_as_written(page):
    assert len(page.select(".katex")) == 4
    assert page.find(id="eq-1.1").select_one(".katex-display mtable")
    assert page.find(id="eq-1.2").name == "span"


def test_callouts_are_boxes(page):
    boxes = [box["class"][-1] for box in page.select(".ab-callout")]
    expected = ["definition", "claim", "try-it"]
    assert boxes == [f"ab-callout-{kind}" for kind in expected]
    assert [q.get_text(strip=True) for q in page.select("blockquote")] == [
        "Somebody said so."
    ]


def test_figures_carry_stored_alt_text_and_size(page):
    first, second = page.select("article img")
    assert first["alt"] == "one line rises and the other one falls"
    assert (first["width"], first["height"]) == ("70", "30")
    assert second["class"] == ["keep-colours"]


def test_claims_can_be_linked(page, small):
    assert page.find(id="claim-1.1").select_one(".ab-claim")
    index = (small / ".build/html/book/index.html").read_text("utf-8")
    assert f'href="../notebooks/{NOTEBOOK}.html#claim-1.1"' in index


def test_explorables_become_files(page, small):
    assert page.select_one("ax-tiny").get_text() == "fallback"
    assert "inline" not in page.find("article").get_text()
    script = page.select_one("script[src*=tiny]")
    assert re.fullmatch(r"\.\./_static/explore/tiny\.js\?v=\w{8}", script["src"])
    assert (small / ".build/html/_static/explore/tiny.js").exists()


def test_tables_are_repaired(page):
    assert page.select_one(".text_html table tr").find().name == "td"
    corner = page.select_one(".ab-scroll > table tr").find()
    assert corner.name == "td"


def test_code_is_marked_up_only_where_it_has_a_colour(page):
    (first,) = [p for p in page.select("pre") if "plot()" in p.get_text()][:1]
    assert not [span for span in first.select("span") if span.get_text()]
    assert page.select("pre .s2")


def test_folds_have_names(page):
    names = [s.get_text() for s in page.select(".ab-fold > summary")]
    assert names == ["Code", "Set-up", "Solution"]


def test_colab_and_download_links_name_the_notebook(page):
    links = [a["href"] for a in page.select(".ab-actions a")]
    path = f"notebooks/{NOTEBOOK}.ipynb"
    repository = yaml.safe_load((REPOSITORY / "_config.yml").read_text("utf-8"))
    url, branch = (repository["repository"][key] for key in ("url", "branch"))
    place = url.removeprefix("https://github.com/")
    assert links[0].endswith(f"/github/{place}/blob/{branch}/{path}")
    assert sum("colab" in a["href"] for a in page.select("a")) == 1
    assert links[1] == f"../_sources/{path}"


def test_second_build_has_nothing_to_do(small):
    assert "up to date" in build(small).stdout


def test_changed_page_is_built_again(small):
    path = small / "book/index.md"
    path.write_text(path.read_text("utf-8") + "\nA new line.\n", "utf-8")
    assert "built in" in build(small).stdout
    assert "A new line" in (small / ".build/html/book/index.html").read_text("utf-8")


FAULTS = {
    "formula": rf"book/chapters/{NOTEBOOK}\.md:8: .*\\\\nonsense",
    "alt text": "figure without alt text",
    "claim": "claim 1.1 is made twice",
    "explorable": "no explorable missing",
    "kind of output": "unknown output mime type",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("run", [0, 1], ids=["first", "again"])
def test_faults_stop_the_build(complaints, fault, run):
    assert re.search(FAULTS[fault], complaints[run])


def test_lock_file_names_hashes_and_no_host():
    text = (REPOSITORY / "tools/sphinx/katex/package-lock.json").read_text("utf-8")
    packages = [p for name, p in json.loads(text)["packages"].items() if name]
    assert packages
    assert all("integrity" in p and "resolved" not in p for p in packages)


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Return the contrast ratio of two colours."""
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("role", ["q", "k", "v", "weights", "out"])
def test_role_colours_are_told_from_the_page(role, theme):
    text = (REPOSITORY / "tools/sphinx/assets/book.css").read_text("utf-8")
    colours = [
        re.findall(rf"--ab-{name}: (#\w{{6}})", text)[theme]
        for name in (role, "page", "surface")
    ]
    assert contrast(colours[0], colours[1]) >= 4.5
    assert contrast(colours[0], colours[2]) >= 3
