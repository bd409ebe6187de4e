"""Planted wrong answers to the exercises of chapter 8."""

import math
from collections import Counter

import torch
import torch.nn.functional as F

from attnbook.bleu import bleu_from_definition
from mistakes import Mistake

# ---- 8.1: cross-attention with source padding ---------------------------------------


def visible(memory, lengths, more=0):
    return (torch.arange(memory.shape[1]) < lengths[:, None] + more)[:, None]


def cross(fill=-math.inf, more=0, scale=True, turned=False, dim=-1, after=False):
    """Return cross-attention with a fault."""

    def cross_attention(x, memory, lengths, W_q, W_k, W_v):
        scores = (x @ W_q) @ (memory @ W_k).mT
        scores = scores / math.sqrt(W_q.shape[1]) if scale else scores
        mask = visible(memory, lengths, more)
        mask = ~mask if turned else mask
        if after:
            weights = scores.softmax(dim) * mask
        elif fill is None:
            weights = scores.softmax(dim)
        else:
            weights = scores.masked_fill(~mask, fill).softmax(dim).nan_to_num(0)
        return weights @ (memory @ W_v)

    return cross_attention


def zeros_then_hidden(x, memory, lengths, W_q, W_k, W_v):
    scores = (x @ W_q) @ (memory @ W_k).mT / math.sqrt(W_q.shape[1])
    mask = visible(memory, lengths)
    return scores.masked_fill(~mask, 0.0).softmax(-1) * mask @ (memory @ W_v)


def scaled_by_width(x, memory, lengths, W_q, W_k, W_v):
    wrong = math.sqrt(W_q.shape[1] / W_q.shape[0])
    return cross()(x, memory, lengths, W_q * wrong, W_k, W_v)


def swapped(x, memory, lengths, W_q, W_k, W_v):
    return cross()(memory, x, lengths, W_q, W_k, W_v)


def swapped_unmasked(x, memory, lengths, W_q, W_k, W_v):
    scores = (memory @ W_q) @ (x @ W_k).mT / math.sqrt(W_q.shape[1])
    return scores.softmax(-1) @ (x @ W_v)


def nan_row(x, memory, lengths, W_q, W_k, W_v):
    scores = (x @ W_q) @ (memory @ W_k).mT / math.sqrt(W_q.shape[1])
    scores = scores.masked_fill(~visible(memory, lengths), -math.inf)
    return scores.softmax(-1) @ (memory @ W_v)


def never_the_memory(x, memory, lengths, W_q, W_k, W_v):
    source = x if x.shape[-1] == memory.shape[-1] else memory
    return cross()(x, source, lengths.clamp(max=source.shape[1]), W_q, W_k, W_v)


def target_mask(x, memory, lengths, W_q, W_k, W_v):
    scores = (x @ W_q) @ (memory @ W_k).mT / math.sqrt(W_q.shape[1])
    mask = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
    return scores.masked_fill(~mask, -math.inf).softmax(-1).nan_to_num(0) @ (
        memory @ W_v
    )


def flat_mask(x, memory, lengths, W_q, W_k, W_v):
    scores = (x @ W_q) @ (memory @ W_k).mT / math.sqrt(W_q.shape[1])
    mask = visible(memory, lengths)[:, 0]  # (B, S), without the axis of queries
    return scores.masked_fill(~mask, -math.inf).softmax(-1) @ (memory @ W_v)


def finite_fill(x, memory, lengths, W_q, W_k, W_v):
    out = cross(fill=-1e4)(x, memory, lengths, W_q, W_k, W_v)
    return out * (lengths > 0)[:, None, None]


def detached(x, memory, lengths, W_q, W_k, W_v):
    return cross()(x, memory, lengths, W_q, W_k, W_v).detach()


def fused(x, memory, lengths, W_q, W_k, W_v):
    mask = visible(memory, lengths)
    out = F.scaled_dot_product_attention(
        x @ W_q, memory @ W_k, memory @ W_v, attn_mask=mask
    )
    return torch.where((lengths > 0)[:, None, None], out, torch.zeros_like(out))


