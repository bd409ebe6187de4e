"""Batches of sentence pairs of similar length, so that little is padding.

Multi30k in random batches of 128 computes two tokens for every useful one; sorted by
length it is 1.05 or less. The order depends on the seed and the epoch only, so that an
interrupted run can go on exactly where it stopped.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from attnbook.tokenizers import END, PAD, START


class Batch(NamedTuple):
    """Padded token numbers: source ends with the end mark, target has both marks."""

    source: Int[Tensor, "B S"]
    target: Int[Tensor, "B T"]


class PairBatches:
    """An endless stream of length-bucketed batches.

    Args:
        sources: token numbers of each source sentence, without marks.
        targets: token numbers of each target sentence, without marks.
        batch_size: pairs per batch; the last batch of an epoch may be smaller.
        seed: chooses the order.
        device: where all pairs are kept; batches are cut there without any waiting.

    Raises:
        ValueError: nothing to draw, or different numbers of sources and targets.

    Example:
        >>> batches = PairBatches([[5], [6, 7]], [[8], [9, 9]], batch_size=2)
        >>> batch = batches.next()
        >>> batch.source.shape, batch.target.shape
        (torch.Size([2, 3]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        batch_size: int = 128,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ):
        if len(sources) != len(targets) or not sources or batch_size < 1:
            raise ValueError(
                f"got {len(sources)} sources, {len(targets)} targets and "
                f"batch_size = {batch_size}"
            )
        sources = [[*ids, END] for ids in sources]
        targets = [[START, *ids, END] for ids in targets]
        self.source_lengths = torch.tensor([len(ids) for ids in sources])
        self.target_lengths = torch.tensor([len(ids) for ids in targets])
        self.sources = pad(sources).to(device)
        self.targets = pad(targets).to(device)
        self.batch_size, self.seed = batch_size, seed
        self.epoch = self.position = 0
        self._plan: list[tuple[Tensor, int, int]] | None = None

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return -(-len(self.sources) // self.batch_size)

    def next(self) -> Batch:
        """Return the next batch; after the last one the next epoch begins."""
        if self._plan is None:
            self._plan = self._make_plan()
        rows, num_source, num_target = self._plan[self.position]
        self.position += 1
        if self.position == len(self):
            self.epoch, self.position, self._plan = self.epoch + 1, 0, None
        return Batch(self.sources[rows, :num_source], self.targets[rows, :num_target])

    def _make_plan(self) -> list[tuple[Tensor, int, int]]:
        """Shuffle, sort by length, cut, shuffle the batches."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        shuffled = torch.randperm(len(self.sources), generator=generator)
        # Sources of one length lie together; within a length, targets are sorted.
        key = self.source_lengths * (int(self.target_lengths.max()) + 1)
        order = shuffled[(key + self.target_lengths)[shuffled].argsort(stable=True)]
        batches = order.split(self.batch_size)
        on_device = order.to(self.sources.device).split(self.batch_size)
        plan = [
            (
                on_device[i],
                int(self.source_lengths[batches[i]].max()),
                int(self.target_lengths[batches[i]].max()),
            )
            for i in torch.randperm(len(batches), generator=generator).tolist()
        ]
        return plan

    def padding_ratio(self) -> float:
        """Return computed positions per useful one, over an epoch."""
        plan = self._plan or self._make_plan()
        computed = sum(len(rows) * (s + t) for rows, s, t in plan)
        useful = int(self.source_lengths.sum() + self.target_lengths.sum())
        return computed / useful

    def state_dict(self) -> dict:
        """Return where the stream stands, and in what."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "num_pairs": len(self.sources),
            "batch_size": self.batch_size,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where another stream over the same pairs stood.

        Raises:
            ValueError: that stream had another seed, other pairs or batches of
                another size, so another order.
        """
        if state["seed"] != self.seed:
            raise ValueError(f"the stream had seed {state['seed']}, not {self.seed}")
        had = (state["num_pairs"], state["batch_size"])
        if had != (len(self.sources), self.batch_size):
            raise ValueError(
                f"the stream had {had[0]} pairs in batches of {had[1]}, "
                f"not {len(self.sources)} in batches of {self.batch_size}"
            )
        self.epoch, self.position = state["epoch"], state["position"]
        self._plan = None


def pad(sequences: Sequence[Sequence[int]]) -> Int[Tensor, "B S"]:
    """Put sequences of token numbers into one tensor, padded at the end.

    Raises:
        ValueError: no sequences.

    Example:
        >>> pad([[5, 6], [7]]).tolist()
        [[5, 6], [7, 0]]
    """
    if not sequences:
        raise ValueError("there is nothing to pad: no sequences")
    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[PAD] * (longest - len(ids))] for ids in sequences])
