"""The training loop of the small experiments.

A chapter hands over a model and a function that draws a batch and returns its
loss; everything else (device, data, measure) stays in the chapter, in the open.
"""

import os
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import TqdmWarning

with warnings.catch_warnings():  # without ipywidgets it draws text bars, as wanted
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


def fit(
    model: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    lr: float = 1e-2,
    clip: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> list[float]:
    """Minimise a loss, with Adam unless told otherwise.

    Args:
        model: the module whose parameters are trained.
        loss: draws a batch and returns its scalar loss.
        steps: number of updates.
        lr: Adam's step size.
        clip: largest gradient norm, or None.
        optimizer: one that holds the model's parameters; `lr` is then not used.

    Returns:
        The loss before each update. A progress bar shows after two seconds.

    Raises:
        ValueError: the loss is not finite; the message says at which step.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> history = fit(model, lambda: ((model(x) - 3 * x) ** 2).mean(), steps=9)
        >>> history[-1] < history[0]
        True
    """
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    history = []
    for step in progress(range(steps)):
        value = loss()
        history.append(value.item())
        if not torch.isfinite(value):
            raise ValueError(
                f"the loss is {history[-1]} at step {step}: "
                f"lower lr (now {lr:g}) or set clip"
            )
        optimizer.zero_grad()
        value.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return history


def progress(iterable, **options):
    """Wrap an iterable in a progress bar that shows after two seconds.

    `ATTNBOOK_PROGRESS=0` turns it off, so that stored notebooks hold no bars.
    """
    off = os.environ.get("ATTNBOOK_PROGRESS") == "0"
    return tqdm(iterable, delay=2, leave=False, disable=off, **options)
