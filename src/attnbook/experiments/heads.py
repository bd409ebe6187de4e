"""Chapter 5's experiments: who can answer two questions, and which heads can go.

`answer_two_facts` trains one attention layer on `tasks.two_facts` and counts what it
answers; `PatchReader` reads handwritten digits with one layer whose heads can be
switched off (Michel et al. 2019), and `pruning_curve` does so. The layers themselves
are built in the chapter or come from `attnbook.multihead`.

What a reader may not expect: one head fails the two facts by naming the right two
colours in the wrong order, and the same head with a hidden layer behind does not fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from attnbook.data import digits
from attnbook.models import patchify
from attnbook.multihead import MultiHeadAttention
from attnbook.runtime import device, seed_everything
from attnbook.tasks import two_facts
from attnbook.training import fit

NUM_NAMES = 8
EXAMINED = 4000  # boxes in the examination after training


@dataclass(frozen=True)
class Answers:
    """A trained layer and how it did: shares of 4,000 new boxes.

    `right` and `exchanged` (the colour of the *other* object asked for) hold one share
    for each question, `both` the share of boxes with both questions right. `watched`
    holds what `watch` returned after each step.
    """

    layer: nn.Module
    right: list[float]
    exchanged: list[float]
    both: float
    watched: list[float] = field(default_factory=list, repr=False)


def answer_two_facts(
    make: Callable[[], nn.Module],
    seed: int,
    *,
    behind: Callable[[], nn.Module] = nn.Identity,
    steps: int = 400,
    watch: Callable[[nn.Module], float] | None = None,
) -> Answers:
    """Train a layer on eight names and colours, then examine it.

    The layer gets questions (B, 1, 16) and objects (B, 8, 16) and gives (B, 1, 16):
    eight scores for question 1, then eight for question 2. Every batch is new.

    Args:
        make: builds the layer; called after the seed is set.
        seed: of the weights and the boxes.
        behind: builds what the output goes through before it is read.
        steps: updates by Adam with batches of 128.
        watch: called with the layer after each step; its numbers are kept.

    Returns:
        The layer, frozen, with the shares of right answers.

    Example:
        >>> run = answer_two_facts(lambda: MultiHeadAttention(16, 2), 0, steps=1)
        >>> len(run.right), run.both < 0.5
        (2, True)
    """
    seed_everything(seed)
    layer, after = make().to(device()), behind().to(device())

    def read(q: Tensor, x: Tensor) -> Tensor:  # (B, 2, 8)
        return after(layer(q, x)).view(-1, 2, NUM_NAMES)

    def loss() -> Tensor:
        q, x, colours = _boxes(128)
        return F.cross_entropy(read(q, x).mT, colours)

    watched = []
    note = None if watch is None else lambda step: watched.append(watch(layer))
    fit(nn.ModuleList([layer, after]), loss, steps=steps, lr=0.02, after_step=note)
    layer.requires_grad_(False)
    with torch.no_grad():
        q, x, colours = _boxes(EXAMINED)
        named = read(q, x).argmax(dim=-1)
    right = named == colours
    return Answers(
        layer=layer,
        right=_shares(right),
        exchanged=_shares(named == colours.flip(1)),
        both=right.all(dim=1).double().mean().item(),
        watched=watched,
    )


def _boxes(num: int) -> list[Tensor]:
    return [part.to(device()) for part in two_facts(num, NUM_NAMES)]


def _shares(hits: Tensor) -> list[float]:
    return [round(share, 3) for share in hits.double().mean(dim=0).tolist()]


class PatchReader(nn.Module):
    """Read an 8 × 8 digit as 16 patches, by one layer of multi-head attention.

    x = relu(embed(patches) + place); logits = classify(mean_t relu(x + attention(x))).

    Args:
        num_heads: H, a divisor of the width.
        width: D.

    Example:
        >>> PatchReader(4)(torch.rand(3, 16, 4)).shape
        torch.Size([3, 10])
    """

    def __init__(self, num_heads: int, width: int = 32):
        super().__init__()
        self.embed = nn.Linear(4, width)
        self.place = nn.Parameter(0.5 * torch.randn(16, width))
        self.attention = MultiHeadAttention(width, num_heads)
        self.classify = nn.Linear(width, 10)

    def tokens(self, patches: Float[Tensor, "B T P"]) -> Float[Tensor, "B T D"]:
        """Return what the attention reads."""
        return F.relu(self.embed(patches) + self.place)

    def answer(
        self, x: Float[Tensor, "B T D"], mixed: Float[Tensor, "B T D"]
    ) -> Float[Tensor, "B digits"]:
        """Return logits from the tokens and the attention's output."""
        return self.classify(F.relu(x + mixed).mean(dim=1))

    def forward(self, patches: Float[Tensor, "B T P"]) -> Float[Tensor, "B digits"]:
        """Return logits (B, 10) of patches (B, 16, 4)."""
        x = self.tokens(patches)
        return self.answer(x, self.attention(x))

    def gated(
        self,
        x: Float[Tensor, "B T D"],
        terms: Float[Tensor, "B H T D"],
        gates: Float[Tensor, "#B H"],
    ) -> Float[Tensor, "B digits"]:
        """Return logits with every head's term multiplied by a gate.

        Args:
            x: the tokens.
            terms: each head's context times its slice of the output map.
            gates: one per example and head, or one per head (1, H).
        """
        mixed = (gates[..., None, None] * terms).sum(dim=1)  # (B, T, D)
        return self.answer(x, mixed + self.attention.out_proj.bias)


