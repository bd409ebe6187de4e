"""The pages as read: every page in a real browser, without a network.

Run over http and from the disk, in both themes, wide and narrow, by keyboard.
"""

import gzip
import re
from importlib.resources import files
from io import BytesIO
from urllib.parse import unquote, urlsplit

import pytest
from built_book import CHAPTERS, NAMES, serving
from PIL import Image

pytestmark = pytest.mark.pages
PAGES = [*NAMES, "search"]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
ALLOWED = {"region"}
FIRST_LOAD = 300 * 1024

# axe reads no MathML: a heading that is a formula looks empty to it.
RUN_AXE = """async (contrast) => {
  const rules = {"color-contrast": {enabled: contrast}};
  const options = {resultTypes: ["violations", "incomplete"], rules};
  const found = await axe.run({exclude: [".katex-html"]}, options);
  const twice = found.incomplete.filter((rule) => rule.id === "duplicate-id-aria");
  const faults = [];
  for (const rule of [...found.violations, ...twice]) {
    for (const node of rule.nodes) {
      const formula = document.querySelector(node.target[0])?.querySelector("math");
      if (rule.id === "empty-table-header" && formula) continue;
      faults.push([rule.id, node.html.slice(0, 120)]);
    }
  }
  return faults;
}"""

# What has the keyboard's focus must show it, and must be there to be seen.
UNSEEN_STOPS = """() => {
  const stops = document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']");
  const unseen = [];
  for (const stop of stops) {
    if (!stop.checkVisibility() || stop.disabled) continue;
    stop.focus({preventScroll: true});
    if (document.activeElement !== stop) continue;
    const style = getComputedStyle(stop);
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    let opacity = 1;
    for (let e = stop; e; e = e.parentElement) opacity *= getComputedStyle(e).opacity;
    if (!ring || opacity < 0.5) unseen.push(stop.outerHTML.slice(0, 120));
  }
  return unseen;
}"""

NARROW = """() => {
  const root = document.documentElement;
  const boxes = ".katex-display, article pre, .text_html, .ab-scroll, .cell_output";
  const scrolls = [...document.querySelectorAll(boxes)].filter(
    (box) => box.scrollWidth > box.clientWidth + 1);
  const wide = [...document.querySelectorAll(".katex-display")].filter(
    (box) => box.scrollWidth > box.clientWidth + 1);
  return {
    overflow: root.scrollWidth - root.clientWidth,
    stuck: wide.filter((box) => box.tabIndex !== 0
      || getComputedStyle(box).overflowX !== "auto").length,
    unmarked: scrolls.filter((box) => !box.classList.contains("ab-more"))
      .map((box) => box.outerHTML.slice(0, 120)),
    headings: [...document.querySelectorAll("h1")].filter(
      (heading) => heading.checkVisibility()).length,
    ready: [...document.querySelectorAll("article *")].filter(
      (e) => e.localName.startsWith("ax-") && !e.childElementCount).length,
  };
}"""


def watch(page, own: str) -> list[str]:
    """Cut a page off from all but its own address; return its complaints, live."""
    complaints = []

    def answer(route):
        if route.request.url.startswith((own, "data:", "blob:")):
            return route.continue_()
        complaints.append(f"asks for {route.request.url}")
        return route.abort()

    page.route("**/*", answer)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on(
        "response",
        lambda r: r.status >= 400 and complaints.append(f"{r.status} for {r.url}"),
    )
    # leaving a page breaks off what it still loads
    page.on(
        "requestfailed",
        lambda r: r.failure != "net::ERR_ABORTED" and complaints.append(r.failure),
    )
    return complaints


def load_all(page):
    """Load also what waits until it is scrolled to."""
    page.evaluate("""async () => {
      for (const image of document.images) image.loading = "eager";
      const loaded = (image) => image.decode().catch(() => 0);
      await Promise.all([...document.images].map(loaded));
      await document.fonts.ready;
    }""")


@pytest.fixture(params=["http", "file"])
def address(request, site, book):
    """Return the book's address over http, then on the disk."""
    return site if request.param == "http" else f"{book.as_uri()}/"


@pytest.mark.parametrize("name", PAGES)
def test_page_needs_only_the_book(visit, address, name):
    page = visit(None)
    complaints = watch(page, address)
    page.goto(f"{address}{name}.html")
    load_all(page)
    assert not complaints


