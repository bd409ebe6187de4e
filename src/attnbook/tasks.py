"""Generated tasks: small worlds whose right answers are known.

Each function draws fresh examples, so that nothing can be learned by heart, and
says which chapters use it. All return CPU tensors; pass a generator for a
repeatable draw.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from attnbook.tokenizers import END, PAD, START


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


def two_facts(
    num_boxes: int,
    num_objects: int,
    generator: torch.Generator | None = None,
) -> tuple[
    Float[Tensor, "B 1 features"], Float[Tensor, "B S features"], Int[Tensor, "B 2"]
]:
    """Draw boxes of named, coloured objects and ask for two colours in one question.

    A box holds S = num_objects objects in random order, one of each name. The question
    names two of them: what colour has the first, what colour has the second? These two
    colours differ; the others are drawn by themselves from S colours, so that the other
    objects tell nothing. Who mixes the two up is wrong (chapter 5).

    Args:
        num_boxes: B, at least 1.
        num_objects: S, at least 3; there are as many names and colours.
        generator: source of the draw.

    Returns:
        Questions (B, 1, 2·S), one-hot first name and one-hot second name; objects
        (B, S, 2·S), one-hot name and one-hot colour; right colours (B, 2), int64.

    Raises:
        ValueError: fewer than 1 box or 3 objects.

    Example:
        >>> q, x, colours = two_facts(4, 5)
        >>> q.shape, x.shape, colours.shape
        (torch.Size([4, 1, 10]), torch.Size([4, 5, 10]), torch.Size([4, 2]))
    """
    if num_boxes < 1 or num_objects < 3:
        raise ValueError(
            "two_facts needs num_boxes ≥ 1 and num_objects ≥ 3, "
            f"got {num_boxes} and {num_objects}"
        )
    shape = (num_boxes, num_objects)
    names = torch.rand(shape, generator=generator).argsort(dim=-1)
    asked = torch.rand(shape, generator=generator).argsort(dim=-1)[:, :2]  # places
    colours = torch.randint(num_objects, shape, generator=generator)
    first, second = asked.split(1, dim=-1)  # (B, 1) each
    shift = torch.randint(1, num_objects, (num_boxes, 1), generator=generator)
    colours.scatter_(1, second, (colours.gather(1, first) + shift) % num_objects)
    one_hots = [F.one_hot(part, num_objects) for part in (names, colours)]
    x = torch.cat(one_hots, dim=-1).float()  # (B, S, 2·S)
    q = F.one_hot(names.gather(1, asked), num_objects).flatten(1).float()
    return q.unsqueeze(1), x, colours.gather(1, asked)


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


def first_of_two(
    num: int,
    length: int,
    num_fillers: int = 10,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "B T"], Int[Tensor, " B"]]:
    """Put tokens 0 and 1 once each among fillers and ask whether 0 comes first.

    Both answers use the same tokens in another order, so a model that sees a set
    cannot do better than a coin (chapter 6).

    Args:
        num: B, number of sequences.
        length: T, at least 2.
        num_fillers: fillers are drawn from tokens 2 … num_fillers + 1; at least 1.
        generator: source of the draw.

    Returns:
        Tokens (B, T), int64; answers (B,), int64: 1 if token 0 stands before token 1.

    Raises:
        ValueError: fewer than 2 tokens, or no filler to draw from.

    Example:
        >>> x, answer = first_of_two(3, 5)
        >>> x.shape, (x < 2).sum(dim=1).tolist()
        (torch.Size([3, 5]), [2, 2, 2])
    """
    if length < 2 or num_fillers < 1:
        raise ValueError(
            "first_of_two needs length ≥ 2 and num_fillers ≥ 1, "
            f"got {length} and {num_fillers}"
        )
    x = torch.randint(2, num_fillers + 2, (num, length), generator=generator)
    places = torch.rand(num, length, generator=generator).argsort(dim=-1)[:, :2]
    x.scatter_(1, places, torch.tensor([[0, 1]]).expand(num, 2))
    return x, (places[:, 0] < places[:, 1]).long()


# Tokens of `copy_or_reverse` after the four marks of `tokenizers`: letters, orders.
LETTERS = range(4, 14)
COPY, REVERSE = 14, 15


def copy_or_reverse(
    num_pairs: int, longest: int = 8, generator: torch.Generator | None = None
) -> tuple[Int[Tensor, "B S"], Int[Tensor, "B T"]]:
    """Draw letters that are to be written again, in the same or in reverse order.

    The first source token gives the order: 14 means copy, 15 reverse. Then come 3 to
    `longest` letters (4 … 13) and the end mark. The target has both marks (chapter 8).

    Args:
        num_pairs: B, at least 1.
        longest: most letters, at least 3.
        generator: source of the draw.

    Returns:
        Source (B, longest + 2) and target (B, longest + 2), padded with 0.

    Raises:
        ValueError: no pair, or longest < 3.

    Example:
        >>> source, target = copy_or_reverse(1, 3, torch.Generator().manual_seed(0))
        >>> source.tolist(), target.tolist()
        ([[15, 13, 7, 4, 3]], [[2, 4, 7, 13, 3]])
    """
    if num_pairs < 1 or longest < 3:
        raise ValueError(
            "copy_or_reverse needs num_pairs ≥ 1 and longest ≥ 3, "
            f"got {num_pairs} and {longest}"
        )
    shape = (num_pairs, 1)
    length = torch.randint(3, longest + 1, shape, generator=generator)
    letters = torch.randint(4, 14, (num_pairs, longest + 1), generator=generator)
    order = torch.randint(COPY, REVERSE + 1, shape, generator=generator)
    place = torch.arange(longest + 1)
    turned = torch.where(order == REVERSE, length - 1 - place, place).clamp(min=0)

    def close(row: Tensor) -> Tensor:
        return row.masked_fill(place >= length, PAD).scatter(1, length, END)

    source = torch.cat((order, close(letters)), dim=1)
    start = torch.full(shape, START)
    return source, torch.cat((start, close(letters.gather(1, turned))), dim=1)
