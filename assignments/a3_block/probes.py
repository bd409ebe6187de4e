"""Calls for a3; they run beside the student's code and return raw numbers.

The notebook's first cell makes float64 the default type. It is set again before every
call, so that a function which writes `torch.arange(n) / n` gives what it gave there.
"""

import torch


def look_back_of(ns, n, d_model):
    """Return the two maps."""
    torch.set_default_dtype(torch.float64)
    return tuple(ns["look_back"](n, d_model))


def alibi_of(ns, q, k, slopes):
    """Return the widened queries and keys."""
    torch.set_default_dtype(torch.float64)
    return tuple(ns["alibi_features"](q, k, slopes))


def rotate_of(ns, x, positions):
    """Return the turned queries or keys."""
    torch.set_default_dtype(torch.float64)
    return ns["rotate"](x, positions)


def converted(ns, state, num_heads):
    """Return the converted weights."""
    torch.set_default_dtype(torch.float64)
    return dict(ns["to_halves"](state, num_heads))


def left_by_conversion(ns, state, num_heads):
    """Return one new entry, and the old weights after the call."""
    torch.set_default_dtype(torch.float64)
    return ns["to_halves"](state, num_heads)["self_attn.in_proj_weight"], state


def rms_norm_of(ns, x, gain, eps):
    """Return the normed tokens."""
    torch.set_default_dtype(torch.float64)
    return ns["rms_norm"](x, gain, eps)


def layer_norm_of(ns, x, gain, shift, eps):
    """Return the normed tokens."""
    torch.set_default_dtype(torch.float64)
    return ns["layer_norm"](x, gain, shift, eps)


def block_of(ns, x, state, num_heads, keep, positions, norm_first):
    """Return the block's output."""
    torch.set_default_dtype(torch.float64)
    return ns["block"](
        x, state, num_heads, keep=keep, positions=positions, norm_first=norm_first
    )


def for_engine(ns, state, x, num_heads):
    """Return the weights for the engine; x and num_heads are the judge's."""
    torch.set_default_dtype(torch.float64)
    return dict(ns["to_rms"](state))
