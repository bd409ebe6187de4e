"""Checkers of chapter 4: self-attention.

Layers that exercise 4.5 hands to the reader's test stand at the end: each wrong one
passes some lazy test (reversal, rotation, a loose tolerance) and is still wrong.
"""

import math

import torch
from torch import Tensor

from attnbook.exercises import WrongAnswer, expect_equal

HEAD_CASES = [  # leading axes, T, d_in, d_k, d_v
    ((2,), 5, 7, 3, 4),
    ((1,), 3, 4, 4, 4),
    ((2,), 4, 4, 4, 4),
    ((), 5, 3, 2, 3),
    ((2, 3), 4, 5, 3, 2),
    ((2,), 1, 3, 2, 5),
]
SOURCE_CASES = [  # leading axes, T, S, d_x, d_source, d_k, d_v
    ((2,), 3, 5, 4, 7, 3, 2),
    ((2,), 5, 3, 4, 4, 3, 5),
    ((1,), 4, 4, 6, 6, 6, 6),
    ((), 2, 6, 3, 5, 4, 4),
    ((2, 3), 1, 4, 5, 2, 3, 3),
]


def check_single_head(answer) -> None:
    """Compare `single_head(x, W_q, W_k, W_v)` with one head of self-attention."""
    for seed, (lead, length, d_in, d_k, d_v) in enumerate(HEAD_CASES):
        draw = _draws(seed)
        x = draw(*lead, length, d_in)
        maps = draw(d_in, d_k), draw(d_in, d_k), draw(d_in, d_v)
        case = f"x {tuple(x.shape)}, d_k={d_k}, d_v={d_v}"
        got = _untouched(answer, (x, *maps), case)
        expect_equal(
            got,
            _attend(x, x, *maps),
            _slips(x, x, *maps),
            what="the context",
            case=case,
        )
    _require_gradients(answer)


def check_causal_weights(answer) -> None:
    """Compare `causal_weights(scores)` with the softmax over past and present."""
    for seed, shape in enumerate([(2, 5, 5), (1, 4, 4), (3, 7), (2, 3, 2, 6), (1, 1)]):
        scores = 3 * _draws(seed)(*shape)
        case = f"scores {shape}"
        got = _untouched(answer, (scores,), case)
        expect_equal(
            got,
            _causal(scores),
            _causal_slips(scores),
            what="the weights",
            case=case,
        )
    low = -1e5 * torch.ones(3, 3, dtype=torch.float64)
    expect_equal(
        _untouched(answer, (low,), "all scores −100,000"),
        _causal(low),
        what="the weights, where a finite fill such as -1e4 lets the future win:",
    )
    huge = torch.full((3, 3), 60.0).tril() - 3.0
    half = _untouched(answer, (huge.half(),), "float16")
    expect_equal(
        half, _causal(huge.half()), what="the weights in float16", atol=1e-3, rtol=1e-2
    )


def check_attend(answer) -> None:
    """Compare `attend(x, source, W_q, W_k, W_v)` with cross- and self-attention."""
    for seed, (lead, num_q, num_k, d_x, d_s, d_k, d_v) in enumerate(SOURCE_CASES):
        draw = _draws(seed)
        x, source = draw(*lead, num_q, d_x), draw(*lead, num_k, d_s)
        maps = draw(d_x, d_k), draw(d_s, d_k), draw(d_s, d_v)
        case = f"x {tuple(x.shape)}, source {tuple(source.shape)}"
        mistakes = _slips(x, source, *maps)
        if d_x == d_s:
            mistakes |= {
                "keys and values come from x: the source is never read": _attend(
                    x, x, *maps
                ),
                "queries come from the source: the one who asks is x": _attend(
                    source, source, *maps
                ),
                "queries come from the source and keys from x: roles swapped": _attend(
                    source, x, *maps
                ),
            }
        if d_x == d_s and num_q == num_k:
            mistakes[
                "values come from x: address and content are both the source's"
            ] = _weights(x @ maps[0], source @ maps[1]) @ (x @ maps[2])
            mistakes["keys come from x: address and content are both the source's"] = (
                _weights(x @ maps[0], x @ maps[1]) @ (source @ maps[2])
            )
        got = _untouched(answer, (x, source, *maps), case)
        expected = _attend(x, source, *maps)
        expect_equal(got, expected, mistakes, what="the context", case=case)
    draw = _draws(9)
    x, maps = draw(2, 4, 5), (draw(5, 3), draw(5, 3), draw(5, 2))
    expect_equal(
        answer(x, None, *maps),
        _attend(x, x, *maps),
        what="the context with source=None, which means self-attention,",
    )