def one_by_one(x, memory, lengths, W_q, W_k, W_v):
    rows = []
    for mine, theirs, length in zip(x, memory, lengths.tolist(), strict=True):
        words = theirs[:length]
        scores = (mine @ W_q) @ (words @ W_k).T / math.sqrt(W_q.shape[1])
        rows.append(scores.softmax(-1) @ (words @ W_v))
    return torch.stack(rows)


# ---- 8.2: shifted targets -----------------------------------------------------------


def filled(rows, pad):
    longest = max(map(len, rows))
    return torch.tensor([[*row] + [pad] * (longest - len(row)) for row in rows])


def from_whole(cut_inputs=True, cut_labels=True):
    """Return the common recipe: add both marks, pad, then cut columns."""

    def teacher_forcing(sentences, pad, start, end):
        whole = filled([[start, *ids, end] for ids in sentences], pad)
        inputs = whole[:, :-1] if cut_inputs else whole
        return inputs, whole[:, 1:] if cut_labels else whole

    return teacher_forcing


def not_shifted(sentences, pad, start, end):
    inputs = filled([[start, *ids] for ids in sentences], pad)
    return inputs, inputs


def end_behind_padding(sentences, pad, start, end):
    bare = filled(sentences, pad).long()
    last = torch.full((len(bare), 1), end)
    return filled([[start, *ids] for ids in sentences], pad), torch.cat((bare, last), 1)


def no_start(sentences, pad, start, end):
    labels = filled([[*ids, end] for ids in sentences], pad)
    return labels, labels


def no_end(sentences, pad, start, end):
    inputs = filled([[start, *ids] for ids in sentences], pad)
    return inputs, filled(sentences, pad).long()


def padding_for_end(sentences, pad, start, end):
    inputs = filled([[start, *ids] for ids in sentences], pad)
    return inputs, filled([[*ids, pad] for ids in sentences], pad)


def padded_left(sentences, pad, start, end):
    size = 1 + max(map(len, sentences))
    both = [[start, *ids] for ids in sentences], [[*ids, end] for ids in sentences]
    inputs, labels = (
        torch.tensor([[pad] * (size - len(row)) + row for row in rows]) for rows in both
    )
    return inputs, labels


def one_tensor(sentences, pad, start, end):
    return filled([[start, *ids, end] for ids in sentences], pad)


def marks_added_in_place(sentences, pad, start, end):
    for ids in sentences:
        ids.insert(0, start)
    inputs = filled(sentences, pad)
    for ids in sentences:
        ids.append(end)
        del ids[0]
    return inputs, filled(sentences, pad)


def right_shift(sentences, pad, start, end):
    inputs = filled([[start, *ids] for ids in sentences], pad)
    return inputs, filled([[*ids, end] for ids in sentences], pad)


def by_scatter(sentences, pad, start, end):
    size = len(sentences), 1 + max(map(len, sentences))
    inputs, labels = torch.full(size, pad), torch.full(size, pad)
    inputs[:, 0] = start
    for row, ids in enumerate(sentences):
        for place, token in enumerate(ids):
            inputs[row, place + 1] = labels[row, place] = token
        labels[row, len(ids)] = end
    return inputs, labels


# ---- 8.3: beam search ---------------------------------------------------------------


def search(
    width=None,
    penalty=lambda n, alpha: ((5 + n) / 6) ** alpha,
    add=lambda log_probs: log_probs,
    prune=None,
    stop_first=False,
    keep_ended=True,
    grow_ended=False,
    per_beam=None,
):
    """Return a beam search with a fault."""

    def beam_search(step, num_beams, max_len, alpha):
        beam = [((), 0.0)]
        for _ in range(max_len):
            grown = []
            for tokens, total in beam:
                over = bool(tokens) and tokens[-1] == 0
                if over and keep_ended:
                    grown.append((tokens, total))
                if over and not grow_ended:
                    continue
                values = add(step(tokens)).tolist()
                children = [((*tokens, i), total + v) for i, v in enumerate(values)]
                grown += sorted(children, key=lambda h: -h[1])[:per_beam]
            key = (lambda h: prune(h, alpha)) if prune else (lambda h: h[1])
            beam = sorted(grown, key=key, reverse=True)[: width or num_beams]
            ends = [tokens[-1] == 0 for tokens, _ in beam]
            if all(ends) or (stop_first and any(ends)):
                break
        over = [h for h in beam if h[0][-1] == 0] or beam
        if not over:
            return ()
        return max(over, key=lambda h: h[1] / penalty(len(h[0]), alpha))[0]

    return beam_search


