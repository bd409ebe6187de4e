"""Checkers of chapter 3: key–value attention.

Look-ups that exercise 3.2 hands to the reader's test stand at the end: each wrong one
keeps some law that a look-up has to keep, and breaks another.
"""

import math
import re

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attnbook.exercises import WrongAnswer, expect_equal

SLOPE_CASES = [(5, 3, 2), (4, 3, 3), (7, 2, 5), (1, 4, 3), (6, 1, 1)]  # S, d_k, d_v
TOGETHER_CASES = [  # leading axes, M, S, d_k, d_v
    ((), 3, 5, 4, 2),
    ((), 3, 3, 4, 4),
    ((2,), 3, 7, 2, 5),
    ((1,), 4, 6, 3, 3),
    ((2, 3), 2, 4, 5, 3),
    ((2,), 1, 5, 3, 4),
]
CURVE_CASES = [  # N, d_k, d_v, sizes
    (96, 12, 5, [3, 12, 24, 48, 96]),
    (60, 6, 9, [60, 30, 2]),
    (40, 9, 9, [1, 40, 7, 20]),
]


def check_soft_dictionary(answer) -> None:
    """Write to and read from the reader's class `SoftDictionary`."""
    _check_empty(answer)
    _check_one_pair(answer)
    _check_far_question(answer)
    for seed, (num, d_k, d_v, num_q, width) in enumerate(
        [(5, 3, 2, 4, 1.0), (4, 2, 2, 4, 0.5), (7, 1, 3, 1, 2.0), (6, 4, 4, 2, 3.0)]
    ):
        draw = _draws(seed)
        k, v, q = draw(num, d_k), draw(num, d_v), draw(num_q, d_k)
        case = f"{num} pairs, d_k={d_k}, d_v={d_v}, q {tuple(q.shape)}, width {width}"
        expect_equal(
            _read(_filled(answer, k, v), q, width, case),
            _nearness(q, k, width) @ v,
            _dictionary_slips(q, k, v, width),
            what="what is read",
            case=case,
        )
    _check_overwriting(answer)
    _check_other_keys(answer)
    _check_dictionary_gradients(answer)


def check_keeps_roles(answer) -> None:
    """Hand right and wrong look-ups to the reader's `keeps_roles(look_up)`."""
    for name, look_up in RIGHT_LOOK_UPS.items():
        for seed in range(4):
            if _verdict(answer, look_up, name, seed):
                continue
            raise WrongAnswer(
                f"your test rejects {name}, which is right: test laws that every score "
                "keeps, not one formula, and allow for rounding"
            )
    for name, (look_up, lazy) in WRONG_LOOK_UPS.items():
        for seed in range(4):
            if not _verdict(answer, look_up, name, seed):
                continue
            raise WrongAnswer(f"your test accepts {name}, which is wrong: {lazy}")


def check_slope(answer) -> None:
    """Compare `slope(q, k, v)` with the derivative that autograd finds."""
    for seed, (num, d_k, d_v) in enumerate(SLOPE_CASES):
        draw = _draws(seed)
        q, k, v = draw(d_k), draw(num, d_k), draw(num, d_v)
        case = f"S={num}, d_k={d_k}, d_v={d_v}"
        got = _untouched(answer, (q, k, v), case, SLOPE_SHAPES)
        expect_equal(
            got, _slope(q, k, v), _slope_slips(q, k, v), what="the slope", case=case
        )
    draw = _draws(20)
    q, k, v = 400 * draw(3), 5 * draw(4, 3), draw(4, 2)
    got = _untouched(answer, (q, k, v), "large scores", SLOPE_SHAPES)
    if got.isnan().any():
        raise WrongAnswer(
            "there is NaN where scores are large: exp overflows. Use softmax, which "
            "subtracts the maximum"
        )
    expect_equal(got, _slope(q, k, v), what="the slope, with large scores")


