"""Attention itself: soft, hard, key–value and scaled dot-product.

Chapter 1 builds `soft_attention` and `hard_attention`, chapter 3
`key_value_attention`, chapter 4 `SelfAttention`. All of them score, turn scores
into weights, and average values; they differ in where q, k and v come from.

`scaled_dot_product_attention` takes PyTorch's fused kernel unless somebody wants
to see the weights (`return_weights=True` or `tracing.record()`): then it takes the
readable path, which is the reference that the fused one is tested against.
Differs from `F.scaled_dot_product_attention`: `causal` is aligned bottom-right when
T ≠ S, and a query with nothing to attend to gives zeros in every version of torch.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attnbook import masks, tracing
from attnbook.saliency import require_positions
from attnbook.scores import (
    Score,
    dot_score,
    masked_softmax,
    require_same_batch,
    require_same_width,
    require_width,
    scaled_dot_score,
)

# PyTorch's own kernels do it since 2.5 (pytorch/pytorch#133882).
ZEROS_ARE_NATIVE = torch.__version__ >= (2, 5)


def soft_attention(
    q: Float[Tensor, "*B T Dq"],
    x: Float[Tensor, "*B S D"],
    score: Score = dot_score,
    attn_mask: Bool[Tensor, "..."] | None = None,
) -> tuple[Float[Tensor, "*B T D"], Float[Tensor, "*B T S"]]:
    """Average the inputs, weighted by how well each fits the query.

    context = Σ_s weights_s x_s with weights = softmax_s score(q, x_s): the
    expectation of x_z for z drawn from the weights.

    Args:
        q: queries (…, T, Dq).
        x: inputs (…, S, D), both compared and averaged.
        score: any function of (q, x) that gives (…, T, S).
        attn_mask: boolean, broadcasts to (…, T, S), True = may attend.

    Returns:
        context (…, T, D) and weights (…, T, S).

    Raises:
        ValueError: shapes, dtypes or mask do not fit.

    Reference: Qiu 2020, equation 8.5.

    Example:
        >>> x = torch.tensor([[0.], [4.]])
        >>> soft_attention(torch.tensor([[0.]]), x)[0]
        tensor([[2.]])
    """
    return key_value_attention(q, x, x, score, attn_mask)


def hard_attention(
    q: Float[Tensor, "*B T Dq"],
    x: Float[Tensor, "*B S D"],
    score: Score = dot_score,
    mode: Literal["argmax", "sample"] = "argmax",
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "*B T D"], Int[Tensor, "*B T"]]:
    """Return one input per query: the best one, or one drawn from the weights.

    No gradient reaches the scores through the choice; chapter 1 shows two ways
    around it (the score-function gradient and straight-through Gumbel).

    Args:
        q: queries (…, T, Dq).
        x: inputs (…, S, D).
        score: any function of (q, x) that gives (…, T, S).
        mode: "argmax", or "sample" from softmax(scores).
        generator: source of the samples, for a repeatable draw.

    Returns:
        The chosen inputs (…, T, D) and their positions (…, T).

    Raises:
        ValueError: an unknown mode, shapes that do not fit, or S = 0.

    Reference: Xu et al. 2015 (arXiv:1502.03044), section 4.1.

    Example:
        >>> x = torch.tensor([[1., 0.], [0., 1.]])
        >>> hard_attention(torch.tensor([[0., 5.]]), x)[1]
        tensor([1])
    """
    require_positions(x)
    scores = score(q, x)
    if mode == "argmax":
        index = scores.argmax(dim=-1)
    elif mode == "sample":
        flat = torch.softmax(scores, dim=-1).flatten(0, -2)
        index = torch.multinomial(flat, 1, generator=generator)
        index = index.view(scores.shape[:-1])
    else:
        raise ValueError(f"mode must be 'argmax' or 'sample', got {mode!r}")
    wide = index.unsqueeze(-1).expand(*index.shape, x.shape[-1])
    return x.gather(-2, wide), index


def key_value_attention(
    q: Float[Tensor, "*B T Dq"],
    k: Float[Tensor, "*B S Dk"],
    v: Float[Tensor, "*B S Dv"],
    score: Score = dot_score,
    attn_mask: Bool[Tensor, "..."] | None = None,
) -> tuple[Float[Tensor, "*B T Dv"], Float[Tensor, "*B T S"]]:
    """Compare with keys, average values.

    context = Σ_s softmax_s(score(q, k_s)) v_s. With v = k this is
    `soft_attention`.

    Args:
        q: queries (…, T, Dq).
        k: keys (…, S, Dk).
        v: values (…, S, Dv); Dv is free of Dk.
        score: any function of (q, k) that gives (…, T, S).
        attn_mask: boolean, broadcasts to (…, T, S), True = may attend.

    Returns:
        context (…, T, Dv) and weights (…, T, S).

    Raises:
        ValueError: shapes, dtypes or mask do not fit.

    Reference: Qiu 2020, equation 8.9.

    Example:
        >>> k, v = torch.eye(2), torch.tensor([[10.], [20.]])
        >>> key_value_attention(torch.tensor([[50., 0.]]), k, v)[0]
        tensor([[10.]])
    """
    require_one_value_per_key(k, v)
    scores = score(q, k)  # (*B, T, S)
    weights = masked_softmax(scores, attn_mask)
    tracing.emit(scores=scores, weights=weights)
    return weights @ v, weights  # (*B, T, Dv)


def scaled_dot_product_attention(
    q: Float[Tensor, "*B T D"],
    k: Float[Tensor, "*B S D"],
    v: Float[Tensor, "*B S Dv"],
    attn_mask: Bool[Tensor, "..."] | None = None,
    bias: Float[Tensor, "..."] | None = None,
    causal: bool = False,
    scale: float | None = None,
    return_weights: bool = False,
) -> (
    Float[Tensor, "*B T Dv"] | tuple[Float[Tensor, "*B T Dv"], Float[Tensor, "*B T S"]]
):
    """Compute softmax(q k^T · scale + bias) v over the allowed keys.

    Args:
        q: queries (…, T, D).
        k: keys (…, S, D).
        v: values (…, S, Dv).
        attn_mask: boolean, broadcasts to (…, T, S), True = may attend.
        bias: float and finite, broadcasts to (…, T, S), added to the scaled
            scores. To forbid a key, use attn_mask.
        causal: let query t see keys s ≤ t + S − T only.
        scale: the factor; 1/√D unless given, D being the width of one head.
        return_weights: also return the weights, by the readable path.

    Returns:
        context (…, T, Dv); with `return_weights` also the weights (…, T, S). A
        query that may attend to nothing gets zeros.

    Raises:
        ValueError: shapes, dtypes, mask or bias do not fit.

    Reference: Vaswani et al. 2017, equation 1.

    Example:
        >>> x = torch.tensor([[1., 0.], [0., 1.]])
        >>> scaled_dot_product_attention(x, x, x, causal=True)[0]
        tensor([1., 0.])
    """
    require_same_width(q, k)
    require_one_value_per_key(k, v)
    num_queries, num_keys = q.shape[-2], k.shape[-2]
    batch = require_same_batch("q", q, "k", k)
    if attn_mask is not None:
        masks.require_mask(attn_mask, num_queries, num_keys, batch)
    if bias is not None:
        require_bias(bias, num_queries, num_keys, batch)
    if return_weights or tracing.recording():
        if causal:
            allowed = masks.causal(num_queries, num_keys, q.device)
            attn_mask = masks.combine(attn_mask, allowed)
        context, weights = _readable(q, k, v, attn_mask, bias, scale)
        return (context, weights) if return_weights else context
    return _fused(q, k, v, attn_mask, bias, causal, scale)


def _readable(q, k, v, attn_mask, bias, scale):
    """Attend step by step, so that every quantity has a name."""
    scores = scaled_dot_score(q, k, scale)  # (*B, T, S)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    weights = masked_softmax(scores, attn_mask)
    tracing.emit(scores=scores, weights=weights)
    return weights @ v, weights  # (*B, T, Dv)


def _fused(q, k, v, attn_mask, bias, causal, scale):
    """Attend through PyTorch's kernel, which never holds all T × S weights."""
    num_queries, num_keys = q.shape[-2], k.shape[-2]
    causal = causal and num_queries > 1  # the last query sees every key
    plain = attn_mask is None and bias is None
    if causal and not (plain and num_queries == num_keys):
        allowed = masks.causal(num_queries, num_keys, q.device)
        attn_mask, causal = masks.combine(attn_mask, allowed), False
    empty = None
    if attn_mask is not None and not (ZEROS_ARE_NATIVE and q.device.type == "cpu"):
        # Other kernels may give NaN to a row without keys: show it all, then zero it.
        empty = ~attn_mask.any(dim=-1, keepdim=True)
        attn_mask = attn_mask | empty
    if bias is not None and attn_mask is not None:
        attn_mask = torch.where(attn_mask, bias, -math.inf).to(q.dtype)
    elif bias is not None:
        attn_mask = bias.to(q.dtype)
    num_axes = max(x.dim() for x in (q, k, v))
    q, k, v, attn_mask = (_with_four_axes(x) for x in (q, k, v, attn_mask))
    context = F.scaled_dot_product_attention(
        q, k, v, attn_mask=attn_mask, is_causal=causal, scale=scale
    )
    context = context[(0,) * (4 - num_axes)]
    return context if empty is None else context.masked_fill(empty, 0.0)


