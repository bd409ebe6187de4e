"""Checkers of chapter 8: encoder, decoder, translation and its score.

The beam search of exercise 8.3 is defined by four rules in the chapter, so that one
answer is right; random log-probabilities leave no ties.
"""

import math
import random
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from attnbook.bleu import bleu_from_definition
from attnbook.exercises import WrongAnswer, expect_equal
from attnbook.generation import length_penalty

CROSS_CASES = [  # B, T, S, d, d_memory, d_k, d_v, lengths; equal sizes first
    (2, 4, 4, 5, 5, 3, 2, [4, 2]),
    (3, 3, 5, 4, 7, 3, 2, [1, 5, 3]),
    (1, 5, 3, 4, 4, 2, 5, [2]),
    (2, 1, 6, 3, 5, 4, 4, [6, 6]),
    (2, 2, 4, 3, 3, 4, 3, [0, 3]),
]


# ---- 8.1 ----------------------------------------------------------------------------


def check_cross_attention(answer) -> None:
    """Compare `cross_attention(x, memory, lengths, W_q, W_k, W_v)`."""
    for seed, case_sizes in enumerate(CROSS_CASES):
        *sizes, lengths = case_sizes
        num, num_q, num_k, d, d_memory, d_k, d_v = sizes
        draw = _draws(seed)
        x, memory = draw(num, num_q, d), draw(num, num_k, d_memory)
        maps = draw(d, d_k), draw(d_memory, d_k), draw(d_memory, d_v)
        lengths = torch.tensor(lengths)
        case = f"x {tuple(x.shape)}, memory {tuple(memory.shape)}, lengths "
        case += str(lengths.tolist())
        got = _call(answer, (x, memory, lengths, *maps), case)
        if not lengths.all() and isinstance(got, Tensor) and got.isnan().any():
            raise WrongAnswer(
                "NaN for the sentence of length 0: a row of −inf only. Such a row "
                f"gets zeros ({case})"
            )
        expect_equal(
            got,
            _cross(x, memory, lengths, *maps),
            _cross_slips(x, memory, lengths, *maps),
            what="the context",
            case=case,
        )
    draw = _draws(31)
    x, memory, lengths = draw(2, 3, 4), draw(2, 5, 4), torch.tensor([2, 5])
    maps = [draw(4, 3).requires_grad_() for _ in range(3)]
    context = answer(x, memory, lengths, *maps)
    if not context.requires_grad:
        raise WrongAnswer("no gradient reaches the maps: .detach(), .data or NumPy?")
    context.square().sum().backward()
    for name, weight in zip(("W_q", "W_k", "W_v"), maps, strict=True):
        if weight.grad is None or not weight.grad.abs().sum() > 0:
            raise WrongAnswer(f"no gradient reaches {name}")
    _check_low_scores(answer)


def _check_low_scores(answer) -> None:
    """Give the words scores of about −1e10, so that a finite fill would win."""
    x, memory = torch.full((1, 1, 2), 1e5).double(), torch.zeros(1, 4, 2).double()
    memory[0, :2] = -1e5
    inputs = x, memory, torch.tensor([2]), *(torch.eye(2).double() for _ in range(3))
    got = _call(answer, inputs, "scores of −1e10")
    if isinstance(got, Tensor) and (got > -1e4).any():
        raise WrongAnswer(
            "a finite fill such as −1e4 or −1e9 is not smaller than every score (here "
            "the words have −1e10): the padding wins. Fill with −math.inf"
        )
    expect_equal(got, _cross(*inputs), what="the context, scores of −1e10,")


def _allowed(lengths: Tensor, num_keys: int) -> Tensor:
    return (torch.arange(num_keys) < lengths[:, None])[:, None]  # (B, 1, S)


def _cross(x, memory, lengths, W_q, W_k, W_v) -> Tensor:
    scores = (x @ W_q) @ (memory @ W_k).mT / math.sqrt(W_q.shape[1])
    allowed = _allowed(lengths, memory.shape[1])
    weights = scores.masked_fill(~allowed, -math.inf).softmax(-1)
    return weights.masked_fill(~allowed, 0.0) @ (memory @ W_v)


