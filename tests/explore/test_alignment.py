"""The figure of alignment: any stored sentences, and one word at a time."""

import gzip
import json

import numpy as np
import pytest
from figures import axe_finds_nothing, get, node, overhang, same, show, too_small

from attnbook import explore
from attnbook.experiments.probing import ALIGNMENTS, agreement, load_alignments
from attnbook.explore import _alignment

# Two sentences of different lengths; the second has a word with two links and "<".
OWN = {
    "model": "hand-made",
    "pairs": [
        {
            "source": ["ein", "hund", "<end>"],
            "target": ["a", "dog", "runs", "<end>"],
            "weights": [
                [[200, 50, 5], [20, 230, 5], [0, 128, 127], [5, 5, 245]],
                [[85, 85, 85], [250, 5, 0], [1, 253, 1], [0, 0, 255]],
            ],
            "hand": [[0, 0], [1, 1]],
        },
        {
            "source": ["im", "park", "!", "<end>"],
            "target": ["in", "the", "park", "!", "<end>"],
            "weights": [[[255, 0, 0, 0]] * 5, [[0, 255, 0, 0]] * 5],
            "hand": [[0, 0], [1, 0], [2, 1], [2, 0], [3, 2]],
        },
    ],
}


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setattr(_alignment, "_stored", lambda: OWN)


STATES = [
    {"pair": p, "layer": layer, "read": read}
    for p in (0, 1)
    for layer in (0, 1)
    for read in (False, True)
]


def test_numbers_of_a_pair_known_by_hand(own):
    result = explore.alignment(layer=0).result
    np.testing.assert_allclose(result["weights"][1], [20 / 255, 230 / 255, 5 / 255])
    assert result["best"].tolist() == [0, 1, 1, 2]
    assert result["agrees"] == [1, 1, -1, -1]
    assert (result["hits"], result["linked"]) == (2, 2)
    late = explore.alignment(layer=1).result
    assert (late["agrees"], late["hits"]) == ([1, 0, -1, -1], 1)
    read = explore.alignment(layer=1, read=True).result  # one row less, one step on
    assert read["best"].tolist() == [0, 1, 2]
    assert read["hits"] == 2


def test_stored_sentences_fit_and_are_light():
    stored = load_alignments()
    for i, pair in enumerate(stored["pairs"]):
        for layer in range(len(pair["weights"])):
            result = explore.alignment(i, layer).result
            T, S = len(pair["target"]), len(pair["source"])
            assert result["weights"].shape == (T, S)
            # a rounded number is wrong by half of 1/255 at most
            np.testing.assert_allclose(result["weights"].sum(1), 1, atol=S / 510)
            hits = (result["hits"], result["linked"])
            assert hits == agreement(pair, layer)
            read = explore.alignment(i, layer, read=True).result
            assert (read["hits"], read["linked"]) == agreement(pair, layer, read=True)
        assert all(t < T - 1 and s < S for t, s in pair["hand"])
    state = json.dumps(explore.alignment().state)
    assert len(gzip.compress(state.encode(), 9)) <= 6 * 1024
    assert ALIGNMENTS.name == "alignments.json"  # the file the figure reads


@pytest.mark.parametrize("real", [False, True])
def test_script_agrees_with_python(monkeypatch, real):
    if not real:
        monkeypatch.setattr(_alignment, "_stored", lambda: OWN)
    figures = [explore.alignment(**given) for given in STATES]
    answers = node("alignment", [figure.state for figure in figures])["results"]
    for figure, result in zip(figures, answers, strict=True):
        assert set(result) == set(figure.result)
        for part, value in figure.result.items():
            same(result[part], value, part)


def test_chosen_sentences_only(own):
    figure = explore.alignment(pairs=[1])
    assert [p["source"] for p in figure.state["pairs"]] == [OWN["pairs"][1]["source"]]
    assert "“in”" in figure.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pair": 2}, r"pair must be from 0 to 1, got 2"),
        ({"layer": 2}, r"layer must be from 0 to 1, got 2"),
        ({"word": 4}, r"word must be from 0 to 3, got 4"),
        ({"word": 3, "read": True}, r"word must be from 0 to 2, got 3"),
        ({"word": -1}, r"word .* got -1"),
        ({"pairs": [0, 5]}, r"each of pairs must be from 0 to 1, got 5"),
        ({"pairs": []}, r"pairs must name at least one sentence"),
    ],
)
def test_alignment_names_a_bad_argument(own, given, message, as_user):
    with pytest.raises(ValueError, match=message):
        explore.alignment(**given)


