"""Checkers of chapter 7: the encoder.

The two layers of exercise 7.2 are compared with PyTorch's own; the numbers of 7.4 and
7.5 come from small cases worked out in the chapter's solutions.
"""

import inspect
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attnbook.exercises import WrongAnswer, expect_equal, is_stub

NORM_CASES = [(2, 3, 5), (1, 4, 7), (5,), (2, 3, 4, 6), (3, 2, 2), (4, 4, 4)]
LAYER_CASES = [(2, 5, 4), (1, 3, 6), (3, 1, 4), (2, 4, 4)]
PATCH_CASES = [  # images (B, Y, X), patch size
    ((2, 4, 6), 2),
    ((1, 6, 4), 2),
    ((3, 6, 6), 3),
    ((2, 8, 8), 4),
    ((2, 3, 5), 1),
    ((1, 9, 6), 3),
    ((2, 4, 4), 4),
]


def check_layer_norm(answer) -> None:
    """Compare `layer_norm(x, gain, shift)` with the norm over the last axis."""
    for seed, shape in enumerate(NORM_CASES):
        draw = _draws(seed)
        x, gain, shift = 3 * draw(*shape) + 2, draw(shape[-1]), draw(shape[-1])
        _compare_norm(answer, x, gain, shift, f"x {shape}, random gain and shift")
    draw = _draws(20)
    tiny = 0.01 * draw(2, 3, 5)
    _compare_norm(answer, tiny, draw(5), draw(5), "x (2, 3, 5), values near 0.01")
    constant = torch.full((2, 4), 3.0, dtype=torch.float64)
    got = _call(answer, (constant, torch.ones(4).double(), torch.zeros(4).double()))
    if isinstance(got, Tensor) and got.isnan().any():
        raise WrongAnswer(
            "a token whose features are all equal gives NaN: its variance is 0, and "
            "0/0 is undefined. eps = 1e-5 belongs inside the root"
        )
    _compare_norm(answer, constant, draw(4), draw(4), "all features equal")
    x, gain, shift = (t.requires_grad_() for t in (draw(2, 4), draw(4), draw(4)))
    _require_gradients(answer(x, gain, shift), {"x": x, "gain": gain, "shift": shift})
    right = _layer_norm(x, gain, shift)
    wanted, got = (
        torch.autograd.grad(out.pow(3).sum(), x)[0]
        for out in (right, answer(x, gain, shift))
    )
    if not torch.allclose(wanted, got, atol=1e-7):
        raise WrongAnswer(
            "the values are right and the gradient is not: mean and variance depend on "
            "x, so they must not be detached"
        )
    with _Called() as called:
        answer(x, gain, shift)
    if used := called.names & {"layer_norm", "native_layer_norm", "group_norm"}:
        raise WrongAnswer(
            f"the values are right, but this calls PyTorch's own {min(used)}: write "
            "the mean, the variance and the root yourself"
        )


