"""E6, chapter 5: heads divide the work, and one head cannot.

Six tokens, each with a shape and a letter. Every token has two questions: which letter
stands before me (token 1: my own), and which letter has the first token of my shape?
One layer of multi-head attention without biases answers (Vaswani et al. 2017, section
3.2.2). Its input is readable, position, shape and letter as three one-hots side by
side, 6 + 2 + 8 = 16 numbers, and so is its output: 8 scores for the letters of each
question. `heads.json` holds one trained layer for each number of heads, as whole
numbers from −127 to 127 (`tools/heads_figure.py`).
"""

import base64
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from attnbook.explore._figure import Figure, html_table, number, text_table

NUM_HEADS = (1, 2, 4, 8)
D_MODEL, LENGTH, LETTERS, SHAPES = 16, 6, "ABCDEFGH", "▲◆"
SEQUENCES = 64
QUESTIONS = ("letter before me", "letter of the first of my shape")


def heads(
    heads: int = 2, off: Sequence[int] = (), sequence: int = 1, token: int = 6
) -> Figure:
    """Show what each head attends to and what it adds to the output.

    out = Σ_i C_i W_O^i, over the heads that are on.

    Args:
        heads: number of heads, 1, 2, 4 or 8; each is 16 / heads wide.
        off: heads to switch off, from 1.
        sequence: which of the 64 sequences to show, from 1.
        token: whose output to show, from 1 to 6.

    Returns:
        A figure that displays itself. `.result` holds, for the sequence shown,
        `weights` (H, 6, 6), `contributions` (H, 6, 16), `out` (6, 16), and per token
        and question `predicted` and `answers` (6, 2), letters from A = 0. Counted over
        the tokens of all sequences whose two answers stand at different places:
        `before` and `first` (H,), each head's mean weight on them, `right` (2,), the
        share of right answers to each question (0 if all heads are off), and `both`
        (4,), the share of tokens with both right, by number of heads, all on.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> heads(heads=2, off=(1,)).result["out"].shape
        (6, 16)
    """
    if heads not in NUM_HEADS:
        raise ValueError(f"heads must be 1, 2, 4 or 8, got {heads}")
    for head in off:
        _require("off", head, heads)
    _require("sequence", sequence, SEQUENCES)
    _require("token", token, LENGTH)
    state = {
        "heads": int(heads),
        "off": sorted({int(head) for head in off}),
        "sequence": int(sequence),
        "token": int(token),
    }
    result = numbers_of(**state)
    return Figure(
        name="heads",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(58, 86),
    )


def _require(name: str, value: object, largest: int) -> None:
    if not (isinstance(value, Integral) and 1 <= value <= largest):
        raise ValueError(
            f"{name} must be a whole number from 1 to {largest}, got {value}"
        )


@cache
def sequences() -> tuple[NDArray, NDArray]:
    """Return shapes and letters (64, 6) of the sequences; no letter stands twice."""
    seed, shapes, letters = 6, [], []

    def draw(n: int) -> int:
        nonlocal seed
        seed = seed * 16807 % 2147483647  # Park and Miller 1988: the script has it, too
        return seed % n

    for _ in range(SEQUENCES):
        deck = list(range(len(LETTERS)))
        letters.append([deck.pop(draw(len(deck))) for _ in range(LENGTH)])
        shapes.append([draw(2) for _ in range(LENGTH)])
    return np.array(shapes), np.array(letters)


def encode(shapes: NDArray, letters: NDArray) -> NDArray:
    """Return tokens (N, 6) as rows (N, 6, 16): position, shape and letter one-hot."""
    position = np.broadcast_to(np.eye(LENGTH), (len(shapes), LENGTH, LENGTH))
    return np.concatenate(
        (position, np.eye(len(SHAPES))[shapes], np.eye(len(LETTERS))[letters]), axis=2
    )


def places(shapes: NDArray) -> NDArray:
    """Return where each token's two answers stand (N, 6, 2)."""
    before = np.maximum(np.arange(LENGTH) - 1, 0)
    first = (shapes[:, :, None] == shapes[:, None, :]).argmax(axis=2)
    return np.stack((np.broadcast_to(before, first.shape), first), axis=2)


@cache
def trained(num_heads: int) -> tuple[NDArray, NDArray]:
    """Return `in_proj_weight` (48, 16) and `out_proj.weight` (16, 16)."""
    file = files("attnbook.explore") / "heads.json"
    kept = json.loads(file.read_text("utf-8"))[str(num_heads)]
    whole = np.frombuffer(base64.b64decode(kept["weights"]), np.int8)
    rows = whole.reshape(4 * D_MODEL, D_MODEL) * kept["scale"]
    return rows[: 3 * D_MODEL], rows[3 * D_MODEL :]


