"""Planted wrong answers to the exercises of chapter 6."""

import math

import numpy as np
import torch

from mistakes import Mistake

# ---- 6.1: the sinusoid, sines first -------------------------------------------------


def sines(speeds=None, first=torch.sin, second=torch.cos, scale=1.0, shift=0.0):
    """Return a code with a fault."""

    def code(positions, d_model, base=10_000.0):
        i = torch.arange(d_model // 2).double()
        right = base ** (-2 * i / d_model)
        speed = right if speeds is None else speeds(i, d_model, base)
        angles = (positions.double() + shift)[..., None] * speed * scale
        return torch.cat((first(angles), second(angles)), dim=-1)

    return code


def cut_positions(positions, d_model, base=10_000.0):
    return sines()(positions.long(), d_model, base)


def rounded_positions(positions, d_model, base=10_000.0):
    return sines()(positions.round(), d_model, base)


def by_outer(positions, d_model, base=10_000.0):
    speeds = base ** (-torch.arange(0, d_model, 2).double() / d_model)
    angles = torch.outer(positions.double(), speeds)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def growing_in_single(positions, d_model, base=10_000.0):
    angles = positions.float()[..., None] * base ** (
        torch.arange(0, d_model, 2) / d_model
    )
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def side_by_side(positions, d_model, base=10_000.0):
    code = sines()(positions, d_model, base)
    return torch.stack(code.chunk(2, -1), dim=-1).flatten(-2)


def own_speed_for_each_column(positions, d_model, base=10_000.0):
    angles = positions.double()[..., None] * base ** (-torch.arange(d_model) / d_model)
    return torch.cat((angles[..., 0::2].sin(), angles[..., 1::2].cos()), dim=-1)


def ranks_for_positions(positions, d_model, base=10_000.0):
    return sines()(torch.arange(len(positions)), d_model, base)


def sines_in_place(positions, d_model, base=10_000.0):
    code = sines()(positions, d_model, base)
    positions += 1
    return code


def sines_without_return(positions, d_model, base=10_000.0):
    sines()(positions, d_model, base)


def sines_in_a_loop(positions, d_model, base=10_000.0):
    code = torch.zeros(*positions.shape, d_model)
    for i in range(d_model // 2):
        angle = positions.float() / base ** (2 * i / d_model)
        code[..., i], code[..., d_model // 2 + i] = torch.sin(angle), torch.cos(angle)
    return code


# ---- 6.2: RoPE ----------------------------------------------------------------------


def turned(take=None, put=None, sign=1.0, exponent=2, at=lambda p: p):
    """Return a rotation with a fault."""

    def rotate(x, positions, style):
        half = x.shape[-1] // 2
        i = torch.arange(half).double()
        angles = (
            sign * at(positions)[:, None] * 10_000.0 ** (-exponent * i / (2 * half))
        )
        cos, sin = angles.cos(), angles.sin()
        source, target = (take or {}).get(style, style), (put or {}).get(style, style)
        a, b = x.chunk(2, -1) if source == "half" else (x[..., ::2], x[..., 1::2])
        new = a * cos - b * sin, a * sin + b * cos
        cat = target == "half"
        return torch.cat(new, -1) if cat else torch.stack(new, -1).flatten(-2)

    return rotate


SWAPPED = {"pairs": "half", "half": "pairs"}


def over_axis_0(x, positions, style):
    if x.dim() == 2:
        return turned()(x, positions, style)
    return turned()(x.transpose(-2, -3), positions[: x.shape[-3]], style).transpose(
        -2, -3
    )


def cosines_for_halves(x, positions, style):
    i = torch.arange(0, x.shape[-1], 2).double()
    angles = positions[:, None] * 10_000.0 ** (-i / x.shape[-1])
    cos, sin = (torch.cat((f, f), -1) for f in (angles.cos(), angles.sin()))
    a, b = x.chunk(2, -1)
    if style == "half":
        return x * cos + torch.cat((-b, a), -1) * sin
    mixed = torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)
    return x * cos + mixed * sin


def signed(first, second):
    """Return a rotation with wrong signs: a cos + first b sin, second a sin + b cos."""

    def rotate(x, positions, style):
        half = x.shape[-1] // 2
        angles = positions[:, None] * 10_000.0 ** (-torch.arange(half) / half)
        cos, sin = angles.cos(), angles.sin()
        a, b = x.chunk(2, -1) if style == "half" else (x[..., ::2], x[..., 1::2])
        new = a * cos + first * b * sin, second * a * sin + b * cos
        if style == "half":
            return torch.cat(new, -1)
        return torch.stack(new, -1).flatten(-2)

    return rotate


def grown_in_single(x, positions, style):
    half = x.shape[-1] // 2
    angles = positions[:, None] * 10_000.0 ** (torch.arange(half) / half)
    a, b = x.chunk(2, -1) if style == "half" else (x[..., ::2], x[..., 1::2])
    new = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    cat = style == "half"
    return torch.cat(new, -1) if cat else torch.stack(new, -1).flatten(-2)


def two_axes_only(x, positions, style):
    half = x.shape[-1] // 2
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    a, b = (x[:, :half], x[:, half:]) if style == "half" else (x[:, ::2], x[:, 1::2])
    new = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    if style == "half":
        return torch.cat(new, dim=1)
    return torch.stack(new, dim=2).flatten(1)


def one_speed(x, positions, style):
    return turned(exponent=0)(x, positions, style)


def code_added(x, positions, style):
    i = torch.arange(0, x.shape[-1], 2).double()
    angles = positions[:, None] * 10_000.0 ** (-i / x.shape[-1])
    return x + torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)


def rotated_without_gradient(x, positions, style):
    return turned()(x.detach(), positions, style)


def rotated_in_place(x, positions, style):
    new = turned()(x, positions, style)
    with torch.no_grad():
        x.copy_(new)
    return new


def by_complex_numbers(x, positions, style):
    if style == "half":
        pairs = torch.complex(*x.chunk(2, -1))
    else:
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    speeds = 10_000.0 ** (-torch.arange(pairs.shape[-1]).double() / pairs.shape[-1])
    pairs = pairs * torch.exp(1j * positions[:, None] * speeds)
    if style == "half":
        return torch.cat((pairs.real, pairs.imag), -1)
    return torch.view_as_real(pairs).flatten(-2)


def by_rotate_half(x, positions, style):
    i = torch.arange(0, x.shape[-1], 2).double()
    angles = positions[:, None] * 10_000.0 ** (-i / x.shape[-1])
    if style == "half":
        wide = torch.cat((angles, angles), -1)
        a, b = x.chunk(2, -1)
        return x * wide.cos() + torch.cat((-b, a), -1) * wide.sin()
    wide = angles.repeat_interleave(2, dim=-1)
    mixed = torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)
    return x * wide.cos() + mixed * wide.sin()