class _Called(TorchFunctionMode):
    """Collects the names of the PyTorch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def _compare_norm(answer, x: Tensor, gain: Tensor, shift: Tensor, case: str) -> None:
    got = _call(answer, (x, gain, shift), case)
    expect_equal(
        got,
        _layer_norm(x, gain, shift),
        _norm_slips(x, gain, shift),
        what="the normalised tokens",
        case=case,
    )


def check_encoder_layer(answer) -> None:
    """Compare `encoder_layer(x, attend, feed, norm1, norm2, norm_first)`."""
    if not callable(answer):
        raise WrongAnswer(
            f"expected a function, got {type(answer).__name__}: hand over "
            "encoder_layer itself, without calling it"
        )
    for norm_first in (False, True):
        for seed, shape in enumerate(LAYER_CASES):
            _compare_layer(answer, norm_first, seed, shape)


def _compare_layer(answer, norm_first: bool, seed: int, shape: tuple) -> None:
    x, parts, counts = _parts(seed, shape)
    order = "pre-norm" if norm_first else "post-norm"
    case = f"{order}, x {shape}"
    got = _call(answer, (x, *parts, norm_first), case)
    if isinstance(got, tuple):
        raise WrongAnswer(f"expected one tensor, got {len(got)} ({case})")
    reference, fresh, _ = _parts(seed, shape)
    mistakes = {
        text: slip(reference, *fresh) for text, slip in _layer_slips(norm_first).items()
    }
    right = _layer(norm_first)(reference, *fresh)
    expect_equal(got, right, mistakes, what="the layer's output", case=case)
    if any(count != 1 for count in counts.values()):
        names = ", ".join(f"{n} {c} times" for n, c in counts.items() if c != 1)
        raise WrongAnswer(
            f"each part is called once per layer; yours calls {names} ({case}). With "
            "dropout two calls would give two different results"
        )
    leaf = x.clone().requires_grad_()
    _require_gradients(answer(leaf, *parts, norm_first), {"x": leaf})
    (wanted,) = torch.autograd.grad(_layer(norm_first)(leaf, *fresh).pow(2).sum(), leaf)
    (got,) = torch.autograd.grad(answer(leaf, *parts, norm_first).pow(2).sum(), leaf)
    if not torch.allclose(wanted, got, atol=1e-7):
        raise WrongAnswer(
            f"the values are right and the gradient is not ({case}): something is "
            "detached. The residual must carry the gradient too"
        )


def check_patches(answer) -> None:
    """Compare `to_patches` and `to_image`, handed over as a pair."""
    if callable(answer):
        answer(torch.zeros(1, 2, 2), 1)  # the stub says so itself
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        raise WrongAnswer("hand over both functions: (to_patches, to_image)")
    cut, join = answer
    _require_both(cut, join)
    for seed, (shape, size) in enumerate(PATCH_CASES):
        images = _draws(seed)(*shape)
        case = f"images {shape}, size {size}"
        got = _call(cut, (images, size), f"to_patches, {case}")
        wanted = _patchify(images, size)
        slips = _patch_slips(images, size)
        expect_equal(got, wanted, slips, what="to_patches", case=case)
        back = _call(join, (wanted, *shape[1:]), f"to_image, {case}")
        expect_equal(
            back, images, _join_slips(wanted, *shape[1:]), what="to_image", case=case
        )
    integers = torch.arange(32).view(2, 4, 4)
    wanted = _patchify(integers, 2)
    got = _call(cut, (integers, 2), "to_patches, images of whole numbers, int64")
    expect_equal(got, wanted, what="to_patches of whole numbers")
    got = _call(join, (wanted, 4, 4), "to_image, tokens of whole numbers, int64")
    expect_equal(got, integers, what="to_image of whole numbers")
    turned = _draws(3)(2, 6, 4).mT  # not contiguous
    got = _call(cut, (turned, 2), "images that are a transposed view")
    expect_equal(got, _patchify(turned, 2), what="to_patches of a transposed view")
    leaf = _draws(4)(1, 4, 4).requires_grad_()
    _require_gradients(cut(leaf, 2), {"the images": leaf})


def _require_both(cut: Callable, join: Callable) -> None:
    """Check that both functions are written and stand in their order."""
    image, tokens = torch.zeros(1, 2, 2), torch.zeros(1, 4, 1)
    empty = []
    for name, function, inputs in (
        ("to_patches", cut, (image, 1)),
        ("to_image", join, (tokens, 2, 2)),
    ):
        try:
            function(*inputs)
        except NotImplementedError as error:
            if is_stub(error):
                empty.append(name)
        except Exception:
            pass  # its own case will name it
    if len(empty) == 2:
        raise NotImplementedError
    if empty:
        raise WrongAnswer(f"{empty[0]} is not written yet: write both functions")
    if _takes(cut, 3) and _takes(join, 2) and not _takes(cut, 2):
        raise WrongAnswer("the two are exchanged: hand over (to_patches, to_image)")
    for name, function, takes in (
        ("to_patches", cut, ("images", "size")),
        ("to_image", join, ("patches", "height", "width")),
    ):
        if not _takes(function, len(takes)):
            raise WrongAnswer(f"{name} must take {', '.join(takes)}")


def _takes(function, count: int) -> bool:
    """Tell whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def check_batch_norm(answer) -> None:
    """Compare the four statements about BatchNorm with what is true."""
    right = {"A": True, "B": True, "C": False, "D": True}
    answer = _choices(answer, right)
    for name, given in answer.items():
        if not isinstance(given, bool):
            raise WrongAnswer(f"statement {name}: answer True or False, got {given!r}")
    found = sum(answer[name] == truth for name, truth in right.items())
    if found < len(right):
        raise WrongAnswer(
            f"{found} of the 4 are right. Ask of each statement: over which axes are "
            "the mean and the variance taken, and which numbers stand on those axes? "
            "Then try it with nn.BatchNorm1d and nn.LayerNorm"
        )


