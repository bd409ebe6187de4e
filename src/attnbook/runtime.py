"""Where the code runs: device, seeds, and how much work fits there.

Every chapter calls these three functions in its first cells, so that the same
notebook is a one-minute run on two CPU cores and a larger one on a GPU.
"""

import random
from typing import TypeVar

import numpy as np
import torch

Choice = TypeVar("Choice")


def device() -> torch.device:
    """Return the fastest device at hand: CUDA, then Apple's MPS, then the CPU.

    Example:
        >>> device().type in {"cuda", "mps", "cpu"}
        True
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and return a fresh CPU generator.

    Args:
        seed: any integer from 0 to 2³² − 1 (NumPy's range).

    Returns:
        A `torch.Generator` with the same seed, for code that takes one.

    Raises:
        ValueError: the seed is out of NumPy's range.

    Example:
        >>> a = torch.rand(2, generator=seed_everything(3))
        >>> b = torch.rand(2, generator=seed_everything(3))
        >>> bool((a == b).all())
        True
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie in 0 … 2**32 - 1, got {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (libraries draw from the global state)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def budget(*, cpu: Choice, gpu: Choice) -> Choice:
    """Choose the size of a run by the device it will run on.

    Args:
        cpu: the value for a CPU (also for Apple's MPS): a run of seconds.
        gpu: the value for a CUDA device: the same code with more of everything.

    Returns:
        `gpu` where CUDA is available, else `cpu`.

    Example:
        >>> steps = budget(cpu=200, gpu=20_000)
        >>> steps in {200, 20_000}
        True
    """
    return gpu if torch.cuda.is_available() else cpu
