"""Lesions take away one thing and put it back; alignment is read from the same pass."""

import json
from contextlib import nullcontext

import pytest
import torch
from torch.testing import assert_close

from attnbook.experiments import probing, translation
from attnbook.experiments.probing import (
    SENTENCES,
    Sentence,
    agreement,
    align,
    alignment_scores,
    looks_at,
    same_order,
    shuffled,
    without_cross_attention,
    without_positions,
)
from attnbook.models import Transformer, TransformerConfig
from attnbook.tokenizers import MARKS

GERMAN = sorted({word for s in SENTENCES for word in s.source.split()})
ENGLISH = sorted({word for s in SENTENCES for word in s.target.split()})
VOCABULARIES = (MARKS + GERMAN, MARKS + ENGLISH)


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = {"d_model": 16, "num_heads": 2, "d_ff": 16, "num_layers": 2}
    config = TransformerConfig(
        source_vocab=len(VOCABULARIES[0]),
        target_vocab=len(VOCABULARIES[1]),
        dropout=0.0,
        **sizes,
    )
    return Transformer(config).eval()


SOURCE = torch.tensor([[5, 6, 7, 8, 3]])
TARGET = torch.tensor([[2, 9, 10, 11]])
TURNED = SOURCE.flip(1)


# the sentences


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda s: s.source)
def test_links_stay_inside_the_sentences_and_leave_no_word_out(sentence):
    source, target = sentence.source.split(), sentence.target.split()
    assert {t for t, _ in sentence.hand} == set(range(len(target)))
    assert all(0 <= s < len(source) for _, s in sentence.hand)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda s: s.source)
def test_every_sentence_has_words_at_another_place(sentence):
    pair = {"source": [*sentence.source.split(), "<end>"], "hand": sentence.hand}
    pair["target"] = [*sentence.target.split(), "<end>"]
    hits, total = same_order(pair)
    assert hits < total


# lesions


def test_without_cross_attention_the_source_does_not_matter(model):
    before = model(SOURCE, TARGET)
    with without_cross_attention(model):
        assert_close(model(SOURCE, TARGET), model(TURNED, TARGET), atol=0, rtol=0)
    assert_close(model(SOURCE, TARGET), before, atol=0, rtol=0)


def test_without_source_positions_the_order_of_the_source_does_not_matter(model):
    before = model(SOURCE, TARGET)
    with without_positions(model, "source"):
        assert_close(model(SOURCE, TARGET), model(TURNED, TARGET), atol=1e-5, rtol=0)
    assert_close(model(SOURCE, TARGET), before, atol=0, rtol=0)
    assert (before - model(TURNED, TARGET)).abs().max() > 1e-3


def test_without_target_positions_the_source_keeps_its_own(model):
    memory, whole = model.encode(SOURCE), model(SOURCE, TARGET)
    with without_positions(model, "target"):
        assert_close(model.encode(SOURCE), memory, atol=0, rtol=0)
        changed = model(SOURCE, TARGET)
    assert (changed - whole).abs().max() > 1e-3


def test_lesions_hold_while_tokens_are_written_one_by_one(model):
    with without_positions(model, "target"):
        whole = model(SOURCE, TARGET)
        state = model.start(SOURCE, 4)
        steps = [model.step(token, state) for token in TARGET.T]
    assert_close(torch.stack(steps, dim=1), whole, atol=1e-5, rtol=0)


def test_an_unknown_side_is_refused(model, as_user):
    with (
        pytest.raises(ValueError, match="side must be .*, got 'both'"),
        without_positions(model, "both"),
    ):
        pass


def test_shuffled_keeps_the_words_and_repeats():
    sources = [[5, 6, 7, 8, 9, 10], [4], []]
    got = shuffled(sources)
    assert list(map(sorted, got)) == list(map(sorted, sources))
    assert got == shuffled(sources) != sources


def test_every_lesion_is_scored(model, capsys):
    pairs = [(s.source, s.target) for s in SENTENCES]
    records = probing.measure_lesions(model, VOCABULARIES, pairs, 5, batch_size=4)
    assert [record["removed"] for record in records] == list(probing.lesions())
    assert all(0 <= r["low"] <= r["bleu"] <= r["high"] <= 100 for r in records)


