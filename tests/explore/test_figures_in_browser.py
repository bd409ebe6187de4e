"""Every interactive figure in Chromium: keyboard, address, themes, phones, frames.

What one figure alone can do is tested in `test_<name>.py`.
"""

import contextlib
import html as escaping
import io
import re

import numpy as np
import pytest
from figures import (
    NAMES,
    TAGS,
    agrees,
    axe_finds_nothing,
    change,
    document,
    get,
    key,
    make,
    overhang,
    ready,
    same,
    show,
    too_small,
    use,
)

pytestmark = pytest.mark.parametrize("name", NAMES)


def test_element_shows_pythons_numbers(visit, name):
    _, figure = show(visit, name)
    agrees(get(figure, "result"), make(name).result)


def test_every_control_is_reached_by_keyboard_and_shows_it(visit, name):
    page, figure = show(visit, name)
    page.evaluate("window.reached = []")
    reach = "e => reached.push(document.activeElement) && e.contains(reached.at(-1))"
    for _ in range(100):
        page.keyboard.press("Tab")
        if not figure.evaluate(reach):
            break
        ring = page.evaluate("getComputedStyle(reached.at(-1)).outlineStyle")
        assert ring != "none"
    missed = figure.evaluate(
        """e => [...e.querySelectorAll("*")].filter((x) => x.tabIndex >= 0
          && x.checkVisibility() && !x.disabled && x.type !== "radio"
          && !reached.includes(x)).map((x) => x.outerHTML)"""
    )
    assert not missed


def test_state_goes_to_the_address_and_back(visit, name):
    page, figure = show(visit, name, hash="#e99=n:1")
    state = change(figure)
    page.wait_for_function("key => location.hash.includes(key)", arg=f"{key(name)}=")
    address = page.evaluate("location.hash")
    assert address.startswith(f"#e99=n:1&{key(name)}=")  # others' part stays
    page.reload()
    assert get(ready(page, name), "state") == state


def test_link_on_the_page_sets_the_figure(visit, name):
    page, figure = show(visit, name)
    first = get(figure, "state")
    state = change(figure)
    page.wait_for_function("key => location.hash.includes(key)", arg=f"{key(name)}=")
    address = page.evaluate("location.hash")
    figure.get_by_role("button", name="Reset").click()
    assert get(figure, "state") == first
    page.wait_for_function("a => location.hash !== a", arg=address)
    page.evaluate("a => { location.hash = a; }", address)
    page.wait_for_function(
        "([tag, s]) => JSON.stringify(document.querySelector(tag).state) === s",
        arg=[TAGS[name], figure.evaluate("(_, s) => JSON.stringify(s)", state)],
    )


def test_nothing_is_said_while_the_reader_moves(visit, name):
    page, figure = show(visit, name)
    said = figure.get_by_role("status")
    page.wait_for_timeout(500)
    before = said.text_content()
    assert before
    change(figure)
    assert said.text_content() == before


def test_copy_as_python_gives_the_same_numbers(visit, name):
    page, figure = show(visit, name)
    page.context.grant_permissions(["clipboard-read"])
    figure.get_by_role("button", name="Copy as Python").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert code == figure.get_by_label("Python").input_value() == get(figure, "python")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names := {})
    result = get(figure, "result")
    shared = names.keys() & result.keys()
    assert shared
    for part in shared:
        same(result[part], names[part], part)


def test_fallback_stands_without_scripts(visit, name):
    page = visit(document(make(name).html), java_script_enabled=False)
    assert page.locator(f"{TAGS[name]} table").first.is_visible()
    assert page.locator(f"{TAGS[name]} p").first.is_visible()
    box = page.locator(TAGS[name]).evaluate("e => getComputedStyle(e).minHeight")
    assert box in ("0px", "auto")  # no hole is kept free for a script that never runs


def places(name, folder):
    """Return a figure with its script before, after, around it, deferred, and twice."""
    figure = make(name)
    element, script = figure.html.split("\n", 1)
    (folder / f"{name}.js").write_text(figure.script, "utf-8")
    link = f'<script defer src="{name}.js"></script>'
    return [
        script + element,
        element + script,
        script + element + script,
        link + element + link,
        figure.html + figure.html,
    ]


