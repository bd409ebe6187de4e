"""Checkers of chapter 6: position.

Cases are chosen so that lucky slips show: Dh = 4 is left out where an order is its own
inverse, positions neither start at 0 nor stand in order, and T differs from S.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from attnbook.exercises import WrongAnswer, expect_equal
from attnbook.positions import alibi_slopes, offsets, rope, rope_order

AXES = "any axes may stand before (T, Dh): count from the end, x[..., 0::2]"
CLOCK_CASES = [  # shape of the positions, D, base
    ((5,), 6, 10_000.0),
    ((5,), 4, 10_000.0),
    ((6,), 6, 10_000.0),
    ((7,), 8, 300.0),
    ((1,), 10, 10_000.0),
    ((2, 3), 6, 50.0),
    ((), 2, 10_000.0),
]
ROPE_CASES = [  # leading axes, T, Dh
    ((), 5, 6),
    ((2,), 3, 8),
    ((2, 3), 4, 6),
    ((2,), 6, 6),
    ((1, 2), 1, 10),
    ((3,), 4, 2),
]
CONVERT_CASES = [(1, 6, 5), (2, 6, 7), (3, 8, 24), (2, 10, 20), (4, 2, 3), (3, 4, 12)]
BIAS_CASES = [  # K, H, T, S; T ≠ S first: with T = S a transpose is a turned sign
    (2, 2, 3, 6),
    (3, 2, 5, 5),
    (2, 3, 7, 7),
    (4, 3, 1, 9),
    (6, 1, 4, 5),
    (1, 5, 2, 2),
]


# ---- 6.1 ----------------------------------------------------------------------------


def check_sines_first(answer) -> None:
    """Compare `sines_first(positions, d_model, base)` with the code, sines first."""
    for seed, (shape, width, base) in enumerate(CLOCK_CASES):
        p = 40 * torch.rand(shape, generator=_generator(seed), dtype=torch.float64) - 9
        case = f"positions {shape}, d_model={width}, base={base:g}"
        got = _call(answer, (p, width, base), case, "positions may have any shape")
        got = got.double() if got.is_floating_point() else got
        slips = _clock_slips(p, width, base)
        right = _clock(p, _speeds(width, base))
        if width > 2:
            _refuse_growing(got, _clock(p, 1 / _speeds(width, base)), case)
        expect_equal(got, right, slips, what="the code", case=case, atol=2e-4, rtol=0)
    whole = torch.tensor([0, 3, 511, 2])
    got = _call(answer, (whole, 8), "whole positions, base not given").double()
    right, slips = _clock(whole, _speeds(8)), _clock_slips(whole, 8, 10_000.0)
    expect_equal(got, right, slips, what="the code", case="whole positions", atol=2e-3)


def _speeds(width: int, base: float = 10_000.0) -> Tensor:
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def _clock(p: Tensor, speeds: Tensor, first=torch.sin, second=torch.cos) -> Tensor:
    angles = p.double()[..., None] * speeds
    return torch.cat((first(angles), second(angles)), dim=-1)


def _clock_slips(p: Tensor, width: int, base: float) -> dict[str, Tensor]:
    """Return what the usual slips give."""
    count = torch.arange(width // 2, dtype=torch.float64)
    speeds, all_columns = _speeds(width, base), torch.arange(width).double()
    right = _clock(p, speeds)
    neighbours = right.unflatten(-1, (2, -1)).mT.flatten(-2)
    own = p.double()[..., None] * base ** (-all_columns / width)
    half = width // 2
    slips = {
        "sine and cosine stand side by side: here all sines come first": neighbours,
        "the cosines come first": _clock(p, speeds, torch.cos, torch.sin),
        "the exponent is i/D: with i = 0 … D/2 − 1 it must be 2i/D": _clock(
            p, base ** (-count / width)
        ),
        "the exponent is 2i/(D/2): twice too large, take arange(0, D, 2) / D": _clock(
            p, base ** (-4 * count / width)
        ),
        "the exponents end at 1 (as linspace or tensor2tensor's timing signal do): "
        "they are 2i/D": _clock(p, base ** (-count / max(half - 1, 1))),
        "each column has its own speed: a sine and its cosine share one": torch.cat(
            (own[..., 0::2].sin(), own[..., 1::2].cos()), -1
        ),
        "the positions are counted from 1": _clock(p + 1, speeds),
        "fractions of the positions are cut off: 2.7 is not 2": _clock(
            p.trunc(), speeds
        ),
        "the positions are rounded: 2.7 is not 3": _clock(p.round(), speeds),
        "the positions are rounded down: 2.7 is not 2": _clock(p.floor(), speeds),
        "the angles are taken as degrees": _clock(p * math.pi / 180, speeds),
        "the angles are multiplied by 2π: speeds are radians per position": _clock(
            p * 2 * math.pi, speeds
        ),
    }
    if base != 10_000.0:
        slips["base is ignored: 10,000 is only its default"] = _clock(p, _speeds(width))
    if p.dim() == 1:
        ranks = torch.arange(len(p))
        slips["the positions are ignored: these are 0, 1, 2, …"] = _clock(ranks, speeds)
        slips["the code is transposed: positions down, features across"] = right.mT
    return slips


# ---- 6.2 ----------------------------------------------------------------------------


def check_rotate_pairs(answer) -> None:
    """Compare `rotate_pairs(x, positions, style)` with RoPE in both conventions."""
    for seed, (lead, length, width) in enumerate(ROPE_CASES):
        generator = _generator(seed)
        x = torch.randn(*lead, length, width, generator=generator, dtype=torch.float64)
        p = torch.randperm(60, generator=generator)[:length] + 3
        for style in ("pairs", "half"):
            case = f'x {tuple(x.shape)}, positions {p.tolist()}, style="{style}"'
            got = _call(answer, (x, p, style), case, AXES if lead else "")
            got = got.double() if got.is_floating_point() else got
            slips = _rope_slips(x, p, style)
            right = rope(x, p, style=style)
            growing = p.double()[:, None] / _speeds(width)
            if width > 2:
                _refuse_growing(got, _turn(x, growing, style), case)
            what = f"the result ({AXES})" if lead else "the result"
            expect_equal(got, right, slips, what=what, case=case, atol=1e-4, rtol=0)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    out = answer(x, torch.tensor([1, 2, 3]), "pairs")
    if not out.requires_grad:
        raise WrongAnswer(
            "no gradient reaches x: torch.tensor(…), NumPy, .detach() or .data cut it"
        )


def _turn(x: Tensor, angles: Tensor, take: str, put: str | None = None) -> Tensor:
    """Rotate pairs taken in one convention and put back in another."""
    half = x.shape[-1] // 2
    put = take if put is None else put
    a, b = (x[..., :half], x[..., half:]) if take == "half" else _even_odd(x)
    cos, sin = angles.cos(), angles.sin()
    new = a * cos - b * sin, a * sin + b * cos
    return torch.cat(new, -1) if put == "half" else torch.stack(new, -1).flatten(-2)


def _even_odd(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 0::2], x[..., 1::2]


def _rope_slips(x: Tensor, p: Tensor, style: str) -> dict[str, Tensor]:
    """Return what the usual slips give, where their shapes allow them."""
    width, length = x.shape[-1], x.shape[-2]
    other = {"pairs": "half", "half": "pairs"}[style]
    p = p.double()[:, None]
    count, speeds = torch.arange(width // 2).double(), _speeds(width)
    angles = p * speeds
    swapped = "the style is swapped: " + (
        '"pairs" are neighbours, "half" are features i and i + Dh/2'
    )
    slips = {
        "nothing is rotated": x,
        swapped: _turn(x, angles, other),
        f'with style="{style}" the rotated pairs are put back in the other order: '
        "norms stay right, features do not": _turn(x, angles, style, other),
        f'with style="{style}" the pairs are taken in the other order': _turn(
            x, angles, other, style
        ),
        "the rotation goes backwards: a′ = a cos φ − b sin φ": _turn(x, -angles, style),
        "the exponent is i/Dh: it must be 2i/Dh": _turn(
            x, p * 10_000.0 ** (-count / width), style
        ),
        "the exponent is twice too large: it must be 2i/Dh": _turn(
            x, p * 10_000.0 ** (-4 * count / width), style
        ),
        "the positions are ignored: these are 0, 1, 2, …": _turn(
            x, torch.arange(length).double()[:, None] * speeds, style
        ),
        "the positions are counted from 1": _turn(x, (p + 1) * speeds, style),
        "a code is added: RoPE multiplies, it rotates the pairs": (
            x + _clock(p[:, 0], speeds).unflatten(-1, (2, -1)).mT.flatten(-2)
        ),
        "all pairs turn at the same speed": _turn(x, p * torch.ones(1), style),
    }
    if x.dim() > 2 and x.shape[-3] == length:
        turned = _turn(x.transpose(-2, -3), angles, style).transpose(-2, -3)
        slips["the angles follow the wrong axis: positions are axis −2"] = turned
    plus, minus = (_turn(x, s * angles, style) for s in (1, -1))
    first = torch.zeros(width, dtype=torch.bool)
    first[slice(width // 2) if style == "half" else slice(0, None, 2)] = True
    name = "a minus sign is lost: a′ = a cos φ − b sin φ, b′ = a sin φ + b cos φ"
    slips[name] = torch.where(first, minus, plus)
    name = "one minus sign too many: b′ = a sin φ + b cos φ"
    slips[name] = torch.where(first, plus, minus)
    cos, sin = angles.cos(), angles.sin()
    wide = torch.cat((cos, cos), -1), torch.cat((sin, sin), -1)
    mixed = torch.stack((-x[..., 1::2], x[..., 0::2]), -1).flatten(-2)
    if style == "pairs":
        slips[
            "cosines are laid out for halves and features for neighbours: "
            "repeat_interleave, not cat"
        ] = x * wide[0] + mixed * wide[1]
    return slips


# ---- 6.3 ----------------------------------------------------------------------------


def check_pairs_to_half(answer) -> None:
    """Compare `pairs_to_half(weight, num_heads)` with the permuted rows."""
    for seed, (heads, width, d_in) in enumerate(CONVERT_CASES):
        weight = torch.randn(
            heads * width, d_in, generator=_generator(seed), dtype=torch.float64
        )
        case = f"weight {tuple(weight.shape)}, num_heads={heads}"
        got = _call(answer, (weight, heads), case, "rows are axis 0, H·Dh of them")
        right = _permuted(weight, heads, rope_order(width, "half"))
        expect_equal(
            got, right, _convert_slips(weight, heads, width), what="the rows", case=case
        )


def _permuted(weight: Tensor, heads: int, order: Tensor) -> Tensor:
    return weight.unflatten(0, (heads, -1))[:, order].flatten(0, 1)


def _convert_slips(weight: Tensor, heads: int, width: int) -> dict[str, Tensor]:
    """Return what the usual slips give, where their shapes allow them."""
    to_half, to_pairs = rope_order(width, "half"), rope_order(width, "pairs")
    rows = len(weight)
    slips = {
        "nothing has changed": weight,
        "this is the way back, from half to pairs: for Dh = 6 the order is 0, 2, 4, "
        "1, 3, 5": _permuted(weight, heads, to_pairs),
        "the rows are sorted over all heads at once: each head keeps its own rows": (
            weight[rope_order(rows, "half")]
        ),
        "the rows are sorted over all heads at once, and the way back": (
            weight[rope_order(rows, "pairs")]
        ),
        "second members come before first ones: even rows first": _permuted(
            weight, heads, to_half.roll(width // 2)
        ),
        "the rows are read as (Dh, H): heads come first, each with Dh rows": (
            weight.unflatten(0, (width, heads))[to_half].flatten(0, 1)
        ),
    }
    columns = "the columns are sorted: they belong to the input, sort the rows"
    slips[columns] = torch.cat((weight[:, 0::2], weight[:, 1::2]), dim=1)
    if weight.shape[1] % heads == 0 and weight.shape[1] // heads % 2 == 0:
        own = rope_order(weight.shape[1] // heads, "half")
        slips[columns + ", head by head"] = _permuted(weight.mT, heads, own).mT
    if weight.shape[1] >= width:
        slips["these are the columns of one head: sort rows, keep all columns"] = (
            weight[:, to_half]
        )
    return slips


# ---- 6.4 ----------------------------------------------------------------------------


def check_offset_bias(answer) -> None:
    """Compare `offset_bias(table, num_queries, num_keys)` with the gathered bias."""
    for seed, (K, heads, num_q, num_k) in enumerate(BIAS_CASES):
        table = torch.randn(
            2 * K + 1, heads, generator=_generator(seed), dtype=torch.float64
        )
        case = f"table {tuple(table.shape)} (K={K}), T={num_q}, S={num_k}"
        beyond = "offsets beyond ±K share the row at the end, clamp them before the "
        got = _call(answer, (table, num_q, num_k), case, beyond + "shift by K")
        right = _biases(table, offsets(num_q, num_k), K)
        slips = _bias_slips(table, K, num_q, num_k)
        expect_equal(got, right, slips, what="the bias", case=case)
    table = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    out = answer(table, 3, 3)
    if not out.requires_grad:
        raise WrongAnswer(
            "no gradient reaches the table: torch.tensor(…), .item(), .detach() or "
            "NumPy cut it, and the bias could not be learned"
        )


def _biases(table: Tensor, offset: Tensor, K: int) -> Tensor:
    return table[offset.clamp(-K, K) + K].permute(2, 0, 1)


def _bias_slips(table: Tensor, K: int, num_q: int, num_k: int) -> dict[str, Tensor]:
    """Return what the usual slips give, where their shapes allow them."""
    offset = offsets(num_q, num_k)
    top_left = torch.arange(num_k) - torch.arange(num_q)[:, None]
    right = _biases(table, offset, K)
    slips = {
        "the sign is turned: the offset is key − query, row 0 is a key K before the "
        "query": _biases(table, -offset, K),
        "the queries are aligned with the first keys: they are the last T of the S "
        "positions": _biases(table, top_left, K),
        "the queries are aligned with the first keys, and the sign is turned": _biases(
            table, -top_left, K
        ),
        "the distance is used: a key before and a key after are different rows": (
            _biases(table, offset.abs(), K)
        ),
        "the offsets are not shifted by K: negative indices count from the end, "
        "without an error": table[offset.clamp(-K, K)].permute(2, 0, 1),
        "offsets beyond ±K wrap around: clamp them, they share the row at the end": (
            table[(offset + K) % len(table)].permute(2, 0, 1)
        ),
        "the offsets are clamped after the shift by K, to the wrong range": (
            table[(offset + K).clamp(0, K)].permute(2, 0, 1)
        ),
        "the heads are the last axis: attention wants (H, T, S)": right.permute(
            1, 2, 0
        ),
        "queries and keys are transposed: (H, S, T)": right.mT,
        "offsets beyond ±K get no bias: they share the row at the end": torch.where(
            offset.abs() <= K, right, torch.zeros_like(right)
        ),
    }
    return slips


# ---- 6.5 ----------------------------------------------------------------------------


def check_slopes_of(answer) -> None:
    """Compare `slopes_of(num_heads)` with the slopes of the authors' code."""
    for heads in (4, 1, 2, 8, 16, 6, 3, 5, 12, 7, 40):
        got = _call(answer, (heads,), f"{heads} heads")
        got = got.double() if got.is_floating_point() else got
        expect_equal(
            got,
            alibi_slopes(heads).double(),
            _slope_slips(heads),
            what="the slopes",
            case=f"{heads} heads",
            atol=0,
            rtol=1e-4,
        )