def patches() -> tuple[
    Float[Tensor, "N T P"], Int[Tensor, " N"], Float[Tensor, "M T P"], Int[Tensor, " M"]
]:
    """Return the digits as patches (·, 16, 4) on the device: training, then test."""
    train_x, train_y, test_x, test_y = (part.to(device()) for part in digits())
    return patchify(train_x, 2), train_y, patchify(test_x, 2), test_y


def train_reader(reader: PatchReader, steps: int) -> float:
    """Train (on) by Adam with batches of 64; return the test accuracy in per cent."""
    train_x, train_y, test_x, test_y = patches()

    def loss() -> Tensor:
        i = torch.randint(len(train_y), (64,))
        return F.cross_entropy(reader(train_x[i]), train_y[i])

    fit(reader, loss, steps=steps, lr=0.005)
    with torch.no_grad():
        return _percent(reader(test_x), test_y)


def new_reader(num_heads: int, seed: int) -> tuple[PatchReader, float]:
    """Return a reader after 300 steps, and its test accuracy in per cent."""
    seed_everything(seed)
    reader = PatchReader(num_heads).to(device())
    return reader, train_reader(reader, steps=300)


@torch.no_grad()
def pruning_curve(
    reader: PatchReader,
    terms: Float[Tensor, "B H T D"],
    order: Sequence[int],
) -> list[tuple[float, float]]:
    """Remove heads of a trained reader, without training again.

    Args:
        reader: the reader.
        terms: each head's term on the test images.
        order: all heads, those to be removed first in front.

    Returns:
        For 0 to H heads removed, the test accuracy in per cent: in this order, and the
        mean over all subsets of that size.

    Raises:
        ValueError: the order does not name each head once.
    """
    num_heads = terms.shape[1]
    if sorted(order) != list(range(num_heads)):
        raise ValueError(
            f"order must name each of {num_heads} heads once, got {list(order)}"
        )
    *_, test_x, test_y = patches()
    x = reader.tokens(test_x)

    def accuracy(removed: Sequence[int]) -> float:
        gates = torch.ones(1, num_heads, device=x.device)
        gates[:, list(removed)] = 0
        return _percent(reader.gated(x, terms, gates), test_y)

    return [
        (
            accuracy(order[:num]),
            float(np.mean([accuracy(s) for s in combinations(range(num_heads), num)])),
        )
        for num in range(num_heads + 1)
    ]


def _percent(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.argmax(dim=-1) == labels).double().mean().item()
