"""Checks of a3, with a NumPy block that can make each expected mistake on request.

Where several answers are right (questions 1 and 5) the judge does not compare entries:
it puts what came back into the definition and looks at what comes out.
"""

from functools import partial
from itertools import product

import numpy as np
from scipy.special import erf

from attnbook.grading.judging import Check, Mistake, Wrong, difference, numbers

FAR = 1e-6  # as the assignment's tolerance, for the judges that compare themselves
ATTN = "self_attn."


# The reference: what the statement says, and what students write instead.
def softmax(scores):
    """Return weights over the last axis; a row of −inf gives zeros."""
    top = scores.max(-1, keepdims=True)
    shifted = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    total = shifted.sum(-1, keepdims=True)
    return shifted / np.where(total > 0, total, 1.0)


def rms_norm(x, gain, eps, fault=()):
    """Return normed tokens, or what a named slip makes of them."""
    eps = 1e-5 if "default eps" in fault else 0.0 if "no eps" in fault else eps
    gain = 1.0 if "no gain" in fault else gain
    if "centred" in fault:
        x = x - x.mean(-1, keepdims=True)
    if "variance" in fault:
        return x / np.sqrt(x.var(-1, keepdims=True) + eps) * gain
    if "length" in fault:
        return x / np.sqrt(np.square(x).sum(-1, keepdims=True) + eps) * gain
    axis = -2 if "axis" in fault else None if "everything" in fault else -1
    mean = np.square(x).mean(axis, keepdims=True)
    if "eps outside" in fault:
        return x / (np.sqrt(mean) + eps) * gain
    return x / np.sqrt(mean + eps) * gain


def layer_norm(x, gain, shift, eps=1e-5, fault=()):
    """Return normed tokens, or what a named slip makes of them."""
    centred = x - x.mean(-2 if "axis" in fault else -1, keepdims=True)
    if "two slips" in fault:
        return centred / (x.std(-1, ddof=1, keepdims=True) + eps) * gain + shift
    if "unbiased" in fault:
        return centred / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps) * gain + shift
    if "not centred" in fault:
        return x / np.sqrt(x.var(-1, keepdims=True) + eps) * gain + shift
    return rms_norm(centred, gain, eps, fault) + shift


def rotate(x, positions, fault=()):
    """Turn halves by positions (B, T), or what a named slip makes of it."""
    half = x.shape[-1] // 2
    step = 1 if "exponent" in fault else 2
    speeds = 10_000.0 ** (-np.arange(half) * step / x.shape[-1])
    if "counted" in fault:
        positions = np.broadcast_to(np.arange(x.shape[-2]), positions.shape)
    if "first row" in fault:
        positions = np.broadcast_to(positions[0], positions.shape)
    angles = positions[:, None, :, None] * speeds
    if "by head" in fault:
        angles = positions[:, :, None] * speeds
    if "backwards" in fault:
        angles = -angles
    cos, sin = np.cos(angles), np.sin(angles)
    pairs = "neighbours" in fault or "split wrongly" in fault
    a, b = (x[..., 0::2], x[..., 1::2]) if pairs else (x[..., :half], x[..., half:])
    new = a * cos - b * sin, a * sin + b * cos
    if "neighbours" in fault:
        return np.stack(new, -1).reshape(x.shape)
    return np.concatenate(new, -1)


def attend(x, state, num_heads, keep, positions, fault=()):
    """Return the attention's output, with the output map."""
    mixed = x @ state[f"{ATTN}in_proj_weight"].T + state[f"{ATTN}in_proj_bias"]
    parts = np.split(mixed, 3, -1)
    if positions is not None and "turned before" in fault:
        parts[:2] = (rotate(part[:, None], positions)[:, 0] for part in parts[:2])
        positions = None
    q, k, v = (_heads(part, num_heads, fault) for part in parts)
    if positions is not None and "not turned" not in fault:
        q = rotate(q, positions)
        k = k if "keys stay" in fault else rotate(k, positions)
        v = rotate(v, positions) if "values turned" in fault else v
    d_head = q.shape[-1]
    width = d_head * (num_heads if "model's width" in fault else 1)
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(1 if "unscaled" in fault else width)
    if keep is not None and "mask forgotten" not in fault:
        may = (~keep if "mask inverted" in fault else keep)[:, None, None, :]
        may = np.swapaxes(may, -1, -2) if "queries masked" in fault else may
        may = may & np.swapaxes(may, -1, -2) if "both masked" in fault else may
        least = 0 if "score of 0" in fault else -1e9 if "uniform" in fault else -np.inf
        v = v * keep[:, None, :, None] if "weights zeroed" in fault else v
        scores = scores if "weights zeroed" in fault else np.where(may, scores, least)
    context = np.swapaxes(softmax(scores) @ v, 1, 2)
    if "heads not merged" in fault:
        context = np.swapaxes(context, 1, 2)
    out = context.reshape(x.shape) @ state[f"{ATTN}out_proj.weight"].T
    out = out if "output bias" in fault else out + state[f"{ATTN}out_proj.bias"]
    if keep is not None and "zeroed late" in fault:
        out = np.where(keep.any(-1)[:, None, None], out, 0.0)
    return out


