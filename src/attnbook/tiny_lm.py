"""A language model of one attention head, to measure what the scale does.

Chapter 2 trains it with and without 1/√d. The text needs no download: it is the
reference behind Python's `help()`, so it differs a little between Python versions.
"""

import re
from functools import partial
from pydoc_data.topics import topics

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnbook import tracing
from attnbook.attention import scaled_dot_product_attention
from attnbook.runtime import device, seed_everything
from attnbook.training import fit

ALPHABET = " abcdefghijklmnopqrstuvwxyz"
WINDOW = 32  # letters that the model reads at once


def letters() -> tuple[Tensor, Tensor]:
    """Return Python's reference as letter indices: nine tenths to train, one to test.

    Example:
        >>> train, test = letters()
        >>> bool(train.max() < 27), len(train) > 8 * len(test)
        (True, True)
    """
    text = " ".join(topics[name] for name in sorted(topics)).lower()
    text = " ".join(re.findall("[a-z]+", text))
    tokens = torch.tensor([ALPHABET.index(letter) for letter in text])
    return tokens.tensor_split([int(0.9 * len(tokens))])


class TinyLM(nn.Module):
    """Predict the next letter with one causal attention head.

    Args:
        d_head: width of the queries and keys.
        scaled: divide the scores by √d_head.
        init_sd: standard deviation of the first W_Q and W_K.
        d_model: width of everything else.

    Example:
        >>> TinyLM(5, True, 0.02)(torch.zeros(2, 3, dtype=torch.int64)).shape
        torch.Size([2, 3, 27])
    """

    def __init__(self, d_head: int, scaled: bool, init_sd: float, d_model: int = 32):
        super().__init__()
        self.token = nn.Embedding(len(ALPHABET), d_model)
        self.position = nn.Embedding(WINDOW, d_model)
        self.norm = nn.LayerNorm(d_model)
        self.query = nn.Linear(d_model, d_head, bias=False)
        self.key = nn.Linear(d_model, d_head, bias=False)
        self.value = nn.Linear(d_model, d_model, bias=False)
        self.out = nn.Linear(d_model, len(ALPHABET))
        self.scale = d_head**-0.5 if scaled else 1.0
        nn.init.normal_(self.query.weight, std=init_sd)
        nn.init.normal_(self.key.weight, std=init_sd)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, T, V) for letters (B, T), T at most 32."""
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        x = self.norm(x)  # (B, T, D)
        q, k, v = self.query(x), self.key(x), self.value(x)
        context = scaled_dot_product_attention(q, k, v, causal=True, scale=self.scale)
        return self.out(x + context)  # (B, T, V)


def next_letter_loss(
    model: TinyLM, source: Tensor, num: int, generator: torch.Generator
) -> Tensor:
    """Return the mean loss (nats per letter) on `num` random windows of a text."""
    start = torch.randint(len(source) - WINDOW - 1, (num, 1), generator=generator)
    window = source[start + torch.arange(WINDOW + 1)].to(model.out.weight.device)
    logits = model(window[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())


def train(
    d_head: int, scaled: bool, init_sd: float, steps: int, seeds: int = 3
) -> dict[str, np.ndarray]:
    """Train a `TinyLM` once per seed with Adam (0.01) on batches of 16 windows.

    Returns:
        "curve" (seeds, steps) of training losses; "loss" (seeds,) on 256 test
        windows, the same for all; "top" (seeds,), the mean largest weight there,
        of the queries that see more than 16 letters.
    """
    source, unseen = letters()
    curves, losses, tops = [], [], []
    for seed in range(seeds):
        g = seed_everything(seed)
        model = TinyLM(d_head, scaled, init_sd).to(device())
        draw = partial(next_letter_loss, model, source, 16, g)
        curves.append(fit(model, draw, steps=steps))
        with torch.no_grad(), tracing.record() as trace:
            losses.append(next_letter_loss(model, unseen, 256, g.manual_seed(1)).item())
        tops.append(trace["weights"][0][:, 16:].amax(dim=-1).mean().item())
    return {
        "curve": np.array(curves),
        "loss": np.array(losses),
        "top": np.array(tops),
    }