def _with_four_axes(x):
    """Put axes of size 1 in front: with fewer than four the fast kernels refuse."""
    return None if x is None else x[(None,) * (4 - x.dim())]


class SelfAttention(nn.Module):
    """One head of self-attention: queries, keys and values from one sequence.

    Args:
        d_in: width of the input.
        d_k: width of queries and keys.
        d_v: width of the values, and so of the output.

    Parameters: `query`, `key` (d_in → d_k) and `value` (d_in → d_v), no biases.

    Reference: Qiu 2020, equations 8.19–8.22; Vaswani et al. 2017, section 3.2.

    Example:
        >>> SelfAttention(5, 3, 7)(torch.ones(2, 11, 5)).shape
        torch.Size([2, 11, 7])
    """

    def __init__(self, d_in: int, d_k: int, d_v: int):
        super().__init__()
        self.query = nn.Linear(d_in, d_k, bias=False)
        self.key = nn.Linear(d_in, d_k, bias=False)
        self.value = nn.Linear(d_in, d_v, bias=False)

    def forward(
        self,
        x: Float[Tensor, "*B T D"],
        attn_mask: Bool[Tensor, "..."] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "*B T Dv"]:
        """Return the context (…, T, d_v) of every position of x (…, T, d_in).

        Raises:
            ValueError: x has another width than d_in, or the mask does not fit.
        """
        require_width("x", x, self.query.in_features)
        q, k, v = self.query(x), self.key(x), self.value(x)
        return scaled_dot_product_attention(q, k, v, attn_mask, causal=causal)