@cache
def attend(num_heads: int) -> tuple[NDArray, NDArray]:
    """Return weights (64, H, 6, 6) and contributions (64, H, 6, 16) of every head."""
    x = encode(*sequences())
    in_proj, out_proj = trained(num_heads)
    q, k, v = (
        part.reshape(*part.shape[:2], num_heads, -1).swapaxes(1, 2)
        for part in np.split(x @ in_proj.T, 3, axis=2)
    )  # (N, H, T, Dh)
    scores = q @ k.swapaxes(2, 3) / q.shape[-1] ** 0.5
    weights = np.exp(scores - scores.max(axis=3, keepdims=True))
    weights = weights / weights.sum(axis=3, keepdims=True)
    w_o = out_proj.T.reshape(num_heads, -1, D_MODEL)  # (H, Dh, D)
    return weights, (weights @ v) @ w_o


def numbers_of(
    heads: int, off: list[int], sequence: int, token: int
) -> dict[str, object]:
    """Return every number shown; the twin of `ax.heads.compute`."""
    shapes, letters = sequences()
    place = places(shapes)
    answers = np.take_along_axis(letters[:, :, None], place, axis=1)
    two = place[:, :, 0] != place[:, :, 1]  # tokens that need two different places
    weights, contributions = attend(heads)
    on = np.array([h + 1 not in off for h in range(heads)])

    def right(parts: NDArray, on: NDArray) -> NDArray:
        if not on.any():  # zeros name no letter
            return np.zeros((two.sum(), 2))
        best = _best(parts[:, on].sum(axis=1))
        return (best == answers)[two]  # (tokens, 2)

    share = np.take_along_axis(weights, place[:, None], axis=3)  # (N, H, T, 2)
    share = share.swapaxes(1, 2)[two].mean(axis=0)  # (H, 2)
    n = sequence - 1
    out = contributions[n][on].sum(axis=0)
    return {
        "weights": weights[n],
        "contributions": contributions[n],
        "out": out,
        "predicted": _best(out),
        "answers": answers[n],
        "before": share[:, 0],
        "first": share[:, 1],
        "right": right(contributions, on).mean(axis=0),
        "both": np.array(
            [
                right(attend(h)[1], np.ones(h, bool)).all(axis=1).mean()
                for h in NUM_HEADS
            ]
        ),
    }


def _best(out: NDArray) -> NDArray:
    """Return the letter with the largest score, for each of the two questions."""
    return out.reshape(*out.shape[:-1], 2, len(LETTERS)).argmax(axis=-1)


def _percent(x: float) -> str:
    return f"{round(100 * x) if x == 1 else min(99, round(100 * x))} %"


def _tokens(sequence: int) -> list[str]:
    shapes, letters = (part[sequence - 1] for part in sequences())
    return [SHAPES[s] + LETTERS[c] for s, c in zip(shapes, letters, strict=True)]


def _sentence(state: dict[str, object], result: dict[str, object]) -> str:
    off = state["off"]
    gone = f", without head {' and '.join(map(str, off))}" if off else ""
    before, first = map(_percent, result["right"])
    one, two, *_ = map(_percent, result["both"])
    return (
        f"{state['heads']} head{'s' * (state['heads'] > 1)}{gone}: {before} of the "
        f"letters before and {first} of the letters of the first of my shape are "
        f"right, counted over the tokens in {SEQUENCES} sequences for which these are "
        f"two different tokens. Both are right for {one} of them with one head and for "
        f"{two} with two. Every layer has 4 · 16² = 1,024 parameters, without biases."
    )


def _rows(state: dict[str, object], result: dict[str, object]) -> list[list[str]]:
    row = result["weights"][:, state["token"] - 1]
    return [
        [f"head {h}", *map(number, weights), number(before, 2), number(first, 2)]
        for h, (weights, before, first) in enumerate(
            zip(row, result["before"], result["first"], strict=True), start=1
        )
    ]


def _head(state: dict[str, object]) -> list[str]:
    return ["weights", *_tokens(state["sequence"]), "on before", "on first"]


def _fallback(state: dict[str, object], result: dict[str, object]) -> str:
    asking = _tokens(state["sequence"])[state["token"] - 1]
    caption = f"Where token {state['token']}, {asking}, looks, head by head"
    table = html_table(caption, _head(state), _rows(state, result))
    return f"<p>{_sentence(state, result)}</p>{table}"


def _text(state: dict[str, object], result: dict[str, object]) -> str:
    return (
        _sentence(state, result)
        + "\n"
        + text_table([_head(state), *_rows(state, result)])
    )
