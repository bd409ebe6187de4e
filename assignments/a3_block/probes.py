"""Calls for a3; they run beside the student's code and return raw numbers.

The notebook's first cell makes float64 the default type. It is set again before every
call, so that a function which writes `torch.arange(n) / n` gives what it gave there.
"""

import torch

NORMS = ((torch, "rms_norm"), (torch, "layer_norm"))  # all of PyTorch's norms call them
ATTENTION = (
    (torch.nn.functional, "multi_head_attention_forward"),
    (torch, "_transformer_encoder_layer_fwd"),  # what layers call after .eval()
    (torch, "_native_multi_head_attention"),
)


def _watched(call, library):
    """Return call(), or the name of what it used of the library.

    The notebook itself hands out PyTorch's layers, so finding their names in a
    submission would say nothing.
    """
    used = []

    def watch(name, own):
        def function(*args, **options):
            used.append(name)
            return own(*args, **options)

        return function

    owns = [getattr(place, name) for place, name in library]
    for (place, name), own in zip(library, owns, strict=True):
        setattr(place, name, watch(name, own))
    try:
        result = call()
    finally:
        for (place, name), own in zip(library, owns, strict=True):
            setattr(place, name, own)
    return used[0] if used else result


def _left(probe):
    """Return a probe that returns its inputs after the call, too."""

    def both(ns, **inputs):
        return probe(ns, **inputs), inputs

    return both


def look_back_of(ns, n, d_model):
    """Return the two maps; for a list of widths, a list of pairs."""
    torch.set_default_dtype(torch.float64)
    if isinstance(d_model, list):
        return [look_back_of(ns, n, width) for width in d_model]
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


def rms_norm_of(ns, x, gain, eps):
    """Return the normed tokens."""
    torch.set_default_dtype(torch.float64)
    return _watched(lambda: ns["rms_norm"](x, gain, eps), NORMS)


def layer_norm_of(ns, x, gain, shift, eps):
    """Return the normed tokens."""
    torch.set_default_dtype(torch.float64)
    return _watched(lambda: ns["layer_norm"](x, gain, shift, eps), NORMS)


def block_of(ns, x, state, num_heads, keep, positions, norm_first):
    """Return the block's output; for a list of orders, a list of outputs."""
    torch.set_default_dtype(torch.float64)
    if isinstance(norm_first, list):
        options = x, state, num_heads, keep, positions
        return [block_of(ns, *options, first) for first in norm_first]
    options = {"keep": keep, "positions": positions, "norm_first": norm_first}
    return _watched(lambda: ns["block"](x, state, num_heads, **options), ATTENTION)


def for_engine(ns, state, x, num_heads):
    """Return the weights for the engine; x and num_heads are the judge's."""
    torch.set_default_dtype(torch.float64)
    return dict(ns["to_rms"](state))


alibi_left = _left(alibi_of)
rotate_left = _left(rotate_of)
converted_left = _left(converted)
rms_norm_left = _left(rms_norm_of)
layer_norm_left = _left(layer_norm_of)
block_left = _left(block_of)
engine_left = _left(for_engine)
