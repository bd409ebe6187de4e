"""E8, positions: Python against attnbook.positions, the script against Python."""

import numpy as np
import pytest
import torch
from figures import (
    agrees,
    axe_finds_nothing,
    get,
    node,
    overhang,
    printed,
    script_agrees,
    show,
    use,
)

from attnbook import explore
from attnbook.explore import _positions
from attnbook.positions import alibi_bias, alibi_slopes, rope, sinusoidal


def cases(n=12):
    rng = np.random.default_rng(8)
    for c in range(n):
        yield {
            "scheme": _positions.SCHEMES[c % 3],
            "i": int(rng.integers(21)),
            "j": int(rng.integers(21)),
            "shift": int(rng.integers(101)),
            "pair": int(rng.integers(4)),
            "base": round(float(10 ** rng.uniform(1, 6)), 1),
            "style": ["half", "pairs"][int(rng.integers(2))],
            "head": int(rng.integers(1, 9)),
        }


@pytest.mark.parametrize("case", list(cases(4)))
def test_codes_are_those_of_the_package(case):
    result = explore.positions(**case).result
    table = sinusoidal(121, 8, base=case["base"])  # float32, computed in float64
    rows = table[[case["i"] + case["shift"], case["j"] + case["shift"]]]
    np.testing.assert_allclose(result["codes"], rows, rtol=0, atol=6e-8)
    here, there = result["codes"]
    assert result["dot"] == pytest.approx(here @ there, abs=1e-12)


@pytest.mark.parametrize("style", ["half", "pairs"])
@pytest.mark.parametrize("case", list(cases(3)))
def test_rotation_is_that_of_the_package(case, style):
    result = explore.positions(**case | {"style": style}).result
    x = torch.tensor([_positions.Q, _positions.K], dtype=torch.float64)
    at = torch.tensor([case["i"], case["j"]]) + case["shift"]
    expected = rope(x, at, base=case["base"], style=style)
    np.testing.assert_allclose(result["rotated"], expected, rtol=0, atol=1e-12)
    score = float(expected[0] @ expected[1])
    assert result["score"] == pytest.approx(score, abs=1e-12)
    assert sorted(result["pairs"].ravel()) == list(range(8))


def test_score_under_rope_stays_when_both_positions_shift():
    for style in ("half", "pairs"):
        result = explore.positions(i=17, j=3, style=style).result
        assert np.ptp(result["shifted"]) < 1e-9
        assert np.ptp(result["added"]) > 5
        moved = explore.positions(i=16, j=3, style=style).result
        assert abs(moved["score"] - result["score"]) > 1e-2


def test_product_of_codes_knows_the_distance_and_not_the_side():
    here = explore.positions(i=9, j=4).result
    there = explore.positions(i=4, j=9, shift=77).result
    assert here["dot"] == pytest.approx(there["dot"], abs=1e-12)
    np.testing.assert_allclose(here["dots"], here["dots"][::-1], atol=1e-12)
    assert here["dots"][20 - 5] == pytest.approx(here["dot"], abs=1e-12)


def test_slopes_and_penalties_are_those_of_the_package():
    result = explore.positions(i=3, j=17).result
    np.testing.assert_array_equal(result["slopes"], alibi_slopes(8))
    np.testing.assert_array_equal(result["penalties"], alibi_bias(8, 18)[:, 17, 3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scheme": "learned"}, r"scheme must be .* got 'learned'"),
        ({"style": "both"}, r"style must be 'half' or 'pairs', got 'both'"),
        ({"base": 9}, r"base must be from 10 to 1000000, got 9"),
        ({"base": float("nan")}, r"base .* got nan"),
        ({"i": 21}, r"i must be a whole number from 0 to 20, got 21"),
        ({"j": -1}, r"j .* got -1"),
        ({"shift": 1.5}, r"shift .* from 0 to 100, got 1.5"),
        ({"pair": 4}, r"pair .* from 0 to 3, got 4"),
        ({"head": 0}, r"head .* from 1 to 8, got 0"),
    ],
)
def test_positions_names_a_bad_argument(given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.positions(**given)


def test_positions_script_agrees_with_python():
    script_agrees("positions", cases())


@pytest.mark.parametrize("case", list(cases(3)), ids=lambda case: case["scheme"])
def test_copied_python_gives_the_numbers_of_each_scheme(case):
    (code,) = node("positions", [case])["python"]
    exec(code, names := {})
    assert printed(code)
    result = explore.positions(**case).result
    shared = names.keys() & result.keys()
    assert len(shared) == 2
    for name in shared:
        np.testing.assert_allclose(names[name], result[name], rtol=0, atol=1e-9)


def test_positions_reads_its_state_from_the_address():
    base = explore.positions().state
    hashes = ["#e8=s:alibi,i:0,j:20,d:100,p:3,b:500,v:half,h:8",
              "#e8=s:none,i:21,j:x,d:-1,p:1.5,b:1,v:1,h:9"]  # fmt: skip
    assert node("positions", hashes=hashes, base=base)["states"] == [
        {
            "scheme": "alibi",
            "i": 0,
            "j": 20,
            "shift": 100,
            "pair": 3,
            "base": 500,
            "style": "half",
            "head": 8,
        },
        base,
    ]


def test_sentence_shows_that_the_score_stays(visit):
    page, figure = show(visit, "positions")
    figure.get_by_label("Shift both").fill("50")
    said = figure.get_by_role("status")
    page.wait_for_function(
        "e => e.textContent.includes('At 59 and 54')", arg=said.element_handle()
    )
    score = f"{explore.positions().result['score']:.9f}".replace("-", "−")
    assert said.inner_text().count(score) == 2


def test_pairs_of_both_conventions_are_marked(visit):
    _, figure = show(visit, "positions", {"pair": 2})
    assert "Features 4 and 5" in figure.inner_text()
    figure.get_by_label("half: i, i + 4").check()
    assert "Features 2 and 6" in figure.inner_text()
    agrees(get(figure, "result"), explore.positions(style="half").result)


@pytest.mark.parametrize("scheme", ["sinusoidal", "alibi"])
def test_other_schemes_are_accessible_and_fit_a_phone(visit, scheme):
    page, figure = show(visit, "positions", {"scheme": scheme}, width=320)
    use(figure)
    assert overhang(page) <= 0
    axe_finds_nothing(page)
