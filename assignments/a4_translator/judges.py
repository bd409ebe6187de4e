"""Expected values, mistakes and points of assignment 4.

Hidden sentences are made by the given cell of `source.md`, so that there is one grammar
of numbers; `read` goes the other way, in its own words, and brings the references. The
student's file is never opened here: shapes and sentences come back from the sandbox.
"""

import math
import random
import re
from functools import partial
from pathlib import Path

import numpy as np

from attnbook.grading.judging import Check, Mistake, Wrong, difference, numbers

SOURCE = Path(__file__).with_name("source.md").read_text("utf-8")
GIVEN = re.search(r"\nENGLISH = \(.*?(?=\ntest_pairs)", SOURCE, re.DOTALL).group()
GRAMMAR = {"random": random}
exec(compile(GIVEN, "source.md", "exec"), GRAMMAR)

PAD, START, END = 0, 1, 2
TARGET_WORDS = [*GRAMMAR["ENGLISH"], "hundred", "thousand", "and"]
SOURCE_SIZE, TARGET_SIZE = 76, len(TARGET_WORDS) + 3
UNITS = {"hundert": 100, "cent": 100, "cents": 100, "十": 10, "百": 100, "千": 1000}
GROUPS = {"tausend": 1000, "mille": 1000, "万": 10_000}


def _mistakes(*rows):
    """Return mistakes from rows (name, hint, value)."""
    return tuple(Mistake(name=n, hint=hint, value=value) for n, hint, value in rows)


# Numbers in words, and back
def _values() -> dict[str, int]:
    values = {"eins": 1, "vingts": 20}
    for words, small in ((GRAMMAR["GERMAN"], 20), (GRAMMAR["FRENCH"], 17)):
        values |= {word: n for n, word in enumerate(words[:small])}
        values |= {word: 10 * n for n, word in enumerate(words[small:], 2)}
    return values | {digit: n for n, digit in enumerate(GRAMMAR["CHINESE"])}


VALUES = _values()


def read(text: str) -> int:
    """Return the number that a German, French or Chinese sentence names."""
    total, group, small = 0, 0, 0
    for word in text.split():
        if word in GROUPS:
            total, group, small = max(1, group + small) * GROUPS[word], 0, 0
        elif word in UNITS:
            group, small = group + max(1, small) * UNITS[word], 0
        elif word in ("vingt", "vingts") and small == 4:
            small = 80
        else:
            small += VALUES.get(word, 0)  # und, et: nothing
    return total + group + small


def english(text: str) -> str:
    """Return the right translation of a hidden sentence."""
    return " ".join(GRAMMAR["english"](read(text)))


def _exchange(text: str, words: list[str]) -> str:
    other = {words[0]: words[1], words[1]: words[0]}
    return " ".join(other.get(word, word) for word in text.split())


def _unseen(rng, size):
    pairs = GRAMMAR["make_pairs"](size, int(rng.integers(2**40)), "test")
    return [sentence for sentence, _ in pairs]


def _sentences(size, rng):
    """Draw sentences; and German ones that have one of two words, to exchange them."""
    digits = GRAMMAR["GERMAN"][2:10]
    words = [str(word) for word in rng.choice(digits, 2, replace=False)]
    german = [
        sentence
        for sentence in _unseen(rng, 400)
        if {"hundert", "tausend"} & set(sentence.split())
        and len(set(words) & set(sentence.split())) == 1
    ]
    return {"sentences": _unseen(rng, size), "german": german[:16], "words": words}


# Question 1
def _labels(rng, pad):
    labels = rng.integers(6, 11, (3, 5))
    labels[0, 2], labels[0, 3:] = END, pad
    labels[1, 0], labels[1, 4] = 9 * (pad == 0), END  # elsewhere 0 is a word
    labels[2, 1], labels[2, 2:] = END, pad
    return labels


def _shift_inputs(rng):
    return {"labels": _labels(rng, 0), "start": 4}


def _shift(labels, start):
    """Return what the decoder reads, and the labels as they were."""
    first = np.full((len(labels), 1), start)
    return np.concatenate((first, labels[:, :-1]), axis=1), labels


def _shift_left(labels, start):
    return np.concatenate((labels[:, 1:], np.full_like(labels[:, :1], PAD)), 1), labels


def _without_ends(**inputs):
    read, labels = _shift(**inputs)
    return np.where(read == END, PAD, read), labels