def _heads(part, num_heads, fault):
    B, T, _ = part.shape
    if "features dealt out" in fault:  # head h gets features h, h + H, …
        return part.reshape(B, T, -1, num_heads).transpose(0, 3, 1, 2)
    if "heads not split" in fault:
        return part.reshape(B, num_heads, T, -1)
    return np.swapaxes(part.reshape(B, T, num_heads, -1), 1, 2)


def feed(x, state, fault=()):
    """Return the feed-forward's output."""
    hidden = x @ state["linear1.weight"].T + state["linear1.bias"]
    if "tanh" in fault:
        inner = np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)
        hidden = hidden * (1 + np.tanh(inner)) / 2
    elif "relu" in fault:
        hidden = np.maximum(hidden, 0)
    else:
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
    return hidden @ state["linear2.weight"].T + state["linear2.bias"]


def block(x, state, num_heads, keep=None, positions=None, norm_first=True, fault=()):
    """Return the block's output, or what a named slip makes of it."""
    norms = ("norm1", "norm1" if "one norm" in fault else "norm2")
    norm1, norm2 = (
        lambda y, n=n: layer_norm(y, state[f"{n}.weight"], state[f"{n}.bias"])
        for n in norms
    )

    def asks(y):
        return attend(y, state, num_heads, keep, positions, fault)

    if norm_first == ("other order" in fault):
        x = norm1(x + asks(x))
        return norm2(x + feed(x, state, fault))
    if "normed residual" in fault:
        x = norm1(x)
        x = norm2(x + asks(x))
        return x + feed(x, state)
    if "side by side" in fault:
        return x + asks(norm1(x)) + feed(norm2(x), state)
    x = x + asks(norm1(x))
    return x + feed(norm2(x), state, fault)


def to_halves(state, num_heads, fault=()):
    """Return converted weights, or what a named slip makes of them."""
    d_model = len(state[f"{ATTN}out_proj.bias"])
    heads = 1 if "across heads" in fault else num_heads
    d_head = d_model // heads
    head = np.r_[0:d_head:2, 1:d_head:2]
    if "inverse" in fault:
        head = np.argsort(head)
    rows = (head + d_head * np.arange(heads)[:, None]).ravel()
    every = np.concatenate([rows, d_model + rows, np.arange(2 * d_model, 3 * d_model)])
    if "keys forgotten" in fault:
        every[d_model : 2 * d_model] = np.arange(d_model, 2 * d_model)
    if "values too" in fault:
        every[2 * d_model :] = 2 * d_model + rows
    new, names = dict(state), (f"{ATTN}in_proj_weight", f"{ATTN}in_proj_bias")
    for name in names[:1] if "bias forgotten" in fault else names:
        new[name] = state[name][every]
    if "output map" in fault:
        new[f"{ATTN}out_proj.weight"] = state[f"{ATTN}out_proj.weight"][:, rows]
    return {name: new[name] for name in names} if "two entries" in fault else new


def to_rms(state, fault=(), where=("self_attn", "linear")):
    """Return weights for the engine, or what a slip in these maps makes of them."""
    new = dict(state)
    for norm, reader in (("norm1", f"{ATTN}in_proj_"), ("norm2", "linear1.")):
        gain, shift = state[f"{norm}.weight"], state[f"{norm}.bias"]
        weight, slips = state[f"{reader}weight"], fault * reader.startswith(where)
        new[f"{reader}weight"] = weight * gain
        moved = (weight * gain if "shift scaled" in slips else weight) @ shift
        if "shift lost" not in slips:
            new[f"{reader}bias"] = state[f"{reader}bias"] + moved
    for writer in (f"{ATTN}out_proj.", "linear2."):
        weight, bias = state[f"{writer}weight"], state[f"{writer}bias"]
        slips = set(fault * writer.startswith(where))
        axis = 1 if "inputs centred" in slips else 0
        if "not centred" not in slips:
            new[f"{writer}weight"] = weight - weight.mean(axis, keepdims=True)
        if not {"not centred", "bias not centred"} & slips:
            new[f"{writer}bias"] = bias - bias.mean()
    return new


def engine(x, state, num_heads):
    """Run a pre-norm block with bare norms, as the statement's engine does."""
    x = x + attend(rms_norm(x, 1.0, 1e-5), state, num_heads, None, None)
    return x + feed(rms_norm(x, 1.0, 1e-5), state)