def check_recall_curve(answer) -> None:
    """Compare `recall_curve(k, v, sizes)` with the shares recalled by two stores."""
    for seed, (num, d_k, d_v, sizes) in enumerate(CURVE_CASES):
        draw = _draws(31 + seed)
        k, v = draw(num, d_k), draw(num, d_v)
        case = f"k {tuple(k.shape)}, v {tuple(v.shape)}, sizes {sizes}"
        got = _untouched(answer, (k, v, list(sizes)), case, CURVE_SHAPES)
        expect_equal(
            got.double(),
            _curve(k, v, sizes),
            _curve_slips(k, v, sizes),
            what="the shares (linear store, softmax)",
            case=case,
            atol=1e-6,
        )


def check_ask_together(answer) -> None:
    """Compare `ask_together(q, k, v)` with M answers side by side."""
    for seed, (lead, num_q, num_k, d_k, d_v) in enumerate(TOGETHER_CASES):
        draw = _draws(50 + seed)
        q, k = draw(*lead, num_q, d_k), draw(*lead, num_k, d_k)
        v = draw(*lead, num_k, d_v)
        case = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        got = _untouched(answer, (q, k, v), case, TOGETHER_SHAPES)
        expect_equal(
            got,
            _scaled(q, k).matmul(v).flatten(-2),
            _together_slips(q, k, v),
            what="the answers",
            case=case,
        )
    leaves = [_draws(60 + i)(4, 3).requires_grad_() for i in range(3)]
    got = answer(*leaves)
    if got.requires_grad:
        got.square().sum().backward()
    for name, leaf in zip("qkv", leaves, strict=True):
        if leaf.grad is None or not leaf.grad.abs().sum() > 0:
            raise WrongAnswer(
                f"no gradient reaches {name}: a detour through NumPy, torch.tensor(…) "
                "or .detach() cuts autograd"
            )


CHECKS = {
    "3.1": check_soft_dictionary,
    "3.2": check_keeps_roles,
    "3.3": check_slope,
    "3.4": check_recall_curve,
    "3.5": check_ask_together,
}


# ---- 3.1: a dictionary --------------------------------------------------------------


def _check_empty(answer) -> None:
    """Reading an empty dictionary must raise KeyError."""
    dictionary = answer()
    _require_methods(dictionary)
    try:
        dictionary.read(torch.zeros(2, 3, dtype=torch.float64), 1.0)
    except KeyError:
        return
    except NotImplementedError:
        raise
    except Exception as error:
        raise WrongAnswer(
            "reading an empty dictionary raises "
            f"{type(error).__name__}, not KeyError: with no pair there is no answer"
        ) from None
    raise WrongAnswer(
        "reading an empty dictionary must raise KeyError: with no pair there is no "
        "answer"
    )


def _require_methods(dictionary) -> None:
    for method in ("write", "read"):
        if not callable(getattr(dictionary, method, None)):
            raise WrongAnswer(
                f"the object has no method `{method}`: hand the class itself to check, "
                "with the methods write and read"
            )


def _check_one_pair(answer) -> None:
    """One pair: whatever is asked, its value is read; and objects share nothing."""
    draw = _draws(70)
    first, second = answer(), answer()
    k, v, q = draw(2, 2), draw(2, 3), draw(4, 2)
    _write(first, k[0], v[0])
    _write(second, k[1], v[1])
    scores = -(q[:, None] - k[1:]).square().sum(-1) / 2
    expect_equal(
        _read(second, q, 1.0, "one pair"),
        v[1].expand(4, 3),
        {
            "two dictionaries share one list: make the lists in __init__, with self.": (
                _nearness(q, k, 1.0) @ v
            ),
            "the softmax runs over the questions, not over the keys": (
                scores.softmax(0) @ v[1:]
            ),
            "the weights do not sum to 1: with one stored pair every question must "
            "read its value": scores.exp() @ v[1:],
        },
        what="what is read",
        case="one stored pair, 4 questions",
        rtol=1e-3,  # a small number added to 0/0 is named by the far question
    )


def _filled(answer, k: Tensor, v: Tensor):
    """Return a dictionary with all pairs written."""
    dictionary = answer()
    for key, value in zip(k, v, strict=True):
        _write(dictionary, key, value)
    return dictionary


