"""Checkers of chapter 5: multi-head attention.

Exercises 5.4 and 5.5 have many right answers; their checkers test what must hold, on
fresh boxes and random values, and never compare with one solution.
"""

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from attnbook.attention import merge_heads, split_heads
from attnbook.exercises import WrongAnswer, expect_equal
from attnbook.tasks import two_facts

LAYER_CASES = [  # B, T, heads, width of a head, mask
    (2, 5, 3, 4, None),
    (1, 4, 2, 3, None),
    (2, 3, 3, 3, "random"),
    (2, 6, 2, 6, "causal"),
    (3, 2, 5, 2, "random"),
    (2, 3, 1, 5, None),
]
FUSE_CASES = [(3, 4), (2, 3), (1, 5), (5, 2), (4, 1), (3, 3)]  # heads, width of a head


# ---- 5.1: multi-head attention ------------------------------------------------------


def check_multi_head(answer) -> None:
    """Compare `multi_head(x, …)` with multi-head self-attention, out and weights."""
    for seed, (batch, length, num_heads, d_head, mask) in enumerate(LAYER_CASES):
        draw, d_model = _draws(seed), num_heads * d_head
        x, parameters = draw(batch, length, d_model), _parameters(draw, d_model)
        allowed = _mask(mask, length, seed)
        inputs = (x, *parameters, num_heads, allowed)
        case = f"B={batch}, T={length}, H={num_heads}, Dh={d_head}, mask: {mask}"
        out, weights = _two(_untouched(answer, inputs, case), "out, weights")
        right_out, right_weights = _layer(*inputs)
        expect_equal(
            weights, right_weights, _weight_slips(inputs), what="the weights", case=case
        )
        expect_equal(out, right_out, _out_slips(inputs), what="out", case=case)
    _require_gradients(answer)


def _parameters(draw, d_model: int) -> tuple[Tensor, ...]:
    in_weight = draw(3 * d_model, d_model) / math.sqrt(d_model)
    return in_weight, draw(3 * d_model), draw(d_model, d_model), draw(d_model)


def _mask(kind: str | None, length: int, seed: int) -> Tensor | None:
    if kind is None:
        return None
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    if kind == "causal":
        return causal
    generator = torch.Generator().manual_seed(seed)
    random = torch.rand(length, length, generator=generator) < 0.5
    random |= torch.eye(length, dtype=torch.bool)
    return random & ~torch.eye(length, dtype=torch.bool).roll(1, dims=1)


def _heads(inputs) -> tuple[Tensor, Tensor, Tensor]:
    x, in_weight, in_bias, _, _, num_heads, _ = inputs
    packed = F.linear(x, in_weight, in_bias)
    return tuple(split_heads(part, num_heads) for part in packed.chunk(3, dim=-1))


def _softmax(q, k, allowed, scale=None, dim=-1) -> Tensor:
    scores = q @ k.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -math.inf)
    return scores.softmax(dim).nan_to_num(0)


def _layer(*inputs) -> tuple[Tensor, Tensor]:
    q, k, v = _heads(inputs)
    weights = _softmax(q, k, inputs[-1])
    return F.linear(merge_heads(weights @ v), inputs[3], inputs[4]), weights


