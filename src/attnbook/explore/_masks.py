"""E7, chapter 8: which keys a query may see, and when the mask must act.

A sentence pair of 7 and 6 tokens with fixed scores stands for the Transformer's three
attentions (Vaswani et al. 2017, section 3.2.3). A mask is True where a query may attend
and acts before the softmax, as in `attnbook.masks` and `attnbook.scores`. With `late`
it acts after the softmax, which is wrong: hidden keys stay in the denominator.
"""

import numpy as np
from numpy.typing import NDArray

from attnbook.explore._figure import Figure, html_table, number, text_table

SOURCE = ["er", "malt", "hier", "oft", "Boote", "und", "Ufer"]
TARGET = ["start", "he", "often", "paints", "boats", "here"]
ATTENTIONS = {
    "encoder": ("encoder self-attention", SOURCE, SOURCE),
    "decoder": ("decoder self-attention", TARGET, TARGET),
    "cross": ("cross-attention", TARGET, SOURCE),
}
RAISE = 2.0  # what `raised` adds to hidden scores


def masks(
    attention: str = "decoder",
    causal: bool | None = None,
    prefix: int = 0,
    padding: bool = True,
    real: int = 5,
    window: int = 0,
    late: bool = False,
    raised: bool = False,
) -> Figure:
    """Show scores, the masks that hide some of them, and the weights that remain.

    Args:
        attention: "encoder", "decoder" or "cross".
        causal: whether later keys are hidden; as the attention needs it unless given.
        prefix: how many first keys the causal mask leaves open to all, from 0.
        padding: whether keys that are padding are hidden.
        real: how many keys are no padding, from 0 to S.
        window: hide keys `window` or more places away; 0 is no window.
        late: whether masks act after the softmax, which is wrong.
        raised: whether 2 is added to hidden scores, to see whether that matters.

    Returns:
        A figure that displays itself; `.result` holds `allowed`, `scores`, `masked` and
        `weights` (T, S), `sums` (T,) and `leak`, the largest change of a visible weight
        when hidden scores are raised by 2.

    Raises:
        ValueError: an unknown attention, or a number out of range.

    Example:
        >>> masks(late=True).result["sums"].round(2).tolist()
        [0.13, 0.48, 0.25, 0.53, 0.98, 0.99]
    """
    if attention not in ATTENTIONS:
        raise ValueError(f"attention must be one of {[*ATTENTIONS]}, got {attention!r}")
    num_keys = len(ATTENTIONS[attention][2])
    for name, value in (("prefix", prefix), ("real", real), ("window", window)):
        if not 0 <= value <= num_keys or value != int(value):
            raise ValueError(
                f"{name} must be a whole number from 0 to {num_keys}, got {value}"
            )
    state = {
        "attention": attention,
        "causal": attention == "decoder" if causal is None else bool(causal),
        "prefix": int(prefix),
        "padding": bool(padding),
        "real": int(real),
        "window": int(window),
        "late": bool(late),
        "raised": bool(raised),
    }
    result = numbers_of(**state)
    return Figure(
        name="masks",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(45, 72),
    )


def numbers_of(
    attention: str,
    causal: bool,
    prefix: int,
    padding: bool,
    real: int,
    window: int,
    late: bool,
    raised: bool,
) -> dict[str, object]:
    """Return mask, scores and weights; the twin of `ax.masks.compute`."""
    _, queries, keys = ATTENTIONS[attention]
    T, S = len(queries), len(keys)
    t, s = np.arange(T)[:, None], np.arange(S)
    allowed = np.ones((T, S), dtype=bool)
    place = t + S - T  # the last query stands at the last key
    if causal:
        allowed &= (s <= place) | (s < prefix)
    if padding:
        allowed &= s < real
    if window:
        allowed &= abs(s - place) < window
    shift = 4 * [*ATTENTIONS].index(attention)
    plain = ((3 * t * t + 4 * s * s + 2 * t * s + 5 * s + shift) % 9 - 4) / 2  # (T, S)
    lifted = plain + RAISE * ~allowed
    scores = lifted if raised else plain
    weights = _weights(scores, allowed, late)
    change = _weights(lifted, allowed, late) - _weights(plain, allowed, late)
    return {
        "allowed": allowed,
        "scores": scores,
        "masked": scores if late else np.where(allowed, scores, -np.inf),
        "weights": weights,
        "sums": weights.sum(axis=1),
        "leak": float(abs(change).max()),
    }


def _weights(scores: NDArray, allowed: NDArray, late: bool) -> NDArray:
    exp = np.exp(scores)
    seen = exp * allowed
    total = (exp if late else seen).sum(axis=1, keepdims=True)
    return np.divide(seen, total, out=np.zeros_like(seen), where=total > 0)


def _words(state: dict[str, object]) -> tuple[list[str], list[str]]:
    """Return the queries' and the keys' words, padding where it is."""
    _, queries, keys = ATTENTIONS[state["attention"]]
    padded = [w if i < state["real"] else "pad" for i, w in enumerate(keys)]
    return (padded if queries is keys else queries), padded


def _sentence(state: dict[str, object], result: dict[str, object]) -> str:
    title = ATTENTIONS[state["attention"]][0]
    parts = [
        "causal" if state["causal"] else "",
        f"prefix of {state['prefix']}" if state["prefix"] else "",
        f"padding after {state['real']} words" if state["padding"] else "",
        f"window of {state['window']}" if state["window"] else "",
    ]
    masked = ", ".join(p for p in parts if p) or "no mask"
    allowed = result["allowed"]
    order = "after the softmax (wrong)" if state["late"] else "before the softmax"
    sums = ", ".join(number(x, 2) for x in result["sums"])
    return (
        f"{title.capitalize()}; {masked}, {order}: {allowed.sum()} of {allowed.size} "
        f"pairs may meet, and the rows of weights sum to {sums}."
    )


def _tables(state: dict[str, object], result: dict[str, object]) -> dict[str, list]:
    queries, keys = _words(state)
    tables = {}
    for name, digits in (("masked", 1), ("weights", 2)):
        rows = [
            [word, *(number(x, digits) for x in row)]
            for word, row in zip(queries, result[name], strict=True)
        ]
        tables[name] = [["query", *keys], *rows]
    title = "scores" if state["late"] else "scores, −∞ where the mask forbids"
    return {title: tables["masked"], "weights": tables["weights"]}


def _fallback(state: dict[str, object], result: dict[str, object]) -> str:
    tables = []
    for title, rows in _tables(state, result).items():
        head, *body = rows
        tables.append(html_table(title, head, body))
    side_by_side = '<div style="display:flex;flex-wrap:wrap;gap:0 1.5rem">'
    return f"<p>{_sentence(state, result)}</p>{side_by_side}{''.join(tables)}</div>"


def _text(state: dict[str, object], result: dict[str, object]) -> str:
    blocks = [
        f"{title}\n{text_table(rows)}" for title, rows in _tables(state, result).items()
    ]
    return "\n\n".join([_sentence(state, result), *blocks])
