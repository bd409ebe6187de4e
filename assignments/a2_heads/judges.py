"""What assignment 2 expects, in NumPy, and the mistakes it knows by their values.

The hidden layers of question 5 live here too: they are called from inside the sandbox
but run outside, where no student can read their faults.
"""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from attnbook.grading.judging import Check, Mistake, Wrong, difference, numbers

# values


def softmax(scores, axis=-1):
    """Softmax; a line that is -inf everywhere gives zeros."""
    top = scores.max(axis, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def scored(q, k, scale=None):
    return q @ np.swapaxes(k, -1, -2) / (scale or np.sqrt(q.shape[-1]))


def masked(scores, mask, fill=-np.inf):
    return scores if mask is None else np.where(mask, scores, fill)


def attend(q, k, v, mask=None, scale=None):
    weights = softmax(masked(scored(q, k, scale), mask))
    return weights @ v, weights


def attend_gradients(q, k, v, mask, pull):
    """Gradients of (context * pull).sum() for q, k and v."""
    weights = attend(q, k, v, mask)[1]
    to_weights = pull @ np.swapaxes(v, -1, -2)
    mean = (weights * to_weights).sum(-1, keepdims=True)
    to_scores = weights * (to_weights - mean) / np.sqrt(q.shape[-1])
    turn = np.swapaxes(to_scores, -1, -2)
    return to_scores @ k, turn @ q, np.swapaxes(weights, -1, -2) @ pull


def split(x, num_heads):
    B, T, D = x.shape
    return x.reshape(B, T, num_heads, D // num_heads).transpose(0, 2, 1, 3)


def merge(x):
    B, H, T, Dh = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * Dh)


def view_split(x, num_heads):
    B, T, D = x.shape
    return x.reshape(B, num_heads, T, D // num_heads)


def view_merge(x):
    B, H, T, Dh = x.shape
    return x.reshape(B, T, H * Dh)


def interleaved_split(x, num_heads):
    B, T, D = x.shape
    return x.reshape(B, T, D // num_heads, num_heads).transpose(0, 3, 1, 2)


def interleaved_merge(x):
    B, H, T, Dh = x.shape
    return x.transpose(0, 2, 3, 1).reshape(B, T, H * Dh)


def layer(
    x,
    memory,
    maps,
    num_heads,
    mask=None,
    b_q=None,
    b_o=None,
    *,
    scale=None,
    glue=merge,
):
    w_q, w_k, w_v, w_o = maps
    q = x @ w_q + (0 if b_q is None else b_q)
    heads = [split(part, num_heads) for part in (q, memory @ w_k, memory @ w_v)]
    context, weights = attend(*heads, mask, scale)
    return glue(context) @ w_o + (0 if b_o is None else b_o), weights


def spoilt(right, **changes):
    """Return `right` with inputs changed: by a value, or by a function of the old."""

    def value(**inputs):
        for name, change in changes.items():
            inputs[name] = change(inputs[name]) if callable(change) else change
        return right(**inputs)

    return value


def drowned(weights):
    """Divide what a mask left of the weights by its sum, where that is not tiny."""
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1e-9)


def uniform(fill):
    """Return attention that reads everything where the mask allows nothing."""
    return weighing(lambda z, mask: softmax(np.where(mask, z, fill)))


def weighing(weigh):
    """Return attention whose weights are a function of scores and mask."""

    def value(q, k, v, mask):
        weights = weigh(scored(q, k), mask)
        return weights @ v, weights

    return value


def kept(value):
    """Return what `value` returns and, beside it, the inputs as they were."""
    return lambda **inputs: (value(**inputs), list(inputs.values()))


def changing(name, change):
    """Return right attention that has changed one of its inputs in place."""
    return lambda **inputs: (
        attend(**inputs),
        list((inputs | {name: change(inputs[name])}).values()),
    )


def silent(**inputs):
    """Return the layer with outputs of 0 where all heads read nothing."""
    out, weights = layer(**inputs)
    return out * weights.any(axis=(1, 3))[..., None], weights


def layer_gradients(x, memory, maps, num_heads, pull):
    """Gradients of (out * pull).sum() for the four maps."""
    reads = x, memory, memory
    heads = [split(y @ w, num_heads) for y, w in zip(reads, maps[:3], strict=True)]
    to_context = split(pull @ maps[3].T, num_heads)
    to_heads = attend_gradients(*heads, None, to_context)
    pairs = zip(reads, map(merge, to_heads), strict=True)
    pairs = [*pairs, (merge(attend(*heads)[0]), pull)]
    return tuple(np.einsum("bti,btj->ij", a, b) for a, b in pairs)


def our_maps(in_weight, out_weight, **_):
    return (*(part.T for part in np.split(in_weight, 3)), out_weight.T)


def our_biases(in_bias, out_weight, out_bias, **_):
    b_q, _, b_v = np.split(in_bias, 3)
    return b_q, out_bias + b_v @ out_weight.T


def torch_masks(attn_mask, key_padding_mask, num_heads):
    B, S = key_padding_mask.shape
    T = attn_mask.shape[-2]
    if attn_mask.ndim == 3:
        attn_mask = attn_mask.reshape(B, num_heads, T, S)
    forbidden = attn_mask | key_padding_mask[:, None, None]
    return ~np.broadcast_to(forbidden, (B, num_heads, T, S))


# inputs


def qkv(rng, lead, T, S, d_k, d_v):
    sizes = {"q": (T, d_k), "k": (S, d_k), "v": (S, d_v)}
    return {name: 1.5 * rng.normal(size=(*lead, *size)) for name, size in sizes.items()}


def plain_inputs(rng):
    inputs = qkv(rng, (3,), 4, 6, 5, 2)
    inputs["q"][1, 2] *= 3000  # scores that overflow exp
    return inputs | {"mask": None}


def some_mask(rng, shape, empty):
    """Draw a mask that allows at least one key in all rows but the empty ones."""
    mask = rng.random(shape) < 0.5
    mask[..., 0] |= ~mask.any(-1)
    mask[..., 1] &= ~mask.all(-1)
    mask[empty] = False
    return mask


def masked_inputs(rng):
    """Draw an empty row, one whose forbidden key scores 900, one of low scores."""
    mask = some_mask(rng, (2, 1, 4, 5), (1, 0, 2))
    inputs = qkv(rng, (2, 3), 4, 5, 6, 3)
    forbidden = int(mask[0, 0, 3].argmin())
    inputs["q"][0, ..., 0], inputs["k"][0, ..., 0] = 0, 0
    inputs["q"][0, :, 3, 0], inputs["k"][0, :, forbidden, 0] = 9 * np.sqrt(6), 100
    inputs["q"][1, :, 3, 0], inputs["k"][1, ..., 0] = -2e4 * np.sqrt(6), 1
    return inputs | {"mask": mask}


def gradient_inputs(rng):
    mask = some_mask(rng, (4, 5), (0,))
    pull = rng.normal(size=(2, 4, 3))
    return qkv(rng, (2,), 4, 5, 6, 3) | {"mask": mask, "pull": pull}


def tokens(rng, B, T, S, D, d_memory, num_heads):
    sizes = [(D, D), (d_memory, D), (d_memory, D), (D, D)]
    return {
        "x": rng.normal(size=(B, T, D)),
        "memory": rng.normal(size=(B, S, d_memory)),
        "maps": [rng.normal(size=size) / np.sqrt(size[0]) * 1.3 for size in sizes],
        "num_heads": num_heads,
    }


def self_inputs(rng):
    inputs = tokens(rng, 2, 5, 5, 12, 12, 3)
    nothing = {"mask": None, "b_q": None, "b_o": None}
    return inputs | {"memory": inputs["x"].copy()} | nothing


def cross_inputs(rng):
    b_q, b_o = 2 * rng.normal(size=(2, 12))
    biases = {"b_q": b_q, "b_o": b_o}
    return tokens(rng, 3, 4, 7, 12, 5, 2) | {"mask": None} | biases


def masked_layer_inputs(rng):
    """Draw as many sequences as heads; a query may read nothing in all heads."""
    mask = some_mask(rng, (3, 4, 6), (slice(None), 2))
    given = {"mask": mask, "b_q": None, "b_o": 2 * rng.normal(size=6)}
    return tokens(rng, 3, 4, 6, 6, 5, 3) | given


def layer_gradient_inputs(rng):
    return tokens(rng, 2, 3, 4, 6, 5, 2) | {"pull": rng.normal(size=(2, 3, 6))}


def torch_inputs(rng, parts):
    sizes = {"in_weight": (18, 6), "in_bias": 18, "out_weight": (6, 6), "out_bias": 6}
    drawn = {name: rng.normal(size=size) for name, size in sizes.items()}
    return drawn | {"parts": parts}


def mask_inputs(rng, shape, num_heads=2):
    padding = np.arange(5) >= rng.permutation([2, 4, 5])[:, None]
    forbidden = rng.random(shape) < 0.4
    forbidden[..., 0, 0], forbidden[..., 1, 0] = True, False
    return {
        "attn_mask": forbidden,
        "key_padding_mask": padding,
        "num_heads": num_heads,
    }


# judges


def gradient_judge(reference):
    """Return a judge that compares gradients and says when there are none."""

    def judge(inputs, got):
        if got is None or (
            isinstance(got, list | tuple) and any(x is None for x in got)
        ):
            raise Wrong("gradient cut", CUT)
        reason = difference(got, reference(**inputs), 1e-6)
        if reason == "NaN or infinity in the result":
            raise Wrong("NaN in the gradients", NAN)
        if reason is not None:
            raise Wrong(reason, SLOPES)

    return judge


LAWS = ("batch", "future", "padding", "order", "average")
BREAKS = {
    "plain": (),
    "sharp": (),
    "residual": (),
    "ignored": ("future", "padding"),
    "late": ("future", "padding"),
    "columns": ("future", "padding"),
    "centred": ("future", "padding"),
    "shifted": ("future",),
    "ahead": ("future",),
    "neighbour": ("padding",),
    "fading": ("order",),
    "sorted": ("future", "padding", "order"),
    "table": ("order", "average"),
    "sigmoid": ("average",),
    "root": ("average",),
    "crowd": ("batch",),
    "first": ("batch",),  # and, for some lengths, padding: judged for batch alone
    "global": ("batch", "future", "padding"),
}
MISSED = {
    "batch": "Use keeps_batch as it is given.",
    "future": "Give the layer the causal mask, replace the last tokens by other random "
    "ones, and compare all earlier positions.",
    "padding": "Take sequences of different lengths in one batch, replace what stands "
    "in the padding by other random tokens, and compare all real tokens.",
    "order": "Compare layer(x[:, order]) with layer(x)[:, order] for a random order.",
    "average": "Compare many copies of one random token with that token alone.",
}
BLAMED = {
    "batch": "Compare the same sequence, alone and in its batch, up to rounding.",
    "future": "Compare only positions before the first token that you replaced.",
    "padding": "Compare real tokens only: at a padded position the query is new.",
    "order": "Reorder the outputs as you reordered the tokens, and give no mask.",
    "average": "n copies of one token, no mask: every output is that of one token.",
}


WIDTH = 6  # of the hidden layers, which have two heads
LARGEST = 2048  # numbers in one array; the time of a call grows with it


class Variant:
    """A layer(x, mask=None), sound or with the fault that `kind` names."""

    def __init__(self, kind, maps):
        self.kind = kind
        self.maps = maps

    def __call__(self, x, mask=None):
        """Return outputs (B, T, D).

        Raises:
            ValueError: x or mask is no array of a size that is answered quickly.
        """
        sized = isinstance(x, np.ndarray) and 0 < x.size <= LARGEST
        if not sized or x.ndim != 3 or x.shape[2] != WIDTH:
            raise ValueError(f"x must be (B, T, {WIDTH}), at most {LARGEST} numbers")
        if mask is not None and np.asarray(mask).dtype.kind != "b":
            raise ValueError("the mask must be boolean")
        *reads, w_o = self.maps
        y = seen(self.kind, x.astype(float))
        q, k, v = (split(y @ w, 2) for w in reads)
        if self.kind == "first":
            k, v = k[:1], v[:1]
        scores = scored(q, k)
        allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
        out = merge(weigh(self.kind, scores, allowed) @ v) @ w_o
        if self.kind == "sorted":
            return np.take_along_axis(out, out[..., :1].argsort(axis=1), axis=1)
        return out + x if self.kind == "residual" else out


def seen(kind, x):
    """Return the tokens that the maps read."""
    if kind == "centred":
        return x - x.mean(axis=1, keepdims=True)
    if kind == "table":
        return x + np.sin(np.outer(np.arange(x.shape[1]), np.arange(1, WIDTH + 1)))
    return x


def weigh(kind, scores, allowed):
    """Return weights (B, H, T, S)."""
    if kind == "late":
        return softmax(scores) * allowed
    if kind == "sigmoid":
        return allowed / (1 + np.exp(-scores))
    if kind == "columns":
        return softmax(masked(scores, allowed), axis=-2)
    weights = softmax(masked(adjusted(kind, scores), moved(kind, allowed)))
    return weights / np.sqrt(scores.shape[-1]) if kind == "root" else weights


def adjusted(kind, scores):
    """Return the scores that the softmax sees."""
    places = np.arange(scores.shape[-1])
    if kind == "sharp":
        return 4 * scores
    if kind == "fading":
        return scores - 0.5 * np.abs(places[:, None] - places)
    if kind == "global":
        return scores / np.sqrt(np.square(scores).mean())
    return scores / np.sqrt(len(scores)) if kind == "crowd" else scores


def moved(kind, allowed):
    """Return the mask that the softmax sees."""
    if kind == "ignored":
        return np.ones_like(allowed)
    if kind == "shifted":
        return np.concatenate([allowed[..., 1:, :], allowed[..., -1:, :]], axis=-2)
    if kind == "ahead":  # as "shifted", but the first query is right
        rows = np.arange(allowed.shape[-2])
        return allowed[..., np.where(rows == 0, 0, np.minimum(rows + 1, rows[-1])), :]
    return np.roll(allowed, 1, axis=0) if kind == "neighbour" else allowed


def bench_inputs(rng, kinds):
    """Draw the maps and the order of some layers."""
    maps = tokens(rng, 1, 1, 1, WIDTH, WIDTH, 2)["maps"]
    layers = [Variant(kinds[i], maps) for i in rng.permutation(len(kinds))]
    return {"layers": layers, "d_model": WIDTH}


def bench_judge(laws):
    """Return a judge of the names that were found, for some of the laws."""

    def judge(inputs, got):
        kinds = [layer.kind for layer in inputs["layers"]]
        if not isinstance(got, list | tuple) or len(got) != len(kinds):
            raise Wrong("not a list of names", "Return a list, empty for sound layers.")
        for names in got:
            strings = isinstance(names, list | tuple)
            strings = strings and all(isinstance(name, str) for name in names)
            if not strings or not set(names) <= set(LAWS):
                raise Wrong("not a list of names", f"The names are {', '.join(LAWS)}.")
        for law, (kind, names) in product(laws, zip(kinds, got, strict=True)):
            if law in names and law not in BREAKS[kind]:
                raise Wrong(f"{law}: a layer that keeps it is rejected", BLAMED[law])
        for law, (kind, names) in product(laws, zip(kinds, got, strict=True)):
            if law not in names and law in BREAKS[kind]:
                raise Wrong(f"{law}: a layer that breaks it passes", MISSED[law])

    return judge


def shares(strengths):
    """Return the share of right answers to each question, as `examine` counts them."""
    rng = np.random.default_rng(20170612)
    weights = softmax(np.concatenate([strengths, np.zeros((2, 5))], axis=1))
    colours = [rng.permuted(np.tile(np.arange(8), (1000, 1)), axis=1) for _ in range(2)]
    fit, test = (
        np.stack([weights[:, np.argsort(row)].ravel() for row in some])
        for some in colours
    )
    wanted = np.eye(8)[colours[0][:, :3]].reshape(1000, 24)
    reader = np.linalg.lstsq(fit, wanted, rcond=None)[0]
    named = (test @ reader).reshape(1000, 3, 8).argmax(-1)
    return (named == colours[1][:, :3]).mean(0)


def strengths_judge(inputs, got):
    """Accept two rows of strengths with which all three questions are answered."""
    got = got.tolist() if isinstance(got, np.ndarray) else got
    rows = got if isinstance(got, list | tuple) else []
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
    shaped = [isinstance(row, list | tuple) and len(row) == 3 for row in rows]
    if shaped != [True, True]:
        raise Wrong("wrong shape", "Return two rows of three numbers.")
    table = np.array([[float(numbers(entry)) for entry in row] for row in rows])
    if not (np.abs(table) <= 20).all():
        raise Wrong("out of range", "All strengths lie between -20 and 20.")
    failed = int((shares(table) < 0.85).sum())  # these boxes may be unlucky ones
    if failed == 1:
        raise Wrong(
            "one question is not answered",
            "Draw each colour's pair of weights as a point. One of the three is no "
            "corner, or too flat a one for least squares. Move it outwards; both heads "
            "may look at the same object.",
        )
    if failed:
        raise Wrong(
            f"{failed} questions are not answered",
            "Two of the points coincide, or lie behind a third. Draw them.",
        )


# checks

POLARITY = "True means that a query may attend."
SCALE = "Divide by the root of the width of one query or key in the head: q.shape[-1]."
NUMBERED = "Number the entries 10 × token + column and look at head 0."
CUT = (
    "Nothing flows back to some argument. Is it used? Look for .detach(), .data, "
    ".numpy(), no_grad, or torch.tensor(…) around a result."
)
NAN = (
    "An empty row is 0/0 somewhere on the way back. Select before the softmax, or "
    "replace NaN in the weights before they multiply v; do not add −∞."
)
SLOPES = (
    "The slopes are not right. If an earlier check of this question fails, begin there."
)


def slip(name, hint, value):
    """Return a mistake, in one line."""
    return Mistake(name=name, hint=hint, value=value)


def split_slips(view, interleaved):
    """Return the mistakes of both directions."""
    order = "A head owns neighbouring columns. Which axis of your view runs faster?"
    return (
        slip("view without transpose", NUMBERED, view),
        slip("columns dealt out in turn", order, interleaved),
    )


CAUSAL = (
    slip(
        "aligned at the start",
        "The queries are the last T positions: the last row allows all.",
        lambda T, S: np.tri(T, S, dtype=bool),
    ),
    slip("mask inverted", POLARITY, lambda T, S: ~np.tri(T, S, S - T, dtype=bool)),
    slip(
        "own position forbidden",
        "A query may attend to its own position.",
        lambda T, S: np.tri(T, S, S - T - 1, dtype=bool),
    ),
)
UNMASKED = (
    slip("no scale", SCALE, weighing(lambda z, mask: softmax(z * np.sqrt(5)))),
    slip(
        "divided by the width, not by its root",
        SCALE,
        weighing(lambda z, mask: softmax(z / np.sqrt(5))),
    ),
    slip(
        "softmax over the queries",
        "Each row of weights, over the keys, sums to 1.",
        weighing(lambda z, mask: softmax(z, axis=-2)),
    ),
    slip(
        "returned in the other order",
        "First the context, then the weights.",
        lambda **inputs: attend(**inputs)[::-1],
    ),
)
EMPTY = (
    "With a large negative number in place of −∞ a query that may see nothing reads "
    "everything. It should get zeros, as weights and as context."
)
LOW = "Allowed scores can be lower than the number that you put in place of −∞."
MASKED = (
    slip("mask inverted", POLARITY, spoilt(attend, mask=np.logical_not)),
    slip(
        "masked after the softmax",
        "Forbidden keys are still in the denominator: do the rows sum to 1?",
        weighing(lambda z, mask: softmax(z) * mask),
    ),
    slip(
        "forbidden scores drown the allowed ones",
        "A forbidden key may have by far the largest score. It must not enter the "
        "softmax, nor the maximum that is subtracted: mask the scores first.",
        weighing(lambda z, mask: drowned(softmax(z) * mask)),
    ),
    slip("an empty row is uniform", EMPTY, uniform(-1e9)),
    slip("an empty row is uniform", EMPTY, uniform(-1e4)),
    slip(
        "an empty row is uniform",
        EMPTY,
        lambda **inputs: (attend(**inputs)[0], uniform(-1e9)(**inputs)[1]),
    ),
    slip(
        "fill not low enough",
        LOW,
        weighing(
            lambda z, mask: softmax(masked(z, mask, -1e4)) * mask.any(-1, keepdims=True)
        ),
    ),
    slip(
        "fill not low enough",
        LOW,
        weighing(lambda z, mask: softmax(masked(z, mask, -1e4)) * mask),
    ),
    slip(
        "forbidden scores are 0",
        "A score of 0 still has a weight, exp(0) before it is divided.",
        weighing(lambda z, mask: softmax(np.where(mask, z, 0))),
    ),
)
IN_PLACE = "Compute with copies: mask = mask | …, q = q / …, not |= or /=."
KEPT = (
    slip(
        "mask changed in place",
        IN_PLACE,
        changing("mask", lambda mask: mask | ~mask.any(-1, keepdims=True)),
    ),
    slip("mask changed in place", IN_PLACE, changing("mask", np.logical_not)),
    slip(
        "queries changed in place",
        IN_PLACE,
        changing("q", lambda q: q / np.sqrt(q.shape[-1])),
    ),
)
OUTPUT = slip(
    "output map transposed",
    "Our maps multiply from the right as they are: w_o too.",
    spoilt(layer, maps=lambda maps: [*maps[:3], maps[3].T]),
)
SELF = (
    OUTPUT,
    slip("scaled by the width of the model", SCALE, partial(layer, scale=np.sqrt(12))),
    slip("no scale", SCALE, partial(layer, scale=1.0)),
    slip(
        "no output map",
        "The merged contexts are still multiplied by w_o.",
        spoilt(layer, maps=lambda maps: [*maps[:3], np.eye(12)]),
    ),
    slip(
        "maps transposed",
        "Our maps multiply from the right as they are: x @ w.",
        spoilt(layer, maps=lambda maps: [w.T for w in maps]),
    ),
    slip(
        "weights averaged over the heads",
        "Return one map per head, (B, H, T, S).",
        lambda **inputs: (layer(**inputs)[0], layer(**inputs)[1].mean(1)),
    ),
    slip(
        "heads merged without transpose",
        "Use merge_heads; a reshape alone mixes tokens.",
        partial(layer, glue=view_merge),
    ),
)
CROSS = (
    OUTPUT,
    slip(
        "bias of the queries left out",
        "b_q is added to x @ w_q, before the heads are cut.",
        spoilt(layer, b_q=None),
    ),
    slip(
        "bias of the output left out",
        "b_o is added after the output map.",
        spoilt(layer, b_o=None),
    ),
    slip(
        "bias of the output before the map",
        "b_o is added after the output map.",
        lambda **i: layer(**i | {"b_o": i["b_o"] @ i["maps"][3]}),
    ),
)
LAYER_MASKED = (
    OUTPUT,
    slip("mask ignored", "Hand the mask on to every head.", spoilt(layer, mask=None)),
    slip("mask inverted", POLARITY, spoilt(layer, mask=np.logical_not)),
    slip(
        "masks of the heads taken for masks of the sequences",
        "(H, T, S) broadcasts to (B, H, T, S) as it is: do not add an axis.",
        spoilt(layer, mask=lambda mask: mask[:, None]),
    ),
    slip(
        "bias of the output lost where a query reads nothing",
        "The context is 0 there; b_o is added all the same.",
        silent,
    ),
)
MAPS = (
    slip(
        "not transposed",
        "PyTorch computes x @ w.T, and you x @ w: transpose each map.",
        lambda **inputs: [part.T for part in our_maps(**inputs)],
    ),
    slip(
        "output map not transposed",
        "out_proj.weight is transposed too.",
        lambda **inputs: [*our_maps(**inputs)[:3], inputs["out_weight"]],
    ),
)
BIASES = (
    slip(
        "bias of the values lost",
        "Weights sum to 1, so it is added to every context. Send it through the "
        "output map.",
        lambda **i: (i["in_bias"][:6], i["out_bias"]),
    ),
    slip(
        "bias of the values past the output map",
        "It is added to the contexts, and they are multiplied by w_o.",
        lambda **i: (i["in_bias"][:6], i["out_bias"] + i["in_bias"][12:]),
    ),
    slip(
        "output map on the wrong side",
        "Row vectors: b_v @ w_o, with the w_o of our layout.",
        spoilt(our_biases, out_weight=np.transpose),
    ),
    slip(
        "bias of the keys kept",
        "It adds one number to a whole row of scores, and the softmax removes it.",
        lambda **i: (i["in_bias"][:6] + i["in_bias"][6:12], our_biases(**i)[1]),
    ),
)
UNPADDED = slip(
    "padding forgotten",
    "A key is allowed if neither mask forbids it: the padding counts too.",
    spoilt(torch_masks, key_padding_mask=np.zeros_like),
)
ONE_MASK = (
    UNPADDED,
    slip(
        "not negated",
        "In PyTorch True forbids, in ours it allows.",
        lambda **inputs: ~torch_masks(**inputs),
    ),
    slip(
        "allowed if one of the masks allows it",
        "A key is allowed if neither mask forbids it.",
        lambda **i: (
            torch_masks(**i | {"key_padding_mask": np.zeros((3, 5), bool)})
            | ~i["key_padding_mask"][:, None, None]
        ),
    ),
    slip(
        "heads left to broadcasting",
        "All four sizes are asked for: expand to (B, H, T, S).",
        lambda **inputs: torch_masks(**inputs)[:, :1],
    ),
)
MANY_MASKS = (
    UNPADDED,
    slip(
        "heads before sequences",
        "B·H holds the heads of sequence 0 first: reshape to (B, H, …).",
        spoilt(
            torch_masks,
            attn_mask=lambda m: m.reshape(2, 3, 4, 5).swapaxes(0, 1).reshape(6, 4, 5),
        ),
    ),
)


def bench(id, points, title, laws, kinds):
    """Return a check of question 5 on some hidden layers and some of the laws."""
    return Check(
        id=id,
        question="5",
        points=points,
        title=title,
        probe="found_in",
        inputs=partial(bench_inputs, kinds=kinds.split()),
        judge=bench_judge(laws),
    )


CHECKS = [
    Check(
        id="1a",
        question="1",
        points=1,
        title="Causal mask with more keys than queries",
        probe="mask_of",
        inputs=lambda rng: {"T": 3, "S": 3 + int(rng.integers(2, 5))},
        expected=lambda T, S: np.tri(T, S, S - T, dtype=bool),
        mistakes=CAUSAL,
        hint="Look at the last row: it must allow every key. Each row above, one less.",
    ),
    Check(
        id="1b",
        question="1",
        points=1.5,
        title="Weights and context without a mask, large scores too",
        probe="attended",
        inputs=plain_inputs,
        expected=attend,
        mistakes=UNMASKED,
        hint="Is the largest score subtracted before the exponential? (softmax does.)",
    ),
    Check(
        id="1c",
        question="1",
        points=1.5,
        title="A mask with an empty row and large forbidden scores, left as it was",
        probe="attended_and_kept",
        inputs=masked_inputs,
        expected=kept(attend),
        mistakes=(*(replace(one, value=kept(one.value)) for one in MASKED), *KEPT),
        hint="What does the softmax make of a row that is −∞ everywhere?",
    ),
    Check(
        id="1d",
        question="1",
        points=1,
        title="An empty row does not spoil the gradients",
        probe="attended_gradients",
        inputs=gradient_inputs,
        judge=gradient_judge(attend_gradients),
    ),
    Check(
        id="2a",
        question="2",
        points=1,
        title="Split, with as many tokens as heads",
        probe="heads_of",
        inputs=lambda rng: {"x": rng.normal(size=(2, 4, 12)), "num_heads": 4},
        expected=split,
        mistakes=split_slips(view_split, interleaved_split),
        hint=NUMBERED,
    ),
    Check(
        id="2b",
        question="2",
        points=1,
        title="Merge: the way back",
        probe="merged",
        inputs=lambda rng: {"x": rng.normal(size=(2, 3, 5, 4))},
        expected=merge,
        mistakes=split_slips(view_merge, interleaved_merge),
        hint="Undo the steps of split_heads in the opposite order.",
    ),
    Check(
        id="3a",
        question="3",
        points=1.5,
        title="Self-attention with several heads",
        probe="layer_of",
        inputs=self_inputs,
        expected=layer,
        mistakes=SELF,
        hint="Follow one head through the steps: which columns of w_q are its own?",
    ),
    Check(
        id="3b",
        question="3",
        points=1.5,
        title="Another sequence answers: other length, other width, two biases",
        probe="layer_of",
        inputs=cross_inputs,
        expected=layer,
        mistakes=CROSS,
        hint="Who asks, and who answers? Keys and values both come from the memory.",
    ),
    Check(
        id="3c",
        question="3",
        points=1,
        title="A mask of its own for each head",
        probe="layer_of",
        inputs=masked_layer_inputs,
        expected=layer,
        mistakes=LAYER_MASKED,
        hint="The mask has 2 to 4 axes and broadcasts to (B, H, T, S) as it is.",
    ),
    Check(
        id="3d",
        question="3",
        points=1,
        title="Gradients reach all four maps",
        probe="layer_gradients",
        inputs=layer_gradient_inputs,
        judge=gradient_judge(layer_gradients),
    ),
    Check(
        id="4a",
        question="4",
        points=1,
        title="The four maps",
        probe="converted",
        inputs=partial(torch_inputs, parts="maps"),
        expected=our_maps,
        mistakes=MAPS,
        hint="Rows 0 to D − 1 of in_proj_weight belong to the queries.",
    ),
    Check(
        id="4b",
        question="4",
        points=1.5,
        title="Two biases in place of four",
        probe="converted",
        inputs=partial(torch_inputs, parts="biases"),
        expected=our_biases,
        mistakes=BIASES,
        hint="Write out the scores and the contexts with all three biases.",
    ),
    Check(
        id="4c",
        question="4",
        points=0.5,
        title="One attn_mask for all, and padding",
        probe="converted_masks",
        inputs=partial(mask_inputs, shape=(4, 5)),
        expected=torch_masks,
        mistakes=ONE_MASK,
        hint="The padding belongs to the keys, the last axis. Shape (B, H, T, S)?",
    ),
    Check(
        id="4d",
        question="4",
        points=1,
        title="One attn_mask for each sequence and head",
        probe="converted_masks",
        inputs=partial(mask_inputs, shape=(6, 4, 5)),
        expected=torch_masks,
        mistakes=MANY_MASKS,
        hint="B·H is one axis that holds two. Which of the two runs faster?",
    ),
    bench(
        "5a",
        1,
        "Sound layers pass, a layer without its mask does not",
        LAWS,
        "plain sharp residual ignored",
    ),
    bench(
        "5b",
        0.75,
        "Masks that do not hide the future",
        ("future",),
        "plain late ahead neighbour columns centred",
    ),
    bench(
        "5c",
        0.75,
        "Masks that do not hide the padding",
        ("padding",),
        "plain late shifted neighbour centred global",
    ),
    bench(
        "5d",
        0.5,
        "Order that matters",
        ("order",),
        "residual fading table sigmoid sorted",
    ),
    bench(
        "5e",
        0.5,
        "Weights that do not average",
        ("average",),
        "residual fading table sigmoid root",
    ),
    bench(
        "5f",
        0.5,
        "Layers that look at other sequences",
        ("batch",),
        "sharp table crowd first global",
    ),
    Check(
        id="6a",
        question="6",
        points=2,
        title="Two heads answer three questions",
        probe="strengths_of",
        judge=strengths_judge,
    ),
]