def _weight_slips(inputs) -> dict[str, Tensor]:
    """Return what the usual slips make of the weights."""
    x, in_weight, in_bias, _, _, num_heads, allowed = inputs
    q, k, v = _heads(inputs)
    right = _softmax(q, k, allowed)
    d_model, (batch, length) = x.shape[-1], x.shape[:2]
    flat_q, flat_k, _ = F.linear(x, in_weight, in_bias).chunk(3, dim=-1)
    shape = batch, num_heads, length, d_model // num_heads
    no_bias = F.linear(x, in_weight).chunk(3, dim=-1)
    packed = F.linear(x, in_weight, in_bias)
    every_third = packed.unflatten(-1, (-1, 3)).unbind(-1)
    by_head = packed.unflatten(-1, (num_heads, 3, -1)).transpose(1, 2).unbind(-2)
    slips = {
        "the weights are averaged over the heads: return one map per head": right.mean(
            dim=1
        ),
        "the scores are scaled by the width D of the model: the width of one head "
        "counts": _softmax(q, k, allowed, 1 / math.sqrt(d_model)),
        "the scores are not scaled by 1/√Dh": _softmax(q, k, allowed, 1.0),
        "the scores are divided by Dh, not by √Dh": _softmax(
            q, k, allowed, 1 / q.shape[-1]
        ),
        "queries and keys are swapped": _softmax(k, q, allowed),
        "the packed rows are taken in another order than q, k, v": _softmax(
            q, v, allowed
        ),
        "the packed rows are read in the order k, v, q": _softmax(k, v, allowed),
        "the packed rows are read in the order v, k, q": _softmax(v, k, allowed),
        "every third row is taken: the first D rows are q, the next D are k": _softmax(
            *(split_heads(part, num_heads) for part in every_third[:2]), allowed
        ),
        "the packed rows are cut head by head, q, k and v of head 0 first: the first "
        "D rows are q of all heads, the next D are k": _softmax(*by_head[:2], allowed),
        "in_bias is missing": _softmax(
            *(split_heads(part, num_heads) for part in no_bias[:2]), allowed
        ),
        "the heads are cut by a view to (B, H, T, Dh): view as (B, T, H, Dh), then "
        "transpose": _softmax(flat_q.reshape(shape), flat_k.reshape(shape), allowed),
        "the softmax runs over the queries, not over the keys": _softmax(
            q, k, allowed, dim=-2
        ),
    }
    if allowed is not None:
        slips["the mask is turned around: True = may attend"] = _softmax(q, k, ~allowed)
        slips["the mask is not used"] = _softmax(q, k, None)
        slips["the mask comes after the softmax: rows do not sum to 1"] = (
            _softmax(q, k, None) * allowed
        )
    return slips


def _out_slips(inputs) -> dict[str, Tensor]:
    """Return what the usual slips make of the output, when the weights are right."""
    x, in_weight, _, out_weight, out_bias, num_heads, _ = inputs
    _, k, v = _heads(inputs)
    weights = _layer(*inputs)[1]
    context = weights @ v
    merged = merge_heads(context)
    plain = split_heads(F.linear(x, in_weight).chunk(3, dim=-1)[2], num_heads)
    return {
        "the output map is missing": merged,
        "out_bias is missing": F.linear(merged, out_weight),
        "out_weight is not transposed: nn.Linear computes x @ weight.T": (
            merged @ out_weight + out_bias
        ),
        "the heads are merged without transposing back: (B, H, T, Dh) must become "
        "(B, T, H, Dh) first": F.linear(context.reshape(x.shape), out_weight, out_bias),
        "the heads are interleaved: head 0 must fill the first Dh columns": F.linear(
            context.permute(0, 2, 3, 1).flatten(-2), out_weight, out_bias
        ),
        "in_bias is missing in the values": F.linear(
            merge_heads(weights @ plain), out_weight, out_bias
        ),
        "the keys are averaged: it must be the values": F.linear(
            merge_heads(weights @ k), out_weight, out_bias
        ),
    }


def _require_gradients(answer) -> None:
    """Check that training could reach all parameters."""
    draw = _draws(11)
    parameters = [p.requires_grad_() for p in _parameters(draw, 4)]
    out, _ = _two(answer(draw(2, 3, 4), *parameters, 2, None), "out, weights")
    names = ("in_weight", "in_bias", "out_weight", "out_bias")
    if not out.requires_grad:
        raise WrongAnswer(
            "no gradient reaches the parameters: a detour through NumPy, "
            "torch.tensor(…), .detach() or .data cuts autograd"
        )
    out.square().sum().backward()
    for name, parameter in zip(names, parameters, strict=True):
        if parameter.grad is None or not parameter.grad.abs().sum() > 0:
            raise WrongAnswer(f"no gradient reaches {name}")
    if parameters[0].grad[-4:].abs().sum() == 0:
        raise WrongAnswer("no gradient reaches the values' rows of in_weight")


# ---- 5.2: fuse ----------------------------------------------------------------------


def check_fuse(answer) -> None:
    """Compare `fuse(W_q, W_k, W_v, W_o)` with PyTorch's two matrices."""
    for seed, (num_heads, d_head) in enumerate(FUSE_CASES):
        draw, d_model = _draws(seed), num_heads * d_head
        maps = [draw(num_heads, d_model, d_head) for _ in range(3)]
        W_o = draw(num_heads, d_head, d_model)
        case = f"H={num_heads}, Dh={d_head}"
        got = _untouched(answer, (*maps, W_o), case)
        in_weight, out_weight = _two(got, "in_proj_weight, out_proj.weight")
        expect_equal(
            in_weight,
            torch.cat([W.mT.flatten(0, 1) for W in maps]),
            _in_slips(*maps),
            what="in_proj_weight",
            case=case,
        )
        expect_equal(
            out_weight,
            W_o.flatten(0, 1).T,
            {
                "the output matrix is not transposed: nn.Linear has x @ weight.T": (
                    W_o.flatten(0, 1)
                ),
                "each slice of W_o is transposed by itself: stack the slices below "
                "each other, then transpose the whole": W_o.mT.reshape(d_model, -1),
                "the slices of W_o are interleaved: head 0 comes first": (
                    W_o.transpose(0, 1).flatten(0, 1).T
                ),
                "the heads of W_o are in reverse order": W_o.flip(0).flatten(0, 1).T,
            },
            what="out_proj.weight",
            case=case,
        )