# Judges for answers that are judged by what they do.
def _two(got):
    if not isinstance(got, list | tuple) or len(got) != 2:
        raise Wrong("not two results", "Return the two results side by side.")
    return got


def _left(judge):
    """Return a judge that wants the inputs as they were, then what `judge` wants."""

    def both(inputs, got):
        new, old = _two(got)
        if difference(old, inputs, FAR) is not None:
            hint = "`x -= …` and `x[…] = …` write into x, and dict(state) copies only "
            raise Wrong("the input was changed", hint + "names. Make new tensors.")
        judge(inputs, new)

    return both


def _pair(got):
    first, second = (numbers(one) for one in _two(got))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise Wrong("NaN or infinity in the result", "Both results must be finite.")
    return first, second


def _code(length, d_model):
    angles = np.arange(length)[:, None] * 10_000.0 ** (
        -np.arange(0, d_model, 2) / d_model
    )
    return np.stack((np.sin(angles), np.cos(angles)), -1).reshape(length, d_model)


def _found(inputs, got, length):
    """Return the scores (T, S) of the head, and its queries whose key exists."""
    n, d_model = inputs["n"], inputs["d_model"]
    w_q, w_k = _pair(got)
    if w_q.shape != (d_model, d_model) or w_k.shape != (d_model, d_model):
        raise Wrong("wrong shape", "Both maps are (D, D).")
    code = _code(length, d_model)
    with np.errstate(all="ignore"):
        scores = (code @ w_q.astype(float)) @ (code @ w_k.astype(float)).T
    if not np.isfinite(scores).all():
        raise Wrong("NaN or infinity in the result", "The scores overflow.")
    rows = np.arange(max(n, 0), length + min(n, 0))
    return scores / np.sqrt(d_model), rows


def judge_place(inputs, got):
    """Accept maps whose largest weight is at t − n."""
    scores, rows = _found(inputs, got, 60)
    n, best = inputs["n"], scores.argmax(-1)
    if (best[rows] == rows - n).all():
        return
    ahead = rows[rows + n < 60]
    if (best[ahead] == ahead + n).all():
        hint = (
            "The head looks n places ahead. Rows of the code are multiplied from the "
        )
        raise Wrong("the map turns the wrong way", hint + "right: P @ w_q.")
    if n and (best[rows] == rows).all():
        hint = "The largest weight is at the query's own position: nothing is turned."
        raise Wrong("finds itself", hint)
    hint = "Which two columns of the code belong to one speed, and in which order?"
    raise Wrong("finds another key", hint)


def judge_weight(inputs, got):
    """Accept moderate scores that give the key at t − n 0.99, at every width."""
    if isinstance(inputs["d_model"], list):
        for width, maps in zip(inputs["d_model"], _two(got), strict=True):
            judge_weight(inputs | {"d_model": width}, maps)
        return
    scores, rows = _found(inputs, got, 200)
    weights = softmax(scores)
    least = weights[rows, rows - inputs["n"]].min()
    if least >= 0.99 - 1e-9:
        if np.abs(scores).max() <= 1000 * (1 + FAR):
            return
        hint = "The weights are right. How does the largest score grow with the width?"
        raise Wrong("scores beyond 1000", hint)
    if (weights.argmax(-1)[rows] == rows - inputs["n"]).all():
        hint = (
            "The right key leads, by too little. How far below is the runner-up, and "
        )
        raise Wrong("too flat", hint + "what does the gap become after 1/sqrt(D)?")
    hint = "Try your head with several n, also 0 and negative ones, and with T = 200."
    raise Wrong("finds another key", hint)


def _alibi(q, k, slopes, wide, fault=()):
    """Return the weights of causal attention with ALiBi; `wide` is the new width."""
    width, (T, S) = q.shape[-1], (q.shape[-2], k.shape[-2])
    back = np.arange(S - T, S)[:, None] - np.arange(S)  # t − s
    root = np.sqrt(wide)
    sign = 1 if "sign" in fault else -1
    divide = root if {"width", "penalty divided"} & set(fault) else 1.0
    slopes = 0 * slopes + slopes[0] if "first slope" in fault else slopes
    bias = sign * slopes[:, None, None] * back / divide
    if "no penalty" in fault:
        bias = 0 * bias
    own = root if {"width", "content divided"} & set(fault) else np.sqrt(width)
    scores = q @ np.swapaxes(k, -1, -2) / own + bias
    if "miscounted" in fault:
        scores = scores * np.sqrt(width + 1) / root
    return softmax(np.where(back >= 0, scores, -np.inf))


