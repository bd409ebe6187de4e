"""Saliency: attention without a query (chapter 1).

The choice depends on the value itself, so the same input always gets the same
answer, whatever one would like to know about it. Source: Qiu 2020, *Neural
Networks and Deep Learning*, section 8.1.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def max_pool_attention(
    x: Float[Tensor, "*B S D"],
) -> tuple[Float[Tensor, "*B D"], Int[Tensor, "*B D"]]:
    """Keep the largest value of each channel: a hard choice without a query.

    Args:
        x: inputs (…, S, D), at least one position.

    Returns:
        The maxima (…, D) and the position each came from (…, D). The gradient
        goes to the winner only.

    Raises:
        ValueError: S = 0.

    Example:
        >>> max_pool_attention(torch.tensor([[1., 9.], [5., 2.]]))[0]
        tensor([5., 9.])
    """
    require_positions(x)
    pooled = x.max(dim=-2)
    return pooled.values, pooled.indices


def softmax_pool(x: Float[Tensor, "*B S D"], beta: float) -> Float[Tensor, "*B D"]:
    """Average each channel with weights softmax(beta · x) over the positions.

    Args:
        x: inputs (…, S, D), at least one position.
        beta: sharpness; 0 gives the mean, → ∞ max pooling, → −∞ min pooling.

    Returns:
        (…, D).

    Raises:
        ValueError: S = 0.

    Example:
        >>> softmax_pool(torch.tensor([[1.], [3.]]), beta=0.0)
        tensor([2.])
    """
    require_positions(x)
    return (torch.softmax(beta * x, dim=-2) * x).sum(dim=-2)


class Gate(nn.Module):
    """Scale each value by a sigmoid of the input: y = σ(W x + b) ⊙ x.

    Args:
        d_model: width of the input.

    Parameters: `linear` (d_model → d_model). The weights lie in (0, 1) and need
    not sum to 1: nothing competes.

    Example:
        >>> Gate(3)(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.linear = nn.Linear(d_model, d_model)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the gated input, same shape."""
        return torch.sigmoid(self.linear(x)) * x


def require_positions(x: Tensor) -> None:
    """Check that there is something to pool.

    Raises:
        ValueError: fewer than two dimensions, or no position.
    """
    if x.dim() < 2 or x.shape[-2] == 0:
        raise ValueError(
            f"x must be (…, S, D) with S ≥ 1 positions, got shape {tuple(x.shape)}"
        )