# ---- 6.3: the converter -------------------------------------------------------------


def way_back(weight, num_heads):
    rows = weight.unflatten(0, (num_heads, 2, -1))
    return rows.transpose(1, 2).flatten(0, 2)


def all_heads_at_once(weight, num_heads):
    return torch.cat((weight[0::2], weight[1::2]))


def columns_sorted(weight, num_heads):
    if weight.shape[1] != weight.shape[0]:
        return pairs_by_slices(weight, num_heads)
    return pairs_by_slices(weight.mT, num_heads).mT


def all_columns_sorted(weight, num_heads):
    return torch.cat((weight[:, 0::2], weight[:, 1::2]), dim=1)


def columns_by_index(weight, num_heads):
    width = len(weight) // num_heads
    return weight[:, [*range(0, width, 2), *range(1, width, 2)]]


def second_members_first(weight, num_heads):
    heads = weight.unflatten(0, (num_heads, -1))
    return torch.cat((heads[:, 1::2], heads[:, 0::2]), dim=1).flatten(0, 1)


def heads_inside(weight, num_heads):
    rows = weight.unflatten(0, (-1, num_heads))
    return torch.cat((rows[0::2], rows[1::2])).flatten(0, 1)


def converted_in_place(weight, num_heads):
    weight.copy_(pairs_by_slices(weight, num_heads))
    return weight


def pairs_by_slices(weight, num_heads):
    heads = weight.unflatten(0, (num_heads, -1))
    return torch.cat((heads[:, 0::2], heads[:, 1::2]), dim=1).flatten(0, 1)


def pairs_by_a_list(weight, num_heads):
    width = len(weight) // num_heads
    order = [*range(0, width, 2), *range(1, width, 2)]
    rows = [weight[h * width + r] for h in range(num_heads) for r in order]
    return torch.stack(rows)


# ---- 6.4: the index of a relative bias ----------------------------------------------


