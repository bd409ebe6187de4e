"""Expected values, mistakes and points of assignment 5.

No mechanism is known here. What comes back holds the student's track, family and
declaration; the judge works out what that declaration means for the hidden inputs and
compares. So both tracks meet the same checks, and a mechanism can only be wrong about
itself. A T × T table for 65,000 positions is stopped by the sandbox's memory, computing
all pairs in pieces by its clock: no judge could see either.
"""

import math
from functools import partial

import numpy as np

from attnbook.grading.judging import Check, Mistake, Wrong, difference, numbers

TRACKS = ("efficient", "vision")
FAMILIES = ("sparse", "linear", "pooled")
WIDTH = 16  # of queries, keys and values, where a cost is counted
LARGEST_SHARE = 1 / 8
MOST_LAYERS = 64
MEASUREMENTS, LEAST_INSIDE = 20, 14  # of the distance, and how many must be inside
WIDEST = 12  # standard deviations of the 20; the statement allows 6 of the student's
ROUNDING = 1e-9
REPORTED = {"efficient": [1024], "vision": [32, 32]}
NOT_FINITE = "look at large numbers and at division by zero."
SHORT = "Return what the statement says; look at the shapes that `slow` gives."


def attend(q, k, v, mask=None, *, scale=None):
    """The reference of `attention`; a row without keys gives zeros."""
    scores = q @ np.swapaxes(k, -1, -2) * (scale or q.shape[-1] ** -0.5)
    mask = np.broadcast_to(True if mask is None else mask, scores.shape)
    hidden = np.where(mask, scores, -np.inf)
    top = np.where(mask.any(-1), hidden.max(-1), 0.0)[..., None]
    shares = np.exp(hidden - top)
    total = shares.sum(-1, keepdims=True)
    return shares / np.where(total == 0, 1, total) @ v


def allowed(track, length):
    """What full attention of a track may see."""
    every = np.ones((length, length), bool)
    return np.tril(every) if track == "efficient" else every


# Question 1
def batches(rng):
    """Two batch axes; the mask has a row per query and is shared by the second axis."""
    shapes = {"q": (2, 3, 5, 4), "k": (2, 3, 7, 4), "v": (2, 3, 7, 3)}
    drawn = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    mask = rng.random((2, 1, 5, 7)) < 0.5
    mask[..., 0], mask[..., 1] = True, False
    return {**drawn, "mask": mask}


def loud_and_empty(rng):
    """No batch axis; very large scores; the second query may attend to nothing."""
    shapes = {"q": (3, 4), "k": (6, 4), "v": (6, 2)}
    drawn = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    mask = rng.permuted(np.tile(np.arange(6), (3, 1)), axis=1) < [[3], [0], [2]]
    return {**drawn, "q": 4000 * drawn["q"], "mask": mask}


def graph(rng):
    """A sparse pattern with a direction: few positions see themselves."""
    mask = rng.random((9, 9)) < 0.15
    mask[np.arange(9), (np.arange(9) + 1) % 9] = True
    mask[0, 0] = mask[4, 5] = mask[5, 6] = False
    return {"mask": mask, "layers": [0, 1, 2, 4]}


def reached(mask, layers, *, residual=True, more=0):
    """The reference of `reach`; the options make mistakes."""
    step = mask | (np.eye(len(mask), dtype=bool) & residual)
    powers = [np.linalg.matrix_power(step.astype(float), n + more) for n in layers]
    return [power > 0 for power in powers]


@np.errstate(all="ignore")
def overflowing(q, k, v, mask):
    """Return what a softmax gives that takes no maximum away, NaN made zero."""
    shares = np.exp(q @ k.T / math.sqrt(q.shape[-1])) * mask
    return np.nan_to_num(shares / shares.sum(-1, keepdims=True)) @ v


def untouched(answer):
    """Return what the probe brings back where the arguments stay as they are."""
    return lambda q, k, v, mask: [answer(q, k, v, mask), q, k, v]