ALIBI_MISTAKES = {
    "sign": (
        "far keys gain",
        "The penalty must grow with the distance: what is added to a *later* key?",
    ),
    "no penalty": (
        "no penalty arrives",
        "What you added is the same for all keys of a query; softmax does not notice.",
    ),
    "width": (
        "the kernel's scale is forgotten",
        "The kernel divides by the root of the width it sees, which has grown. Both "
        "the old part of a score and the new one need a factor.",
    ),
    "penalty divided": (
        "the penalty is divided by the kernel's root",
        "The kernel divides the new part of the score too; multiply before.",
    ),
    "content divided": (
        "queries keep the old scale",
        "q·k is now divided by the root of the new width. Which factor mends that?",
    ),
    "miscounted": (
        "the new width is miscounted",
        "One factor is missing in all scores: how wide is what the kernel gets?",
    ),
    "first slope": (
        "all heads get one slope",
        "Each head has a slope of its own: slopes (H,) must meet the axis of H.",
    ),
}
SCALES = ("width", "penalty divided", "content divided", "miscounted")


def judge_alibi(inputs, got, forgiven=()):
    """Accept features with which the kernel computes ALiBi's weights."""
    q, k = inputs["q"], inputs["k"]
    new_q, new_k = _pair(got)
    wide = new_q.shape[-1] if new_q.ndim == 4 else 0
    fits = new_q.shape == (*q.shape[:3], wide) and new_k.shape == (*k.shape[:3], wide)
    if not fits or not 1 <= wide <= 4 * q.shape[-1] + 64:
        hint = "q_wide is (B, H, T, W) and k_wide (B, H, S, W), with one W for both."
        raise Wrong("wrong shape", hint)
    with np.errstate(all="ignore"):
        scores = new_q.astype(float) @ np.swapaxes(new_k.astype(float), -1, -2)
    if not np.isfinite(scores).all():
        raise Wrong("NaN or infinity in the result", "The scores overflow.")
    T, S = scores.shape[-2:]
    may = np.arange(S) <= np.arange(S - T, S)[:, None]
    weights = softmax(np.where(may, scores / np.sqrt(wide), -np.inf))
    fine = [_alibi(**inputs, wide=wide, fault=fault) for fault in ((), *forgiven)]
    if any(np.abs(weights - one).max() <= FAR for one in fine):
        return
    for fault, (name, hint) in ALIBI_MISTAKES.items():
        made = _alibi(**inputs, wide=wide, fault=(fault,))
        if np.abs(weights - made).max() <= FAR:
            raise Wrong(name, hint)
    hint = "Compare kernel(q_wide, k_wide, v) with scores that you bias by hand."
    raise Wrong("other weights than ALiBi's", hint)


def judge_rows(inputs, got):
    """Accept the old rows in any other order."""
    name = f"{ATTN}in_proj_weight"
    if not isinstance(got, dict) or name not in got:
        raise Wrong("entries are missing", "Return the entries in a dictionary.")
    new, old = numbers(got[name]), inputs["state"][name]
    same = new.shape == old.shape
    if not same or difference(np.sort(new, None), np.sort(old, None), FAR) is not None:
        raise Wrong("not the same rows", "The new rows are the old ones, reordered.")
    if difference(new, old, FAR) is None:
        raise Wrong("nothing is converted", "The new weights are the old ones.")


RMS_MISTAKES = {
    "shift lost": (
        "the shift is lost",
        "The norm's shift b reaches the next map as weight @ b: a part of its bias.",
    ),
    "shift scaled": (
        "the shift is multiplied by the gain",
        "norm = gain · n + shift: the shift meets the old weight, without the gain.",
    ),
    "not centred": (
        "the stream is not centred",
        "What out_proj and linear2 write must have the mean 0 over the D outputs.",
    ),
    "bias not centred": (
        "a bias is not centred",
        "The biases of out_proj and linear2 are written into the stream as well.",
    ),
    "inputs centred": (
        "centred along the inputs",
        "The mean over the outputs of x @ weight.T: which axis of weight is that?",
    ),
}


def judge_engine(inputs, got, forgiven=()):
    """Accept weights with which the engine gives the centred block."""
    state, x, num_heads = inputs["state"], inputs["x"], inputs["num_heads"]
    if not isinstance(got, dict):
        raise Wrong("not a dictionary", "Return a dictionary of weights.")
    new = {}
    for name in (name for name in state if not name.startswith("norm")):
        if name not in got:
            raise Wrong("entries are missing", "The engine reads eight entries.")
        new[name] = numbers(got[name]).astype(float)
        if new[name].shape != state[name].shape:
            raise Wrong("wrong shape", "Every entry keeps its shape.")
    out, start = block(x, state, num_heads), x - x.mean(-1, keepdims=True)
    want = out - out.mean(-1, keepdims=True)
    with np.errstate(all="ignore"):
        made = engine(start, new, num_heads)
    if difference(made, want, FAR) is None:
        return
    places = ("self_attn", "linear"), ("self_attn",), ("linear",)  # in one half as well
    for (fault, (name, hint)), where in product(RMS_MISTAKES.items(), places):
        faulty = engine(start, to_rms(state, (fault,), where), num_heads)
        if difference(made, faulty, FAR) is None:
            if fault in forgiven:
                return
            raise Wrong(name, hint)
    hint = "Take the four maps one by one: two read a norm, two write into the stream."
    raise Wrong("the engine differs from the centred block", hint)