def _cross_slips(x, memory, lengths, W_q, W_k, W_v) -> dict[str, Tensor]:
    q, k, v = x @ W_q, memory @ W_k, memory @ W_v
    raw, d_k = q @ k.mT, W_q.shape[1]
    scores = raw / math.sqrt(d_k)
    allowed = _allowed(lengths, memory.shape[1])
    plain = scores.softmax(-1)
    hidden = scores.masked_fill(~allowed, -math.inf)
    zeros = scores.masked_fill(~allowed, 0.0).softmax(-1)
    wide = raw / math.sqrt(x.shape[-1])
    slips = {
        "the padding is not masked": plain @ v,
        "the mask comes after the softmax: the rows do not sum to 1": (
            plain.masked_fill(~allowed, 0.0) @ v
        ),
        "hidden scores are set to 0, not to −inf": zeros @ v,
        "hidden scores are set to 0, not to −inf: each adds e⁰ = 1 to the sum, and to "
        "set the weights to 0 afterwards comes too late": (
            zeros.masked_fill(~allowed, 0.0) @ v
        ),
        "the scores are divided by √d of the tokens: d_k is the size of the queries": (
            wide.masked_fill(~allowed, -math.inf).softmax(-1).nan_to_num(0) @ v
        ),
        "the mask is turned around: it hides the words and shows the padding": (
            scores.masked_fill(allowed, -math.inf).softmax(-1).nan_to_num(0) @ v
        ),
        "the scores are not scaled by 1/√d_k": (
            raw.masked_fill(~allowed, -math.inf).softmax(-1).nan_to_num(0) @ v
        ),
        "the softmax runs over the target positions, not over the source": (
            hidden.softmax(-2).nan_to_num(0) @ v
        ),
        "one position too many is visible: s < length, not s ≤ length": (
            scores.masked_fill(
                ~_allowed(lengths + 1, memory.shape[1]), -math.inf
            ).softmax(-1)
            @ v
        ),
    }
    if memory.shape[1] == x.shape[1]:
        rows = allowed.mT  # the mask laid over the queries
        slips["the mask hides target positions: it belongs to the source's"] = (
            scores.masked_fill(~rows, -math.inf).softmax(-1).nan_to_num(0) @ v
        )
    if x.shape[-1] == memory.shape[-1]:
        slips["keys and values come from x: the memory is never read"] = _own(
            x, lengths, W_q, W_k, W_v
        )
        slips["queries and keys have swapped their sources: x asks, memory answers"] = (
            (memory @ W_q) @ (x @ W_k).mT / math.sqrt(d_k)
        ).softmax(-1) @ (x @ W_v)
        if x.shape[1] == memory.shape[1]:
            slips["queries come from the memory and keys from x: roles swapped"] = (
                _cross(memory, x, lengths, W_q, W_k, W_v)
            )
    return slips


def _own(x, lengths, W_q, W_k, W_v) -> Tensor:
    return _cross(x, x, lengths.clamp(max=x.shape[1]), W_q, W_k, W_v)


# ---- 8.2 ----------------------------------------------------------------------------

SHIFT_CASES = [
    [[5, 6, 7], [8]],
    [[9]],
    [[4, 4], [5, 6, 7, 8], []],
    [[7, 8], [8, 7]],
]


def check_teacher_forcing(answer) -> None:
    """Compare `teacher_forcing(sentences, pad, start, end)` with the shifted pair."""
    for sentences in SHIFT_CASES:
        for marks in ((0, 2, 3), (1, 0, 2)):
            case = f"sentences {sentences}, pad={marks[0]}, start={marks[1]}"
            case += f", end={marks[2]}"
            given = [list(ids) for ids in sentences]
            got = answer(given, *marks)
            if given != sentences:
                raise WrongAnswer(f"the function changes the sentences ({case})")
            if not isinstance(got, tuple | list) or len(got) != 2:
                raise WrongAnswer(f"return two tensors, inputs and labels ({case})")
            right = _shifted(sentences, *marks)
            slips = _shift_slips(sentences, *marks)
            for which, name in enumerate(("the inputs", "the labels")):
                expect_equal(
                    got[which],
                    right[which],
                    slips[which],
                    what=name,
                    case=case,
                    rtol=0,
                )


