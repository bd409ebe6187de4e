"""The interactive figures in Chromium: keyboard, address, themes, phones, frames."""

import contextlib
import html as escaping
import io
import itertools
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from test_explore import printed

from attnbook import explore

NAMES = ["softmax", "self_attention"]
TAGS = {"softmax": "ax-softmax", "self_attention": "ax-self-attention"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


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
    figure = getattr(explore, name)(**(given or {}))
    page = visit(document(figure.html), **options)
    return page, ready(page, name)


def get(figure, key):
    """Return a property of the element; JSON has no −∞, so it comes as text."""
    plain = "(_, x) => x === -Infinity ? '-inf' : x"
    return figure.evaluate(f"e => JSON.parse(JSON.stringify(e.{key}, {plain}))")


def agrees(result, expected):
    """Check that every number of `result` is Python's."""
    for key, value in expected.items():
        np.testing.assert_allclose(
            np.array(result[key], dtype=float), value, rtol=0, atol=1e-9, err_msg=key
        )


@pytest.mark.parametrize("d_k", [64, 512])
def test_softmax_shows_pythons_numbers(visit, d_k):
    _, figure = show(visit, "softmax", {"d_k": d_k})
    agrees(get(figure, "result"), explore.softmax(d_k=d_k).result)
    shown = figure.locator("[data-at=largest]").inner_text()
    assert shown == {64: "0.959", 512: "1.000"}[d_k]


def test_softmax_works_by_keyboard_alone(visit):
    page, figure = show(visit, "softmax")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert get(figure, "state")["d_k"] == 65
    page.keyboard.press("End")
    assert get(figure, "state")["d_k"] == 512
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert get(figure, "state")["temperature"] == 0.125
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert get(figure, "state")["scaled"] is True
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Reset
    assert get(figure, "state") == explore.softmax().state


def test_softmax_says_once_what_is_shown(visit):
    page, figure = show(visit, "softmax", {"d_k": 512})
    said = figure.get_by_role("status")
    page.wait_for_timeout(100)
    before = said.inner_text()
    assert "1.000 of the weight" in before
    assert "saturated" in before
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert said.inner_text() == before  # not yet: the reader may go on
    page.wait_for_function(
        "e => e.innerText.includes('0.413')", arg=said.element_handle()
    )


def test_softmax_keeps_a_temperature_between_two_steps_of_its_slider(visit):
    page, figure = show(visit, "softmax", {"temperature": 3.3})
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert get(figure, "state")["temperature"] == 3.3


@pytest.mark.parametrize(
    ("name", "hash", "expected"),
    [
        (
            "softmax",
            "#e2=dk:512,t:2,s:1",
            {"d_k": 512, "temperature": 2, "scaled": True},
        ),
        ("softmax", "#e2=dk:-4,t:x", {"d_k": 64, "temperature": 1, "scaled": False}),
        ("self_attention", "#e5=n:4,m:1,c:Q.1.2", {"step": 4, "cell": "Q.1.2"}),
        ("self_attention", "#e5=n:99,c:Q.8.8,X:1", {"step": 0, "cell": ""}),
    ],
)
def test_state_comes_from_the_address(visit, name, hash, expected):
    _, figure = show(visit, name, hash=hash)
    assert expected.items() <= get(figure, "state").items()


def test_state_goes_to_the_address_and_back(visit):
    page, figure = show(visit, "self_attention", hash="#e2=dk:8")
    figure.get_by_role("button", name="Next").click()
    figure.get_by_label("X row 1 column 2").fill("2.5")
    figure.get_by_label("causal mask").check()
    page.wait_for_function("location.hash.includes('m:1')")
    state = get(figure, "state")
    assert page.evaluate("location.hash").startswith(
        "#e2=dk:8&e5="
    )  # others' part stays
    page.reload()
    assert get(ready(page, "self_attention"), "state") == state


def test_link_on_the_page_sets_the_figure(visit):
    body = '<a href="#e5=n:5,s:1">look</a>' + explore.self_attention().html
    page = visit(document(body))
    figure = ready(page, "self_attention")
    page.get_by_text("look").click()
    page.wait_for_function(
        "document.querySelector('ax-self-attention').state.step === 5"
    )
    assert get(figure, "state")["scaled"] is True


@pytest.mark.parametrize("flags", [{}, {"scaled": True, "causal": True}])
def test_every_step_shows_pythons_matrices(visit, flags):
    _, figure = show(visit, "self_attention", flags)
    expected = explore.self_attention(**flags).result
    agrees(get(figure, "result"), expected)
    made = [
        "X W_Q W_K W_V",
        "Q K V",
        "scores",
        "scaled",
        "masked",
        "weights",
        "context",
    ]
    for step, names in enumerate(made):
        if step:
            figure.get_by_role("button", name="Next").click()
        for name in names.split():
            box = figure.locator(f"[data-m={name}][data-when=now]")
            assert box.is_visible()
            if not box.locator("input").count():
                cells = box.locator("[data-c]").all_inner_texts()
                got = [float(x.replace("−", "-").replace("∞", "inf")) for x in cells]
                np.testing.assert_allclose(got, expected[name].ravel(), atol=6e-3)
    figure.get_by_role("button", name="Next").click(force=True)
    assert get(figure, "state")["step"] == 6  # there is no step after the last


def test_self_attention_works_by_keyboard_alone(visit):
    page, figure = show(visit, "self_attention")
    figure.get_by_role("button", name="Back").focus()
    for key in ("Tab", "Enter", "Tab", "Tab", "Space"):  # Next, then the causal mask
        page.keyboard.press(key)
    state = get(figure, "state")
    assert (state["step"], state["causal"]) == (1, True)
    page.keyboard.press("Tab")  # into X, to its one stop
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.type("7")
    state = get(figure, "state")
    assert state["cell"] == "X.1.1"
    assert state["X"] == [[1, 0, 1, 0], [0, 7, 0, 2], [1, 1, 1, 1]]
    page.keyboard.press("Tab")  # W_Q
    page.keyboard.press("Tab")  # Q
    page.keyboard.press("ArrowDown")
    assert get(figure, "state")["cell"] == "Q.1.0"
    assert "0·1 + 7·1 + 0·0 + 2·0 = 7" in figure.locator(".sum").inner_text()


def test_chosen_cell_is_written_out_and_its_sources_marked(visit):
    page, figure = show(visit, "self_attention", hash="#e5=n:6,c:context.0.1")
    text = figure.locator(".sum").inner_text()
    assert "0.0634·2 + 0.4683·8 + 0.4683·6 ≈ 6.683" in text
    assert "row 1 of weights and column 2 of V" in text
    marked = figure.locator("[data-from]").evaluate_all(
        "all => all.map(e => e.dataset.c)"
    )
    assert set(marked) == {f"weights.0.{k}" for k in range(3)} | {
        f"V.{k}.1" for k in range(3)
    }
    said = figure.get_by_role("status")
    page.wait_for_function(
        "e => e.textContent.includes('6.683')", arg=said.element_handle()
    )


@pytest.mark.parametrize(
    ("name", "i", "j"), [("X", 2, 0), ("W_K", 1, 1), ("W_V", 3, 2)]
)
def test_change_marks_what_depends_on_it_only(visit, name, i, j):
    _, figure = show(visit, "self_attention", hash="#e5=n:6")
    before = explore.self_attention().result
    changed = before[name].copy()
    changed[i, j] += 2
    after = explore.self_attention(**{name: changed}).result
    figure.locator(f'[data-c="{name}.{i}.{j}"] input').fill(f"{changed[i, j]:g}")
    marked = figure.locator("[data-changed]").evaluate_all(
        "all => all.map(e => e.dataset.c)"
    )
    expected = {
        f"{key}.{a}.{b}"
        for key in list(after)[4:]
        for a, b in np.argwhere(
            ~np.isclose(after[key], before[key], rtol=0, atol=1e-15)
        )
    }
    assert set(marked) == expected
    figure.get_by_role("button", name="Reset").click()
    agrees(get(figure, "result"), before)


def test_input_refuses_what_is_no_number(visit):
    page, figure = show(visit, "self_attention")
    cell = figure.get_by_label("X row 1 column 1")
    for text in ("", "1000"):
        cell.fill(text)
        assert get(figure, "state") == explore.self_attention().state | {
            "step": 0,
            "cell": "X.0.0",
        }
    page.keyboard.press("Tab")
    assert cell.input_value() == "1"


@pytest.mark.parametrize("name", NAMES)
def test_copy_as_python_gives_the_same_numbers(visit, name):
    page, figure = show(visit, name)
    page.context.grant_permissions(["clipboard-read"])
    figure.get_by_role("button", name="Copy as Python").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert code == figure.get_by_label("Python").input_value() == get(figure, "python")
    result = get(figure, "result")
    key = {"softmax": "weights", "self_attention": "context"}[name]
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names := {})
    np.testing.assert_allclose(names[key], result[key], rtol=0, atol=1e-12)
    assert printed(code)