# Inputs.
def _state(rng, d_model, d_ff):
    shapes = {
        f"{ATTN}in_proj_weight": (3 * d_model, d_model),
        f"{ATTN}in_proj_bias": (3 * d_model,),
        f"{ATTN}out_proj.weight": (d_model, d_model),
        f"{ATTN}out_proj.bias": (d_model,),
        "linear1.weight": (d_ff, d_model),
        "linear1.bias": (d_ff,),
        "linear2.weight": (d_model, d_ff),
        "linear2.bias": (d_model,),
        "norm1.weight": (d_model,),
        "norm1.bias": (d_model,),
        "norm2.weight": (d_model,),
        "norm2.bias": (d_model,),
    }
    state = {name: rng.normal(0, 0.6, shape) for name, shape in shapes.items()}
    for name in ("norm1.weight", "norm2.weight"):
        state[name] = rng.uniform(0.6, 1.6, d_model)
    return state


def _alibi_inputs(B, H, T, S, width):
    def draw(rng):
        return {
            "q": rng.normal(0, 1.5, (B, H, T, width)),
            "k": rng.normal(0, 1.5, (B, H, S, width)),
            "slopes": rng.uniform(0.1, 0.9, H),
        }

    return draw


def _turn_inputs(B, H, T, d_head, top):
    def draw(rng):
        places = [np.sort(rng.choice(np.arange(2, top), T, False)) for _ in range(B)]
        return {
            "x": rng.normal(0, 1, (B, H, T, d_head)),
            "positions": np.stack(places).astype(np.int64),
        }

    return draw


def _block_inputs(norm_first, keep=None, positions=False):
    def draw(rng):
        places = np.stack([np.sort(rng.choice(20, 5, False)) for _ in range(2)])
        return {
            "x": rng.normal(0, 1.5, (2, 5, 12)),
            "state": _state(rng, 12, 7),
            "num_heads": 3,
            "keep": None if keep is None else np.array(keep, dtype=bool),
            "positions": places.astype(np.int64) if positions else None,
            "norm_first": norm_first,
        }

    return draw


def _norm_inputs(shape, shift, offset=1.0, eps=0.3):
    def draw(rng):
        x = rng.normal(offset, 1.5, shape)
        inputs = {"x": x, "gain": rng.uniform(0.5, 2, shape[-1]), "eps": eps}
        return inputs | ({"shift": rng.normal(0, 1, shape[-1])} if shift else {})

    return draw


def _engine_inputs(centred, plain_norms=False):
    def draw(rng):
        state = _state(rng, 12, 7)
        for norm in ("norm1", "norm2") if plain_norms else ():
            state[f"{norm}.weight"], state[f"{norm}.bias"] = np.ones(12), np.zeros(12)
        for writer in (f"{ATTN}out_proj", "linear2") if centred else ():
            for name in (f"{writer}.weight", f"{writer}.bias"):
                state[name] = state[name] - state[name].mean(0)
        return {"state": state, "x": rng.normal(1, 2, (2, 4, 12)), "num_heads": 3}

    return draw


def _slips(function, slips):
    """Turn {fault: (name, hint)} into mistakes of a reference function."""
    return tuple(
        Mistake(
            name=name,
            hint=hint,
            value=lambda fault=fault, **inputs: function(**inputs, fault=(fault,)),
        )
        for fault, (name, hint) in slips.items()
    )