def _padded(rows: Sequence[Sequence[int]], pad: int, left: bool = False) -> Tensor:
    longest = max(map(len, rows))
    gaps = [[pad] * (longest - len(row)) for row in rows]
    both = zip(rows, gaps, strict=True)
    return torch.tensor([[*gap, *row] if left else [*row, *gap] for row, gap in both])


def _shifted(sentences, pad, start, end) -> tuple[Tensor, Tensor]:
    inputs = _padded([[start, *ids] for ids in sentences], pad)
    return inputs, _padded([[*ids, end] for ids in sentences], pad)


def _shift_slips(sentences, pad, start, end) -> tuple[dict, dict]:
    """Return what the usual slips give, for inputs and for labels."""
    inputs, labels = _shifted(sentences, pad, start, end)
    whole = _padded([[start, *ids, end] for ids in sentences], pad)
    bare = _padded([list(ids) for ids in sentences], pad).long()
    column = torch.full((len(sentences), 1), end)
    blind = "the labels are the inputs: nothing is shifted, the model learns to copy"
    left = "the padding stands on the left: put it behind the sentence"
    inputs_left = _padded([[start, *ids] for ids in sentences], pad, left=True)
    labels_left = _padded([[*ids, end] for ids in sentences], pad, left=True)
    return (
        {
            "the inputs still hold the end mark: there is nothing to predict after "
            "it": whole,
            "the inputs are the labels: begin with the start mark": labels,
            "the inputs lack the start mark: the first word has nothing to be "
            "predicted from": bare,
            "the last column is cut off, which is a word of the longest sentence": (
                inputs[:, :-1]
            ),
            "the end mark of shorter sentences is still in the inputs: y[:, :-1] cuts "
            "it from the longest one only": whole[:, :-1],
            left: inputs_left,
        },
        {
            blind: inputs,
            "the labels still hold the start mark": whole,
            "the end mark stands behind the padding: put it behind the last word": (
                torch.cat((bare, column), dim=1)
            ),
            "the labels lack the end mark: the model never learns to stop": bare,
            "the labels lack the end mark, there is padding in its place: the model "
            "never learns to stop": _padded([[*ids, pad] for ids in sentences], pad),
            left: labels_left,
            "the labels are shifted twice": _padded(
                [[*list(ids)[1:], end, pad] for ids in sentences], pad
            ),
        },
    )


# ---- 8.3 ----------------------------------------------------------------------------

END = 0
Step = Callable[[tuple[int, ...]], Tensor]


