"""Train on short texts, read long ones: what each kind of position code survives.

Chapter 6 runs it. One causal attention layer predicts the next letter of the text of
`tiny_lm.letters`. It is trained on windows of 64 letters and then reads 256; only the
position code differs (Press et al. 2022, arXiv:2108.12409, ask the same of large
models). What a reader may not expect: the code that is defined for every position,
the sinusoid, is no safer than the table that ends.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from attnbook.multihead import MultiHeadAttention
from attnbook.positions import (
    LearnedPositions,
    Rope,
    SinusoidalPositions,
    alibi_bias,
)
from attnbook.runtime import device, seed_everything
from attnbook.tiny_lm import ALPHABET, letters
from attnbook.training import fit

Scheme = Literal["none", "learned", "sinusoidal", "ALiBi", "RoPE"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
SHORT, LONG = 64, 256  # letters read in training, and at most


class PositionLM(nn.Module):
    """Predict the next letter with one causal attention layer and one position code.

    Args:
        scheme: one of `SCHEMES`.
        d_model: D.
        num_heads: H, a divisor of D.

    Raises:
        ValueError: an unknown scheme.

    Example:
        >>> PositionLM("ALiBi")(torch.zeros(2, 3, dtype=torch.int64)).shape
        torch.Size([2, 3, 27])
    """

    def __init__(self, scheme: Scheme, d_model: int = 32, num_heads: int = 4):
        super().__init__()
        if scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {SCHEMES}, got {scheme!r}")
        added = {"learned": LearnedPositions, "sinusoidal": SinusoidalPositions}
        self.scheme = scheme
        self.token = nn.Embedding(len(ALPHABET), d_model)
        self.add = added[scheme](LONG, d_model) if scheme in added else nn.Identity()
        self.rotate = Rope(LONG, d_model // num_heads) if scheme == "RoPE" else None
        self.norm = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, num_heads)
        self.out = nn.Sequential(
            nn.LayerNorm(d_model), nn.Linear(d_model, len(ALPHABET))
        )

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Return logits (B, T, V) for letters (B, T), T at most 256."""
        x = self.add(self.token(tokens))  # (B, T, D)
        bias = None
        if self.scheme == "ALiBi":
            heads = self.attention.num_heads
            bias = alibi_bias(heads, tokens.shape[1], device=tokens.device)
        x = x + self.attention(self.norm(x), causal=True, bias=bias, rotate=self.rotate)
        return self.out(x)  # (B, T, V)


def draw_windows(
    text: Int[Tensor, " N"], num: int, generator: torch.Generator
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Cut random windows of 257 letters; return the first 256 and the last 256."""
    start = torch.randint(len(text) - LONG - 1, (num, 1), generator=generator)
    window = text[start + torch.arange(LONG + 1)].to(device())
    return window[:, :-1], window[:, 1:]


@torch.no_grad()
def losses(
    model: PositionLM, x: Int[Tensor, "B T"], y: Int[Tensor, "B T"]
) -> Float[Tensor, " T"]:
    """Return the mean loss (nats per letter) at each position."""
    return F.cross_entropy(model(x).mT, y, reduction="none").mean(dim=0)


def train(
    scheme: Scheme, seed: int, steps: int = 400
) -> dict[str, Float[Tensor, " positions"]]:
    """Train one model on 64 letters and measure it on 256 letters of unseen text.

    Args:
        scheme: one of `SCHEMES`.
        seed: of weights and batches (16 windows each, Adam at 0.02).
        steps: number of updates.

    Returns:
        "long" (256,): loss at each position when 256 letters are read at once;
        "short" (64,): loss on the last 64 of the same letters when only these are
        read. Both are means over the same 64 windows, in nats per letter.
    """
    source, unseen = letters()
    generator = seed_everything(seed)
    model = PositionLM(scheme).to(device())

    def loss():
        x, y = draw_windows(source, 16, generator)
        return F.cross_entropy(model(x[:, :SHORT]).mT, y[:, :SHORT])

    fit(model, loss, steps=steps, lr=0.02)
    x, y = draw_windows(unseen, 64, generator.manual_seed(1))
    return {
        "long": losses(model, x, y).cpu(),
        "short": losses(model, x[:, -SHORT:], y[:, -SHORT:]).cpu(),
    }
