"""Planted wrong answers to the exercises of chapter 7."""

import torch
import torch.nn.functional as F

from mistakes import Mistake

# ---- 7.1: LayerNorm -----------------------------------------------------------------


def norm(axis=-1, correction=0, eps=1e-5, outside=0.0, centre=True):
    """Return a norm with a fault."""

    def layer_norm(x, gain, shift):
        mean = x.mean(axis, keepdim=True) if centre else 0
        variance = x.var(axis, keepdim=True, correction=correction)
        return gain * (x - mean) / ((variance + eps).sqrt() + outside) + shift

    return layer_norm


def annotated(x, gain, shift):
    mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
    return gain * (x - mean) / (std + 1e-5) + shift


def root_mean_square(x, gain, shift):
    return F.rms_norm(x, x.shape[-1:], gain, 1e-5) + shift


def by_variance(x, gain, shift):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    return gain * (x - mean) / (variance + 1e-5) + shift


def ready_made(x, gain, shift):
    return F.layer_norm(x, x.shape[-1:], gain, shift, 1e-5)


def ready_made_module(x, gain, shift):
    return torch.nn.LayerNorm(x.shape[-1], elementwise_affine=False)(x) * gain + shift


def detached(x, gain, shift):
    mean = x.detach().mean(-1, keepdim=True)
    variance = x.detach().var(-1, keepdim=True, correction=0)
    return gain * (x - mean) / (variance + 1e-5).sqrt() + shift


def in_place(x, gain, shift):
    x.data -= x.data.mean(-1, keepdim=True)
    return norm()(x, gain, shift)


def by_moments(x, gain, shift):
    mean = x.sum(-1, keepdim=True) / x.shape[-1]
    variance = ((x - mean) ** 2).sum(-1, keepdim=True) / x.shape[-1]
    return (x - mean) * (variance + 1e-5) ** -0.5 * gain + shift


def by_loops(x, gain, shift):
    if x.dim() > 1:
        return torch.stack([by_loops(row, gain, shift) for row in x])
    centred = x - x.mean()
    return centred / torch.sqrt((centred * centred).mean() + 1e-5) * gain + shift


# ---- 7.2: the layer in both orders --------------------------------------------------


def layer(pre, post):
    """Return a layer from its two orders."""

    def encoder_layer(x, attend, feed, norm1, norm2, norm_first):
        return (pre if norm_first else post)(x, attend, feed, norm1, norm2)

    return encoder_layer


def good_pre(x, a, f, n1, n2):
    x = x + a(n1(x))
    return x + f(n2(x))


def good_post(x, a, f, n1, n2):
    x = n1(x + a(x))
    return n2(x + f(x))


def parallel(x, a, f, n1, n2):
    return x + a(n1(x)) + f(n2(x))


def stream_of_norms(x, a, f, n1, n2):
    x = n1(x)
    x = x + a(x)
    x = n2(x)
    return x + f(x)


def augmented(x, a, f, n1, n2):
    x += a(n1(x))
    x += f(n2(x))
    return x


def shared_norm(x, a, f, n1, n2):
    x = n1(x + a(x))
    return n1(x + f(x))


def norm_on_update(x, a, f, n1, n2):
    x = x + n1(a(x))
    return x + n2(f(x))


def no_residual(x, a, f, n1, n2):
    return n2(f(n1(a(x))))


def cut_residual(x, a, f, n1, n2):
    x = x.detach() + a(n1(x))
    return x + f(n2(x))


def twice(x, a, f, n1, n2):
    return x + a(n1(x)) + f(n2(x + a(n1(x))))


def by_steps(x, attend, feed, norm1, norm2, norm_first):
    for part, norm in ((attend, norm1), (feed, norm2)):
        x = x + part(norm(x)) if norm_first else norm(x + part(x))
    return x


def swapped_orders(x, attend, feed, norm1, norm2, norm_first):
    return by_steps(x, attend, feed, norm1, norm2, not norm_first)


def swapped_norms(x, attend, feed, norm1, norm2, norm_first):
    return by_steps(x, attend, feed, norm2, norm1, norm_first)


def only_post(x, attend, feed, norm1, norm2, norm_first):
    return good_post(x, attend, feed, norm1, norm2)


# ---- 7.3: patches -------------------------------------------------------------------


def good_cut(images, size):
    B, Y, X = images.shape
    tiles = images.reshape(B, Y // size, size, X // size, size)
    return tiles.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)


