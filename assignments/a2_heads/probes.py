"""Calls for assignment 2, made beside the student's code; they judge nothing."""

import torch


def mask_of(ns, T, S):
    return ns["causal_mask"](T, S)


def attended(ns, q, k, v, mask):
    return ns["attend"](q, k, v, mask)


def attended_and_kept(ns, q, k, v, mask):
    given = [part.clone() for part in (q, k, v, mask)]
    return ns["attend"](*given), given


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


def found_in(ns, layers, d_model):
    found = [ns["broken_laws"](layer, d_model) for layer in layers]
    return [list(names) if names is not None else None for names in found]


def strengths_of(ns):
    return ns["two_heads"]()
