"""Record what attention computed, in the same forward pass that predicts.

`attention` hands its scores and weights to `emit`; outside a `record()` block that
does nothing and the fast path runs. There is no second code path for pictures, so
a map cannot forget a mask the model used.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

Trace = dict[str, list[Tensor]]
_active: ContextVar[Trace | None] = ContextVar("attnbook_trace", default=None)


@contextmanager
def record() -> Iterator[Trace]:
    """Collect every tensor emitted inside the block, by name, in call order.

    Yields:
        A dictionary: name ("scores", "weights") → list of detached tensors, one
        per attention call.

    Example:
        >>> import torch
        >>> from attnbook.attention import scaled_dot_product_attention
        >>> x = torch.ones(1, 2, 3)
        >>> with record() as trace:
        ...     out = scaled_dot_product_attention(x, x, x)
        >>> trace["weights"][0]
        tensor([[[0.5000, 0.5000],
                 [0.5000, 0.5000]]])
    """
    token = _active.set(defaultdict(list))
    try:
        yield _active.get()
    finally:
        _active.reset(token)


def recording() -> bool:
    """Tell whether a `record()` block is open."""
    return _active.get() is not None


def emit(**tensors: Tensor) -> None:
    """Add tensors to the open recording, detached; do nothing if there is none."""
    trace = _active.get()
    if trace is None:
        return
    for name, tensor in tensors.items():
        trace[name].append(tensor.detach())
