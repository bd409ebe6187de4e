"""Calls for a3; they run beside the student's code and return raw numbers.

The notebook's first cell makes float64 the default type. It is set again before every
call, so that a function which writes `torch.arange(n) / n` gives what it gave there.
"""

import torch


def _watched(call, place, name):
    """Return call(), or `name` if it called that entry of the dictionary `place`.

    The notebook itself hands out PyTorch's layers, so finding their names in a
    submission would say nothing.
    """
    used, library = [], place[name]

    def function(*args, **options):
        used.append(name)
        return library(*args, **options)

    place[name] = function
    try:
        result = call()
    finally:
        place[name] = library
    return name if used else result


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
    names = vars(torch.nn.functional)
    return _watched(lambda: ns["rms_norm"](x, gain, eps), names, "rms_norm")


def layer_norm_of(ns, x, gain, shift, eps):
    """Return the normed tokens."""
    torch.set_default_dtype(torch.float64)
    names = vars(torch.nn.functional)
    return _watched(lambda: ns["layer_norm"](x, gain, shift, eps), names, "layer_norm")


def block_of(ns, x, state, num_heads, keep, positions, norm_first):
    """Return the block's output."""
    torch.set_default_dtype(torch.float64)
    options = {"keep": keep, "positions": positions, "norm_first": norm_first}
    return _watched(
        lambda: ns["block"](x, state, num_heads, **options),
        vars(torch.nn.functional),
        "multi_head_attention_forward",
    )


def for_engine(ns, state, x, num_heads):
    """Return the weights for the engine; x and num_heads are the judge's."""
    torch.set_default_dtype(torch.float64)
    return dict(ns["to_rms"](state))


def left_by_engine(ns, state, x, num_heads):
    """Return the weights for the engine, and the old ones after the call."""
    torch.set_default_dtype(torch.float64)
    return dict(ns["to_rms"](state)), state