@pytest.mark.parametrize("name", PAGES)
def test_first_load_is_light(visit, site, book, name):
    page = visit(None)
    asked = set()
    page.on("response", lambda response: asked.add(urlsplit(response.url).path))
    page.goto(f"{site}{name}.html")
    page.evaluate("document.fonts.ready.then(() => 0)")
    paths = [book / unquote(path).lstrip("/") for path in asked]
    weights = {
        path.name: len(gzip.compress(path.read_bytes()))
        for path in paths
        if path.suffix not in (".png", ".jpg", ".jpeg", ".gif", "")
    }
    assert {"book.css", "book.js"} <= weights.keys()
    assert sum(weights.values()) <= FIRST_LOAD, weights


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(visit, site, name):
    page = visit(f"{site}{name}.html")
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    page.evaluate(AXE)
    # contrast is slow to find, and the same in wide and narrow windows
    for theme, width, contrast in (
        ("light", 1280, True),
        ("dark", 1280, False),
        ("light", 390, False),
        ("dark", 390, True),
    ):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.wait_for_timeout(400)
        found = [f for f in page.evaluate(RUN_AXE, contrast) if f[0] not in ALLOWED]
        assert not found, f"{theme}, {width} px"


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_narrow_window(visit, site, name):
    page = visit(f"{site}{name}.html", width=320)
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    expected = {"overflow": 0, "stuck": 0, "unmarked": [], "headings": 1, "ready": 0}
    for _ in range(20):  # boxes are looked at again a moment after a fold opens
        page.wait_for_timeout(250)
        if page.evaluate(NARROW) == expected:
            break
    assert page.evaluate(NARROW) == expected


def test_mark_of_a_scrolling_box_goes_at_its_end(visit, site):
    page = visit(f"{site}{CHAPTERS[0]}.html", width=390)
    box = page.locator(".cell_output.ab-more:has(> img)").first.element_handle()
    box.evaluate("e => { e.scrollLeft = e.scrollWidth; }")
    page.wait_for_function("e => !e.classList.contains('ab-more')", arg=box)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_focus_is_seen(visit, site, name, width):
    page = visit(f"{site}{name}.html", width=width)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "ab-skip"
    assert page.evaluate(UNSEEN_STOPS) == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_paper_shows_what_is_folded(visit, site, name):
    page = visit(f"{site}{name}.html")
    page.emulate_media(media="print")
    closed = """() => [...document.querySelectorAll("article details")].filter(
      (fold) => !fold.lastElementChild.checkVisibility()).length"""
    assert page.evaluate(closed) == 0, "without a script"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("article details:not([open])").count() == 0
    assert not page.locator(".ab-top").is_visible()


def test_paper_is_light_for_dark_readers(visit, site):
    page = visit(f"{site}{NAMES[0]}.html", theme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) != "rgb(255, 255, 255)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"


def test_search_finds_a_word(visit, address):
    page = visit(None)
    complaints = watch(page, address)
    page.goto(f"{address}{NAMES[1]}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("attention")
    page.keyboard.press("Enter")
    first = page.locator("#search-results li a").first
    first.wait_for()
    first.click()
    page.wait_for_url("**/*.html*")
    assert "attention" in page.locator("main").inner_text().lower()
    assert not complaints


def test_colours_can_be_chosen_and_are_kept(visit, site):
    page = visit(f"{site}{NAMES[0]}.html")
    page.locator(".ab-theme").click()
    page.locator(".ab-theme").click()
    assert page.locator(".ab-theme").inner_text().endswith("dark")
    page.goto(f"{site}{NAMES[-1]}.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_menu_opens_and_closes_by_keyboard(visit, site):
    page = visit(f"{site}{NAMES[0]}.html", width=390)
    menu = page.locator("#ab-nav")
    assert not menu.is_visible()
    page.locator(".ab-menu").press("Enter")
    assert menu.is_visible()
    assert page.locator(".ab-menu").get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert not menu.is_visible()


def test_pages_read_without_scripts(visit, site):
    page = visit(f"{site}{CHAPTERS[0]}.html", width=390, java_script_enabled=False)
    assert page.locator("h1").is_visible()
    assert page.locator(".katex-html").first.is_visible()
    assert page.locator("#ab-nav").is_visible()


def test_code_can_be_copied(visit, site):
    page = visit(f"{site}{CHAPTERS[0]}.html", permissions=["clipboard-read"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator(".cell_input .ab-copy:visible").first
    code = button.locator("xpath=..").locator("pre").inner_text()
    button.press("Enter")
    button.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").strip() == code.strip()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_stand_on_the_page(visit, site, theme):
    page = visit(None, theme=theme)
    for name in CHAPTERS:
        page.goto(f"{site}{name}.html")
        picture = page.locator("article img:not(.keep-colours)")
        if picture.count():
            break
    else:
        pytest.fail("no chapter has a picture")
    load_all(page)
    picture.first.scroll_into_view_if_needed()
    box = picture.first.bounding_box()
    corner = {"x": box["x"] + 1, "y": box["y"] + 1, "width": 3, "height": 3}
    pixels = Image.open(BytesIO(page.screenshot(clip=corner))).convert("RGB")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert pixels.getpixel((1, 1)) == tuple(map(int, re.findall(r"\d+", paper)))


def test_book_stays_when_the_server_is_gone(visit, book):
    with serving(book) as address:
        page = visit(f"{address}{NAMES[0]}.html", service_workers="allow")
        page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
        page.reload()
    for name in (*NAMES, "search"):
        page.goto(f"{address}{name}.html")
        assert page.locator("h1").is_visible()
        assert page.locator("body").evaluate("(e) => getComputedStyle(e).margin") == (
            "0px"
        ), "without its style"
