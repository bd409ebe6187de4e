"""Scoring functions: how well does a key fit a query?

Built in chapter 2. Each takes queries (…, T, Dq) and keys (…, S, Dk) and returns
scores (…, T, S); `masked_softmax` turns scores into weights that sum to 1 over
the keys. The additive score is Bahdanau et al. 2015 (arXiv:1409.0473), the
bilinear one Luong et al. 2015 (arXiv:1508.04025), the scaled dot product Vaswani
et al. 2017 (arXiv:1706.03762, section 3.2.1).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attnbook.masks import require_mask

Score = Callable[[Tensor, Tensor], Tensor]


def require_same_width(q: Tensor, k: Tensor) -> None:
    """Check that queries and keys can be multiplied.

    Raises:
        ValueError: other than floating-point inputs, different dtypes, different
            last dimensions, or batch axes that do not broadcast.
    """
    for name, x in (("q", q), ("k", k)):
        if not x.is_floating_point():
            raise ValueError(f"{name} must be floating point, got {x.dtype}")
        if x.dim() < 2:
            raise ValueError(
                f"{name} must be (…, positions, width), got shape {tuple(x.shape)}"
            )
    if q.dtype != k.dtype:
        raise ValueError(f"q is {q.dtype} but k is {k.dtype}: convert one of them")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"q has width {q.shape[-1]} but k has width {k.shape[-1]}; "
            "a BilinearScore or AdditiveScore can compare different widths"
        )
    require_same_batch("q", q, "k", k)


def require_same_batch(
    name: str, x: Tensor, other_name: str, other: Tensor
) -> torch.Size:
    """Check that the axes before position and width broadcast, and return them.

    Raises:
        ValueError: they do not broadcast; the message names both shapes.
    """
    if x.shape[:-2] == other.shape[:-2]:
        return x.shape[:-2]
    try:
        return torch.broadcast_shapes(x.shape[:-2], other.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"{name} of shape {tuple(x.shape)} and {other_name} of shape "
            f"{tuple(other.shape)} have different batch axes"
        ) from None


def dot_score(
    q: Float[Tensor, "*B T D"], k: Float[Tensor, "*B S D"]
) -> Float[Tensor, "*B T S"]:
    """Compute q·k for every pair of query and key.

    Args:
        q: queries (…, T, D).
        k: keys (…, S, D).

    Returns:
        Scores (…, T, S).

    Raises:
        ValueError: widths or dtypes differ.

    Example:
        >>> dot_score(torch.tensor([[1., 2.]]), torch.tensor([[3., 4.], [0., 1.]]))
        tensor([[11.,  2.]])
    """
    require_same_width(q, k)
    return q @ k.mT


def scaled_dot_score(
    q: Float[Tensor, "*B T D"],
    k: Float[Tensor, "*B S D"],
    scale: float | None = None,
) -> Float[Tensor, "*B T S"]:
    """Compute q·k / √D: a dot product whose spread does not grow with the width.

    The queries are scaled before the product, so that half precision does not
    overflow on the way.

    Args:
        q: queries (…, T, D).
        k: keys (…, S, D).
        scale: the factor; 1/√D unless given.

    Returns:
        Scores (…, T, S).

    Raises:
        ValueError: widths or dtypes differ.

    Reference: Vaswani et al. 2017, equation 1.

    Example:
        >>> scaled_dot_score(torch.ones(1, 4), torch.ones(2, 4))
        tensor([[2., 2.]])
    """
    require_same_width(q, k)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    return (q * scale) @ k.mT


class BilinearScore(nn.Module):
    """Score q and k by k^T W q with a learned matrix W.

    Args:
        d_q: width of the queries.
        d_k: width of the keys; may differ.

    Parameters: `W` (d_k, d_q), uniform in ±1/√d_q at the start, as `nn.Linear`.

    Reference: Luong et al. 2015, equation 8, "general". W is not symmetric: with
    the roles of q and k exchanged one needs its transpose.

    Example:
        >>> BilinearScore(3, 5)(torch.ones(2, 3), torch.ones(7, 5)).shape
        torch.Size([2, 7])
    """

    def __init__(self, d_q: int, d_k: int):
        super().__init__()
        self.W = nn.Parameter(torch.empty(d_k, d_q))
        nn.init.uniform_(self.W, -1 / math.sqrt(d_q), 1 / math.sqrt(d_q))

    def forward(
        self, q: Float[Tensor, "*B T Dq"], k: Float[Tensor, "*B S Dk"]
    ) -> Float[Tensor, "*B T S"]:
        """Return scores (…, T, S) for queries (…, T, Dq) and keys (…, S, Dk).

        Raises:
            ValueError: a width other than the constructor's.
        """
        require_width("q", q, self.W.shape[1])
        require_width("k", k, self.W.shape[0])
        return (q @ self.W.T) @ k.mT


class AdditiveScore(nn.Module):
    """Score q and k by v^T tanh(W k + U q): a small network over the pair.

    Args:
        d_q: width of the queries.
        d_k: width of the keys.
        d_hidden: width of the hidden layer.

    Parameters: `W` (d_hidden, d_k), `U` (d_hidden, d_q), `v` (d_hidden), no bias.

    The sum inside tanh makes a tensor (…, T, S, d_hidden): memory grows with all
    three, which a dot product avoids.

    Reference: Bahdanau et al. 2015, appendix A.1.2. Differs: Bahdanau has a bias
    inside; Qiu 2020 (equation 8.2) and d2l have none.

    Example:
        >>> AdditiveScore(3, 5, 11)(torch.ones(2, 3), torch.ones(7, 5)).shape
        torch.Size([2, 7])
    """

    def __init__(self, d_q: int, d_k: int, d_hidden: int):
        super().__init__()
        self.W = nn.Parameter(torch.empty(d_hidden, d_k))
        self.U = nn.Parameter(torch.empty(d_hidden, d_q))
        self.v = nn.Parameter(torch.empty(d_hidden))
        for parameter in (self.W, self.U, self.v):
            bound = 1 / math.sqrt(parameter.shape[-1])
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self, q: Float[Tensor, "*B T Dq"], k: Float[Tensor, "*B S Dk"]
    ) -> Float[Tensor, "*B T S"]:
        """Return scores (…, T, S) for queries (…, T, Dq) and keys (…, S, Dk).

        Raises:
            ValueError: a width other than the constructor's.
        """
        require_width("q", q, self.U.shape[1])
        require_width("k", k, self.W.shape[1])
        from_queries = (q @ self.U.T).unsqueeze(-2)  # (*B, T, 1, F)
        from_keys = (k @ self.W.T).unsqueeze(-3)  # (*B, 1, S, F)
        return torch.tanh(from_queries + from_keys) @ self.v  # (*B, T, S)


def require_width(name: str, x: Tensor, width: int) -> None:
    """Check the last dimension of an input.

    Raises:
        ValueError: it is not `width`.
    """
    if x.shape[-1] != width:
        raise ValueError(f"{name} has width {x.shape[-1]}, expected {width}")


def masked_softmax(
    scores: Float[Tensor, "*B T S"], attn_mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "*B T S"]:
    """Turn scores into weights: softmax over the allowed keys of each query.

    Args:
        scores: (…, T, S).
        attn_mask: boolean, broadcasts to (…, T, S), True = may attend.

    Returns:
        Weights (…, T, S): rows sum to 1, forbidden keys get exactly 0, and a row
        with nothing to attend to is all zeros. Never NaN, in value or gradient.

    Raises:
        ValueError: a mask of the wrong dtype or shape.

    Example:
        >>> mask = torch.tensor([[True, True, False], [False, False, False]])
        >>> masked_softmax(torch.zeros(2, 3), mask)
        tensor([[0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """
    if attn_mask is None:
        return torch.softmax(scores, dim=-1)
    require_mask(attn_mask, *scores.shape[-2:], batch=scores.shape[:-2])
    # A row of −inf would give 0/0; such rows are computed unmasked, then zeroed.
    hidden = ~attn_mask & attn_mask.any(dim=-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1)
    return weights.masked_fill(~attn_mask, 0.0)


def softmax_jacobian(weights: Float[Tensor, "*B S"]) -> Float[Tensor, "*B S S"]:
    """Return ∂weights/∂scores of a softmax: diag(p) − p p^T.

    Args:
        weights: p (…, S), rows sum to 1.

    Returns:
        (…, S, S), symmetric; its rows sum to 0.

    Example:
        >>> softmax_jacobian(torch.tensor([0.5, 0.5]))
        tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]])
    """
    return torch.diag_embed(weights) - weights.unsqueeze(-1) * weights.unsqueeze(-2)
