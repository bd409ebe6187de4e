"""Multi-head attention: several attentions side by side, each in its own subspace.

Chapter 5 builds it. Parameters have the names and shapes of `nn.MultiheadAttention`,
so weights load from there and back. What a reader may not expect: masks are the other
way round (here True = may attend), and the weights come back per head, not averaged.

`KeyValueCache` keeps the keys and values of past positions, so that a decoder that
writes one token at a time projects each token once (chapters 8 and 9).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attnbook.attention import merge_heads, scaled_dot_product_attention, split_heads
from attnbook.scores import require_width


class KeyValueCache:
    """Keys and values of past positions, in memory taken once and written in place.

    Args:
        max_len: most positions it can hold.

    For inference: writing in place hides the past from autograd.

    Example:
        >>> cache = KeyValueCache(max_len=5)
        >>> k, v = cache.append(torch.ones(2, 3, 1, 7), torch.ones(2, 3, 1, 7))
        >>> k, v = cache.append(torch.ones(2, 3, 1, 7), torch.ones(2, 3, 1, 7))
        >>> k.shape, cache.length
        (torch.Size([2, 3, 2, 7]), 2)
    """

    def __init__(self, max_len: int):
        self.max_len = max_len
        self.length = 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def append(
        self, k: Float[Tensor, "B H T Dk"], v: Float[Tensor, "B H T Dv"]
    ) -> tuple[Float[Tensor, "B H S Dk"], Float[Tensor, "B H S Dv"]]:
        """Store T more positions and return all that there are.

        Raises:
            ValueError: more positions than max_len.
        """
        end = self.length + k.shape[-2]
        if end > self.max_len:
            raise ValueError(
                f"position {end} does not fit into max_len = {self.max_len}"
            )
        if self.keys is None:
            self.keys = k.new_empty(*k.shape[:2], self.max_len, k.shape[-1])
            self.values = v.new_empty(*v.shape[:2], self.max_len, v.shape[-1])
        self.keys[:, :, self.length : end] = k
        self.values[:, :, self.length : end] = v
        self.length = end
        return self.filled()

    def filled(self) -> tuple[Tensor, Tensor]:
        """Return the keys and values stored so far, as views (B, H, length, ·)."""
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def reorder(self, rows: Int[Tensor, " B"]) -> None:
        """Let row b go on from what row `rows[b]` has seen (beam search)."""
        keys, values = self.filled()
        keys.copy_(keys[rows])
        values.copy_(values[rows])


class MultiHeadAttention(nn.Module):
    """Attend with H heads of width D/H, and mix their contexts.

    head_h = attention(x_q W_q^h, x_k W_k^h, x_v W_v^h); out = concat(heads) W_o.

    Args:
        d_model: D, width of queries and output.
        num_heads: H, a divisor of D.
        kdim: width of the keys' input; D unless given.
        vdim: width of the values' input; D unless given.
        bias: whether the four projections have one.

    Parameters, as in `nn.MultiheadAttention`: `in_proj_weight` (3D, D), rows for q, k
    and v in this order (`q_proj_weight`, `k_proj_weight`, `v_proj_weight` if kdim or
    vdim differ from D), `in_proj_bias` (3D), `out_proj`. In all 4D² + 4D, whatever H.

    Reference: Vaswani et al. 2017, section 3.2.2.

    Example:
        >>> MultiHeadAttention(12, 3)(torch.ones(2, 5, 12)).shape
        torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        kdim: int | None = None,
        vdim: int | None = None,
        bias: bool = True,
    ):
        super().__init__()
        if num_heads < 1 or d_model % num_heads:
            raise ValueError(
                f"d_model = {d_model} is not divisible by num_heads = {num_heads}"
            )
        self.d_model, self.num_heads = d_model, num_heads
        self.kdim = d_model if kdim is None else kdim
        self.vdim = d_model if vdim is None else vdim
        self.packed = self.kdim == self.vdim == d_model
        if self.packed:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * d_model, d_model))
        else:
            self.q_proj_weight = nn.Parameter(torch.empty(d_model, d_model))
            self.k_proj_weight = nn.Parameter(torch.empty(d_model, self.kdim))
            self.v_proj_weight = nn.Parameter(torch.empty(d_model, self.vdim))
        self.register_parameter(
            "in_proj_bias", nn.Parameter(torch.empty(3 * d_model)) if bias else None
        )
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as PyTorch does: Xavier-uniform, zero biases."""
        for name, parameter in self.named_parameters(recurse=False):
            if name.endswith("weight"):
                nn.init.xavier_uniform_(parameter)
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)
            nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Float[Tensor, "*B T D"],
        key: Float[Tensor, "*B S Dk"] | None = None,
        value: Float[Tensor, "*B S Dv"] | None = None,
        attn_mask: Bool[Tensor, "..."] | None = None,
        *,
        causal: bool = False,
        bias: Float[Tensor, "..."] | None = None,
        rotate: Callable[[Tensor, int], Tensor] | None = None,
        cache: KeyValueCache | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from `query` to `key`, or to itself.

        Args:
            query: (…, T, D).
            key: (…, S, kdim); without it, self-attention.
            value: (…, S, vdim); the key's input unless given.
            attn_mask: boolean, True = may attend: (T, S), one per sequence
                (…, T, S), or one per head (…, H, T, S).
            causal: let query t see keys s ≤ t + S − T only.
            bias: float, broadcasts to (…, H, T, S), added to the scaled scores.
            rotate: called as rotate(heads, start) on queries and keys (RoPE), in
                self-attention only.
            cache: in self-attention, past positions come before the present ones; with
                `key`, its projections are stored at the first call and used later.
            return_weights: also return the weights (…, H, T, S).

        Returns:
            out (…, T, D); with `return_weights` also the weights.

        Raises:
            ValueError: a width other than the constructor's, a mask that does not
                fit, a value without a key, or a rotation of another sequence.
        """
        require_width("query", query, self.d_model)
        if key is None and value is not None:
            raise ValueError("value needs a key: without one this is self-attention")
        if key is not None and rotate is not None:
            raise ValueError("rotate is for self-attention: a key has other positions")
        if key is None:
            q, k, v = self._project_self(query, rotate, cache)
        else:
            q = split_heads(self._linear(query, 0), self.num_heads)
            k, v = self._project_memory(key, key if value is None else value, cache)
        if attn_mask is not None and attn_mask.dim() == query.dim():
            attn_mask = attn_mask.unsqueeze(-3)  # (*B, 1, T, S)
        attended = scaled_dot_product_attention(
            q, k, v, attn_mask, bias, causal, return_weights=return_weights
        )
        context, *weights = attended if return_weights else (attended,)
        out = self.out_proj(merge_heads(context))  # (*B, T, D)
        return (out, *weights) if return_weights else out

    def _project_self(self, x, rotate, cache):
        """Project one sequence to heads q, k, v; put the cached past before k and v."""
        require_width("key", x, self.kdim)
        require_width("value", x, self.vdim)
        packed = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # (*B, T, 3D)
        q, k, v = (split_heads(part, self.num_heads) for part in packed.chunk(3, -1))
        if rotate is not None:
            start = 0 if cache is None else cache.length
            q, k = rotate(q, start), rotate(k, start)
        if cache is not None:
            k, v = cache.append(k, v)
        return q, k, v

    def _project_memory(self, key, value, cache):
        """Project another sequence to heads k and v, once if there is a cache."""
        if cache is not None and cache.length:
            return cache.filled()
        require_width("key", key, self.kdim)
        require_width("value", value, self.vdim)
        if self.packed and key is value:
            rows = slice(self.d_model, None)
            bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
            k, v = F.linear(key, self.in_proj_weight[rows], bias).chunk(2, dim=-1)
        else:
            k, v = self._linear(key, 1), self._linear(value, 2)
        k, v = split_heads(k, self.num_heads), split_heads(v, self.num_heads)
        return (k, v) if cache is None else cache.append(k, v)

    def _linear(self, x: Tensor, part: int) -> Tensor:
        """Apply projection 0 (q), 1 (k) or 2 (v)."""
        rows = slice(part * self.d_model, (part + 1) * self.d_model)
        if self.packed:
            weight = self.in_proj_weight[rows]
        else:
            weight = getattr(self, f"{'qkv'[part]}_proj_weight")
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        return F.linear(x, weight, bias)