SHIFT_MISTAKES = _mistakes(
    (
        "labels changed in place",
        "Make a new tensor: labels are used again.",
        lambda **inputs: (_shift(**inputs)[0],) * 2,
    ),
    (
        "targets not shifted",
        "The decoder would read the word it must write.",
        lambda labels, start: (labels, labels),
    ),
    (
        "shifted to the left",
        "Position t reads what comes before word t.",
        _shift_left,
    ),
    (
        "no start mark",
        "What does position 0 read?",
        lambda labels, start: (np.roll(labels, 1, axis=1), labels),
    ),
    (
        "start mark not the argument",
        "Use `start`.",
        lambda labels, start: _shift(labels, START),
    ),
    (
        "end mark dropped from the inputs",
        "Exercise 8.2 drops it; here it stays: only the last column goes.",
        _without_ends,
    ),
)


def _loss_inputs(rng, pad=5, large=1000):
    logits, labels = 3 * rng.normal(size=(3, 5, 12)), _labels(rng, pad)
    logits[1, 2, labels[1, 2]] -= large  # exp gives 0
    logits[1, 3, labels[1, 3]] += large  # exp gives infinity; the loss is exactly 0
    return {"logits": logits, "labels": labels, "pad": pad}


def _losses(logits, labels):
    logits = logits - logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]


def _loss(logits, labels, pad):
    return _losses(logits, labels)[labels != pad].mean()


def _gradient(logits, labels, pad):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True) - np.eye(p.shape[-1])[labels]
    real = labels != pad
    return p * real[..., None] / real.sum()


def _judge_gradient(inputs, got):
    if isinstance(got, str):
        raise Wrong(
            "no gradient through the loss",
            "The loss stays a tensor: item() and detach() cut the way back.",
        )
    expected, real = _gradient(**inputs), inputs["labels"] != inputs["pad"]
    got = numbers(got).astype(float)
    if got.shape != expected.shape or not np.isfinite(got).all():
        raise Wrong("no gradient for each logit", "Which step turns logits into NaN?")
    if np.any(np.abs(got[~real]) > 1e-12):
        raise Wrong("loss over padding", "A padded label moves the weights, too.")
    if np.any(np.abs(got[real]).max(-1) < 1e-12):
        raise Wrong("a real label brings no gradient", "Which labels are left out?")
    if difference(_directions(got[real]), _directions(expected[real]), 1e-6):
        raise Wrong("not the gradient of -log p", "Compare with the loss by hand.")


def _directions(rows):
    """Divide each row by its largest number: weights of rows belong to check 1b."""
    return rows / np.abs(rows).max(-1, keepdims=True)


def _real(logits, labels, pad):
    return _losses(logits, labels) * (labels != pad)


def _mean_of_means(axis, **inputs):
    return (
        _real(**inputs).sum(axis) / (inputs["labels"] != inputs["pad"]).sum(axis)
    ).mean()


NOT_ZERO = ("padding is not always 0", "Use the argument `pad`.")
LOSS_MISTAKES = _mistakes(
    (
        "loss over padding",
        "A padded label is no word: leave it out of the sum and of the count.",
        lambda logits, labels, pad: _losses(logits, labels).mean(),
    ),
    (
        "divided by all positions",
        "The sum is right; divide it by the number of real labels.",
        lambda **inputs: _real(**inputs).mean(),
    ),
    (
        "mean of the rows' means",
        "Every real label of the batch counts the same, in long and short rows.",
        partial(_mean_of_means, 1),
    ),
    (
        "mean of the columns' means",
        "Every real label of the batch counts the same, at early and late positions.",
        partial(_mean_of_means, 0),
    ),
    (
        "divided by the number of rows",
        "The sum is right; divide it by the number of real labels.",
        lambda **inputs: _real(**inputs).sum(1).mean(),
    ),
    (
        "a loss of 0 is not counted",
        "Count the labels that are not `pad`: a real label may have no loss.",
        lambda **inputs: _real(**inputs).sum() / np.count_nonzero(_real(**inputs)),
    ),
    (
        "a small number added to p",
        "It bounds the loss of a word with p = 0. Is there a way without p?",
        lambda logits, labels, pad: (
            -np.log(np.exp(-_losses(logits, labels)) + 1e-9)[labels != pad].mean()
        ),
    ),
    (
        "sum, not mean",
        "Divide by the number of real labels.",
        lambda **inputs: _real(**inputs).sum(),
    ),
    (*NOT_ZERO, lambda logits, labels, pad: _loss(logits, labels, 0)),
)


# Question 2
def _mask_inputs(rng, pad=4):
    tokens = rng.integers(5, 20, (3, 4))
    tokens[0, 3:], tokens[1, 1:], tokens[2, :1] = pad, pad, pad
    tokens[0, 0] = 0  # a word here: pad is the argument
    return {"tokens": tokens, "pad": pad}