def check_confusion(answer) -> None:
    """Compare `read_confusion(counts)` on random tables of counts."""
    draw = torch.Generator().manual_seed(5)
    sizes = [(3, 20), (2, 9), (5, 8), (10, 40), (4, 3)]
    tables = [torch.randint(0, most, (n, n), generator=draw) for n, most in sizes]
    tables = [table + torch.eye(len(table), dtype=torch.int64) for table in tables]
    never = torch.tensor([[4, 0, 1], [2, 0, 3], [1, 0, 6]])  # class 1: never predicted
    # the largest count, the largest share of a row, the largest sum of both directions
    # and the largest of all stand at four places
    apart = torch.tensor([[20, 5, 4], [1, 3, 2], [4, 0, 10]])
    tables = [_one_peak(table) for table in tables]
    tables += [_one_peak(table) for table in tables]
    for counts in (apart, *tables, never):
        _compare_reading(answer, counts)


def _one_peak(counts: Tensor) -> Tensor:
    """Make the largest entry off the diagonal a single one."""
    counts = counts.clone()
    counts[-1, 0] = counts.masked_fill(torch.eye(len(counts)).bool(), 0).max() + 1
    return counts


def _compare_reading(answer, counts: Tensor) -> None:
    case = f"counts {counts.tolist()}" if len(counts) < 4 else f"{len(counts)} classes"
    got = _call(answer, (counts,), case)
    names = ("accuracy", "recall", "precision", "confused")
    if not isinstance(got, dict) or set(got) != set(names):
        raise WrongAnswer(f"return a dictionary with keys {', '.join(names)}")
    right = counts.diagonal().double()
    recall = right / counts.sum(1)
    precision = right / counts.sum(0).clamp(min=1)
    _expect_number(got["accuracy"], float(right.sum() / counts.sum()), counts, case)
    for name, wanted, other in (
        ("recall", recall, precision),
        ("precision", precision, recall),
    ):
        text = {
            "recall": "recall divides by the column sums: rows are the true classes, "
            "and recall asks how many of a true class were found",
            "precision": "precision divides by the row sums: columns are the predicted "
            "classes, and precision asks how many of a prediction were right",
        }[name]
        slips = {} if torch.equal(wanted, other) else {text: other}
        slips[f"{name} divides by the total: use the sum of one row or column"] = (
            right / counts.sum()
        )
        value = got[name]
        if isinstance(value, list | tuple):
            value = torch.tensor([float(v) for v in value])
        if isinstance(value, Tensor):
            value = value.detach().cpu().double()
            if value.isnan().any() or value.isinf().any():
                raise WrongAnswer(
                    f"{name} has NaN: a class that is never predicted has column sum "
                    "0. Give 0 there"
                )
        expect_equal(value, wanted, slips, what=name, case=case, atol=1e-5, rtol=1e-5)
    _expect_pair(got["confused"], counts, case)


def _expect_number(value, wanted: float, counts: Tensor, case: str) -> None:
    value = _as_number(value, "accuracy", case)
    recall = counts.diagonal() / counts.sum(1)
    if abs(value - wanted) < 1e-5:
        return
    if abs(value - 100 * wanted) < 1e-3:
        raise WrongAnswer(f"accuracy is a share from 0 to 1, not per cent ({case})")
    if abs(value - float(recall.mean())) < 1e-5:
        raise WrongAnswer(
            "this is the mean of the recalls: accuracy counts images, and classes need "
            f"not have equally many ({case})"
        )
    if abs(value - (1 - wanted)) < 1e-5:
        raise WrongAnswer(f"this is the share of wrong answers ({case})")
    raise WrongAnswer(f"accuracy: got {value:.4g}, expected {wanted:.4g} ({case})")


def _as_number(value, what: str, case: str) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise WrongAnswer(f"{what} must be a number, got {value!r} ({case})")
    try:
        return float(value)
    except (RuntimeError, ValueError, TypeError):
        raise WrongAnswer(
            f"{what} must be one number, got {value!r} ({case})"
        ) from None