ROTATE_SLIPS = {
    "neighbours": (
        "neighbours are turned",
        "Your pairs are (2i, 2i + 1). Asked for are halves: (i, i + Dh/2).",
    ),
    "split wrongly": (
        "neighbours are taken, halves put back",
        "Take a and b from the halves: the first Dh/2 features and the last Dh/2.",
    ),
    "exponent": (
        "exponent i/Dh instead of 2i/Dh",
        "Your exponent is i/Dh; it must be 2i/Dh: 0, 2/Dh, 4/Dh, …",
    ),
    "backwards": (
        "turned backwards",
        "Look at the signs of the two sines; (1, 0) must go towards (0, 1).",
    ),
    "counted": (
        "positions are ignored",
        "Tokens are counted 0, 1, 2, … instead of being read from `positions`.",
    ),
    "first row": (
        "one row of positions for all",
        "Every sequence of the batch has its own row of positions.",
    ),
    "by head": (
        "positions are taken by head",
        "Positions (B, T) must meet x (B, H, T, Dh/2): where is the axis for H?",
    ),
}
HALVES_SLIPS = {
    "inverse": (
        "the order is inverted",
        "For Dh = 6 the new rows are the old rows 0, 2, 4, 1, 3, 5 of the head.",
    ),
    "across heads": (
        "rows move between heads",
        "Reorder inside each head; with several heads D rows are not one block.",
    ),
    "bias forgotten": (
        "the bias keeps the old order",
        "A query is x @ weight.T + bias; its features are reordered in both.",
    ),
    "keys forgotten": (
        "only queries are reordered",
        "A score pairs feature i of a query with feature i of a key: reorder both.",
    ),
    "values too": (
        "values are reordered",
        "Values are not turned, and the output map expects their old order.",
    ),
    "output map": (
        "the output map is reordered",
        "out_proj reads values, and the order of the values has not changed.",
    ),
    "two entries": (
        "entries are missing",
        "Return all twelve entries, also those that stay as they are.",
    ),
}
NORM_SLIPS = {
    "eps outside": ("ε outside the root", "ε is added before the root is taken."),
    "no eps": ("ε is missing", "Under the root ε is added to the mean."),
    "length": ("sum instead of mean", "Divide the sum of squares by D."),
    "axis": ("wrong axis", "The mean runs over the last axis, the features."),
    "no gain": ("the gain is forgotten", "What is normed is multiplied by the gain."),
}
RMS_SLIPS = NORM_SLIPS | {
    "centred": ("RMSNorm takes the mean away", "Only LayerNorm subtracts the mean."),
    "variance": (
        "variance instead of mean square",
        "A variance has the mean taken away; here the squares of x itself count.",
    ),
    "everything": (
        "one mean for all tokens",
        "Every token has its own mean square: dim=-1, keepdim=True.",
    ),
}
LAYER_SLIPS = NORM_SLIPS | {
    "unbiased": (
        "divided by D − 1",
        "torch.var and torch.std divide by D − 1 unless told otherwise.",
    ),
    "two slips": (
        "divided by D − 1, ε outside the root",
        "torch.std divides by D − 1 unless told otherwise, and ε is under the root.",
    ),
    "not centred": (
        "the mean is not taken away",
        "The numerator is x minus its mean, too.",
    ),
    "default eps": (
        "ε is not passed on",
        "Your ε is always 10⁻⁵: hand the argument on to what you call.",
    ),
}
ORDER_SLIPS = {
    "other order": (
        "the other norm order",
        "norm_first=True norms before a sub-layer.",
    ),
    "one norm": ("norm1 is used twice", "The feed-forward has its own norm, norm2."),
    "normed residual": (
        "added to the normed token",
        "In pre-norm the sub-layer's output is added to x, not to norm(x).",
    ),
    "side by side": (
        "the feed-forward reads the old x",
        "The feed-forward reads what the attention has written.",
    ),
    "tanh": ("GELU in its tanh form", "F.gelu(x) is exact without an argument."),
    "relu": ("ReLU instead of GELU", "The statement fixes GELU."),
    "unscaled": ("scores are not scaled", "Divide by the root of Dh."),
    "model's width": ("scaled by the model's width", "Dh is the width of one head."),
    "features dealt out": (
        "features are dealt out to heads",
        "Head 0 owns the first Dh features: split the last axis as (H, Dh).",
    ),
    "heads not split": (
        "heads are a reshape of the wrong axes",
        "Split D into (H, Dh) first, then exchange the axes of H and T.",
    ),
    "heads not merged": (
        "heads are merged in the wrong order",
        "Bring (B, H, T, Dh) to (B, T, H, Dh) before the last two are joined.",
    ),
    "output bias": ("the output map has no bias", "out_proj has a weight and a bias."),
}
MASK_SLIPS = {
    "mask forgotten": ("padding is seen", "`keep` must forbid keys."),
    "mask inverted": ("the mask is inverted", "True in `keep` is a real token."),
    "queries masked": (
        "queries are masked instead of keys",
        "`keep` belongs to the last axis of the scores (B, H, T, S).",
    ),
    "both masked": (
        "padded queries are masked too",
        "Padded tokens still ask: `keep` forbids keys only.",
    ),
    "weights zeroed": (
        "masked after the softmax",
        "The weights of real keys must sum to 1: forbid padding before the softmax.",
    ),
    "score of 0": (
        "padding gets the score 0",
        "A score of 0 still has a weight. Which score has none?",
    ),
}
EMPTY_SLIPS = {
    "uniform": (
        "an empty row reads padding",
        "A row with nothing to attend to must have weights 0, not 1/S.",
    ),
    "zeroed late": (
        "an empty row loses the output map's bias",
        "The heads give zeros; the output map, with its bias, comes after that.",
    ),
}
TURN_SLIPS = {
    "not turned": ("positions are ignored", "Turn q and k by your `rotate`."),
    "values turned": ("values are turned", "Only queries and keys are turned."),
    "keys stay": ("only queries are turned", "Keys are turned like queries."),
    "turned before": (
        "turned before the heads are split",
        "A pair lies inside a head: split into heads first, then call `rotate`.",
    ),
}
LIBRARY = (
    "PyTorch's own attention is used",
    "The block is to be built from matrix products; the library is for comparing.",
)
LIBRARY_NORM = (
    "PyTorch's own norm is used",
    "Write the norm yourself: a mean over the last axis, a root, a division.",
)


