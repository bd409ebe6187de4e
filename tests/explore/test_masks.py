"""The figure of masks: the package's own masks, and what goes wrong without them."""

import itertools
import re

import numpy as np
import pytest
import torch
from figures import agrees, axe_finds_nothing, get, node, overhang, script_agrees, show

from attnbook import explore
from attnbook import masks as book
from attnbook.scores import masked_softmax

SIZES = {"encoder": (7, 7), "decoder": (6, 6), "cross": (6, 7)}


def cases(n=40):
    rng = np.random.default_rng(7)
    for _ in range(n):
        attention = str(rng.choice(list(SIZES)))
        high = SIZES[attention][1] + 1
        numbers = {k: int(rng.integers(high)) for k in ("prefix", "real", "window")}
        flags = ("causal", "padding", "late", "raised")
        yield (
            {"attention": attention} | numbers | {k: rng.random() < 0.5 for k in flags}
        )


def allowed(case):
    """Compose the mask from the package's parts."""
    T, S = SIZES[case["attention"]]
    parts = []
    if case["causal"]:
        prefix = book.padding(torch.tensor([case["prefix"]]), S)[0]
        parts.append(book.causal(T, S) | prefix)
    if case["padding"]:
        parts.append(book.padding(torch.tensor([case["real"]]), S)[0].expand(T, S))
    if case["window"]:
        reach = case["window"]
        band = torch.ones(T, S, dtype=torch.bool)
        parts.append(band.tril(S - T + reach - 1) & band.triu(S - T - reach + 1))
    mask = book.combine(*parts)
    return torch.ones(T, S, dtype=torch.bool) if mask is None else mask


@pytest.mark.parametrize("case", list(cases()))
def test_numbers_are_those_of_the_package(case):
    result = explore.masks(**case).result
    mask, scores = allowed(case), torch.from_numpy(result["scores"])
    np.testing.assert_array_equal(result["allowed"], mask)
    if case["late"]:
        weights = torch.softmax(scores, -1) * mask
    else:
        weights = masked_softmax(scores, mask)
    np.testing.assert_allclose(result["weights"], weights, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result["sums"], weights.sum(-1), rtol=0, atol=1e-9)


def test_script_agrees_with_python():
    script_agrees("masks", cases())


def test_right_masks_come_with_the_attention():
    causal = {name: explore.masks(name).state["causal"] for name in SIZES}
    assert causal == {"encoder": False, "decoder": True, "cross": False}


@pytest.mark.parametrize("attention", SIZES)
def test_hidden_scores_matter_only_when_masked_late(attention):
    right, late = (explore.masks(attention, late=x).result for x in (False, True))
    assert right["leak"] == 0
    assert late["leak"] > 0.1
    hidden = ~right["allowed"]
    assert (right["weights"][hidden] == 0).all()
    np.testing.assert_allclose(right["sums"], 1, rtol=0, atol=1e-12)
    assert (late["sums"][hidden.any(axis=1)] < 0.999).all()


def test_row_with_no_key_is_zero():
    result = explore.masks("encoder", window=2).result
    assert np.isneginf(result["masked"][6]).all()
    np.testing.assert_array_equal(result["weights"][6], 0)
    assert result["sums"][:6] == pytest.approx(1)