def test_state_is_read_from_the_address(own):
    base = explore.alignment(layer=0).state
    hashes = [
        "#e9=pair:1,layer:1,word:4,map:true,hand:true",
        "#e9=word:4",  # the first sentence has four words
        "#e9=word:3,read:true",  # and only three are read
        "#e9=pair:2,layer:1.5,map:1,word:__proto__",
    ]
    states = node("alignment", hashes=hashes, base=base)["states"]
    first = {"pair": 1, "layer": 1, "word": 4, "map": True, "hand": True}
    assert states == [base | first, base, base | {"read": True}, base]


def test_fallback_escapes_words(own):
    html = explore.alignment(word=3).html
    assert "<td>0.96</td>" not in html  # layer 2 is shown
    assert "&lt;end&gt;" in html
    assert "<end>" not in html.split("state='")[1].split("'>", 1)[1].split("<script")[0]


def test_step_through_words_by_buttons_and_keys(visit, own):
    page, figure = show(visit, "alignment", {"layer": 0})
    figure.get_by_role("button", name="Next").click()
    assert get(figure, "state")["word"] == 1
    text = figure.locator(".sum").inner_text()
    assert "“dog”, word 2 of 4, layer 1 looks most at “hund”: 0.90" in text
    assert "By hand it is “hund”: they agree" in text
    figure.locator("[aria-current]").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert get(figure, "state")["word"] == 2
    assert page.evaluate("document.activeElement.textContent") == "runs"
    assert "By hand it has no link" in figure.locator(".sum").inner_text()
    figure.get_by_label("Decoder layer").select_option(index=1)
    figure.get_by_role("button", name="Back").click()
    assert "they differ" in figure.locator(".sum").inner_text()
    for _ in range(3):
        figure.get_by_role("button", name="Back").click(force=True)
    assert get(figure, "state")["word"] == 0


def test_lines_and_numbers_are_the_weights(visit, own):
    _, figure = show(visit, "alignment", {"layer": 0, "word": 1})
    assert figure.locator(".src b").all_inner_texts() == ["0.08", "0.90", "0.02"]
    assert figure.locator(".src [data-best]").inner_text() == "0.90"
    wide = figure.locator("path[stroke='var(--w)']").evaluate_all(
        "all => all.map(e => +e.getAttribute('stroke-width'))"
    )
    assert wide == pytest.approx([1 + 11 * 20 / 255, 1 + 11 * 230 / 255], abs=0.06)
    assert figure.locator("path[stroke-dasharray]").count() == 0
    figure.get_by_label("hand alignment").check()
    assert figure.locator("path[stroke-dasharray]").count() == 2
    # the chosen word's is laid on a gap: it shows on a thick line, dark or light
    assert figure.locator("path[stroke='var(--bg)']").count() == 1
    assert figure.locator(".arrows").inner_text().count("✓") == 2


def test_heat_map_and_table_equal_the_matrix(visit, own):
    _, figure = show(visit, "alignment", {"layer": 0, "map": True, "hand": True})
    figure.get_by_text("All weights as a table").click()
    weights = explore.alignment(layer=0).result["weights"]
    cells = figure.locator(".all td[style]").all_inner_texts()
    np.testing.assert_array_equal(
        np.array(cells, dtype=float), weights.round(2).ravel()
    )
    shown = figure.locator(".map td[style]").all_inner_texts()
    expected = [f"{100 * w:.0f}" if w >= 0.05 else "" for w in weights.ravel()]
    assert shown == expected
    assert figure.locator(".map [data-hand]").count() == 2
    assert figure.locator("svg").count() == 0


def test_other_sentence_keeps_the_word_in_range(visit, own):
    _, figure = show(visit, "alignment", {"pair": 1, "word": 4})
    figure.get_by_label("Sentence").select_option(value="0")
    state = get(figure, "state")
    assert (state["pair"], state["word"]) == (0, 3)
    figure.get_by_label("one step later").check()
    assert get(figure, "state")["word"] == 2
    assert "Having just read “runs”" in figure.locator(".sum").inner_text()


@pytest.mark.parametrize("map", [False, True])
def test_every_stored_sentence_fits_a_phone(visit, map):
    page, figure = show(visit, "alignment", {"map": map, "hand": True}, width=320)
    for i in range(figure.get_by_label("Sentence").locator("option").count()):
        figure.get_by_label("Sentence").select_option(index=i)
        assert overhang(page) <= 0
        assert not too_small(figure)
    axe_finds_nothing(page)


def test_element_without_data_keeps_its_fallback(visit):
    figure = explore.alignment()
    page = visit(f"<ax-alignment><p>kept</p></ax-alignment><script>{figure.script}")
    assert page.get_by_text("kept").is_visible()
