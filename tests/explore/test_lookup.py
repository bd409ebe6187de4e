"""E1, the look-up that softens: its limits, the script against Python, the browser."""

import numpy as np
import pytest
import torch
from figures import agrees, get, node, printed, script_agrees, show

from attnbook import explore
from attnbook.explore._lookup import KERNELS, KEYS, VALUES

NEAREST = {0: 9, 3: 9, 4: 7, 16: 22, 17: 17, 19.5: 17, 24: 12}  # hour: °C


def cases(n=40):
    rng = np.random.default_rng(1)
    for i in range(n):
        yield {
            "query": float(rng.integers(49)) / 2,
            "width": round(float(2 ** rng.uniform(-4, 7)), 4),
            "kernel": KERNELS[i % 5],
        }


@pytest.mark.parametrize("case", list(cases()))
def test_weights_sum_to_one_or_nothing_answers(case):
    r = explore.lookup(**case).result
    if r["output"] is None:
        assert case["kernel"] in ("exact", "box")
        assert not r["weights"].any()
    else:
        assert r["weights"].sum() == pytest.approx(1, abs=1e-12)
        assert r["output"] == pytest.approx(r["weights"] @ VALUES, abs=1e-12)
        assert r["largest"] == r["weights"].max()


@pytest.mark.parametrize("kernel", ["gaussian", "clock"])
def test_narrow_kernel_gives_the_nearest_value(kernel):
    for query in (3, 4, 16, 17, 19.5):
        output = explore.lookup(query, 0.0625, kernel).result["output"]
        assert output == pytest.approx(NEAREST[query], abs=1e-9)


def test_only_the_clock_knows_that_midnight_is_near_two_in_the_morning():
    line = explore.lookup(0.5, 2, "gaussian").result["weights"]
    circle = explore.lookup(0.5, 2, "clock").result["weights"]
    assert line[-1] < 1e-20
    assert circle[-1] > 0.2


@pytest.mark.parametrize("kernel", ["box", "gaussian", "dot", "clock"])
@pytest.mark.parametrize("query", [0, 7.5, 24])
def test_wide_kernel_gives_the_mean(kernel, query):
    r = explore.lookup(query, 128, kernel).result
    assert r["output"] == pytest.approx(VALUES.mean(), abs=0.06)
    assert r["answering"] == pytest.approx(8, abs=0.01)


@pytest.mark.parametrize("query", [0, 2, 4.5, 15, 16, 22])
def test_exact_match_is_a_python_dict(query):
    stored = dict(zip(KEYS.tolist(), VALUES.tolist(), strict=True))
    assert explore.lookup(query, 1, "exact").result["output"] == stored.get(query)


def test_dot_product_favours_the_largest_key_not_the_nearest():
    for query in (1, 5, 16):
        assert np.argmax(explore.lookup(query, 1, "dot").result["weights"]) == 7