@pytest.mark.parametrize("name", NAMES)
def test_fallback_stands_without_scripts(visit, name):
    figure = getattr(explore, name)()
    page = visit(document(figure.html), java_script_enabled=False)
    assert page.locator(f"{TAGS[name]} table").first.is_visible()
    assert page.locator(f"{TAGS[name]} p").is_visible()
    box = page.locator(TAGS[name]).evaluate("e => getComputedStyle(e).minHeight")
    assert box in ("0px", "auto")  # no hole is kept free for a script that never runs


def places(name, folder):
    """Return a figure with its script before, after, around it, deferred, and twice."""
    figure = getattr(explore, name)()
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


def test_script_runs_in_any_place(visit, tmp_path):
    for bodies in zip(*[places(name, tmp_path) for name in NAMES], strict=True):
        page = visit(document("".join(bodies)))
        for name, body in zip(NAMES, bodies, strict=True):
            for n in range(body.count(f"</{TAGS[name]}>")):
                figure = ready(page, name, n)
                assert figure.get_by_role("button", name="Reset").count() == 1
                assert figure.locator("caption").count() in (0, 12)  # no fallback left
        ids = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
        assert len(ids) == len(set(ids))
        assert page.locator("head style").count() == 2


def test_axe_finds_nothing(visit):
    flags = {"scaled": True, "causal": True}
    body = explore.softmax().html + explore.self_attention(**flags).html
    page = visit(document(body), hash="#e5=n:6,c:weights.2.1")
    for name in NAMES:
        ready(page, name).get_by_role("button", name="Copy as Python").click()
    page.get_by_text("The numbers as a table").click()
    page.get_by_label("causal mask").uncheck()  # some cells are marked as changed
    for theme, width in itertools.product(["light", "dark"], [1280, 390]):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(page, options={"runOnly": RULES}).response
        faults = {v["id"]: [n["html"] for n in v["nodes"]] for v in found["violations"]}
        assert not faults
        assert "duplicate-id-aria" not in {v["id"] for v in found["incomplete"]}