def _in_slips(W_q: Tensor, W_k: Tensor, W_v: Tensor) -> dict[str, Tensor]:
    """Return what the usual slips make of the packed matrix."""
    maps, d_model = (W_q, W_k, W_v), W_q.shape[1]
    stacked = [W.mT.flatten(0, 1) for W in maps]
    wide = [W.transpose(0, 1).flatten(1) for W in maps]
    slips = {
        "the packed matrix is not transposed: its shape is (3D, D)": torch.cat(wide, 1),
        "the maps are not transposed: nn.Linear computes x @ weight.T": torch.cat(wide),
        "the maps are reshaped, not transposed: a reshape keeps the order of the "
        "numbers": torch.cat([W.reshape(d_model, -1) for W in maps]),
        "the maps are reshaped before they are transposed: a reshape keeps the order "
        "of the numbers, so transpose each map by itself": torch.cat(
            [W.reshape(d_model, -1).T for W in maps]
        ),
        "the rows are sorted by head: all heads of q come first, then k, then v": (
            torch.stack([W.mT for W in maps], dim=1).flatten(0, 2)
        ),
        "the heads are interleaved: rows 0 … Dh − 1 belong to head 0": torch.cat(
            [W.permute(2, 0, 1).flatten(0, 1) for W in maps]
        ),
    }
    for order, name in (((1, 0, 2), "k, q, v"), ((0, 2, 1), "q, v, k")):
        slips[f"the rows are in the order {name}: it must be q, k, v"] = torch.cat(
            [stacked[i] for i in order]
        )
    slips["the rows are in the order v, k, q: it must be q, k, v"] = torch.cat(
        stacked[::-1]
    )
    return slips


# ---- 5.3: prune ---------------------------------------------------------------------


def check_prune(answer) -> None:
    """Compare `prune(parts, answer, labels, target)` with importance by gradient.

    A mistake is named if it explains the answer in every case, for one case alone has
    few possible answers.
    """
    cases = []
    for seed in range(12):
        parts, read, labels = _examples(seed)
        for target in _targets(parts, read, labels):
            case = f"N={len(parts)}, H={parts.shape[1]}, target {target:.3f}"
            before = parts.clone()
            kept = _as_heads(answer(parts, read, labels, target), case)
            if not torch.equal(parts, before):
                raise WrongAnswer(f"the function changes parts in place ({case})")
            right = _prune(
                _importance(parts, read, labels), parts, read, labels, target
            )
            cases.append((kept, right, (parts, read, labels, target), case))
    wrong = [case for case in cases if case[0] != case[1]]
    if wrong:
        _name_pruning(cases, *wrong[0])


def _examples(seed: int):
    """Draw heads of different strength whose sum answers most examples."""
    draw = _draws(100 + seed)
    num, num_heads, width = 40 + seed, 4 + seed % 3, 5
    strength = 0.2 + draw(num_heads).abs()
    parts = strength[:, None] * draw(num, num_heads, width)
    matrix, bias = draw(width, 3), draw(3)

    def read(out: Tensor) -> Tensor:
        return torch.tanh(out) @ matrix + bias

    labels = (read(parts.sum(dim=1)) + 0.5 * draw(num, 3)).argmax(dim=-1)
    return parts, read, labels


def _targets(parts, read, labels) -> list[float]:
    """Return targets between, and one equal to, the accuracies on the way down."""
    order = _importance(parts, read, labels).argsort().tolist()
    reached = [_accuracy(parts, read, labels, order[k:]) for k in range(1, len(order))]
    middle = [(a + b) / 2 for a, b in pairwise(reached)]
    return [reached[1], *middle, 0.0, 1.1]


def _importance(parts, read, labels) -> Tensor:
    return _slopes(parts, read, labels).abs().mean(dim=0)


