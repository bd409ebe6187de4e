"""E7, patches: tokens as `patchify` makes them, the script, the browser."""

import itertools

import numpy as np
import pytest
import torch
from figures import agrees, get, node, printed, script_agrees, show
from torch.nn import functional as F

from attnbook import explore
from attnbook.explore._patches import DIGITS, SIZES, shuffle
from attnbook.models import patchify

INDEX = {0: 0, 2: 50, 7: 27}  # where scikit-learn has them
CASES = [
    {"digit": digit, "size": size, "token": (8 // size) ** 2 - 1, "shuffled": shuffled}
    for digit, size, shuffled in itertools.product(DIGITS, SIZES, [False, True])
]


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for digit, index in INDEX.items():
        assert bunch.target[index] == digit
        image = explore.patches(digit=digit).result["image"]
        np.testing.assert_array_equal(image, bunch.images[index])


@pytest.mark.parametrize("size", SIZES)
def test_tokens_are_those_of_patchify(size):
    r = explore.patches(size=size, token=0).result
    image = torch.from_numpy(r["image"]).float()[None]
    np.testing.assert_array_equal(r["tokens"], patchify(image, size)[0])
    assert r["tokens"].size == 64
    assert r["pairs"] == len(r["tokens"]) ** 2
    np.testing.assert_array_equal(r["reassembled"], r["image"])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shuffled_row_holds_the_same_tokens_elsewhere(size):
    rows = [
        explore.patches(size=size, token=0, shuffled=s).result for s in (False, True)
    ]
    order = rows[1]["order"]
    assert (order != rows[0]["order"]).all()  # no token stays
    np.testing.assert_array_equal(rows[1]["tokens"], rows[0]["tokens"][order])
    assert (rows[1]["reassembled"] != rows[0]["image"]).any()
    image = torch.from_numpy(rows[1]["reassembled"]).float()[None]
    np.testing.assert_array_equal(rows[1]["tokens"], patchify(image, size)[0])


def test_one_token_cannot_be_shuffled():
    assert shuffle(1).tolist() == [0]


@pytest.mark.parametrize("size", SIZES)
def test_pooled_is_attention_then_the_mean_in_any_order(size):
    x = explore.patches(size=size, token=0).result["tokens"] / 16
    x = torch.from_numpy(x)[None]
    context = F.scaled_dot_product_attention(x, x, x)
    for shuffled in (False, True):
        pooled = explore.patches(size=size, token=0, shuffled=shuffled).result["pooled"]
        np.testing.assert_allclose(pooled, context[0].mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"digit": 3}, r"digit must be 0, 2 or 7, got 3"),
        ({"size": 3}, r"size must be 1, 2, 4 or 8, got 3"),
        ({"size": 0}, r"size .* got 0"),
        ({"token": 16}, r"token .* from 0 to 15 for patches of 2 × 2, got 16"),
        ({"token": -1}, r"token .* got -1"),
        ({"token": 1.5}, r"token .* got 1.5"),
    ],
)
def test_bad_argument_is_named(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.patches(**given)


def test_fallback_shows_the_numbers_of_the_state():
    html = explore.patches().html
    assert "16 tokens of width 4 and 256 pairs of query and key" in html
    assert "Token 1 stands in row 0, column 1: (5, 13, 13, 15)" in html
    assert "(0.332, 0.266, 0.355, 0.309), in any order" in html


def test_script_agrees_with_python():
    script_agrees("patches", CASES)


def test_copied_python_prints_what_attention_pools():
    cases = [CASES[k] for k in (2, 3, 12)]
    for case, code in zip(cases, node("patches", cases)["python"], strict=True):
        expected = explore.patches(**case).result["pooled"]
        assert printed(code) == pytest.approx(expected, abs=6e-4)


def test_state_is_read_from_the_address():
    base = {"digit": 0, "size": 2, "token": 15, "shuffled": True}
    hashes = ["#e7=d:7,p:4,t:0,s:0", "#e7=d:3,p:3,t:16,s:2", "#e7=p:4,t:4"]
    assert node("patches", hashes=hashes, base=base)["states"] == [
        {"digit": 7, "size": 4, "token": 0, "shuffled": False},
        base,
        base | {"size": 4, "token": 3},
    ]


def test_arrow_keys_choose_a_token_and_show_its_numbers(visit):
    page, figure = show(visit, "patches")
    chosen = figure.locator(".line [aria-selected=true]")
    chosen.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert get(figure, "state")["token"] == 2
    assert chosen.get_attribute("aria-label") == "token 2 at place 2"
    assert chosen.evaluate("e => e === document.activeElement")
    tokens = explore.patches().result["tokens"]
    numbers = figure.locator("[data-at=flat] span").all_inner_texts()
    assert [int(x) for x in numbers] == tokens[2].tolist()
    assert figure.locator("[data-at=image] text").all_text_contents() == numbers
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert get(figure, "state")["token"] == 0  # there is none before the first


def test_shuffle_shows_where_the_token_went(visit):
    page, figure = show(visit, "patches")
    figure.get_by_label("Shuffle").check()
    r = explore.patches(shuffled=True).result
    agrees(get(figure, "result"), r)
    place = r["order"].tolist().index(1)
    chosen = figure.locator(".line [aria-selected=true]")
    assert chosen.get_attribute("aria-label") == f"token 1 at place {place}"
    said = figure.get_by_role("status")
    page.wait_for_function(
        "([e, words]) => e.innerText.includes(words)",
        arg=[said.element_handle(), f"stands at place {place}. To a model without"],
    )
    lines = figure.locator("[data-at=pooled] p").all_inner_texts()
    assert lines == [
        "in order: 0.332, 0.266, 0.355, 0.309",
        "shuffled: 0.332, 0.266, 0.355, 0.309",
    ]


def test_other_size_keeps_the_place(visit):
    _, figure = show(visit, "patches", {"token": 6})  # row 1, column 2
    slider = figure.get_by_label("Side of a patch")
    for key, token, n in (("ArrowRight", 1, 4), ("ArrowRight", 0, 1), ("Home", 0, 64)):
        slider.press(key)
        assert get(figure, "state")["token"] == token
        assert figure.locator(".line [role=option]").count() == n
        assert figure.locator("[data-at=n]").inner_text() == str(n)
        assert figure.locator("[data-at=pairs]").inner_text() == str(n**2)


def test_click_on_the_image_chooses_the_patch(visit):
    _, figure = show(visit, "patches", {"shuffled": True})
    size = figure.locator("[data-at=image] svg").bounding_box()["width"]
    corner = {"x": 0.9 * size, "y": 0.1 * size}
    figure.locator("[data-at=image] svg").click(position=corner)
    assert get(figure, "state")["token"] == 3
    figure.locator("[data-at=again] svg").click(position=corner)
    assert get(figure, "state")["token"] == shuffle(16)[3]