def _source_mask(tokens, pad):
    return (tokens != pad)[:, None, None]


def _target_mask(tokens, pad):
    past = np.tri(tokens.shape[1], dtype=bool)
    return past & (tokens != pad)[:, None, None]


INVERTED = (
    "mask inverted",
    "True means may attend. PyTorch's own layers use the opposite sign.",
)
BY_SIZE = (
    "padding compared by size",
    "A word's number may be smaller than `pad`: ask whether the two are equal.",
)
SOURCE_MISTAKES = _mistakes(
    (*BY_SIZE, lambda tokens, pad: (tokens > pad)[:, None, None]),
    (*INVERTED, lambda **inputs: ~_source_mask(**inputs)),
    (*NOT_ZERO, lambda tokens, pad: _source_mask(tokens, 0)),
)
TARGET_MISTAKES = _mistakes(
    (
        *BY_SIZE,
        lambda tokens, pad: np.tri(4, dtype=bool) & (tokens > pad)[:, None, None],
    ),
    (*INVERTED, lambda **inputs: ~_target_mask(**inputs)),
    (*NOT_ZERO, lambda tokens, pad: _target_mask(tokens, 0)),
    (
        "padding is left in",
        "Padding may stand on the left, too.",
        lambda tokens, pad: _target_mask(tokens, -1),
    ),
    (
        "queries masked, not keys",
        "The last axis is who is looked at.",
        lambda tokens, pad: np.tri(4, dtype=bool) & (tokens != pad)[:, None, :, None],
    ),
    (
        "the future is left in",
        "Position t sees s ≤ t only.",
        lambda **inputs: np.tile(_source_mask(**inputs), (4, 1)),
    ),
    (
        "a position does not see itself",
        "s ≤ t, not s < t: what is read at t stands there already.",
        lambda **inputs: _target_mask(**inputs) & ~np.eye(4, dtype=bool),
    ),
    (
        "queries and keys exchanged",
        "First queries, then keys: row t is what position t may see.",
        lambda **inputs: np.tri(4, dtype=bool).T & _source_mask(**inputs),
    ),
)


# Question 3
def _linears(d_model, d_ff, attentions):
    shapes = {"feed_forward.0": (d_ff, d_model), "feed_forward.2": (d_model, d_ff)}
    for part in attentions:
        for name in ("query", "key", "value", "output"):
            shapes[f"{part}.{name}"] = (d_model, d_model)
    return shapes


def _layer_weights(rng, d_model, d_ff, attentions, prefix=""):
    weights = {}
    for name, (rows, columns) in _linears(d_model, d_ff, attentions).items():
        weights[f"{name}.weight"] = rng.normal(size=(rows, columns)) / math.sqrt(
            columns
        )
        weights[f"{name}.bias"] = rng.normal(size=rows)
    for i in range(len(attentions) + 1):
        weights |= _norm_weights(rng, f"norms.{i}", d_model)
    return {prefix + name: weight for name, weight in weights.items()}


def _norm_weights(rng, name, d_model):
    return {
        f"{name}.weight": rng.uniform(0.5, 1.5, d_model),
        f"{name}.bias": rng.normal(size=d_model),
    }


SELF, CROSS = "self_attention", "cross_attention"


def _layer_inputs(rng, d_model=6, d_ff=10):
    source = np.array([[6, 7, 8, 9, 6], [7, 8, 0, 0, 0]])
    target = np.array([[START, 7, 8, 9], [START, 9, 0, 0]])
    return {
        "weights": _layer_weights(rng, d_model, d_ff, (SELF, CROSS)),
        "num_heads": 2,
        "x": rng.normal(size=(2, 4, d_model)),
        "memory": rng.normal(size=(2, 5, d_model)),
        "target_mask": _target_mask(target, 0),
        "source_mask": _source_mask(source, 0),
    }