def test_copied_python_gives_the_same_numbers():
    states = [explore.masks(**case).state for case in cases(12)]
    for state, code in zip(states, node("masks", states)["python"], strict=True):
        exec(code.replace("print(", "("), names := {})
        result = explore.masks(**state).result
        for name in ("scores", "allowed", "weights", "sums"):
            np.testing.assert_allclose(names[name], result[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"attention": "both"},
            r"one of \['encoder', 'decoder', 'cross'\], got 'both'",
        ),
        ({"prefix": -1}, r"prefix must be a whole number from 0 to 6, got -1"),
        ({"real": 7}, r"real must be a whole number from 0 to 6, got 7"),
        ({"attention": "cross", "window": 8}, r"window .* from 0 to 7, got 8"),
        ({"window": 1.5}, r"window .*got 1.5"),
    ],
)
def test_masks_names_a_bad_argument(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.masks(**given)


def test_state_is_read_from_the_address():
    hashes = [
        "#e4=attention:cross,late:true,query:5,key:6",
        "#e2=dk:8&e4=window:3,causal:false",
        "#e4=attention:__proto__,real:99,window:1.5,query:6,late:1",
    ]
    states = node("masks", hashes=hashes, base=None)["states"]
    first = node("masks")["defaults"]
    cross = {"attention": "cross", "causal": False, "late": True, "query": 5, "key": 6}
    assert states == [first | cross, first | {"window": 3, "causal": False}, first]


def test_attention_sets_its_own_masks(visit):
    _, figure = show(visit, "masks", {"window": 2, "prefix": 1, "late": True})
    figure.get_by_label("Attention").select_option("cross")
    state = get(figure, "state")
    assert state | {"causal": False, "window": 0, "prefix": 0, "late": True} == state
    agrees(get(figure, "result"), explore.masks("cross", late=True).result)
    assert figure.locator("[data-m=weights] [data-c]").count() == 6 * 7


def test_grid_shows_pythons_numbers(visit):
    _, figure = show(visit, "masks", {"attention": "encoder"})
    result = explore.masks("encoder").result
    for name, digits in (("masked", 1), ("weights", 2)):
        cells = figure.locator(f"[data-m={name}] [data-c]").all_inner_texts()
        got = [float(x.replace("−", "-").replace("∞", "inf")) for x in cells]
        np.testing.assert_array_equal(got, result[name].round(digits).ravel())


def test_one_click_shows_the_late_mask_and_the_leak(visit):
    _, figure = show(visit, "masks")
    said = figure.locator(".sum")
    assert "sum to 1.00" in said.inner_text()
    figure.get_by_label("mask after softmax").check()
    assert "Too late" in said.inner_text()
    assert figure.locator("[data-off]").count() == 6
    assert figure.locator("[data-changed]").count() == 20  # all that may be seen
    figure.get_by_label("raise hidden").check()
    assert f"up to {explore.masks(late=True).result['leak']:.2f}" in said.inner_text()
    figure.get_by_label("mask after softmax").uncheck()
    figure.get_by_label("raise hidden").uncheck()
    assert figure.locator("[data-changed]").count() == 0


def test_row_with_no_key_warns_and_is_never_nan(visit):
    page, figure = show(visit, "masks", {"attention": "encoder", "real": 0})
    text = figure.locator(".sum").inner_text()
    for part in ("weights are 0", "NaN", "−10⁹", "1/7 = 0.143"):
        assert part in text
    for late, raised in itertools.product((True, False), repeat=2):
        figure.get_by_label("mask after softmax").set_checked(late)
        figure.get_by_label("raise hidden").set_checked(raised)
        assert "NaN" not in " ".join(figure.locator("[data-c]").all_inner_texts())
    axe_finds_nothing(page)
    assert not np.isnan(np.array(get(figure, "result")["weights"])).any()


def test_arrow_keys_walk_over_the_weights(visit):
    page, figure = show(visit, "masks")
    figure.locator("[data-m=weights] [tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    state = get(figure, "state")
    assert (state["query"], state["key"]) == (2, 2)
    focused = page.evaluate("document.activeElement.innerText")
    weights = explore.masks().result["weights"]
    assert focused == f"{weights[2, 2]:.2f}"
    text = figure.locator(".sum").inner_text()
    assert re.search(rf"weight3,3 = .* = {weights[2, 2]:.3f}$", text)
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert get(figure, "state")["key"] == 5
    assert text.split(";")[0] in figure.locator(".sum").inner_text()


def test_number_out_of_range_changes_nothing(visit):
    page, figure = show(visit, "masks")
    before = get(figure, "state")
    for text in ("99", "-1", "2.5", ""):
        figure.get_by_label("real words").fill(text)
        assert get(figure, "state") == before
    page.keyboard.press("Tab")
    assert figure.get_by_label("real words").input_value() == "5"


def test_seven_keys_fit_on_a_phone(visit):
    page, figure = show(visit, "masks", {"attention": "encoder"}, width=390)
    assert overhang(page) <= 0
    boxes = figure.locator(".m").evaluate_all(
        "all => all.map(e => e.scrollWidth - e.clientWidth)"
    )
    assert boxes == [0, 0]


def test_late_mask_with_no_key_left_prints_no_untrue_warning(visit):
    given = {"attention": "encoder", "real": 0, "late": True}
    _, figure = show(visit, "masks", given)
    said = figure.locator(".sum")
    assert "Too late" in said.inner_text()
    assert "NaN" not in said.inner_text()
    figure.get_by_label("mask after softmax").uncheck()
    assert said.inner_text().endswith("e−∞ / (0)")
