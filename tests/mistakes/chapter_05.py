"""Planted wrong answers to the exercises of chapter 5."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from mistakes import Mistake

# ---- 5.1: multi-head attention ------------------------------------------------------


def to_heads(x, num_heads):
    B, T, D = x.shape
    return x.view(B, T, num_heads, D // num_heads).transpose(1, 2)


def layer(
    order=(0, 1, 2),
    split=to_heads,
    scale=lambda D, H: math.sqrt(D // H),
    fill=lambda scores, allowed: scores.masked_fill(~allowed, -math.inf),
    dim=-1,
    merge=lambda c: c.transpose(1, 2).flatten(2),
    out_map=F.linear,
    shown=lambda weights: weights,
):
    """Return multi-head attention with a fault."""

    def multi_head(x, in_weight, in_bias, out_weight, out_bias, num_heads, mask=None):
        packed = F.linear(x, in_weight, in_bias).chunk(3, dim=-1)
        q, k, v = (split(packed[i], num_heads) for i in order)
        scores = q @ k.mT / scale(x.shape[-1], num_heads)
        if mask is not None:
            scores = fill(scores, mask)
        weights = scores.softmax(dim)
        if mask is not None and dim == -2:
            weights = weights.nan_to_num(0)
        return out_map(merge(weights @ v), out_weight, out_bias), shown(weights)

    return multi_head


def viewed(x, num_heads):
    B, T, D = x.shape
    return x.contiguous().view(B, num_heads, T, D // num_heads)


def by_head(x, in_weight, in_bias, out_weight, out_bias, num_heads, mask=None):
    """Reads the rows as q, k, v of head 0, then q, k, v of head 1, …"""
    D, H = x.shape[-1], num_heads
    rows = torch.arange(3 * D).view(H, 3, D // H).transpose(0, 1).flatten()
    return layer()(x, in_weight[rows], in_bias[rows], out_weight, out_bias, H, mask)


def mask_after(x, in_weight, in_bias, out_weight, out_bias, num_heads, mask=None):
    q, k, v = (
        to_heads(y, num_heads) for y in F.linear(x, in_weight, in_bias).chunk(3, -1)
    )
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    if mask is not None:
        weights = weights * mask
    out = F.linear((weights @ v).transpose(1, 2).flatten(2), out_weight, out_bias)
    return out, weights


def without_gradient(*inputs):
    return tuple(part.detach() for part in layer()(*inputs))


def only_out(*inputs):
    return layer()(*inputs)[0]


def in_place(x, *rest):
    x -= x.mean()
    return layer()(x, *rest)


def by_torch(x, in_weight, in_bias, out_weight, out_bias, num_heads, attn_mask=None):
    D = x.shape[-1]
    module = nn.MultiheadAttention(D, num_heads, batch_first=True, dtype=x.dtype)
    names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    values = (in_weight, in_bias, out_weight, out_bias)
    options = {"average_attn_weights": False}
    if attn_mask is not None:
        options["attn_mask"] = ~attn_mask
    state = dict(zip(names, values, strict=True))
    return torch.func.functional_call(module, state, (x, x, x), options)


def by_loop(x, in_weight, in_bias, out_weight, out_bias, num_heads, attn_mask=None):
    D = x.shape[-1]
    width, out, maps = D // num_heads, out_bias, []
    for h in range(num_heads):
        rows = [slice(i * D + h * width, i * D + (h + 1) * width) for i in range(3)]
        q, k, v = (x @ in_weight[r].T + in_bias[r] for r in rows)
        scores = torch.einsum("btd,bsd->bts", q, k) * width**-0.5
        if attn_mask is not None:
            scores = torch.where(attn_mask, scores, -math.inf)
        maps.append(torch.softmax(scores, -1))
        out = out + maps[-1] @ v @ out_weight[:, rows[0]].T
    return out, torch.stack(maps, dim=1)


# ---- 5.2: fuse ----------------------------------------------------------------------


def fused(stack=lambda W: W.mT.flatten(0, 1), order=(0, 1, 2), out=None):
    """Return `fuse` with a fault."""

    def fuse(W_q, W_k, W_v, W_o):
        maps = W_q, W_k, W_v
        right = W_o.flatten(0, 1).T
        in_weight = torch.cat([stack(maps[i]) for i in order])
        return in_weight, right if out is None else out(W_o)

    return fuse


def sorted_by_head(W_q, W_k, W_v, W_o):
    rows = [W[h].T for h in range(len(W_q)) for W in (W_q, W_k, W_v)]
    return torch.cat(rows), W_o.flatten(0, 1).T


def wide(W_q, W_k, W_v, W_o):
    columns = [W[h] for W in (W_q, W_k, W_v) for h in range(len(W))]
    return torch.cat(columns, dim=1), W_o.flatten(0, 1).T


def head_by_head(W_q, W_k, W_v, W_o):
    rows = [W[h].T for W in (W_q, W_k, W_v) for h in range(len(W))]
    return torch.cat(rows), torch.cat([W.T for W in W_o], dim=1)


def filled(W_q, W_k, W_v, W_o):
    H, D, width = W_q.shape
    in_weight, out_weight = W_q.new_zeros(3 * D, D), W_q.new_zeros(D, D)
    for i, W in enumerate((W_q, W_k, W_v)):
        for h in range(H):
            start = i * D + h * width
            in_weight[start : start + width] = W[h].T
    for h in range(H):
        out_weight[:, h * width : (h + 1) * width] = W_o[h].T
    return in_weight, out_weight


# ---- 5.3: prune ---------------------------------------------------------------------


def slopes_of(parts, answer, labels):
    gates = torch.ones(parts.shape[:2], dtype=parts.dtype, requires_grad=True)
    logits = answer((gates.unsqueeze(-1) * parts).sum(1))
    F.cross_entropy(logits, labels, reduction="sum").backward()
    return gates.grad


def accuracy(parts, answer, labels, kept):
    logits = answer(parts[:, kept].sum(1))
    return (logits.argmax(-1) == labels).double().mean().item()


def pruning(
    importance=lambda s: s.abs().mean(0), good=lambda a, t: a >= t, late=False, last=1
):
    """Return `prune` with a fault."""

    def prune(parts, answer, labels, target):
        kept = list(range(parts.shape[1]))
        for head in importance(slopes_of(parts, answer, labels)).argsort().tolist():
            if len(kept) == last:
                break
            rest = [h for h in kept if h != head]
            fine = good(accuracy(parts, answer, labels, rest), target)
            if late:
                kept = rest
            if not fine:
                break
            kept = rest
        return sorted(kept)

    return prune


def by_norm(parts, answer, labels, target):
    size = parts.norm(dim=-1).mean(0)
    return pruning(importance=lambda s: size)(parts, answer, labels, target)


def removed(parts, answer, labels, target):
    kept = pruning()(parts, answer, labels, target)
    return [h for h in range(parts.shape[1]) if h not in kept]


def unsorted(parts, answer, labels, target):
    kept = pruning()(parts, answer, labels, target)
    order = slopes_of(parts, answer, labels).abs().mean(0).argsort().tolist()
    return [h for h in order if h in kept]


def skipping(parts, answer, labels, target):
    """Goes on with later heads where one could not be removed."""
    kept = list(range(parts.shape[1]))
    order = slopes_of(parts, answer, labels).abs().mean(0).argsort().tolist()
    for head in order:
        rest = [h for h in kept if h != head]
        if rest and accuracy(parts, answer, labels, rest) >= target:
            kept = rest
    return kept


def again(parts, answer, labels, target):
    """Computes the importance again after each removal."""
    kept = list(range(parts.shape[1]))
    while len(kept) > 1:
        importance = slopes_of(parts[:, kept], answer, labels).abs().mean(0)
        rest = [h for i, h in enumerate(kept) if i != importance.argmin()]
        if accuracy(parts, answer, labels, rest) < target:
            break
        kept = rest
    return kept


def with_gates(parts, answer, labels, target):
    """Prunes by zero gates, from the softmax's own gradient."""
    N, H = parts.shape[:2]
    gates = torch.ones(N, H, 1, dtype=parts.dtype, requires_grad=True)
    picked = answer((gates * parts).sum(1)).log_softmax(-1)[torch.arange(N), labels]
    (slopes,) = torch.autograd.grad(-picked.sum(), gates)
    order = slopes[..., 0].abs().sum(0).argsort()
    open_gates, best = torch.ones(H, dtype=parts.dtype), set(range(H))
    for head in order[:-1]:
        open_gates[head] = 0
        logits = answer((open_gates[:, None] * parts).sum(1))
        if (logits.argmax(-1) == labels).double().mean() < target:
            break
        best.discard(int(head))
    return tuple(sorted(best))