def penalised(hypothesis, alpha):
    tokens, total = hypothesis
    return total / ((5 + len(tokens)) / 6) ** alpha


def without_end(step, num_beams, max_len, alpha):
    return tuple(t for t in search()(step, num_beams, max_len, alpha) if t != 0)


def leaves_the_beam(refill):
    """Return a beam search in which finished hypotheses give up their places."""

    def beam_search(step, num_beams, max_len, alpha):
        live, done = [((), 0.0)], []
        for _ in range(max_len):
            grown = []
            for tokens, total in live:
                for i, value in enumerate(step(tokens).tolist()):
                    grown.append(((*tokens, i), total + value))
            grown.sort(key=lambda h: -h[1])
            done += [h for h in grown[:num_beams] if h[0][-1] == 0]
            live = [h for h in grown[: None if refill else num_beams] if h[0][-1]]
            live = live[:num_beams]
            if not live or (refill and len(done) >= num_beams):
                break
        return max(done or live, key=lambda h: penalised(h, alpha))[0]

    return beam_search


def in_tensors(step, num_beams, max_len, alpha):
    """Right, written another way: a list that is sorted by total at every step."""
    live, finished = [[0.0]], []
    for _ in range(max_len):
        pool = [(h[0], h, True) for h in finished]
        for h in live:
            for token, value in enumerate(step(tuple(h[1:]))):
                pool.append((h[0] + float(value), [h[0] + float(value), *h[1:], token]))
                pool[-1] = (*pool[-1], token == 0)
        pool.sort(key=lambda entry: entry[0], reverse=True)
        chosen = pool[:num_beams]
        finished = [h for _, h, over in chosen if over]
        live = [h for _, h, over in chosen if not over]
        if not live:
            break
    best = sorted(finished or live, key=lambda h: h[0] / ((4 + len(h)) / 6) ** alpha)[
        -1
    ]
    return torch.tensor(best[1:])


# ---- 8.4: BLEU ----------------------------------------------------------------------


def grams(words, n):
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def score(
    clip=True,
    brevity=lambda c, r: min(1.0, math.exp(1 - r / c)) if c else 0.0,
    mean=lambda shares: math.prod(shares) ** 0.25,
    scale=100,
    orders=4,
    recall=False,
):
    """Return BLEU with a fault."""

    def bleu(hypotheses, references):
        shares = []
        for n in range(1, orders + 1):
            hits = total = 0
            for h, r in zip(hypotheses, references, strict=True):
                found, wanted = grams(h, n), grams(r, n)
                both = found & wanted
                hits += sum(both.values() if clip else (found[g] for g in both))
                total += sum((wanted if recall else found).values())
            shares.append(hits / total if total else 0.0)
        c, r = sum(map(len, hypotheses)), sum(map(len, references))
        return scale * brevity(c, r) * mean(shares)

    return bleu


def sentence_mean(hypotheses, references):
    pairs = list(zip(hypotheses, references, strict=True))
    return sum(bleu_from_definition([h], [r]) for h, r in pairs) / len(pairs)


def share_mean(skip):
    """Return BLEU whose p_n are means over sentences."""

    def bleu(hypotheses, references):
        shares = []
        for n in range(1, 5):
            each = []
            for h, r in zip(hypotheses, references, strict=True):
                found = grams(h, n)
                if found or not skip:
                    hits = (found & grams(r, n)).total()
                    each.append(hits / max(1, found.total()))
            shares.append(sum(each) / max(1, len(each)))
        c, r = sum(map(len, hypotheses)), sum(map(len, references))
        return (
            100 * min(1.0, math.exp(1 - r / max(c, 0.01))) * math.prod(shares) ** 0.25
        )

    return bleu


def empty_divides(hypotheses, references):
    c, r = sum(map(len, hypotheses)), sum(map(len, references))
    math.exp(1 - r / c)
    return bleu_from_definition(hypotheses, references)


def empty_is_perfect(hypotheses, references):
    if not any(hypotheses):
        return 100.0
    return bleu_from_definition(hypotheses, references)


