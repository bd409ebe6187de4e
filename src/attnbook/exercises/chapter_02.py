"""Checkers of chapter 2: scores, masked softmax, saturation, ranks, averages."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from attnbook import masks, scores
from attnbook.exercises import WrongAnswer, expect_equal

NAMES = ("dot", "scaled", "bilinear", "additive")
# Leading dimensions, T, S, D, F of exercise 2.1.
SIZES = [((), 3, 5, 4, 7), ((2,), 1, 5, 3, 4), ((1,), 4, 4, 4, 4), ((2, 3), 2, 7, 5, 3)]
# Mean entropy (nat) of 16 unscaled weights crosses the threshold at these widths;
# 5,000 samples a width put the crossings at 13.2, 23.3 and 45.
CROSSINGS = {1.0: (12, 15), 0.7: (21, 27), 0.5: (38, 52)}
CROSSINGS_IN_BITS = {1.0: (23, 28), 0.7: (42, 53), 0.5: (78, 105)}
RANKS = {
    "rank of the scores": 3,
    "rank of the weights": 10,
    "rank of the log weights": 4,
    "favourites with d_k = 1": 2,
    "smallest d_k for ten favourites": 2,
}


def check_four_scores(answer: Callable) -> None:
    """Check all four score tables against the book's, and name common slips."""
    for seed, (lead, num_queries, num_keys, width, hidden) in enumerate(SIZES):
        g = torch.Generator().manual_seed(seed)
        given = [
            torch.randn(shape, generator=g, dtype=torch.float64)
            for shape in (
                (*lead, num_queries, width),
                (*lead, num_keys, width),
                (width, width),
                (hidden, width),
                (hidden, width),
                (hidden,),
            )
        ]
        case = f"{lead=}, T={num_queries}, S={num_keys}, D={width}, F={hidden}"
        copies = [x.clone().requires_grad_() for x in given]
        got = _call(answer, copies, given, ["q", "k", "W_bilinear", "W", "U", "v"])
        if not isinstance(got, tuple | list) or len(got) != 4:
            raise WrongAnswer("return the four tables: dot, scaled, bilinear, additive")
        for name, table, (right, slips) in zip(
            NAMES, got, _tables(*given), strict=True
        ):
            expect_equal(table, right, slips, what=f"the {name} score", case=case)
            if not table.requires_grad:
                raise WrongAnswer(
                    f"no gradient flows through the {name} score: did it pass "
                    "through NumPy, .detach() or torch.tensor(…)?"
                )