def check_beam_search(answer) -> None:
    """Compare `beam_search(step, num_beams, max_len, alpha)` with the four rules."""
    cases = []
    for seed in range(60):
        vocab = 3 + seed % 4
        num_beams, max_len = 1 + seed % 3, 2 + seed % 5
        alpha = (0.0, 0.6, 1.5)[seed // 2 % 3]
        search = _random_model(seed, vocab), num_beams, max_len, alpha
        case = f"V={vocab}, num_beams={num_beams}, max_len={max_len}, alpha={alpha}"
        cases.append((search, _tokens(answer(*search), case), _beam(*search), case))
    wrong = [case for case in cases if case[1] != case[2]]
    if wrong:
        raise WrongAnswer(_name_beam(cases, wrong))


def _tokens(got, case: str) -> tuple[int, ...]:
    """Read a hypothesis given as tuple, list or tensor."""
    if got is None:
        raise WrongAnswer(f"beam_search returned None: is the return missing? ({case})")
    if isinstance(got, Tensor):
        got = got.tolist()
    try:
        return tuple(int(token) for token in got)
    except (TypeError, ValueError):
        raise WrongAnswer(
            f"return one hypothesis, a sequence of tokens, got {got!r} ({case})"
        ) from None


def _random_model(seed: int, vocab: int) -> Step:
    """Return log-probabilities that depend on all tokens so far."""

    def step(tokens: tuple[int, ...]) -> Tensor:
        key = f"{seed} {tuple(int(t) for t in tokens)}"
        chance = random.Random(key)
        scores = [chance.gauss(0.0, 1.3) for _ in range(vocab)]
        return torch.tensor(scores, dtype=torch.float64).log_softmax(0)

    return step


def _beam(step: Step, num_beams, max_len, alpha, **slip) -> tuple[int, ...]:
    """Search by the chapter's rules; `slip` names a departure from one of them."""
    beam: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    ended = lambda tokens: bool(tokens) and tokens[-1] == END  # noqa: E731
    penalty = slip.get("penalty", length_penalty)
    for _ in range(max_len):
        grown = [] if slip.get("drop_ended") else [h for h in beam if ended(h[0])]
        for tokens, total in beam:
            if not ended(tokens) or slip.get("grow_ended"):
                log_probs = step(tokens)
                if slip.get("probabilities"):
                    log_probs = log_probs.exp()
                children = [
                    ((*tokens, i), total + value)
                    for i, value in enumerate(log_probs.tolist())
                ]
                children.sort(key=lambda h: -h[1])
                grown += children[: slip.get("per_beam", len(children))]
        by_score = lambda h: h[1]  # noqa: E731
        if slip.get("prune"):
            by_score = lambda h: h[1] / length_penalty(len(h[0]), alpha)  # noqa: E731
        width = 1 if slip.get("greedy") else num_beams
        beam = sorted(grown, key=by_score, reverse=True)[:width]
        if slip.get("stop_first") and any(ended(tokens) for tokens, _ in beam):
            break
        if not beam or all(ended(tokens) for tokens, _ in beam):
            break
    finished = [h for h in beam if ended(h[0])] or beam
    if slip.get("any_may_win"):
        finished = beam
    if not finished:
        return ()
    best = max(finished, key=lambda h: h[1] / penalty(len(h[0]), alpha))
    return best[0]


def _name_beam(cases, wrong) -> str:
    """Find the slip that gives all these answers, or says what is wrong first."""
    _, got, right, case = wrong[0]
    ends = [(g, r) for _, g, r, _ in wrong if r[-1] == END]
    if ends and all(g == r[:-1] for g, r in ends):
        return f"the end mark is missing: it belongs to the hypothesis ({case})"
    slips = {
        "this is greedy search: only one beginning is kept": {"greedy": True},
        "the length penalty is not used: divide the total by ((5 + n)/6)^alpha": {
            "penalty": lambda n, alpha: 1.0
        },
        "alpha is fixed at 0.6: use the argument": {
            "penalty": lambda n, alpha: length_penalty(n, 0.6)
        },
        "the end mark is not counted: n is the length with it": {
            "penalty": lambda n, alpha: length_penalty(n - 1, alpha)
        },
        "the total is divided by the length, not by ((5 + n)/6)^alpha": {
            "penalty": lambda n, alpha: n
        },
        "the total is multiplied by the penalty: divide (log-probabilities are "
        "negative)": {"penalty": lambda n, alpha: 1 / length_penalty(n, alpha)},
        "the beams are chosen by the penalised score: rule 2 compares totals, the "
        "penalty comes at the end": {"prune": True},
        "the search stops at the first hypothesis that ends: the others may be "
        "better": {"stop_first": True},
        "hypotheses that have ended are dropped: they stay in the beam": {
            "drop_ended": True
        },
        "hypotheses that have ended are extended further": {"grow_ended": True},
        "hypotheses that have ended are extended further, as if nothing had ended": {
            "grow_ended": True,
            "drop_ended": True,
        },
        "probabilities are added: add log-probabilities": {"probabilities": True},
        "each beam keeps one child: the best K are chosen from the children of all "
        "beams together": {"per_beam": 1},
        "an unfinished hypothesis wins over finished ones": {"any_may_win": True},
    }
    for name, slip in slips.items():
        if all(_beam(*search, **slip) == g for search, g, _, _ in cases):
            return f"{name} ({case})"
    for refill in (False, True):
        if all(_leaving(*search, refill) == g for search, g, _, _ in cases):
            return (
                "a finished hypothesis keeps its place in the beam (rule 2): here it "
                f"leaves, and a worse one moves up ({case})"
            )
    return f"got {got}, expected {right} ({case}): follow the four rules one by one"


def _leaving(step: Step, num_beams, max_len, alpha, refill) -> tuple[int, ...]:
    """Search as `attnbook.generation.beam` does: finished ones leave the beam.

    With `refill` K unfinished ones go on until K have ended, else what is left of the
    best K.
    """
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[tuple[tuple[int, ...], float]] = []
    for _ in range(max_len):
        grown = [
            ((*tokens, token), total + value)
            for tokens, total in live
            for token, value in enumerate(step(tokens).tolist())
        ]
        grown.sort(key=lambda h: h[1], reverse=True)
        finished += [h for h in grown[:num_beams] if h[0][-1] == END]
        rest = grown if refill else grown[:num_beams]
        live = [h for h in rest if h[0][-1] != END][:num_beams]
        if not live or (refill and len(finished) >= num_beams):
            break
    score = lambda h: h[1] / length_penalty(len(h[0]), alpha)  # noqa: E731
    return max(finished or live, key=score)[0]


# ---- 8.4 ----------------------------------------------------------------------------


def check_bleu(answer) -> None:
    """Compare `bleu(hypotheses, references)` with the definition."""
    the = [["the"] * 7], [["the", "cat", "is", "on", "the", "mat", "."]]
    same = [["a", "dog", "runs", "fast"]]
    short = [["a", "b", "c", "d", "e"], ["x"]], [["a", "b", "c", "d", "e"], ["y", "z"]]
    corpora = [_random_corpus(seed) for seed in range(24)]
    gap = [[], ["a", "b", "c", "d", "e"]], [["x", "y"], ["a", "b", "c", "d", "e"]]
    corpora += [the, (same, same), short, gap]
    scores = [_scored(answer, *pair) for pair in corpora]
    nothing = _scored(answer, [[]], [["a", "b"]])
    if not math.isclose(nothing, 0.0, abs_tol=1e-9):
        raise WrongAnswer(f"an empty translation scores 0, got {nothing:.4g}")
    right = [bleu_from_definition(*pair) for pair in corpora]
    close = [
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
        for a, b in zip(scores, right, strict=True)
    ]
    if all(close):
        return
    first = close.index(False)
    case = f"{corpora[first][0][0]} for {corpora[first][1][0]}"
    slips = [_bleu_slips(*pair, r) for pair, r in zip(corpora, right, strict=True)]
    for name in slips[0]:
        pairs = zip(scores, (slip[name] for slip in slips), strict=True)
        if all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in pairs):
            raise WrongAnswer(f"{name} ({case})")
    raise WrongAnswer(f"got {scores[first]:.4g}, expected {right[first]:.4g} ({case})")


