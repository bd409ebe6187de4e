"""Positions: how a model that sees a set learns where each token stands.

Chapter 6 builds all of them. Added to the input: `sinusoidal` (Vaswani et al. 2017,
section 3.5) and `LearnedPositions`. Added to the scores: `RelativeBias` (T5, Raffel
et al. 2020) and `alibi_bias` (Press et al. 2022). Rotating queries and keys: `rope`
(Su et al. 2021). On a grid: `sine_2d` (DETR, Carion et al. 2020).

What a reader may not expect: RoPE exists in two pair conventions whose weights are
not interchangeable; `rope_order` converts them.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Style = Literal["half", "pairs"]


def sinusoidal(
    length: int, d_model: int, base: float = 10_000.0
) -> Float[Tensor, "T D"]:
    """Tabulate sines and cosines of the position at D/2 frequencies.

    PE[p, 2i] = sin(p / base^(2i/D)), PE[p, 2i+1] = cos(the same angle).

    Args:
        length: T, number of positions from 0.
        d_model: D, even.
        base: the longest wave is 2π·base positions long.

    Returns:
        (T, D) in float32, computed in float64.

    Raises:
        ValueError: an odd D.

    Reference: Vaswani et al. 2017, section 3.5. Differs: tensor2tensor puts all sines
    before all cosines, and spreads its frequencies up to exactly 1/base.

    Example:
        >>> sinusoidal(2, 2)
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])
    """
    positions = torch.arange(length, dtype=torch.float64)
    angles = positions[:, None] * _frequencies(d_model, base)  # (T, D/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).float()


def _frequencies(width: int, base: float) -> Tensor:
    """Return base^(−2i/width) for i = 0 … width/2 − 1, in float64."""
    if width < 2 or width % 2:
        raise ValueError(f"sines and cosines come in pairs: width {width} is not even")
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


class SinusoidalPositions(nn.Module):
    """Add the sinusoidal code to the input; nothing is learned.

    Args:
        max_len: longest sequence.
        d_model: D, even.

    Example:
        >>> SinusoidalPositions(5, 2)(torch.zeros(1, 1, 2))
        tensor([[[0., 1.]]])
    """

    def __init__(self, max_len: int, d_model: int):
        super().__init__()
        self.register_buffer("table", sinusoidal(max_len, d_model), persistent=False)

    def forward(
        self, x: Float[Tensor, "*B T D"], start: int = 0
    ) -> Float[Tensor, "*B T D"]:
        """Return x plus the code of positions start … start + T − 1.

        Raises:
            ValueError: a position beyond max_len.
        """
        return x + _rows(self.table, start, x.shape[-2])


class LearnedPositions(nn.Module):
    """Add one learned vector per position.

    Args:
        max_len: longest sequence; a later position has no vector.
        d_model: D.

    Parameters: `weight` (max_len, D), normal with deviation 0.02 as in BERT and GPT-2.

    Example:
        >>> LearnedPositions(5, 3)(torch.zeros(2, 4, 3)).shape
        torch.Size([2, 4, 3])
    """

    def __init__(self, max_len: int, d_model: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_len, d_model))
        nn.init.normal_(self.weight, std=0.02)

    def forward(
        self, x: Float[Tensor, "*B T D"], start: int = 0
    ) -> Float[Tensor, "*B T D"]:
        """Return x plus the vectors of positions start … start + T − 1.

        Raises:
            ValueError: a position beyond max_len.
        """
        return x + _rows(self.weight, start, x.shape[-2])


def _rows(table: Tensor, start: int, length: int) -> Tensor:
    """Return the rows of the positions start … start + length − 1."""
    if start < 0 or start + length > len(table):
        raise ValueError(
            f"positions {start} … {start + length - 1} do not fit into "
            f"max_len = {len(table)}"
        )
    return table[start : start + length]


def offsets(
    num_queries: int, num_keys: int | None = None, device=None
) -> Int[Tensor, "T S"]:
    """Return the offset s − t of every pair, queries being the last T of S positions.

    Raises:
        ValueError: more queries than keys.

    Example:
        >>> offsets(2, 3).tolist()
        [[-1, 0, 1], [-2, -1, 0]]
    """
    num_keys = num_queries if num_keys is None else num_keys
    if num_queries > num_keys:
        raise ValueError(
            f"{num_queries} queries cannot be the last of {num_keys} positions"
        )
    keys = torch.arange(num_keys, device=device)
    return keys - keys[num_keys - num_queries :, None]


def relative_bucket(
    offset: Int[Tensor, "T S"],
    num_buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Int[Tensor, "T S"]:
    """Sort offsets into buckets: one per near distance, then logarithmic ones.

    Args:
        offset: s − t, key position minus query position.
        num_buckets: how many buckets there are in all.
        max_distance: from this distance on everything falls into the last bucket.
        bidirectional: give half of the buckets to keys after the query; otherwise
            keys after the query share bucket 0.

    Returns:
        Bucket numbers from 0 to num_buckets − 1.

    Raises:
        ValueError: too few buckets for the distance.

    Reference: Raffel et al. 2020 (arXiv:1910.10683), section 2.1; same numbers as
    `_relative_position_bucket` of Mesh TensorFlow and transformers.

    Example:
        >>> relative_bucket(torch.tensor([[-1, 0, 1, 200]])).tolist()
        [[1, 0, 17, 31]]
    """
    near = num_buckets // (4 if bidirectional else 2)
    if near < 1 or max_distance <= near:
        raise ValueError(
            f"num_buckets = {num_buckets} needs max_distance > {near}, "
            f"got {max_distance}"
        )
    first = torch.zeros_like(offset)
    if bidirectional:
        num_buckets //= 2
        first = (offset > 0).long() * num_buckets
        distance = offset.abs()
    else:
        distance = (-offset).clamp(min=0)
    growth = torch.log(distance.clamp(min=1).float() / near)
    far = near + (growth / math.log(max_distance / near) * (num_buckets - near)).long()
    return first + torch.where(
        distance < near, distance, far.clamp(max=num_buckets - 1)
    )


class RelativeBias(nn.Module):
    """Learn one bias per head and bucket of distance, added to the scores.

    Args:
        num_heads: H.
        num_buckets: buckets of `relative_bucket`.
        max_distance: distance from which all share the last bucket.
        bidirectional: see `relative_bucket`.

    Parameters: `weight` (num_buckets, H), zero at the start. Differs: T5 draws it, and
    leaves out the scale 1/√Dh, which `MultiHeadAttention` keeps.

    Example:
        >>> RelativeBias(2)(3, 5).shape
        torch.Size([2, 3, 5])
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_buckets, num_heads))
        self.max_distance = max_distance
        self.bidirectional = bidirectional

    def forward(
        self, num_queries: int, num_keys: int | None = None
    ) -> Float[Tensor, "H T S"]:
        """Return the bias of the last T queries on S keys (S = T unless given)."""
        offset = offsets(num_queries, num_keys, self.weight.device)
        bucket = relative_bucket(
            offset, len(self.weight), self.max_distance, self.bidirectional
        )
        return self.weight[bucket].permute(2, 0, 1)