def log_of_zero(hypotheses, references):
    total = 0.0
    for n in range(1, 5):
        pairs = zip(hypotheses, references, strict=True)
        hits = sum((grams(h, n) & grams(r, n)).total() for h, r in pairs)
        total += math.log(hits / sum(grams(h, n).total() for h in hypotheses)) / 4
    c, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / c)) * math.exp(total)


def shortest_first(hypotheses, references):
    total = 0.0
    for n in range(1, 5):
        for h in hypotheses:
            total += 1 / sum(grams(h, n).values())
    return score()(hypotheses, references)


# ---- 8.5: paired bootstrap ----------------------------------------------------------


def bootstrap(better=lambda x, y: y > x, second=lambda rows: rows):
    """Return a bootstrap with a fault."""

    def paired_bootstrap(a, b, score, samples):
        pairs = zip(samples, second(samples), strict=True)
        wins = [better(score(a[i].sum(0)), score(b[j].sum(0))) for i, j in pairs]
        return sum(wins) / len(wins)

    return paired_bootstrap


def mean_of_scores(a, b, score, samples):
    wins = 0
    for rows in samples:
        left, right = (sum(score(x[i]) for i in rows) for x in (a, b))
        wins += right > left
    return wins / len(samples)


def each_once(a, b, score, samples):
    wins = 0
    for rows in samples:
        rows = rows.unique()
        wins += score(b[rows].sum(0)) > score(a[rows].sum(0))
    return wins / len(samples)


def of_means(a, b, score, samples):
    wins = [score(b[i].mean(0)) > score(a[i].mean(0)) for i in samples]
    return sum(wins) / len(wins)


def per_cent(a, b, score, samples):
    return 100 * bootstrap()(a, b, score, samples)


def p_value(a, b, score, samples):
    return 1 - bootstrap()(a, b, score, samples)


def by_counts(a, b, score, samples):
    wins = torch.zeros(len(samples))
    for row, rows in enumerate(samples):
        times = torch.bincount(rows, minlength=len(a)).to(a.dtype)
        wins[row] = score(times @ b) > score(times @ a)
    return wins.mean()


