"""E7, chapter 7: an image as a row of tokens.

One of three handwritten digits (scikit-learn's, 8 × 8 grey values from 0 to 16) is cut
into patches as `attnbook.models.patchify` does, row by row. Shuffled, the same tokens
stand in another order: a model without positions cannot tell the two apart, as the
`pooled` vector shows, the mean over tokens of what attention with Q = K = V gives.
"""

import numpy as np
from numpy.typing import NDArray

from attnbook.explore._figure import Figure, html_table, number, text_table

# digit: grey values row by row, one character each, g is 16
DIGITS = {
    0: "005d910000dfaf5003f20b8004c008800580098004b01c7002e5ac00006da000",
    2: "0005ec20007f8e4000623d100001d400001b900008gd000005egb2000006cd30",
    7: "0008ee200006afb000000ea0028bcg8008gggg700000bf100009g700000cd100",
}
SIDE, WHITE, GREYS = 8, 16, "0123456789abcdefg"
SIZES = (1, 2, 4, 8)


def patches(
    digit: int = 0, size: int = 2, token: int = 1, shuffled: bool = False
) -> Figure:
    """Cut a digit into patches: tokens, their numbers and their pairs.

    Args:
        digit: 0, 2 or 7.
        size: side of a patch, 1, 2, 4 or 8 pixels.
        token: the chosen token, counted from 0 in reading order of the image.
        shuffled: whether the tokens stand in another, fixed, order.

    Returns:
        A figure that displays itself; `.result` holds `image` (8, 8), `order` (T,),
        which patch, from 0, stands at each place, `tokens` (T, size²) in that order,
        `reassembled` (8, 8), the image that this row gives, `pairs`, T² queries and
        keys, and `pooled` (size²,), what a model without positions makes of the row.

    Raises:
        ValueError: an unknown digit or size, or a token that is not there.

    Example:
        >>> patches(size=2).result["tokens"].shape
        (16, 4)
    """
    if digit not in DIGITS:
        raise ValueError(f"digit must be 0, 2 or 7, got {digit}")
    if size not in SIZES:
        raise ValueError(f"size must be 1, 2, 4 or 8, got {size}")
    num_tokens = (SIDE // size) ** 2
    if token != int(token) or not 0 <= token < num_tokens:
        raise ValueError(
            f"token must be a whole number from 0 to {num_tokens - 1} "
            f"for patches of {size} × {size}, got {token}"
        )
    state = {
        "digit": int(digit),
        "size": int(size),
        "token": int(token),
        "shuffled": bool(shuffled),
    }
    result = numbers_of(**state)
    return Figure(
        name="patches",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(46, 67),
    )


def numbers_of(digit: int, size: int, token: int, shuffled: bool) -> dict[str, object]:
    """Return the tokens and what is made of them; the twin of `ax.patches.compute`."""
    image = np.array([GREYS.index(grey) for grey in DIGITS[digit]]).reshape(SIDE, SIDE)
    per_row = SIDE // size
    tiles = image.reshape(per_row, size, per_row, size).swapaxes(1, 2)
    order = shuffle(per_row**2) if shuffled else np.arange(per_row**2)
    tokens = tiles.reshape(-1, size**2)[order]  # (T, size²)
    again = tokens.reshape(per_row, per_row, size, size).swapaxes(1, 2)
    x = tokens / WHITE
    weights = np.exp(x @ x.T / size)  # √(size²), the root of the width, is size
    weights = weights / weights.sum(axis=1, keepdims=True)
    return {
        "image": image,
        "order": order,
        "tokens": tokens,
        "reassembled": again.reshape(SIDE, SIDE),
        "pairs": per_row**4,
        "pooled": (weights @ x).mean(axis=0),
    }


def shuffle(n: int) -> NDArray:
    """Return a fixed order of n places, by Fisher and Yates, the same in JavaScript."""
    order, seed = list(range(n)), 14
    for i in range(n - 1, 0, -1):
        seed = (75 * seed + 74) % 65537
        j = seed % (i + 1)
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def _sentence(state: dict[str, object], result: dict[str, object]) -> str:
    num_tokens, width = result["tokens"].shape
    token, size = state["token"], state["size"]
    row, column = divmod(token, SIDE // size)
    numbers = result["tokens"][list(result["order"]).index(token)]
    return (
        f"Patches of {size} × {size} make {num_tokens} tokens of width {width} and "
        f"{result['pairs']} pairs of query and key. Token {token} stands in row "
        f"{row}, column {column}: ({', '.join(map(str, numbers))})."
    )


def _rows(result: dict[str, object]) -> list[list[str]]:
    return [[str(grey) for grey in row] for row in result["reassembled"]]


def _fallback(state: dict[str, object], result: dict[str, object]) -> str:
    caption = "The image put together from the row of tokens"
    table = html_table(caption, [], _rows(result))
    more = ", …" if len(result["pooled"]) > 4 else ""
    pooled = ", ".join(number(x) for x in result["pooled"][:4])
    return (
        f"<p>{_sentence(state, result)}</p>{table}<p>Pixels / 16, attention without "
        f"positions, then the mean: ({pooled}{more}), "
        "in any order of the tokens.</p>"
    )


def _text(state: dict[str, object], result: dict[str, object]) -> str:
    return _sentence(state, result) + "\n" + text_table(_rows(result))