def split_heads(
    x: Float[Tensor, "*B T D"], num_heads: int
) -> Float[Tensor, "*B H T Dh"]:
    """View a width D as H heads of width D/H, heads before positions.

    Args:
        x: (…, T, D).
        num_heads: H, a divisor of D.

    Returns:
        (…, H, T, D/H): head h holds columns h·D/H … (h+1)·D/H − 1.

    Raises:
        ValueError: H < 1 or H does not divide D.

    Example:
        >>> split_heads(torch.ones(2, 5, 12), 3).shape
        torch.Size([2, 3, 5, 4])
    """
    d_model = x.shape[-1]
    if num_heads < 1 or d_model % num_heads:
        raise ValueError(
            f"d_model = {d_model} is not divisible by num_heads = {num_heads}"
        )
    return x.unflatten(-1, (num_heads, d_model // num_heads)).transpose(-2, -3)


def merge_heads(x: Float[Tensor, "*B H T Dh"]) -> Float[Tensor, "*B T D"]:
    """Undo `split_heads`: put the heads side by side again.

    Args:
        x: (…, H, T, Dh).

    Returns:
        (…, T, H·Dh).

    Example:
        >>> x = torch.arange(24.).view(1, 2, 12)
        >>> bool((merge_heads(split_heads(x, 3)) == x).all())
        True
    """
    return x.transpose(-2, -3).flatten(-2)


def require_one_value_per_key(k: Tensor, v: Tensor) -> None:
    """Check that keys and values come in pairs.

    Raises:
        ValueError: different numbers of positions, different dtypes, or batch
            axes that do not broadcast.
    """
    for name, x in (("k", k), ("v", v)):
        if x.dim() < 2:
            raise ValueError(
                f"{name} must be (…, positions, width), got shape {tuple(x.shape)}"
            )
    if k.dtype != v.dtype:
        raise ValueError(f"k is {k.dtype} but v is {v.dtype}: convert one of them")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(
            f"{k.shape[-2]} keys but {v.shape[-2]} values: "
            "each key needs exactly one value"
        )
    require_same_batch("k", k, "v", v)


def require_bias(
    bias: Tensor, num_queries: int, num_keys: int, batch: Sequence[int]
) -> None:
    """Check that a bias is floating point and broadcasts to (*batch, T, S).

    Raises:
        ValueError: another dtype (a boolean one is a mask in the wrong place, and
            would count as 1), or a shape that does not broadcast.
    """
    if not bias.is_floating_point():
        raise ValueError(
            f"bias must be floating point, got {bias.dtype}: it is added to the "
            "scores; pass a boolean mask as attn_mask=…"
        )
    masks.require_broadcast("bias", bias, num_queries, num_keys, batch)