def _write(dictionary, k: Tensor, v: Tensor) -> None:
    before = k.detach().clone(), v.detach().clone()
    returned = dictionary.write(k, v)
    if returned is not None:
        raise WrongAnswer(
            f"write returns a {type(returned).__name__}: it stores one pair and "
            "returns nothing"
        )
    if not (torch.equal(k, before[0]) and torch.equal(v, before[1])):
        raise WrongAnswer("write changes the key or the value that it is given")


def _read(dictionary, q: Tensor, width: float, case: str):
    """Read, name errors of shape, and check that q is left alone."""
    before = q.detach().clone()
    try:
        got = dictionary.read(q, width)
    except KeyError:
        raise WrongAnswer(
            f"read raises KeyError although something was written ({case}): does write "
            "store the pair in the object, with self.?"
        ) from None
    except RuntimeError as error:
        if isinstance(error, NotImplementedError) or not _is_misfit(error):
            raise
        raise WrongAnswer(
            f"{DICTIONARY_SHAPES} ({case}). PyTorch says: {_first_line(error)}"
        ) from None
    if not torch.equal(q, before):
        raise WrongAnswer("read changes its question in place")
    return got


def _check_overwriting(answer) -> None:
    """A key that is there already gets the new value, and only that key."""
    draw = _draws(71)
    k, v, new, q = draw(4, 3), draw(4, 2), draw(2), draw(5, 3)
    dictionary = _filled(answer, k, v)
    dictionary.write(k[1].clone(), new)
    replaced = v.clone()
    replaced[1] = new
    weights = _nearness(q, torch.cat([k, k[1:2]]), 1.0)
    expect_equal(
        _read(dictionary, q, 1.0, "a key written twice"),
        _nearness(q, k, 1.0) @ replaced,
        {
            "a key written twice stands there twice, so that its old value is still "
            "read: overwrite, as a dictionary does": weights
            @ torch.cat([v, new[None]]),
            "a key written twice keeps its old value: the new one must replace it": (
                _nearness(q, k, 1.0) @ v
            ),
        },
        what="what is read after one key was written twice",
    )


def _check_other_keys(answer) -> None:
    """Keys that are near, or share some entries, are different keys."""
    draw = _draws(73)
    k, v, q = draw(4, 3), draw(5, 2), draw(5, 3)
    shares = k[1] + torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    others = {
        "a key that shares some entries with another is another key: only a key equal "
        "in all entries is replaced, (x == k).all()": shares,
        "a key that differs by 0.001 is another key: only an equal one is replaced": (
            k[1] + 1e-3
        ),
        "a key that differs by 0.0000001 is another key: compare with torch.equal, not "
        "with torch.allclose": k[1] + 1e-7,
    }
    for name, other in others.items():
        keys = torch.cat([k, other[None]])
        places, kept = [0, 4, 2, 3], [0, 2, 3, 4]
        expect_equal(
            _read(_filled(answer, keys, v), q, 1.0, "keys that are nearly equal"),
            _nearness(q, keys, 1.0) @ v,
            {
                name: _nearness(q, k, 1.0) @ v[places],
                name + " (the old one is gone)": _nearness(q, keys[kept], 1.0)
                @ v[kept],
                name + " (the new one is lost)": _nearness(q, k, 1.0) @ v[:4],
            },
            what="what is read after a second, nearly equal key was written",
        )


def _check_far_question(answer) -> None:
    """A far question and a narrow width give the nearest value, not NaN."""
    k = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    v = torch.tensor([[10.0], [20.0]], dtype=torch.float64)
    q = torch.tensor([[500.0], [-500.0]], dtype=torch.float64)
    got = _read(_filled(answer, k, v), q, 0.1, "far questions")
    if isinstance(got, Tensor) and got.isnan().any():
        raise WrongAnswer(
            "a question far from every key reads NaN: all kernels underflow to 0, and "
            "0/0 is no number. Take the softmax of the scores instead"
        )
    expect_equal(
        got,
        v.flip(0),
        {
            "a question far from every key reads 0: all kernels underflow to 0. A "
            "small number added to their sum hides 0/0 and answers nothing. Take the "
            "softmax of the scores instead": torch.zeros_like(v),
            "the sign is wrong: far keys get the large weights": v,
            "keys are averaged: what is fetched are the values": k.flip(0),
        },
        what="what far questions read, at width 0.1",
    )


