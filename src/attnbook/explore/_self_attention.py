"""E5, chapter 4: self-attention by hand, every number's origin.

The worked example has three tokens of width 4 and three maps (4, 3); the scale and the
causal mask are off until they are asked for. The order is that of the paper (Vaswani et
al. 2017, section 3.2.1): scores, scale, mask, softmax, weighted sum of values.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attnbook.explore._figure import Figure, html_table, number, text_table

EXAMPLE = {
    "X": [[1, 0, 1, 0], [0, 2, 0, 2], [1, 1, 1, 1]],
    "W_Q": [[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 1]],
    "W_K": [[0, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 0]],
    "W_V": [[0, 2, 0], [0, 3, 0], [1, 0, 3], [1, 1, 0]],
}
LARGEST_SIZE, LARGEST_NUMBER = 8, 99

# name -> what stands beside it in the fallback
CAPTIONS = {
    "X": "X",
    "Q": "Q = X W_Q",
    "K": "K = X W_K",
    "V": "V = X W_V",
    "scores": "scores = Q Kᵀ",
    "scaled": "scaled = scores / √d_k",
    "masked": "masked: −∞ for later tokens",
    "weights": "weights = softmax of each row",
    "context": "context = weights V",
}


def self_attention(
    X: ArrayLike | None = None,
    W_Q: ArrayLike | None = None,
    W_K: ArrayLike | None = None,
    W_V: ArrayLike | None = None,
    scaled: bool = False,
    causal: bool = False,
) -> Figure:
    """Show self-attention step by step, with every number's origin.

    Args:
        X: tokens (T, D), at most 8 by 8, numbers from −99 to 99; the worked example
            where it, or any map, is left out.
        W_Q: map to queries (D, Dk).
        W_K: map to keys (D, Dk).
        W_V: map to values (D, Dv).
        scaled: whether scores are divided by √Dk.
        causal: whether a token may attend only to itself and earlier ones.

    Returns:
        A figure that displays itself; `.result` holds `Q` and `K` (T, Dk), `V` (T, Dv),
        `scores`, `scaled`, `masked` and `weights` (T, T), `context` (T, Dv).

    Raises:
        ValueError: a matrix is not two-dimensional, too large, not finite, or does not
            fit the others.

    Example:
        >>> self_attention().result["context"].round(3).tolist()[0]
        [1.937, 6.683, 1.595]
    """
    given = {"X": X, "W_Q": W_Q, "W_K": W_K, "W_V": W_V}
    inputs = {
        name: _matrix(name, EXAMPLE[name] if value is None else value)
        for name, value in given.items()
    }
    _check_fit(inputs)
    flags = {"scaled": bool(scaled), "causal": bool(causal)}
    result = numbers_of(**inputs, **flags)
    return Figure(
        name="self_attention",
        state={name: _plain(m) for name, m in inputs.items()} | flags,
        result=result,
        fallback=_fallback(result, **flags),
        text=_text(result, **flags),
        heights=(36, 57),
    )


def numbers_of(
    X: NDArray, W_Q: NDArray, W_K: NDArray, W_V: NDArray, scaled: bool, causal: bool
) -> dict[str, NDArray]:
    """Return the matrix of every step; the twin of `ax.self_attention.compute`."""
    Q, K, V = X @ W_Q, X @ W_K, X @ W_V
    scores = Q @ K.T  # (T, S)
    divided = scores / K.shape[1] ** 0.5 if scaled else scores
    allowed = np.tri(len(X), dtype=bool) | (not causal)
    masked = np.where(allowed, divided, -np.inf)
    weights = np.exp(masked - masked.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return {
        "X": X,
        "W_Q": W_Q,
        "W_K": W_K,
        "W_V": W_V,
        "Q": Q,
        "K": K,
        "V": V,
        "scores": scores,
        "scaled": divided,
        "masked": masked,
        "weights": weights,
        "context": weights @ V,
    }


def _matrix(name: str, value: ArrayLike) -> NDArray:
    try:
        m = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers only, got {value!r}") from error
    if m.ndim != 2 or not all(1 <= n <= LARGEST_SIZE for n in m.shape):
        raise ValueError(
            f"{name} must be a matrix of 1 to {LARGEST_SIZE} rows and columns, "
            f"got shape {m.shape}"
        )
    outside = m[~(np.abs(m) <= LARGEST_NUMBER)]
    if outside.size:
        raise ValueError(
            f"{name} must hold numbers from -{LARGEST_NUMBER} to {LARGEST_NUMBER}, "
            f"got {outside[0]:g}"
        )
    return m


def _check_fit(inputs: dict[str, NDArray]) -> None:
    width = inputs["X"].shape[1]
    for name in ("W_Q", "W_K", "W_V"):
        if len(inputs[name]) != width:
            raise ValueError(
                f"{name} must have {width} rows, as X has {width} columns, "
                f"got shape {inputs[name].shape}"
            )
    if inputs["W_Q"].shape != inputs["W_K"].shape:
        raise ValueError(
            f"W_K must have the shape of W_Q, {inputs['W_Q'].shape}, "
            f"got {inputs['W_K'].shape}"
        )


def _plain(m: NDArray) -> list[list[int | float]]:
    """Return `m` as lists, whole numbers as ints: the shortest JSON."""
    return [[int(x) if x == int(x) else x for x in row] for row in m.tolist()]


def _cells(name: str, m: NDArray) -> list[list[str]]:
    whole = np.all((m == np.round(m)) | np.isneginf(m))
    digits = 3 if name in ("weights", "context") or not whole else 0
    return [[number(x, digits) for x in row] for row in m]


def _shown(scaled: bool, causal: bool) -> list[str]:
    hidden = {"scaled": not scaled, "masked": not causal}
    return [name for name in CAPTIONS if not hidden.get(name)]


def _sentence(result: dict[str, NDArray]) -> str:
    row, context = result["weights"][0], result["context"][0]
    terms = " + ".join(f"{number(w)}·v{j}" for j, w in enumerate(row, start=1))
    vector = ", ".join(number(x) for x in context)
    return f"The new vector of token 1 is {terms} = ({vector})."


def _fallback(result: dict[str, NDArray], scaled: bool, causal: bool) -> str:
    tables = [
        html_table(
            f"{CAPTIONS[name]} · {result[name].shape}", [], _cells(name, result[name])
        )
        for name in _shown(scaled, causal)
    ]
    side_by_side = '<div style="display:flex;flex-wrap:wrap;gap:0 1.5rem">'
    return f"<p>{_sentence(result)}</p>{side_by_side}{''.join(tables)}</div>"


def _text(result: dict[str, NDArray], scaled: bool, causal: bool) -> str:
    blocks = [
        f"{CAPTIONS[name]}  {result[name].shape}\n"
        + text_table(_cells(name, result[name]))
        for name in _shown(scaled, causal)
    ]
    return "\n\n".join([*blocks, _sentence(result)])
