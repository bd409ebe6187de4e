"""Whole models: the encoder as a classifier, and the encoder–decoder Transformer.

Chapter 7 builds `EncoderClassifier`, chapter 8 `Transformer` (Vaswani et al. 2017). A
translation model, here or in `recurrent`, offers three methods: `forward` gives the
logits of all target positions at once (training); `start` reads the source and `step`
gives the logits of one more token (`generation`).

Differs from the paper: pre-norm unless asked otherwise, dropout on residuals only.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attnbook import masks
from attnbook.layers import Activation, Decoder, Encoder, LayerCache
from attnbook.multihead import KeyValueCache
from attnbook.positions import LearnedPositions, SinusoidalPositions

Positions = Literal["sinusoidal", "learned", "none"]


def require_sizes(config, *names: str) -> None:
    """Check that sizes are at least 1 and `dropout` lies in [0, 1).

    Raises:
        ValueError: one is not.
    """
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be ≥ 1, got {getattr(config, name)}")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {config.dropout}")


def require_heads(config) -> None:
    """Check that the heads share the width evenly.

    Raises:
        ValueError: they do not.
    """
    if config.num_heads < 1 or config.d_model % config.num_heads:
        raise ValueError(
            f"d_model = {config.d_model} is not divisible by "
            f"num_heads = {config.num_heads}"
        )


def make_positions(kind: str, max_len: int, d_model: int) -> nn.Module:
    """Return the module that adds positions to embeddings.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "sinusoidal":
        return SinusoidalPositions(max_len, d_model)
    if kind == "learned":
        return LearnedPositions(max_len, d_model)
    if kind == "none":
        return NoPositions()
    raise ValueError(
        f"positions must be 'sinusoidal', 'learned' or 'none', got {kind!r}"
    )


class NoPositions(nn.Module):
    """Add nothing: the ablation that leaves a bag of tokens."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Return x."""
        return x


def patchify(images: Float[Tensor, "B Y X"], size: int) -> Float[Tensor, "B T D"]:
    """Cut images into square patches, row by row; size 1 makes pixels tokens.

    Args:
        images: (B, Y, X), one channel.
        size: side of a patch, a divisor of Y and X.

    Returns:
        (B, Y·X/size², size²).

    Raises:
        ValueError: the size is below 1 or does not divide the image.

    Example:
        >>> patchify(torch.arange(16.).view(1, 4, 4), 2)[0, 1].tolist()
        [2.0, 3.0, 6.0, 7.0]
    """
    height, width = images.shape[-2:]
    if size < 1 or height % size or width % size:
        raise ValueError(
            f"patches of {size} do not tile an image of {height} × {width}"
        )
    tiles = images.unflatten(-2, (-1, size)).unflatten(-1, (-1, size))  # (B,Y,p,X,p)
    return tiles.transpose(-3, -2).flatten(-2).flatten(1, 2)  # (B, T, D)


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Sizes of an `EncoderClassifier`; the defaults suit 8 × 8 digits."""

    d_in: int
    num_tokens: int
    num_classes: int
    d_model: int = 64
    num_heads: int = 4
    d_ff: int = 128
    num_layers: int = 2
    dropout: float = 0.0
    activation: Activation = "gelu"
    norm_first: bool = True
    positions: Positions = "learned"
    pool: Literal["mean", "class_token"] = "mean"

    def __post_init__(self):
        require_sizes(self, "d_in", "num_tokens", "num_classes", "num_layers", "d_ff")
        require_heads(self)
        if self.pool not in ("mean", "class_token"):
            raise ValueError(f"pool must be 'mean' or 'class_token', got {self.pool!r}")


class EncoderClassifier(nn.Module):
    """Tokens → encoder → one vector → class logits.

    Reference: Dosovitskiy et al. 2021 (arXiv:2010.11929) for the class token.

    Example:
        >>> config = ClassifierConfig(d_in=4, num_tokens=16, num_classes=10)
        >>> EncoderClassifier(config)(torch.ones(2, 16, 4)).shape
        torch.Size([2, 10])
    """

    def __init__(self, config: ClassifierConfig):
        super().__init__()
        c = self.config = config
        extra = c.pool == "class_token"
        self.embed = nn.Linear(c.d_in, c.d_model)
        self.class_token = nn.Parameter(torch.zeros(1, c.d_model)) if extra else None
        self.positions = make_positions(c.positions, c.num_tokens + extra, c.d_model)
        self.encoder = Encoder(
            c.num_layers,
            c.d_model,
            c.num_heads,
            c.d_ff,
            c.dropout,
            c.activation,
            c.norm_first,
        )
        self.head = nn.Linear(c.d_model, c.num_classes)

    def forward(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B C"]:
        """Return the class logits (B, num_classes) of tokens (B, T, d_in)."""
        x = self.embed(tokens)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(len(x), 1, -1), x), dim=1)
        x = self.encoder(self.positions(x))  # (B, T, D)
        return self.head(x.mean(dim=1) if self.class_token is None else x[:, 0])


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a `Transformer`; the defaults are those of the book's translator."""

    source_vocab: int
    target_vocab: int
    d_model: int = 256
    num_heads: int = 8
    d_ff: int = 512
    num_layers: int = 3
    dropout: float = 0.1
    activation: Activation = "relu"
    norm_first: bool = True
    positions: Positions = "sinusoidal"
    max_len: int = 256
    pad: int = 0

    def __post_init__(self):
        require_sizes(self, "source_vocab", "target_vocab", "num_layers", "d_ff")
        require_heads(self)


