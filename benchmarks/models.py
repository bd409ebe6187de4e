"""Time whole models against `torch.nn`: multi-head attention, translators, decoding.

README: `python benchmarks/models.py` prints a table of times relative to torch's own
modules at equal size and stores it under `benchmarks/results/`. How is said in
`timing.py`. Peak memory is that of a process of its own for each contestant.

`torch.nn` has dropout inside attention and feed-forward too, ours on the residual
updates only: the rows with dropout compare what each offers, not equal work. Nothing
here is asserted in tests.
"""

import argparse
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import Row, machine, measure, seconds, show, store
from torch import Tensor, nn

from attnbook import runtime
from attnbook.attention import merge_heads, split_heads
from attnbook.models import Transformer, TransformerConfig
from attnbook.multihead import MultiHeadAttention
from attnbook.positions import SinusoidalPositions

OURS, TORCH = "attnbook", "torch.nn"


class FusedAttention(nn.Module):
    """One product for q, k and v, then PyTorch's kernel: what fast GPT code does."""

    def __init__(self, d_model: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Return causal self-attention of x (B, T, D)."""
        q, k, v = (split_heads(y, self.num_heads) for y in self.qkv(x).chunk(3, -1))
        return self.out(
            merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        )


class ScratchAttention(FusedAttention):
    """The same with all T × T weights in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """Return causal self-attention of x (B, T, D)."""
        q, k, v = (split_heads(y, self.num_heads) for y in self.qkv(x).chunk(3, -1))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(dim=-1)
        return self.out(merge_heads(weights @ v))


class TorchTransformer(nn.Module):
    """`nn.Transformer` with what it lacks: embeddings, positions, tied output."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        c = self.config = config
        self.source_embedding = nn.Embedding(c.source_vocab, c.d_model)
        self.target_embedding = nn.Embedding(c.target_vocab, c.d_model)
        self.positions = SinusoidalPositions(c.max_len, c.d_model)
        self.dropout = nn.Dropout(c.dropout)
        self.core = nn.Transformer(
            c.d_model,
            c.num_heads,
            c.num_layers,
            c.num_layers,
            c.d_ff,
            c.dropout,
            norm_first=c.norm_first,
            batch_first=True,
        )

    def embed(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        """Return scaled embeddings with positions."""
        x = embedding(tokens) * math.sqrt(self.config.d_model)
        return self.dropout(self.positions(x))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the logits (B, T, V)."""
        padding = source == self.config.pad
        x = self.core(
            self.embed(self.source_embedding, source),
            self.embed(self.target_embedding, target),
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(
                target.shape[1], device=target.device
            ),
            tgt_is_causal=True,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return F.linear(x, self.target_embedding.weight)


def attention_row(device: torch.device, batch: int = 8, length: int = 1024) -> Row:
    """Compare multi-head attention, causal, forward and backward."""
    runtime.seed_everything(0)
    x = torch.randn(batch, length, 512).to(device)
    ours = MultiHeadAttention(512, 8).to(device)
    theirs = nn.MultiheadAttention(512, 8, batch_first=True).to(device)
    fused = FusedAttention(512, 8).to(device)
    scratch = ScratchAttention(512, 8).to(device)
    future = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)

    def torch_module(need_weights: bool) -> Tensor:
        return theirs(
            x, x, x, attn_mask=future, is_causal=True, need_weights=need_weights
        )[0]

    forward = {
        TORCH: lambda: torch_module(False),
        "torch.nn, weights": lambda: torch_module(True),
        OURS: lambda: ours(x, causal=True),
        "fused QKV + F.sdpa": lambda: fused(x),
        "from scratch": lambda: scratch(x),
    }
    return {
        name: lambda work=work: work().sum().backward()
        for name, work in forward.items()
    }


KINDS = {TORCH: TorchTransformer, OURS: Transformer}


def translators(device: torch.device, names=tuple(KINDS), **sizes) -> dict:
    """Return our Transformer and torch's at equal size, or one of them."""
    runtime.seed_everything(0)
    config = TransformerConfig(**sizes)
    return {name: KINDS[name](config).to(device) for name in names}


def step(model: nn.Module, source: Tensor, target: Tensor) -> Callable[[], None]:
    """Return one training step: loss, gradients, clipping, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def work() -> None:
        logits = model(source, target[:, :-1])
        loss = F.cross_entropy(
            logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=0
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return work


def words(batch: int, length: int, vocab: int, device: torch.device) -> Tensor:
    """Draw sentences whose lengths differ by a tenth, as length buckets give."""
    tokens = torch.randint(4, vocab, (batch, length))
    for row, short in enumerate(torch.randint(0, length // 10 + 1, (batch,)).tolist()):
        tokens[row, length - short :] = 0
    return tokens.to(device)


STEPS = {
    "d 256, 4 heads, 3 + 3, ff 1024, 64 × 32 tokens": (
        {"d_model": 256, "num_heads": 4, "d_ff": 1024, "num_layers": 3},
        (64, 32, 33, 6000, 6000),
    ),
    "Multi30k: d 256, 8 heads, 3 + 3, ff 512, 128 × 14 tokens": (
        {"d_model": 256, "num_heads": 8, "d_ff": 512, "num_layers": 3},
        (128, 14, 15, 7862, 5905),
    ),
}


def step_row(
    title: str, dropout: float, device: torch.device, names=tuple(KINDS)
) -> Row:
    """Compare one training step of the translators."""
    sizes, (batch, length, target_length, source_vocab, target_vocab) = STEPS[title]
    models = translators(
        device,
        names,
        source_vocab=source_vocab,
        target_vocab=target_vocab,
        dropout=dropout,
        **sizes,
    )
    source = words(batch, length, source_vocab, device)
    target = words(batch, target_length, target_vocab, device)
    return {name: step(model, source, target) for name, model in models.items()}


def peak_memory(title: str, dropout: float, name: str) -> float:
    """Return the MiB that five training steps add to a process, measured in it."""
    code = (
        f"import models; print(models.added_memory({title!r}, {dropout!r}, {name!r}))"
    )
    path = str(__file__).rpartition("/")[0] or "."
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=path, capture_output=True, text=True
    )
    answer.check_returncode()
    return float(answer.stdout)


def added_memory(title: str, dropout: float, name: str) -> float:
    """Train one contestant; return by how many MiB the process has grown."""
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the first product takes
    before = peak_resident()
    work = step_row(title, dropout, torch.device("cpu"), (name,))[name]
    for _ in range(5):
        work()
    return peak_resident() - before


def peak_resident() -> float:
    """Return this process's largest resident size so far in MiB (Linux).

    `resource.getrusage` would not do: a child inherits its parent's peak.
    """
    status = Path("/proc/self/status").read_text("ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@torch.no_grad()
def write_all_again(model: TorchTransformer, source: Tensor, max_len: int) -> Tensor:
    """Decode greedily without a cache, as `nn.Transformer` must."""
    target = torch.ones(len(source), 1, dtype=torch.long, device=source.device)
    for _ in range(max_len):
        word = model(source, target)[:, -1].argmax(dim=-1, keepdim=True)
        target = torch.cat((target, word), dim=1)
    return target


@torch.no_grad()
def write_with_cache(model: Transformer, source: Tensor, max_len: int) -> None:
    """Decode greedily with the cache; no sentence may end early."""
    state = model.start(source, max_len)
    word = torch.ones(len(source), dtype=torch.long, device=source.device)
    for _ in range(max_len):
        word = model.step(word, state).argmax(dim=-1)


def decoding(device: torch.device, lengths: list[int], without: int) -> dict:
    """Measure tokens per second over the length, with and without a cache."""
    models = translators(
        device,
        source_vocab=6000,
        target_vocab=6000,
        d_model=256,
        num_heads=4,
        d_ff=1024,
        num_layers=3,
        dropout=0.0,
        max_len=max(*lengths, without) + 1,
    )
    source = words(32, 32, 6000, device)
    ours, theirs = models[OURS].eval(), models[TORCH].eval()
    write_with_cache(ours, source, 8)
    speeds = {}
    for length in lengths:
        spent = seconds(lambda n=length: write_with_cache(ours, source, n))
        speeds[length] = 32 * length / spent
    slow = 32 * without / seconds(lambda: write_all_again(theirs, source, without))
    first, last = lengths[0], lengths[-1]
    growth = math.log(speeds[first] / speeds[last]) / math.log(last / first)
    return {
        "tokens_per_second": speeds,
        "growth_exponent_of_time_per_token": growth,
        "torch.nn without cache": {without: slow},
        "speed_up": speeds[without] / slow,
    }


def main() -> None:
    """Measure every row, print the table, store it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256, 512, 1024])
    options = parser.parse_args()
    device = runtime.device()
    report = {"machine": machine(device), "base": TORCH, "rows": {}, "memory": {}}

    title = "multi-head attention, causal, forward + backward, B 8, n 1024, d 512"
    report["rows"][title] = measure(attention_row(device), TORCH, options.rounds)
    show(title, report["rows"][title])
    for size in STEPS:
        for dropout in (0.0, 0.1):
            title = f"training step, {size}, dropout {dropout}"
            row = measure(step_row(size, dropout, device), TORCH, options.rounds)
            report["rows"][title] = row
            show(title, row)
            if device.type == "cpu" and sys.platform == "linux":
                report["memory"][title] = {
                    name: round(peak_memory(size, dropout, name)) for name in row
                }
                print("  MiB:", report["memory"][title])
    report["decoding, batch 32, source 32"] = decoding(
        device, options.lengths, options.lengths[0]
    )
    print(report["decoding, batch 32, source 32"])
    store(f"models-{device.type}", report)


if __name__ == "__main__":
    main()
