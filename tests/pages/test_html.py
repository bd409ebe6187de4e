"""The pages as files: links, formulas, pictures, and what must not be left over."""

import re
from functools import cache
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup
from built_book import CHAPTERS, NAMES, SOURCES

pytestmark = pytest.mark.pages
LEFT_OVER = {
    "a formula": re.compile(r"\$\$|\\begin\{|\\frac|\\text"),
    "a directive": re.compile(r"^:{3,}|`{3}|\{(note|admonition|math|figure|cite)\}"),
    "a role": re.compile(r"\{(term|ref|numref|eq|doc|cite)\}`"),
    "Markdown": re.compile(r"\*\*\w[^*]*\*\*|^#{1,4} \w|\]\(\S+\)", re.MULTILINE),
}


@cache
def parse(path):
    """Return a page as a tree."""
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@pytest.fixture(params=NAMES)
def name(request):
    """Return the name of each page in turn."""
    return request.param


@pytest.fixture
def page(book, name):
    """Return the tree of each page in turn."""
    return parse(book / f"{name}.html")


def prose(page) -> str:
    """Return the text of a page without code and formulas."""
    article = BeautifulSoup(str(page.find("article")), "html.parser")
    for part in article.select("pre, code, script, style, .katex, .cell_output"):
        part.decompose()
    return article.get_text()


@pytest.mark.parametrize("kind", LEFT_OVER)
def test_no_markup_is_left(page, kind):
    assert not LEFT_OVER[kind].search(prose(page))


def test_formulas_are_html(page, name):
    assert not page.select(".katex-error, .math > code")
    if "$$" in SOURCES[name].read_text("utf-8"):
        assert page.select(".katex-display math") or not page.select(".math")


def test_chapters_have_formulas(book):
    for name in CHAPTERS:
        assert parse(book / f"{name}.html").select(".katex math"), name


def test_pictures_state_what_they_show(page):
    for picture in page.select("article img"):
        alt = picture.get("alt", "")
        assert len(alt.split()) >= 5, f"says too little: {alt!r}"
        assert not re.search(r"\.(png|svg|jpe?g)$", alt)


def test_pictures_have_a_size(page):
    for picture in page.select("article img"):
        assert int(picture["width"]) > 0
        assert int(picture["height"]) > 0


def test_local_addresses_exist(book, page, name):
    here = book / f"{name}.html"
    for tag in page.select("[href], [src]"):
        address, anchor = urldefrag(tag.get("href") or tag.get("src"))
        if re.match(r"(https?|mailto|data):", address):
            continue
        path = (here.parent / unquote(address.split("?")[0])) if address else here
        assert path.resolve().exists(), f"{name} asks for {address}"
        # an explorable keeps its state there: #e2=dk:512
        if anchor and path.suffix == ".html" and "=" not in anchor:
            target = parse(path.resolve()).find(id=unquote(anchor))
            assert target, f"{name} points to {address}#{anchor}"


def test_nothing_is_loaded_from_elsewhere(page):
    loaded = page.select("script[src], img[src], iframe, link[rel=stylesheet]")
    for tag in loaded:
        address = tag.get("src") or tag.get("href")
        assert not re.match(r"(https?:)?//", address)
    assert not page.select("script[type=module], iframe")


def test_explorables_are_linked_not_repeated(page):
    assert not page.select("script[data-explore]")


def test_heads_describe_the_page(page):
    description = page.select_one("meta[name=description]")["content"]
    assert 40 <= len(description) <= 200
    assert page.title.text.strip()
    assert len(page.select("h1")) == 1


def test_claim_cells_can_be_linked(book):
    calls = re.compile(r"""\bclaim\(\s*\\?["'](\d+\.\d+[a-z]?)""")
    for name in CHAPTERS:
        tree = parse(book / f"{name}.html")
        for claim in calls.findall(SOURCES[name].read_text("utf-8")):
            assert tree.find(id=f"claim-{claim}"), f"{name}: claim {claim}"


def test_list_of_pages_is_complete(book):
    listed = (book / "sitemap.txt").read_text("utf-8").split()
    assert len(listed) == len(NAMES)
    assert all(address.startswith("https://") for address in listed)


@pytest.mark.parametrize("address", ["index.html", "404.html"])
def test_extra_pages_are_filled(book, address):
    text = (book / address).read_text("utf-8")
    assert f"{NAMES[0]}.html" in text
    assert not re.search(r"\{(title|root|base)\}", text)