def _expect_pair(value, counts: Tensor, case: str) -> None:
    """Check the pair (true, predicted) that is confused most often."""
    off = counts.masked_fill(torch.eye(len(counts)).bool(), -1)
    wanted = divmod(int(off.argmax()), len(counts))
    whole = divmod(int(counts.argmax()), len(counts))
    try:
        true, predicted = (int(v) for v in value)
    except (TypeError, ValueError, RuntimeError):
        raise WrongAnswer(
            f"confused must be a pair (true class, predicted class), got {value!r}"
        ) from None
    if (true, predicted) == wanted:
        return
    if (predicted, true) == wanted:
        raise WrongAnswer(
            f"confused is the wrong way round: give (true, predicted), that is (row, "
            f"column) ({case})"
        )
    if true == predicted or (true, predicted) == whole:
        raise WrongAnswer(
            "confused names an entry of the diagonal: those are the right answers. "
            f"Look off the diagonal ({case})"
        )
    shares = off / counts.sum(1, keepdim=True)
    if (true, predicted) == divmod(int(shares.argmax()), len(counts)):
        raise WrongAnswer(
            "confused is the largest share of a row: give the largest count, the pair "
            f"with the most wrong images ({case})"
        )
    both = off + off.mT
    pair = divmod(int(both.argmax()), len(counts))
    if (true, predicted) in (pair, pair[::-1]):
        raise WrongAnswer(
            "confused adds both directions: 'a 3 read as an 8' and 'an 8 read as a 3' "
            f"are two entries; give the larger single one ({case})"
        )
    raise WrongAnswer(f"confused: got {(true, predicted)}, expected {wanted} ({case})")


CHECKS = {
    "7.1": check_layer_norm,
    "7.2": check_encoder_layer,
    "7.3": check_patches,
    "7.4": check_batch_norm,
    "7.5": check_confusion,
}


# ---- references and the values that known mistakes give ---------------------------


