"""Read finished pages as text, and look at them in Chromium, in a thread of its own.

Playwright allows one synchronous loop per thread, and other tests have theirs in the
main thread.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import chromium
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, sync_playwright

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_OFF = """() => [...document.querySelectorAll("svg.plot")].flatMap((plot) => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
  }).map((text) => text.textContent);
})"""


def text_of(html):
    """Return what a reader sees, roughly."""
    body = html[html.index("<main>") :]
    body = re.sub(r"<p|<li|<td|<h\d|<pre", r" \g<0>", body)
    return " ".join(re.sub(r"<[^>]*>", "", body).split())


@dataclass
class Seen:
    """What a browser finds wrong with a page."""

    faults: dict  # axe's violations, looked for light and wide, dark and narrow
    overhang: int  # pixels that stick out to the right
    cut_off: list  # letters outside of their plot
    complaints: list  # requests, errors, refused scripts
    dialogs: list  # what a script of a student's would open


def look(path: Path) -> dict[tuple[str, int], Seen]:
    """Return what is wrong with a page, by theme and width."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_look, path).result()


def _look(path: Path) -> dict[tuple[str, int], Seen]:
    with sync_playwright() as playwright:
        try:
            browser = chromium.start(playwright)
        except Error as error:
            chromium.skip_loudly("grader's pages", error)
        seen = {
            (theme, width): _once(browser, path, theme, width)
            for theme in ("light", "dark")
            for width in (1280, 390)
        }
        browser.close()
    return seen


def _once(browser, path: Path, theme: str, width: int) -> Seen:
    viewport = {"width": width, "height": 900}
    context = browser.new_context(viewport=viewport, color_scheme=theme)
    page = context.new_page()
    complaints, dialogs = [], []
    page.on("request", lambda r: r.url == path.as_uri() or complaints.append(r.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    found = []
    if (theme, width) in (("light", 1280), ("dark", 390)):  # axe is slow
        found = Axe().run(page, options={"runOnly": RULES}).response["violations"]
    faults = {f["id"]: [node["html"] for node in f["nodes"]] for f in found}
    overhang, cut_off = page.evaluate(WIDE), page.evaluate(CUT_OFF)
    context.close()
    return Seen(faults, overhang, cut_off, complaints, dialogs)