@dataclass
class TransformerState:
    """What the decoder carries from token to token: memory and caches."""

    memory: Tensor
    memory_mask: Tensor
    caches: list[LayerCache]

    def reorder(self, rows: Int[Tensor, " B"]) -> None:
        """Let row b go on from row `rows[b]`, a hypothesis of the same sentence."""
        for cache in self.caches:
            cache.past.reorder(rows)


class Transformer(nn.Module):
    """Encoder–decoder Transformer whose output layer is its target embedding.

    Parameters: `source_embedding`, `target_embedding` (tied with the output),
    `encoder` and `decoder` (the names of `nn.Transformer`). Embeddings are drawn with
    deviation D^−½ and multiplied by √D.

    Reference: Vaswani et al. 2017; tied embeddings: Press and Wolf 2017.

    Example:
        >>> config = TransformerConfig(source_vocab=11, target_vocab=13, d_model=16)
        >>> model = Transformer(config)
        >>> model(torch.ones(2, 5).long(), torch.ones(2, 3).long()).shape
        torch.Size([2, 3, 13])
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        c = self.config = config
        self.source_embedding = nn.Embedding(c.source_vocab, c.d_model)
        self.target_embedding = nn.Embedding(c.target_vocab, c.d_model)
        self.positions = make_positions(c.positions, c.max_len, c.d_model)
        self.dropout = nn.Dropout(c.dropout)
        sizes = (c.num_layers, c.d_model, c.num_heads, c.d_ff, c.dropout)
        self.encoder = Encoder(*sizes, c.activation, c.norm_first)
        self.decoder = Decoder(*sizes, c.activation, c.norm_first)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw matrices Xavier-uniform and embeddings normal with deviation D^−½."""
        for stack in (self.encoder, self.decoder):
            for parameter in stack.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=self.config.d_model**-0.5)

    def forward(
        self, source: Int[Tensor, "B S"], target: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of the token that follows each target position.

        Args:
            source: (B, S) token numbers, padded with `pad`.
            target: (B, T) token numbers that begin with the start mark.
        """
        memory_mask = masks.not_padding(source, self.config.pad)
        return self.decode(target, self.encode(source), memory_mask)

    def encode(self, source: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        """Return the memory: one vector per source position."""
        x = self._embed(self.source_embedding, source)
        return self.encoder(x, masks.not_padding(source, self.config.pad))

    def decode(
        self,
        target: Int[Tensor, "B T"],
        memory: Float[Tensor, "B S D"],
        memory_mask: Tensor | None = None,
        *,
        causal: bool = True,
    ) -> Float[Tensor, "B T V"]:
        """Return the logits given the memory; the target's padding comes last, so the
        causal mask hides it. `causal=False` is the leak that chapter 8 shows."""
        x = self._embed(self.target_embedding, target)
        return self._logits(self.decoder(x, memory, None, memory_mask, causal=causal))

    def start(self, source: Int[Tensor, "B S"], max_len: int) -> TransformerState:
        """Read the source and make room for max_len target tokens."""
        caches = [
            LayerCache(KeyValueCache(max_len), KeyValueCache(source.shape[1]))
            for _ in self.decoder.layers
        ]
        mask = masks.not_padding(source, self.config.pad)
        return TransformerState(self.encode(source), mask, caches)

    def step(
        self, tokens: Int[Tensor, " B"], state: TransformerState
    ) -> Float[Tensor, "B V"]:
        """Append one token per sequence and return the logits of the next."""
        start = state.caches[0].past.length
        x = self._embed(self.target_embedding, tokens[:, None], start)
        x = self.decoder(
            x, state.memory, None, state.memory_mask, caches=state.caches, causal=False
        )
        return self._logits(x[:, -1])

    def _embed(self, embedding: nn.Embedding, tokens: Tensor, start: int = 0) -> Tensor:
        x = embedding(tokens) * math.sqrt(self.config.d_model)  # (B, T, D)
        return self.dropout(self.positions(x, start))

    def _logits(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.target_embedding.weight)