def good_join(patches, height, width):
    size = int(patches.shape[-1] ** 0.5)
    grid = patches.unflatten(-1, (size, size)).unflatten(1, (-1, width // size))
    return grid.transpose(2, 3).reshape(-1, height, width)


def cut_by_slices(images, size):
    tokens = [
        images[:, y : y + size, x : x + size].flatten(1)
        for y in range(0, images.shape[1], size)
        for x in range(0, images.shape[2], size)
    ]
    return torch.stack(tokens, dim=1)


def join_by_slices(patches, height, width):
    size = round(patches.shape[-1] ** 0.5)
    image = patches.new_zeros(len(patches), height, width)
    for t in range(patches.shape[1]):
        y, x = divmod(t, width // size)
        tile = patches[:, t].reshape(-1, size, size)
        image[:, y * size : (y + 1) * size, x * size : (x + 1) * size] = tile
    return image


def cut_as_runs(images, size):
    return images.reshape(len(images), -1, size * size)


def cut_by_columns(images, size):
    return good_cut(images.mT, size)


def cut_columns_of_patches(images, size):
    B, Y, X = images.shape
    tiles = images.reshape(B, Y // size, size, X // size, size)
    return tiles.permute(0, 3, 1, 2, 4).reshape(B, -1, size * size)


def cut_square_only(images, size):
    n = images.shape[1] // size
    return good_cut(images[:, :, : n * size], size)


def cut_strided(images, size):
    B, Y, X = images.shape
    tiles = images.reshape(B, size, Y // size, size, X // size)
    return tiles.permute(0, 2, 4, 1, 3).reshape(B, -1, size * size)


def cut_with_view(images, size):
    B, Y, X = images.shape
    tiles = images.view(B, Y // size, size, X // size, size)
    return tiles.transpose(2, 3).view(B, -1, size * size)


def cut_as_grid(images, size):
    return good_cut(images, size).unflatten(1, (images.shape[1] // size, -1))


def cut_through_numpy(images, size):
    return torch.tensor(good_cut(images.detach(), size).numpy())


def cut_unfolded(images, size):
    return F.unfold(images[:, None], size, stride=size).mT


def join_folded(patches, height, width):
    size = round(patches.shape[-1] ** 0.5)
    image = F.fold(patches.mT, (height, width), size, stride=size)
    return image[:, 0]


def cut_unfolded_as_float(images, size):
    return cut_unfolded(images * 1.0, size).to(images.dtype)


def join_folded_as_float(patches, height, width):
    return join_folded(patches * 1.0, height, width).to(patches.dtype)


def empty(*arguments):
    raise NotImplementedError("Exercise 7.3")


def join_as_runs(patches, height, width):
    return patches.reshape(-1, height, width)


def join_turned(patches, height, width):
    size = round(patches.shape[-1] ** 0.5)
    return good_join(patches.unflatten(-1, (size, size)).mT.flatten(2), height, width)


def join_as_square(patches, height, width):
    side = round((height * width) ** 0.5)
    return good_join(patches, side, side)


# ---- 7.4 and 7.5 --------------------------------------------------------------------


def statements(**changes):
    """Return the right answers to 7.4, with changes."""
    return {"A": True, "B": True, "C": False, "D": True} | changes


def reading(counts):
    right = counts.diagonal().double()
    off = counts.clone()
    off.fill_diagonal_(0)
    return {
        "accuracy": float(right.sum() / counts.sum()),
        "recall": right / counts.sum(dim=1),
        "precision": right / counts.sum(dim=0).clamp(min=1),
        "confused": divmod(int(off.argmax()), len(counts)),
    }


def reading_by_loops(counts):
    table = counts.tolist()
    n = len(table)
    columns = [sum(table[i][j] for i in range(n)) for j in range(n)]
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return {
        "accuracy": sum(table[i][i] for i in range(n)) / sum(map(sum, table)),
        "recall": [table[i][i] / sum(table[i]) for i in range(n)],
        "precision": [table[i][i] / max(1, columns[i]) for i in range(n)],
        "confused": max(pairs, key=lambda pair: table[pair[0]][pair[1]]),
    }


def reading_with(**changes):
    """Return a reading with some entries computed otherwise."""
    return lambda counts: (
        reading(counts) | {key: change(counts) for key, change in changes.items()}
    )


def transposed(counts):
    return reading(counts.mT)


def summed_pair(counts):
    both = counts + counts.mT
    both.fill_diagonal_(0)
    return divmod(int(both.argmax()), len(counts))


def largest_share(counts):
    shares = counts / counts.sum(1, keepdim=True)
    shares.fill_diagonal_(0)
    return divmod(int(shares.argmax()), len(counts))


def spoilt(counts):
    counts.fill_diagonal_(0)
    return reading(counts)


MISTAKES = [
    Mistake(
        exercise=exercise,
        name=name,
        names_it=names_it,
        answer=answer,
    )
    for exercise, name, names_it, answer in [
        ("7.1", "unbiased variance", "unbiased", norm(correction=1)),
        ("7.1", "Annotated Transformer", "Annotated Transformer", annotated),
        ("7.1", "eps outside", "outside the root", norm(eps=0, outside=1e-5)),
        ("7.1", "no eps", "NaN|eps is missing", norm(eps=0)),
        ("7.1", "over positions", "positions|tokens", norm(axis=-2)),
        ("7.1", "over the batch", "batch|tokens|whole tensor", norm(axis=0)),
        ("7.1", "over a sequence", "of a sequence", norm(axis=(1, 2))),
        ("7.1", "F.layer_norm", "own layer_norm", ready_made),
        ("7.1", "nn.LayerNorm", "own layer_norm", ready_made_module),
        ("7.1", "mean kept", "mean is not subtracted", norm(centre=False)),
        ("7.1", "RMSNorm", "RMSNorm", root_mean_square),
        ("7.1", "divided by the variance", "take its root", by_variance),
        ("7.1", "large eps", "off by", norm(eps=1e-3)),
        ("7.1", "detached", "must not be detached", detached),
        ("7.1", "in place", "in place", in_place),
        ("7.1", "no affine", "not used", lambda x, g, s: norm()(x, 1, 0)),
        ("7.1", "constant", "expected a function", torch.zeros(2)),
        ("7.2", "orders exchanged", "the other order", swapped_orders),
        ("7.2", "norms exchanged", "norm1 and norm2", swapped_norms),
        ("7.2", "post-norm always", "the other order", only_post),
        ("7.2", "parallel", "parallel", layer(parallel, good_post)),
        (
            "7.2",
            "residual after the norm",
            "from the normalised|this is the other",
            layer(stream_of_norms, good_post),
        ),
        ("7.2", "one norm twice", "one norm", layer(good_pre, shared_norm)),
        (
            "7.2",
            "norm on the update",
            "sublayer's output",
            layer(good_pre, norm_on_update),
        ),
        ("7.2", "no residual", "no residual", layer(good_pre, no_residual)),
        ("7.2", "cut residual", "gradient is not", layer(cut_residual, good_post)),
        ("7.2", "in place", "in place|\\+=", layer(augmented, good_post)),
        ("7.2", "attention twice", "calls attend", layer(twice, good_post)),
        ("7.2", "no return", "return missing", lambda *parts: None),
        ("7.3", "runs of a row", "view alone", (cut_as_runs, good_join)),
        ("7.3", "columns inside", "column by column", (cut_by_columns, good_join)),
        ("7.3", "order", "column by column", (cut_columns_of_patches, good_join)),
        ("7.3", "square images only", "shape", (cut_square_only, good_join)),
        ("7.3", "strided", "apart", (cut_strided, good_join)),
        ("7.3", "view after transpose", "not .view", (cut_with_view, good_join)),
        ("7.3", "grid kept", "merge both", (cut_as_grid, good_join)),
        ("7.3", "cut autograd", "cuts autograd", (cut_through_numpy, good_join)),
        ("7.3", "joined as runs", "does not undo", (good_cut, join_as_runs)),
        ("7.3", "tiles turned", "rows and columns", (good_cut, join_turned)),
        ("7.3", "square only", "shape", (good_cut, join_as_square)),
        ("7.3", "one function", "both functions", good_cut),
        ("7.3", "no second", "to_image is not written", (good_cut, empty)),
        ("7.3", "no first", "to_patches is not written", (empty, good_join)),
        ("7.3", "exchanged", "exchanged", (good_join, good_cut)),
        ("7.3", "arguments", "must take", (lambda images: images, good_join)),
        ("7.3", "unfold", "to_patches.*int64", (cut_unfolded, join_folded)),
        ("7.3", "fold", "to_image.*int64", (good_cut, join_folded)),
        ("7.4", "one wrong", "3 of the 4", statements(C=True)),
        ("7.4", "words", "True or False", statements(A="yes")),
        ("7.4", "a key is missing", "keys", {"A": True}),
        ("7.5", "rows and columns", "column sums|row sums", transposed),
        (
            "7.5",
            "mean recall",
            "mean of the recalls",
            reading_with(accuracy=lambda c: reading(c)["recall"].mean()),
        ),
        (
            "7.5",
            "per cent",
            "per cent",
            reading_with(accuracy=lambda c: 100 * reading(c)["accuracy"]),
        ),
        (
            "7.5",
            "NaN",
            "NaN",
            reading_with(precision=lambda c: c.diagonal() / c.sum(0)),
        ),
        (
            "7.5",
            "diagonal",
            "diagonal",
            reading_with(confused=lambda c: divmod(int(c.argmax()), len(c))),
        ),
        (
            "7.5",
            "wrong way round",
            "wrong way round",
            reading_with(confused=lambda c: reading(c)["confused"][::-1]),
        ),
        (
            "7.5",
            "both directions",
            "both directions",
            reading_with(confused=summed_pair),
        ),
        (
            "7.5",
            "share of a row",
            "share of a row",
            reading_with(confused=largest_share),
        ),
        ("7.5", "in place", "clone", spoilt),
        (
            "7.5",
            "error rate",
            "wrong answers",
            reading_with(accuracy=lambda c: 1 - reading(c)["accuracy"]),
        ),
    ]
]

ACCEPTED = {
    "7.1": [norm(), by_moments, by_loops],
    "7.2": [layer(good_pre, good_post), by_steps],
    "7.3": [
        (good_cut, good_join),
        [cut_by_slices, join_by_slices],
        (cut_unfolded_as_float, join_folded_as_float),
    ],
    "7.4": [statements(), lambda: statements()],
    "7.5": [reading, reading_by_loops],
}