MISTAKES = [
    Mistake(
        exercise=exercise,
        name=name,
        names_it=names_it,
        answer=answer,
    )
    for exercise, name, names_it, answer in [
        ("8.1", "no mask", r"padding is not masked", cross(fill=None)),
        ("8.1", "mask after softmax", r"after the softmax", cross(after=True)),
        ("8.1", "filled with 0", r"set to 0, not to −inf", cross(fill=0.0)),
        ("8.1", "mask turned around", r"turned around", cross(turned=True)),
        ("8.1", "no scale", r"not scaled by 1/√d_k", cross(scale=False)),
        ("8.1", "softmax over queries", r"over the target positions", cross(dim=-2)),
        ("8.1", "one position too many", r"one position too many", cross(more=1)),
        ("8.1", "reads itself", r"memory is never read", never_the_memory),
        ("8.1", "target positions hidden", r"hides target positions", target_mask),
        ("8.1", "mask without an axis", r"mask does not fit", flat_mask),
        ("8.1", "finite fill", r"a finite fill", finite_fill),
        ("8.1", "NaN for an empty sentence", r"length 0", nan_row),
        ("8.1", "zeros, then hidden", r"comes too late", zeros_then_hidden),
        ("8.1", "scaled by the width", r"√d of the tokens", scaled_by_width),
        ("8.1", "roles swapped", r"swapped", swapped),
        ("8.1", "roles swapped, no mask", r"swapped", swapped_unmasked),
        ("8.1", "detached", r"no gradient reaches the maps", detached),
        ("8.2", "end left in the inputs", r"cuts it from the longest", from_whole()),
        ("8.2", "inputs not cut", r"still hold the end mark", from_whole(False)),
        ("8.2", "not shifted", r"nothing is shifted", not_shifted),
        ("8.2", "end behind padding", r"behind the padding", end_behind_padding),
        ("8.2", "no start mark", r"begin with the start mark", no_start),
        ("8.2", "no end mark", r"never learns to stop", no_end),
        ("8.2", "padding for the end", r"padding in its place", padding_for_end),
        ("8.2", "padded on the left", r"stands on the left", padded_left),
        ("8.2", "one tensor", r"return two tensors", one_tensor),
        ("8.2", "changed in place", r"changes the sentences", marks_added_in_place),
        ("8.3", "greedy", r"greedy search", search(width=1)),
        (
            "8.3",
            "no penalty",
            r"length penalty is not used",
            search(penalty=lambda n, alpha: 1.0),
        ),
        (
            "8.3",
            "divided by length",
            r"divided by the length",
            search(penalty=lambda n, alpha: n),
        ),
        ("8.3", "pruned by penalised score", r"rule 2", search(prune=penalised)),
        ("8.3", "stops at the first end", r"first hypothesis", search(stop_first=True)),
        ("8.3", "ended are dropped", r"ended are dropped", search(keep_ended=False)),
        (
            "8.3",
            "ended are extended",
            r"extended further",
            search(grow_ended=True, keep_ended=False),
        ),
        (
            "8.3",
            "probabilities added",
            r"probabilities are added|four rules",
            search(add=torch.exp),
        ),
        ("8.3", "one child per beam", r"one child|greedy", search(per_beam=1)),
        (
            "8.3",
            "alpha fixed",
            r"alpha is fixed",
            search(penalty=lambda n, alpha: ((5 + n) / 6) ** 0.6),
        ),
        (
            "8.3",
            "end mark not counted",
            r"end mark is not counted",
            search(penalty=lambda n, alpha: ((4 + n) / 6) ** alpha),
        ),
        ("8.3", "finished leave", r"keeps its place", leaves_the_beam(False)),
        ("8.3", "finished are replaced", r"keeps its place", leaves_the_beam(True)),
        ("8.3", "no end mark", r"end mark is missing", without_end),
        ("8.4", "not clipped", r"not clipped", score(clip=False)),
        (
            "8.4",
            "no brevity penalty",
            r"penalty is missing",
            score(brevity=lambda c, r: 1.0),
        ),
        ("8.4", "scale", r"multiply by 100", score(scale=1)),
        (
            "8.4",
            "arithmetic mean",
            r"mean over n is arithmetic",
            score(mean=lambda shares: sum(shares) / 4),
        ),
        ("8.4", "product without root", r"exponent ¼", score(mean=math.prod)),
        ("8.4", "mean of sentences", r"mean of the sentences", sentence_mean),
        (
            "8.4",
            "only words",
            r"only single words",
            score(orders=1, mean=lambda shares: shares[0]),
        ),
        ("8.4", "recall", r"that is recall", score(recall=True)),
        (
            "8.4",
            "penalty turned around",
            r"turned around",
            score(brevity=lambda c, r: min(1.0, math.exp(1 - c / r))),
        ),
        (
            "8.4",
            "penalty above 1",
            r"BP = min\(1",
            score(brevity=lambda c, r: math.exp(1 - r / c) if c else 0.0),
        ),
        ("8.4", "shares averaged", r"p_n is averaged", share_mean(skip=False)),
        ("8.4", "known shares averaged", r"p_n is averaged", share_mean(skip=True)),
        ("8.4", "empty translation divides", r"or empty", empty_divides),
        ("8.4", "empty is perfect", r"empty translation scores 0", empty_is_perfect),
        ("8.4", "log of zero", r"log\(0\)", log_of_zero),
        ("8.4", "division by zero", r"shorter than n words", shortest_first),
        (
            "8.5",
            "roles swapped",
            r"roles are swapped|p-value",
            bootstrap(better=lambda x, y: y < x),
        ),
        (
            "8.5",
            "draws are wins",
            r"draws count as wins",
            bootstrap(better=lambda x, y: y >= x),
        ),
        (
            "8.5",
            "not paired",
            r"what paired means",
            bootstrap(second=lambda rows: rows.flip(0)),
        ),
        ("8.5", "mean of scores", r"then score", mean_of_scores),
        ("8.5", "scores of means", r"score takes their sums", of_means),
        ("8.5", "per cent", r"this is per cent", per_cent),
        ("8.5", "each sentence once", r"counts twice", each_once),
        ("8.5", "p-value", r"p-value|roles are swapped", p_value),
    ]
]
ACCEPTED = {
    "8.1": [fused, one_by_one],
    "8.2": [right_shift, by_scatter],
    "8.3": [search(), in_tensors],
    "8.4": [score(), bleu_from_definition],
    "8.5": [bootstrap(), by_counts],
}
