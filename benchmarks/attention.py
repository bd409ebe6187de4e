"""Time attention: ours, PyTorch's kernel, a from-scratch softmax, torch's module.

README: `python benchmarks/attention.py` prints a table of times relative to
`F.scaled_dot_product_attention` and stores it under `benchmarks/results/`.

How is said in `timing.py`. Nothing here is asserted in tests.
"""

import argparse
import math

import torch
import torch.nn.functional as F
from timing import Row, machine, measure, show, store
from torch import Tensor, nn

from attnbook import masks, runtime
from attnbook.attention import SelfAttention, scaled_dot_product_attention

BASE = "F.sdpa"


def from_scratch(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attend with all T × S weights in memory, as a first implementation does."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ v


def function_row(length: int, kind: str, device: torch.device) -> Row:
    """Return the contestants for one sequence length and one kind of mask."""
    generator = runtime.seed_everything(0)
    shape = (1, 4, length, 64)  # B, H, T, Dh
    q, k, v = (torch.randn(shape, generator=generator).to(device) for _ in range(3))
    mask = {
        "no mask": None,
        "causal": masks.causal(length, device=device),
        "padding": masks.padding(torch.tensor([length - 7]), length)[None].to(device),
        "random": torch.rand(length, length, device=device) < 0.5,
    }[kind]
    if kind == "causal":
        fused = {
            BASE: lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            "attnbook": lambda: scaled_dot_product_attention(q, k, v, causal=True),
        }
    else:
        fused = {
            BASE: lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
            "attnbook": lambda: scaled_dot_product_attention(q, k, v, mask),
        }
    return {**fused, "from scratch": lambda: from_scratch(q, k, v, mask)}


def module_row(length: int, device: torch.device) -> Row:
    """Compare one head of self-attention, forward and backward, as a module."""
    runtime.seed_everything(0)
    width = 64
    x = torch.randn(4, length, width, device=device)
    ours = SelfAttention(width, width, width).to(device)
    theirs = nn.MultiheadAttention(width, 1, bias=False, batch_first=True).to(device)
    q, k, v = ours.query, ours.key, ours.value

    def trained(out: Tensor) -> Tensor:
        out.sum().backward()
        return out

    def kernel(x: Tensor) -> Tensor:
        return trained(F.scaled_dot_product_attention(q(x), k(x), v(x)))

    return {
        BASE: lambda: kernel(x[None]),
        "F.sdpa, three axes": lambda: kernel(x),  # the fast kernels want four
        "attnbook": lambda: trained(ours(x)),
        "from scratch": lambda: trained(from_scratch(q(x), k(x), v(x), None)),
        # with an output projection, which the others do not have
        "nn.MultiheadAttention": lambda: trained(
            theirs(x, x, x, need_weights=False)[0]
        ),
    }


def main() -> None:
    """Measure every row, print the table, store it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--lengths", type=int, nargs="+", default=[2048, 4096])
    options = parser.parse_args()
    device = runtime.device()
    report = {"machine": machine(device), "base": BASE, "rows": {}}
    kinds = ("no mask", "causal", "padding", "random")
    for length in options.lengths:
        for kind in kinds:
            with torch.no_grad():
                work = function_row(length, kind, device)
                row = measure(work, BASE, options.rounds)
            report["rows"][f"forward, n = {length}, {kind}"] = row
    row = measure(module_row(options.lengths[0], device), BASE, options.rounds)
    report["rows"][f"module, forward + backward, n = {options.lengths[0]}"] = row
    for title, row in report["rows"].items():
        show(title, row)
    store(f"attention-{device.type}", report)


if __name__ == "__main__":
    main()
