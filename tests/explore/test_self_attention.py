"""E5, self-attention: Python against PyTorch, the script against Python, browser."""

import numpy as np
import pytest
import torch
from figures import (
    agrees,
    axe_finds_nothing,
    document,
    get,
    node,
    overhang,
    printed,
    ready,
    script_agrees,
    show,
    too_small,
)
from torch.nn import functional as F

from attnbook import explore

CONTEXT = [[1.937, 6.683, 1.595], [2.000, 7.964, 0.054], [2.000, 7.760, 0.358]]


def attention_cases(n=24):
    rng = np.random.default_rng(5)
    for _ in range(n):
        T, D, Dk, Dv = rng.integers(1, 6, size=4)
        shapes = {"X": (T, D), "W_Q": (D, Dk), "W_K": (D, Dk), "W_V": (D, Dv)}
        yield {
            name: rng.normal(size=s).round(3).tolist() for name, s in shapes.items()
        } | {
            "scaled": bool(rng.integers(2)),
            "causal": bool(rng.integers(2)),
        }


def test_self_attention_gives_the_worked_example():
    result = explore.self_attention().result
    np.testing.assert_allclose(result["context"], CONTEXT, rtol=0, atol=5e-4)


@pytest.mark.parametrize("case", list(attention_cases(6)))
def test_self_attention_equals_torch(case):
    result = explore.self_attention(**case).result
    q, k, v = (torch.tensor(result[n])[None] for n in "QKV")
    scale = q.shape[-1] ** -0.5 if case["scaled"] else 1.0
    out = F.scaled_dot_product_attention(q, k, v, is_causal=case["causal"], scale=scale)
    np.testing.assert_allclose(result["context"], out[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": [1, 2]}, r"X must be a matrix of 1 to 8 .*got shape \(2,\)"),
        ({"X": np.ones((9, 4))}, r"X .*got shape \(9, 4\)"),
        ({"X": np.ones((0, 4))}, r"X .*got shape \(0, 4\)"),
        ({"X": [[1, 2], [3]]}, r"X must hold numbers only, got"),
        ({"X": [["a"]]}, r"X must hold numbers only, got"),
        (
            {"X": np.full((3, 4), np.nan)},
            r"X must hold numbers from -99 to 99, got nan",
        ),
        ({"W_V": np.full((4, 3), 100)}, r"W_V .*from -99 to 99, got 100"),
        ({"W_Q": np.ones((3, 3))}, r"W_Q must have 4 rows.*got shape \(3, 3\)"),
        ({"W_V": np.ones((5, 3))}, r"W_V must have 4 rows.*got shape \(5, 3\)"),
        ({"W_K": np.ones((4, 2))}, r"W_K .*shape of W_Q, \(4, 3\), got \(4, 2\)"),
    ],
)
def test_self_attention_names_a_bad_argument(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.self_attention(**given)


def test_fallback_shows_the_numbers_of_the_state():
    html = explore.self_attention(causal=True).html
    for number in ("(1.000, 2.000, 3.000)", "<td>0.881</td>", "<td>−∞</td>"):
        assert number in html


def test_script_agrees_with_python():
    script_agrees("self_attention", attention_cases())


def test_copied_python_prints_the_same_context():
    cases = list(attention_cases(6))
    for case, code in zip(cases, node("self_attention", cases)["python"], strict=True):
        expected = explore.self_attention(**case).result["context"].ravel()
        assert printed(code) == pytest.approx(expected, abs=6e-4)


def test_self_attention_reads_its_state_from_the_address():
    X = "1_0_1_0_0_2_0_2_1_1_1_-2.5"
    hashes = [f"#e5=n:6,s:0,m:1,c:W_Q.3.1,X:{X}"]
    (state,) = node("self_attention", hashes=hashes)["states"]
    chosen = {k: state[k] for k in ("step", "scaled", "causal", "cell")}
    assert chosen == {"step": 6, "scaled": False, "causal": True, "cell": "W_Q.3.1"}
    assert state["X"][2] == [1, 1, 1, -2.5]


@pytest.mark.parametrize(
    "bad",
    ["", "n", "n:7", "n:map", "n:-1", "s:2,m:x", "c:Q.9.9", "c:__proto__.0.0", "c:X",
     "X:1_2", "X:a_b", "X:" + "_".join(["100"] * 12), "W_Q:", ":::,,", "%E0%A4"],
)  # fmt: skip
def test_self_attention_survives_a_bad_address(bad):
    answer = node("self_attention", hashes=[f"#e5={bad}"])
    assert answer["states"] == [answer["defaults"]]


@pytest.mark.parametrize(
    ("hash", "expected"),
    [
        ("#e5=n:4,m:1,c:Q.1.2", {"step": 4, "cell": "Q.1.2", "causal": True}),
        ("#e5=n:99,c:Q.8.8,X:1", {"step": 0, "cell": "", "causal": False}),
    ],
)
def test_state_comes_from_the_address(visit, hash, expected):
    _, figure = show(visit, "self_attention", hash=hash)
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


def test_axe_finds_nothing_at_the_last_step(visit):
    flags = {"scaled": True, "causal": True}
    hash = "#e5=n:6,c:weights.2.1"
    page, figure = show(visit, "self_attention", flags, hash=hash)
    figure.get_by_label("causal mask").uncheck()  # some cells are marked as changed
    axe_finds_nothing(page)


def test_cells_are_large_enough(visit):
    _, figure = show(visit, "self_attention", width=320, hash="#e5=n:1")
    assert not too_small(figure)


def test_no_step_makes_a_phone_page_scroll_sideways(visit):
    page, figure = show(visit, "self_attention", {"scaled": True}, width=320)
    for step in figure.locator("[data-step]").all():
        step.click()
        assert overhang(page) <= 0


def test_wide_matrices_scroll_inside_their_own_box(visit):
    big = {"X": np.full((8, 8), -12.345)} | {
        f"W_{n}": np.full((8, 8), 9.876) for n in "QKV"
    }
    page, figure = show(visit, "self_attention", big, width=320, hash="#e5=n:1")
    assert overhang(page) <= 0
    boxes = figure.locator("[data-m]:visible").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.tabIndex)"
    )
    assert boxes
    assert set(boxes) == {0}