# ---- 5.4: two facts -----------------------------------------------------------------


def maps(c=lambda S: 100 * math.sqrt(S), ask=(0, 1), key=0, value=1, write=(0, 1)):
    """Return the weights of two heads that read and write the given halves."""

    def two_heads(S):
        half = torch.eye(2 * S).split(S, dim=1)
        W_q = c(S) * torch.stack([half[i] for i in ask])
        W_k, W_v = torch.stack([half[key]] * 2), torch.stack([half[value]] * 2)
        return W_q, W_k, W_v, torch.stack([half[i].T for i in write])

    return two_heads


def transposed(S):
    W_q, W_k, W_v, W_o = maps()(S)
    return W_q.mT, W_k, W_v, W_o


def names_in_one(S):
    W_q, W_k, W_v, W_o = maps()(S)
    return W_q, W_k, torch.stack([W_k[0], W_v[1]]), W_o


def exchanged_twice(S):
    """Head 1 serves question 2 and head 2 question 1, all in float64."""
    return [weight.double() for weight in maps(ask=(1, 0), write=(1, 0))(S)]


# ---- 5.5: other weights -------------------------------------------------------------


def walk(
    columns=lambda v: torch.cat([v, torch.ones_like(v[:, :1])], 1),
    share=1.0,
    full=True,
):
    """Walk along a null direction until the first weight is 0, or a share of it."""

    def other_weights(weights, v):
        u = torch.linalg.svd(columns(v).T, full_matrices=full).Vh[-1]
        shrinking = u < -1e-12
        step = (weights[shrinking] / -u[shrinking]).min()
        return weights + share * step * u

    return other_weights