def alibi_slopes(num_heads: int) -> Float[Tensor, " H"]:
    """Return the slope of each head: 2^(−8h/H) for h = 1 … H.

    For an H that is no power of two, the slopes of the power below, then every other
    slope of the power above, as the authors' code does.

    Raises:
        ValueError: H < 1.

    Reference: Press et al. 2022 (arXiv:2108.12409), section 3.

    Example:
        >>> alibi_slopes(2).tolist()
        [0.0625, 0.00390625]
    """
    if num_heads < 1:
        raise ValueError(f"num_heads must be ≥ 1, got {num_heads}")
    below = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * h / below) for h in range(1, below + 1)]
    between = [2 ** (-4 * h / below) for h in range(1, 2 * below + 1, 2)]
    return torch.tensor(slopes + between[: num_heads - below])


def alibi_bias(
    num_heads: int, num_queries: int, num_keys: int | None = None, device=None
) -> Float[Tensor, "H T S"]:
    """Return −slope · |s − t|: a penalty that grows with the distance.

    Differs: the paper is causal and writes slope · (s − t); on the keys that a causal
    mask allows the two are equal, and this one serves encoders too.

    Example:
        >>> alibi_bias(1, 2).tolist()
        [[[-0.0, -0.00390625], [-0.00390625, -0.0]]]
    """
    distance = offsets(num_queries, num_keys, device).abs()
    return -alibi_slopes(num_heads).to(device)[:, None, None] * distance


def rope(
    x: Float[Tensor, "*B T Dh"],
    positions: Int[Tensor, " T"] | None = None,
    base: float = 10_000.0,
    style: Style = "half",
) -> Float[Tensor, "*B T Dh"]:
    """Rotate each pair of features by its position times the pair's frequency.

    (a, b) → (a cos φ − b sin φ, a sin φ + b cos φ), φ = p · base^(−2i/Dh).

    Args:
        x: queries or keys of each head (…, T, Dh), Dh even.
        positions: p of each of the T vectors; 0 … T − 1 unless given.
        base: see `sinusoidal`.
        style: pair i is features (i, i + Dh/2) in "half" (Llama in `transformers`) and
            (2i, 2i + 1) in "pairs" (RoFormer, GPT-J, Meta's own Llama code).

    Returns:
        (…, T, Dh), of the same norms; q·k then depends on the offset only.

    Raises:
        ValueError: an odd Dh, or an unknown style.

    Reference: Su et al. 2021 (arXiv:2104.09864), equation 34.

    Example:
        >>> rope(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        tensor([[1.0000, 0.0000],
                [0.5403, 0.8415]])
    """
    if positions is None:
        positions = torch.arange(x.shape[-2], device=x.device)
    frequencies = _frequencies(x.shape[-1], base).to(x.device)
    angles = positions[:, None] * frequencies  # (T, Dh/2)
    return rotate(x, angles.cos().to(x.dtype), angles.sin().to(x.dtype), style)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, style: Style) -> Tensor:
    """Rotate the pairs of x (…, T, Dh) by angles given by cos and sin (T, Dh/2).

    Raises:
        ValueError: an unknown style.
    """
    _require_style("style", style)
    if style == "half":
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def _require_style(name: str, style: str) -> None:
    if style not in ("half", "pairs"):
        raise ValueError(f"{name} must be 'half' or 'pairs', got {style!r}")