def check_earliest_leak(answer) -> None:
    """Compare, for models A, B and C, the first output that the last token moves."""
    right = {"A": 0, "B": 5, "C": 3}
    answer = answer() if callable(answer) else answer
    why = {
        "A": "its weights above the diagonal are 0, but the softmax had already "
        "divided by a sum over the future",
        "B": "dividing each row by its own sum cancels the softmax's denominator, and "
        "with it everything the future contributed",
        "C": "one layer looks one token ahead; the second layer reads outputs of the "
        "first, which already know one token more",
    }
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise WrongAnswer("the answer must be a dictionary with keys 'A', 'B', 'C'")
    if all(value is None for value in answer.values()):
        raise NotImplementedError
    for model, position in right.items():
        given = answer[model]
        if isinstance(given, bool) or not isinstance(given, int):
            raise WrongAnswer(f"model {model}: give a position from 0 to 5")
        if given == position:
            continue
        if not 0 <= given <= 5:
            raise WrongAnswer(f"model {model}: the six positions are 0 to 5")
        verdict = "does not leak" if position == 5 else "leaks further back than that"
        if position < 5 and given < position:
            verdict = "leaks, but not that far back"
        raise WrongAnswer(f"model {model} {verdict}: {why[model]}")


def check_is_equivariant(answer) -> None:
    """Hand right and wrong layers to the reader's `is_equivariant(layer, d_in)`."""
    for name, make in RIGHT_LAYERS.items():
        for seed in range(4):
            if _verdict(answer, make(seed), seed):
                continue
            raise WrongAnswer(
                f"your test rejects {name}, which is equivariant: does it compare "
                "f(PX) with P f(X) (not with f(X)), using the same order for both, and "
                "allow for float32 rounding?"
            )
    for name, (make, lazy) in WRONG_LAYERS.items():
        for seed in range(4):
            if not _verdict(answer, make(seed), seed):
                continue
            raise WrongAnswer(f"your test accepts {name}, which is wrong: {lazy}")


CHECKS = {
    "4.1": check_single_head,
    "4.2": check_causal_weights,
    "4.3": check_attend,
    "4.4": check_earliest_leak,
    "4.5": check_is_equivariant,
}


# ---- references and the values that known mistakes give ---------------------------


