"""Judges: what is accepted, what is named, and what no forged value can do."""

import numpy as np
import pytest

from attnbook.grading.judging import Check, Mistake, Wrong, decide, difference, draw

MEAN = Check(
    id="1a",
    question="1",
    points=2,
    title="the mean",
    probe="mean_of",
    inputs=lambda rng: {"x": rng.normal(size=(2, 3))},
    expected=lambda x: x.mean(-1),
    mistakes=(
        Mistake(
            name="over the other axis",
            hint="Which axis?",
            value=lambda x: np.resize(x.mean(0), 2),
        ),
    ),
    hint="By hand first.",
)
X = {"x": np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])}


def test_right_value_is_accepted():
    assert decide(MEAN, X, np.array([3.0, 1.0]), 1e-6) is None


def test_value_within_the_tolerance_is_accepted():
    assert decide(MEAN, X, np.array([3.0, 1.0 + 2e-6]), 1e-6) is None


def test_value_outside_the_tolerance_is_rejected():
    with pytest.raises(Wrong, match="wrong numbers: By hand first"):
        decide(MEAN, X, np.array([3.0, 1.0 + 4e-6]), 1e-6)


def test_known_mistake_is_named_with_its_hint():
    with pytest.raises(Wrong, match="over the other axis: Which axis"):
        decide(MEAN, X, np.array([0.5, 1.0]), 1e-6)


@pytest.mark.parametrize(
    ("got", "name"),
    [
        (None, "nothing returned"),
        ("3.0", "not an array"),
        ([3.0, 1.0], "not an array"),
        ({"x": 1}, "not an array"),
        (10**400, "not a number"),
        (3.0, "wrong shape"),
        (np.array([[3.0, 1.0]]), "wrong shape"),
        (np.array([np.nan, 1.0]), "NaN or infinity in the result"),
        (np.array([np.inf, 1.0]), "NaN or infinity in the result"),
        (np.array([True, True]), "truth values where numbers are expected"),
    ],
)
def test_what_is_no_such_array_is_named(got, name):
    with pytest.raises(Wrong) as raised:
        decide(MEAN, X, got, 1e-6)
    assert raised.value.mistake == name


def test_nan_never_equals_an_expected_value():
    assert difference(float("nan"), 0.0, 1e9) == "NaN or infinity in the result"


def test_truth_values_and_numbers_are_told_apart():
    assert difference(np.array([0, 1]), np.array([False, True]), 1e-6)
    assert difference(np.array([False, True]), np.array([False, True]), 1e-6) is None


def test_text_is_compared_exactly():
    assert difference("mask", "mask", 1e-6) is None
    assert difference("Mask", "mask", 1e-6) == "wrong value"


@pytest.mark.parametrize("got", [[1.0], [1.0, 2.0, 3.0], {"a": 1.0}, 1.0, None])
def test_number_of_values_must_agree(got):
    assert difference(got, (1.0, 2.0), 1e-6) == "not 2 values"


def test_keys_must_agree():
    reason = difference({"a": 1.0, "b": 2.0}, {"a": 1.0}, 1e-6)
    assert reason == "the names are not those of the statement"
    assert difference({"a": 1.0}, {"a": 1.0}, 1e-6) is None


def test_inputs_depend_on_the_salt_and_the_check_only():
    first, again = draw(MEAN, "one salt"), draw(MEAN, "one salt")
    np.testing.assert_array_equal(first["x"], again["x"])
    assert (draw(MEAN, "other salt")["x"] != first["x"]).all()


def test_two_checks_draw_different_inputs():
    other = Check(
        id="1b",
        question="1",
        points=1,
        title="again",
        probe="mean_of",
        inputs=MEAN.inputs,
        expected=MEAN.expected,
    )
    assert (draw(other, "salt")["x"] != draw(MEAN, "salt")["x"]).all()


@pytest.mark.parametrize("options", [{}, {"expected": abs, "judge": abs}])
def test_check_needs_either_expected_or_judge(options):
    with pytest.raises(ValueError, match="either expected or judge"):
        Check(id="1a", question="1", points=1, title="", probe="p", **options)


def test_check_without_points_is_refused():
    with pytest.raises(ValueError, match="has 0 points"):
        Check(id="1a", question="1", points=0, title="", probe="p", expected=abs)
