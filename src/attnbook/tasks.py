"""Generated tasks: small worlds whose right answers are known.

Each function draws fresh examples, so that nothing can be learned by heart, and
says which chapters use it. All return CPU tensors; pass a generator for a
repeatable draw.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def named_colour(
    num_boxes: int,
    num_objects: int,
    distinct: bool = True,
    generator: torch.Generator | None = None,
) -> tuple[
    Float[Tensor, "B T names"], Float[Tensor, "B S features"], Int[Tensor, "B T"]
]:
    """Draw boxes of named, coloured objects and ask for every object's colour.

    A box holds S = num_objects objects in random order. Each has one of S names
    (all different) and one of S colours. Query t asks: what colour is the object
    with name t? The T = S queries of a box are asked separately (chapter 1).

    Args:
        num_boxes: B, at least 1.
        num_objects: S, at least 2; there are as many names and colours.
        distinct: let the colours of a box all differ; otherwise each is drawn by
            itself.
        generator: source of the draw.

    Returns:
        Queries (B, T, S), one-hot names; objects (B, S, 2·S), one-hot name and
        one-hot colour side by side; right colours (B, T), int64.

    Raises:
        ValueError: fewer than 1 box or 2 objects.

    Example:
        >>> q, x, colour = named_colour(3, 5)
        >>> q.shape, x.shape, colour.shape
        (torch.Size([3, 5, 5]), torch.Size([3, 5, 10]), torch.Size([3, 5]))
    """
    if num_boxes < 1 or num_objects < 2:
        raise ValueError(
            "named_colour needs num_boxes ≥ 1 and num_objects ≥ 2, "
            f"got {num_boxes} and {num_objects}"
        )
    shape = (num_boxes, num_objects)
    names = torch.rand(shape, generator=generator).argsort(dim=-1)
    if distinct:
        colours = torch.rand(shape, generator=generator).argsort(dim=-1)
    else:
        colours = torch.randint(num_objects, shape, generator=generator)
    one_hots = [F.one_hot(part, num_objects) for part in (names, colours)]
    x = torch.cat(one_hots, dim=-1).float()  # (B, S, 2·S)
    q = torch.eye(num_objects).repeat(num_boxes, 1, 1)
    answer = torch.zeros_like(colours).scatter(1, names, colours)  # (B, T)
    return q, x, answer


def marked_value(
    distance: Int[Tensor, " B"],
    length: int,
    num_values: int = 8,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "B T features"], Int[Tensor, " B"]]:
    """Hide one marked token among unmarked ones and ask for its value at the end.

    Each of the first `length` tokens carries a random value; one of them also
    carries a mark. The last token is the question "what was the marked value?". It
    lies `distance` tokens after the marked one (chapter 4).

    Args:
        distance: (B,) steps from the marked token to the question, 1 to length.
        length: tokens before the question, at least 1.
        num_values: number of values, at least 2; a guess is right 1 time in so many.
        generator: source of the draw.

    Returns:
        Tokens (B, T, num_values + 2) with T = length + 1: one-hot value, then the
        mark, then the question flag. Right values (B,), int64.

    Raises:
        ValueError: a distance outside 1 … length, or fewer than 2 values.

    Example:
        >>> x, answer = marked_value(torch.tensor([1, 4]), length=5)
        >>> x.shape, x[..., 8].argmax(dim=1).tolist()
        (torch.Size([2, 6, 10]), [4, 1])
    """
    if num_values < 2:
        raise ValueError(f"marked_value needs num_values ≥ 2, got {num_values}")
    if distance.numel() and not (
        int(distance.min()) >= 1 and int(distance.max()) <= length
    ):
        raise ValueError(
            f"distances must lie in 1 … length = {length}, got "
            f"{int(distance.min())} to {int(distance.max())}"
        )
    values = torch.randint(num_values, (len(distance), length + 1), generator=generator)
    rows, marked = torch.arange(len(distance)), length - distance
    x = torch.zeros(len(distance), length + 1, num_values + 2)
    x[..., :num_values] = F.one_hot(values, num_values)
    x[:, -1] = 0.0
    x[:, -1, -1] = 1.0
    x[rows, marked, -2] = 1.0
    return x, values[rows, marked]


def draw_images(
    pool: Float[Tensor, "classes N D"],
    classes: Int[Tensor, "..."],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "... D"]:
    """Draw one random image of each wanted class (chapter 2).

    Args:
        pool: N images of each class, as `data.digits_by_class` returns.
        classes: the wanted classes, of any shape.
        generator: source of the draw.

    Returns:
        Images (*classes.shape, D).

    Example:
        >>> draw_images(torch.rand(10, 3, 64), torch.tensor([[7, 7]])).shape
        torch.Size([1, 2, 64])
    """
    return pool[
        classes, torch.randint(pool.shape[1], classes.shape, generator=generator)
    ]
