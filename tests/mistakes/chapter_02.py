"""Planted mistakes of chapter 2: scores, masked softmax, saturation, averages."""

import math

import torch

from attnbook import scores
from mistakes import Mistake


def four(dot=None, scaled=None, bilinear=None, additive=None):
    """Build a right answer for 2.1 with one score replaced."""

    def answer(q, k, W_bilinear, W, U, v):
        pairs = torch.tanh((q @ U.T).unsqueeze(-2) + (k @ W.T).unsqueeze(-3)) @ v
        return (
            dot(q, k) if dot else q @ k.mT,
            scaled(q, k) if scaled else q @ k.mT / q.shape[-1] ** 0.5,
            bilinear(q, k, W_bilinear) if bilinear else q @ W_bilinear.T @ k.mT,
            additive(q, k, W, U, v) if additive else pairs,
        )

    return answer


def four_by_einsum(q, k, W_bilinear, W, U, v):
    dot = torch.einsum("...td,...sd->...ts", q, k)
    bilinear = torch.einsum("...sd,de,...te->...ts", k, W_bilinear, q)
    pairs = (W @ k[..., None]).squeeze(-1)[..., None, :, :]
    pairs = pairs + (U @ q[..., None]).squeeze(-1)[..., :, None, :]
    return [dot, dot * q.shape[-1] ** -0.5, bilinear, (v * pairs.tanh()).sum(-1)]


def one_tanh_per_term(q, k, W, U, v):
    from_queries = (torch.tanh(q @ U.T) @ v).unsqueeze(-1)
    return from_queries + (torch.tanh(k @ W.T) @ v).unsqueeze(-2)


def detached(q, k):
    return torch.tensor((q @ k.mT).detach().numpy())


def centred_in_place(q, k, W_bilinear, W, U, v):
    right = four()(q, k, W_bilinear, W, U, v)
    k.data -= k.data.mean()
    return right


def by_exponentials(x, mask):
    """A right answer for 2.2 written from the definition."""
    floor = torch.finfo(x.dtype).min
    hidden = torch.where(mask, x, torch.full_like(x, floor))
    top = hidden.amax(dim=-1, keepdim=True).detach()
    raised = torch.where(mask, (hidden - top).clamp(min=-1e4), torch.full_like(x, -1e4))
    raised = raised.exp() * mask
    total = raised.sum(dim=-1, keepdim=True)
    return raised / torch.where(total > 0, total, torch.ones_like(total))


def minus_infinity_only(x, mask):
    return x.masked_fill(~mask, -math.inf).softmax(dim=-1)


def filler(value):
    return lambda x, mask: x.masked_fill(~mask, value).softmax(dim=-1)


def filler_then_zero(x, mask):
    small = x.masked_fill(~mask, -1e9 if x.dtype != torch.float16 else -6e4)
    return small.softmax(dim=-1) * mask


def in_place(x, mask):
    x.masked_fill_(~mask, -math.inf)
    return scores.masked_softmax(x, mask)


def renormalised(x, mask):
    p = x.softmax(dim=-1) * mask
    total = p.sum(dim=-1, keepdim=True)
    return p / total.masked_fill(total == 0, 1)


def naive_exponentials(x, mask):
    e = x.exp() * mask
    total = e.sum(dim=-1, keepdim=True)
    return e / total.masked_fill(total == 0, 1)


def in_single_precision(x, mask):
    right = scores.masked_softmax(x, mask)
    return right.float() if x.dtype == torch.float16 else right


def nan_repaired_too_late(x, mask):
    bias = torch.zeros_like(x).masked_fill(~mask, -math.inf)
    return (x + bias).softmax(dim=-1).nan_to_num(0.0)


def reversed_mask(x, mask):
    return scores.masked_softmax(x, (~mask).expand_as(x))


def over_queries(x, mask):
    return x.masked_fill(~mask, -math.inf).softmax(dim=-2).nan_to_num()


def simulate(logarithm=torch.log, scale=False, over=-1, total=torch.sum):
    """Build an answer for 2.3 with one thing changed."""

    def find_width(threshold):
        g = torch.Generator().manual_seed(1)
        for d in range(1, 129):
            q = torch.randn(2000, 1, d, generator=g)
            x = q @ torch.randn(2000, 16, d, generator=g).mT
            p = (x / d**0.5 if scale else x).softmax(dim=over)
            entropy = -total(p * logarithm(p.clamp_min(1e-30)), dim=-1)
            if entropy.mean() < threshold:
                return d
        return None

    return find_width


def bisect(threshold):
    """A right answer for 2.3 from the scores' distribution, by bisection."""
    g = torch.Generator().manual_seed(2)
    z = torch.randn(20_000, 16, generator=g, dtype=torch.float64)

    def entropy(d):
        length = torch.randn(20_000, d, generator=torch.Generator().manual_seed(d))
        p = (z * length.norm(dim=1, keepdim=True)).softmax(dim=1)
        return torch.special.entr(p).sum(dim=1).mean()

    low, high = 1, 128
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if entropy(middle) < threshold else (middle, high)
    return high


