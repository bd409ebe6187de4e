"""E2, softmax: Python against PyTorch, the script against Python, the browser."""

import numpy as np
import pytest
import torch
from figures import agrees, get, node, printed, script_agrees, show

from attnbook import explore


def softmax_cases(n=24):
    rng = np.random.default_rng(2)
    for _ in range(n):
        yield {
            "d_k": int(rng.integers(1, 513)),
            "temperature": round(float(rng.uniform(0.125, 32)), 3),
            "scaled": bool(rng.integers(2)),
        }


@pytest.mark.parametrize("d_k", [1, 64, 512])
@pytest.mark.parametrize("scaled", [False, True])
def test_softmax_equals_torch(d_k, scaled):
    result = explore.softmax(d_k=d_k, temperature=0.5, scaled=scaled).result
    unit = torch.tensor([0.3, -1.8, 1.1, -0.3, 0.7], dtype=torch.float64)
    scores = unit * (1 if scaled else d_k**0.5) / 0.5
    weights = scores.softmax(0)
    jacobian = torch.autograd.functional.jacobian(lambda s: s.softmax(0), scores)
    entropy = torch.special.entr(weights).sum()
    expected = [scores, weights, jacobian.norm(), entropy]
    for name, value in zip(
        ["scores", "weights", "gradient", "entropy"], expected, strict=True
    ):
        np.testing.assert_allclose(result[name], value, rtol=0, atol=1e-12)


def test_softmax_saturates_only_unscaled():
    largest = {
        (d, s): round(explore.softmax(d_k=d, scaled=s).result["largest"], 3)
        for d in (1, 64, 512)
        for s in (False, True)
    }
    assert [largest[d, False] for d in (1, 64, 512)] == [0.413, 0.959, 1.0]
    assert [largest[d, True] for d in (1, 64, 512)] == [0.413] * 3


def test_softmax_gradient_dies_only_unscaled():
    gradient = {
        (d, s): explore.softmax(d_k=d, scaled=s).result["gradient"]
        for d in (64, 512)
        for s in (False, True)
    }
    assert gradient[512, False] < 0.01 * gradient[512, True]
    assert gradient[512, True] == pytest.approx(gradient[64, True])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"d_k": 0}, r"d_k must be a whole number from 1 to 512, got 0"),
        ({"d_k": 513}, r"d_k .* got 513"),
        ({"d_k": 2.5}, r"d_k .* got 2.5"),
        ({"d_k": float("nan")}, r"d_k .* got nan"),
        ({"temperature": 0}, r"temperature must be from 0.125 to 32, got 0"),
        ({"temperature": -1.0}, r"temperature .* got -1"),
        ({"temperature": float("inf")}, r"temperature .* got inf"),
    ],
)
def test_softmax_names_a_bad_argument(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.softmax(**given)


def test_fallback_shows_the_numbers_of_the_state():
    html = explore.softmax(d_k=64).html
    assert "key 3 takes 0.959 of the weight" in html
    assert "<td>−14.400</td>" in html


def test_script_agrees_with_python():
    script_agrees("softmax", softmax_cases())


def test_copied_python_prints_the_same_softmax():
    cases = list(softmax_cases(4))
    for case, code in zip(cases, node("softmax", cases)["python"], strict=True):
        r = explore.softmax(**case).result
        expected = [*r["scores"], *r["weights"]]
        expected += [r["largest"], r["entropy"], r["gradient"]]
        assert printed(code) == pytest.approx(expected, abs=6e-4)


def test_softmax_reads_its_state_from_the_address():
    base = {"d_k": 64, "temperature": 1, "scaled": False}
    hashes = ["#e2=dk:512,t:0.5,s:1", "#e5=n:1&e2=dk:8", "#e5=n:1", "#part-two", ""]
    states = node("softmax", hashes=hashes, base=base)["states"]
    assert states == [
        {"d_k": 512, "temperature": 0.5, "scaled": True},
        base | {"d_k": 8},
        *[None] * 3,
    ]


@pytest.mark.parametrize(
    "bad",
    ["", "dk", "dk:", "dk:0", "dk:513,t:0,s:2", "dk:NaN", "t:99", ":::,,", "%E0%A4"],
)
def test_softmax_survives_a_bad_address(bad):
    base = {"d_k": 32, "temperature": 2, "scaled": True}
    assert node("softmax", hashes=[f"#e2={bad}"], base=base)["states"] == [base]


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
    ("hash", "expected"),
    [
        ("#e2=dk:512,t:2,s:1", {"d_k": 512, "temperature": 2, "scaled": True}),
        ("#e2=dk:-4,t:x", {"d_k": 64, "temperature": 1, "scaled": False}),
    ],
)
def test_state_comes_from_the_address(visit, hash, expected):
    _, figure = show(visit, "softmax", hash=hash)
    assert get(figure, "state") == expected
