"""Expected values, points and named mistakes of assignment 1.

Hidden sizes are odd and differ (T ≠ S, d_v ≠ d_k), except where a mistake shows only
in square matrices: there a transposed matrix fits and raises no error.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from attnbook.grading.judging import (
    Check,
    Mistake,
    Wrong,
    decide,
    difference,
    numbers,
)

TOLERANCE = 1e-6  # the assignment's
ROUGH = 1e-3  # where the last digits were already tested, or rounding costs them
LAWS = ("sum", "scale", "mask", "average")
# The option of a variant (see probes.py) that breaks a law; one at a time.
OPTIONS = {"over": "sum", "scale": "scale", "mask": "mask", "average": "average"}


def softmax(scores, mask=None, axis=1):
    """The reference: zeros where nothing is allowed."""
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    hidden = np.where(allowed, scores, -np.inf)
    largest = hidden.max(axis=axis, keepdims=True)
    shares = np.exp(hidden - np.where(np.isfinite(largest), largest, 0.0))
    total = shares.sum(axis=axis, keepdims=True)
    return shares / np.where(total == 0, 1.0, total)


def attend(q, k, v, mask=None, *, scale=None, axis=1, late=False):
    """The reference; the options make mistakes."""
    scores = q @ k.T * (k.shape[1] ** -0.5 if scale is None else scale)
    weights = softmax(scores, None if late else mask, axis)
    weights = np.where(mask, weights, 0.0) if late else weights
    return weights @ v, weights


def softmax_backward(weights, grad):
    """The reference: the vector–Jacobian product of the softmax, row by row."""
    return weights * (grad - (weights * grad).sum(axis=1, keepdims=True))


def query_gradient(q, k, v, grad_context, mask=None, *, back=softmax_backward, d=None):
    """The reference; the options make mistakes."""
    weights = attend(q, k, v, mask)[1]
    grad = back(weights, grad_context @ v.T) @ k
    return grad / np.sqrt(k.shape[1] if d is None else d)


def additive(q, k, W, U, v):
    """The reference: the sum stands inside the tanh."""
    return np.tanh((q @ U.T)[:, None] + (k @ W.T)[None]) @ v


def value_of(inputs, got):
    """Return a probe's value if its inputs came back as they were sent."""
    if not isinstance(got, Mapping) or set(got) != {"value", "inputs"}:
        raise Wrong("no result", "The probe returns a value and its inputs.")
    if difference(got["inputs"], inputs, 1e-12):
        raise Wrong(
            "changes its input",
            "Work on a copy: `x -= y` and `x[mask] = …` write into the caller's array.",
        )
    return got["value"]


def leaves_inputs_alone(check):
    """Let a check ask for unchanged inputs before it looks at the value."""

    def judge(inputs, got):
        decide(check, inputs, value_of(inputs, got), TOLERANCE)

    return replace(check, expected=None, judge=judge)


# --- Question 1


def large_scores(rng):
    """Rows around −10,000, 0 and 10,000, and one with all three and a close race."""
    scores = rng.normal(size=(4, 5)) * 2
    scores += [[-1e4, 1e4, 1e4, 0, -1e4], [-1e4] * 5, [0] * 5, [1e4] * 5]
    scores[0, 2] = scores[0, 1] + rng.uniform(1, 2)
    return {"scores": scores}


def masked_scores(rng):
    """Every row keeps two or three of five keys, and every key is kept once."""
    kept = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 1, 0]], bool)
    return {
        "scores": rng.normal(size=(3, 5)) * 2,
        "mask": rng.permutation(kept, axis=1),
    }


def loud_forbidden(rng):
    """Forbidden keys far above the allowed ones, which lie very low in the last row."""
    mask = rng.permutation([True, True, True, False, False])
    levels = np.where(mask, [[-1e4], [-1e12]], [[1e4], [0.0]])
    return {"scores": rng.normal(size=(2, 5)) + levels, "mask": mask}


def empty_rows(rng):
    """The second and the last of four rows allow nothing."""
    mask = rng.permuted(np.tile(np.arange(5), (4, 1)), axis=1) < [[3], [0], [4], [0]]
    return {"scores": rng.normal(size=(4, 5)) * 2, "mask": mask}


