"""Boolean attention masks: True = may attend, everywhere in this book.

Chapter 2 builds the masked softmax, chapter 4 the causal mask. What a reader
may not expect: `nn.MultiheadAttention` and `nn.Transformer` use the opposite
sign (True = forbidden), and `is_causal` of PyTorch's own attention is aligned
top-left when T ≠ S. Here a causal mask is aligned bottom-right, so that the last
query always sees every key: that is what a key–value cache needs.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def causal(
    num_queries: int, num_keys: int | None = None, device=None
) -> Bool[Tensor, "T S"]:
    """Let query t see key s only if s ≤ t, counted from the end of both.

    Args:
        num_queries: T, at least 0.
        num_keys: S; the same as T unless given.
        device: where the mask is made.

    Returns:
        (T, S) mask with `mask[t, s] = (s <= t + S - T)`. For T > S the first
        T − S queries see nothing.

    Raises:
        ValueError: a negative size.

    Example:
        >>> causal(2, 3).int().tolist()
        [[1, 1, 0], [1, 1, 1]]
    """
    num_keys = num_queries if num_keys is None else num_keys
    if num_queries < 0 or num_keys < 0:
        raise ValueError(f"sizes must be ≥ 0, got T = {num_queries}, S = {num_keys}")
    ones = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return ones.tril(diagonal=num_keys - num_queries)


def padding(lengths: Int[Tensor, " B"], num_keys: int) -> Bool[Tensor, "B 1 S"]:
    """Let every query of sequence b see its first `lengths[b]` keys only.

    Args:
        lengths: (B,) useful tokens of each sequence, from 0 to S.
        num_keys: S, the padded length.

    Returns:
        (B, 1, S) mask, ready to broadcast over the T queries.

    Raises:
        ValueError: lengths that are not (B,) integers, or outside 0 … S.

    Example:
        >>> padding(torch.tensor([2, 3]), 3)[:, 0].int().tolist()
        [[1, 1, 0], [1, 1, 1]]
    """
    if lengths.dim() != 1 or lengths.is_floating_point():
        raise ValueError(
            f"lengths must be (B,) integers, got {lengths.dtype} "
            f"of shape {tuple(lengths.shape)}"
        )
    if lengths.numel() and not (0 <= int(lengths.min()) <= int(lengths.max())):
        raise ValueError(f"lengths must be ≥ 0, got {lengths.tolist()}")
    if lengths.numel() and int(lengths.max()) > num_keys:
        raise ValueError(
            f"lengths go up to {int(lengths.max())}, "
            f"but there are only S = {num_keys} keys"
        )
    return (torch.arange(num_keys, device=lengths.device) < lengths[:, None])[:, None]


def not_padding(tokens: Int[Tensor, "B S"], pad: int = 0) -> Bool[Tensor, "B 1 S"]:
    """Let every query see the keys that are no padding.

    Args:
        tokens: (B, S) token numbers.
        pad: the number that stands for padding.

    Returns:
        (B, 1, S) mask, ready to broadcast over the T queries. Unlike `padding` it
        never makes a GPU wait.

    Example:
        >>> not_padding(torch.tensor([[5, 7, 0]])).int().tolist()
        [[[1, 1, 0]]]
    """
    return (tokens != pad)[:, None]


def combine(*masks: Tensor | None) -> Tensor | None:
    """Allow what every given mask allows; `None` forbids nothing.

    Args:
        masks: boolean masks that broadcast to (…, T, S), or None.

    Returns:
        Their logical and, or None if all are None.

    Raises:
        ValueError: a mask that is not boolean, or shapes that do not broadcast.

    Example:
        >>> combine(causal(3), padding(torch.tensor([2]), 3))[0].int().tolist()
        [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    """
    combined = None
    for mask in masks:
        if mask is None:
            continue
        require_boolean(mask)
        try:
            combined = mask if combined is None else combined & mask
        except RuntimeError:
            raise ValueError(
                f"masks of shapes {tuple(combined.shape)} and {tuple(mask.shape)} "
                "do not broadcast"
            ) from None
    return combined


def require_boolean(mask: Tensor) -> None:
    """Refuse a mask whose meaning would have to be guessed.

    Raises:
        ValueError: the dtype is not torch.bool. A 0/1 mask of another dtype could
            mean "may attend" or "forbidden", and a float one could be added to
            the scores: the message says how to write each.
    """
    if mask.dtype == torch.bool:
        return
    hint = (
        "pass a bias that is added to the scores as bias=…"
        if mask.is_floating_point()
        else "write mask.bool() if 1 means 'may attend', mask == 0 if 1 means 'padding'"
    )
    raise ValueError(f"attn_mask must be boolean, got {mask.dtype}: {hint}")


def require_mask(
    mask: Tensor,
    num_queries: int,
    num_keys: int,
    batch: Sequence[int] | None = None,
) -> None:
    """Check that a mask is boolean and broadcasts to (*batch, T, S).

    Args:
        mask: what was passed as attn_mask.
        num_queries: T.
        num_keys: S.
        batch: the axes before T; unchecked unless given.

    Raises:
        ValueError: wrong dtype, wrong shape, or a mask that looks reversed: the
            exact complement of a causal mask (with T > 1 queries), which hides
            the present and the past and shows the future.
    """
    require_boolean(mask)
    require_broadcast("attn_mask", mask, num_queries, num_keys, batch)
    if is_reversed_causal(mask):
        raise ValueError(
            "attn_mask shows each query its future and hides the rest: it looks "
            "reversed. Here True = may attend; write ~mask, or masks.causal(T, S)"
        )


def require_broadcast(
    name: str,
    x: Tensor,
    num_queries: int,
    num_keys: int,
    batch: Sequence[int] | None = None,
) -> None:
    """Check that a mask or bias broadcasts to (*batch, T, S) without enlarging it.

    Raises:
        ValueError: it does not; the message names both shapes.
    """
    wanted = (*(batch or ()), num_queries, num_keys)
    got = tuple(x.shape if batch is not None else x.shape[-2:])
    pairs = zip(reversed(got), reversed(wanted), strict=False)
    if 2 <= len(got) <= len(wanted) and all(g in (1, w) for g, w in pairs):
        return
    axes = "…, " if batch is None else "".join(f"{size}, " for size in batch)
    raise ValueError(
        f"{name} of shape {tuple(x.shape)} does not broadcast to "
        f"(…, T, S) = ({axes}{num_queries}, {num_keys})"
    )


def is_reversed_causal(mask: Bool[Tensor, "*B T S"]) -> bool:
    """Tell whether a square CPU mask is exactly 'forbidden where causal allows'.

    Example:
        >>> is_reversed_causal(~causal(4)), is_reversed_causal(causal(4))
        (True, False)
    """
    num_queries, num_keys = mask.shape[-2:]
    if num_queries != num_keys or num_queries < 2:
        return False
    if mask.device.type != "cpu":  # reading it would make the GPU wait
        return False
    if mask[..., 0, 0].any() or not mask[..., 0, -1].all():
        return False
    return torch.equal(mask, (~causal(num_queries, device=mask.device)).expand_as(mask))