def _random_corpus(seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Draw references, and translations of them with words dropped and changed."""
    chance = random.Random(seed)
    references, hypotheses = [], []
    for _ in range(1 + seed % 4):
        words = [chance.choice("abcde") for _ in range(chance.randint(6, 14))]
        kept = [w for w in words if chance.random() < (0.8, 0.95)[seed % 2]]
        kept = [chance.choice("abcde") if chance.random() < 0.1 else w for w in kept]
        longer = kept + [chance.choice("abcde") for _ in range(3 * (seed % 3 == 2))]
        references.append(words)
        hypotheses.append(longer or ["a"])
    return hypotheses, references


def _scored(answer, hypotheses, references) -> float:
    """Call the answer and name its usual errors."""
    case = f"{hypotheses[-1]} for {references[-1]}"
    before = [list(h) for h in hypotheses], [list(r) for r in references]
    try:
        got = answer(hypotheses, references)
    except ZeroDivisionError:
        raise WrongAnswer(
            "division by zero: a translation may be shorter than n words or empty "
            f"({case})"
        ) from None
    except ValueError as error:
        if "math domain" not in str(error) and "positive" not in str(error):
            raise
        raise WrongAnswer(
            f"log(0): when no n-gram of some length matches, BLEU is 0 ({case})"
        ) from None
    if before != ([list(h) for h in hypotheses], [list(r) for r in references]):
        raise WrongAnswer(f"the function changes the sentences ({case})")
    if got is None:
        raise WrongAnswer("bleu returned None: is the return missing?")
    return float(got)


def _counts(hypotheses, references, clip=True) -> tuple[list[int], list[int]]:
    """Return matched and written n-grams over the corpus, for n = 1 … 4."""
    matches, totals = [0] * 4, [0] * 4
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            found, wanted = (
                [tuple(s[i : i + n]) for i in range(len(s) - n + 1)]
                for s in (hypothesis, reference)
            )
            totals[n - 1] += len(found)
            for gram in set(found):
                times, limit = found.count(gram), wanted.count(gram)
                matches[n - 1] += min(times, limit) if clip else times * (limit > 0)
    return matches, totals


def _bleu_slips(hypotheses, references, right: float) -> dict[str, float]:
    written, wanted = sum(map(len, hypotheses)), sum(map(len, references))
    matches, totals = _counts(hypotheses, references)
    brevity = min(1.0, math.exp(1 - wanted / written))
    shares = [m / t if t else 0.0 for m, t in zip(matches, totals, strict=True)]
    geometric = math.prod(shares) ** 0.25
    loose, _ = _counts(hypotheses, references, clip=False)
    unclipped = [m / t if t else 0.0 for m, t in zip(loose, totals, strict=True)]
    single = [
        bleu_from_definition([h], [r])
        for h, r in zip(hypotheses, references, strict=True)
    ]
    inverse = min(1.0, math.exp(1 - written / wanted))
    own = [
        min(1.0, math.exp(1 - len(r) / len(h))) if h else 0.0
        for h, r in zip(hypotheses, references, strict=True)
    ]
    each = [
        [m / t if t else None for m, t in zip(*_counts([h], [r]), strict=True)]
        for h, r in zip(hypotheses, references, strict=True)
    ]
    known = [[p for p in column if p is not None] for column in zip(*each, strict=True)]
    _, wide = _counts(references, references)
    recall = [m / t if t else 0.0 for m, t in zip(matches, wide, strict=True)]
    return {
        "the scale is 0 to 1: multiply by 100": right / 100,
        "the brevity penalty is missing": 100 * geometric,
        "the brevity penalty is turned around: it punishes short translations": (
            100 * inverse * geometric
        ),
        "the brevity penalty may exceed 1: BP = min(1, …)": (
            100 * math.exp(1 - wanted / written) * geometric
        ),
        "the brevity penalty is averaged over sentences: take the total lengths": (
            100 * sum(own) / len(own) * geometric
        ),
        "matches are not clipped: a word counts at most as often as in the "
        "reference": 100 * brevity * math.prod(unclipped) ** 0.25,
        "the mean over n is arithmetic: take the geometric one": (
            100 * brevity * sum(shares) / 4
        ),
        "the shares are multiplied without the exponent ¼": (
            100 * brevity * math.prod(shares)
        ),
        "this is the mean of the sentences' scores: add counts over the corpus "
        "first": sum(single) / len(single),
        "each p_n is averaged over sentences: add up matches and totals, then divide": (
            100 * brevity * math.prod(sum(c) / len(each) for c in known) ** 0.25
        ),
        "each p_n is averaged over the sentences that have n-grams: add up matches and "
        "totals, then divide": (
            100
            * brevity
            * math.prod(sum(c) / len(c) if c else 0.0 for c in known) ** 0.25
        ),
        "only single words are counted": 100 * brevity * shares[0],
        "matches are divided by the reference's n-grams: that is recall": (
            100 * brevity * math.prod(recall) ** 0.25
        ),
    }


# ---- 8.5 ----------------------------------------------------------------------------


def check_paired_bootstrap(answer) -> None:
    """Compare `paired_bootstrap(a, b, score, samples)` with the share of wins."""
    for seed in range(8):
        draw = torch.Generator().manual_seed(seed)
        num, width = 5 + seed % 4, 2
        a = torch.randint(1, 9, (num, width), generator=draw).double()
        b = a + torch.randint(-1, 3, (num, width), generator=draw).double().clamp(min=0)
        samples = torch.randint(num, (37, num), generator=draw)
        if seed == 5:
            b = a.clone()  # equal systems: never strictly better
        case = f"N={num}, R=37" + (", equal systems" if seed == 5 else "")
        before = a.clone(), b.clone(), samples.clone()
        got = answer(a, b, _share, samples)
        if got is None:
            raise WrongAnswer("paired_bootstrap returned None: is the return missing?")
        after = a, b, samples
        if not all(torch.equal(x, y) for x, y in zip(before, after, strict=True)):
            raise WrongAnswer(f"the function changes its inputs ({case})")
        got = float(got)
        if math.isclose(got, _wins(a, b, samples), abs_tol=1e-6):
            continue
        for name, value in _bootstrap_slips(a, b, samples).items():
            if math.isclose(got, value, abs_tol=1e-6):
                raise WrongAnswer(f"{name} ({case})")
        right = _wins(a, b, samples)
        raise WrongAnswer(f"got {got:.4g}, expected {right:.4g} ({case})")


def _share(sums) -> float:
    """Score a system by two sums: no mean over sentences, and not free of scale."""
    hits, total = (float(value) for value in sums)
    return hits - 0.02 * total**2


def _wins(a, b, samples, better=lambda x, y: y > x, other=None) -> float:
    """Return the share of resamples in which b scores better."""
    other = samples if other is None else other
    wins = [
        better(_share(a[left].sum(0)), _share(b[right].sum(0)))
        for left, right in zip(samples, other, strict=True)
    ]
    return sum(wins) / len(wins)


def _bootstrap_slips(a, b, samples) -> dict[str, float]:
    def sentence_mean(x, rows):
        return sum(_share(x[i]) for i in rows.tolist()) / len(rows)

    size = samples.shape[1]
    averaged = [
        _share(b[rows].sum(0) / size) > _share(a[rows].sum(0) / size)
        for rows in samples
    ]
    means = [sentence_mean(b, rows) > sentence_mean(a, rows) for rows in samples]
    parts = torch.stack([samples.eq(i).any(1) for i in range(len(a))], dim=1)
    once = [
        _share(b[keep].sum(0)) > _share(a[keep].sum(0)) for keep in parts
    ]  # each sentence at most once
    whole = float(_share(b.sum(0)) > _share(a.sum(0)))
    gaps = [_share(b[r].sum(0)) - _share(a[r].sum(0)) for r in samples]
    return {
        "this is the share in which a is better: the roles are swapped": _wins(
            b, a, samples
        ),
        "draws count as wins: strictly better is asked for": _wins(
            a, b, samples, lambda x, y: y >= x
        ),
        "scores of sentences are averaged: add the statistics first, then score": (
            sum(means) / len(means)
        ),
        "the means of the statistics are scored: score takes their sums": (
            sum(averaged) / len(averaged)
        ),
        "this is per cent: return a share from 0 to 1": 100 * _wins(a, b, samples),
        "this is the number of wins: divide it by the number of resamples": (
            len(samples) * _wins(a, b, samples)
        ),
        "each system has its own sentences: take the same sample for both, that is "
        "what paired means": _wins(a, b, samples, other=samples.flip(0)),
        "a sentence drawn twice counts twice": sum(once) / len(once),
        "only the whole test set is compared: resample it": whole,
        "this is the p-value 1 − wins: return the share of wins": (
            1 - _wins(a, b, samples)
        ),
        "this is the mean difference: count how often it is positive": (
            sum(gaps) / len(gaps)
        ),
    }


CHECKS = {
    "8.1": check_cross_attention,
    "8.2": check_teacher_forcing,
    "8.3": check_beam_search,
    "8.4": check_bleu,
    "8.5": check_paired_bootstrap,
}


# ---- calls --------------------------------------------------------------------------


def _draws(seed: int):
    """Return a function that draws float64 normal numbers of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _call(answer, inputs: tuple, case: str):
    """Call the answer; name errors of shape, and check that inputs stay as they are."""
    before = [tensor.clone() for tensor in inputs]
    try:
        got = answer(*inputs)
    except RuntimeError as error:
        misfit = re.search(r"shape|size|dimension|broadcast", str(error))
        if not misfit or isinstance(error, NotImplementedError):
            raise
        first = str(error).partition("\n")[0]
        raise WrongAnswer(
            "a product or a mask does not fit. The scores are (B, T, S); a mask "
            f"(B, 1, S) spreads over the T queries ({case}). PyTorch says: {first}"
        ) from None
    for tensor, copy in zip(inputs, before, strict=True):
        if not torch.equal(tensor, copy):
            raise WrongAnswer(f"the function changes its input in place ({case})")
    return got
