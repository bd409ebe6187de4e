"""Chapter 8's first translators: letters to copy or to reverse, right and broken.

What teaches nothing twice stands here: how a model is scored, and the mistakes that
the chapter plants. Each runs without an error; each fails one of three tests that the
chapter shows. A surprise: a model trained without a source mask is right in batches
like those it was trained on and wrong on a sentence that comes alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnbook import generation, tracing
from attnbook.models import Transformer, TransformerConfig
from attnbook.tasks import REVERSE, copy_or_reverse
from attnbook.tokenizers import END, MARKS, PAD, START, until_end

NAMES = [*MARKS, *"abcdefghij", "copy", "reverse"]
CONFIG = TransformerConfig(
    source_vocab=len(NAMES),
    target_vocab=len(NAMES),
    d_model=64,
    num_heads=4,
    d_ff=128,
    num_layers=1,
    dropout=0.0,
)
UNMASKED = replace(CONFIG, pad=-1)  # no token is −1, so nothing is ever padding


class Leaky(Transformer):
    """A Transformer whose decoder sees the future."""

    def decode(self, target, memory, memory_mask=None, *, causal=False):
        """Return the logits without a causal mask."""
        return super().decode(target, memory, memory_mask, causal=causal)


def share_right(
    model: nn.Module, *, alone: bool = False, extra: int = 0, num: int = 300
) -> float:
    """Return how many per cent of unseen lines are written rightly in every letter.

    Args:
        model: trained on `copy_or_reverse`; is put into evaluation mode.
        alone: translate each of the first 60 lines by itself, without padding.
        extra: columns of padding to append.
        num: lines in the batch otherwise.
    """
    device = next(model.parameters()).device
    draw = torch.Generator().manual_seed(99)
    source, target = copy_or_reverse(60 if alone else num, generator=draw)
    batches = [row[row != PAD][None] for row in source] if alone else [source]
    written = []
    for batch in batches:
        batch = F.pad(batch, (0, extra)).to(device)
        written += generation.greedy(model.eval(), batch, max_len=10).tolist()
    pairs = zip(written, target.tolist(), strict=True)
    return 100 * sum(until_end(w) == until_end(t) for w, t in pairs) / len(target)


PLACES = {"alone": {"alone": True}, "in a batch": {}, "more padding": {"extra": 12}}


def shares(models: Sequence[nn.Module]) -> dict[str, list[float]]:
    """Return `share_right` of each model alone, in a batch, and with more padding."""
    return {
        place: [share_right(model, **how) for model in models]
        for place, how in PLACES.items()
    }


def unmasked(model: Transformer) -> Transformer:
    """Return the same weights in a model that does not know what padding is."""
    copy = Transformer(replace(model.config, pad=-1))
    copy.load_state_dict(model.state_dict())
    return copy.to(next(model.parameters()).device)


def looks(model: Transformer, letters: str) -> tuple[Float[Tensor, "T S"], list, list]:
    """Let a model reverse letters; return its cross-attention, mean over heads.

    Args:
        model: with one layer.
        letters: from a to j.

    Returns:
        Weights (T, S), the tokens written, the tokens of the source.
    """
    ids = [NAMES.index(letter) for letter in letters]
    device = next(model.parameters()).device
    source = torch.tensor([[REVERSE, *ids, END]], device=device)
    target = torch.tensor([[START, *ids[::-1]]], device=device)
    with torch.no_grad(), tracing.record() as trace:
        model.eval()(source, target)
    keys = [NAMES[i] for i in source[0].tolist()]
    return trace["weights"][2][0].mean(dim=0), [*letters[::-1], NAMES[END]], keys


def draw_losses(axes, runs: dict[str, list[list[float]]], colours: Sequence[str]):
    """Draw the losses of several seeds per kind, averaged over ten steps.

    Args:
        axes: matplotlib axes.
        runs: name of a kind → losses of each seed.
        colours: one per kind; lines are whole, dashed, dotted.
    """
    for kind, (name, seeds) in enumerate(runs.items()):
        style = {"color": colours[kind], "ls": ("-", "--", ":")[kind % 3]}
        for number, losses in enumerate(seeds):
            smooth = torch.tensor(losses).unfold(0, 10, 10).mean(dim=1)
            label = None if number else name
            axes.plot(range(5, len(losses), 10), smooth, label=label, **style)
    axes.set(xlabel="step", ylabel="training loss (nats)", ylim=(0, 2.5))
    axes.legend(loc="upper left", bbox_to_anchor=(0.22, 1))  # in view on a phone
