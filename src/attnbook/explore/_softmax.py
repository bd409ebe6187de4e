"""E2, chapter 2: why scores are divided by the square root of d_k.

The scores of five keys are fixed unit-normal numbers times √d_k: over random vectors
whose entries have variance 1, q·k has standard deviation √d_k (Vaswani et al. 2017,
section 3.2.1, footnote 4). Unscaled, a growing d_k saturates the softmax and its
gradient dies; scaled, nothing changes.
"""

from numbers import Real

import numpy as np

from attnbook.explore._figure import Figure, html_table, number, text_table

UNIT = (0.3, -1.8, 1.1, -0.3, 0.7)  # the scores at d_k = 1: mean 0, sd 1
SMALLEST_T, LARGEST_T = 0.125, 32.0
LARGEST_D = 512


def softmax(d_k: Real = 64, temperature: Real = 1.0, scaled: bool = False) -> Figure:
    """Show scores, softmax weights and gradient of five keys.

    scores = unit · √d_k / temperature, or unit / temperature if `scaled`.

    Args:
        d_k: width of the keys, a whole number from 1 to 512.
        temperature: what scores are divided by, from 0.125 to 32.
        scaled: whether scores are divided by √d_k.

    Returns:
        A figure that displays itself; `.result` holds `scores` (5,), `weights` (5,),
        `sd`, `largest`, `entropy` (nats) and `gradient` (Frobenius norm of the
        softmax Jacobian).

    Raises:
        ValueError: `d_k` or `temperature` out of range.

    Example:
        >>> round(softmax(d_k=64).result["largest"], 3)
        0.959
    """
    if not 1 <= d_k <= LARGEST_D or d_k != int(d_k):
        raise ValueError(f"d_k must be a whole number from 1 to {LARGEST_D}, got {d_k}")
    if not SMALLEST_T <= temperature <= LARGEST_T:
        raise ValueError(
            f"temperature must be from {SMALLEST_T} to {LARGEST_T:g}, got {temperature}"
        )
    state = {
        "d_k": int(d_k),
        "temperature": float(temperature),
        "scaled": bool(scaled),
    }
    result = numbers_of(**state)
    return Figure(
        name="softmax",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(46, 78),
    )


def numbers_of(d_k: int, temperature: float, scaled: bool) -> dict[str, object]:
    """Return scores, weights and their summaries; the twin of `ax.softmax.compute`."""
    sd = (1.0 if scaled else d_k**0.5) / temperature
    scores = np.array(UNIT) * sd
    weights = np.exp(scores - scores.max())
    weights = weights / weights.sum()
    jacobian = weights[:, None] * (np.eye(len(weights)) - weights)
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return {
        "sd": sd,
        "scores": scores,
        "weights": weights,
        "largest": float(weights.max()),
        "entropy": float(-(weights * logs).sum()),
        "gradient": float(np.linalg.norm(jacobian)),
    }


def _sentence(state: dict[str, object], result: dict[str, object]) -> str:
    best = int(np.argmax(result["weights"])) + 1
    scaled = "scaled" if state["scaled"] else "not scaled"
    return (
        f"d_k = {state['d_k']}, temperature {state['temperature']:g}, {scaled}: "
        f"key {best} takes {number(result['largest'])} of the weight, the entropy is "
        f"{number(result['entropy'])} nats and the gradient of the softmax has size "
        f"{number(result['gradient'])}."
    )


def _rows(result: dict[str, object]) -> list[list[str]]:
    pairs = zip(result["scores"], result["weights"], strict=True)
    return [
        [f"k{i}", number(s), number(p), number(p * (1 - p))]
        for i, (s, p) in enumerate(pairs, start=1)
    ]


def _fallback(state: dict[str, object], result: dict[str, object]) -> str:
    head = ["key", "score", "weight p", "p(1 − p)"]
    table = html_table("Softmax, its temperature and √d_k", head, _rows(result))
    return f"<p>{_sentence(state, result)}</p>{table}"


def _text(state: dict[str, object], result: dict[str, object]) -> str:
    rows = [["key", "score", "weight", "p(1-p)"], *_rows(result)]
    return _sentence(state, result) + "\n" + text_table(rows)