def _slope_slips(heads: int) -> dict[str, Tensor]:
    """Return what the usual slips give."""
    h = torch.arange(1, heads + 1, dtype=torch.float64)
    below = 2 ** (heads.bit_length() - 1)
    above = 2 * below
    low = 2 ** (-8 * torch.arange(1, below + 1, dtype=torch.float64) / below)
    high = 2 ** (-8 * torch.arange(1, above + 1, dtype=torch.float64) / above)
    right = torch.cat((low, high[0::2][: heads - below]))
    slips = {
        "h starts at 0: the first slope is 2^(−8/H), not 1": 2
        ** (-8 * (h - 1) / heads),
        "the slopes are halved from head to head: that is right for H = 8 only": 2**-h,
        "the exponent lost its minus: slopes lie between 0 and 1": 2 ** (8 * h / heads),
        "the slopes are negative: the sign belongs to the bias": -right,
        "the order is turned: head 1 has the steepest slope": right.flip(0),
        "base e instead of 2": torch.exp(-8 * h / heads),
        "the exponent is −8/h: it is −8h/H": 2 ** (-8 / h),
    }
    if heads != below:
        filled = high[0::2][: heads - below]
        slips = {
            "the formula for powers of two is used for every H: for another H take the "
            "power below, then fill up": 2 ** (-8 * h / heads),
            "these are the first slopes of the power above: take those of the power "
            "below first": high[:heads],
            "the slopes that are appended start with the second: every other one, "
            "starting with the first": torch.cat((low, high[1::2][: heads - below])),
            "the slopes that are appended are the next ones of the power above: take "
            "every other one": torch.cat((low, high[: heads - below])),
            "the slopes that are appended come from the end of the power above": (
                torch.cat((low, high[0::2].flip(0)[: heads - below]))
            ),
            "the slopes are sorted: the appended ones stay at the end": torch.cat(
                (low, filled)
            )
            .sort(descending=True)
            .values,
            "the appended slopes come first": torch.cat((filled, low)),
            **slips,
        }
    return slips


