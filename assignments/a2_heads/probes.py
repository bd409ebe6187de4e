"""Calls for assignment 2. The layers for question 5 are built here, beside the student.

Everything returns what came out, unjudged.
"""

import math

import torch


def mask_of(ns, T, S):
    return ns["causal_mask"](T, S)


def attended(ns, q, k, v, mask):
    return ns["attend"](q, k, v, mask)


def attended_gradients(ns, q, k, v, mask, pull):
    leaves = [part.clone().requires_grad_() for part in (q, k, v)]
    context = ns["attend"](*leaves, mask)[0]
    return gradients(context, pull, leaves)


def gradients(out, pull, leaves):
    if not out.requires_grad:
        return None
    return torch.autograd.grad((out * pull).sum(), leaves, allow_unused=True)


def heads_of(ns, x, num_heads):
    return ns["split_heads"](x, num_heads)


def merged(ns, x):
    return ns["merge_heads"](x)


def layer_of(ns, x, memory, maps, num_heads, mask, b_q, b_o):
    return ns["multi_head"](x, memory, *maps, num_heads, mask, b_q, b_o)


def layer_gradients(ns, x, memory, maps, num_heads, pull):
    leaves = [part.clone().requires_grad_() for part in maps]
    out = ns["multi_head"](x, memory, *leaves, num_heads)[0]
    return gradients(out, pull, leaves)


def converted(ns, in_weight, in_bias, out_weight, out_bias, parts):
    got = ns["from_torch"](in_weight, in_bias, out_weight, out_bias)
    return tuple(got)[:4] if parts == "maps" else tuple(got)[4:]


def converted_masks(ns, attn_mask, key_padding_mask, num_heads):
    return ns["masks_from_torch"](attn_mask, key_padding_mask, num_heads)


def found_in(ns, kinds, maps, num_heads):
    width = maps[0].shape[0]
    found = [ns["broken_laws"](layer(k, maps, num_heads), width) for k in kinds]
    return [list(names) if names is not None else None for names in found]


def strengths_of(ns):
    return ns["two_heads"]()


def layer(kind, maps, num_heads):
    """Return layer(x, mask=None), sound or with the fault that `kind` names."""
    w_q, w_k, w_v, w_o = maps

    def run(x, mask=None):
        x = x.double()
        B, T, D = x.shape
        y = seen(kind, x)
        q, k, v = (
            (y @ w).reshape(B, T, num_heads, D // num_heads).transpose(1, 2)
            for w in (w_q, w_k, w_v)
        )
        scores = q @ k.mT / math.sqrt(D // num_heads)
        mask = torch.ones(1, dtype=torch.bool) if mask is None else mask
        weights = weigh(kind, scores, torch.broadcast_to(mask, scores.shape))
        out = (weights @ v).transpose(1, 2).flatten(2) @ w_o
        return out + x if kind == "residual" else out

    return run


def seen(kind, x):
    """Return the tokens that the maps read."""
    if kind == "centred":
        return x - x.mean(dim=1, keepdim=True)
    if kind == "table":
        places = torch.arange(x.shape[1])[:, None] * torch.arange(1, x.shape[2] + 1)
        return x + torch.sin(places.double())
    return x


def weigh(kind, scores, allowed):
    """Return weights (B, H, T, S)."""
    if kind == "late":
        return scores.softmax(dim=-1) * allowed
    if kind == "sigmoid":
        return scores.sigmoid() * allowed
    if kind == "columns":
        hidden = scores.masked_fill(~allowed, -math.inf)
        return hidden.softmax(dim=-2).nan_to_num(0)
    scores, allowed = adjusted(kind, scores), moved(kind, allowed)
    hidden = scores.masked_fill(~allowed, -math.inf)
    weights = hidden.softmax(dim=-1).nan_to_num(0)
    return weights / math.sqrt(scores.shape[-1]) if kind == "root" else weights


def adjusted(kind, scores):
    """Return the scores that the softmax sees."""
    places = torch.arange(scores.shape[-1])
    if kind == "sharp":
        return 4 * scores
    if kind == "fading":
        return scores - 0.5 * (places[:, None] - places).abs()
    if kind == "global":
        return scores / scores.square().mean().sqrt()
    return scores / math.sqrt(len(scores)) if kind == "crowd" else scores


def moved(kind, allowed):
    """Return the mask that the softmax sees."""
    if kind == "ignored":
        return torch.ones_like(allowed)
    if kind == "shifted":
        return torch.cat([allowed[..., 1:, :], allowed[..., -1:, :]], dim=-2)
    return allowed.roll(1, dims=0) if kind == "neighbour" else allowed
