"""E8, chapter 6: three ways to tell where a token stands.

Sinusoidal codes (Vaswani et al. 2017, section 3.5) are added to the input, RoPE (Su et
al. 2021) rotates queries and keys, ALiBi (Press et al. 2022) subtracts a penalty from
the scores. Positions i and j (t and s in the figure) can be shifted together: what
depends on the offset only then stays as it is. Width 8, so 4 pairs of features;
numbers as in `attnbook.positions`, in float64.
"""

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from attnbook.explore._figure import Figure, html_table, number, text_table

WIDTH, FURTHEST, LARGEST_SHIFT, NUM_HEADS = 8, 20, 100, 8
Q = (1.0, 0.5, -0.6, 0.8, 0.4, 0.9, 0.7, 0.2)
K = (0.8, 1.1, 0.6, 0.9, -0.9, -0.3, -0.3, 0.6)
SCHEMES = ("sinusoidal", "rope", "alibi")


def positions(
    scheme: str = "rope",
    i: int = 9,
    j: int = 4,
    shift: int = 0,
    pair: int = 1,
    base: Real = 10_000,
    style: str = "pairs",
    head: int = 1,
) -> Figure:
    """Show what a scheme makes of a query at i + shift and a key at j + shift.

    Args:
        scheme: "sinusoidal", "rope" or "alibi".
        i: position of the query, 0 to 20.
        j: position of the key, 0 to 20.
        shift: added to both, 0 to 100.
        pair: pair of features to look at, 0 to 3.
        base: the slowest pair turns once in about 2π·base positions, 10 to 1,000,000.
        style: pairs of RoPE, "pairs" (2i, 2i + 1) or "half" (i, i + 4).
        head: head of ALiBi to look at, 1 to 8.

    Returns:
        A figure that displays itself. `.result` holds, for all schemes at once:
        `frequencies` and `wavelengths` (4,); `codes` (2, 8) of both positions, `dot`,
        their product, and `dots` (41,) for offsets −20 … 20; `pairs` (4, 2),
        `rotated` (2, 8), the query and key, `score`, `shifted` (101,), the score at
        every shift, and `added` (101,), the same with codes added instead; `slopes`
        and `penalties` (8,).

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> here, there = positions().result, positions(shift=50).result
        >>> abs(here["score"] - there["score"]) < 1e-9
        True
    """
    if scheme not in SCHEMES:
        raise ValueError(
            f"scheme must be 'sinusoidal', 'rope' or 'alibi', got {scheme!r}"
        )
    if style not in ("half", "pairs"):
        raise ValueError(f"style must be 'half' or 'pairs', got {style!r}")
    if not 10 <= base <= 1e6:
        raise ValueError(f"base must be from 10 to 1000000, got {base}")
    whole = {
        "i": _whole("i", i, 0, FURTHEST),
        "j": _whole("j", j, 0, FURTHEST),
        "shift": _whole("shift", shift, 0, LARGEST_SHIFT),
        "pair": _whole("pair", pair, 0, WIDTH // 2 - 1),
        "head": _whole("head", head, 1, NUM_HEADS),
    }
    state = {"scheme": scheme, **whole, "base": float(base), "style": style}
    result = numbers_of(**state)
    return Figure(
        name="positions",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(49, 84),
    )


def _whole(name: str, value: object, low: int, high: int) -> int:
    if not (isinstance(value, Integral) and low <= value <= high):
        raise ValueError(
            f"{name} must be a whole number from {low} to {high}, got {value}"
        )
    return int(value)


def numbers_of(
    scheme: str,
    i: int,
    j: int,
    shift: int,
    pair: int,
    head: int,
    base: float,
    style: str,
) -> dict[str, object]:
    """Return every number shown; the twin of `ax.positions.compute`."""
    frequencies = base ** (-np.arange(0, WIDTH, 2) / WIDTH)
    features = np.arange(WIDTH)
    pairs = features.reshape(-1, 2) if style == "pairs" else features.reshape(2, -1).T
    q, k = np.array(Q), np.array(K)

    def code(p: int) -> NDArray:
        angles = p * frequencies
        return np.stack((np.sin(angles), np.cos(angles)), axis=-1).ravel()

    def rotated(x: NDArray, p: int) -> NDArray:
        (a, b), (cos, sin) = (
            x[pairs.T],
            (np.cos(p * frequencies), np.sin(p * frequencies)),
        )
        turned = np.empty(WIDTH)
        turned[pairs.T] = a * cos - b * sin, a * sin + b * cos
        return turned

    codes = np.array([code(i + shift), code(j + shift)])
    turned = np.array([rotated(q, i + shift), rotated(k, j + shift)])
    shifts = range(LARGEST_SHIFT + 1)
    slopes = 2.0 ** -np.arange(1, NUM_HEADS + 1)
    return {
        "frequencies": frequencies,
        "wavelengths": 2 * np.pi / frequencies,
        "codes": codes,
        "dot": float(codes[0] @ codes[1]),
        "dots": np.array(
            [np.cos(o * frequencies).sum() for o in range(-FURTHEST, FURTHEST + 1)]
        ),
        "pairs": pairs,
        "rotated": turned,
        "score": float(turned[0] @ turned[1]),
        "shifted": np.array([rotated(q, i + s) @ rotated(k, j + s) for s in shifts]),
        "added": np.array([(q + code(i + s)) @ (k + code(j + s)) for s in shifts]),
        "slopes": slopes,
        "penalties": -slopes * abs(i - j),
    }


def _sentence(state: dict[str, object], result: dict[str, object]) -> str:
    i, j, shift = (state[name] for name in ("i", "j", "shift"))
    if state["scheme"] == "sinusoidal":
        return (
            f"The codes of positions {i + shift} and {j + shift} have the product "
            f"{number(result['dot'], 6)}, as have those of any two positions "
            f"{abs(i - j)} apart, in either order."
        )
    if state["scheme"] == "alibi":
        return (
            f"At distance {abs(i - j)} head {state['head']} adds "
            f"{number(result['penalties'][state['head'] - 1], 3)} to the score, "
            "wherever the two tokens stand."
        )
    first, last = (number(result["shifted"][s], 9) for s in (0, LARGEST_SHIFT))
    one, other = (number(result["added"][s]) for s in (0, LARGEST_SHIFT))
    return (
        f"Query at {i}, key at {j}: RoPE gives the score {first}. Both shifted by 100: "
        f"{last}. With sinusoidal codes added instead the score goes from {one} to "
        f"{other}."
    )


def _rows(
    state: dict[str, object], result: dict[str, object]
) -> tuple[str, list[list[str]]]:
    if state["scheme"] == "alibi":
        rows = [["head", "slope", "penalty"]]
        rows += [
            [f"{h}", number(slope, 6), number(penalty)]
            for h, (slope, penalty) in enumerate(
                zip(result["slopes"], result["penalties"], strict=True), start=1
            )
        ]
        return "Slope and penalty of each head", rows
    rows = [["pair", "features", "one turn in", "angle of t", "angle of s"]]
    for p, (frequency, wave) in enumerate(
        zip(result["frequencies"], result["wavelengths"], strict=True)
    ):
        rope = state["scheme"] == "rope"
        a, b = result["pairs"][p] if rope else (2 * p, 2 * p + 1)
        angles = [(state[n] + state["shift"]) * frequency for n in ("i", "j")]
        rows.append([f"{p}", f"{a}, {b}", number(wave, 1), *map(number, angles)])
    return "Pairs of features and their angles in radians", rows


def _fallback(state: dict[str, object], result: dict[str, object]) -> str:
    caption, (head, *rows) = _rows(state, result)
    return f"<p>{_sentence(state, result)}</p>{html_table(caption, head, rows)}"


def _text(state: dict[str, object], result: dict[str, object]) -> str:
    return _sentence(state, result) + "\n" + text_table(_rows(state, result)[1])