def crowds(rng):
    """Many ways: all see all; of 64, half see that half and the others see all."""
    halves = np.ones((64, 64), bool)
    halves[:32, 32:] = False
    return {"masks": [np.ones((256, 256), bool), halves], "layers": [2, 64]}


NO_SCALE = Mistake(
    name="scale forgotten",
    hint="Scores are divided by the root of the width of the queries.",
    value=untouched(partial(attend, scale=1.0)),
)
UPSIDE_DOWN = Mistake(
    name="mask upside down",
    hint="True means: may attend.",
    value=untouched(lambda q, k, v, mask: attend(q, k, v, ~mask)),
)
IN_PLACE = Mistake(
    name="arguments changed",
    hint="*=, /= and methods that end in an underscore write into an argument.",
    value=lambda q, k, v, mask: [
        attend(q, k, v, mask),
        q / math.sqrt(q.shape[-1]),
        k,
        v,
    ],
)
QUESTION_1 = [
    Check(
        id="1a",
        question="1",
        points=1,
        title="Attention with batch axes and a mask that broadcasts",
        probe="context",
        inputs=batches,
        expected=untouched(attend),
        mistakes=(NO_SCALE, UPSIDE_DOWN, IN_PLACE),
        hint="Only the last two axes take part; all others stay as they are.",
    ),
    Check(
        id="1b",
        question="1",
        points=1,
        title="Large scores, and a query with nothing to attend to",
        probe="context",
        inputs=loud_and_empty,
        expected=untouched(attend),
        mistakes=(
            Mistake(
                name="empty row becomes the mean",
                hint="The same large negative score everywhere is the same weight.",
                value=untouched(
                    lambda q, k, v, mask: np.where(
                        mask.any(-1, keepdims=True), attend(q, k, v, mask), v.mean(0)
                    )
                ),
            ),
            Mistake(
                name="large scores overflow",
                hint="Take the largest score away before e to the power of them.",
                value=untouched(overflowing),
            ),
        ),
        hint="Both can give NaN: e to a large score, and a softmax over only −∞.",
    ),
    Check(
        id="1c",
        question="1",
        points=0.5,
        title="How far a pattern with a direction reaches",
        probe="reached",
        inputs=graph,
        expected=reached,
        mistakes=(
            Mistake(
                name="residual connection forgotten",
                hint="A position keeps what it has, also where the mask forbids it.",
                value=partial(reached, residual=False),
            ),
            Mistake(
                name="rows and columns exchanged",
                hint="A row per query: who is reached stands in the columns.",
                value=lambda mask, layers: reached(mask.T, layers),
            ),
            Mistake(
                name="one layer too many",
                hint="No layer: only itself. One layer: the mask and itself.",
                value=partial(reached, more=1),
            ),
        ),
        hint="Draw the pattern as arrows and walk as many steps as there are layers.",
    ),
    Check(
        id="1d",
        question="1",
        points=0.5,
        title="Many layers, and many ways to the same position",
        probe="crowded",
        inputs=crowds,
        expected=lambda masks, layers: masks,  # more layers reach nothing new
        hint="If you count ways, does your type of number hold that many of them?",
    ),
]


# Question 2
def dependence(attend_fn, q, k, v, *, keys=True, values=True):
    """The reference of `dependence`; the options leave something alone."""
    before, columns = attend_fn(q, k, v), []
    for s in range(len(k)):
        other_k, other_v = k.copy(), v.copy()
        other_k[s] += keys * np.linspace(0.6, 1.4, k.shape[1])
        other_v[s] += values * np.linspace(0.7, 1.3, v.shape[1])
        moved = attend_fn(q, other_k, other_v) - before
        columns.append(np.abs(moved).max(-1) > 1e-9)
    return np.stack(columns, -1)


def patterned(mask):
    """Attention under a fixed mask."""
    return lambda q, k, v: attend(q, k, v, mask)


def leaky(q, k, v):
    """Causal linear attention whose normaliser sums over all keys."""
    weights = np.exp(q - 1) @ np.exp(k - 1).T
    return np.tril(weights) @ v / weights.sum(-1, keepdims=True)


