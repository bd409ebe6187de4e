"""Every interactive figure without a browser: output, fallback, script, address.

What one figure computes and shows is tested in `explore/test_<name>.py`.
"""

import gzip
import json
import re

import numpy as np
import pytest
from figures import NAMES, TAGS, key, make, node, printed, script

from attnbook import explore

LIMIT = 6 * 1024  # bytes of a compressed script: each figure must be light
EXCEPTIONS = {
    # twelve matrices that can be edited, walked through by keyboard and written out
    "self_attention": 7 * 1024,
    "heads": 12 * 1024,  # with the weights of four trained layers
    "positions": 7 * 1024,  # three schemes, each with two pictures
}


def test_figures_are_found_and_told_apart():
    assert {"softmax", "self_attention"} <= set(NAMES)
    assert set(NAMES) <= set(explore.__all__)
    keys = [key(name) for name in NAMES]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", NAMES)
def test_output_holds_element_fallback_and_script(name):
    figure = make(name)
    bundle = figure._repr_mimebundle_(include=None, exclude=None)
    state, fallback, text = re.fullmatch(
        rf"<{TAGS[name]} state='([^']*)'>(.*)</{TAGS[name]}>\n"
        rf'<script data-explore="{name}">\n(.*)</script>',
        bundle["text/html"],
        re.DOTALL,
    ).groups()
    assert set(bundle) == {"text/html", "text/plain"}
    assert json.loads(state) == figure.state
    assert "<table>" in fallback
    assert "<p>" in fallback
    assert text == script(name)


@pytest.mark.parametrize("name", NAMES)
def test_ipython_displays_the_output(name):
    formatters = pytest.importorskip("IPython.core.formatters")
    figure = make(name)
    shown, _ = formatters.DisplayFormatter().format(figure)
    assert shown == figure._repr_mimebundle_()
    assert shown["text/plain"] == repr(figure)


@pytest.mark.parametrize("name", NAMES)
def test_script_is_small_and_needs_nothing(name):
    text = script(name)
    assert len(gzip.compress(text.encode(), 9)) <= EXCEPTIONS.get(name, LIMIT)
    assert not re.search(
        r"</script|https?:|\bimport\(|^import .* from|^export", text, re.M
    )


def luminance(colour):
    """Return the relative luminance of a colour #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    rgb = np.array([int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("name", NAMES)
def test_own_colours_are_seen_on_light_and_dark(name):
    pattern = r"--(\w+):var\([\w-]+,light-dark\((#\w+),(#\w+)\)"
    found = re.findall(pattern, script(name))
    assert found
    for role, *pair in found:
        least = {"soft": 4.5, "line": 1.3}.get(role, 3)  # text, decoration, graphics
        for colour, page in zip(pair, ["#fff", "#121212"], strict=True):
            dark, light = sorted([luminance(colour), luminance(page)])
            assert (light + 0.05) / (dark + 0.05) >= least, (role, colour)


@pytest.mark.parametrize("name", NAMES)
def test_script_starts_where_python_does(name):
    defaults = node(name)["defaults"]
    brought = {k: None for k, v in defaults.items() if v is None}  # by the element
    assert defaults | make(name).state | brought == defaults


@pytest.mark.parametrize("name", NAMES)
def test_copied_python_runs_and_prints(name):
    (code,) = node(name, [make(name).state])["python"]
    assert printed(code)


@pytest.mark.parametrize("name", NAMES)
def test_script_survives_a_bad_address(name):
    bad = ["", ":::,,", "%E0%A4", "zz:1", "__proto__:1", "n", "n:", "n:NaN", "s:2,m:x"]
    base = make(name).state
    answer = node(name, hashes=[f"#{key(name)}={part}" for part in bad], base=base)
    for part, state in zip(bad, answer["states"], strict=True):
        assert state | base == state, part


@pytest.mark.parametrize("name", NAMES)
def test_script_leaves_the_address_of_others_alone(name):
    other = "e98" if key(name) == "e99" else "e99"
    hashes = ["", "#part-two", f"#{other}=n:1", f"#{key(name)}-2=n:1", "#n=1"]
    assert node(name, hashes=hashes)["states"] == [None] * len(hashes)