# ---- 6.6 ----------------------------------------------------------------------------


def check_sees_order(answer) -> None:
    """Compare, for models A to F, whether the answer can depend on the order."""
    right = dict(zip("ABCDEF", (False, False, True, False, True, False), strict=True))
    answer = answer() if callable(answer) else answer
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise WrongAnswer("the answer must be a dictionary with keys 'A' … 'F'")
    if all(value is None for value in answer.values()):
        raise NotImplementedError
    given = {model: _truth(model, value) for model, value in answer.items()}
    found = sum(given[model] == truth for model, truth in right.items())
    if found < len(right):  # no reasons here: one could guess to the end
        raise WrongAnswer(
            f"{found} of the 6 answers are right. Measure each model: compare "
            "model(x).mean(dim=1) with model(x[:, perm]).mean(dim=1) for a few "
            "perm = torch.randperm(6). A difference below 1e-5 is rounding"
        )


def _truth(model: str, given) -> bool:
    """Return True or False, given as Python's, NumPy's or a tensor's."""
    if isinstance(given, Tensor | np.generic) and math.prod(given.shape) == 1:
        given = given.item()
    if not isinstance(given, bool):
        raise WrongAnswer(f"model {model}: write True or False, got {given!r}")
    return given


CHECKS: dict[str, Callable] = {
    "6.1": check_sines_first,
    "6.2": check_rotate_pairs,
    "6.3": check_pairs_to_half,
    "6.4": check_offset_bias,
    "6.5": check_slopes_of,
    "6.6": check_sees_order,
}