def empty_rows_of_both_shapes(rng):
    """The same, and a mask of shape (S,) that allows nothing."""
    inputs = empty_rows(rng)
    return {"scores": inputs["scores"], "masks": [inputs["mask"], np.zeros(5, bool)]}


def under_each(weights):
    """Give the weights under each of the masks."""
    return lambda scores, masks: [weights(scores, mask) for mask in masks]


def weights_and_inputs(inputs, got):
    """Judge of 1e; the weights of empty rows are left to 1d."""
    weights, right = numbers(value_of(inputs, got)), softmax(**inputs)
    rows = inputs["mask"].any(axis=1)
    if weights.shape != right.shape or difference(weights[rows], right[rows], ROUGH):
        raise Wrong("wrong weights", "First get the weights right, checks 1a to 1d.")


def clipped(start):
    """Scores clipped to a range around a start."""
    return Mistake(
        name="scores clipped",
        hint="Clipping makes different scores equal. Shift them instead.",
        value=lambda scores: softmax(np.clip(scores - start(scores), -500, 500)),
    )


def added(number):
    """A number added to the sum that the shares are divided by."""
    return Mistake(
        name="something added to the sum",
        hint="With a number added below, do the weights still sum to 1?",
        value=lambda scores: softmax(scores) / (1 + number / sum_of_shares(scores)),
    )


def sum_of_shares(scores):
    """Return the sum of each row after the shift by its largest score."""
    return np.exp(scores - scores.max(axis=1, keepdims=True)).sum(1, keepdims=True)


def filled(low, silent=False):
    """A number in place of −∞; silent: forbidden weights are then set to 0."""
    return Mistake(
        name="finite number in place of −∞",
        hint="Some allowed score may be lower than the number that you chose.",
        value=lambda scores, mask: (
            softmax(np.where(mask, scores, low)) * (mask if silent else 1.0)
        ),
    )


WRONG_AXIS = Mistake(
    name="softmax over the queries",
    hint="The weights of one query sum to 1: sum along the axis of the keys.",
    value=lambda scores, mask=None: softmax(scores, mask, axis=0),
)
MASKS = (
    Mistake(
        name="mask upside down",
        hint="True means: may attend.",
        value=lambda scores, mask: softmax(scores, ~mask),
    ),
    Mistake(
        name="mask after the softmax",
        hint="Do the allowed keys of a row still share the weight 1?",
        value=lambda scores, mask: softmax(scores) * mask,
    ),
    Mistake(
        name="forbidden score set to 0",
        hint="A score of 0 is a score like any other. Which score has the weight 0?",
        value=lambda scores, mask: softmax(scores * mask),
    ),
    Mistake(
        name="mask ignored",
        hint="Does the mask enter your computation at all?",
        value=lambda scores, mask: softmax(scores),
    ),
    WRONG_AXIS,
)
EMPTY_UNIFORM = Mistake(
    name="empty row becomes uniform",
    hint="A large negative number for all keys is the same score for all.",
    value=lambda scores, mask: softmax(np.where(mask, scores, -1e9)),
)
QUESTION_1 = [
    Check(
        id="1a",
        question="1",
        points=1,
        title="Large and small scores, no mask",
        probe="weights_without_mask",
        inputs=large_scores,
        expected=softmax,
        mistakes=(
            WRONG_AXIS,
            clipped(lambda scores: 0.0),
            clipped(lambda scores: scores.mean(axis=1, keepdims=True)),
            *map(added, (1e-5, 1e-4, 1e-3)),
        ),
        hint="Subtract the largest score of each row (not of the table) before exp.",
    ),
    Check(
        id="1b",
        question="1",
        points=1,
        title="A mask with a row per query",
        probe="weights_of",
        inputs=masked_scores,
        expected=softmax,
        mistakes=MASKS,
        tolerance=ROUGH,
        hint="Try a row of three scores where one key is forbidden, by hand.",
    ),
    Check(
        id="1c",
        question="1",
        points=1.5,
        title="Forbidden keys far above the allowed ones",
        probe="weights_of",
        inputs=loud_forbidden,
        expected=softmax,
        mistakes=(
            Mistake(
                name="maximum taken over forbidden keys",
                hint="The forbidden score decides how far all are shifted. Mask first.",
                value=lambda scores, mask: np.zeros(scores.shape),
            ),
            filled(-1e4),
            filled(-1e9),  # any number between −10,000 and −10¹² gives the same
            filled(-1e9, silent=True),
            *MASKS,
        ),
        tolerance=ROUGH,  # x − (m + ln Σ) is right too, but rounds at −10¹²
        hint="Which keys does your maximum look at? The mask has to act before it.",
    ),
    Check(
        id="1d",
        question="1",
        points=1,
        title="Queries with nothing to attend to",
        probe="weights_under_each",
        inputs=empty_rows_of_both_shapes,
        expected=under_each(softmax),
        mistakes=tuple(
            replace(mistake, value=under_each(mistake.value))
            for mistake in (EMPTY_UNIFORM, *MASKS)
        ),
        tolerance=ROUGH,
        hint="A row without an allowed key, under masks of both shapes: what is its "
        "maximum, what is its sum?",
    ),
    Check(
        id="1e",
        question="1",
        points=0.5,
        title="The caller's arrays stay as they are",
        probe="weights_and_inputs",
        inputs=empty_rows,
        judge=weights_and_inputs,
    ),
]

