"""BLEU: sacreBLEU against the definition, with interval, signature and comparison."""

import math
import random
import sys

import pytest

from attnbook import bleu
from attnbook.bleu import bleu_from_definition, compare, corpus_bleu

REFERENCES = [
    "a man in a red shirt rides a bike .",
    "two dogs run through the deep snow .",
    "the woman is reading a book on a bench .",
    "a child plays with a ball in the park .",
]
HYPOTHESES = [
    "a man in a red shirt is riding a bike .",
    "two dogs run in the snow .",
    "a woman is reading a book on a bench .",
    "a child plays with a ball in the park .",
]


def noise(texts, share, seed=0):
    """Replace a share of the words."""
    chance = random.Random(seed)
    return [
        " ".join(w if chance.random() > share else "x" for w in text.split())
        for text in texts
    ]


# reference


def papineni(hypotheses, references):
    """Count n-grams with plain loops: an own definition of BLEU-4."""
    score, length, wanted = 0.0, 0, 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        length, wanted = length + len(hypothesis), wanted + len(reference)
    for n in (1, 2, 3, 4):
        hits = total = 0
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            left = [tuple(reference[i : i + n]) for i in range(len(reference) - n + 1)]
            for i in range(len(hypothesis) - n + 1):
                total += 1
                gram = tuple(hypothesis[i : i + n])
                if gram in left:
                    hits += 1
                    left.remove(gram)
        score += math.log(hits / total) / 4
    return 100 * math.exp(score + min(0, 1 - wanted / length))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("cut", [None, -2])
def test_definition_own_loops_and_sacrebleu_agree(share, cut):
    texts = [" ".join(t.split()[:cut]) for t in noise(HYPOTHESES * 3, share)]
    references = REFERENCES * 3
    words = [t.split() for t in texts], [r.split() for r in references]
    expected = papineni(*words)
    assert bleu_from_definition(*words) == pytest.approx(expected, abs=1e-9)
    score = corpus_bleu(texts, references, tokenize="none").score
    assert score == pytest.approx(expected, abs=1e-6)


def test_tokenised_text_is_warned_of_only_where_text_should_not_be(caplog):
    texts = ["a dog runs in the park ."] * 100
    corpus_bleu(texts, texts, "none")
    assert not caplog.records
    corpus_bleu(texts, texts, "13a")
    assert "detokenize" in caplog.text


def test_repeated_words_count_as_often_as_in_the_reference():
    texts, reference = (
        [["the", "the", "the", "the", "the", "the", "the"]],
        ["the cat is on the mat"],
    )
    assert bleu_from_definition(texts, [reference[0].split()]) == 0.0


def test_short_translations_pay_the_brevity_penalty():
    reference = ["a", "b", "c", "d", "e", "f", "g", "h"]
    score = bleu_from_definition([reference[:5]], [reference])
    assert score == pytest.approx(100 * math.exp(1 - 8 / 5), abs=1e-9)


def test_long_translations_pay_no_brevity_penalty():
    words = ["a", "b", "c", "d", "e", "f", "g", "h"]
    product = (5 / 8) * (4 / 7) * (3 / 6) * (2 / 5)
    expected = 100 * product**0.25
    assert bleu_from_definition([words], [words[:5]]) == pytest.approx(
        expected, abs=1e-9
    )


# law


def test_a_perfect_translation_scores_100():
    assert corpus_bleu(REFERENCES, REFERENCES).score == 100.0
    words = [r.split() for r in REFERENCES]
    assert bleu_from_definition(words, words) == pytest.approx(100, abs=1e-9)


def test_no_common_word_scores_zero():
    assert corpus_bleu(["x y z v w"], ["a b c d e"]).score == 0.0


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_interval_contains_the_score_and_has_a_width(share):
    result = corpus_bleu(noise(HYPOTHESES * 9, share), REFERENCES * 9)
    assert 0.5 < result.score - result.low < 15
    assert 0.5 < result.high - result.score < 15


def test_interval_stays_within_0_and_100():
    result = corpus_bleu([*REFERENCES, "x x x x x"], [*REFERENCES, "a dog runs ."])
    assert result.low >= 0
    assert result.high <= 100


def test_score_and_interval_are_the_same_twice():
    first, second = (corpus_bleu(HYPOTHESES, REFERENCES) for _ in range(2))
    assert first == second


def test_signature_tells_what_the_numbers_depend_on():
    plain = corpus_bleu(HYPOTHESES, REFERENCES).signature
    other = corpus_bleu(HYPOTHESES, REFERENCES, "none", lowercase=True).signature
    for part in ("nrefs:1", "bs:1000", "case:mixed", "tok:13a", "version:"):
        assert part in plain
    assert "case:lc" in other
    assert "tok:none" in other


def test_case_counts_unless_told_otherwise():
    upper = [text.upper() for text in REFERENCES]
    assert corpus_bleu(upper, REFERENCES).score < 50
    assert corpus_bleu(upper, REFERENCES, lowercase=True).score == 100.0


def test_chinese_is_split_into_characters():
    score = corpus_bleu(["我喜欢你的猫。"], ["我喜欢你的狗。"], tokenize="zh").score
    words = [list("我喜欢你的猫。")], [list("我喜欢你的狗。")]
    assert score == pytest.approx(bleu_from_definition(*words), abs=1e-6)


def test_result_shows_everything_in_one_line():
    result = bleu.Bleu(score=36.54, low=35.06, high=38.11, signature="tok:13a")
    assert repr(result) == "BLEU 36.5 (95 % 35.1 to 38.1; tok:13a)"


# law: comparison


def test_a_much_better_system_differs():
    good, bad = noise(REFERENCES * 9, 0.02), noise(REFERENCES * 9, 0.4)
    assert compare(bad, good, REFERENCES * 9) < 0.01


def test_equally_noisy_systems_do_not_differ():
    first, second = (noise(REFERENCES * 9, 0.2, seed) for seed in (1, 2))
    assert compare(first, second, REFERENCES * 9) > 0.05


def test_a_system_does_not_differ_from_itself():
    texts = noise(REFERENCES * 9, 0.2)
    upper = [text.upper() for text in texts]
    assert compare(texts, texts, REFERENCES * 9) == 1.0
    assert compare(texts, upper, REFERENCES * 9, lowercase=True) == 1.0


# contract


@pytest.mark.parametrize(
    "score",
    [
        corpus_bleu,
        bleu_from_definition,
        lambda h, r: compare(h, h, r),
        lambda h, r: compare(r, h, r),
        lambda h, r: compare(h, r, r),
    ],
)
@pytest.mark.parametrize(("num", "num_references"), [(3, 4), (0, 0)])
def test_each_translation_needs_its_reference(score, num, num_references):
    if (num, num_references) == (0, 0):
        message = "got 0 translations and 0 references"
    else:
        message = "got 3 translations and 4 references"
    with pytest.raises(ValueError, match=message):
        score(HYPOTHESES[:num], REFERENCES[:num_references])


def test_missing_sacrebleu_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install 'attnbook\[translation\]'"
    ):
        corpus_bleu(HYPOTHESES, REFERENCES)
