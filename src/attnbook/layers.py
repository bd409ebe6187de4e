"""The Transformer's layers: attention and feed-forward, each with residual and norm.

Chapter 7 builds the encoder's, chapter 8 the decoder's. Parameters have the names of
`nn.TransformerEncoderLayer`, `nn.TransformerDecoderLayer` and their stacks, so weights
load from there. Post-norm (Vaswani et al. 2017) is x = norm(x + f(x)); pre-norm (Xiong
et al. 2020), `norm_first=True`, is x = x + f(norm(x)).

Differs: dropout acts on what is added to the residual stream, not inside attention or
the feed-forward, where it costs up to twice the time and eight times the memory.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attnbook.multihead import KeyValueCache, MultiHeadAttention

Activation = Literal["relu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """Return an activation function by name.

    Raises:
        ValueError: no such activation.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {list(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


class FeedForward(nn.Module):
    """Apply the same two-layer network to every position: W_2 f(W_1 x).

    Args:
        d_model: D.
        d_ff: F, the hidden width, often 4D.
        activation: "relu" (Vaswani), "gelu" (BERT in torch) or "gelu_tanh" (GPT-2).

    Example:
        >>> import torch
        >>> FeedForward(3, 11)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 5, 3])
    """

    def __init__(self, d_model: int, d_ff: int, activation: Activation = "relu"):
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.activation = activation_named(activation)

    def forward(self, x: Float[Tensor, "*B T D"]) -> Float[Tensor, "*B T D"]:
        """Return (…, T, D)."""
        return self.linear2(self.activation(self.linear1(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward. With `causal=True` it is a GPT block.

    Args:
        d_model: D.
        num_heads: H, a divisor of D.
        d_ff: F, width of the feed-forward's hidden layer.
        dropout: share of the residual updates set to zero while training.
        activation: see `FeedForward`.
        norm_first: pre-norm instead of post-norm.

    Reference: Vaswani et al. 2017, section 3.1; Xiong et al. 2020 (arXiv:2002.04745).

    Example:
        >>> import torch
        >>> EncoderLayer(12, 3, 24)(torch.ones(2, 5, 12)).shape
        torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        norm_first: bool = False,
    ):
        super().__init__()
        self.self_attn = MultiHeadAttention(d_model, num_heads)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.activation = activation_named(activation)
        self.norm_first = norm_first

    def forward(
        self,
        x: Float[Tensor, "*B T D"],
        attn_mask: Bool[Tensor, "..."] | None = None,
        *,
        causal: bool = False,
        bias: Float[Tensor, "..."] | None = None,
        rotate: Callable[[Tensor, int], Tensor] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "*B T D"]:
        """Return the layer's output; the arguments are those of the attention."""
        seen = {"causal": causal, "bias": bias, "rotate": rotate, "cache": cache}
        if self.norm_first:
            x = x + self.dropout(
                self.self_attn(self.norm1(x), attn_mask=attn_mask, **seen)
            )
            return x + self.dropout(self._feed_forward(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.self_attn(x, attn_mask=attn_mask, **seen)))
        return self.norm2(x + self.dropout(self._feed_forward(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.activation(self.linear1(x)))


class LayerCache(NamedTuple):
    """What a decoder layer keeps between two tokens."""

    past: KeyValueCache  # of its own positions, grows by one per token
    memory: KeyValueCache  # of the source, projected once


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the memory, feed-forward.

    Args: as `EncoderLayer`.

    Reference: Vaswani et al. 2017, section 3.1.

    Example:
        >>> import torch
        >>> DecoderLayer(12, 3, 24)(torch.ones(2, 5, 12), torch.ones(2, 7, 12)).shape
        torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        norm_first: bool = False,
    ):
        super().__init__()
        self.self_attn = MultiHeadAttention(d_model, num_heads)
        self.multihead_attn = MultiHeadAttention(d_model, num_heads)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.norm3 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.activation = activation_named(activation)
        self.norm_first = norm_first

    def forward(
        self,
        x: Float[Tensor, "*B T D"],
        memory: Float[Tensor, "*B S D"],
        attn_mask: Bool[Tensor, "..."] | None = None,
        memory_mask: Bool[Tensor, "..."] | None = None,
        *,
        causal: bool = True,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "*B T D"]:
        """Return the layer's output.

        Args:
            x: target positions (…, T, D).
            memory: the encoder's output (…, S, D).
            attn_mask: which target positions each may see, True = may attend.
            memory_mask: which source positions each may see: the padding of the
                source, not of the target.
            causal: hide the future; False is a leak, for demonstration.
            cache: past positions and the projected memory, when decoding.
        """
        past, projected = cache or (None, None)
        own = {"attn_mask": attn_mask, "causal": causal, "cache": past}
        cross = {"attn_mask": memory_mask, "cache": projected}
        if self.norm_first:
            x = x + self.dropout(self.self_attn(self.norm1(x), **own))
            x = x + self.dropout(self.multihead_attn(self.norm2(x), memory, **cross))
            return x + self.dropout(self._feed_forward(self.norm3(x)))
        x = self.norm1(x + self.dropout(self.self_attn(x, **own)))
        x = self.norm2(x + self.dropout(self.multihead_attn(x, memory, **cross)))
        return self.norm3(x + self.dropout(self._feed_forward(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.activation(self.linear1(x)))


def _require_layers(num_layers: int) -> None:
    if num_layers < 1:
        raise ValueError(f"num_layers must be ≥ 1, got {num_layers}")


class Encoder(nn.Module):
    """A stack of encoder layers.

    Args:
        num_layers: how many.
        d_model, num_heads, d_ff, dropout, activation, norm_first: see `EncoderLayer`.
        final_norm: a norm after the last layer; as `norm_first` unless given
            (`nn.Transformer` has one in both orders, the paper in none).

    Raises:
        ValueError: no layer.

    Example:
        >>> import torch
        >>> Encoder(2, 12, 3, 24)(torch.ones(2, 5, 12)).shape
        torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        num_layers: int,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        norm_first: bool = False,
        final_norm: bool | None = None,
    ):
        super().__init__()
        _require_layers(num_layers)
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, num_heads, d_ff, dropout, activation, norm_first)
            for _ in range(num_layers)
        )
        final_norm = norm_first if final_norm is None else final_norm
        self.norm = nn.LayerNorm(d_model) if final_norm else None

    def forward(
        self,
        x: Float[Tensor, "*B T D"],
        attn_mask: Bool[Tensor, "..."] | None = None,
        *,
        causal: bool = False,
        bias: Float[Tensor, "..."] | None = None,
        rotate: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Float[Tensor, "*B T D"]:
        """Return the memory (…, T, D)."""
        for layer in self.layers:
            x = layer(x, attn_mask, causal=causal, bias=bias, rotate=rotate)
        return x if self.norm is None else self.norm(x)


class Decoder(nn.Module):
    """A stack of decoder layers.

    Args: as `Encoder`.

    Example:
        >>> import torch
        >>> Decoder(2, 12, 3, 24)(torch.ones(2, 5, 12), torch.ones(2, 7, 12)).shape
        torch.Size([2, 5, 12])
    """

    def __init__(
        self,
        num_layers: int,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        norm_first: bool = False,
        final_norm: bool | None = None,
    ):
        super().__init__()
        _require_layers(num_layers)
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, num_heads, d_ff, dropout, activation, norm_first)
            for _ in range(num_layers)
        )
        final_norm = norm_first if final_norm is None else final_norm
        self.norm = nn.LayerNorm(d_model) if final_norm else None

    def forward(
        self,
        x: Float[Tensor, "*B T D"],
        memory: Float[Tensor, "*B S D"],
        attn_mask: Bool[Tensor, "..."] | None = None,
        memory_mask: Bool[Tensor, "..."] | None = None,
        *,
        causal: bool = True,
        caches: list[LayerCache] | None = None,
    ) -> Float[Tensor, "*B T D"]:
        """Return (…, T, D); `caches` holds one cache per layer.

        Raises:
            ValueError: another number of caches.
        """
        if caches is not None and len(caches) != len(self.layers):
            raise ValueError(f"{len(caches)} caches for {len(self.layers)} layers")
        for i, layer in enumerate(self.layers):
            cache = None if caches is None else caches[i]
            x = layer(x, memory, attn_mask, memory_mask, causal=causal, cache=cache)
        return x if self.norm is None else self.norm(x)