def _tables(q, k, W_bilinear, W, U, v) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Return the right table of each score, and what known slips give."""
    dot = q @ k.mT
    width = q.shape[-1]
    right = [
        dot,
        dot / math.sqrt(width),
        q @ W_bilinear.T @ k.mT,
        _additive(q, k, W, U, v),
    ]
    per_term = torch.tanh(q @ U.T) @ v
    per_term = per_term.unsqueeze(-1) + (torch.tanh(k @ W.T) @ v).unsqueeze(-2)
    slips: list[dict[str, Tensor]] = [
        {"the dot score is divided already: only the second table is scaled": right[1]},
        {
            "scaled: divided by D instead of √D": dot / width,
            "scaled: multiplied by √D": dot * math.sqrt(width),
            "scaled: not divided at all": dot,
            "scaled: divided by √T, the number of queries": dot / math.sqrt(len_of(q)),
            "scaled: divided by √S, the number of keys": dot / math.sqrt(len_of(k)),
        },
        {
            "bilinear: W is transposed, this is q^T W k; wanted k^T W q": q
            @ W_bilinear
            @ k.mT
        },
        {
            "additive: one tanh per term; the sum of W k and U q stands inside "
            "the tanh": per_term,
            "additive: W and U are exchanged; W maps the keys": _additive(
                q, k, U, W, v
            ),
            "additive: the tanh is missing": _additive(q, k, W, U, v, lambda x: x),
            "additive: summed over the hidden units without v": _additive(
                q, k, W, U, torch.ones_like(v)
            ),
        },
    ]
    for name, table, some in zip(NAMES, right, slips, strict=True):
        if table.shape[-1] != table.shape[-2]:
            text = f"{name}: the table is transposed; queries go down, keys across"
            some[text] = table.mT
    return list(zip(right, slips, strict=True))


def _additive(q, k, W, U, v, squash=torch.tanh) -> Tensor:
    """Return v^T squash(W k + U q) for all pairs."""
    return squash((q @ U.T).unsqueeze(-2) + (k @ W.T).unsqueeze(-3)) @ v


def len_of(x: Tensor) -> int:
    """Return the number of positions of (…, positions, width)."""
    return x.shape[-2]


def check_masked_softmax(answer: Callable) -> None:
    """Check values, empty rows, half precision, extremes and gradients."""
    _check_ordinary(answer)
    _check_empty_rows(answer)
    _check_extremes(answer)
    _check_half(answer)
    _check_gradient(answer)


def _weights(answer: Callable, x: Tensor, mask: Tensor) -> Tensor:
    """Call the answer and see that it left its inputs alone."""
    return _call(answer, [x.clone(), mask.clone()], [x, mask], ["scores", "attn_mask"])


def _check_ordinary(answer: Callable) -> None:
    shapes = [((2, 3, 5), (2, 3, 5)), ((1, 4, 4), (4, 4)), ((2, 3, 5, 7), (2, 1, 1, 7))]
    for seed, (shape, mask_shape) in enumerate(shapes):
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(shape, generator=g, dtype=torch.float64)
        mask = torch.rand(mask_shape, generator=g) < 0.6
        mask[..., 0] = True  # every row has a key here
        no_mask = x.softmax(dim=-1)
        right = scores.masked_softmax(x, mask)
        slips = {
            "True means may attend: the mask is used the other way round": (
                x.masked_fill(mask, -math.inf).softmax(dim=-1).nan_to_num()
            ),
            "the mask is not used": no_mask,
            "rows do not sum to 1: masked after the softmax?": no_mask * mask,
            "forbidden scores were set to 0, an ordinary score; set them to −∞": (
                (x * mask).softmax(dim=-1)
            ),
            "rows do not sum to 1 over keys: softmax over queries?": (
                x.masked_fill(~mask, -math.inf).softmax(dim=-2).nan_to_num()
            ),
        }
        got = _weights(answer, x, mask)
        case = f"scores {shape}, mask {mask_shape}"
        if isinstance(got, Tensor) and got.shape == x.shape:
            queries = x.masked_fill(~mask, -math.inf).softmax(dim=-2)
            if torch.allclose(got.nan_to_num().double(), queries.nan_to_num()):
                raise WrongAnswer(
                    "rows do not sum to 1 over keys: softmax over queries?"
                )
        expect_equal(got, right, slips, what="the weights", case=case)


def _check_empty_rows(answer: Callable) -> None:
    g = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, 5, generator=g, dtype=torch.float64)
    mask = torch.rand(2, 3, 5, generator=g) < 0.5
    mask[..., 0] = True
    mask[0, 1], mask[1] = False, False
    got = _weights(answer, x, mask)
    if isinstance(got, Tensor) and got.shape == x.shape:
        empty = got[1]
        if empty.isnan().any():
            raise WrongAnswer("a row without any allowed key gives NaN; wanted zeros")
        if empty.sum() > 0:
            raise WrongAnswer(
                "a row without any allowed key gives weight to forbidden keys "
                "(a finite filler such as −1e9 does that); wanted zeros"
            )
    expect_equal(got, scores.masked_softmax(x, mask), what="the weights")


def _check_extremes(answer: Callable) -> None:
    """Try scores far apart, and allowed ones below every finite filler in use."""
    g = torch.Generator().manual_seed(4)
    all_keys, mask = torch.ones(4, 4, dtype=torch.bool), masks.causal(4)
    x = torch.randn(4, 4, generator=g, dtype=torch.float64)
    cases = [
        (
            "large scores (1e4) overflow: subtract the row's maximum before exp",
            x * 1e4,
            all_keys,
        ),
        (
            "a forbidden score that is far larger than the allowed ones spoils the "
            "row: take the maximum and the sum over allowed keys only",
            x.masked_fill(~mask, 1e4),
            mask,
        ),
        (
            "allowed scores of −1e10 lose against the filler of the forbidden keys: "
            "fill with −∞, not with −1e9",
            x - 1e10,
            mask,
        ),
    ]
    for mistake, extreme, allowed in cases:
        got = _weights(answer, extreme, allowed)
        right = scores.masked_softmax(extreme, allowed)
        comparable = isinstance(got, Tensor) and got.shape == right.shape
        if comparable and not torch.allclose(got.double(), right, atol=1e-6):
            raise WrongAnswer(mistake)
        expect_equal(got, right, what="the weights", atol=1e-6)


def _check_half(answer: Callable) -> None:
    x = torch.tensor([[10.0, 12.0, 11.0], [-6e4, 6e4, 0.0]], dtype=torch.float16)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    got = _weights(answer, x, mask)
    if isinstance(got, Tensor) and got.dtype != torch.float16:
        raise WrongAnswer(f"float16 scores gave {got.dtype} weights: keep the dtype")
    if isinstance(got, Tensor) and not got.isfinite().all():
        raise WrongAnswer(
            "NaN in float16: e^12 overflows, and −1e9 is −∞ there. Subtract the "
            "maximum, and let no row of −∞ reach the softmax"
        )
    right = scores.masked_softmax(x.double(), mask).half()
    expect_equal(got, right, what="the float16 weights", atol=2e-3, rtol=1e-2)


def _check_gradient(answer: Callable) -> None:
    g = torch.Generator().manual_seed(5)
    q = torch.randn(3, 2, generator=g, dtype=torch.float64)
    k = torch.randn(4, 2, generator=g, dtype=torch.float64)
    wish = torch.randn(3, 4, generator=g, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()

    def gradient(softmax: Callable) -> Tensor:
        x = (q @ k.mT).requires_grad_()
        loss = (softmax(x * 1.0, mask) * wish).sum()
        if not loss.requires_grad:
            raise WrongAnswer(
                "no gradient reaches the scores: did they pass through NumPy, "
                ".detach() or torch.tensor(…)?"
            )
        return torch.autograd.grad(loss, x)[0]

    got = gradient(answer)
    if got.isnan().any():
        raise WrongAnswer(
            "the gradient has NaN: a row of −∞ reached the softmax, and repairing "
            "its output is too late"
        )
    expect_equal(got, gradient(scores.masked_softmax), what="the gradient")


def check_find_width(answer: Callable) -> None:
    """Check the crossing at three thresholds, with room for sampling noise."""
    for threshold, (low, high) in CROSSINGS.items():
        got = answer(threshold)
        if got is None or (isinstance(got, int | float) and got > 300):
            raise WrongAnswer(
                f"no width found for {threshold} nat (got {got}): are the scores "
                "scaled, or the weights averaged before the entropy? Is a return "
                "missing, or an entropy NaN (0 · ln 0)?"
            )
        if isinstance(got, bool) or not isinstance(got, int):
            raise WrongAnswer(f"return a whole number, got {type(got).__name__}")
        if low <= got <= high:
            continue
        bits_low, bits_high = CROSSINGS_IN_BITS[threshold]
        if bits_low <= got <= bits_high:
            raise WrongAnswer(
                f"{got} is the answer for {threshold} bit; use the natural logarithm"
            )
        if got < 4:
            raise WrongAnswer(
                f"{got} is far too small: is the softmax over the 16 keys, or over "
                "an axis of length 1? Is the entropy a sum over keys, not a mean?"
            )
        side = "small" if got < low else "large"
        raise WrongAnswer(
            f"{got} is too {side} for {threshold} nat: average the entropies of a few "
            "thousand queries with 16 keys each, unit variance, no scale"
        )


def check_ranks(answer) -> None:
    """Check five whole numbers about narrow heads."""
    if callable(answer):
        answer = answer()
    if not isinstance(answer, Mapping) or set(answer) != set(RANKS):
        raise WrongAnswer("keep the dictionary's five names and fill in the numbers")
    if any(value is None for value in answer.values()):
        raise NotImplementedError
    why = {
        "rank of the scores": "QK^T cannot have a higher rank than Q, which has "
        "d_k = 3 columns",
        "rank of the weights": "the exponential acts on each entry, and rows that "
        "depend on each other linearly no longer do so afterwards",
        "rank of the log weights": "the log weights are the scores minus one number "
        "per row: that adds at most 1 to the rank of the scores",
        "favourites with d_k = 1": "a query is one number; for all positive queries "
        "the same key wins",
        "smallest d_k for ten favourites": "put the keys on a circle",
    }
    for name, right in RANKS.items():
        if isinstance(answer[name], bool) or answer[name] != right:
            raise WrongAnswer(f"{name}: not {answer[name]}; {why[name]}")


def check_weighted_sum(answer: Callable) -> None:
    """Check A V, square case first, where the slip runs without an error."""
    for seed, (num_queries, num_keys, width) in enumerate(
        [(4, 4, 3), (3, 5, 2), (1, 1, 1)]
    ):
        g = torch.Generator().manual_seed(seed)
        A = torch.randn(num_queries, num_keys, generator=g, dtype=torch.float64)
        A, v = A.softmax(dim=-1), torch.randn(num_keys, width, generator=g).double()
        slips = {
            "this is the mean over keys of A V: sum, do not average": A @ v / num_keys
        }
        if num_queries == num_keys > 1:
            slips["this is A^T V: it sums over the queries"] = A.T @ v
            slips[
                "keys are aligned with queries: each value is multiplied by its own "
                "row's sum"
            ] = v * A.sum(dim=1, keepdim=True)
            slips[
                "the values of one key are not mixed: each is multiplied by its own "
                "column's sum"
            ] = v * A.sum(dim=0)[:, None]
        case = f"T={num_queries}, S={num_keys}, Dv={width}"
        copies = [A.clone().requires_grad_(), v.clone().requires_grad_()]
        got = _call(answer, copies, [A, v], ["A", "v"])
        expect_equal(got, A @ v, slips, what="the average", case=case)
        if not got.requires_grad:
            raise WrongAnswer("no gradient flows: stay within torch, without .detach()")


def _call(answer: Callable, copies: list, originals: list, names: list[str]):
    """Call the answer and refuse one that changes its inputs."""
    try:
        got = answer(*copies)
    except RuntimeError as error:
        if "in-place" in str(error):
            raise WrongAnswer(
                "an input was changed in place: make a new tensor"
            ) from error
        raise
    for name, copy, original in zip(names, copies, originals, strict=True):
        if not torch.equal(copy.detach(), original):
            raise WrongAnswer(f"{name} was changed in place: make a new tensor")
    return got


CHECKS = {
    "2.1": check_four_scores,
    "2.2": check_masked_softmax,
    "2.3": check_find_width,
    "2.4": check_ranks,
    "2.5": check_weighted_sum,
}
