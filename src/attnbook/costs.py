"""What a computation costs: bytes kept for training, and seconds.

Chapter 2 compares scores with them. Bytes are counted exactly; seconds are the
fastest of several runs, and only ratios of them are worth reporting.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor


def saved_bytes(compute: Callable[[], object]) -> int:
    """Count the bytes that autograd keeps for the backward pass of a computation.

    A tensor that is kept twice counts twice.

    Example:
        >>> x = torch.ones(5, requires_grad=True)
        >>> saved_bytes(lambda: x.exp())
        20
    """
    kept: list[int] = []

    def count(tensor: Tensor) -> Tensor:
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        compute()
    return sum(kept)


def seconds(compute: Callable[[], object], repeats: int = 20) -> float:
    """Return the time of the fastest of several runs without gradients, in seconds.

    For computations on the CPU: a GPU would return before it is done.

    Raises:
        ValueError: fewer than one run.

    Example:
        >>> seconds(lambda: torch.ones(5).exp()) > 0
        True
    """
    if repeats < 1:
        raise ValueError(f"seconds needs repeats ≥ 1, got {repeats}")
    taken = []
    with torch.no_grad():
        for _ in range(repeats):
            start = time.perf_counter()
            compute()
            taken.append(time.perf_counter() - start)
    return min(taken)