# --- Question 2


def vectors(rng):
    """Three queries, five keys of width 7."""
    return {"q": rng.normal(size=(3, 7)), "k": rng.normal(size=(5, 7))}


def square_bilinear(rng):
    """Equal widths, where a transposed matrix raises no error."""
    return {
        "q": rng.normal(size=(3, 4)),
        "k": rng.normal(size=(5, 4)),
        "W": rng.normal(size=(4, 4)),
    }


def square_additive(rng):
    """Equal widths of queries and keys, another number of hidden units."""
    shapes = {"q": (4, 3), "k": (5, 3), "W": (7, 3), "U": (7, 3), "v": (7,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def dictionary(rng):
    """Four key words, six query words: two with two meanings, one with none."""
    letters = np.array(list("bcdfghjklmnprstv"))
    words = ["".join(rng.permutation(letters)[:4]) + str(n) for n in range(10)]
    key_words, query_words = words[:4], words[4:]
    first = rng.integers(0, 4, size=5)
    meanings = [*enumerate(first), *((n, (first[n] + 1) % 4) for n in (1, 3))]
    pairs = [[query_words[n], key_words[m]] for n, m in meanings]
    return {
        "pairs": [pairs[n] for n in rng.permutation(len(pairs))],
        "key_words": key_words,
        "query_words": query_words,
    }


def matrix(pairs, key_words, query_words):
    """The reference of `translation_matrix`."""
    W = np.zeros((len(key_words), len(query_words)))
    for query_word, key_word in pairs:
        W[key_words.index(key_word), query_words.index(query_word)] = 1
    return W


def transposed_result(score):
    """A table (S, T) in place of (T, S)."""
    return Mistake(
        name="queries and keys exchanged",
        hint="A row per query, a column per key: (T, S).",
        value=lambda **inputs: score(**inputs).T,
    )


def bilinear(q, k, W):
    """The reference: k W q."""
    return q @ W.T @ k.T


NOT_ALWAYS_4 = "Only the help desk has vectors of width 4: read the width off the keys."
QUESTION_2 = [
    leaves_inputs_alone(
        Check(
            id="2a",
            question="2",
            points=1,
            title="Dot and scaled dot score",
            probe="dots_and_inputs",
            inputs=vectors,
            expected=lambda q, k: (q @ k.T, q @ k.T / np.sqrt(k.shape[1])),
            mistakes=(
                Mistake(
                    name="divided by d",
                    hint="The dot product is divided by the root of the width.",
                    value=lambda q, k: (q @ k.T, q @ k.T / k.shape[1]),
                ),
                Mistake(
                    name="root of the number of keys",
                    hint="Which axis of the keys is their width?",
                    value=lambda q, k: (q @ k.T, q @ k.T / np.sqrt(len(k))),
                ),
                Mistake(
                    name="root of 4 is hard-coded",
                    hint=NOT_ALWAYS_4,
                    value=lambda q, k: (q @ k.T, q @ k.T / 2),
                ),
                Mistake(
                    name="queries and keys exchanged",
                    hint="A row per query, a column per key: (T, S).",
                    value=lambda q, k: (k @ q.T, k @ q.T / np.sqrt(k.shape[1])),
                ),
            ),
            hint="Do one entry by hand: row of q, row of k, product, sum, root of d_k.",
        )
    ),
    Check(
        id="2b",
        question="2",
        points=1.5,
        title="Bilinear score with a square matrix",
        probe="bilinear_of",
        inputs=square_bilinear,
        expected=bilinear,
        mistakes=(
            Mistake(
                name="W transposed",
                hint="Which side of W belongs to the query? W is (d_k, d_q).",
                value=lambda q, k, W: q @ W @ k.T,
            ),
            Mistake(
                name="scaled although the statement does not scale",
                hint="Only the scaled dot score has the root.",
                value=lambda q, k, W: bilinear(q, k, W) / np.sqrt(k.shape[1]),
            ),
            transposed_result(bilinear),
        ),
        hint="Compute k W q with a double loop over single vectors and compare.",
    ),
    Check(
        id="2c",
        question="2",
        points=1.5,
        title="Additive score with queries and keys of equal width",
        probe="additive_of",
        inputs=square_additive,
        expected=additive,
        mistakes=(
            Mistake(
                name="W and U exchanged",
                hint="W belongs to the key, U to the query.",
                value=lambda q, k, W, U, v: additive(q, k, U, W, v),
            ),
            Mistake(
                name="one tanh per term",
                hint="The sum stands inside the tanh; else the query has no effect.",
                value=lambda q, k, W, U, v: (
                    (np.tanh(q @ U.T) @ v)[:, None] + np.tanh(k @ W.T) @ v
                ),
            ),
            Mistake(
                name="tanh forgotten",
                hint="Where is the tanh?",
                value=lambda q, k, W, U, v: (q @ U.T @ v)[:, None] + k @ W.T @ v,
            ),
            transposed_result(additive),
        ),
        hint="Compute one entry for one query and one key, then the whole table.",
    ),
    Check(
        id="2d",
        question="2",
        points=1,
        title="A dictionary of other words",
        probe="translation_of",
        inputs=dictionary,
        expected=matrix,
        mistakes=(
            Mistake(
                name="W transposed",
                hint="A row per key word, a column per query word.",
                value=lambda **inputs: matrix(**inputs).T,
            ),
            Mistake(
                name="only one meaning kept",
                hint="`dict(pairs)` keeps the last pair of each word.",
                value=lambda pairs, key_words, query_words: matrix(
                    list(dict(pairs).items()), key_words, query_words
                ),
            ),
        ),
        hint="Write down which entry a single pair sets, then go through all pairs.",
    ),
]

# --- Question 3


def table(rng):
    """Keys and values of different widths, scores far enough apart to see faults."""
    return {**vectors(rng), "v": rng.normal(size=(5, 2))}


def masked_table(rng):
    """The second of three queries may attend to nothing."""
    mask = rng.permuted(np.tile(np.arange(5), (3, 1)), axis=1) < [[3], [0], [2]]
    return {**table(rng), "mask": mask}


def table_with_one_mask(rng):
    """One mask of shape (S,) for all queries."""
    return {**table(rng), "mask": rng.permutation([True, True, True, False, False])}


def wrong_scale(name, hint, scale):
    """Attention with another factor."""
    return Mistake(
        name=name,
        hint=hint,
        value=lambda q, k, v, mask=None: attend(q, k, v, mask, scale=scale(q, k, v)),
    )


ATTENDING = (
    Mistake(
        name="weights returned first",
        hint="The statement asks for context, then weights.",
        value=lambda q, k, v, mask=None: attend(q, k, v, mask)[::-1],
    ),
    wrong_scale("scale forgotten", "Which score is asked for?", lambda q, k, v: 1.0),
    wrong_scale(
        "divided by d",
        "The dot product is divided by the root of the width.",
        lambda q, k, v: 1 / k.shape[1],
    ),
    wrong_scale(
        "root of the width of the values",
        "What is compared are queries and keys: their width counts.",
        lambda q, k, v: v.shape[1] ** -0.5,
    ),
    wrong_scale("root of 4 is hard-coded", NOT_ALWAYS_4, lambda q, k, v: 0.5),
    Mistake(
        name="softmax over the queries",
        hint="The weights of one query sum to 1: sum along the axis of the keys.",
        value=partial(attend, axis=0),
    ),
)
ATTENDING_MASKED = (
    Mistake(
        name="mask after the softmax",
        hint="Do the allowed keys of a row still share the weight 1?",
        value=partial(attend, late=True),
    ),
    Mistake(
        name="mask upside down",
        hint="True means: may attend.",
        value=lambda q, k, v, mask: attend(q, k, v, ~mask),
    ),
    Mistake(
        name="mask ignored",
        hint="Does the mask reach your softmax?",
        value=lambda q, k, v, mask: attend(q, k, v),
    ),
    Mistake(
        name="context without the mask",
        hint="The context is the average under the weights that you return.",
        value=lambda q, k, v, mask: (attend(q, k, v)[0], attend(q, k, v, mask)[1]),
    ),
    *ATTENDING,
)
QUESTION_3 = [
    Check(
        id="3a",
        question="3",
        points=2,
        title="Context and weights without a mask",
        probe="answers_of",
        inputs=table,
        expected=attend,
        mistakes=ATTENDING,
        hint="Scores, softmax over the keys, product with the values: which differs?",
    ),
    Check(
        id="3b",
        question="3",
        points=1.5,
        title="A row of the mask per query, one of them empty",
        probe="masked_answers_of",
        inputs=masked_table,
        expected=attend,
        mistakes=ATTENDING_MASKED,
        hint="Look at the row that may attend to nothing: zeros in both arrays?",
    ),
    leaves_inputs_alone(
        Check(
            id="3c",
            question="3",
            points=0.5,
            title="One mask for all queries",
            probe="masked_answers_and_inputs",
            inputs=table_with_one_mask,
            expected=attend,
            mistakes=ATTENDING_MASKED,
            hint="A mask of shape (S,) holds for every query.",
        )
    ),
]

# --- Question 4


class Variant:
    """An implementation of attention, right or with one fault.

    It is called from inside but runs out here, where no student can read its options.
    """

    def __init__(self, options):
        self.options = {
            "over": "keys",
            "scale": "root d_k",
            "mask": "before",
            "average": "own",
            "by": "table",
            **options,
        }
        broken = [law for option, law in OPTIONS.items() if option in options]
        self.law = broken[0] if broken else "none"

    def __call__(self, q, k, v, mask=None):
        """Return context and weights."""
        options = self.options
        plain = mask is not None and options["mask"] == "unscaled"
        scale = "none" if plain else options["scale"]
        scores = variant_scores(q, k, v, scale, options["by"])
        weights = variant_weights(scores, mask, options["over"], options["mask"])
        if options["by"] == "rounded":
            weights = np.round(weights, 8)
        before = shares_of(scores, "keys")
        average = options["average"]
        return variant_context(weights, before, v, mask, average), weights


def variant_scores(q, k, v, scale, by):
    factor = {
        "root d_k": k.shape[1] ** -0.5,
        "none": 1.0,
        "d_k": 1 / k.shape[1],
        "root d_v": v.shape[1] ** -0.5,
        "root S": len(k) ** -0.5,
        "numbers of q over S": (q.size / len(k)) ** -0.5,  # right if T = S
    }[scale]
    if by == "einsum":
        return np.einsum("td,sd->ts", q, k) * factor
    return (q * factor) @ k.T if by == "query first" else q @ k.T * factor


def variant_weights(scores, mask, over, how):
    if mask is not None:
        mask = variant_mask(np.asarray(mask), how)
    allowed = np.ones(scores.shape, bool)
    if mask is not None and how != "late":
        allowed = allowed & mask
    low = {"weak": scores - 10, "finite": -1e9}.get(how, -np.inf)
    scores = np.where(allowed, scores, low)
    with np.errstate(all="ignore"):
        weights = shares_of(scores, over)
    if how not in ("weak", "finite", "nan"):
        weights = np.where(allowed.any(axis=1, keepdims=True), weights, 0.0)
    if mask is not None and how == "late":
        weights = np.where(mask, weights, 0.0)
    return weights


def variant_mask(mask, how):
    """Return the mask as a variant reads it; None: not at all."""
    if how == "one ignored" and mask.ndim == 1:
        return None
    if how == "first row" and mask.ndim == 2:
        return mask[0]
    return ~mask if how == "inverted" else mask


def variant_context(weights, before, v, mask, average):
    """Average the values, rightly or not; before: the weights before the mask."""
    plain = np.broadcast_to(v.mean(axis=0), (len(weights), v.shape[1]))
    if average == "plain" or (average == "plain without mask" and mask is None):
        return plain
    if average == "before mask":
        return before @ v
    if average == "first values" and mask is not None:
        forbidden = ~np.broadcast_to(mask, weights.shape)
        allowed_first = np.argsort(forbidden, axis=1, kind="stable")
        return np.take_along_axis(weights, allowed_first, axis=1) @ v
    return weights @ (v[::-1] if average == "reversed" else v)


def shares_of(scores, over):
    axis = {"queries": 0, "table": None}.get(over, 1)
    shares = np.exp(scores - scores.max(axis=axis, keepdims=True))
    total = 1.0 if over == "largest" else shares.sum(axis=axis, keepdims=True)
    return shares / total * (0.9998 if over == "almost" else 1.0)


def shuffled(*variants):
    """Draw the variants' order."""

    def inputs(rng):
        order = rng.permutation(len(variants))
        return {"variants": [Variant(variants[n]) for n in order]}

    return inputs


def knows_the_laws(inputs, got):
    """Judge of question 4: name the first verdict that is wrong, and in which way."""
    laws = [variant.law for variant in inputs["variants"]]
    if not isinstance(got, tuple | list) or len(got) != len(laws):
        raise Wrong("no verdicts", "diagnose is called once per implementation.")
    if not all(isinstance(said, str) and said in {*LAWS, "none"} for said in got):
        raise Wrong(
            "not one of the five names",
            'Return "sum", "scale", "mask", "average" or "none", as a string.',
        )
    for law, said in zip(laws, got, strict=True):
        if said == law:
            continue
        if said == "none":
            raise Wrong(f"a broken law is not seen: {law}", UNSEEN[law])
        if [*LAWS, "none"].index(said) < [*LAWS, "none"].index(law):
            raise Wrong("a law that holds is called broken", FALSE_ALARM)
        raise Wrong(f"{law} is taken for {said}", f"{ORDER} {UNSEEN[law]}")


UNSEEN = {
    "sum": "Use several queries, look at every row of the weights, and allow no more "
    "than the statement does.",
    "scale": "Let T, S, d_k and d_v all differ, and compare all numbers.",
    "mask": "Compare all weights under masks of both shapes, one with an empty row, "
    "and remember that NaN fails every comparison, `>` too.",
    "average": "Compare each returned context, with a mask and without, with the "
    "returned weights times v.",
}
FALSE_ALARM = (
    "Another order of computation changes the last digits: compare with a tolerance, "
    "and follow the conventions of the statement exactly."
)
ORDER = "Test the laws in the order of the table and return the first broken one."
GIVEN = ({"over": "queries"}, {"scale": "none"}, {"mask": "late"})
# At most six in one check: a student may call each 30 times, and a probe may 200 times.
QUESTION_4 = [
    Check(
        id="4a",
        question="4",
        points=2,
        title="The faults of the colleagues, in other code",
        probe="verdicts_of",
        inputs=shuffled(
            *GIVEN, {"average": "first values"}, {"average": "reversed"}, {}
        ),
        judge=knows_the_laws,
    ),
    Check(
        id="4b",
        question="4",
        points=1,
        title="Faults that need well-chosen sizes",
        probe="verdicts_of",
        inputs=shuffled(
            {"over": "table"},
            {"over": "largest"},
            {"scale": "d_k"},
            {"scale": "root d_v"},
            {"scale": "root S"},
            {"scale": "numbers of q over S"},
        ),
        judge=knows_the_laws,
    ),
    Check(
        id="4c",
        question="4",
        points=1,
        title="Faults that need a well-chosen mask",
        probe="verdicts_of",
        inputs=shuffled(
            {"mask": "finite"},
            {"mask": "nan"},
            {"mask": "weak"},
            {"mask": "inverted"},
            {"mask": "unscaled"},
            {"average": "plain"},
        ),
        judge=knows_the_laws,
    ),
    Check(
        id="4d",
        question="4",
        points=1,
        title="Faults with only some masks, or only without one",
        probe="verdicts_of",
        inputs=shuffled(
            {"mask": "one ignored"},
            {"mask": "first row"},
            {"average": "before mask"},
            {"average": "plain without mask"},
        ),
        judge=knows_the_laws,
    ),
    Check(
        id="4e",
        question="4",
        points=1,
        title="No false alarm where the code is right, no blind eye for small faults",
        probe="verdicts_of",
        inputs=shuffled(
            {},
            {"by": "einsum"},
            {"by": "query first"},
            {"by": "rounded"},
            {"over": "almost"},
        ),
        judge=knows_the_laws,
    ),
]

# --- Questions 5 and 6


def feedback(rng):
    """Weights of three queries, the last one with nothing to attend to."""
    mask = np.array([[True], [True], [False]])
    weights = softmax(rng.normal(size=(3, 5)) * 1.5, mask)
    return {"weights": weights, "grad": rng.normal(size=(3, 5)) + 1}


def with_feedback(inputs):
    """Add the gradient of the context."""
    return lambda rng: {**inputs(rng), "grad_context": rng.normal(size=(3, 2))}


def diagonal(weights, grad):
    """The slip: only how each weight depends on its own score."""
    return weights * (1 - weights) * grad


DIAGONAL_HINT = "A higher score for one key also takes weight from all the others."
QUESTION_5 = [
    Check(
        id="5a",
        question="5",
        points=1.5,
        title="Back through the softmax",
        probe="scores_gradient_of",
        inputs=feedback,
        expected=softmax_backward,
        mistakes=(
            Mistake(name="only the diagonal", hint=DIAGONAL_HINT, value=diagonal),
            Mistake(
                name="sum over the whole table",
                hint="Queries do not share weight: the sum runs along one row.",
                value=lambda weights, grad: weights * (grad - (weights * grad).sum()),
            ),
            Mistake(
                name="sum over the queries",
                hint="The sum runs over the keys of one query.",
                value=lambda weights, grad: (
                    weights * (grad - (weights * grad).sum(axis=0))
                ),
            ),
            Mistake(
                name="mean without weights",
                hint="The average that is subtracted is taken under the weights.",
                value=lambda weights, grad: (
                    weights * (grad - grad.mean(axis=1, keepdims=True))
                ),
            ),
            Mistake(
                name="wrong sign",
                hint="If g is larger for key s, should its score rise or fall with L?",
                value=lambda weights, grad: -softmax_backward(weights, grad),
            ),
        ),
        hint="Write out the double sum for two keys, then for three; then try a row of "
        "zero weights.",
    ),
    leaves_inputs_alone(
        Check(
            id="5b",
            question="5",
            points=0.5,
            title="The caller's weights and gradient stay as they are",
            probe="scores_gradient_and_inputs",
            inputs=feedback,
            expected=softmax_backward,
            hint="First get the gradient right, check 5a.",
        )
    ),
]
BACK_TO_Q = (
    Mistake(
        name="root forgotten",
        hint="The root stands in the score, so the chain rule meets it too.",
        value=partial(query_gradient, d=1),
    ),
    Mistake(
        name="root of 4 is hard-coded",
        hint=NOT_ALWAYS_4,
        value=partial(query_gradient, d=4),
    ),
    Mistake(
        name="only the diagonal",
        hint=DIAGONAL_HINT,
        value=partial(query_gradient, back=diagonal),
    ),
    Mistake(
        name="softmax left out",
        hint="Between weights and scores stands the softmax: go through it.",
        value=partial(query_gradient, back=lambda weights, grad: grad),
    ),
)
BACK_HINT = (
    "Which shape has the gradient with respect to the weights, to the scores, to q?"
)
QUESTION_6 = [
    Check(
        id="6a",
        question="6",
        points=1,
        title="Back to the queries",
        probe="query_gradient_without_mask",
        inputs=with_feedback(table),
        expected=query_gradient,
        mistakes=BACK_TO_Q,
        hint=BACK_HINT,
    ),
    leaves_inputs_alone(
        Check(
            id="6b",
            question="6",
            points=1,
            title="Back to the queries, under a mask",
            probe="query_gradient_and_inputs",
            inputs=with_feedback(masked_table),
            expected=query_gradient,
            mistakes=(
                *BACK_TO_Q,
                Mistake(
                    name="mask ignored",
                    hint="Which weights did the forward pass have?",
                    value=lambda mask, **inputs: query_gradient(**inputs),
                ),
            ),
            hint=BACK_HINT,
        )
    ),
]

CHECKS = QUESTION_1 + QUESTION_2 + QUESTION_3 + QUESTION_4 + QUESTION_5 + QUESTION_6