def faint(q, k, v):
    """Causal, with weights that fall off steeply; and rounding from everywhere."""
    back = np.subtract.outer(np.arange(len(q)), np.arange(len(k)))
    scores = np.where(back >= 0, np.tanh(q @ k.T / 2) - 3.4 * back, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    out = weights / weights.sum(-1, keepdims=True) @ v
    for turn in range(1, 10):  # to and fro: nothing but rounding is left
        factor = 3 + np.sin(turn * (k.sum() + v.sum()))
        out = out * factor / factor
    return out


def masks_of(rng):
    """Two patterns; in each, one query sees a single key. One position is zero."""
    masks = rng.random((2, 5, 7)) < 0.4
    masks[:, 2] = np.eye(7, dtype=bool)[rng.integers(0, 7, 2)]
    shapes = {"q": (5, 3), "k": (7, 3), "v": (7, 2)}
    drawn = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    drawn["k"][4] = drawn["v"][4] = 0
    masks[:, 0, 3:5] = True
    return {"attend_fns": [patterned(mask) for mask in masks], **drawn}


def alone(attend_fn, rng):
    """One function, as many keys as queries."""
    drawn = {name: rng.normal(size=(6, 3)) for name in ("q", "k", "v")}
    return {"attend_fns": [attend_fn], **drawn}


def judge_dependence(inputs, got, missing, extra):
    """Name what an instrument overlooks, or sees where nothing is."""
    fns = inputs["attend_fns"]
    tables = {name: inputs[name] for name in ("q", "k", "v")}
    truth = [dependence(fn, **tables) for fn in fns]
    reason = difference(got, truth, 0)
    if reason is None:
        return
    for name, left in (("values left alone", "values"), ("keys left alone", "keys")):
        partly = [dependence(fn, **tables, **{left: False}) for fn in fns]
        if difference(got, partly, 0) is None:
            raise Wrong(name, f"There are functions that depend on {left} only.")
    if reason != "wrong numbers":
        raise Wrong(reason, "A boolean (T, S): a row per query, a column per key.")
    lost = any(
        (right & ~numbers(one)).any() for one, right in zip(got, truth, strict=True)
    )
    raise Wrong(*(missing if lost else extra))


MISSING = (
    "overlooks a dependence",
    "Change the key and the value of one position, by about 1, and nothing else.",
)
EXTRA = (
    "finds a dependence that is not there",
    "Does every position start from the tables as they were at first? "
    "Or do you put in NaN? It passes even through a weight of zero.",
)
QUESTION_2 = [
    Check(
        id="2a",
        question="2",
        points=1,
        title="Patterns in which some query sees a single key",
        probe="dependences",
        inputs=masks_of,
        judge=partial(judge_dependence, missing=MISSING, extra=EXTRA),
    ),
    Check(
        id="2b",
        question="2",
        points=1,
        title="A leak that does not go through the values",
        probe="dependences",
        inputs=partial(alone, leaky),
        judge=partial(judge_dependence, missing=MISSING, extra=EXTRA),
    ),
    Check(
        id="2c",
        question="2",
        points=1,
        title="Faint dependences, and rounding",
        probe="dependences",
        inputs=partial(alone, faint),
        judge=partial(
            judge_dependence,
            missing=("tolerance too coarse", "How small may a real change be?"),
            extra=(
                "every rounding counts",
                "A change below 1e-9 is none. Nor is NaN one.",
            ),
        ),
    ),
]


# Question 3: what a declaration means
def part(found, name):
    """Return an entry of what came back."""
    if not isinstance(found, dict) or name not in found:
        raise Wrong("nothing returned", SHORT)
    return found[name]


def chosen(got):
    """Return track and family."""
    track, family = part(got, "track"), part(got, "family")
    if track not in TRACKS:
        raise Wrong("no such track", f"TRACK is one of {TRACKS}.")
    if family not in FAMILIES:
        raise Wrong("no such family", f"FAMILY is one of {FAMILIES}.")
    if (track, family) == ("efficient", "pooled"):
        raise Wrong("pooled keys see the future", "A mean of keys mixes later ones in.")
    return track, family


def table(found, shape, what):
    """Return finite numbers of a given shape; None stands for any size."""
    if isinstance(found, str):
        raise Wrong("too many numbers", f"{what}: far more than a cheap one needs.")
    found = numbers(found)
    fits = found.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype.kind == "b":
        raise Wrong("wrong shape", f"{what}: {SHORT}")
    if not np.isfinite(found).all() or np.abs(found).max(initial=0) > 1e100:
        raise Wrong("NaN or infinity in the result", f"{what}: {NOT_FINITE}")
    return found.astype(float)


def keys_seen(found, positions, track, length):
    """Return the declared keys of each position."""
    sees = part(found, "sees")
    counts = table(part(sees, "lengths"), (len(positions),), "sees").astype(int)
    pieces = part(sees, "flat")
    if not isinstance(pieces, list | tuple) or not pieces:
        raise Wrong("wrong shape", SHORT)
    pieces = [table(piece, (None,), "sees") for piece in pieces]
    flat = np.concatenate(pieces).astype(int)
    if (counts < 0).any() or counts.sum() < len(flat):
        raise Wrong("wrong shape", SHORT)
    if counts.sum() > len(flat):
        raise Wrong("costs too much", "The pattern has too many pairs even to list.")
    rows = np.split(flat, np.cumsum(counts)[:-1])
    for t, row in zip(positions, rows, strict=True):
        if ((row < 0) | (row >= length)).any():
            raise Wrong("position that does not exist", "Look at `sees` at the border.")
        if len(np.unique(row)) < len(row):
            raise Wrong("a position declared twice", "`sees` returns different ones.")
        if track == "efficient" and (row > t).any():
            raise Wrong("declares the future", "Position t sees nothing after t.")
    return rows


def features_of(found, q, k):
    """Return the features of queries and keys, after a look at the map itself."""
    three = part(found, "features")
    if not isinstance(three, list | tuple) or len(three) != 3:
        raise Wrong("wrong shape", SHORT)
    what = "feature_map"
    of_q = table(three[0], (*q.shape[:2], None), what)
    of_k = table(three[1], (*k.shape[:2], of_q.shape[-1]), what)
    last = table(three[2], (len(k), 1, of_q.shape[-1]), what)
    if (of_q <= 0).any() or (of_k <= 0).any():
        raise Wrong(
            "feature map is not positive",
            "A weight could become negative, or all of them zero: 0/0.",
        )
    if difference(last, of_k[:, -1:], 1e-9) is not None:
        raise Wrong("feature map mixes positions", "Each position stands by itself.")
    return of_q, of_k


def pooled_of(found, k, v):
    """Return pooled keys and values, after a look at the pooling itself."""
    four = part(found, "pooled")
    if not isinstance(four, list | tuple) or len(four) != 4:
        raise Wrong("wrong shape", SHORT)
    width = min(k.shape[-1], v.shape[-1])
    of_k = table(four[0], (len(k), None, k.shape[-1]), "pool")
    of_v = table(four[1], (len(k), of_k.shape[1], v.shape[-1]), "pool")
    ones = table(four[2], (1, of_k.shape[1], 1), "pool")
    both = table(four[3], (len(k), of_k.shape[1], width), "pool")
    if of_k.shape[1] == 0 or difference(ones, np.ones_like(ones), 1e-9) is not None:
        raise Wrong("pooling is no mean", "The pooling of ones must be ones.")
    if difference(both, of_k[..., :width] + of_v[..., :width], 1e-9) is not None:
        raise Wrong(
            "pooling depends on the content",
            "With fixed weights, the pooling of a sum is the sum of the poolings.",
        )
    return of_k, of_v


def meaning(choice, found, q, k, v, positions):
    """Return the context that a declaration promises at some positions."""
    track, family = choice
    rows = q[:, positions]
    if family == "sparse":
        seen = keys_seen(found, positions, track, q.shape[1])
        out = [
            attend(rows[:, i : i + 1], k[:, keys], v[:, keys])
            if len(keys)
            else np.zeros((len(q), 1, v.shape[-1]))
            for i, keys in enumerate(seen)
        ]
        return np.concatenate(out, 1)
    if family == "pooled":
        return attend(rows, *pooled_of(found, k, v))
    of_q, of_k = features_of(found, q, k)
    weights = of_q @ np.swapaxes(of_k, 1, 2) * allowed(track, q.shape[1])
    return (weights / weights.sum(-1, keepdims=True) @ v)[:, positions]


def compare(got, want, named=()):
    """Accept an output that is what its declaration means; else find a name for it."""
    if not np.isfinite(want).all():
        raise Wrong("NaN or infinity in the result", "Look at your declaration.")
    reason = difference(got, want, 1e-6)
    if reason is None:
        return
    for name, hint, value in named:
        if difference(got, value, 1e-6) is None:
            raise Wrong(name, hint)
    if reason == "wrong numbers":
        reason = "not what it declares"
    raise Wrong(reason, "Compare `mechanism` with `slow`, for many shapes.")


def split(rng, choices):
    """Draw a number of positions, as a sequence and as a grid."""
    height, width = map(int, choices[rng.integers(len(choices))])
    shapes = {"efficient": [height * width], "vision": [height, width]}
    return height * width, shapes


def tables(rng, batch, length, d=3, d_v=5):
    """Draw queries, keys and values."""
    widths = {"q": d, "k": d, "v": d_v}
    return {name: rng.normal(size=(batch, length, w)) for name, w in widths.items()}


GRIDS = (
    [(1, 1)],
    [(1, 7), (7, 1), (1, 5)],
    [(5, 7), (3, 11), (13, 3)],
    [(11, 6), (10, 7), (7, 11)],
)


def small_cases(rng):
    """A batch on a grid, another grid, a row or column, one position; each turned too.

    A turned grid has as many positions: what is kept for one must not serve the other.
    """
    cases = []
    for choices in reversed(GRIDS):
        length, shapes = split(rng, choices)
        batch = 2 if choices is GRIDS[-1] else 1
        turned = {**shapes, "vision": shapes["vision"][::-1]}
        for grid in (shapes, turned):
            cases.append({**tables(rng, batch, length), "shapes": grid})
    return {"cases": cases}


def judge_small(inputs, got):
    """3a: output and declaration tell the same story, for several shapes."""
    choice, found = chosen(got), part(got, "cases")
    if not isinstance(found, list | tuple) or len(found) != len(inputs["cases"]):
        raise Wrong("wrong shape", SHORT)
    for case, one in zip(inputs["cases"], found, strict=True):
        q, k, v = case["q"], case["k"], case["v"]
        with np.errstate(all="ignore"):
            want = meaning(choice, one, q, k, v, np.arange(q.shape[1]))
            named = likely(choice, one, q, k, v)
        out = part(one, "out")
        at_the_border(choice, one, out, want)
        compare(out, want, named)


def likely(choice, found, q, k, v):
    """Return the outputs of frequent slips, each with its name and hint."""
    track, family = choice
    every = allowed(track, q.shape[1])
    named = []
    if family == "linear":
        of_q, of_k = features_of(found, q, k)
        weights = of_q @ np.swapaxes(of_k, 1, 2)
        some = weights * every
        named += [
            (
                "normaliser sees the future",
                "The sum below the line runs over the same positions as the one above.",
                some / weights.sum(-1, keepdims=True) @ v,
            ),
            ("not normalised", "What is the sum of a query's weights?", some @ v),
        ]
    if family == "sparse":
        seen = keys_seen(found, range(q.shape[1]), track, q.shape[1])
        mask = np.zeros((q.shape[1],) * 2, bool)
        for t, row in enumerate(seen):
            mask[t, row] = True
        hint = "Scores are divided by the root of the width, as in `attention`."
        named.append(("scale forgotten", hint, attend(q, k, v, mask, scale=1.0)))
    if family == "pooled":
        of_k, of_v = pooled_of(found, k, v)
        hint = "The root is that of the width, not of the number of keys."
        scale = of_k.shape[1] ** -0.5
        named.append(("wrong scale", hint, attend(q, of_k, of_v, scale=scale)))
    hint = "It computes full attention, whatever it declares."
    return [*named, ("full attention in the end", hint, attend(q, k, v, every))]


def at_the_border(choice, found, out, want):
    """Name outputs that are right except where the pattern is cut off."""
    out = numbers(out)
    if choice[1] != "sparse" or out.shape != want.shape:
        return
    counts = numbers(found["sees"]["lengths"])
    with np.errstate(all="ignore"):
        far = ~(np.abs(out - want).max((0, 2)) <= 1e-6)
    if far.any() and not far[counts == counts.max()].any():
        raise Wrong(
            "wrong at the border",
            "What lies outside must have no weight: −∞ before the softmax, not 0.",
        )


def exchanged(rng):
    """Another key and value at five positions, one after the other."""
    length, shapes = split(rng, GRIDS[2])
    drawn = tables(rng, 1, length)
    other = tables(rng, 1, length)
    positions = [0, *sorted(rng.choice(np.arange(1, length), 4, replace=False))]
    return {
        **drawn,
        "other_k": other["k"],
        "other_v": other["v"],
        "positions": [int(s) for s in positions],
        "shapes": shapes,
    }


def judge_moved(inputs, got):
    """3b: what changes is what was declared to depend on the position."""
    choice = chosen(got)
    length, width = inputs["v"].shape[1:]
    outs = part(got, "outs")
    if not isinstance(outs, list | tuple) or len(outs) != 6:
        raise Wrong("wrong shape", SHORT)
    outs = [table(out, (1, length, width), "mechanism") for out in outs]
    depends = allowed(choice[0], length)
    if choice[1] == "sparse":
        depends = np.zeros((length, length), bool)
        for t, row in enumerate(keys_seen(got, range(length), choice[0], length)):
            depends[t, row] = True
    depends = depends[:, inputs["positions"]].T
    moved = np.array([np.abs(out - outs[0])[0].max(-1) > 1e-9 for out in outs[1:]])
    before = np.arange(length) < np.array(inputs["positions"])[:, None]
    if choice[0] == "efficient" and (moved & before).any():
        raise Wrong("the future leaks", "An output changed that stands before it.")
    if (moved & ~depends).any():
        raise Wrong("looks at more than it declares", "Use your instrument on it.")
    if (depends & ~moved).any():
        raise Wrong("declared and never used", "Use your instrument on it.")


# Question 3: what it costs
def pairs_of(found, choice, length):
    """Return the declared keys of all positions, or None where all are meant."""
    if choice[1] != "sparse":
        return None
    return keys_seen(found, range(length), choice[0], length)


def cost_share(choice, length, seen, size):
    """Return the part of full attention's multiply–adds, by the statement's table."""
    pairs = int(allowed(choice[0], length).sum())
    if choice[1] == "sparse":
        return sum(map(len, seen)) / pairs
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 10**9:
        raise Wrong("wrong shape", SHORT)
    if choice[1] == "linear":
        return (WIDTH + 1) * length * size / (WIDTH * pairs)
    return length * size / pairs


def layers_needed(choice, seen, most):
    """Return after how many layers everything is reached; None if not within `most`.

    Each row of the reach is one integer, a bit per position.
    """
    if seen is None:
        return 1
    length = len(seen)
    causal = choice[0] == "efficient"
    goal = [(1 << (t + 1 if causal else length)) - 1 for t in range(length)]
    have = [1 << t for t in range(length)]
    for layer in range(most + 1):
        if have == goal:
            return layer
        before, have = have, [_union(have, t, row) for t, row in enumerate(seen)]
        if have == before:
            return None
    return None


def _union(have, t, row):
    bits = have[t]
    for s in row:
        bits |= have[s]
    return bits


def about_a_thousand(rng):
    """A grid of about 1,000 patches that is not square."""
    length, shapes = split(rng, [(31, 34), (32, 33), (29, 36), (33, 31)])
    return {**tables(rng, 1, length, 4, 2), "width": WIDTH, "shapes": shapes}


def judge_thousand(inputs, got):
    """3c: cheap and connected, and the declaration still holds."""
    choice = chosen(got)
    q, k, v = inputs["q"], inputs["k"], inputs["v"]
    length = q.shape[1]
    seen = pairs_of(got, choice, length)
    if cost_share(choice, length, seen, got.get("size")) > LARGEST_SHARE:
        raise Wrong("costs too much", "Count your pairs at this length (question 4).")
    if layers_needed(choice, seen, MOST_LAYERS) is None:
        raise Wrong("not connected", "Walk through the pattern with `reach`.")
    with np.errstate(all="ignore"):
        want = meaning(choice, got, q, k, v, np.arange(length))
    compare(part(got, "out"), want)


def very_long(rng):
    """About 65,000 positions, made of 53 different vectors."""
    length, shapes = split(rng, [(251, 259), (257, 253), (249, 262)])
    drawn = {f"{name}_table": x[0] for name, x in tables(rng, 1, 53, 4, 2).items()}
    positions = [0, length - 1, *map(int, rng.integers(1, length - 1, 22))]
    ids = rng.integers(0, 53, length)
    return {**drawn, "ids": ids, "positions": positions, "shapes": shapes}


def judge_long(inputs, got):
    """3d: right at some positions of very many."""
    choice, ids = chosen(got), inputs["ids"]
    q, k, v = (inputs[f"{name}_table"][ids][None] for name in "qkv")
    out = table(part(got, "out"), (1, len(ids), v.shape[-1]), "mechanism")
    positions = inputs["positions"]
    with np.errstate(all="ignore"):
        if choice[1] == "linear":
            want = long_linear(choice, got, inputs)
        else:
            want = meaning(choice, got, q, k, v, positions)
    compare(out[:, positions], want)


def long_linear(choice, got, inputs):
    """Count how often each of the few different keys was seen."""
    both = part(got, "features")
    if not isinstance(both, list | tuple) or len(both) != 2:
        raise Wrong("wrong shape", SHORT)
    of_q = table(both[0], (1, 53, None), "feature_map")[0]
    of_k = table(both[1], (1, 53, of_q.shape[-1]), "feature_map")[0]
    rows, ids = [], inputs["ids"]
    for t in inputs["positions"]:
        before = ids[: t + 1] if choice[0] == "efficient" else ids
        weights = of_k @ of_q[ids[t]] * np.bincount(before, minlength=53)
        rows.append(weights @ inputs["v_table"] / weights.sum())
    return np.array(rows)[None]


QUESTION_3 = [
    Check(
        id="3a",
        question="3",
        points=3,
        title="The mechanism is what it declares, for small shapes of all kinds",
        probe="small",
        inputs=small_cases,
        judge=judge_small,
    ),
    Check(
        id="3b",
        question="3",
        points=1,
        title="Exactly what was declared can change an output",
        probe="moved",
        inputs=exchanged,
        judge=judge_moved,
    ),
    Check(
        id="3c",
        question="3",
        points=1.5,
        title="At most an eighth of the cost, and connected",
        probe="thousand",
        inputs=about_a_thousand,
        judge=judge_thousand,
    ),
    Check(
        id="3d",
        question="3",
        points=1.5,
        title="A very long input, within time and memory",
        probe="long",
        inputs=very_long,
        judge=judge_long,
    ),
]


# Question 4
def reported(got, name):
    """Return one number of the report."""
    value = numbers(part(part(got, "report"), name))
    if value.shape != () or value.dtype.kind == "b" or not np.isfinite(value):
        raise Wrong("not a number", "See the list of the three entries.")
    return float(value)


def judge_share(inputs, got):
    """4a: the cost share, counted again."""
    choice = chosen(got)
    length = math.prod(REPORTED[choice[0]])
    seen = pairs_of(got, choice, length)
    share = cost_share(choice, length, seen, got.get("size"))
    said = reported(got, "cost_share")
    if abs(said - share) > 0.01 * share:
        raise Wrong(*another_share(choice, length, seen, share, said))


def judge_layers(inputs, got):
    """4b: the layers, walked through again."""
    choice = chosen(got)
    seen = pairs_of(got, choice, math.prod(REPORTED[choice[0]]))
    if reported(got, "layers") != layers_needed(choice, seen, 4 * MOST_LAYERS):
        raise Wrong("another number of layers", "Apply `reach` to the declared mask.")


def another_share(choice, length, seen, share, said):
    """Return a name and a hint for a wrong cost share."""
    pairs = allowed(choice[0], length).sum()
    if (
        choice[0] == "efficient"
        and abs(said - share * pairs / length**2) <= 0.01 * said
    ):
        return "share of all pairs", "Full attention of this track is causal."
    if seen is not None:
        uncut = length * max(map(len, seen)) / pairs
        if abs(said - uncut) <= 0.01 * uncut:
            return "borders forgotten", "Near the border a query sees fewer keys."
    return "another cost share", "Use the table of question 3, at the shape asked for."


def judge_distance(inputs, got):
    """4c: the interval holds most of what is measured with fresh inputs.

    The interval of a mean over 20 holds about 7 of 20; one that holds 95 of 100 has
    fewer than 14 less than once in ten thousand times.
    """
    low, high = ends_of(got)
    measured = distances(inputs, got)
    spread = measured.std(ddof=1)
    if high - low > WIDEST * spread + ROUNDING:
        raise Wrong("interval too wide", "See how wide it may be.")
    inside = (low - ROUNDING <= measured) & (measured <= high + ROUNDING)
    if inside.sum() >= LEAST_INSIDE:
        return
    near = low - spread / 2 <= measured.mean() <= high + spread / 2
    if near and high - low < 2 * spread:
        raise Wrong(
            "interval of the mean",
            "Single measurements spread more than their mean: do not divide by √n.",
        )
    raise Wrong("interval misses new measurements", "Which norm, shape and inputs?")


def distances(inputs, got):
    """Return the distance from full attention for each sequence, a measurement each."""
    track, _ = chosen(got)
    q, k, v = inputs["q"], inputs["k"], inputs["v"]
    out = table(part(got, "out"), v.shape, "mechanism")
    exact = attend(q, k, v, allowed(track, q.shape[1]))
    return np.linalg.norm(out - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))