@pytest.mark.parametrize("name", NAMES)
def test_targets_are_large_enough(visit, name):
    _, figure = show(visit, name, width=320, hash="#e5=n:1")
    targets = figure.locator("input, button, summary, td[tabindex]")
    small = targets.evaluate_all(
        """all => all.filter((e) => e.checkVisibility()).filter((e) => {
          const { width, height } = e.getBoundingClientRect();
          return width < 24 || height < 24;
        }).map((e) => e.outerHTML)"""
    )
    assert not small


def test_phone_page_does_not_scroll_sideways(visit):
    body = explore.softmax().html + explore.self_attention(scaled=True).html
    page = visit(document(body), width=320)
    for step in ready(page, "self_attention").locator("[data-step]").all():
        step.click()
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen


def test_wide_matrices_scroll_inside_their_own_box(visit):
    big = {"X": np.full((8, 8), -12.345)} | {
        f"W_{n}": np.full((8, 8), 9.876) for n in "QKV"
    }
    page, figure = show(visit, "self_attention", big, width=320, hash="#e5=n:1")
    scroll, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert scroll <= inner
    boxes = figure.locator("[data-m]:visible").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.tabIndex)"
    )
    assert boxes
    assert set(boxes) == {0}


def background(figure):
    """Return how bright a figure is, 0 to 255."""
    colour = figure.evaluate("e => getComputedStyle(e).backgroundColor")
    return int(re.search(r"\d+", colour)[0])


@pytest.mark.parametrize("name", NAMES)
def test_sandboxed_frame_without_a_theme(visit, name):
    inner = escaping.escape(getattr(explore, name)().html)
    frame = f'<iframe title="f" sandbox="allow-scripts" srcdoc="{inner}"></iframe>'
    page = visit(document(frame))
    figure = page.frame_locator("iframe").locator(f"{TAGS[name]}[data-ready]")
    figure.wait_for()
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        assert (background(figure) > 128) == (theme == "light")
    figure.locator("[type=checkbox]").first.check()
    page.wait_for_timeout(500)  # no address to write to, and no complaint
    assert get(figure, "state")["scaled"] is True
    figure.get_by_role("button", name="Copy as Python").click()
    assert "import numpy" in figure.get_by_label("Python").input_value()


@pytest.mark.parametrize("name", NAMES)
def test_page_decides_over_the_system(visit, name):
    page = visit(document(getattr(explore, name)().html))
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


@pytest.mark.parametrize("name", NAMES)
def test_space_is_kept_free_until_the_script_has_drawn(visit, name):
    figure = getattr(explore, name)()
    page = visit(document(figure.html.split("\n", 1)[0]))
    heights = {"reserved": [], "drawn": []}
    for when, values in heights.items():
        if when == "drawn":
            page.add_script_tag(content=figure.script)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            values.append(page.locator(TAGS[name]).bounding_box()["height"])
    np.testing.assert_allclose(heights["reserved"], heights["drawn"], rtol=0.1)
