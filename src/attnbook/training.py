"""The training loop: one for the whole book, from toy models to translators.

A chapter hands over a model and a function that draws a batch and returns its loss;
everything else (device, data, measure) stays in the chapter, in the open. Warm-up
schedules are functions of the step. With `checkpoint=` a run survives a kill or a lost
connection: called again it goes on, on a CPU bit for bit as if nothing had happened.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import TqdmWarning

with warnings.catch_warnings():  # without ipywidgets it draws text bars, as wanted
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

from attnbook.checkpoints import held, load_run, save_run


def fit(
    model: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    lr: float = 1e-2,
    clip: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Callable[[int], float] | None = None,
    mixed: bool = False,
    checkpoint: str | Path | None = None,
    save_every: int = 500,
    streams: Mapping[str, object] | None = None,
    after_step: Callable[[int], None] | None = None,
) -> list[float]:
    """Minimise a loss, with Adam unless told otherwise.

    Args:
        model: the module whose parameters are trained.
        loss: draws a batch and returns its scalar loss.
        steps: number of updates, those of an interrupted run included.
        lr: Adam's step size.
        clip: largest gradient norm, or None.
        optimizer: another optimizer over the model's parameters; lr is then its own.
        schedule: the step size of update 1, 2, …; overrides lr.
        mixed: compute the loss in bfloat16 where it is safe (autocast), on a GPU.
        checkpoint: file to save to; if it exists the run goes on from there.
        save_every: updates between two checkpoints; the last update saves too.
        streams: what else moves while training and must go on from its place: name →
            `torch.Generator` or an object with `state_dict` and `load_state_dict`.
        after_step: called with the number of updates done, before saving.

    Returns:
        The loss before each update. A progress bar shows after two seconds.

    Raises:
        ValueError: the loss is not finite; the message says at which step, and the
            last checkpoint is from before it. Or save_every < 1, or the checkpoint
            has more updates than steps.
        OSError: a checkpoint cannot be saved, or is damaged.
        RuntimeError: another process trains with this checkpoint.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> history = fit(model, lambda: ((model(x) - 3 * x) ** 2).mean(), steps=9)
        >>> history[-1] < history[0]
        True
    """
    if save_every < 1:
        raise ValueError(f"save_every must be ≥ 1, got {save_every}")
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    streams = streams or {}
    device = next(model.parameters()).device.type
    # Reading a loss makes a GPU wait for it; there, losses are read in bundles.
    bundle = 50 if device == "cuda" else 1
    history, unread = [], []
    autocast = torch.autocast(
        device, torch.bfloat16, enabled=mixed and device == "cuda"
    )

    with held(checkpoint):
        if checkpoint is not None and Path(checkpoint).exists():
            history = load_run(checkpoint, model, optimizer, streams)
        if len(history) > steps:
            raise ValueError(
                f"the checkpoint {checkpoint} has {len(history)} updates already, more "
                f"than steps = {steps}"
            )

        for step in progress(
            range(len(history), steps), initial=len(history), total=steps
        ):
            if schedule is not None:
                set_rate(optimizer, schedule(step + 1))
            with autocast:
                value = loss()
            unread.append(value.detach())
            if len(unread) >= bundle:
                _read(unread, history, optimizer, checkpoint)
            optimizer.zero_grad()
            value.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if after_step is not None:
                after_step(step + 1)
            if checkpoint is not None and (
                (step + 1) % save_every == 0 or step + 1 == steps
            ):
                _read(unread, history, optimizer, checkpoint)
                _require_finite(model, step + 1, checkpoint)
                save_run(checkpoint, model, optimizer, streams, history)
        _read(unread, history, optimizer, checkpoint)
    return history


def _read(unread, history, optimizer, checkpoint) -> None:
    """Move losses from the device into the history; stop at one that is not finite."""
    if not unread:
        return
    values = torch.stack(unread).tolist()
    unread.clear()
    for value in values:
        if value - value != 0:  # infinite or not a number
            rate = optimizer.param_groups[0]["lr"]
            raise ValueError(
                f"the loss is {value} at step {len(history)}: lower lr (now {rate:g}) "
                f"or set clip{_kept(checkpoint)}"
            )
        history.append(value)


def _require_finite(model, step, checkpoint) -> None:
    """Refuse to save weights that are spoilt already."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(
                f"{name} is not finite after step {step - 1}: lower lr or set clip"
                f"{_kept(checkpoint)}"
            )


def _kept(checkpoint) -> str:
    """Tell what is left of a run that failed."""
    if checkpoint is None or not Path(checkpoint).exists():
        return ""
    return f". The last good checkpoint is kept in {checkpoint}"


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the step size of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def noam_rate(step: int, d_model: int, warmup: int, factor: float = 1.0) -> float:
    """Return factor · D^−½ · min(t^−½, t · warmup^−3/2), the Transformer's step size.

    Args:
        step: t ≥ 1.
        d_model: D.
        warmup: steps of linear growth before the decay begins.
        factor: a constant in front.

    Raises:
        ValueError: t < 1 or warmup < 1.

    Reference: Vaswani et al. 2017, equation 3.

    Example:
        >>> round(noam_rate(4000, 512, 4000), 6)
        0.000699
    """
    if step < 1 or warmup < 1:
        raise ValueError(f"step and warmup start at 1, got {step} and {warmup}")
    return factor * d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)


def linear_rate(step: int, peak: float, warmup: int, steps: int) -> float:
    """Grow linearly to a peak, then fall linearly to zero at the end of training.

    Args:
        step: t from 1 to steps.
        peak: the largest step size.
        warmup: when it is reached.
        steps: when the size would be zero, one step after the last.

    Raises:
        ValueError: not 1 ≤ warmup ≤ steps, or t < 1.

    Example:
        >>> [linear_rate(t, 1.0, 2, 5) for t in (1, 2, 3, 5)]
        [0.5, 1.0, 0.75, 0.25]
    """
    if not 1 <= warmup <= steps or step < 1:
        raise ValueError(
            f"need 1 ≤ warmup ≤ steps and step ≥ 1, got warmup = {warmup}, "
            f"steps = {steps}, step = {step}"
        )
    return peak * min(step / warmup, (steps + 1 - step) / (steps + 1 - warmup))


def progress(iterable, **options):
    """Wrap an iterable in a progress bar that shows after two seconds.

    `ATTNBOOK_PROGRESS=0` turns it off, so that stored notebooks hold no bars.
    """
    off = os.environ.get("ATTNBOOK_PROGRESS") == "0"
    return tqdm(iterable, delay=2, leave=False, disable=off, **options)
