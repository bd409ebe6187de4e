"""Translation before the Transformer: two GRUs, without and with attention.

The first two rungs of chapter 8's ladder. Both read the source with a bidirectional
GRU and write with another one; they differ in one thing only, where the decoder's
context comes from. Without attention it is one vector for the whole sentence (Cho et
al. 2014, arXiv:1406.1078), with attention an average of the source positions, made
anew for each word (Bahdanau et al. 2015, arXiv:1409.0473).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attnbook import masks, tracing
from attnbook.models import require_sizes
from attnbook.scores import AdditiveScore, masked_softmax


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Sizes of a `RecurrentTranslator`, those of the published ladder."""

    source_vocab: int
    target_vocab: int
    context: Literal["fixed", "additive"]
    d_model: int = 256
    d_hidden: int = 512
    dropout: float = 0.5
    pad: int = 0

    def __post_init__(self):
        require_sizes(self, "source_vocab", "target_vocab", "d_model", "d_hidden")
        if self.context not in ("fixed", "additive"):
            raise ValueError(
                f"context must be 'fixed' or 'additive', got {self.context!r}"
            )


@dataclass
class RecurrentState:
    """What the decoder carries from word to word."""

    memory: Tensor  # (B, S, 2F)
    keys: Tensor  # (B, S, F), the memory as the score sees it
    memory_mask: Tensor
    summary: Tensor  # (B, 1, 2F), the fixed context
    hidden: Tensor  # (1, B, F)

    def reorder(self, rows: Int[Tensor, " B"]) -> None:
        """Let row b go on from row `rows[b]`, a hypothesis of the same sentence."""
        self.hidden = self.hidden[:, rows]


class RecurrentTranslator(nn.Module):
    """GRU encoder–decoder; `context="additive"` lets it look back at the source.

    s_t = GRU([e(y_{t−1}), c_t], s_{t−1}); logits = E W_o [s_t, c_t, e(y_{t−1})], with
    c_t the last states of both directions ("fixed") or Σ_s softmax_s(v·tanh(W h_s +
    U s_{t−1})) h_s ("additive"); E is the target embedding (tied).

    Example:
        >>> config = RecurrentConfig(
        ...     source_vocab=11, target_vocab=13, context="additive", d_hidden=16)
        >>> model = RecurrentTranslator(config)
        >>> model(torch.ones(2, 5).long(), torch.ones(2, 3).long()).shape
        torch.Size([2, 3, 13])
    """

    def __init__(self, config: RecurrentConfig):
        super().__init__()
        c = self.config = config
        self.source_embedding = nn.Embedding(c.source_vocab, c.d_model)
        self.target_embedding = nn.Embedding(c.target_vocab, c.d_model)
        self.encoder = nn.GRU(
            c.d_model, c.d_hidden, batch_first=True, bidirectional=True
        )
        self.bridge = nn.Linear(2 * c.d_hidden, c.d_hidden)
        self.score = (
            AdditiveScore(c.d_hidden, 2 * c.d_hidden, c.d_hidden)
            if c.context == "additive"
            else None
        )
        self.decoder = nn.GRU(c.d_model + 2 * c.d_hidden, c.d_hidden, batch_first=True)
        self.out = nn.Linear(3 * c.d_hidden + c.d_model, c.d_model)
        self.dropout = nn.Dropout(c.dropout)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=c.d_model**-0.5)

    def forward(
        self, source: Int[Tensor, "B S"], target: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T V"]:
        """Return the logits of the token that follows each target position."""
        state = self.start(source)
        embedded = self._embed(self.target_embedding, target)  # (B, T, D)
        if self.score is None:  # the context is known: all steps in one call
            context = state.summary.expand(-1, embedded.shape[1], -1)
            features = self._advance(embedded, context, state)
        else:
            steps = [
                self._advance(word, self._context(state), state)
                for word in embedded.split(1, dim=1)
            ]
            features = torch.cat(steps, dim=1)
        return self._logits(features)

    def start(
        self, source: Int[Tensor, "B S"], max_len: int | None = None
    ) -> RecurrentState:
        """Read the source; max_len is not needed, a GRU's memory does not grow.

        Raises:
            ValueError: a sentence of padding only.
        """
        mask = masks.not_padding(source, self.config.pad)
        lengths = mask[:, 0].sum(-1).cpu()
        if not lengths.all():
            raise ValueError(f"sentence {int(lengths.argmin())} is empty: all padding")
        embedded = self._embed(self.source_embedding, source)
        packed = pack_padded_sequence(
            embedded, lengths, batch_first=True, enforce_sorted=False
        )
        outputs, last = self.encoder(packed)
        memory, _ = pad_packed_sequence(
            outputs, batch_first=True, total_length=source.shape[1]
        )  # (B, S, 2F)
        summary = torch.cat((last[0], last[1]), dim=-1)  # (B, 2F)
        hidden = torch.tanh(self.bridge(summary))
        keys = memory if self.score is None else memory @ self.score.W.T  # (B, S, F)
        return RecurrentState(memory, keys, mask, summary[:, None], hidden[None])

    def step(
        self, tokens: Int[Tensor, " B"], state: RecurrentState
    ) -> Float[Tensor, "B V"]:
        """Append one token per sequence and return the logits of the next."""
        word = self._embed(self.target_embedding, tokens[:, None])
        context = state.summary if self.score is None else self._context(state)
        return self._logits(self._advance(word, context, state))[:, 0]

    def _context(self, state: RecurrentState) -> Tensor:
        """Attend with the decoder's state; `AdditiveScore` with the keys' part kept."""
        query = state.hidden[0] @ self.score.U.T  # (B, F)
        scores = torch.tanh(query[:, None] + state.keys) @ self.score.v  # (B, S)
        weights = masked_softmax(scores[:, None], state.memory_mask)  # (B, 1, S)
        tracing.emit(scores=scores[:, None], weights=weights)
        return weights @ state.memory  # (B, 1, 2F)

    def _advance(self, words: Tensor, context: Tensor, state: RecurrentState) -> Tensor:
        """Run the decoder over words (B, T, D); return what the output layer reads."""
        inputs = torch.cat((words, context), dim=-1)
        outputs, state.hidden = self.decoder(inputs, state.hidden)
        return torch.cat((outputs, context, words), dim=-1)  # (B, T, 3F + D)

    def _embed(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        return self.dropout(embedding(tokens) * self.config.d_model**0.5)

    def _logits(self, features: Tensor) -> Tensor:
        reduced = self.dropout(self.out(features))  # (B, T, D)
        return nn.functional.linear(reduced, self.target_embedding.weight)