def _slopes(parts, read, labels) -> Tensor:
    """Return the gradient of every example's loss by every head's gate (N, H)."""
    gates = torch.ones(parts.shape[:2], dtype=parts.dtype).requires_grad_()
    logits = read((gates[..., None] * parts).sum(dim=1))
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return torch.autograd.grad(loss, gates)[0]


def _accuracy(parts, read, labels, kept) -> float:
    right = read(parts[:, kept].sum(dim=1)).argmax(dim=-1) == labels
    return right.double().mean().item()


def _prune(
    importance, parts, read, labels, target, late=False, strict=False, skip=False
) -> list[int]:
    """Remove heads in the order of importance, right or with a slip.

    `late` tests after the removal, `strict` wants more than the target, `skip` goes
    on with later heads where one could not be removed.
    """
    kept = list(range(parts.shape[1]))
    for head in importance.argsort().tolist():
        rest = [h for h in kept if h != head]
        if not rest:
            break
        accuracy = _accuracy(parts, read, labels, rest)
        fine = accuracy > target if strict else accuracy >= target
        if fine or late:
            kept = rest
        if not (fine or skip):
            break
    return kept


def _prune_again(parts, read, labels, target) -> list[int]:
    """Prune with the importance of the heads that are left, after each removal."""
    kept = list(range(parts.shape[1]))
    while len(kept) > 1:
        worst = int(_importance(parts[:, kept], read, labels).argmin())
        rest = kept[:worst] + kept[worst + 1 :]
        if _accuracy(parts, read, labels, rest) < target:
            break
        kept = rest
    return kept


def _name_pruning(cases, kept, right, inputs, case) -> None:
    """Raise with the name of the mistake that gives what was returned."""

    def by(change, **slip):
        return lambda slopes, parts, *rest: _prune(
            change(slopes, parts), parts, *rest, **slip
        )

    def correct(slopes, parts):
        return slopes.abs().mean(dim=0)

    def recomputed(slopes, parts, *rest):
        return _prune_again(parts, *rest)

    names = {
        "the importance is computed again after a removal: here it is computed once, "
        "with all gates at 1": recomputed,
        "the most important heads are removed first": by(
            lambda slopes, parts: -correct(slopes, parts)
        ),
        "the size is taken after the mean: slopes of opposite sign cancel. Take "
        ".abs() of each example's slope": by(
            lambda slopes, parts: slopes.mean(dim=0).abs()
        ),
        "the slopes keep their sign: take .abs() before the mean": by(
            lambda slopes, parts: slopes.mean(dim=0)
        ),
        "the slopes keep their sign (and are negated)": by(
            lambda slopes, parts: -slopes.mean(dim=0)
        ),
        "the slopes are squared: the importance is their mean size": by(
            lambda slopes, parts: slopes.square().mean(dim=0)
        ),
        "the importance is the size of the term, not the slope of the loss": by(
            lambda slopes, parts: parts.norm(dim=-1).mean(dim=0)
        ),
        "the heads are removed in their own order, 0, 1, 2, …": by(
            lambda slopes, parts: torch.arange(parts.shape[1])
        ),
        "one head too many is removed: test before you remove": by(correct, late=True),
        "one head too few is removed: an accuracy equal to the target is enough": by(
            correct, strict=True
        ),
        "stop at the first removal that would fall below the target: do not go on "
        "with other heads": by(correct, skip=True),
        "these are the removed heads: return those that are kept": (
            lambda slopes, parts, *rest: sorted(
                set(range(parts.shape[1]))
                - set(_prune(correct(slopes, parts), parts, *rest))
            )
        ),
    }
    for name, slip in names.items():
        if all(given == slip(_slopes(*some[:3]), *some) for given, _, some, _ in cases):
            raise WrongAnswer(f"{name} ({case}: got {kept}, expected {right})")
    if any(not given for given, *_ in cases):
        raise WrongAnswer(f"no head is left: at least one must stay ({case})")
    raise WrongAnswer(
        f"kept {kept}, expected {right} ({case}). The order is by the mean size of "
        "∂ℓ/∂gate with all gates at 1, computed once; stop at the first removal that "
        "would fall below the target"
    )


def _as_heads(got, case: str) -> list[int]:
    """Read what was returned as a list of heads."""
    if isinstance(got, Tensor):
        got = got.tolist()
    if not isinstance(got, Sequence) or isinstance(got, str):
        hint = ": is the return missing?" if got is None else ""
        raise WrongAnswer(
            f"expected a list of heads, got {type(got).__name__}{hint} ({case})"
        )
    kept = [int(head) for head in got]
    if kept != sorted(kept):
        raise WrongAnswer(f"the list of kept heads is not sorted: {kept} ({case})")
    return kept