BLOCK_HINT = "Silence one sub-layer (its last weight and bias 0) to see which is wrong."
# Counted once, in 4a: the other checks of the block accept them.
INSIDE = [slip for slip in ORDER_SLIPS if slip not in ("other order", "one norm")]


def _followed(function, slips, forgiven, hint, seen=lambda inputs: ...):
    """Return a judge that names `slips` and forgives slips counted elsewhere.

    `seen` selects from the result what is compared.
    """

    def judge(inputs, got):
        if isinstance(orders := inputs.get("norm_first"), list):
            for order, one in zip(orders, _two(got), strict=True):
                judge(inputs | {"norm_first": order}, one)
            return
        if isinstance(got, str):
            raise Wrong(*(LIBRARY if function is block else LIBRARY_NORM))
        got, where = numbers(got), seen(inputs)
        right = function(**inputs)
        if got.shape != right.shape:
            raise Wrong("wrong shape", hint)
        others = [(), *((slip,) for slip in forgiven)]
        for fault in [*others, *((*o, slip) for o in others for slip in slips)]:
            made = function(**inputs, fault=fault)
            if difference(got[where], made[where], FAR) is None:
                if fault in others:
                    return
                raise Wrong(*slips[fault[-1]])
        raise Wrong(difference(got[where], right[where], FAR), hint)

    return judge


def _read_later(inputs):
    """Select real tokens, and all tokens of a sequence that has no real one."""
    return inputs["keep"] | ~inputs["keep"].any(-1, keepdims=True)


def _but(slips, *names):
    return {name: slip for name, slip in slips.items() if name not in names}


PADDED = [[True, False, True, True, False], [False, False, True, True, True]]
EMPTY = [[False] * 5, [True, True, True, False, False]]
NORM_HINT = "Try x of shape (2, 3, 4) and a large ε; which numbers is the mean over?"
ROTATE_HINT = "Turn one pair (1, 0) by one position, by hand: what must come out?"
PLACES = ("counted", "first row", "by head")

