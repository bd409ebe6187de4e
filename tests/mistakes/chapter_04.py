"""Planted wrong answers to the exercises of chapter 4."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from mistakes import Mistake

# ---- 4.1: one head ------------------------------------------------------------------


def head(change=lambda scores, d_k, d_in: (scores / math.sqrt(d_k)).softmax(-1)):
    """Return a head whose weights come from `change`."""

    def single_head(x, W_q, W_k, W_v):
        q, k, v = x @ W_q, x @ W_k, x @ W_v
        weights = change(q @ k.transpose(-2, -1), W_q.shape[1], x.shape[-1])
        return weights @ v

    return single_head


def slipped_sum(x, W_q, W_k, W_v):
    q, k, v = x @ W_q, x @ W_k, x @ W_v
    A = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return (v.unsqueeze(-2) * A.unsqueeze(-1)).sum(-3)


def swapped(x, W_q, W_k, W_v):
    return head()(x, W_k, W_q, W_v)


def no_value_map(x, W_q, W_k, W_v):
    A = ((x @ W_q) @ (x @ W_k).mT / math.sqrt(W_q.shape[1])).softmax(-1)
    return A @ x


def through_numpy(x, W_q, W_k, W_v):
    q = torch.tensor(np.matmul(x.detach().numpy(), W_q.detach().numpy()))
    k = torch.tensor(np.matmul(x.detach().numpy(), W_k.detach().numpy()))
    v = torch.tensor(np.matmul(x.detach().numpy(), W_v.detach().numpy()))
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v


def values_without_gradient(x, W_q, W_k, W_v):
    return head()(x, W_q, W_k, W_v.detach())


def no_return(x, W_q, W_k, W_v):
    head()(x, W_q, W_k, W_v)


def by_loops(x, W_q, W_k, W_v):
    if x.dim() > 2:
        return torch.stack([by_loops(one, W_q, W_k, W_v) for one in x])
    q, k, v = x @ W_q, x @ W_k, x @ W_v
    rows = []
    for query in q:
        scores = torch.stack([query @ key for key in k]) / len(query) ** 0.5
        powers = torch.exp(scores - scores.max())
        rows.append((powers[:, None] * v).sum(0) / powers.sum())
    return torch.stack(rows)


def by_fused_kernel(x, W_q, W_k, W_v):
    return F.scaled_dot_product_attention(x @ W_q, x @ W_k, x @ W_v)


# ---- 4.2: causal weights ------------------------------------------------------------


def seen(scores, shift=0):
    """Return the bottom-right aligned mask, moved by `shift`."""
    T, S = scores.shape[-2:]
    return torch.ones(T, S).tril(S - T + shift).bool()


def causal(shift=0, fill=-math.inf, dim=-1):
    """Return a causal softmax with a fault."""
    return lambda scores: scores.masked_fill(~seen(scores, shift), fill).softmax(dim)


def mask_after(scores):
    return scores.softmax(-1) * seen(scores)


def top_left(scores):
    return scores.masked_fill(
        torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf
    ).softmax(-1)


def future_only(scores):
    return scores.masked_fill(seen(scores), -math.inf).softmax(-1)


def in_place(scores):
    return scores.masked_fill_(~seen(scores), -math.inf).softmax(-1)


def renormalised(scores):
    shifted = scores - scores.masked_fill(~seen(scores), -math.inf).amax(-1, True)
    powers = torch.exp(shifted.masked_fill(~seen(scores), -math.inf))
    return powers / powers.sum(-1, keepdim=True)


def row_by_row(scores):
    T, S = scores.shape[-2:]
    out = torch.zeros_like(scores)
    for t in range(T):
        stop = S - T + t + 1
        out[..., t, :stop] = scores[..., t, :stop].softmax(-1)
    return out


# ---- 4.3: self and cross ------------------------------------------------------------


def sources(ask, address, content):
    """Return attention whose q, k, v read x (0) or the source (1)."""

    def attend(x, source, W_q, W_k, W_v):
        both = x, x if source is None else source
        q, k, v = both[ask] @ W_q, both[address] @ W_k, both[content] @ W_v
        return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v

    def only_where_it_runs(x, source, *maps):
        same = source is not None and x.shape == source.shape
        return (attend if same else right)(x, source, *maps)

    return only_where_it_runs


def right(x, source, W_q, W_k, W_v):
    source = x if source is None else source
    return F.scaled_dot_product_attention(x @ W_q, source @ W_k, source @ W_v)


def by_einsum(x, source, W_q, W_k, W_v):
    if source is None:
        source = x
    q, k = x @ W_q / math.sqrt(W_q.shape[1]), source @ W_k
    weights = torch.einsum("...td,...sd->...ts", q, k).softmax(-1)
    return torch.einsum("...ts,...sd->...td", weights, source @ W_v)


def unscaled_cross(x, source, W_q, W_k, W_v):
    source = x if source is None else source
    return ((x @ W_q) @ (source @ W_k).mT).softmax(-1) @ (source @ W_v)


def over_queries(x, source, W_q, W_k, W_v):
    source = x if source is None else source
    scores = (x @ W_q) @ (source @ W_k).mT / math.sqrt(W_q.shape[1])
    return scores.softmax(-2) @ (source @ W_v)


# ---- 4.5: tests of equivariance -----------------------------------------------------


def compares(order, tolerance=1e-4, length=7, draw=torch.randn, dim=-2, times=1):
    """Return a test of one kind of order."""

    def is_equivariant(layer, d_in):
        for _ in range(times):
            x = draw(3, length, d_in)
            index = order(x.shape[dim])
            moved, out = layer(x.index_select(dim, index)), layer(x)
            if (moved - out.index_select(dim, index)).abs().max() > tolerance:
                return False
        return True

    return is_equivariant


def reversal(n):
    return torch.arange(n).flip(0)


def rotation(n):
    return torch.arange(n).roll(1)


def invariance(layer, d_in):
    x = torch.randn(1, 6, d_in)
    return torch.allclose(layer(x[:, torch.randperm(6)]), layer(x), atol=1e-4)


def two_orders(layer, d_in):
    x = torch.randn(1, 6, d_in)
    moved = layer(x[:, torch.randperm(6)])
    return torch.allclose(moved, layer(x)[:, torch.randperm(6)], atol=1e-4)


def bit_for_bit(layer, d_in):
    x = torch.randn(2, 40, d_in)
    order = torch.randperm(40)
    return torch.equal(layer(x[:, order]), layer(x)[:, order])


def shapes_only(layer, d_in):
    x = torch.randn(1, 6, d_in)
    return layer(x[:, torch.randperm(6)]).shape == layer(x).shape


def keeps_the_first(n):
    return torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(n - 1)])


def by_matrix(layer, d_in):
    x = torch.randn(9, d_in)
    P = torch.eye(9)[torch.randperm(9)]
    Q = torch.eye(9)[torch.arange(9).roll(4)]
    return all(
        torch.allclose(layer((M @ x)[None])[0], M @ layer(x[None])[0], atol=1e-4)
        for M in (P, Q)
    )


MISTAKES = [
    Mistake(
        exercise="4.1",
        name="no scale",
        names_it=r"not scaled by 1/√d_k",
        answer=head(lambda scores, d_k, d_in: scores.softmax(-1)),
    ),
    Mistake(
        exercise="4.1",
        name="divided by d_k",
        names_it=r"not by √d_k",
        answer=head(lambda scores, d_k, d_in: (scores / d_k).softmax(-1)),
    ),
    Mistake(
        exercise="4.1",
        name="scaled by the input's width",
        names_it=r"width of the input",
        answer=head(lambda scores, d_k, d_in: (scores / d_in**0.5).softmax(-1)),
    ),
    Mistake(
        exercise="4.1",
        name="softmax over queries",
        names_it=r"over keys: softmax over queries",
        answer=head(lambda scores, d_k, d_in: (scores / d_k**0.5).softmax(-2)),
    ),
    Mistake(
        exercise="4.1",
        name="AᵀV",
        names_it=r"weights\^T @ v",
        answer=slipped_sum,
    ),
    Mistake(
        exercise="4.1",
        name="queries and keys swapped",
        names_it=r"queries and keys are swapped",
        answer=swapped,
    ),
    Mistake(
        exercise="4.1",
        name="values not mapped",
        names_it=r"W_v is never used|: shape",
        answer=no_value_map,
    ),
    Mistake(
        exercise="4.1",
        name="through NumPy",
        names_it=r"NumPy",
        answer=through_numpy,
    ),
    Mistake(
        exercise="4.1",
        name="values detached",
        names_it=r"no gradient reaches W_v",
        answer=values_without_gradient,
    ),
    Mistake(
        exercise="4.1",
        name="nothing returned",
        names_it=r"is the return missing",
        answer=no_return,
    ),
    Mistake(
        exercise="4.2",
        name="mask after the softmax",
        names_it=r"comes after the softmax",
        answer=mask_after,
    ),
    Mistake(
        exercise="4.2",
        name="forbidden scores set to 0",
        names_it=r"not to −inf",
        answer=causal(fill=0.0),
    ),
    Mistake(
        exercise="4.2",
        name="a finite fill",
        names_it=r"finite fill",
        answer=causal(fill=-1e4),
    ),
    Mistake(
        exercise="4.2",
        name="aligned top-left",
        names_it=r"aligned top-left",
        answer=top_left,
    ),
    Mistake(
        exercise="4.2",
        name="one token of the future",
        names_it=r"one token of the future",
        answer=causal(shift=1),
    ),
    Mistake(
        exercise="4.2",
        name="own position hidden",
        names_it=r"may attend to itself",
        answer=causal(shift=-1),
    ),
    Mistake(
        exercise="4.2",
        name="mask turned around",
        names_it=r"turned around",
        answer=future_only,
    ),
    Mistake(
        exercise="4.2",
        name="softmax over queries",
        names_it=r"over the queries",
        answer=causal(dim=-2),
    ),
    Mistake(
        exercise="4.2",
        name="scores changed in place",
        names_it=r"in place",
        answer=in_place,
    ),
    Mistake(
        exercise="4.3",
        name="source never read",
        names_it=r"source is never read",
        answer=sources(0, 0, 0),
    ),
    Mistake(
        exercise="4.3",
        name="queries from the source",
        names_it=r"the one who asks is x",
        answer=sources(1, 1, 1),
    ),
    Mistake(
        exercise="4.3",
        name="roles swapped",
        names_it=r"roles swapped",
        answer=lambda x, source, W_q, W_k, W_v: (
            right(source, x, W_q, W_k, W_v)
            if source is not None and x.shape[-1] == source.shape[-1]
            else right(x, source, W_q, W_k, W_v)
        ),
    ),
    Mistake(
        exercise="4.3",
        name="values from x",
        names_it=r"values come from x",
        answer=sources(0, 1, 0),
    ),
    Mistake(
        exercise="4.3",
        name="keys from x",
        names_it=r"keys come from x",
        answer=sources(0, 0, 1),
    ),
    Mistake(
        exercise="4.3",
        name="no scale",
        names_it=r"not scaled by 1/√d_k",
        answer=unscaled_cross,
    ),
    Mistake(
        exercise="4.3",
        name="softmax over queries",
        names_it=r"over keys: softmax over queries",
        answer=over_queries,
    ),
    Mistake(
        exercise="4.4",
        name="zeros above the diagonal taken as proof",
        names_it=r"model A .* sum over the future",
        answer={"A": 5, "B": 5, "C": 3},
    ),
    Mistake(
        exercise="4.4",
        name="renormalising not seen",
        names_it=r"model B does not leak",
        answer={"A": 0, "B": 0, "C": 3},
    ),
    Mistake(
        exercise="4.4",
        name="one layer counted for two",
        names_it=r"model C .* second layer",
        answer={"A": 0, "B": 5, "C": 4},
    ),
    Mistake(
        exercise="4.4",
        name="yes and no instead of positions",
        names_it=r"give a position",
        answer={"A": True, "B": False, "C": True},
    ),
    Mistake(
        exercise="4.5",
        name="reversal only",
        names_it=r"survives a reversal",
        answer=compares(reversal),
    ),
    Mistake(
        exercise="4.5",
        name="rotation only",
        names_it=r"survives a rotation",
        answer=compares(rotation),
    ),
    Mistake(
        exercise="4.5",
        name="loose tolerance",
        names_it=r"Tighten the tolerance",
        answer=compares(torch.randperm, tolerance=0.5),
    ),
    Mistake(
        exercise="4.5",
        name="first token stays",
        names_it=r"move the first token",
        answer=compares(keeps_the_first, times=5),
    ),
    Mistake(
        exercise="4.5",
        name="equal tokens",
        names_it=r"different tokens",
        answer=compares(torch.randperm, draw=torch.ones),
    ),
    Mistake(
        exercise="4.5",
        name="batch permuted",
        names_it=r"not of batch",
        answer=compares(torch.randperm, dim=0),
    ),
    Mistake(
        exercise="4.5",
        name="invariance asked for",
        names_it=r"not with f\(X\)",
        answer=invariance,
    ),
    Mistake(
        exercise="4.5",
        name="two different orders",
        names_it=r"same order for both",
        answer=two_orders,
    ),
    Mistake(
        exercise="4.5",
        name="bit for bit",
        names_it=r"rounding",
        answer=bit_for_bit,
    ),
    Mistake(
        exercise="4.5",
        name="shapes only",
        names_it=r"compare the values",
        answer=shapes_only,
    ),
]

ACCEPTED = {
    "4.1": [by_loops, by_fused_kernel],
    "4.2": [renormalised, row_by_row],
    "4.3": [right, by_einsum],
    "4.4": [{"A": 0, "B": 5, "C": 3}, {"C": 3, "B": 5, "A": 0}],
    "4.5": [compares(torch.randperm, times=5), by_matrix],
}