def _draws(seed: int):
    """Return a function that draws float64 normal numbers of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _weights(q: Tensor, k: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)


def _attend(x, source, W_q, W_k, W_v) -> Tensor:
    return _weights(x @ W_q, source @ W_k) @ (source @ W_v)


def _slips(x, source, W_q, W_k, W_v) -> dict[str, Tensor]:
    """Return what the usual slips give, where their shapes allow them."""
    q, k, v = x @ W_q, source @ W_k, source @ W_v
    scores = q @ k.mT
    d_k, d_in = q.shape[-1], x.shape[-1]
    slips = {
        "the scores are not scaled by 1/√d_k": scores.softmax(-1) @ v,
        "the scores are divided by d_k, not by √d_k": (scores / d_k).softmax(-1) @ v,
        "the scores are scaled by the width of the input: d_k is the width of "
        "q and k": (scores / math.sqrt(d_in)).softmax(-1) @ v,
        "rows do not sum to 1 over keys: softmax over queries?": (
            (scores / math.sqrt(d_k)).softmax(-2) @ v
        ),
        "the scaling comes after the softmax: it belongs before it": (
            scores.softmax(-1) / math.sqrt(d_k) @ v
        ),
    }
    if q.shape[-2] == k.shape[-2]:
        weights = _weights(q, k)
        slips["this is weights^T @ v: each row must be an average of the values"] = (
            weights.mT @ v
        )
        slips["queries and keys are swapped"] = _weights(k, q) @ v
    if source.shape[-1] == v.shape[-1]:
        slips["the values are the inputs themselves: W_v is never used"] = (
            _weights(q, k) @ source
        )
    if d_in == d_k and source.shape[-1] == k.shape[-1] == v.shape[-1]:
        maps = q, k, v
        turned = x @ W_q.T, source @ W_k.T, source @ W_v.T
        slips["the maps are transposed: here rows are multiplied, x @ W"] = (
            _weights(*turned[:2]) @ turned[2]
        )
        slips["queries are the inputs themselves: W_q is never used"] = (
            _weights(x, k) @ v
        )
        slips["keys are the inputs themselves: W_k is never used"] = (
            _weights(maps[0], source) @ v
        )
    return slips


def _require_gradients(answer) -> None:
    """Check that training could reach all three maps."""
    draw = _draws(11)
    x = draw(3, 4)
    maps = [draw(4, 2).requires_grad_() for _ in range(3)]
    context = answer(x, *maps)
    if not context.requires_grad:
        raise WrongAnswer(
            "no gradient reaches W_q, W_k, W_v: a detour through NumPy, "
            "torch.tensor(…), .detach() or .data cuts autograd"
        )
    context.square().sum().backward()
    for name, weight in zip(("W_q", "W_k", "W_v"), maps, strict=True):
        if weight.grad is None or not weight.grad.abs().sum() > 0:
            raise WrongAnswer(f"no gradient reaches {name}")


def _untouched(answer, inputs: tuple[Tensor, ...], case: str):
    """Call the answer and check that it left its inputs alone."""
    before = [tensor.clone() for tensor in inputs]
    got = answer(*inputs)
    for tensor, copy in zip(inputs, before, strict=True):
        if not torch.equal(tensor, copy):
            raise WrongAnswer(
                f"the function changes its input in place ({case}): "
                "use masked_fill, not masked_fill_, and no `scores[...] = …`"
            )
    return got


def _allowed(scores: Tensor, shift: int = 0) -> Tensor:
    num_q, num_k = scores.shape[-2:]
    ones = torch.ones(num_q, num_k, dtype=torch.bool)
    return ones.tril(num_k - num_q + shift)


def _causal(scores: Tensor) -> Tensor:
    return scores.masked_fill(~_allowed(scores), -math.inf).softmax(-1)


def _causal_slips(scores: Tensor) -> dict[str, Tensor]:
    """Return what the usual slips in a causal mask give."""
    allowed, inf = _allowed(scores), math.inf
    num_q, num_k = scores.shape[-2:]
    top_left = torch.ones(num_q, num_k, dtype=torch.bool).tril()
    plain = scores.softmax(-1)
    own = scores.masked_fill(~_allowed(scores, -1), -inf).softmax(-1)
    return {
        "nothing is masked": plain,
        "the rows do not sum to 1: the mask comes after the softmax, "
        "so the future still counts in the denominator": plain * allowed,
        "forbidden scores are set to 0, not to −inf: exp(0) = 1 still counts": (
            scores * allowed
        ).softmax(-1),
        "the mask is upside down: each query sees its future": scores.masked_fill(
            ~allowed.flip(0, 1), -inf
        ).softmax(-1),
        "the mask is turned around: True = may attend": scores.masked_fill(
            allowed, -inf
        ).softmax(-1),
        "a token may attend to itself": own,
        "a token may attend to itself (rows without keys set to 0)": own.nan_to_num(0),
        "one token of the future is visible: tril(diagonal=1)?": scores.masked_fill(
            ~_allowed(scores, 1), -inf
        ).softmax(-1),
        "the mask is aligned top-left: with S > T the last query must see all "
        "S keys": scores.masked_fill(~top_left, -inf).softmax(-1),
        "the softmax runs over the queries, not over the keys": scores.masked_fill(
            ~allowed, -inf
        ).softmax(-2),
    }


# ---- layers for exercise 4.5: functions from (B, T, 4) to (B, T, d_out) -----------

D_IN = 4


def _verdict(answer, layer, seed: int) -> bool:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(100 + seed)
        verdict = answer(layer, D_IN)
    if verdict is None:
        raise WrongAnswer("is_equivariant returned None: is the return missing?")
    if isinstance(verdict, Tensor) and verdict.numel() == 1:
        verdict = bool(verdict)
    if not isinstance(verdict, bool):
        raise WrongAnswer(
            f"is_equivariant must return True or False, got {type(verdict).__name__}"
        )
    return verdict


def _float32(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator)


def _self_attention(seed: int, d_out: int = 3, allowed=None, bias=None):
    """Return one head; `allowed(T)` masks and `bias(T)` adds to the scores."""
    draw = _float32(seed)
    W_q, W_k, W_v = draw(D_IN, 3), draw(D_IN, 3), draw(D_IN, d_out)

    def layer(x):
        x = x.float()
        scores = (x @ W_q) @ (x @ W_k).mT / math.sqrt(3)
        if bias is not None:
            scores = scores + bias(x.shape[-2])
        if allowed is not None:
            scores = scores.masked_fill(~allowed(x.shape[-2]), -math.inf)
        return scores.softmax(-1) @ (x @ W_v)

    return layer


def _residual(seed: int):
    inner = _self_attention(seed, d_out=D_IN)
    return lambda x: x.float() + inner(x)


def _each_token(seed: int):
    W = _float32(seed)(D_IN, 5)
    return lambda x: torch.tanh(x.float() @ W)


def _average(seed: int):
    W = _float32(seed)(D_IN, 5)
    return lambda x: (x.float() @ W).mean(-2, keepdim=True).expand(*x.shape[:-1], 5)


def _offset_bias(length: int) -> Tensor:
    place = torch.arange(length, dtype=torch.float32)
    return -0.5 * (place[:, None] - place).abs()


def _ring_convolution(seed: int):
    """Mix each token with its left neighbour; the first one's is the last."""
    W = _float32(seed)(2, D_IN, 3)
    return lambda x: x.float() @ W[0] + x.float().roll(1, -2) @ W[1]


def _first_token(seed: int):
    """Add a little of the first token to all, as a careless class token would."""
    inner, W = _self_attention(seed), _float32(seed)(D_IN, 3)
    return lambda x: inner(x) + 0.02 * (x[..., :1, :].float() @ W)


RIGHT_LAYERS = {
    "self-attention": _self_attention,
    "a map of each token by itself": _each_token,
    "the average of all tokens, given to each": _average,
    "self-attention added to its input": _residual,
}
WRONG_LAYERS = {
    "causal self-attention": (
        lambda seed: _self_attention(
            seed, allowed=lambda n: torch.ones(n, n, dtype=torch.bool).tril()
        ),
        "does the test use several different tokens, a real permutation of the "
        "positions (not of batch or features), and compare the values?",
    ),
    "attention that fades with the distance |t − s|": (
        lambda seed: _self_attention(seed, bias=_offset_bias),
        "it survives a reversal of the order. Try random orders",
    ),
    "a convolution on a ring": (
        _ring_convolution,
        "it survives a rotation of the order (roll). Try random orders",
    ),
    "self-attention plus a little of the first token": (
        _first_token,
        "the error is a few hundredths. Tighten the tolerance, and let the order move "
        "the first token",
    ),
}
