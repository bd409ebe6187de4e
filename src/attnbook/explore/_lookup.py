"""E1, chapters 1 and 3: a look-up that softens.

Eight readings of a day are stored as key → value, hour → temperature. A dictionary
answers for a stored key only. A kernel answers with an average whose weights fall with
the distance of key and query (Nadaraya 1964; Watson 1964): a hard look-up when it is
narrow, the mean of all values when it is wide. The dot product is such a kernel only
among keys of equal length, such as hours on a clock: on a line it favours the largest.
"""

from numbers import Real

import numpy as np
from numpy.typing import NDArray

from attnbook.explore._figure import Figure, html_table, number, text_table

KEYS = np.array([2, 5, 8, 10, 13, 15, 18, 22])  # hour of the day
VALUES = np.array([9, 7, 11, 15, 20, 22, 17, 12])  # °C
DAY = 24  # hours
SMALLEST_WIDTH, LARGEST_WIDTH = 0.0625, 128.0
KERNELS = ("exact", "box", "gaussian", "dot", "clock")


def lookup(query: Real = 16, width: Real = 1.0, kernel: str = "gaussian") -> Figure:
    """Show how eight stored items answer a query.

    Weights are the softmax of −(q − k)²/2h² ("gaussian"), of q·k/h² ("dot"), or of
    the same with each hour as a point of a circle ("clock"). "exact" gives all weight
    to the key that equals the query and "box" equal weight to all keys within h: both
    have no answer if there is none.

    Args:
        query: hour of the day, from 0 to 24.
        width: h in hours, from 0.0625 to 128.
        kernel: "exact", "box", "gaussian", "dot" or "clock".

    Returns:
        A figure that displays itself; `.result` holds `weights` (8,), `output`, their
        weighted mean of the values in °C (None if there is no answer), `largest`, the
        largest weight, and `answering`, exp(entropy): how many items answer.

    Raises:
        ValueError: `query` or `width` out of range, or an unknown `kernel`.

    Example:
        >>> lookup(query=16).result["weights"].round(3).tolist()[4:]
        [0.015, 0.806, 0.18, 0.0]
    """
    if not 0 <= query <= DAY:
        raise ValueError(f"query must be from 0 to {DAY}, got {query}")
    if not SMALLEST_WIDTH <= width <= LARGEST_WIDTH:
        raise ValueError(
            f"width must be from {SMALLEST_WIDTH} to {LARGEST_WIDTH:g}, got {width}"
        )
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    state = {"query": float(query), "width": float(width), "kernel": kernel}
    result = numbers_of(**state)
    return Figure(
        name="lookup",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(40, 72),
    )


def numbers_of(query: float, width: float, kernel: str) -> dict[str, object]:
    """Return weights, output and their summaries; the twin of `ax.lookup.compute`."""
    weights = _weights(query, width, kernel)
    logs = np.log(weights, out=np.zeros(len(weights)), where=weights > 0)
    found = bool(weights.any())
    return {
        "weights": weights,
        "output": float(weights @ VALUES) if found else None,
        "largest": float(weights.max()),
        "answering": float(np.exp(-(weights * logs).sum())) if found else 0.0,
    }


def _weights(query: float, width: float, kernel: str) -> NDArray:
    """Return the weight of each key: they sum to 1, or to 0 if no key answers."""
    distance = query - KEYS
    if kernel in ("exact", "box"):
        inside = np.abs(distance) <= (width if kernel == "box" else 0)
        return inside / max(inside.sum(), 1)
    turn = 2 * np.pi / DAY
    scores = {
        "gaussian": -(distance**2) / 2,
        "dot": query * KEYS,
        "clock": np.cos(turn * distance) / turn**2,
    }[kernel] / width**2
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def _sentence(state: dict[str, object], result: dict[str, object]) -> str:
    query = f"{state['query']:g}"
    if result["output"] is None:
        error = f"KeyError: {query}. " if state["kernel"] == "exact" else ""
        return f"{error}No stored key answers the query {query} h."
    best = KEYS[np.argmax(result["weights"])]
    return (
        f"Query {query} h, width {state['width']:g} h, {state['kernel']}: the key "
        f"{best} h answers with {number(result['largest'])} of the weight; the output "
        f"is {number(result['output'], 1)} °C."
    )


def _rows(result: dict[str, object]) -> list[list[str]]:
    items = zip(KEYS, VALUES, result["weights"], strict=True)
    return [[str(k), str(v), number(w), number(w * v, 2)] for k, v, w in items]


def _fallback(state: dict[str, object], result: dict[str, object]) -> str:
    head = ["key (hour)", "value (°C)", "weight", "weight × value"]
    table = html_table("A look-up that softens", head, _rows(result))
    return f"<p>{_sentence(state, result)}</p>{table}"


def _text(state: dict[str, object], result: dict[str, object]) -> str:
    rows = [["key", "value", "weight", "weight × value"], *_rows(result)]
    return _sentence(state, result) + "\n" + text_table(rows)