RANKS = {
    "rank of the scores": 3,
    "rank of the weights": 10,
    "rank of the log weights": 4,
    "favourites with d_k = 1": 2,
    "smallest d_k for ten favourites": 2,
}

PLANTED = {
    "2.1": [
        (
            "divides by D",
            r"by D instead of √D",
            four(scaled=lambda q, k: q @ k.mT / q.shape[-1]),
        ),
        ("no scale", r"not divided at all", four(scaled=lambda q, k: q @ k.mT)),
        (
            "bilinear transposed",
            r"W is transposed",
            four(bilinear=lambda q, k, W: q @ W @ k.mT),
        ),
        ("one tanh per term", r"one tanh per term", four(additive=one_tanh_per_term)),
        (
            "W and U exchanged",
            r"W and U are exchanged",
            four(additive=lambda q, k, W, U, v: scores_additive(q, k, U, W, v)),
        ),
        ("keys down", r"transposed; queries go down", four(dot=lambda q, k: k @ q.mT)),
        ("cuts the gradient", r"no gradient flows through the dot", four(dot=detached)),
        ("changes k", r"k was changed in place", centred_in_place),
        ("three tables", r"return the four", lambda *given: four()(*given)[:3]),
    ],
    "2.2": [
        ("−inf only", r"NaN; wanted zeros", minus_infinity_only),
        ("−1e4 filler", r"forbidden keys", filler(-1e4)),
        ("−1e9 filler", r"forbidden keys", filler(-1e9)),
        ("−1e9, then zero", r"not with −1e9", filler_then_zero),
        ("changes scores", r"scores was changed in place", in_place),
        (
            "mask after softmax",
            r"masked after the softmax",
            lambda x, m: x.softmax(-1) * m,
        ),
        ("renormalises after", r"far larger", renormalised),
        ("no maximum", r"subtract the row's maximum", naive_exponentials),
        ("score set to 0", r"set to 0", lambda x, m: (x * m).softmax(-1)),
        ("reversed mask", r"other way round", reversed_mask),
        ("ignores the mask", r"mask is not used", lambda x, m: x.softmax(-1)),
        ("softmax over queries", r"over keys", over_queries),
        ("returns float32", r"keep the dtype", in_single_precision),
        ("nan_to_num", r"gradient has NaN", nan_repaired_too_late),
    ],
    "2.3": [
        ("bits", r"natural logarithm", simulate(torch.log2)),
        ("scaled", r"no width found", simulate(scale=True)),
        ("softmax over one query", r"axis of length 1", simulate(over=1)),
        ("mean over keys", r"far too small", simulate(total=torch.mean)),
        ("guess", r"too large", lambda threshold: 64),
        ("float", r"whole number", lambda threshold: 45.0),
    ],
    "2.4": [
        (
            "scores of full rank",
            r"rank of the scores",
            RANKS | {"rank of the scores": 10},
        ),
        (
            "weights of rank 3",
            r"acts on each entry",
            RANKS | {"rank of the weights": 3},
        ),
        (
            "log weights of rank 3",
            r"one number per row",
            RANKS | {"rank of the log weights": 3},
        ),
        ("all keys win", r"positive queries", RANKS | {"favourites with d_k = 1": 10}),
        ("needs ten", r"on a circle", RANKS | {"smallest d_k for ten favourites": 10}),
        ("names changed", r"five names", {"rank": 3}),
    ],
    "2.5": [
        ("A^T V", r"A\^T V", lambda A, v: (v[:, None] * A[:, :, None]).sum(0)),
        ("mean", r"do not average", lambda A, v: (A[:, :, None] * v[None]).mean(1)),
        (
            "row sums",
            r"own row's sum",
            lambda A, v: (v[:, None] * A[:, :, None]).sum(1),
        ),
        (
            "column sums",
            r"own column's sum",
            lambda A, v: (v[None] * A[:, :, None]).sum(0),
        ),
        ("NumPy", r"no gradient", lambda A, v: torch.tensor((A @ v).detach().numpy())),
    ],
}


def scores_additive(q, k, W, U, v):
    return torch.tanh((q @ U.T).unsqueeze(-2) + (k @ W.T).unsqueeze(-3)) @ v


MISTAKES = [
    Mistake(exercise=exercise, name=name, names_it=names_it, answer=answer)
    for exercise, planted in PLANTED.items()
    for name, names_it, answer in planted
]

ACCEPTED = {
    "2.1": [four(), four_by_einsum],
    "2.2": [scores.masked_softmax, by_exponentials],
    "2.3": [simulate(), bisect],
    "2.4": [dict(RANKS), lambda: dict(RANKS)],
    "2.5": [lambda A, v: A @ v, lambda A, v: torch.einsum("ts,sd->td", A, v)],
}