def one_dropped(weights, v):
    other = weights.clone()
    other[other.argmin()] = 0
    return other / other.sum()


def other_way(weights, v):
    A = torch.cat([v, v.new_ones(len(v), 1)], dim=1)
    Q = torch.linalg.qr(A, mode="complete").Q
    u = Q[:, A.shape[1]]
    step = (weights / u.clamp(min=1e-12)).where(u > 1e-12, torch.tensor(math.inf)).min()
    return weights - step * u


MISTAKES = [
    Mistake(exercise="5.1", name=name, names_it=names_it, answer=answer)
    for name, names_it, answer in [
        ("scaled by D", "width D of the model", layer(scale=lambda D, H: math.sqrt(D))),
        ("not scaled", "not scaled by 1/√Dh", layer(scale=lambda D, H: 1)),
        ("divided by Dh", "not by √Dh", layer(scale=lambda D, H: D // H)),
        ("order k, q, v", "queries and keys are swapped", layer(order=(1, 0, 2))),
        ("order q, v, k", "another order than q, k, v", layer(order=(0, 2, 1))),
        ("order v, k, q", "order v, k, q", layer(order=(2, 1, 0))),
        ("view without transpose", r"view as \(B, T, H, Dh\)", layer(split=viewed)),
        (
            "merged without transposing",
            "merged without transposing back",
            layer(merge=lambda c: c.reshape(c.shape[0], c.shape[2], -1)),
        ),
        (
            "heads interleaved",
            "interleaved",
            layer(merge=lambda c: c.permute(0, 2, 3, 1).flatten(2)),
        ),
        ("rows head by head", "cut head by head", by_head),
        ("weights averaged", "averaged over", layer(shown=lambda w: w.mean(1))),
        (
            "mask turned around",
            "turned around",
            layer(fill=lambda s, m: s.masked_fill(m, -1e30)),
        ),
        ("mask not used", "mask is not used", layer(fill=lambda s, m: s)),
        ("mask after the softmax", "comes after the softmax", mask_after),
        ("softmax over queries", "over the queries", layer(dim=-2)),
        ("no output map", "output map is missing", layer(out_map=lambda x, W, b: x)),
        (
            "no output bias",
            "out_bias is missing",
            layer(out_map=lambda x, W, b: x @ W.T),
        ),
        (
            "output map not transposed",
            "out_weight is not transposed",
            layer(out_map=lambda x, W, b: x @ W + b),
        ),
        ("detached", "no gradient reaches the parameters", without_gradient),
        ("out only", "expected two tensors", only_out),
        ("changes x", "in place", in_place),
    ]
]
MISTAKES += [
    Mistake(exercise="5.2", name=name, names_it=names_it, answer=answer)
    for name, names_it, answer in [
        (
            "maps not transposed",
            "maps are not transposed",
            fused(stack=lambda W: W.transpose(0, 1).flatten(1)),
        ),
        (
            "reshaped",
            "a reshape keeps",
            fused(stack=lambda W: W.reshape(W.shape[1], -1)),
        ),
        (
            "reshaped, then transposed",
            "transpose each map by itself",
            fused(stack=lambda W: W.reshape(W.shape[1], -1).T),
        ),
        (
            "heads interleaved",
            "heads are interleaved",
            fused(stack=lambda W: W.permute(2, 0, 1).flatten(0, 1)),
        ),
        ("sorted by head", "sorted by head", sorted_by_head),
        ("not (3D, D)", r"its shape is \(3D, D\)", wide),
        ("order k, q, v", "order k, q, v", fused(order=(1, 0, 2))),
        ("order v, k, q", "order v, k, q", fused(order=(2, 1, 0))),
        (
            "output not transposed",
            "output matrix is not transposed",
            fused(out=lambda W: W.flatten(0, 1)),
        ),
        (
            "slices transposed one by one",
            "transposed by itself",
            fused(out=lambda W: W.mT.reshape(W.shape[2], -1)),
        ),
        ("nothing returned", "is the return missing", lambda *maps: None),
    ]
]
MISTAKES += [
    Mistake(exercise="5.3", name=name, names_it=names_it, answer=answer)
    for name, names_it, answer in [
        (
            "size after the mean",
            "size is taken after the mean",
            pruning(importance=lambda s: s.mean(0).abs()),
        ),
        ("signed", "keep their sign", pruning(importance=lambda s: s.mean(0))),
        (
            "most important first",
            "most important heads are removed first",
            pruning(importance=lambda s: -s.abs().mean(0)),
        ),
        ("by the size of the term", "size of the term", by_norm),
        ("one too many", "one head too many", pruning(late=True)),
        ("strictly above", "equal to the target", pruning(good=lambda a, t: a > t)),
        ("the removed heads", "these are the removed", removed),
        ("order of importance", "not sorted", unsorted),
        ("importance again", "computed again after a removal", again),
        ("goes on after a failure", "stop at the first removal", skipping),
        ("no head left", "one head too many|no head is left", pruning(last=0)),
        ("nothing returned", "is the return missing", lambda *rest: None),
    ]
]
MISTAKES += [
    Mistake(exercise="5.4", name=name, names_it=names_it, answer=answer)
    for name, names_it, answer in [
        ("not sharp", "weight of .* only: make the scores", maps(c=lambda S: 1.0)),
        ("without √S", "c must grow with √S", maps(c=lambda S: 10.0)),
        ("100, without √S", "c must grow with √S", maps(c=lambda S: 100.0)),
        ("sharp for 8 only", "sharper", maps(c=lambda S: 9 if S <= 8 else 1)),
        ("questions exchanged", "answers are exchanged", maps(write=(1, 0))),
        ("same object twice", "both heads look at the same", maps(ask=(0, 0))),
        ("values are names", "weights are right.* values must", maps(value=0)),
        ("names in head 1", "weights are right.* in both heads", names_in_one),
        ("keys are colours", "compare the names", maps(key=1)),
        ("both write one half", "right.* different halves", maps(write=(0, 0))),
        ("shape", r"W_q has shape \(2, 3, 6\)", transposed),
        ("no question", "compare the names", maps(c=lambda S: 0.0)),
        ("sign", "compare the names", maps(c=lambda S: -100 * math.sqrt(S))),
    ]
]
MISTAKES += [
    Mistake(exercise="5.5", name=name, names_it=names_it, answer=answer)
    for name, names_it, answer in [
        ("the old weights", "old weights", lambda weights, v: weights),
        ("a short walk", "walk on until", walk(share=0.5)),
        ("too long a walk", "a weight is negative", walk(share=1.5)),
        ("without the sum", "the weights sum to", walk(columns=lambda v: v)),
        (
            "only the sum",
            "the context moves",
            walk(columns=lambda v: torch.ones_like(v[:, :1])),
        ),
        ("thin svd", "full_matrices=True", walk(full=False)),
        ("smallest dropped", "the context moves", one_dropped),
        (
            "one-hot",
            "the context moves",
            lambda w, v: F.one_hot(w.argmax(), len(w)) * 1.0,
        ),
    ]
]
ACCEPTED = {
    "5.1": [layer(), by_torch, by_loop],
    "5.2": [fused(), head_by_head, filled],
    "5.3": [pruning(), with_gates],
    "5.4": [maps(), maps(c=lambda S: 3 * math.sqrt(S) * math.log(S)), exchanged_twice],
    "5.5": [walk(), other_way],
}