def gathered(offset=lambda o, K: o.clamp(-K, K) + K, axes=(2, 0, 1), top_left=False):
    """Return a bias whose index is made by `offset`."""

    def bias(table, num_queries, num_keys):
        first = 0 if top_left else num_keys - num_queries
        places = torch.arange(num_queries)[:, None] + first
        index = offset(torch.arange(num_keys) - places, len(table) // 2)
        return table[index].permute(*axes)

    return bias


def nothing_beyond(table, num_queries, num_keys):
    K = len(table) // 2
    o = torch.arange(num_keys) - torch.arange(num_queries)[:, None]
    o = o - (num_keys - num_queries)
    return gathered()(table, num_queries, num_keys) * (o.abs() <= K)


def detached_table(table, num_queries, num_keys):
    return gathered()(table.detach(), num_queries, num_keys)


def by_loops(table, num_queries, num_keys):
    K = len(table) // 2
    shift = num_keys - num_queries
    rows = [
        [table[max(-K, min(K, s - t - shift)) + K] for s in range(num_keys)]
        for t in range(num_queries)
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def by_one_hot(table, num_queries, num_keys):
    K = len(table) // 2
    keys = torch.arange(num_keys)
    index = (keys - keys[num_keys - num_queries :, None]).clamp(-K, K) + K
    hot = torch.nn.functional.one_hot(index, 2 * K + 1).to(table.dtype)
    return torch.einsum("tsr,rh->hts", hot, table)


# ---- 6.5: ALiBi ---------------------------------------------------------------------


def powers(exponent):
    """Return slopes by one formula for every number of heads."""
    return lambda H: torch.tensor([2.0 ** exponent(h, H) for h in range(1, H + 1)])


def filled(
    pick=lambda above, rest: above[0::2][:rest], order=lambda low, high: low + high
):
    """Return slopes of the power below, filled up in some way."""

    def slopes(H):
        below = 2 ** (H.bit_length() - 1)
        low = [2 ** (-8 * h / below) for h in range(1, below + 1)]
        above = [2 ** (-4 * h / below) for h in range(1, 2 * below + 1)]
        return torch.tensor(order(low, pick(above, H - below)))

    return slopes


def above_only(H):
    power = 2 ** (H - 1).bit_length()
    return torch.tensor([2 ** (-8 * h / power) for h in range(1, H + 1)])


def as_the_authors(H):
    def power_of_two(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(H).is_integer():
        return torch.tensor(power_of_two(H))
    below = 2 ** math.floor(math.log2(H))
    more = as_the_authors(2 * below).tolist()[0::2][: H - below]
    return torch.tensor(power_of_two(below) + more)


# ---- all ----------------------------------------------------------------------------


def planted(exercise, answers):
    """Make mistakes of one exercise from name → (regular expression, answer)."""
    return [
        Mistake(exercise=exercise, name=name, names_it=names_it, answer=answer)
        for name, (names_it, answer) in answers.items()
    ]


SEEN = {"A": False, "B": False, "C": True, "D": False, "E": True, "F": False}

MISTAKES = [
    *planted(
        "6.1",
        {
            "side by side": (r"all sines come first", side_by_side),
            "cosines first": (r"cosines come first", sines(None, torch.cos, torch.sin)),
            "exponent i/D": (r"must be 2i/D", sines(lambda i, D, b: b ** (-i / D))),
            "exponent 4i/D": (
                r"twice too large",
                sines(lambda i, D, b: b ** (-4 * i / D)),
            ),
            "ends at 1": (
                r"exponents end at 1",
                sines(lambda i, D, b: b ** (-i / max(D // 2 - 1, 1))),
            ),
            "own speeds": (r"share one", own_speed_for_each_column),
            "no minus": (
                r"exponent is negative",
                sines(lambda i, D, b: b ** (2 * i / D)),
            ),
            "no minus, float32": (r"exponent is negative", growing_in_single),
            "whole positions": (r"fractions .* cut off", cut_positions),
            "rounded": (r"are rounded: 2.7 is not 3", rounded_positions),
            "outer": (r"\(2, 3\).* positions may have any shape", by_outer),
            "from 1": (r"counted from 1", sines(shift=1)),
            "degrees": (r"degrees", sines(scale=math.pi / 180)),
            "turns": (r"radians per position", sines(scale=2 * math.pi)),
            "base fixed": (
                r"base is ignored",
                sines(lambda i, D, b: 10_000.0 ** (-2 * i / D)),
            ),
            "ranks": (r"positions are ignored", ranks_for_positions),
            "transposed": (
                r"transposed",
                lambda p, D, base=1e4: sines()(p, D, base).movedim(-1, 0),
            ),
            "in place": (r"in place", sines_in_place),
            "no return": (r"return missing", sines_without_return),
        },
    ),
    *planted(
        "6.2",
        {
            "not at all": (r"nothing is rotated", lambda x, positions, style: x),
            "swapped": (r"style is swapped", turned(SWAPPED, SWAPPED)),
            "put back wrongly": (r"put back", turned(put={"half": "pairs"})),
            "taken wrongly": (r"taken in the other", turned(take={"half": "pairs"})),
            "always halves": (r"style is swapped", turned(*2 * [{"pairs": "half"}])),
            "always pairs": (r"style is swapped", turned(*2 * [{"half": "pairs"}])),
            "backwards": (r"backwards", turned(sign=-1)),
            "exponent i": (r"exponent is i/Dh", turned(exponent=1)),
            "exponent 4i": (r"twice too large", turned(exponent=4)),
            "ranks": (
                r"positions are ignored",
                turned(at=lambda p: torch.arange(len(p))),
            ),
            "from 1": (r"counted from 1", turned(at=lambda p: p + 1)),
            "one speed": (r"same speed", one_speed),
            "plus": (r"a minus sign is lost", signed(1, 1)),
            "two minuses": (r"one minus sign too many", signed(-1, -1)),
            "no minus in the exponent": (r"exponent is negative", grown_in_single),
            "two axes": (r"any axes may stand before", two_axes_only),
            "added": (r"RoPE multiplies", code_added),
            "wide cosines": (r"repeat_interleave", cosines_for_halves),
            "no gradient": (r"no gradient", rotated_without_gradient),
            "in place": (r"in place", rotated_in_place),
        },
    ),
    *planted(
        "6.3",
        {
            "unchanged": (r"nothing has changed", lambda weight, num_heads: weight),
            "way back": (r"way back", way_back),
            "heads ignored": (r"each head keeps", all_heads_at_once),
            "columns": (r"belong to the input", columns_sorted),
            "all columns": (r"belong to the input", all_columns_sorted),
            "columns by index": (r"rows are axis 0", columns_by_index),
            "second first": (r"even rows first", second_members_first),
            "heads inside": (r"heads come first", heads_inside),
            "in place": (r"in place", converted_in_place),
        },
    ),
    *planted(
        "6.4",
        {
            "sign": (r"key − query", gathered(lambda o, K: (-o).clamp(-K, K) + K)),
            "top left": (r"last T of the S", gathered(top_left=True)),
            "distance": (
                r"different rows",
                gathered(lambda o, K: o.abs().clamp(max=K) + K),
            ),
            "no shift": (r"count from the end", gathered(lambda o, K: o.clamp(-K, K))),
            "no clamp": (
                r"clamp them before|wrap around",
                gathered(lambda o, K: o + K),
            ),
            "modulo": (r"wrap around", gathered(lambda o, K: (o + K) % (2 * K + 1))),
            "heads last": (r"attention wants", gathered(axes=(0, 1, 2))),
            "keys down": (r"transposed", gathered(axes=(2, 1, 0))),
            "zero beyond": (r"get no bias", nothing_beyond),
            "no gradient": (r"no gradient", detached_table),
        },
    ),
    *planted(
        "6.5",
        {
            "from 0": (r"h starts at 0", powers(lambda h, H: -8 * (h - 1) / H)),
            "halves": (r"H = 8 only", powers(lambda h, H: -h)),
            "no minus": (r"lost its minus", powers(lambda h, H: 8 * h / H)),
            "negative": (r"are negative", lambda H: -filled()(H)),
            "reversed": (r"order is turned", lambda H: filled()(H).flip(0)),
            "one formula": (r"every H", powers(lambda h, H: -8 * h / H)),
            "above only": (
                r"power below first",
                above_only,
            ),
            "second first": (
                r"starting with the first",
                filled(lambda above, rest: above[1::2][:rest]),
            ),
            "next ones": (
                r"take every other",
                filled(lambda above, rest: above[:rest]),
            ),
            "sorted": (
                r"sorted",
                filled(order=lambda low, high: sorted(low + high, reverse=True)),
            ),
            "fill first": (r"come first", filled(order=lambda low, high: high + low)),
        },
    ),
    *planted(
        "6.6",
        {
            "all of them": (r"2 of the 6", dict.fromkeys("ABCDEF", True)),
            "none of them": (r"4 of the 6", dict.fromkeys("ABCDEF", False)),
            "D believed": (r"5 of the 6", {**SEEN, "D": True}),
            "a word": (r"model B: write True or False", {**SEEN, "B": "no"}),
            "half done": (r"model F: write True or False", {**SEEN, "F": None}),
            "five models": (r"keys 'A' … 'F'", dict.fromkeys("ABCDE", True)),
        },
    ),
]

ACCEPTED = {
    "6.1": [sines(), sines_in_a_loop],
    "6.2": [turned(), by_complex_numbers, by_rotate_half],
    "6.3": [pairs_by_slices, pairs_by_a_list],
    "6.4": [gathered(), by_loops, by_one_hot],
    "6.5": [filled(), as_the_authors],
    "6.6": [SEEN, {model: np.bool_(truth) for model, truth in SEEN.items()}],
}
