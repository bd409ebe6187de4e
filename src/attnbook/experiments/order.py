"""Does a reader see order? Two tasks that train it and count its right answers.

Chapter 6 hands over readers that differ in their position code only. `on_tokens` asks
which of two tokens comes first, where the order is all there is; `on_digits` reads
handwritten digits as eight tokens, the rows of the image.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnbook.data import digits
from attnbook.runtime import device, seed_everything
from attnbook.tasks import first_of_two
from attnbook.training import fit

WIDTH = 32  # of the embedded tokens
LENGTH, NUM_TOKENS = 12, 12  # of the sequences of `on_tokens`

# From an embedding and the number of answers to a model of logits (B, answers).
Make = Callable[[nn.Module, int], nn.Module]


def on_tokens(
    make: Make, seeds: Iterable[int], steps: int = 300
) -> Float[np.ndarray, " seeds"]:
    """Train on `tasks.first_of_two` and return the accuracy on 1,024 new sequences.

    Args:
        make: called as make(embed, 2), with an embedding of 12 tokens of width 32.
        seeds: one model each.
        steps: updates on 64 fresh sequences of 12 tokens (Adam at 0.01).

    Returns:
        Per cent of right answers, one number per seed.
    """
    return np.array([_on_tokens(make, seed, steps) for seed in seeds])


def _on_tokens(make: Make, seed: int, steps: int) -> float:
    seed_everything(seed)
    model = make(nn.Embedding(NUM_TOKENS, WIDTH), 2).to(device())

    def draw(num):
        x, y = first_of_two(num, LENGTH, NUM_TOKENS - 2)
        return x.to(device()), y.to(device())

    _train(model, draw, steps)
    return percent_right(model, *draw(1024))


def on_digits(
    make: Make, seeds: Iterable[int], steps: int = 300
) -> Float[np.ndarray, " seeds"]:
    """Train on the rows of `data.digits` and return the accuracy on its test images.

    Args:
        make: called as make(embed, 10), with a linear map from 8 pixels to width 32.
        seeds: one model each.
        steps: updates on 64 random training images (Adam at 0.01).

    Returns:
        Per cent of right answers, one number per seed.
    """
    return np.array([_on_digits(make, seed, steps) for seed in seeds])


def _on_digits(make: Make, seed: int, steps: int) -> float:
    images, labels, test_images, test_labels = (part.to(device()) for part in digits())
    seed_everything(seed)
    model = make(nn.Linear(8, WIDTH), 10).to(device())

    def draw(num):
        i = torch.randint(len(images), (num,))
        return images[i], labels[i]

    _train(model, draw, steps)
    return percent_right(model, test_images, test_labels)


def _train(model: nn.Module, draw: Callable, steps: int) -> None:
    def loss():
        x, y = draw(64)
        return F.cross_entropy(model(x), y)

    fit(model, loss, steps=steps)


@torch.no_grad()
def percent_right(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return how many answers out of a hundred are right.

    Example:
        >>> percent_right(nn.Identity(), torch.eye(4), torch.tensor([0, 1, 2, 0]))
        75.0
    """
    return 100 * (model(x).argmax(dim=-1) == y).float().mean().item()