# ---- calling an answer --------------------------------------------------------------


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _refuse_growing(got: Tensor, growing: Tensor, case: str) -> None:
    """Name a lost minus, also where float32 blurs the huge angles that it makes."""
    if got.shape == growing.shape and torch.allclose(got, growing, rtol=0, atol=0.05):
        raise WrongAnswer(f"the speeds grow: the exponent is negative ({case})")


def _call(answer, inputs: tuple, case: str, hint: str = "") -> Tensor:
    """Call the answer; check that it left its inputs alone and returned a tensor.

    An error of PyTorch is passed on with its case and a hint.
    """
    before = [x.clone() if isinstance(x, Tensor) else x for x in inputs]
    try:
        got = answer(*inputs)
    except (RuntimeError, IndexError, ValueError) as error:
        if isinstance(error, NotImplementedError) or not hint:
            raise
        raise WrongAnswer(f"{error} ({case}): {hint}") from error
    if not isinstance(got, Tensor):
        hint = ": is the return missing?" if got is None else ""
        raise WrongAnswer(
            f"expected a torch.Tensor, got {type(got).__name__}{hint} ({case})"
        )
    for given, copy in zip(inputs, before, strict=True):
        if isinstance(given, Tensor) and not torch.equal(given, copy):
            raise WrongAnswer(
                f"the function changes its input in place ({case}): build a new tensor"
            )
    return got