def rope_order(d_head: int, to: Style) -> Int[Tensor, " Dh"]:
    """Return the order of features that turns one pair convention into the other.

    With `i = rope_order(Dh, "half")`, rope(x, "pairs")[…, i] = rope(x[…, i], "half").
    Apply it to the rows of W_q and W_k, head by head, and a model trained with one
    convention runs in the other: q·k does not notice.

    Args:
        d_head: Dh, even.
        to: the convention wanted; the features are in the other one.

    Returns:
        (Dh,) indices.

    Raises:
        ValueError: an odd Dh, or an unknown style.

    Example:
        >>> rope_order(6, to="half").tolist(), rope_order(6, to="pairs").tolist()
        ([0, 2, 4, 1, 3, 5], [0, 3, 1, 4, 2, 5])
    """
    if d_head % 2:
        raise ValueError(f"RoPE rotates pairs: d_head = {d_head} is not even")
    _require_style("to", to)
    pairs = torch.arange(d_head).view((-1, 2) if to == "half" else (2, -1))
    return pairs.T.flatten()


class Rope(nn.Module):
    """Apply `rope` from a table, for use as `rotate=` of `MultiHeadAttention`.

    Args:
        max_len: longest sequence.
        d_head: Dh, even.
        base: see `sinusoidal`.
        style: see `rope`.

    Raises:
        ValueError: an odd Dh, or an unknown style.

    Example:
        >>> x = torch.ones(1, 2, 3, 4)
        >>> bool(torch.allclose(Rope(9, 4)(x, start=0), rope(x)))
        True
    """

    def __init__(
        self, max_len: int, d_head: int, base: float = 10_000.0, style: Style = "half"
    ):
        super().__init__()
        _require_style("style", style)
        positions = torch.arange(max_len, dtype=torch.float64)
        angles = positions[:, None] * _frequencies(d_head, base)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)
        self.style = style

    def forward(
        self, x: Float[Tensor, "*B T Dh"], start: int = 0
    ) -> Float[Tensor, "*B T Dh"]:
        """Rotate the vectors of positions start … start + T − 1.

        Raises:
            ValueError: a position beyond max_len.
        """
        cos = _rows(self.cos, start, x.shape[-2]).to(x.dtype)
        sin = _rows(self.sin, start, x.shape[-2]).to(x.dtype)
        return rotate(x, cos, sin, self.style)


def sine_2d(
    valid: Bool[Tensor, "B Y X"], d_model: int, base: float = 10_000.0
) -> Float[Tensor, "B D Y X"]:
    """Encode row and column of each cell of a padded image.

    Rows and columns are counted over valid cells, scaled to (0, 2π], and encoded each
    by D/2 sines and cosines; channels are [row code | column code].

    Args:
        valid: True where the image is, False where it is padding. Differs: DETR's
            mask is the opposite, True = padding.
        d_model: D, divisible by 4.
        base: see `sinusoidal`.

    Returns:
        (B, D, Y, X) in float32; padding does not change the code of valid cells.

    Raises:
        ValueError: D is not divisible by 4.

    Reference: Carion et al. 2020 (arXiv:2005.12872), `PositionEmbeddingSine` with
    normalize=True.

    Example:
        >>> sine_2d(torch.ones(1, 3, 5, dtype=torch.bool), 8).shape
        torch.Size([1, 8, 3, 5])
    """
    if d_model < 4 or d_model % 4:
        raise ValueError(f"d_model = {d_model} is not divisible by 4")
    frequencies = _frequencies(d_model // 2, base).to(valid.device)
    codes = []
    for axis in (1, 2):
        count = valid.cumsum(axis, dtype=torch.float64)  # (B, Y, X)
        last = count.select(axis, -1).unsqueeze(axis)
        place = count / (last + 1e-6) * 2 * math.pi
        angles = place.unsqueeze(-1) * frequencies  # (B, Y, X, D/4)
        codes.append(torch.stack((angles.sin(), angles.cos()), -1).flatten(-2))
    return torch.cat(codes, dim=-1).permute(0, 3, 1, 2).float()
