"""Picking: can a score learn to find the right key among several?

The experiments of chapter 2. A task is a function (num, generator) that returns
queries (num, 1, D), keys (num, S, D) and the index of the right key (num,). A score
is trained by cross-entropy on its own softmax and tested on fresh draws: what it
cannot learn here, its formula cannot express or does not find.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnbook.runtime import seed_everything
from attnbook.scores import AdditiveScore, BilinearScore, Score, dot_score
from attnbook.training import fit

Task = Callable[[int, torch.Generator], tuple[Tensor, Tensor, Tensor]]


def cosine_score(q: Tensor, k: Tensor) -> Tensor:
    """Compute the dot product of q and k after giving both length 1.

    Args:
        q: queries (…, T, D).
        k: keys (…, S, D).

    Returns:
        Scores (…, T, S) from −1 to 1.

    Example:
        >>> cosine_score(torch.tensor([[2., 0.]]), torch.tensor([[3., 0.], [0., 1.]]))
        tensor([[1., 0.]])
    """
    return dot_score(F.normalize(q, dim=-1), F.normalize(k, dim=-1))


KINDS: dict[str, Callable[[int], Score]] = {
    "dot": lambda width: dot_score,
    "cosine": lambda width: cosine_score,
    "bilinear": lambda width: BilinearScore(width, width),
    "additive": lambda width: AdditiveScore(width, width, 64),
}


def train_to_pick(
    kind: str, task: Task, generator: torch.Generator, steps: int = 250
) -> Score:
    """Train a score of one kind, if it has parameters, to pick the right key.

    Args:
        kind: one of `KINDS`; the additive score has 64 hidden units.
        task: draws queries, keys and the index of the right key.
        generator: source of the draws.
        steps: updates, with 64 draws each.

    Returns:
        The score, trained.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of score {kind!r}; known: {', '.join(KINDS)}")
    score = KINDS[kind](task(1, generator)[0].shape[-1])

    def loss() -> Tensor:
        q, k, answer = task(64, generator)
        return F.cross_entropy(score(q, k)[:, 0], answer)

    if isinstance(score, nn.Module):
        fit(score, loss, steps=steps)
    return score


def try_task(
    kind: str, task: Task, test: Task | None = None, seeds: int = 3
) -> np.ndarray:
    """Train a score once per seed and test it on 2,000 fresh draws.

    Args:
        kind: one of `KINDS`.
        task: what the score is trained on.
        test: what it is tested on; the same task unless given.
        seeds: number of trainings.

    Returns:
        Accuracies (seeds,). The test draws depend on the seed only, so that
        different kinds of score meet the same ones.

    Example:
        >>> def first(num, g):
        ...     k = torch.eye(3).repeat(num, 1, 1)
        ...     return k[:, :1], k, torch.zeros(num, dtype=torch.int64)
        >>> try_task("dot", first).tolist()
        [1.0, 1.0, 1.0]
    """
    found = []
    for seed in range(seeds):
        generator = seed_everything(seed)
        score = train_to_pick(kind, task, generator)
        q, k, answer = (test or task)(2000, generator.manual_seed(100 + seed))
        hits = score(q, k)[:, 0].argmax(dim=-1) == answer
        found.append(hits.float().mean().item())
    return np.array(found)