def _draws(seed: int):
    """Return a function that draws float64 normal numbers of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _layer_norm(x: Tensor, gain: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], gain, shift, eps)


def _norm_slips(x: Tensor, gain: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """Return what the usual slips give, where their shapes allow them."""
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    unbiased = x.var(-1, keepdim=True)
    done = centred / (variance + 1e-5).sqrt()
    slips = {
        "the variance is unbiased (divided by D − 1): LayerNorm divides by D. Tensor's "
        "var and std need correction=0": centred / (unbiased + 1e-5).sqrt() * gain
        + shift,
        "the deviation is unbiased, with eps outside the root, as in the Annotated "
        "Transformer: nn.LayerNorm divides by D, with eps inside": (
            centred / (unbiased.sqrt() + 1e-5) * gain + shift
        ),
        "eps stands outside the root: it belongs inside, √(variance + eps)": (
            centred / (variance.sqrt() + 1e-5) * gain + shift
        ),
        "eps is missing": centred / variance.sqrt() * gain + shift,
        "the tokens are divided by the variance: take its root": (
            centred / (variance + 1e-5) * gain + shift
        ),
        "the mean is not subtracted: that is closer to RMSNorm": (
            x / (variance + 1e-5).sqrt() * gain + shift
        ),
        "this is RMSNorm: LayerNorm subtracts the mean first": (
            F.rms_norm(x, x.shape[-1:], None, 1e-5) * gain + shift
        ),
        "gain and shift are not used": done,
        "the shift is not added": done * gain,
        "the gain is not used": done + shift,
        "gain and shift are exchanged": done * shift + gain,
        "the shift is added before the gain multiplies": (done + shift) * gain,
    }
    for axes, text in (
        (tuple(range(x.dim())), "mean and variance are taken over the whole tensor"),
        (tuple(range(x.dim() - 1)), "mean and variance are taken over the tokens"),
        (
            tuple(range(1, x.dim())),
            "mean and variance are taken over all tokens of a sequence",
        ),
        ((0,), "mean and variance are taken over the batch: that is BatchNorm's way"),
        ((-2,), "mean and variance are taken over the positions, axis −2"),
    ):
        if x.dim() > 1 and axes != (x.dim() - 1,):
            middle = x - x.mean(axes, keepdim=True)
            spread = middle.square().mean(axes, keepdim=True)
            value = middle / (spread + 1e-5).sqrt() * gain + shift
            slips[f"{text}: LayerNorm treats each token alone, axis −1"] = value
    return slips


def _parts(seed: int, shape: tuple) -> tuple[Tensor, tuple, dict[str, int]]:
    """Return tokens, the four parts of a layer, and how often each was called."""
    draw, width = _draws(seed), shape[-1]
    x = draw(*shape)
    W, U, V = draw(width, width), draw(width, 7), draw(7, width)
    gains = draw(2, width)
    counts = dict.fromkeys(("attend", "feed", "norm1", "norm2"), 0)

    def counted(name, function):
        def part(value):
            counts[name] += 1
            return function(value)

        return part

    parts = (
        counted("attend", lambda h: (h @ h.mT / 2).softmax(-1) @ h @ W),
        counted("feed", lambda h: (h @ U).relu() @ V),
        counted("norm1", lambda h: _layer_norm(h, gains[0], gains[1])),
        counted("norm2", lambda h: _layer_norm(h, gains[1], gains[0])),
    )
    return x, parts, counts


def _layer(norm_first: bool):
    """Return the layer in one order."""

    def post(x, attend, feed, norm1, norm2):
        x = norm1(x + attend(x))
        return norm2(x + feed(x))

    def pre(x, attend, feed, norm1, norm2):
        x = x + attend(norm1(x))
        return x + feed(norm2(x))

    return pre if norm_first else post


def _layer_slips(norm_first: bool) -> dict:
    """Return wrong layers by the mistake that they make."""

    def swapped(x, a, f, n1, n2):
        return _layer(norm_first)(x, a, f, n2, n1)

    slips = {
        "this is the other order: norm_first=True is x + f(norm(x)), False is "
        "norm(x + f(x))": _layer(not norm_first),
        "norm1 and norm2 are exchanged: norm1 belongs to the attention": swapped,
        "one norm is used for both sublayers: norm1": lambda x, a, f, n1, n2: _layer(
            norm_first
        )(x, a, f, n1, n1),
        "one norm is used for both sublayers: norm2": lambda x, a, f, n1, n2: _layer(
            norm_first
        )(x, a, f, n2, n2),
        "the feed-forward comes before the attention": lambda x, a, f, n1, n2: _layer(
            norm_first
        )(x, f, a, n1, n2),
        "there is no residual: the sublayers replace x instead of adding to it": (
            (lambda x, a, f, n1, n2: f(n2(a(n1(x)))))
            if norm_first
            else (lambda x, a, f, n1, n2: n2(f(n1(a(x)))))
        ),
        "the feed-forward is missing": (
            (lambda x, a, f, n1, n2: x + a(n1(x)))
            if norm_first
            else (lambda x, a, f, n1, n2: n2(n1(x + a(x))))
        ),
        "the norms are missing": lambda x, a, f, n1, n2: (x + a(x)) + f(x + a(x)),
        "both sublayers read the layer's input (a parallel layer): the feed-forward "
        "must read what the attention wrote": (
            (lambda x, a, f, n1, n2: x + a(n1(x)) + f(n2(x)))
            if norm_first
            else (lambda x, a, f, n1, n2: n2(n1(x + a(x)) + f(x)))
        ),
    }
    if norm_first:
        slips |= {
            "the residual comes from the normalised tokens: in pre-norm x itself runs "
            "past the norm": lambda x, a, f, n1, n2: _from_normed(x, a, f, n1, n2),
            "the second residual starts at the layer's input: add to the running x": (
                lambda x, a, f, n1, n2: x + f(n2(x + a(n1(x))))
            ),
            "the norm is on the sublayer's output, x + norm(f(x)): pre-norm is "
            "x + f(norm(x))": lambda x, a, f, n1, n2: _normed_update(x, a, f, n1, n2),
        }
    else:
        slips |= {
            "the norm is on the sublayer's output, x + norm(f(x)): post-norm is "
            "norm(x + f(x))": lambda x, a, f, n1, n2: _normed_update(x, a, f, n1, n2),
            "the second residual starts at the layer's input: add to the running x": (
                lambda x, a, f, n1, n2: n2(x + f(n1(x + a(x))))
            ),
        }
    return slips


def _from_normed(x, a, f, n1, n2):
    h = n1(x)
    x = h + a(h)
    h = n2(x)
    return h + f(h)


def _normed_update(x, a, f, n1, n2):
    x = x + n1(a(x))
    return x + n2(f(x))


def _patchify(images: Tensor, size: int) -> Tensor:
    B, Y, X = images.shape
    tiles = images.reshape(B, Y // size, size, X // size, size)
    return tiles.transpose(2, 3).reshape(B, -1, size * size)


def _patch_slips(images: Tensor, size: int) -> dict[str, Tensor]:
    B, Y, X = images.shape
    tiles = images.reshape(B, Y // size, size, X // size, size)
    area = size * size
    return {
        "the image is cut into runs of one row, not into squares: a view alone does "
        "not do it": images.reshape(B, -1, area),
        "the patches come column by column: go row by row, as one reads": (
            tiles.permute(0, 3, 1, 2, 4).reshape(B, -1, area)
        ),
        "inside a patch the pixels come column by column": (
            tiles.permute(0, 1, 3, 4, 2).reshape(B, -1, area)
        ),
        "rows and columns are exchanged, of patches and inside them: read row by row, "
        "not column by column": _patchify(images.mT, size),
        "tokens and features are exchanged: the shape is (B, T, size²)": (
            tiles.transpose(2, 3).reshape(B, -1, area).mT
        ),
        "axis 1 counts the rows of patches: merge both axes of patches": (
            tiles.transpose(2, 3).reshape(B, Y // size, X // size, area)
        ),
        "each token holds pixels that stand `size` apart: the first number of the "
        "split is the number of patches, the second their size": (
            images.reshape(B, size, Y // size, size, X // size)
            .permute(0, 2, 4, 1, 3)
            .reshape(B, -1, area)
        ),
    }


def _join_slips(patches: Tensor, height: int, width: int) -> dict[str, Tensor]:
    B = len(patches)
    size = math.isqrt(patches.shape[-1])
    slips = {
        "a view alone does not undo the cut: it lays each patch out as a run": (
            patches.reshape(B, height, width)
        ),
        "height and width are exchanged": _join(patches, width, height),
    }
    turned = patches.reshape(B, -1, size, size).mT.flatten(2)
    slips["inside a patch rows and columns are exchanged"] = _join(
        turned, height, width
    )
    grid = patches.reshape(B, width // size, height // size, size, size)
    slips["the patches are laid out column by column"] = grid.permute(
        0, 2, 3, 1, 4
    ).reshape(B, height, width)
    return slips


def _join(patches: Tensor, height: int, width: int) -> Tensor:
    B, size = len(patches), math.isqrt(patches.shape[-1])
    grid = patches.reshape(B, height // size, width // size, size, size)
    return grid.transpose(2, 3).reshape(B, height, width)


def _choices(answer, right: dict) -> dict:
    """Read a dictionary of choices; all None means not attempted."""
    answer = answer() if callable(answer) else answer
    if not isinstance(answer, dict) or set(answer) != set(right):
        keys = ", ".join(repr(key) for key in right)
        raise WrongAnswer(f"the answer must be a dictionary with keys {keys}")
    if all(value is None for value in answer.values()):
        raise NotImplementedError
    return answer


def _call(answer, inputs: tuple, case: str = ""):
    """Call the answer and check that it left its tensors alone.

    Errors of shape are named as wrong answers; others propagate as they are.
    """
    if not callable(answer):
        raise WrongAnswer(f"expected a function, got {type(answer).__name__}")
    before = [t.clone() if isinstance(t, Tensor) else None for t in inputs]
    try:
        got = answer(*inputs)
    except RuntimeError as error:
        if isinstance(error, NotImplementedError) and is_stub(error):
            raise
        first = str(error).partition("\n")[0]
        where = f" ({case})" if case else ""
        advice = ""
        if "view size is not compatible" in first:
            advice = "use .reshape or .flatten after a transpose, not .view. "
        elif "in-place" in first or "inplace" in first:
            advice = "write x = x + …, not x += …. "
        elif "not implemented for" in first:
            advice = "this function of PyTorch does not take whole numbers. "
        raise WrongAnswer(f"{advice}PyTorch says: {first}{where}") from None
    for tensor, copy in zip(inputs, before, strict=True):
        if copy is not None and not torch.equal(tensor, copy):
            raise WrongAnswer(
                "the function changes its input in place: write x = x + …, not x += …, "
                "or work on a copy, x.clone()"
            )
    if got is None:
        raise WrongAnswer("got None: is the return missing?")
    return got


def _require_gradients(out: Tensor, leaves: dict[str, Tensor]) -> None:
    """Check that training could reach every named tensor."""
    detour = "a detour through NumPy, torch.tensor(…) or .detach() cuts autograd"
    if not out.requires_grad:
        raise WrongAnswer(f"no gradient reaches {', '.join(leaves)}: {detour}")
    grads = torch.autograd.grad(
        out.pow(3).sum(), list(leaves.values()), allow_unused=True
    )
    for name, grad in zip(leaves, grads, strict=True):
        if grad is None or not grad.abs().sum() > 0:
            raise WrongAnswer(f"no gradient reaches {name}: {detour}")