def test_a_lesion_scores_the_words_of_its_own_sentence(model, monkeypatch, capsys):
    known = {s.source: s.target for s in SENTENCES}

    def oracle(model, sources, max_len, batch_size, *search):
        texts = [" ".join(VOCABULARIES[0][i] for i in ids) for ids in sources]
        targets = [known.get(text, "the").split() for text in texts]
        return [[VOCABULARIES[1].index(w) for w in words] for words in targets]

    monkeypatch.setattr(probing, "_translated", oracle)
    monkeypatch.setattr(probing, "without_cross_attention", nullcontext)
    pairs = list(known.items())
    records = probing.measure_lesions(model, VOCABULARIES, pairs)
    scores = {record["removed"]: record["bleu"] for record in records}
    assert scores["nothing"] == 100 > scores["source order"]
    search = probing.measure_search(model, VOCABULARIES, pairs)
    assert [(s["num_beams"], s["bleu"], s["p_value"]) for s in search] == [
        (1, 100.0, 1.0),
        (4, 100.0, 1.0),
        (4, 100.0, 1.0),
    ]


# alignment


def test_alignment_has_a_row_per_word_written_and_its_bytes_sum_up(model):
    pair = align(model, VOCABULARIES, SENTENCES[0])
    assert len(pair["weights"]) == 2
    for layer in pair["weights"]:
        assert [len(row) for row in layer] == [len(pair["source"])] * 8
        assert all(abs(sum(row) - 255) <= len(row) / 2 for row in layer)
    assert pair["source"][-1] == pair["target"][-1] == "<end>"


def test_alignment_is_the_cross_attention_of_the_layer(model):
    pair = align(model, VOCABULARIES, SENTENCES[1])
    with torch.no_grad():
        for layer in model.decoder.layers:  # both heads then spread evenly
            layer.multihead_attn.in_proj_weight[:16] = 0
            layer.multihead_attn.in_proj_bias[:16] = 0
    even = align(model, VOCABULARIES, SENTENCES[1])
    assert {weight for row in even["weights"][1] for weight in row} == {32}
    assert pair["weights"] != even["weights"]


def test_a_word_that_the_model_does_not_know_is_named(model, as_user):
    strange = Sentence(source="der zug .", target="the man .", links="0-0")
    with pytest.raises(ValueError, match="does not know zug"):
        align(model, VOCABULARIES, strange)


PAIR = {
    "source": ["a", "b", "c", "<end>"],
    "target": ["x", "y", "z", "<end>"],
    "weights": [[[9, 1, 0, 0], [0, 0, 9, 0], [0, 9, 0, 0], [0, 0, 9, 0]]],
    "hand": [[0, 0], [1, 2], [2, 1], [2, 0]],
}


def test_agreement_counts_words_whose_largest_weight_is_linked():
    assert agreement(PAIR, 0) == (3, 3)
    assert agreement(PAIR, 0, read=True) == (0, 3)
    assert same_order(PAIR) == (1, 3)
    assert agreement(PAIR, 0, moved=True) == (2, 2)


def test_scores_are_shares_over_all_words():
    worse = {**PAIR, "weights": [[[0, 0, 0, 9]] * 4]}
    scores = alignment_scores([PAIR, worse])
    assert scores["written"] == [0.5]
    assert scores["written_moved"] == [0.5]
    assert scores["diagonal"] == pytest.approx(1 / 3)
    assert (scores["num_words"], scores["num_moved"]) == (6, 4)


def test_looks_at_names_the_source_word(as_user):
    assert looks_at(PAIR, "y", 0) == "c"
    with pytest.raises(ValueError, match="'w' is not among"):
        looks_at(PAIR, "w", 0)


def test_command_writes_alignments_and_results(tmp_path, model, monkeypatch, capsys):
    monkeypatch.setattr(
        translation,
        "load_translator",
        lambda path: (model, *VOCABULARIES),
    )
    places = ["--out", str(tmp_path), "--alignments", str(tmp_path / "a.json")]
    probing.main([str(tmp_path / "tiny.safetensors"), *places, "--only-alignment"])
    stored = probing.load_alignments(tmp_path / "a.json")
    assert stored["model"] == "tiny"
    expected = [align(model, VOCABULARIES, s) for s in SENTENCES]
    assert stored["pairs"] == json.loads(json.dumps(expected))


def test_stored_alignments_are_those_of_the_sentences():
    pairs = probing.load_alignments()["pairs"]
    for pair, sentence in zip(pairs, SENTENCES, strict=True):
        assert pair["source"] == [*sentence.source.split(), "<end>"]
        assert pair["target"] == [*sentence.target.split(), "<end>"]
        assert pair["hand"] == [list(link) for link in sentence.hand]
