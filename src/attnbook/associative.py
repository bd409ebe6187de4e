"""Associative memory: what a store of key–value pairs gives back (chapter 3).

A softmax look-up keeps a list of all pairs; a linear store keeps one matrix, the sum
of the outer products k vᵀ (Kohonen 1972), and blurs: with n random pairs of width d
its relative error is √(n/d). The rest measures such stores, and how the answer of a
look-up moves with its question, which is the covariance of values and keys under the
weights.

What a reader would not expect: as the softmax gets sharper, the slope of the typical
answer goes to zero and the mean slope does not (`slope_sizes`).
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnbook.attention import key_value_attention, require_one_value_per_key
from attnbook.scores import Score, require_same_width

Store = Callable[[Tensor, Tensor], Tensor]


def linear_look_up(
    q: Float[Tensor, "*B T Dk"],
    k: Float[Tensor, "*B S Dk"],
    v: Float[Tensor, "*B S Dv"],
) -> Float[Tensor, "*B T Dv"]:
    """Read queries from the sum of outer products: q (Σ_s k_s v_sᵀ) / Dk.

    The factor 1/Dk brings a stored value back at its own size if the entries of the
    keys have variance 1. There is no softmax: crosstalk adds up.

    Args:
        q: queries (…, T, Dk).
        k: keys (…, S, Dk).
        v: values (…, S, Dv).

    Returns:
        Answers (…, T, Dv).

    Raises:
        ValueError: widths or numbers of keys and values do not fit.

    Reference: Kohonen 1972 (doi:10.1109/TC.1972.5008975).

    Example:
        >>> k = torch.tensor([[1., 1.], [1., -1.]])
        >>> linear_look_up(k[:1], k, torch.tensor([[10.], [20.]]))
        tensor([[10.]])
    """
    require_same_width(q, k)
    require_one_value_per_key(k, v)
    return q @ (k.mT @ v) / k.shape[-1]  # (*B, T, Dv)


def covariance(
    weights: Float[Tensor, " S"], a: Float[Tensor, "S Da"], b: Float[Tensor, "S Db"]
) -> Float[Tensor, "Da Db"]:
    """Return the covariance of rows of a and b drawn together with these weights.

    Cov_p(a, b) = Σ_s p_s (a_s − ā)(b_s − b̄)ᵀ. For dot-product attention
    ∂context/∂q = Cov_p(v, k).

    Args:
        weights: p, one per row; they sum to 1.
        a: rows (S, Da).
        b: rows (S, Db).

    Returns:
        A matrix (Da, Db).

    Example:
        >>> rows = torch.tensor([[0.], [2.]])
        >>> covariance(torch.tensor([0.5, 0.5]), rows, rows)
        tensor([[1.]])
    """
    return (a - weights @ a).mT @ (weights[:, None] * (b - weights @ b))


def recall(answers: Float[Tensor, "N Dv"], values: Float[Tensor, "S Dv"]) -> float:
    """Return the share of answers whose nearest value is their own.

    Args:
        answers: answer s was read with key s.
        values: the stored values.

    Raises:
        ValueError: different numbers of answers and values.

    Example:
        >>> recall(torch.tensor([[1.], [9.]]), torch.tensor([[0.], [2.]]))
        1.0
    """
    if len(answers) != len(values):
        raise ValueError(f"{len(answers)} answers for {len(values)} values")
    own = torch.arange(len(values), device=values.device)
    return (torch.cdist(answers, values).argmin(-1) == own).double().mean().item()


def store_and_ask(
    store: Store, sizes: Sequence[int], seeds: Iterable[int], d: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Store random pairs, ask with every key, and compare with the stored values.

    Args:
        store: takes keys (n, d) and values (n, d), entries of variance 1, and returns
            what it reads with each of the keys (n, d).
        sizes: numbers of pairs n.
        seeds: one draw of pairs each.
        d: width of keys and values.

    Returns:
        Relative errors ‖answers − values‖/‖values‖ and shares recalled (the nearest
        value is the right one), both (seeds, sizes).

    Raises:
        ValueError: a size below 1.

    Example:
        >>> store_and_ask(lambda k, v: v, [2, 3], range(3))[1].shape
        (3, 2)
    """
    if min(sizes) < 1:
        raise ValueError(f"sizes must be at least 1, got {list(sizes)}")
    errors, shares = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        drawn = [torch.randn(2, n, d, generator=generator) for n in sizes]
        answers = [store(k, v) for k, v in drawn]
        pairs = list(zip(answers, drawn, strict=True))
        errors.append([((a - v).norm() / v.norm()).item() for a, (_, v) in pairs])
        shares.append([recall(a, v) for a, (_, v) in pairs])
    return np.array(errors), np.array(shares)


def slope_sizes(
    sharpness: float, seed: int, num_queries: int = 200, num_keys: int = 16, d: int = 64
) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """Measure how far a random answer moves with its question.

    The scores are sharpness · q·k / √d, so that sharpness √d is the unscaled dot
    product. Values have width 5; all entries are drawn with variance 1.

    Args:
        sharpness: β, positive.
        seed: of the draw.
        num_queries, num_keys, d: sizes.

    Returns:
        ‖∂context/∂q‖ (Frobenius), one per query, and the largest weight of each: how
        far the answer moves with the value that it fetches.

    Raises:
        ValueError: sharpness not positive.

    Example:
        >>> slope_sizes(1.0, seed=0)[0].shape
        torch.Size([200])
    """
    if sharpness <= 0:
        raise ValueError(f"sharpness must be positive, got {sharpness}")
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(n, width, generator=generator, dtype=torch.float64)
        for n, width in ((num_queries, d), (num_keys, d), (num_keys, 5))
    )
    factor = sharpness / d**0.5
    weights = (factor * q @ k.mT).softmax(dim=-1)  # (T, S)
    slopes = torch.stack([factor * covariance(p, v, k) for p in weights])
    return torch.linalg.matrix_norm(slopes), weights.amax(dim=-1)


def left_out_error(
    k: Float[Tensor, "N Dk"], v: Float[Tensor, "N Dv"], score: Score
) -> float:
    """Ask every stored key, with its own pair masked out, and compare with its value.

    Args:
        k: keys (N, Dk), N at least 2.
        v: values (N, Dv).
        score: any function of (q, k) that gives (N, N).

    Returns:
        The root-mean-square error over all entries of all values.

    Raises:
        ValueError: fewer than 2 pairs.

    Example:
        >>> from attnbook.scores import dot_score
        >>> pairs = torch.tensor([[1.], [3.]])
        >>> left_out_error(pairs, pairs, dot_score)
        2.0
    """
    if len(k) < 2:
        raise ValueError(f"leaving one out needs at least 2 pairs, got {len(k)}")
    others = ~torch.eye(len(k), dtype=torch.bool, device=k.device)
    guess, _ = key_value_attention(k, k, v, score, others)
    return (guess - v).square().mean().sqrt().item()