def test_script_runs_in_any_place(visit, tmp_path, name):
    for body in places(name, tmp_path):
        page = visit(document(body))
        for n in range(body.count(f"</{TAGS[name]}>")):
            figure = ready(page, name, n)
            assert figure.get_by_role("button", name="Reset").count() == 1
            assert figure.locator("> style").count() == 0  # no fallback left
        assert_ids_are_unique(page)
        assert page.locator("head style").count() == 1


def assert_ids_are_unique(page):
    ids = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_figure_shares_a_page_with_another(visit, name):
    other = NAMES[NAMES.index(name) - 1]
    page = visit(document(make(name).html + make(other).html))
    figure, neighbour = ready(page, name), ready(page, other)
    assert_ids_are_unique(page)
    use(neighbour)
    agrees(get(figure, "result"), make(name).result)


def test_second_figure_of_a_kind_has_a_key_of_its_own(visit, name):
    page = visit(document(2 * make(name).html))
    first, second = ready(page, name), ready(page, name, 1)
    state = get(first, "state")
    changed = change(second)
    page.wait_for_function("key => location.hash.includes(key)", arg=f"{key(name)}-2=")
    assert get(first, "state") == state
    page.reload()
    assert get(ready(page, name), "state") == state
    assert get(ready(page, name, 1), "state") == changed


def test_axe_finds_nothing(visit, name):
    page, figure = show(visit, name)
    use(figure)
    axe_finds_nothing(page)


def test_targets_are_large_enough(visit, name):
    _, figure = show(visit, name, width=320)
    assert not too_small(figure)
    use(figure)
    assert not too_small(figure)


def test_phone_page_does_not_scroll_sideways(visit, name):
    page, figure = show(visit, name, width=320)
    assert overhang(page) <= 0
    use(figure)
    assert overhang(page) <= 0


def test_paper_shows_the_figure_and_no_buttons(visit, name):
    page, figure = show(visit, name, width=700)
    page.emulate_media(media="print")
    assert figure.bounding_box()["height"] > 100
    assert overhang(page) <= 0
    assert not figure.get_by_role("button", name="Copy as Python").is_visible()


def background(figure):
    """Return how bright a figure is, 0 to 255."""
    colour = figure.evaluate("e => getComputedStyle(e).backgroundColor")
    return int(re.search(r"\d+", colour)[0])


def test_sandboxed_frame_without_a_theme(visit, name):
    inner = escaping.escape(make(name).html)
    frame = f'<iframe title="f" sandbox="allow-scripts" srcdoc="{inner}"></iframe>'
    page = visit(document(frame))
    figure = page.frame_locator("iframe").locator(f"{TAGS[name]}[data-ready]")
    figure.wait_for()
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        assert (background(figure) > 128) == (theme == "light")
    change(figure)
    page.wait_for_timeout(500)  # no address to write to, and no complaint
    figure.get_by_role("button", name="Copy as Python").click()
    assert "import numpy" in figure.get_by_label("Python").input_value()


def test_page_decides_over_the_system(visit, name):
    page = visit(document(make(name).html))
    figure = ready(page, name)
    for own, system in (("dark", "light"), ("light", "dark")):
        page.emulate_media(color_scheme=system)
        for attribute in ("data-theme", "theme"):
            set_it = (
                "([name, value]) => document.documentElement.setAttribute(name, value)"
            )
            page.evaluate(set_it, [attribute, own])
            assert (background(figure) > 128) == (own == "light")
            page.evaluate(
                "name => document.documentElement.removeAttribute(name)", attribute
            )


def test_space_is_kept_free_until_the_script_has_drawn(visit, name):
    figure = make(name)
    page = visit(document(figure.html.split("\n", 1)[0]))
    heights = {"reserved": [], "drawn": []}
    for when, values in heights.items():
        if when == "drawn":
            page.add_script_tag(content=figure.script)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            values.append(page.locator(TAGS[name]).bounding_box()["height"])
    np.testing.assert_allclose(heights["reserved"], heights["drawn"], rtol=0.1)