# ---- 5.4: two facts by hand ---------------------------------------------------------


TWO_HEADS_CASES = [(3, 400), (8, 400), (5, 400), (20, 200), (128, 20), (512, 2)]


def check_two_heads(answer) -> None:
    """Run the given weights on fresh boxes: all answers must be right.

    The last box has, beside the first object asked for, only objects of the other
    colour, and the last but one the same for the second: the hardest for weak scores.
    """
    for S, num in TWO_HEADS_CASES:  # names, boxes
        W_q, W_k, W_v, W_o = _weights_of(answer(S), S)
        q, x, colours = _hard_boxes(num, S)
        weights = _softmax(q @ W_q, x @ W_k, None)  # (B, 2, 1, S)
        out = (weights @ (x @ W_v) @ W_o).sum(dim=1)[:, 0].unflatten(-1, (2, S))
        best = out.max(dim=-1, keepdim=True).values
        tie = ((out >= best - 1e-9).sum(dim=-1) > 1).any()
        right = (out.argmax(dim=-1) == colours).double().mean(dim=0)
        if (right == 1).all() and not tie:
            continue
        _name_weights(out, weights, x, q, colours, right, S)


def _hard_boxes(num: int, S: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw boxes; in the last two nearly all objects have one colour."""
    q, x, colours = two_facts(num, S, torch.Generator().manual_seed(S))
    q, x = q.double()[:, None], x.double()[:, None]  # (B, 1, ·, 2S): a head axis
    for box, asked in ((-1, 0), (-2, 1)):
        name = q[box, 0, 0].view(2, S)[asked].argmax()
        others = x[box, 0, :, :S].argmax(dim=-1) != name
        x[box, 0, others, S:] = F.one_hot(colours[box, 1 - asked], S).double()
    return q, x, colours


def _weights_of(got, S: int) -> list[Tensor]:
    """Check the number and the shapes of the given weights."""
    if not isinstance(got, Sequence | Tensor) or len(got) != 4:
        hint = ": is the return missing?" if got is None else ""
        raise WrongAnswer(f"expected four tensors W_q, W_k, W_v, W_o{hint}")
    shapes = [(2, 2 * S, S)] * 3 + [(2, S, 2 * S)]
    for name, weight, shape in zip(
        ("W_q", "W_k", "W_v", "W_o"), got, shapes, strict=True
    ):
        if not isinstance(weight, Tensor):
            raise WrongAnswer(f"{name} is {type(weight).__name__}, not a tensor")
        if tuple(weight.shape) != shape:
            raise WrongAnswer(
                f"{name} has shape {tuple(weight.shape)}, expected {shape} for S = {S}"
            )
        if not torch.isfinite(weight).all():
            raise WrongAnswer(f"{name} is not finite: large is enough (S = {S})")
    return [weight.detach().double() for weight in got]


def _name_weights(out, weights, x, q, colours, right, S: int) -> None:
    """Raise with the likely reason for wrong answers."""
    share = f"S = {S}: {100 * right[0]:.3g} % and {100 * right[1]:.3g} % right"
    swapped = (out.argmax(dim=-1) == colours.flip(1)).double().mean()
    if swapped > 0.9:
        raise WrongAnswer(
            "the answers are exchanged: the head that reads the first half of the "
            f"question must write the first half of the output ({share})"
        )
    names = x[:, 0, :, :S] @ q[:, 0].unflatten(-1, (2, S))[:, 0].mT  # (B, S, 2)
    looks = (weights[:, :, 0] @ names).mean(dim=0)  # (heads, questions)
    found, best = looks.max(dim=1)  # each head's weight on the object it serves
    if (best == best[0]).all() and found.max() > 0.6:
        raise WrongAnswer(
            f"both heads look at the same object: they must differ in W_q ({share})"
        )
    top = weights.amax(dim=-1, keepdim=True)
    shared = ((weights > top - 1e-6).sum(dim=-1) > 1).double().mean()
    if shared > 0.5 or not torch.allclose(found, top.mean(dim=(0, 2, 3)), atol=1e-3):
        raise WrongAnswer(
            f"the largest weight is {top.mean():.2f} on average, and not, or not only, "
            "on the object asked for: compare the names of question and object, with "
            f"a large positive factor ({share})"
        )
    if found.min() < 0.9:
        raise WrongAnswer(
            f"the heads look at the right objects, but with a weight of "
            f"{found.min():.2f} only: make the scores sharper. c must grow with √S, "
            f"by which the scores are divided ({share})"
        )
    raise WrongAnswer(
        f"the weights are right, {found.min():.2f} on the objects asked for. Look at "
        "W_v, whose values must be colours in both heads, and at W_o, which must put "
        f"the two contexts into different halves of the output ({share})"
    )


# ---- 5.5: other weights -------------------------------------------------------------


def check_other_weights(answer) -> None:
    """Check that the map is another one, and that the context is the same."""
    for seed, (num, width) in enumerate([(5, 2), (4, 2), (6, 3), (3, 1), (9, 2)] * 3):
        draw = _draws(seed)
        weights, v = draw(num).softmax(-1), draw(num, width)
        case = f"S={num}, Dv={width}"
        got = _untouched(answer, (weights, v), case)
        if not isinstance(got, Tensor):
            hint = ": is the return missing?" if got is None else ""
            name = type(got).__name__
            raise WrongAnswer(f"expected a torch.Tensor, got {name}{hint} ({case})")
        got = got.detach()
        if got.shape != weights.shape:
            raise WrongAnswer(
                f"shape {tuple(got.shape)}, expected {tuple(weights.shape)} ({case})"
            )
        if not torch.isfinite(got).all():
            raise WrongAnswer(f"the weights are not finite ({case})")
        _require_same_answer(got.double(), weights, v, case)


def _require_same_answer(got: Tensor, weights: Tensor, v: Tensor, case: str) -> None:
    """Check the four properties, in the order in which one would look at them."""
    if torch.allclose(got, weights, atol=1e-6, rtol=0):
        raise WrongAnswer(f"these are the old weights ({case})")
    if got.min() < -1e-9:
        raise WrongAnswer(
            f"a weight is negative, {got.min():.3g}: stop where the first one reaches "
            f"0 ({case})"
        )
    moved = (got @ v - weights @ v).abs().max()
    if abs(got.sum() - 1) > 1e-6 and moved > 1e-6:
        raise WrongAnswer(
            f"the sum is {got.sum():.4g} and the context moves by {moved:.3g}: the "
            "direction must be orthogonal to the ones and to the columns of v. With "
            "torch.linalg.svd keep full_matrices=True, or the last row of Vh is "
            f"another one ({case})"
        )
    if abs(got.sum() - 1) > 1e-6:
        raise WrongAnswer(
            f"the weights sum to {got.sum():.4g}, not to 1: the direction must have "
            f"sum 0; dividing afterwards would change the context ({case})"
        )
    if moved > 1e-6:
        raise WrongAnswer(
            f"the context moves by {moved:.3g}: the direction must be orthogonal to "
            f"every column of v ({case})"
        )
    if got.min() > 1e-9:
        raise WrongAnswer(
            f"no weight is 0, the smallest is {got.min():.3g}: walk on until the first "
            f"one reaches 0 ({case})"
        )


CHECKS = {
    "5.1": check_multi_head,
    "5.2": check_fuse,
    "5.3": check_prune,
    "5.4": check_two_heads,
    "5.5": check_other_weights,
}


# ---- shared -------------------------------------------------------------------------


def _draws(seed: int):
    """Return a function that draws float64 normal numbers of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _two(got, names: str) -> tuple:
    """Require a pair."""
    if not isinstance(got, Sequence) or len(got) != 2:
        hint = ": is the return missing?" if got is None else ""
        raise WrongAnswer(f"expected two tensors ({names}){hint}")
    return tuple(got)


def _untouched(answer, inputs: tuple, case: str):
    """Call the answer; name errors of shape, and check that its inputs are intact."""
    before = [x.clone() if isinstance(x, Tensor) else None for x in inputs]
    try:
        got = answer(*inputs)
    except RuntimeError as error:
        misfit = re.search(r"shape|size|dimension|broadcast|view", str(error))
        if not misfit or isinstance(error, NotImplementedError):
            raise
        line = str(error).partition("\n")[0]
        raise WrongAnswer(
            f"shapes do not fit ({case}). Write the shape of each tensor beside its "
            f"line. PyTorch says: {line}"
        ) from None
    for tensor, copy in zip(inputs, before, strict=True):
        if copy is not None and not torch.equal(tensor, copy):
            raise WrongAnswer(f"the function changes its input in place ({case})")
    return got