CHECKS = [
    Check(
        id="1a",
        question="1",
        points=1,
        title="look_back: the largest weight is at t − n",
        probe="look_back_of",
        inputs=lambda rng: {"n": int(rng.integers(3, 8)), "d_model": 24},
        judge=judge_place,
    ),
    Check(
        id="1b",
        question="1",
        points=2,
        title="look_back: at least 0.99 at both ends of D, ahead, 200 positions",
        probe="look_back_of",
        inputs=lambda rng: {"n": -int(rng.integers(2, 6)), "d_model": [8, 128]},
        judge=judge_weight,
    ),
    Check(
        id="1c",
        question="1",
        points=2,
        title="alibi_features: the kernel computes ALiBi, T = S",
        probe="alibi_of",
        inputs=_alibi_inputs(2, 3, 7, 7, 5),
        judge=judge_alibi,
    ),
    Check(
        id="1d",
        question="1",
        points=1,
        title="alibi_features: T < S; q and k stay (scales and signs count in 1c)",
        probe="alibi_left",
        inputs=_alibi_inputs(1, 1, 3, 8, 3),
        judge=_left(
            partial(judge_alibi, forgiven=[(one,) for one in ("sign", *SCALES)])
        ),
    ),
    Check(
        id="2a",
        question="2",
        points=1,
        title="rotate: pairs, speeds, direction",
        probe="rotate_of",
        inputs=_turn_inputs(1, 2, 5, 6, 30),
        judge=_followed(rotate, _but(ROTATE_SLIPS, *PLACES), ("counted",), ROTATE_HINT),
    ),
    Check(
        id="2b",
        question="2",
        points=1,
        title="rotate: each sequence its own positions, far out; x stays as it was",
        probe="rotate_left",
        inputs=_turn_inputs(3, 3, 4, 10, 5000),
        judge=_left(
            _followed(
                rotate,
                {slip: ROTATE_SLIPS[slip] for slip in PLACES},
                _but(ROTATE_SLIPS, *PLACES),
                ROTATE_HINT,
            )
        ),
    ),
    Check(
        id="2c",
        question="2",
        points=1,
        title="to_halves: every entry of a layer with three heads",
        probe="converted",
        inputs=lambda rng: {"state": _state(rng, 18, 5), "num_heads": 3},
        expected=to_halves,
        mistakes=_slips(to_halves, HALVES_SLIPS),
        hint="Compare old and new entries, one name after the other: which rows moved?",
    ),
    Check(
        id="2d",
        question="2",
        points=1,
        title="to_halves: the old weights stay as they were",
        probe="converted_left",
        inputs=lambda rng: {"state": _state(rng, 12, 5), "num_heads": 2},
        judge=_left(judge_rows),
    ),
    Check(
        id="3a",
        question="3",
        points=1,
        title="rms_norm: three axes, a gain, a large ε; x stays as it was",
        probe="rms_norm_left",
        inputs=_norm_inputs((2, 3, 5), shift=False),
        judge=_left(_followed(rms_norm, RMS_SLIPS, (), NORM_HINT)),
    ),
    Check(
        id="3b",
        question="3",
        points=1,
        title="layer_norm: three axes, gain and shift, a large ε",
        probe="layer_norm_of",
        inputs=_norm_inputs((2, 3, 5), shift=True),
        judge=_followed(layer_norm, LAYER_SLIPS, (), NORM_HINT),
    ),
    Check(
        id="3c",
        question="3",
        points=1,
        title="layer_norm: one token alone, far from 0; it stays (slips count in 3b)",
        probe="layer_norm_left",
        inputs=_norm_inputs((7,), shift=True, offset=40.0, eps=1e-5),
        judge=_left(
            _followed(
                layer_norm,
                {},
                _but(LAYER_SLIPS, "axis"),
                "One token of shape (D,) is a case too: reduce over the last axis.",
            )
        ),
    ),
    Check(
        id="4a",
        question="4",
        points=2,
        title="block: pre-norm",
        probe="block_of",
        inputs=_block_inputs(True),
        judge=_followed(block, ORDER_SLIPS, (), BLOCK_HINT),
    ),
    Check(
        id="4b",
        question="4",
        points=1,
        title="block: post-norm (slips inside a sub-layer count in 4a only)",
        probe="block_of",
        inputs=_block_inputs(False),
        judge=_followed(
            block, ORDER_SLIPS, INSIDE, "Each sub-layer is added, then normed at once."
        ),
    ),
    Check(
        id="4c",
        question="4",
        points=1,
        title="block: padding in the middle and on the left (only the mask counts)",
        probe="block_of",
        inputs=_block_inputs(True, PADDED),
        judge=_followed(
            block,
            MASK_SLIPS,
            ORDER_SLIPS,
            "Change a padded token of x: no other token's output may change.",
        ),
    ),
    Check(
        id="4d",
        question="4",
        points=1,
        title="block: post-norm, a sequence that is all padding (only the mask counts)",
        probe="block_of",
        inputs=_block_inputs(False, EMPTY),
        judge=_followed(
            block,
            MASK_SLIPS | EMPTY_SLIPS,
            ORDER_SLIPS,
            "A row of −∞ has no softmax. Make its weights 0 before they meet v.",
            seen=_read_later,
        ),
    ),
    Check(
        id="4e",
        question="4",
        points=1,
        title="block: positions and padding, both orders; the inputs stay as they were",
        probe="block_left",
        inputs=_block_inputs([True, False], PADDED, positions=True),
        judge=_left(
            _followed(
                block,
                TURN_SLIPS,
                [*ORDER_SLIPS, *MASK_SLIPS],
                "With all tokens at one position the output is that without.",
                seen=_read_later,
            )
        ),
    ),
    Check(
        id="5a",
        question="5",
        points=2,
        title="to_rms: gains and shifts (maps that write are centred already)",
        probe="for_engine",
        inputs=_engine_inputs(centred=True),
        judge=partial(judge_engine, forgiven=("inputs centred",)),
    ),
    Check(
        id="5b",
        question="5",
        points=1,
        title="to_rms: maps that write (gains 1, shifts 0)",
        probe="for_engine",
        inputs=_engine_inputs(centred=False, plain_norms=True),
        judge=judge_engine,
    ),
    Check(
        id="5c",
        question="5",
        points=1,
        title="to_rms: a whole block, and the old weights stay as they were",
        probe="engine_left",
        inputs=_engine_inputs(centred=False),
        judge=_left(partial(judge_engine, forgiven=tuple(RMS_MISTAKES))),
    ),
]