@pytest.mark.parametrize("query", [0, 9, 23.5])
def test_gaussian_and_clock_are_softmax_of_their_scores(query):
    keys, width = torch.tensor(KEYS, dtype=torch.float64), 1.5
    angles = torch.stack([keys, torch.full_like(keys, query)]) * torch.pi / 12
    points = torch.stack([angles.cos(), angles.sin()]) * 12 / torch.pi  # (2, 2, 8)
    scores = {
        "gaussian": -(query - keys).square() / 2,
        "clock": (points[:, 0] * points[:, 1]).sum(0),
    }
    for kernel, score in scores.items():
        weights = explore.lookup(query, width, kernel).result["weights"]
        expected = (score / width**2).softmax(0)
        np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"query": -1}, r"query must be from 0 to 24, got -1"),
        ({"query": float("nan")}, r"query .* got nan"),
        ({"width": 0}, r"width must be from 0.0625 to 128, got 0"),
        ({"width": float("inf")}, r"width .* got inf"),
        ({"kernel": "soft"}, r"kernel must be one of exact, box, .*, got 'soft'"),
    ],
)
def test_bad_argument_is_named(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.lookup(**given)


def test_fallback_shows_the_numbers_of_the_state():
    html = explore.lookup(query=16).html
    assert "the key 15 h answers with 0.806 of the weight" in html
    assert "<td>17.72</td>" in html
    assert "KeyError: 16. No" in explore.lookup(query=16, kernel="exact").html


def test_script_agrees_with_python():
    script_agrees("lookup", cases())


def test_copied_python_prints_the_same_weights():
    chosen = list(cases(10))
    for case, code in zip(chosen, node("lookup", chosen)["python"], strict=True):
        r = explore.lookup(**case).result
        expected = [*r["weights"], *([] if r["output"] is None else [r["output"]])]
        assert printed(code) == pytest.approx(expected, abs=6e-4)


def test_state_is_read_from_the_address():
    base = {"query": 16, "width": 1, "kernel": "gaussian"}
    hashes = ["#e1=q:3.5,w:0.25,k:clock", "#e2=t:1&e1=q:25,k:dot", "#e1=k:toString,w:"]
    assert node("lookup", hashes=hashes, base=base)["states"] == [
        {"query": 3.5, "width": 0.25, "kernel": "clock"},
        base | {"kernel": "dot"},
        base,
    ]


def test_arrow_key_moves_the_query_by_one_step(visit):
    page, figure = show(visit, "lookup")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert get(figure, "state")["query"] == 16.5
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert get(figure, "state")["query"] == 15.5
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert get(figure, "state")["width"] == 0.0625
    agrees(get(figure, "result"), explore.lookup(15.5, 0.0625).result)


def test_dict_has_no_answer_where_softmax_has_one(visit):
    page, figure = show(visit, "lookup")
    output, said = figure.locator("[data-at=output]"), figure.get_by_role("status")
    assert output.inner_text() == "21.1 °C"
    figure.get_by_label("Weights by").select_option("exact")
    assert output.inner_text() == "KeyError: 16"
    page.wait_for_function(
        "e => e.innerText.includes('no answer')", arg=said.element_handle()
    )
    assert figure.get_by_label("Width").is_disabled()
    figure.get_by_label("Query").press("ArrowLeft")
    figure.get_by_label("Query").press("ArrowLeft")
    assert output.inner_text() == "22.0 °C"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Key 15 answers with 0.806 of the weight: 21.1 °C. It mixes about 1.7"),
        ({"query": 20.5, "width": 0.0625}, "though that key is 1.5 h away"),
        ({"width": 0.0625}, "A hard look-up: one value, unmixed."),
        ({"width": 128}, "nearly the mean"),
        ({"kernel": "dot"}, "The largest key wins, not the nearest"),
        ({"kernel": "box", "width": 0.5}, "No key lies within 0.5 h of the query"),
    ],
)
def test_sentence_says_which_item_answers_and_how_surely(visit, given, words):
    page, figure = show(visit, "lookup", given)
    page.wait_for_timeout(100)
    assert words in figure.get_by_role("status").inner_text()


def test_curve_is_level_between_jumps_when_narrow_and_flat_when_wide(visit):
    for width, least, most in ((0.0625, 14, 15.1), (128, 0, 0.3)):
        _, figure = show(visit, "lookup", {"width": width})
        path = figure.locator("svg path[stroke-linejoin]").get_attribute("d")
        heights = [float(p.split()[1]) for p in path[1:].split("L")]
        assert len(heights) == 481
        assert least <= (max(heights) - min(heights)) / 9 <= most  # 9 px for 1 °C


def test_pointer_on_the_drawing_moves_the_query(visit):
    page, figure = show(visit, "lookup")
    box = figure.locator("svg").bounding_box()
    left = box["x"] + box["width"] * (30 + 5 * 12.5) / 340
    page.mouse.move(left, box["y"] + 100)
    assert get(figure, "state")["query"] == 16  # passing over it is not enough
    page.mouse.down()
    assert get(figure, "state")["query"] == 5
    page.mouse.move(box["x"], box["y"] + 100)
    page.mouse.up()
    assert get(figure, "state")["query"] == 0