def _check_dictionary_gradients(answer) -> None:
    draw = _draws(72)
    q, k, v = (draw(3, 2).requires_grad_() for _ in range(3))
    got = _read(_filled(answer, k, v), q, 1.0, "gradients")
    if got.requires_grad:
        got.square().sum().backward()
    for name, leaf in (("question", q), ("keys", k), ("values", v)):
        if leaf.grad is None or not leaf.grad.abs().sum() > 0:
            raise WrongAnswer(
                f"no gradient reaches the {name}: .detach(), .clone().data, "
                "torch.tensor(…) or NumPy cut autograd. The dictionary must be "
                "differentiable"
            )


def _nearness(q: Tensor, k: Tensor, width: float) -> Tensor:
    squares = (q[:, None] - k).square().sum(-1)
    return (-squares / (2 * width**2)).softmax(-1)


def _dictionary_slips(q, k, v, width) -> dict[str, Tensor]:
    """Return what the usual slips in `read` give."""
    squares = (q[:, None] - k).square().sum(-1)
    scores = -squares / (2 * width**2)
    slips = {
        "the nearest value alone is read: average all, with Gaussian weights": v[
            squares.argmin(-1)
        ],
        "the width is not squared: the score is −‖q−k‖²/(2·width²)": (
            -squares / (2 * width)
        ).softmax(-1)
        @ v,
        "the factor ½ is missing: the score is −‖q−k‖²/(2·width²)": (
            (2 * scores).softmax(-1) @ v
        ),
        "the width is not used: the score is −‖q−k‖²/(2·width²)": (
            (-squares / 2).softmax(-1) @ v
        ),
        "the distance is not squared: the score is −‖q−k‖²/(2·width²)": (
            (-squares.sqrt() / (2 * width**2)).softmax(-1) @ v
        ),
        "the sign is wrong: far keys get the large weights": (
            (-scores).softmax(-1) @ v
        ),
        "the score is a dot product: it does not ask who is near": (q @ k.T).softmax(-1)
        @ v,
        "the weights do not sum to 1: divide the kernels by their sum, or use "
        "softmax": scores.exp() @ v,
        "the softmax runs over the questions, not over the keys": (
            scores.softmax(0) @ v
        ),
    }
    if k.shape == v.shape:
        slips["keys are averaged: what is fetched are the values"] = (
            scores.softmax(-1) @ k
        )
    # a width of 1 makes some slips right
    right = scores.softmax(-1) @ v
    return {name: x for name, x in slips.items() if not torch.allclose(x, right)}


# ---- 3.3: the slope -----------------------------------------------------------------