def ends_of(got):
    """Return both ends of the reported interval."""
    ends = part(part(got, "report"), "distance")
    ends = ends.tolist() if isinstance(ends, np.ndarray) else ends
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise Wrong("no interval", "Two numbers: the lower end, then the upper.")
    low, high = (reported({"report": {"end": end}}, "end") for end in ends)
    if not 0 <= low <= high:
        raise Wrong("no interval", "A distance is not negative; the lower end first.")
    return low, high


def random_inputs(rng):
    """Twenty measurements' inputs as the statement draws them."""
    shapes = {"efficient": [256], "vision": [16, 16]}
    return {**tables(rng, MEASUREMENTS, 256, WIDTH, WIDTH), "shapes": shapes}


QUESTION_4 = [
    Check(
        id="4a",
        question="4",
        points=1,
        title="The cost share, counted again",
        probe="counted",
        inputs=lambda rng: {"width": WIDTH, "shapes": REPORTED},
        judge=judge_share,
    ),
    Check(
        id="4b",
        question="4",
        points=0.5,
        title="The number of layers, counted again",
        probe="counted",
        inputs=lambda rng: {"width": WIDTH, "shapes": REPORTED},
        judge=judge_layers,
    ),
    Check(
        id="4c",
        question="4",
        points=1.5,
        title="The distance from full attention, measured twenty times again",
        probe="distance",
        inputs=random_inputs,
        judge=judge_distance,
    ),
]

CHECKS = [*QUESTION_1, *QUESTION_2, *QUESTION_3, *QUESTION_4]
