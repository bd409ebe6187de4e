"""BLEU: how many n-grams of a translation stand in the reference.

Chapter 8 builds it from its definition (Papineni et al. 2002); numbers to report come
from sacreBLEU (Post 2018, arXiv:1804.08771), which prints a signature: two BLEU scores
with different tokenisations are not comparable. The interval is a bootstrap over the
test sentences (Koehn 2004); it says nothing about other seeds.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Bleu:
    """A corpus score with its interval and signature."""

    score: float
    low: float
    high: float
    signature: str

    def __repr__(self) -> str:
        return (
            f"BLEU {self.score:.1f} (95 % {self.low:.1f} to {self.high:.1f}; "
            f"{self.signature})"
        )


def corpus_bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    tokenize: str = "13a",
    lowercase: bool = False,
) -> Bleu:
    """Score translations against one reference each.

    Args:
        hypotheses: one translation per sentence.
        references: the reference of each.
        tokenize: sacreBLEU's tokenisation: "13a" for detokenised text, "none" for
            text that is split by spaces already, "zh" for Chinese, "char".
        lowercase: ignore case.

    Returns:
        The score from 0 to 100, its 95 % bootstrap interval and the signature.

    Raises:
        ValueError: different numbers of hypotheses and references, or none.
        ModuleNotFoundError: sacreBLEU is not installed; the message says how.

    Example:
        >>> corpus_bleu(["a dog runs fast"], ["a dog runs fast"]).score
        100.0
    """
    _require_pairs(hypotheses, references)
    # "none" says that the text is tokenised: sacreBLEU need not warn of it.
    metric = _sacrebleu().BLEU(
        tokenize=tokenize, lowercase=lowercase, force=tokenize == "none"
    )
    result = metric.corpus_score(
        list(hypotheses), [list(references)], n_bootstrap=NUM_RESAMPLES
    )
    middle, half = result._mean, result._ci  # sacreBLEU has no public name for them
    score = round(result.score, 10)
    return Bleu(
        score=score,
        low=max(0.0, min(score, middle - half)),  # symmetric, it may leave the scale
        high=min(100.0, max(score, middle + half)),
        signature=str(metric.get_signature()),
    )


def compare(
    baseline: Sequence[str],
    system: Sequence[str],
    references: Sequence[str],
    tokenize: str = "13a",
    lowercase: bool = False,
) -> float:
    """Return the p-value of a paired bootstrap: does the system differ from the
    baseline on these sentences?

    Differs: systems of one score get 1; sacreBLEU itself gives identical ones 0.001.

    Args:
        baseline: translations of one system.
        system: translations of another one, of the same sentences.
        references: the reference of each.
        tokenize: as `corpus_bleu`.
        lowercase: as `corpus_bleu`.

    Raises:
        ValueError: different numbers of sentences, or none.
        ModuleNotFoundError: sacreBLEU is not installed; the message says how.

    Reference: Koehn 2004, *Statistical significance tests for machine translation*.
    """
    _require_pairs(baseline, references)
    _require_pairs(system, references)
    metric = _sacrebleu().BLEU(tokenize=tokenize, lowercase=lowercase, references=None)
    from sacrebleu.significance import PairedTest

    test = PairedTest(
        [("baseline", list(baseline)), ("system", list(system))],
        {"BLEU": metric},
        [list(references)],
        test_type="bs",
        n_samples=NUM_RESAMPLES,
    )
    before, after = test()[1]["BLEU"]
    return 1.0 if after.score == before.score else after.p_value


def bleu_from_definition(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    """Compute BP · exp(¼ Σ_n log p_n) from counts over the whole corpus.

    p_n is the share of the hypotheses' n-grams (n = 1 … 4) that stand in the reference,
    none counted more often than there; BP = min(1, exp(1 − r/c)) for lengths r and c.

    Args:
        hypotheses: words of each translation.
        references: words of the reference of each.

    Returns:
        The score from 0 to 100; 0 if no 4-gram matches (no smoothing).

    Raises:
        ValueError: different numbers of hypotheses and references, or none.

    Reference: Papineni et al. 2002, section 2.3.

    Example:
        >>> round(bleu_from_definition(["a b c d e".split()], ["a b c d f".split()]), 2)
        66.87
    """
    _require_pairs(hypotheses, references)
    matches, totals = [0] * 4, [0] * 4
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            found, wanted = _ngrams(hypothesis, n), _ngrams(reference, n)
            matches[n - 1] += (found & wanted).total()
            totals[n - 1] += found.total()
    if not all(matches):
        return 0.0
    written, wanted = sum(map(len, hypotheses)), sum(map(len, references))
    brevity = min(1.0, math.exp(1 - wanted / written))
    mean = sum(math.log(m / t) for m, t in zip(matches, totals, strict=True)) / 4
    return 100 * brevity * math.exp(mean)


def _ngrams(words: Sequence[str], n: int) -> Counter:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _require_pairs(hypotheses, references) -> None:
    if len(hypotheses) != len(references) or not len(references):
        raise ValueError(
            f"each translation needs its reference: got {len(hypotheses)} "
            f"translations and {len(references)} references"
        )


def _sacrebleu():
    """Import sacreBLEU's metrics, or say how to get them."""
    try:
        from sacrebleu import metrics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "BLEU needs sacreBLEU: pip install 'attnbook[translation]' "
            "(or pip install sacrebleu)"
        ) from error
    return metrics