def _linear(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normed(weights, name, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _norm(weights, i, x):
    return _normed(weights, f"norms.{i}", x)


def _attend(weights, part, num_heads, x, memory, mask):
    def heads(name, z):
        z = _linear(weights, f"{part}.{name}", z)
        return z.reshape(*z.shape[:2], num_heads, -1).swapaxes(1, 2)

    q, k, v = heads("query", x), heads("key", memory), heads("value", memory)
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    scores = np.exp(np.where(mask, scores, -np.inf))
    out = scores / scores.sum(-1, keepdims=True) @ v
    return _linear(weights, f"{part}.output", out.swapaxes(1, 2).reshape(x.shape))


def _layer(
    weights,
    num_heads,
    x,
    memory,
    target_mask,
    source_mask,
    order="scf",
    kind="pre",
    norms=(0, 1, 2),
    residual="scf",
):
    """The decoder layer; the last four arguments make the mistakes."""
    stale = _norm(weights, 0, x)

    def sublayer(letter, y):
        if letter == "s":
            keys = x if kind == "raw keys" else y
            return _attend(weights, SELF, num_heads, y, keys, target_mask)
        if letter == "c":
            y = {"raw query": x, "stale query": stale}.get(kind, y)
            asked = _norm(weights, 1, memory) if kind == "memory normed" else memory
            return _attend(weights, CROSS, num_heads, y, asked, source_mask)
        hidden = np.maximum(_linear(weights, "feed_forward.0", y), 0)
        return _linear(weights, "feed_forward.2", hidden)

    for letter in order:
        i = norms["scf".index(letter)]
        if kind == "post":
            x = _norm(weights, i, x + sublayer(letter, x))
        elif kind == "no norm":
            x = x + sublayer(letter, x)
        else:
            out = sublayer(letter, _norm(weights, i, x))
            x = x + out if letter in residual else out
    return x


def _unmasked(name):
    return lambda **inputs: _layer(**inputs | {name: np.array(True)})


LAYER_MISTAKES = _mistakes(
    (
        "the target mask is not used",
        "Which mask belongs to the self-attention?",
        _unmasked("target_mask"),
    ),
    (
        "the source mask is not used",
        "The memory of a short sentence has padding.",
        _unmasked("source_mask"),
    ),
    (
        "cross-attention comes first",
        "The target looks at itself before it looks at the source.",
        partial(_layer, order="csf"),
    ),
    (
        "no cross-attention",
        "How does the layer learn what the source says?",
        partial(_layer, order="sf"),
    ),
    (
        "norm after the sum",
        "Pre-norm: the norm stands before each sub-layer, x itself is not normed.",
        partial(_layer, kind="post"),
    ),
    (
        "no residual connections",
        "Each sub-layer's result is added to x.",
        partial(_layer, residual=""),
    ),
    (
        "the last residual connection is missing",
        "The feed-forward's result is added to x, too.",
        partial(_layer, residual="sc"),
    ),
    (
        "the cross-attention's query is not normed",
        "norms[1] belongs to x, where it asks the memory.",
        partial(_layer, kind="raw query"),
    ),
    (
        "the cross-attention reads an old norm",
        "x has changed since norms[0]: which norm of which x asks the memory?",
        partial(_layer, kind="stale query"),
    ),
    (
        "keys and values without the norm",
        "In self-attention the normed x asks, and the normed x answers.",
        partial(_layer, kind="raw keys"),
    ),
    (
        "the memory is normed again",
        "The encoder has normed it already.",
        partial(_layer, kind="memory normed"),
    ),
    (
        "no norms",
        "Each sub-layer reads x through its own norm.",
        partial(_layer, kind="no norm"),
    ),
    (
        "norms in another order",
        "norms[0], [1], [2]: self-attention, cross-attention, feed-forward.",
        partial(_layer, norms=(0, 2, 1)),
    ),
)


def _model_inputs(change, rng):
    source = rng.choice(np.arange(3, 60), (3, 6), replace=False)
    source[1, 4:] = PAD
    target_in = rng.choice(np.arange(3, 34), (3, 5), replace=False)
    target_in[:, 0] = START
    inputs = {"num_layers": 2, "source": source, "target_in": target_in}
    inputs |= {"source_2": source, "target_in_2": target_in}
    if change == "future":
        inputs["target_in_2"] = np.concatenate((target_in[:, :3], target_in[:, :2]), 1)
    elif change == "padding":
        inputs["source_2"] = np.concatenate((source, np.zeros((3, 4), int)), 1)
    else:
        inputs["num_layers"] = 1
        inputs["source_2"] = source[:, [0, 3, 2, 1, 4, 5]]
        inputs["target_in_2"] = target_in[:, [0, 3, 2, 1, 4]]
    return inputs


def _outputs(inputs, got):
    """Return the six arrays that came back, of the right shapes."""
    logits = ("logits", "other source", "other target", "in two steps")
    names = (*logits, "memory", "other memory")
    if not isinstance(got, dict) or set(got) != set(names):
        raise Wrong("nothing returned", "Do all three methods end with return?")
    batch, length = inputs["target_in"].shape
    sizes = [(batch, length, TARGET_SIZE)] * 4
    sizes += [(*inputs[name].shape, 16) for name in ("source", "source_2")]
    found = {}
    for name, size in zip(names, sizes, strict=True):
        found[name] = numbers(got[name])
        if found[name].shape != size:
            what = "(B, S, D) for the memory" if "memory" in name else "(B, T, V)"
            raise Wrong("wrong shape", f"encode gives {what}; logits are (B, T, V).")
        if not np.isfinite(found[name]).all():
            raise Wrong(
                "NaN or infinity in the result", "Is a row of a mask all False?"
            )
    return found.values()


def _same(a, b):
    return difference(a, b, 1e-6) is None


def _judge_future(inputs, got):
    logits, _, other, steps, *_ = _outputs(inputs, got)
    if not _same(logits, steps):
        raise Wrong(
            "forward is not encode and decode",
            "The three methods must agree: greedy search uses the last two.",
        )
    if not _same(logits[:, :3], other[:, :3]):
        raise Wrong(
            "the future changes the past",
            "A later target word moved earlier logits: the answer can be read.",
        )
    if _same(logits[:, 3:], other[:, 3:]):
        raise Wrong("the target is not read", "Other words written, same logits.")


def _judge_padding(inputs, got):
    logits, other, *_, memory, more = _outputs(inputs, got)
    words = inputs["source"] != PAD
    if not _same(memory[words], more[:, : memory.shape[1]][words]):
        raise Wrong(
            "the encoder sees padding",
            "Every encoder layer needs source_mask, with the keys on its last axis.",
        )
    if _same(logits[:, 1:], logits[:, :-1]):
        raise Wrong("the target is not read", "Every place has the same logits.")
    if not _same(logits, other):
        raise Wrong(
            "the decoder sees padding",
            "The memory is right; the cross-attention must not look at padded places.",
        )


def _judge_order(inputs, got):
    logits, source, target, _, memory, moved = _outputs(inputs, got)
    if _same(memory[:, [0, 3, 2, 1, 4, 5]], moved):
        raise Wrong(
            "no positions in the source",
            "Two words changed places and nothing else happened. Add positions(T, D), "
            "by place in the sentence, not by row of the batch.",
        )
    if _same(logits, source):
        raise Wrong("the source is not read", "Another source, same logits.")
    if _same(logits[:, -1], target[:, -1]):
        raise Wrong(
            "no positions in the target",
            "Two earlier words changed places and the last logits did not move.",
        )


def _whole_inputs(rng, d_model=6, d_ff=10, num_layers=2):
    inputs = _model_inputs("future", rng)
    weights = {
        "source_embedding.weight": rng.normal(size=(SOURCE_SIZE, d_model)),
        "target_embedding.weight": rng.normal(size=(TARGET_SIZE, d_model)),
        "output.weight": rng.normal(size=(TARGET_SIZE, d_model)),
        "output.bias": rng.normal(size=TARGET_SIZE),
    }
    for side, attentions in (("encoder", (SELF,)), ("decoder", (SELF, CROSS))):
        weights |= _norm_weights(rng, f"{side}_norm", d_model)
        for i in range(num_layers):
            prefix = f"{side}.{i}."
            weights |= _layer_weights(rng, d_model, d_ff, attentions, prefix)
    sizes = {"d_model": d_model, "num_heads": 2, "d_ff": d_ff, "num_layers": num_layers}
    inputs["target_in"][1, 3:] = PAD
    texts = {name: inputs[name] for name in ("source", "target_in")}
    return {"weights": weights, "sizes": sizes, **texts}


SIDES = {"encoder": "source", "decoder": "target"}


def _embedded(weights, side, tokens, scale=1.0):
    x = scale * weights[f"{side}_embedding.weight"][tokens]
    frequencies = 10_000.0 ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    angles = np.arange(tokens.shape[1])[:, None] * frequencies
    waves = np.stack((np.sin(angles), np.cos(angles)), axis=-1)
    return x + waves.reshape(x.shape[1:])


def _part(weights, prefix):
    """Return one layer's weights; an encoder layer's second norm is named the third."""
    names = {k: k.removeprefix(prefix) for k in weights if k.startswith(prefix)}
    if prefix.startswith("encoder"):
        names = {k: name.replace("norms.1", "norms.2") for k, name in names.items()}
    return {name: weights[k] for k, name in names.items()}


def _whole(weights, sizes, source, target_in, no_norm=(), skip=(), scale=1.0, pad=PAD):
    """The logits of the whole model; the last four arguments make the mistakes."""
    mask, past = _source_mask(source, PAD), _target_mask(target_in, pad)
    memory = None
    for side, tokens, masks, order in (
        ("encoder", source, (mask, None), "sf"),
        ("decoder", target_in, (past, mask), "scf"),
    ):
        x = _embedded(weights, SIDES[side], tokens, scale)
        for i in range(side in skip, sizes["num_layers"]):
            part = _part(weights, f"{side}.{i}.")
            x = _layer(part, sizes["num_heads"], x, memory, *masks, order=order)
        memory = x if side in no_norm else _normed(weights, f"{side}_norm", x)
    return _linear(weights, "output", memory)


WHOLE_MISTAKES = _mistakes(
    (
        "the decoder does not use target_mask",
        "A causal mask is not all of it: may a target position see padding?",
        partial(_whole, pad=-1),
    ),
    (
        "the encoder's norm is missing",
        "The memory is normed after the last encoder layer.",
        partial(_whole, no_norm=("encoder",)),
    ),
    (
        "the decoder's norm is missing",
        "The output layer reads a normed x.",
        partial(_whole, no_norm=("decoder",)),
    ),
    *(
        (
            f"only one {side} layer is used",
            "x goes through all layers: does the loop hand its result on?",
            partial(_whole, skip=(side,)),
        )
        for side in SIDES
    ),
    (
        "embeddings scaled",
        "A good habit of the paper; here embedding plus positions, so that files fit.",
        lambda sizes, **inputs: _whole(
            sizes=sizes, scale=math.sqrt(sizes["d_model"]), **inputs
        ),
    ),
)


# Question 4
def _search_inputs(cut, word, rng):
    answers = rng.integers(4, 12, (5, 12))
    answers[2, 1] = word
    for row, length in enumerate((6, 2, 4, 1, 5)):
        answers[row, length - 1] = END
    source = np.stack((rng.permutation(5), rng.integers(3, 9, 5)), axis=1)
    return {"source": source, "answers": answers, "max_len": cut}


def _search(source, answers, max_len, after="pad", stop="all"):
    rows = answers[source[:, 0], :max_len].copy()
    ends = rows == END
    ended = np.cumsum(ends, axis=1) - ends > 0
    if after == "one pad":
        ended = np.roll(ends, 1, axis=1) & ended
    rows[ended] = rows[ended] if after == "goes on" else PAD
    if after == "no end mark":
        rows[ends] = PAD
    if stop == "never":
        return rows
    lengths = np.where(ends.any(1), ends.argmax(1) + 1, max_len)
    return rows[:, : lengths.min() if stop == "first" else lengths.max()]


def _with_start(**inputs):
    rows = _search(**inputs)
    return np.concatenate((np.full((len(rows), 1), START), rows), axis=1)


def _last_word_only(source, answers, max_len):
    """After the first word the scripted model writes 3: it misses the start mark."""
    rows = np.full((len(source), max_len), 3)
    rows[:, 0] = answers[source[:, 0], 0]
    rows[rows[:, 0] == END, 1:] = PAD
    return rows


SEARCH_MISTAKES = _mistakes(
    (
        "decode gets only the last word",
        "Hand decode all words written so far, start mark first: it keeps nothing.",
        _last_word_only,
    ),
    (
        "finished rows go on",
        "After its end mark a row gets only padding, while others still write.",
        partial(_search, after="goes on"),
    ),
    (
        "finished rows go on after one padding",
        "Look at all that a row has written for its end mark, not at the last word.",
        partial(_search, after="one pad"),
    ),
    (
        "stops with the first finished row",
        "Stop when all rows have ended.",
        partial(_search, stop="first"),
    ),
    (
        "does not stop",
        "T is the length of the longest row: leave the loop when all have ended.",
        partial(_search, stop="never"),
    ),
    (
        "finished rows go on, and it does not stop",
        "Remember which rows have written the end mark.",
        partial(_search, after="goes on", stop="never"),
    ),
    (
        "the start mark is returned",
        "Rows begin with the first written word.",
        _with_start,
    ),
    (
        "the end mark is lost",
        "The end mark belongs to the row; padding begins after it.",
        partial(_search, after="no end mark"),
    ),
    (
        "a mark cannot be written",
        "Always the word with the largest logit, be it a mark.",
        lambda source, answers, max_len: _search(
            source, np.where(answers == START, END, answers), max_len
        ),
    ),
)


# Question 5
FILE_FAULTS = {
    "missing": (
        "no model.safetensors handed in",
        "Hand in the file beside the notebook, under this name.",
    ),
    "damaged": (
        "model.safetensors cannot be opened",
        "It is cut off, or no safetensors file. Write it with save_file, hand it in "
        "as it is, and try load_file on what you hand in.",
    ),
    "does not fit": (
        "the weights do not fit the model",
        "load_model raised an error: was the file saved from this very class and size?",
    ),
}


def _opened(got):
    """Return a dictionary from the sandbox, or name what is wrong with the file."""
    if isinstance(got, str) and got in FILE_FAULTS:
        raise Wrong(*FILE_FAULTS[got])
    if not isinstance(got, dict):
        raise Wrong("nothing returned", "Do load_model and translate end with return?")
    return got


def _texts(got, name, size):
    texts = _opened(got).get(name)
    if not isinstance(texts, list | tuple) or len(texts) != size:
        raise Wrong("not one translation each", "translate returns a list, in order.")
    if not all(isinstance(text, str) for text in texts):
        raise Wrong("not one translation each", "translate returns a list of strings.")
    return texts


def _count(texts, references):
    return sum(a == b for a, b in zip(texts, references, strict=True))


def _judge_level(level, inputs, got):
    """Accept a share of right translations, if they come out of the weights."""
    sentences = inputs["sentences"]
    written = _texts(got, "written", len(sentences))
    right = _count(written, map(english, sentences))
    if right == 0:
        raise Wrong(
            "no translation is right",
            "Does load_model load the weights, and were they saved after training? "
            "Then compare what the decoder reads in training and in greedy search: is "
            "the word to be written among it?",
        )
    if right < level * len(sentences):
        found = f"{right} of {len(sentences)} unseen sentences are right."
        raise Wrong(f"fewer than {level:.0%} right", f"{found} Which ones go wrong?")
    _follows(level, inputs, got)


def _follows(level, inputs, got):
    """See that translations change with the weights as they must."""
    german = inputs["german"]
    before = _texts(got, "before", len(german))
    after = _texts(got, "after", len(german))
    right = [i for i, text in enumerate(german) if before[i] == english(text)]
    stays = sum(before[i] == after[i] for i in right)
    moved = [english(_exchange(text, inputs["words"])) for text in german]
    if 2 * stays > len(right) or _count(after, moved) < (level - 0.35) * len(german):
        raise Wrong(
            "the translation does not come from the model",
            "The embeddings of two source words were exchanged, and the translation "
            "did not change with them.",
        )


def _number(report, name):
    value = report.get(name) if isinstance(report, dict) else None
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()  # np.int64(3), torch.tensor(0.5)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(
            "the report is incomplete",
            "Four numbers: exact_match, token_accuracy, parameters, seed.",
        )
    return value


def _judge_file(inputs, got):
    file, report = _opened(got).get("file"), got.get("report")
    shapes = list(_opened(file).values())
    if not shapes or not all(map(_is_shape, shapes)):
        raise Wrong(*FILE_FAULTS["damaged"])
    for name in ("exact_match", "token_accuracy", "seed"):
        _number(report, name)
    parameters = sum(math.prod(shape) for shape in shapes)
    if _number(report, "parameters") == 4 * parameters:
        raise Wrong("bytes, not parameters", "Count numbers; each has four bytes.")
    if _number(report, "parameters") != parameters:
        raise Wrong(
            "reported parameters are not those of the file",
            "Add up numel() over the tensors that you saved.",
        )


def _is_shape(value):
    sizes = value if isinstance(value, list | tuple) and len(value) < 9 else [None]
    return all(isinstance(size, int) and 0 <= size < 2**40 for size in sizes)


def _labels_of(references):
    rows = [[TARGET_WORDS.index(w) + 3 for w in s.split()] + [END] for s in references]
    longest = max(map(len, rows))
    return np.array([row + [PAD] * (longest - len(row)) for row in rows])


def _judge_report(inputs, got):
    references = inputs["references"]
    written = _texts(got, "written", len(references))
    labels = _labels_of(references)
    guesses = numbers(got.get("guesses"))
    if guesses.shape != labels.shape:
        raise Wrong("wrong shape", "model(source, target_in) gives logits (B, T, V).")
    shares = {
        "exact_match": _count(written, references) / len(references),
        "token_accuracy": float((guesses == labels)[labels != PAD].mean()),
    }
    for name, share in shares.items():
        said = _number(got.get("report"), name)
        if not 0 <= said <= 1:
            raise Wrong("not a share from 0 to 1", f"{name}: 97 % is 0.97.")
        if abs(said - share) > _band(share, len(references)):
            raise Wrong(
                f"reported {name} is not what the file gives",
                f"The grader measured {share:.3f} on {len(references)} sentences with "
                "your file. Evaluate the file that you hand in, once more.",
            )
    _follows(0, inputs, got)


def _band(share, size, reported_on=1000):
    """Three standard deviations of a difference of two shares, and a little more."""
    share = (share * size + 1) / (size + 2)
    return 0.01 + 3 * math.sqrt(share * (1 - share) * (1 / size + 1 / reported_on))


def _report_inputs(rng):
    inputs = _sentences(150, rng)
    return inputs | {"references": [english(s) for s in inputs["sentences"]]}


CHECKS = [
    Check(
        id="1a",
        question="1",
        points=1,
        title="What the decoder reads is one step behind what it writes",
        probe="shifted",
        inputs=_shift_inputs,
        expected=_shift,
        mistakes=SHIFT_MISTAKES,
        hint="Start mark first, then all labels but the last column, in a new tensor.",
    ),
    Check(
        id="1b",
        question="1",
        points=2,
        title="The loss counts real labels only, each the same",
        probe="loss",
        inputs=_loss_inputs,
        expected=_loss,
        mistakes=LOSS_MISTAKES,
        hint="Do two sentences of different length by hand. Then: which step of yours "
        "does not survive logits of 1000 and -1000?",
    ),
    Check(
        id="1c",
        question="1",
        points=1,
        title="Gradients reach the real positions and no others",
        probe="loss_gradient",
        inputs=partial(_loss_inputs, pad=0, large=0),
        judge=_judge_gradient,
    ),
    Check(
        id="2a",
        question="2",
        points=1,
        title="Source mask",
        probe="mask_of_source",
        inputs=_mask_inputs,
        expected=_source_mask,
        mistakes=SOURCE_MISTAKES,
        hint="(B, 1, 1, S), boolean, True on words.",
    ),
    Check(
        id="2b",
        question="2",
        points=2,
        title="Target mask: the past, without padding",
        probe="mask_of_target",
        inputs=_mask_inputs,
        expected=_target_mask,
        mistakes=TARGET_MISTAKES,
        hint="(B, 1, T, T), boolean: causal and not padding.",
    ),
    Check(
        id="3a",
        question="3",
        points=2,
        title="The decoder layer, number by number",
        probe="decoder_layer",
        inputs=_layer_inputs,
        expected=_layer,
        mistakes=LAYER_MISTAKES,
        hint="For each sub-layer: who asks, who answers, which mask, which norm?",
    ),
    *(
        Check(
            id=id,
            question="3",
            points=1,
            title=title,
            probe="same_and_changed",
            inputs=partial(_model_inputs, change),
            judge=judge,
        )
        for id, title, change, judge in (
            ("3b", "Later target words change nothing before", "future", _judge_future),
            ("3c", "Source padding changes nothing", "padding", _judge_padding),
            ("3d", "Order counts, on both sides", "order", _judge_order),
        )
    ),
    Check(
        id="3e",
        question="3",
        points=1,
        title="The whole model, number by number",
        probe="whole_model",
        inputs=_whole_inputs,
        expected=_whole,
        mistakes=WHOLE_MISTAKES,
        tolerance=1e-5,
        hint="Follow one sentence by shapes and parts: is each part called, in order?",
    ),
    Check(
        id="4a",
        question="4",
        points=2,
        title="Rows that end at different words",
        probe="search",
        inputs=partial(_search_inputs, 9, 4),
        expected=_search,
        mistakes=SEARCH_MISTAKES,
        hint="Write down the tokens of two rows, step by step.",
    ),
    Check(
        id="4b",
        question="4",
        points=1,
        title="A row that has not ended at max_len; the largest logit, whatever it is",
        probe="search",
        inputs=partial(_search_inputs, 5, START),
        expected=_search,
        mistakes=SEARCH_MISTAKES,
        hint="At most max_len words, and no end mark that the model did not write.",
    ),
    Check(
        id="5a",
        question="5",
        points=1,
        title="The file opens, and its parameters are counted right",
        probe="file_and_report",
        judge=_judge_file,
    ),
    *(
        Check(
            id=id,
            question="5",
            points=points,
            title=f"The model translates {level:.0%} of unseen sentences exactly",
            probe="translations",
            inputs=partial(_sentences, size),
            judge=partial(_judge_level, level),
        )
        for id, level, points, size in (
            ("5b", 0.5, 2, 40),
            ("5c", 0.9, 2, 80),
            ("5d", 0.97, 1, 120),
        )
    ),
    Check(
        id="5e",
        question="5",
        points=1,
        title="The reported shares are those of the file",
        probe="measured",
        inputs=_report_inputs,
        judge=_judge_report,
    ),
]