def _slope(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return Cov_p(v, k) / √d_k, (Dv, Dk), for the scaled dot product."""
    p = (k @ q / math.sqrt(len(q))).softmax(-1)
    return (v - p @ v).T @ (p[:, None] * (k - p @ k)) / math.sqrt(len(q))


def _slope_slips(q, k, v) -> dict[str, Tensor]:
    """Return what the usual slips in the slope give."""
    root = math.sqrt(len(q))
    p = (k @ q / root).softmax(-1)
    unscaled = (k @ q).softmax(-1)
    right = _slope(q, k, v)
    slips = {
        "the factor 1/√d_k is missing: the score holds it, so its derivative does "
        "too": right * root,
        "divided by d_k, not by √d_k": right / root,
        "nothing is subtracted: this is the mean of v kᵀ, not the covariance": (
            v.T @ (p[:, None] * k) / root
        ),
        "nothing is subtracted, and the factor 1/√d_k is missing": (
            v.T @ (p[:, None] * k)
        ),
        "the plain means are subtracted: take the means under the weights": (
            (v - v.mean(0)).T @ (p[:, None] * (k - k.mean(0))) / root
        ),
        "all pairs count alike: weight them by the softmax": (
            (v - v.mean(0)).T @ (k - k.mean(0)) / len(k) / root
        ),
        "the weights are those of the unscaled scores": (
            (v - unscaled @ v).T @ (unscaled[:, None] * (k - unscaled @ k)) / root
        ),
        "neither the weights nor the slope are scaled by 1/√d_k": (
            (v - unscaled @ v).T @ (unscaled[:, None] * (k - unscaled @ k))
        ),
        "this is Cov(k, k): the values do not enter": (
            (k - p @ k).T @ (p[:, None] * (k - p @ k)) / root
        ),
        "the slope is transposed: it must be (d_v, d_k), one row per entry of the "
        "context": right.T,
        "the sign is wrong": -right,
        "the weights are squared: weight each pair once": (
            (p[:, None] * (v - p @ v)).T @ (p[:, None] * (k - p @ k)) / root
        ),
    }
    return {
        name: x
        for name, x in slips.items()
        if x.shape != right.shape or not torch.allclose(x, right)
    }


# ---- 3.4: a capacity plot -----------------------------------------------------------


def _share(answers: Tensor, values: Tensor) -> float:
    """Return the share of answers whose nearest value is their own."""
    found = torch.cdist(answers, values).argmin(-1) == torch.arange(len(answers))
    return found.double().mean().item()


def _curve(k, v, sizes, linear=None, soft=None, share=None) -> Tensor:
    """Return shares (len(sizes), 2); the parts may be replaced by wrong ones."""
    linear = linear or (lambda k, v, n: k[:n] @ (k[:n].T @ v[:n]) / k.shape[-1])
    soft = soft or (lambda k, v, n: _scaled(k[:n], k[:n]) @ v[:n])
    share = share or (lambda answers, v, n: _share(answers, v[:n]))
    rows = [[share(store(k, v, n), v, n) for store in (linear, soft)] for n in sizes]
    return torch.tensor(rows, dtype=torch.float64)


def _curve_slips(k, v, sizes) -> dict[str, Tensor]:
    """Return what the usual slips in the capacity plot give."""
    right = _curve(k, v, sizes)
    counts = right * torch.tensor(sizes, dtype=torch.float64)[:, None]

    def by_product(answers, v, n):
        found = (answers @ v[:n].T).argmax(-1) == torch.arange(n)
        return found.double().mean().item()

    def by_angle(answers, v, n):
        return by_product(answers, F.normalize(v, dim=-1), n)

    d_v = v.shape[-1]

    slips = {
        "these are counts: return shares, from 0 to 1": counts,
        "these are percent: return shares, from 0 to 1": 100 * right,
        "the columns are exchanged: the linear store comes first": right.flip(-1),
        "sizes go down and stores across: the result is transposed": right.T,
        "all N pairs are stored each time: store the first n only": _curve(
            k,
            v,
            sizes,
            linear=lambda k, v, n: k[:n] @ (k.T @ v) / k.shape[-1],
            soft=lambda k, v, n: _scaled(k[:n], k) @ v,
        ),
        "the answers are compared with all N values: compare with the n stored ones": (
            _curve(k, v, sizes, share=lambda answers, v, n: _share(answers, v))
        ),
        "the linear store is read with k, not with k/d_k: the answers are d_k times "
        "too long": _curve(k, v, sizes, linear=lambda k, v, n: k[:n] @ k[:n].T @ v[:n]),
        "the linear store is read with k/√d_k: divide by d_k": _curve(
            k,
            v,
            sizes,
            linear=lambda k, v, n: k[:n] @ (k[:n].T @ v[:n]) / math.sqrt(k.shape[-1]),
        ),
        "the linear store is divided by n, not by d_k": _curve(
            k, v, sizes, linear=lambda k, v, n: k[:n] @ (k[:n].T @ v[:n]) / n
        ),
        "the softmax's scores are not scaled by 1/√d_k": _curve(
            k,
            v,
            sizes,
            soft=lambda k, v, n: (k[:n] @ k[:n].T).softmax(-1) @ v[:n],
        ),
        "the nearest value is the one at the smallest distance, not the one with the "
        "largest dot product": _curve(k, v, sizes, share=by_product),
        "the nearest value is the one at the smallest distance, not the one with the "
        "largest cosine": _curve(k, v, sizes, share=by_angle),
        "the linear store is divided by d_v: read it with k/d_k": _curve(
            k, v, sizes, linear=lambda k, v, n: k[:n] @ (k[:n].T @ v[:n]) / d_v
        ),
        "the softmax's scores are scaled by 1/√d_v: the width of the keys is d_k": (
            _curve(
                k,
                v,
                sizes,
                soft=lambda k, v, n: (
                    (k[:n] @ k[:n].T / math.sqrt(d_v)).softmax(-1) @ v[:n]
                ),
            )
        ),
    }
    return {
        name: x
        for name, x in slips.items()
        if x.shape != right.shape or not torch.allclose(x, right)
    }


# ---- 3.5: several queries -----------------------------------------------------------


def _scaled(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)


def _together_slips(q, k, v) -> dict[str, Tensor]:
    """Return what the usual slips with several queries give."""
    context = _scaled(q, k) @ v
    scores = q @ k.mT
    root = math.sqrt(q.shape[-1])
    slips = {
        "the answers are averaged: lay them side by side": context.mean(-2),
        "the answers are summed: lay them side by side": context.sum(-2),
        "the answers are stacked, not laid side by side: flatten the last two axes": (
            context
        ),
        "entries of different answers are mixed: first all of answer 1, then all of "
        "answer 2 (no transpose before flatten)": context.mT.flatten(-2),
        "the leading axes were flattened too: keep them": context.flatten(),
        "the scores are not scaled by 1/√d_k": (scores.softmax(-1) @ v).flatten(-2),
        "the scores are divided by d_k, not by √d_k": (
            ((scores / root**2).softmax(-1) @ v).flatten(-2)
        ),
        "the scores are scaled by √d_v: take √d_k, the width of q and k": (
            ((scores / math.sqrt(v.shape[-1])).softmax(-1) @ v).flatten(-2)
        ),
        "the softmax runs over the queries, not over the keys": (
            ((scores / root).softmax(-2) @ v).flatten(-2)
        ),
        "the queries are averaged first: each query gets its own answer": (
            _scaled(q.mean(-2, keepdim=True), k) @ v
        ).flatten(-2),
        "the softmax runs over queries and keys together: each query has a budget of "
        "its own": (
            (scores / root).flatten(-2).softmax(-1).view(scores.shape) @ v
        ).flatten(-2),
    }
    right = context.flatten(-2)
    return {
        name: x
        for name, x in slips.items()
        if x.shape != right.shape or not torch.allclose(x, right)
    }


# ---- calling answers ----------------------------------------------------------------

DICTIONARY_SHAPES = (
    "a product of tensors does not fit. Stack the keys to (S, d_k) and the values to "
    "(S, d_v); the weights are (T, S)"
)
SLOPE_SHAPES = (
    "a product of tensors does not fit. q is (d_k), k (S, d_k), v (S, d_v); the slope "
    "is (d_v, d_k)"
)
CURVE_SHAPES = (
    "a product of tensors does not fit. The store kᵀ v is (d_k, d_v), the answers are "
    "(n, d_v)"
)
TOGETHER_SHAPES = (
    "a product of tensors does not fit. The scores are (…, M, S), the answers "
    "(…, M·d_v); with axes before the last two, .T turns all axes, .mT only two"
)


def _draws(seed: int):
    """Return a function that draws float64 normal numbers of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _untouched(answer, inputs: tuple, case: str, shapes: str) -> Tensor:
    """Call the answer, name errors of shape, check that its inputs are left alone."""
    before = [x.clone() if isinstance(x, Tensor) else list(x) for x in inputs]
    try:
        got = answer(*inputs)
    except RuntimeError as error:
        if isinstance(error, NotImplementedError) or not _is_misfit(error):
            raise
        message = f"{shapes} ({case}). PyTorch says: {_first_line(error)}"
        raise WrongAnswer(message) from None
    if not isinstance(got, Tensor):
        hint = ": is the return missing?" if got is None else ""
        raise WrongAnswer(f"expected a torch.Tensor, got {type(got).__name__}{hint}")
    for x, copy in zip(inputs, before, strict=True):
        same = torch.equal(x, copy) if isinstance(x, Tensor) else list(x) == copy
        if not same:
            raise WrongAnswer(f"the function changes its input in place ({case})")
    return got


def _is_misfit(error: Exception) -> bool:
    return bool(re.search(r"shape|size|dimension|broadcast", str(error)))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _verdict(answer, look_up, name: str, seed: int) -> bool:
    """Ask the reader's test about one look-up."""
    failed = []

    def watched(q, k, v):
        try:
            return look_up(q, k, v)
        except Exception as error:
            failed.append(error)
            raise

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(300 + seed)
        try:
            verdict = answer(watched)
        except AssertionError:
            raise WrongAnswer(
                "your test raises AssertionError (assert_close does that): return True "
                "or False instead of raising"
            ) from None
        except RuntimeError as error:
            if not failed or isinstance(error, NotImplementedError):
                raise
            raise WrongAnswer(
                f"your test stops with an error on {name} ({_first_line(error)}). Use "
                "d_v = d_k, as most code does, or catch the error"
            ) from None
    if verdict is None:
        raise WrongAnswer("keeps_roles returned None: is the return missing?")
    if isinstance(verdict, Tensor | np.ndarray | np.bool_):
        one = math.prod(verdict.shape) == 1
        verdict = bool(verdict) if one else verdict
    if not isinstance(verdict, bool):
        raise WrongAnswer(
            f"keeps_roles must return True or False, got {type(verdict).__name__}"
        )
    return verdict


# ---- look-ups for exercise 3.2: q (T, D), k (S, D), v (S, D) → (T, D) ----------------


def _dot(q, k, v):
    return (q @ k.T).softmax(-1) @ v


def _distance(q, k, v):
    return (-torch.cdist(q, k).square() / 2).softmax(-1) @ v


def _hard(q, k, v):
    return v[torch.cdist(q, k).argmin(-1)]


RIGHT_LOOK_UPS = {
    "dot-product attention": _dot,
    "scaled dot-product attention": F.scaled_dot_product_attention,
    "kernel regression (a distance score)": _distance,
    "a nearest-neighbour look-up": _hard,
}
WRONG_LOOK_UPS = {
    "a look-up with keys and values exchanged": (
        lambda q, k, v: (q @ v.T).softmax(-1) @ k,
        "what is fetched must be made of values. Double the values: what must happen?",
    ),
    "a look-up that fetches keys": (
        lambda q, k, v: (q @ k.T).softmax(-1) @ k,
        "other values must give other answers. Double the values: what must happen?",
    ),
    "a look-up that compares with the values": (
        lambda q, k, v: (q @ v.T).softmax(-1) @ v,
        "the weights must not depend on the values. Double the values: what must "
        "happen?",
    ),
    "a look-up whose keys have a little of the values mixed in": (
        lambda q, k, v: (q @ (k + 0.05 * v).T).softmax(-1) @ v,
        "the weights must not depend on the values. Double the values, and compare "
        "with a tight tolerance",
    ),
    "a look-up with the softmax over the queries": (
        lambda q, k, v: (q @ k.T).softmax(-2) @ v,
        "the weights of one query must sum to 1. What must be read if all values are "
        "1, and is the number of queries another than that of keys?",
    ),
    "a look-up that fetches the value of the next pair": (
        lambda q, k, v: (q @ k.T).softmax(-1) @ v.roll(1, 0),
        "each key must fetch its own value. Ask far-apart keys with the keys "
        "themselves",
    ),
    "the mean of all values": (
        lambda q, k, v: v.mean(-2, keepdim=True).expand(q.shape[-2], v.shape[-1]),
        "the question must matter. Ask far-apart keys with the keys themselves",
    ),
}
