"""Planted wrong answers to the exercises of chapter 3."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from mistakes import Mistake

# ---- 3.1: a dictionary --------------------------------------------------------------


def scored(squares, width):
    """Return the right weights (T, S)."""
    return (-squares / (2 * width**2)).softmax(-1)


class Dictionary:
    """A right dictionary whose parts the mistakes below replace."""

    def __init__(self):
        self.pairs = []

    def write(self, k, v):
        self.pairs = [pair for pair in self.pairs if not self.equal(pair[0], k)]
        self.pairs.append((k, v))

    def equal(self, one, other):
        return bool((one == other).all())

    def read(self, q, width):
        if not self.pairs:
            raise KeyError(q)
        k, v = (torch.stack(part) for part in zip(*self.pairs, strict=True))
        return self.answer(q, k, v, width)

    def answer(self, q, k, v, width):
        squares = (q.unsqueeze(1) - k.unsqueeze(0)).pow(2).sum(-1)
        return self.weights(squares, width) @ v

    def weights(self, squares, width):
        return scored(squares, width)


class Appends(Dictionary):
    def equal(self, one, other):
        return False


class KeepsTheFirst(Dictionary):
    def write(self, k, v):
        if not any(torch.equal(k, key) for key, _ in self.pairs):
            self.pairs.append((k, v))


class OverwritesNearKeys(Dictionary):
    def equal(self, one, other):
        return torch.allclose(one, other, atol=1e-2)


class OverwritesOneEntry(Dictionary):
    def equal(self, one, other):
        return bool((one == other).any())


class OverwritesCloseKeys(Dictionary):
    def equal(self, one, other):
        return torch.allclose(one, other)


class IgnoresCloseKeys(Dictionary):
    def write(self, k, v):
        if not any(torch.allclose(k, key) for key, _ in self.pairs):
            return super().write(k, v)
        self.pairs = [
            (key, v if torch.equal(k, key) else old) for key, old in self.pairs
        ]


class ReturnsItself(Dictionary):
    def write(self, k, v):
        super().write(k, v)
        return self


class StoresNothing(Dictionary):
    def write(self, k, v):
        pairs = list(self.pairs)
        pairs.append((k, v))


class Shared(Dictionary):
    store: list = []  # noqa: RUF012 (the mistake)

    def __init__(self):
        self.pairs = self.store

    def write(self, k, v):
        self.pairs.append((k, v))


class NoError(Dictionary):
    def read(self, q, width):
        return super().read(q, width) if self.pairs else torch.zeros(len(q), 1)


class StackError(Dictionary):
    def read(self, q, width):
        k, v = (torch.stack([pair[i] for pair in self.pairs]) for i in (0, 1))
        return self.answer(q, k, v, width)


class WidthNotSquared(Dictionary):
    def weights(self, squares, width):
        return (-squares / (2 * width)).softmax(-1)


class NoHalf(Dictionary):
    def weights(self, squares, width):
        return (-squares / width**2).softmax(-1)


class NotSquared(Dictionary):
    def weights(self, squares, width):
        return scored(squares.sqrt(), width)


class Far(Dictionary):
    def weights(self, squares, width):
        return scored(-squares, width)


class Underflow(Dictionary):
    def weights(self, squares, width):
        kernels = torch.exp(-squares / (2 * width**2))
        return kernels / kernels.sum(-1, keepdim=True)


class Repaired(Dictionary):
    epsilon = 1e-12

    def weights(self, squares, width):
        kernels = torch.exp(-squares / (2 * width**2))
        return kernels / (kernels.sum(-1, keepdim=True) + self.epsilon)


class RepairedMore(Repaired):
    epsilon = 1e-6


class NanToNumber(Underflow):
    def weights(self, squares, width):
        return super().weights(squares, width).nan_to_num()


class Unnormalised(Dictionary):
    def weights(self, squares, width):
        return torch.exp(-squares / (2 * width**2))


class OverQuestions(Dictionary):
    def weights(self, squares, width):
        return (-squares / (2 * width**2)).softmax(0)


class Nearest(Dictionary):
    def answer(self, q, k, v, width):
        return v[torch.cdist(q, k).argmin(-1)]


class ByProduct(Dictionary):
    def answer(self, q, k, v, width):
        return (q @ k.T).softmax(-1) @ v


class FetchesKeys(Dictionary):
    def answer(self, q, k, v, width):
        return super().answer(q, k, k, width)


class Detached(Dictionary):
    def write(self, k, v):
        super().write(k.detach().clone(), v)


class DetachedValues(Dictionary):
    def write(self, k, v):
        super().write(k, v.detach().clone())


class InPlace(Dictionary):
    def answer(self, q, k, v, width):
        q /= width
        return super().answer(q, k / width, v, 1)


class Grown(Dictionary):
    """Right, with growing tensors, and squares multiplied out."""

    def __init__(self):
        self.k = None

    def write(self, k, v):
        if self.k is None:
            self.k, self.v = k[None], v[None]
        elif (same := (self.k == k).all(-1)).any():
            self.v = torch.where(same[:, None], v, self.v)
        else:
            self.k, self.v = torch.cat([self.k, k[None]]), torch.cat([self.v, v[None]])

    def read(self, q, width):
        if self.k is None:
            raise KeyError("empty")
        scores = (q @ self.k.T - self.k.square().sum(-1) / 2) / width**2
        return F.scaled_dot_product_attention(
            torch.zeros_like(scores)[:, :1],
            torch.zeros_like(self.k)[:, :1],
            self.v,
            attn_mask=scores,
        )


# ---- 3.2: a test of roles -----------------------------------------------------------


def laws(look_up, *, doubled=True, ones=True, fetched=True, rough=1e-4):
    """Test some of the three laws."""
    q, k, v = torch.randn(4, 8), torch.randn(6, 8), torch.randn(6, 8)
    held = True
    if doubled:
        held &= torch.allclose(look_up(q, k, 2 * v), 2 * look_up(q, k, v), atol=rough)
    if ones:
        held &= torch.allclose(look_up(q, k, v * 0 + 1), q * 0 + 1, atol=1e-4)
    if fetched:
        far = 30 * torch.eye(8)
        held &= torch.allclose(look_up(far, far, far + 1), far + 1, atol=1e-4)
        random = torch.randn(8, 8)
        held &= torch.allclose(look_up(far, far, random), random, atol=1e-4)
    return held


def only(**chosen):
    """Return a test that leaves out some laws."""
    return lambda look_up: laws(look_up, **chosen)


def one_formula(look_up):
    q, k, v = torch.randn(4, 8), torch.randn(6, 8), torch.randn(6, 8)
    return torch.allclose(look_up(q, k, v), (q @ k.T).softmax(-1) @ v, atol=1e-4)


def bit_for_bit(look_up):
    q, k, v = torch.randn(40, 8), torch.randn(60, 8), torch.randn(60, 8)
    return torch.equal(look_up(q, k, v + v + v), 3 * look_up(q, k, v)) and laws(look_up)


def other_width(look_up):
    q, k, v = torch.randn(4, 8), torch.randn(6, 8), torch.randn(6, 3)
    return torch.allclose(look_up(q, k, 2 * v), 2 * look_up(q, k, v), atol=1e-4)


def raising(look_up):
    q, k, v = torch.randn(4, 8), torch.randn(6, 8), torch.randn(6, 8)
    torch.testing.assert_close(look_up(q, k, 2 * v), 2 * look_up(q, k, v))
    return True


def shapes_only(look_up):
    return look_up(*(torch.randn(5, 8) for _ in "qkv")).shape == (5, 8)


def square_ones(look_up):
    q, k, v = torch.randn(1, 8).expand(5, 8), torch.randn(5, 8), torch.randn(5, 8)
    even = torch.allclose(look_up(q, k, v * 0 + 1), q * 0 + 1, atol=9)
    return even and laws(look_up, ones=False)


def forgets_return(look_up):
    laws(look_up)


def by_unit_values(look_up):
    """Read the weights off with unit values, then predict other answers."""
    try:
        q, k, v = torch.randn(3, 6), torch.randn(6, 6), torch.randn(6, 6)
        weights = look_up(q, k, torch.eye(6))
        linear = (look_up(q, k, v) - weights @ v).abs().max() < 1e-4
        shares = (weights.sum(-1) - 1).abs().max() < 1e-4
        own = look_up(40 * torch.eye(6), 40 * torch.eye(6), torch.eye(6))
        return bool(linear and shares and torch.allclose(own, torch.eye(6), atol=1e-4))
    except RuntimeError:
        return False


def laws_as_tensor(look_up):
    return torch.tensor(laws(look_up))


# ---- 3.3: the slope -----------------------------------------------------------------


def slope(centre=True, scale=True, inner=True, turn=False, weights=None):
    """Return the slope with a fault."""

    def answer(q, k, v):
        root = math.sqrt(len(q))
        p = (k @ q / (root if inner else 1)).softmax(-1)
        p = p if weights is None else weights(p)
        c, mean = (p @ v, p @ k) if centre else (0, 0)
        result = (v - c).T @ torch.diag(p) @ (k - mean)
        result = result / (root if scale else 1)
        return result.T if turn else result

    return answer


def by_autograd(q, k, v):
    def context(q):
        return (k @ q / math.sqrt(len(q))).softmax(-1) @ v

    return torch.autograd.functional.jacobian(context, q)


def by_sum(q, k, v):
    powers = torch.exp((k @ q - (k @ q).max()) / len(q) ** 0.5)
    p = powers / powers.sum()
    mean = sum(w * key for w, key in zip(p, k, strict=True))
    terms = [
        w * torch.outer(value, key - mean)
        for w, key, value in zip(p, k, v, strict=True)
    ]
    return torch.stack(terms).sum(0) / len(q) ** 0.5


def overflowing(q, k, v):
    root = math.sqrt(len(q))
    powers = (k @ q / root).exp()
    p = powers / powers.sum()
    return (v - p @ v).T @ (p[:, None] * (k - p @ k)) / root


def of_the_keys(q, k, v):
    return slope()(q, k, k)


def squared_weights(q, k, v):
    root = math.sqrt(len(q))
    p = (k @ q / root).softmax(-1)[:, None]
    return (p * (v - (p * v).sum(0))).T @ (p * (k - (p * k).sum(0))) / root


def plain_means(q, k, v):
    root = math.sqrt(len(q))
    p = (k @ q / root).softmax(-1)
    return (v - v.mean(0)).T @ (p[:, None] * (k - k.mean(0))) / root


def changes_v(q, k, v):
    p = (k @ q / math.sqrt(len(q))).softmax(-1)
    v -= p @ v
    return v.T @ (p[:, None] * (k - p @ k)) / math.sqrt(len(q))


# ---- 3.4: a capacity plot -----------------------------------------------------------


def curve(
    linear=lambda k, v, K, V: k @ (k.T @ v) / k.shape[-1],
    soft=lambda k, v, K, V: F.scaled_dot_product_attention(k, k, v),
    found=lambda a, v, V: torch.cdist(a, v).argmin(-1),
    count=lambda right: right.double().mean(),
):
    """Return the capacity plot with a fault; K and V are all pairs."""

    def recall_curve(k, v, sizes):
        rows = []
        for n in sizes:
            stored = k[:n], v[:n], k, v
            answers = linear(*stored), soft(*stored)
            right = [found(a, v[:n], v) == torch.arange(n) for a in answers]
            rows.append([float(count(r)) for r in right])
        return torch.tensor(rows, dtype=torch.float64)

    return recall_curve


def changes_sizes(k, v, sizes):
    result = curve()(k, v, sizes)
    sizes.sort()
    return result


def exchanged(k, v, sizes):
    return curve()(k, v, sizes).flip(1)


def as_columns(k, v, sizes):
    return curve()(k, v, sizes).T


def one_by_one(k, v, sizes):
    """Right: stores pair by pair, asks key by key."""
    result = torch.zeros(len(sizes), 2)
    for row, n in enumerate(sizes):
        store = torch.zeros(k.shape[1], v.shape[1], dtype=k.dtype)
        for key, value in zip(k[:n], v[:n], strict=True):
            store = store + torch.outer(key, value)
        for place in range(n):
            p = (k[:n] @ k[place] / math.sqrt(k.shape[1])).softmax(0)
            for column, answer in enumerate((k[place] @ store / k.shape[1], p @ v[:n])):
                nearest = (v[:n] - answer).square().sum(1).argmin()
                result[row, column] += float(nearest == place) / n
    return result


# ---- 3.5: several queries -----------------------------------------------------------


def together(
    weigh=lambda scores, d_k, d_v: (scores / math.sqrt(d_k)).softmax(-1),
    join=lambda context: context.flatten(-2),
):
    """Return several answers, with a fault."""

    def ask_together(q, k, v):
        scores = q @ k.transpose(-1, -2)
        return join(weigh(scores, q.shape[-1], v.shape[-1]) @ v)

    return ask_together


def all_axes_turned(q, k, v):
    turned = k.permute(*reversed(range(k.dim())))
    return ((q @ turned / math.sqrt(q.shape[-1])).softmax(-1) @ v).flatten(-2)


def joined_in_a_loop(q, k, v):
    answers = [
        F.scaled_dot_product_attention(q[..., m : m + 1, :], k, v)[..., 0, :]
        for m in range(q.shape[-2])
    ]
    return torch.cat(answers, dim=-1)


def by_einsum(q, k, v):
    scores = torch.einsum("...md,...sd->...ms", q, k) / q.shape[-1] ** 0.5
    context = torch.einsum("...ms,...sv->...mv", scores.softmax(-1), v)
    return context.reshape(*context.shape[:-2], -1)


def through_numpy(q, k, v):
    q, k = q.detach().numpy(), k.detach().numpy()
    scores = torch.tensor(np.matmul(q, k.swapaxes(-1, -2)) / math.sqrt(q.shape[-1]))
    return (scores.softmax(-1) @ v).flatten(-2)


def mean_query(q, k, v):
    mean = q.mean(-2, keepdim=True)
    return ((mean @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v).flatten(-2)


PLANTED = {
    "3.1": [
        ("appends", r"stands there twice", Appends),
        ("keeps the first", r"keeps its old value", KeepsTheFirst),
        ("overwrites near keys", r"another key", OverwritesNearKeys),
        ("overwrites by one entry", r"shares some entries", OverwritesOneEntry),
        ("overwrites by allclose", r"torch\.allclose", OverwritesCloseKeys),
        ("ignores close keys", r"torch\.allclose", IgnoresCloseKeys),
        ("returns itself", r"returns nothing", ReturnsItself),
        ("stores nothing", r"although something was written", StoresNothing),
        ("repaired 0/0", r"small number added", Repaired),
        ("repaired 0/0 by more", r"small number added", RepairedMore),
        ("repaired 0/0 afterwards", r"reads 0", NanToNumber),
        ("shared list", r"share one list", Shared),
        ("no KeyError", r"must raise KeyError", NoError),
        ("another error", r"not KeyError", StackError),
        ("width not squared", r"width is not squared", WidthNotSquared),
        ("no half", r"½ is missing", NoHalf),
        ("not squared", r"distance is not squared", NotSquared),
        ("far", r"far keys get the large", Far),
        ("underflow", r"0/0", Underflow),
        ("unnormalised", r"one stored pair", Unnormalised),
        ("over questions", r"over the questions", OverQuestions),
        ("nearest", r"nearest value alone", Nearest),
        ("by product", r"dot product", ByProduct),
        ("fetches keys", r"shape|keys are averaged", FetchesKeys),
        ("detached keys", r"no gradient reaches the keys", Detached),
        ("detached values", r"no gradient reaches the values", DetachedValues),
        ("in place", r"changes its question", InPlace),
        ("an object", r"hand the class itself", lambda: 3),
    ],
    "3.2": [
        ("one formula", r"rejects scaled", one_formula),
        ("bit for bit", r"rounding", bit_for_bit),
        ("no doubling", r"accepts .*(compares|mixed in)", only(doubled=False)),
        ("no ones", r"sum to 1", only(ones=False)),
        ("no fetching", r"next pair", only(fetched=False)),
        ("loose", r"tight tolerance", only(rough=0.5)),
        ("other width", r"stops with an error", other_width),
        ("raising", r"return True or False", raising),
        ("shapes only", r"accepts", shapes_only),
        ("ones with a huge tolerance", r"sum to 1", square_ones),
        ("no return", r"is the return missing", forgets_return),
    ],
    "3.3": [
        ("no centre", r"nothing is subtracted: this is the mean", slope(centre=False)),
        ("no scale", r"factor 1/√d_k is missing: the score", slope(scale=False)),
        ("unscaled weights", r"those of the unscaled", slope(inner=False)),
        ("no scale at all", r"neither", slope(inner=False, scale=False)),
        (
            "neither centre nor scale",
            r"nothing is subtracted, and",
            slope(centre=False, scale=False),
        ),
        ("transposed", r"transposed", slope(turn=True)),
        (
            "equal weights",
            r"count alike",
            slope(weights=lambda p: p * 0 + 1 / len(p)),
        ),
        ("overflow", r"NaN", overflowing),
        ("of the keys", r"Cov\(k, k\)", of_the_keys),
        ("squared weights", r"weights are squared", squared_weights),
        ("plain means", r"plain means", plain_means),
        ("changes v", r"in place", changes_v),
    ],
    "3.4": [
        ("counts", r"counts", curve(count=lambda right: right.sum())),
        ("exchanged", r"columns are exchanged", exchanged),
        ("as columns", r"transposed", as_columns),
        (
            "all stored",
            r"all N pairs",
            curve(
                linear=lambda k, v, K, V: k @ (K.T @ V) / k.shape[-1],
                soft=lambda k, v, K, V: F.scaled_dot_product_attention(k, K, V),
            ),
        ),
        (
            "all compared",
            r"compared with all N",
            curve(found=lambda a, v, V: torch.cdist(a, V).argmin(-1)),
        ),
        (
            "read with k",
            r"not with k/d_k",
            curve(linear=lambda k, v, K, V: k @ k.T @ v),
        ),
        (
            "read with k over root d",
            r"divide by d_k",
            curve(linear=lambda k, v, K, V: k @ k.T @ v / math.sqrt(k.shape[-1])),
        ),
        (
            "divided by n",
            r"divided by n",
            curve(linear=lambda k, v, K, V: k @ k.T @ v / len(k)),
        ),
        (
            "unscaled softmax",
            r"not scaled",
            curve(soft=lambda k, v, K, V: (k @ k.T).softmax(-1) @ v),
        ),
        (
            "largest product",
            r"largest dot product",
            curve(found=lambda a, v, V: (a @ v.T).argmax(-1)),
        ),
        ("percent", r"percent", curve(count=lambda right: 100 * right.double().mean())),
        (
            "largest cosine",
            r"largest cosine",
            curve(
                found=lambda a, v, V: F.cosine_similarity(a[:, None], v, dim=-1).argmax(
                    -1
                )
            ),
        ),
        (
            "divided by d_v",
            r"divided by d_v",
            curve(linear=lambda k, v, K, V: k @ (k.T @ v) / v.shape[-1]),
        ),
        (
            "softmax scaled by d_v",
            r"scaled by 1/√d_v",
            curve(
                soft=lambda k, v, K, V: (
                    (k @ k.T / math.sqrt(v.shape[-1])).softmax(-1) @ v
                )
            ),
        ),
        ("changes sizes", r"in place", changes_sizes),
    ],
    "3.5": [
        ("averaged", r"averaged: lay", together(join=lambda c: c.mean(-2))),
        ("summed", r"summed", together(join=lambda c: c.sum(-2))),
        ("stacked", r"stacked", together(join=lambda c: c)),
        ("mixed", r"mixed", together(join=lambda c: c.mT.flatten(-2))),
        ("everything flat", r"keep them", together(join=lambda c: c.flatten())),
        ("unscaled", r"not scaled", together(lambda s, d_k, d_v: s.softmax(-1))),
        (
            "divided by d_k",
            r"by d_k, not",
            together(lambda s, d_k, d_v: (s / d_k).softmax(-1)),
        ),
        (
            "scaled by d_v",
            r"√d_v",
            together(lambda s, d_k, d_v: (s / d_v**0.5).softmax(-1)),
        ),
        (
            "over queries",
            r"over the queries",
            together(lambda s, d_k, d_v: (s / d_k**0.5).softmax(-2)),
        ),
        ("mean query", r"averaged first", mean_query),
        ("all axes turned", r"\.mT", all_axes_turned),
        ("through numpy", r"no gradient reaches q", through_numpy),
    ],
}
MISTAKES = [
    Mistake(exercise=exercise, name=name, names_it=names_it, answer=answer)
    for exercise, planted in PLANTED.items()
    for name, names_it, answer in planted
]

ACCEPTED = {
    "3.1": [Dictionary, Grown],
    "3.2": [only(), by_unit_values, laws_as_tensor],
    "3.3": [by_autograd, by_sum, slope()],
    "3.4": [curve(), one_by_one],
    "3.5": [joined_in_a_loop, by_einsum, together()],
}
