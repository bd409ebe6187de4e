"""Claims hold inside their band and stop the notebook outside."""

import json
import math

import numpy as np
import pytest
import torch

from attnbook.claims import MIME, Claim, ClaimFailed, claim

SAYS = "a fair coin falls heads half of the time"


# reference


def test_claim_takes_a_number_and_shows_it_with_its_band():
    got = claim("0.1", SAYS, 0.49, 0.4, 0.6)
    assert repr(got) == (
        f"Claim 0.1 holds: {SAYS}. Measured 0.49; expected 0.4 to 0.6."
    )


def test_claim_over_seeds_shows_mean_and_t_interval():
    got = claim("0.1", SAYS, [1.0, 2.0, 3.0, 4.0], low=2)
    # mean 2.5, sd 1.291, t(.975, 3) = 3.182: 3.182 · 1.291 / 2 = 2.054
    assert (got.mean, got.half_interval, got.num_seeds) == (2.5, 2.05, 4)
    assert "Measured 2.5 ± 2 (4 seeds); expected at least 2." in repr(got)


@pytest.mark.parametrize(
    "measured",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1.0, 2.0, 3.0]),
        torch.tensor([1.0, 2.0, 3.0]),
        [torch.tensor(1.0), np.float32(2.0), 3],
    ],
    ids=["list", "tuple", "array", "tensor", "mixed"],
)
def test_claim_reads_any_list_of_numbers(measured):
    got = claim("0.1", SAYS, measured, 1.9, 2.1, unit="steps")
    assert got.measured == "2 ± 2 steps"


@pytest.mark.parametrize("number", [2, torch.tensor(2.0), np.float64(2.0), True + 1])
def test_claim_reads_any_single_number(number):
    got = claim("0.1", SAYS, number, high=2)
    assert (got.mean, got.num_seeds, got.band) == (2.0, 1, "at most 2")


# law


def test_claim_stores_what_the_ledger_reads_back():
    got = claim("2.3b", SAYS, [1, 2, 3], 0, 5, unit="ms")
    bundle = got._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", MIME}
    assert Claim(**json.loads(json.dumps(bundle[MIME]))) == got


def test_claim_keeps_only_digits_that_travel_between_machines():
    a, b = claim("0.1", SAYS, 1 / 3, 0, 1), claim("0.1", SAYS, 1 / 3 + 1e-7, 0, 1)
    assert a == b
    assert a.mean == 0.333


def test_band_is_checked_before_rounding():
    with pytest.raises(ClaimFailed):
        claim("0.1", SAYS, 0.9996, low=1.0)


@pytest.mark.parametrize("value", [0.4, 0.5, 0.6])
def test_band_holds_its_own_ends(value):
    assert claim("0.1", SAYS, value, 0.4, 0.6).mean == value


def test_html_escapes_the_statement_and_the_unit():
    got = claim("0.1", "a < b & c", 1, 0, 2, unit="<b>")._repr_html_()
    assert "a &lt; b &amp; c" in got
    assert "1 &lt;b&gt;" in got
    assert "<b>" not in got


def test_statement_ends_with_one_full_stop():
    assert f"{SAYS}. Measured" in repr(claim("0.1", SAYS + ".", 1, 0, 2))


# contract


@pytest.mark.parametrize(
    ("measured", "low", "high", "message"),
    [
        (0.7, 0.4, 0.6, r"Claim 0.1 does not hold: a fair .* Measured 0.7; expected"),
        (0.3, 0.4, 0.6, "Measured 0.3; expected 0.4 to 0.6"),
        (0.3, 0.4, None, "expected at least 0.4"),
        (0.7, None, 0.6, "expected at most 0.6"),
        ([0.1, 0.2, 0.3], 0.4, None, r"Measured 0.2 ± 0.2 \(3 seeds\)"),
        (math.nan, None, 0.6, "Measured nan"),
        ([0.5, math.nan, 0.5], 0.4, None, "Measured nan"),
        (math.inf, 0.4, None, "Measured inf"),
        (-math.inf, None, 0.6, "Measured -inf"),
    ],
)
def test_claim_fails_outside_its_band(measured, low, high, message):
    with pytest.raises(ClaimFailed, match=message):
        claim("0.1", SAYS, measured, low, high)


def test_one_good_seed_does_not_save_a_claim():
    with pytest.raises(ClaimFailed, match="3 seeds"):
        claim("0.1", SAYS, [0.5, 0.0, 0.0], 0.4, 0.6)


@pytest.mark.parametrize("name", ["1", "1.", "a.1", "1.2.3", "1.2B", "Claim 1.2", ""])
def test_claim_refuses_a_malformed_id(name):
    with pytest.raises(ValueError, match=f"looks like '2.3' or '2.3b', got '{name}'"):
        claim(name, SAYS, 1, 0, 2)


@pytest.mark.parametrize(
    ("measured", "low", "high", "message"),
    [
        (1, None, None, "claim 0.1 needs a band: give low, high or both"),
        (1, 2, 0, "claim 0.1 has an empty band: 2 … 0"),
        ([1, 1], 0, 2, "claim 0.1 got 2 values: give one number, or three seeds"),
        ([], 0, 2, "claim 0.1 got 0 values"),
    ],
)
def test_claim_refuses_what_proves_nothing(as_user, measured, low, high, message):
    with pytest.raises(ValueError, match=message):
        claim("0.1", SAYS, measured, low, high)
