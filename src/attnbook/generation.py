"""Generation: from a model that predicts one token to a whole sentence.

Chapter 8 builds greedy and beam search. Both ask a translation model for `start`
(read the source) and `step` (one token more), so they serve `models.Transformer` and
`recurrent.RecurrentTranslator` alike. Each step computes one position: past keys and
values come from caches (`multihead.KeyValueCache`).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from attnbook.tokenizers import END, PAD, START, UNKNOWN

# Never written: no sentence contains padding, a second start, or "unknown".
FORBIDDEN = (PAD, UNKNOWN, START)


@torch.no_grad()
def greedy(
    model: nn.Module,
    source: Int[Tensor, "B S"],
    max_len: int = 64,
    forbidden: Sequence[int] = FORBIDDEN,
) -> Int[Tensor, "B T"]:
    """Write the most probable token, again and again.

    Args:
        model: a translation model, in evaluation mode.
        source: (B, S) padded source sentences.
        max_len: most tokens to write, the end mark included.
        forbidden: tokens never written.

    Returns:
        (B, T) tokens up to the end mark, then padding; T ≤ max_len.

    Raises:
        ValueError: the model is in training mode, so dropout would act; max_len < 1.

    Example:
        >>> from attnbook.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(source_vocab=9, target_vocab=9, d_model=16)
        >>> model = Transformer(config).eval()
        >>> greedy(model, torch.tensor([[5, 6, 3]]), max_len=4).shape[0]
        1
    """
    require_evaluation(model)
    _require_room(max_len)
    state = model.start(source, max_len)
    tokens = source.new_full((len(source),), START)
    done = torch.zeros_like(tokens, dtype=torch.bool)
    written = []
    for _ in range(max_len):
        logits = model.step(tokens, state)  # (B, V)
        logits[:, list(forbidden)] = -torch.inf
        tokens = logits.argmax(dim=-1).masked_fill(done, PAD)
        written.append(tokens)
        done = done | (tokens == END)
        if done.all():
            break
    return torch.stack(written, dim=1)


def require_evaluation(model: nn.Module) -> None:
    """Check that dropout is off.

    Raises:
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("the model is in training mode: call model.eval() first")


def _require_room(max_len: int) -> None:
    if max_len < 1:
        raise ValueError(f"max_len must be ≥ 1, got {max_len}")


def length_penalty(length: int, alpha: float) -> float:
    """Return ((5 + length) / 6)^alpha, by which a hypothesis' score is divided.

    Reference: Wu et al. 2016 (arXiv:1609.08144), equation 14.

    Example:
        >>> length_penalty(1, 0.6), length_penalty(7, 1.0)
        (1.0, 2.0)
    """
    return ((5 + length) / 6) ** alpha


@torch.no_grad()
def beam(
    model: nn.Module,
    source: Int[Tensor, "B S"],
    num_beams: int = 4,
    max_len: int = 64,
    alpha: float = 0.6,
    forbidden: Sequence[int] = FORBIDDEN,
) -> Int[Tensor, "B T"]:
    """Keep the K best beginnings at every step; return the best finished sentence.

    A sentence is done when K hypotheses have ended; the winner has the largest
    log-probability divided by `length_penalty`. With K = 1 this is `greedy`.

    Args:
        model: a translation model, in evaluation mode.
        source: (B, S) padded source sentences.
        num_beams: K.
        max_len: most tokens to write, the end mark included.
        alpha: 0 compares sums of log-probabilities, which favours short sentences.
        forbidden: tokens never written.

    Returns:
        (B, T) tokens up to the end mark, then padding; T ≤ max_len.

    Raises:
        ValueError: the model is in training mode, K < 1 or max_len < 1.

    Reference: Sutskever et al. 2014, section 3.2; Wu et al. 2016, section 7.

    Example:
        >>> from attnbook.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(source_vocab=9, target_vocab=9, d_model=16)
        >>> model, source = Transformer(config).eval(), torch.tensor([[5, 6, 3]])
        >>> bool((beam(model, source, 1) == greedy(model, source)).all())
        True
    """
    require_evaluation(model)
    _require_room(max_len)
    if num_beams < 1:
        raise ValueError(f"num_beams must be ≥ 1, got {num_beams}")
    search = _Search(source, num_beams, max_len)
    state = model.start(source.repeat_interleave(num_beams, dim=0), max_len)
    for step in range(max_len):
        logits = model.step(search.last.flatten(), state).float()  # (B·K, V)
        logits[:, list(forbidden)] = -torch.inf
        rows = search.extend(logits.log_softmax(dim=-1), step, alpha)
        if search.done.all():
            break
        state.reorder(rows)
    return search.best()


class _Search:
    """The hypotheses of a beam search over B sentences."""

    def __init__(self, source: Tensor, num_beams: int, max_len: int):
        size = (len(source), num_beams)
        device = source.device
        self.num_beams = num_beams
        # At first all beams are equal: only the first one counts.
        self.scores = torch.full(size, -torch.inf, device=device)
        self.scores[:, 0] = 0.0
        self.last = source.new_full(size, START)
        self.tokens = source.new_full((*size, max_len), PAD)
        self.ended_scores = torch.full(size, -torch.inf, device=device)
        self.ended_tokens = self.tokens.clone()
        self.num_ended = source.new_zeros(size[0])

    @property
    def done(self) -> Tensor:
        """Tell for each sentence whether K hypotheses have ended."""
        return self.num_ended >= self.num_beams

    def extend(self, log_probs: Tensor, step: int, alpha: float) -> Tensor:
        """Take one step; return the row that each beam goes on from."""
        num_sentences, k = self.scores.shape
        vocab = log_probs.shape[-1]
        totals = self.scores[..., None] + log_probs.view(num_sentences, k, vocab)
        # Each beam ends in one way only, so of 2K candidates at least K go on.
        scores, index = totals.flatten(1).topk(min(2 * k, k * vocab))  # (B, 2K)
        parents, words = index // vocab, index % vocab
        tokens = _pick(self.tokens, parents)
        tokens[:, :, step] = words
        ends = words == END
        self._collect(scores, tokens, ends, length_penalty(step + 1, alpha))
        self.scores, chosen = scores.masked_fill(ends, -torch.inf).topk(k)
        self.tokens = _pick(tokens, chosen)
        self.last = words.gather(1, chosen)
        first = torch.arange(num_sentences, device=words.device)[:, None] * k
        return (first + parents.gather(1, chosen)).flatten()

    def _collect(self, scores, tokens, ends, penalty: float) -> None:
        """Add the hypotheses that end among the K best to the finished ones."""
        k = self.num_beams
        ends = ends[:, :k] & ~self.done[:, None] & (scores[:, :k] > -torch.inf)
        self.num_ended = self.num_ended + ends.sum(dim=1)
        ended = (scores[:, :k] / penalty).masked_fill(~ends, -torch.inf)
        ended = torch.cat((self.ended_scores, ended), dim=1)  # (B, 2K)
        tokens = torch.cat((self.ended_tokens, tokens[:, :k]), dim=1)
        self.ended_scores, chosen = ended.topk(k)
        self.ended_tokens = _pick(tokens, chosen)

    def best(self) -> Tensor:
        """Return the best finished hypothesis, or the best one where none finished."""
        none = self.num_ended[:, None] == 0
        tokens = torch.where(none, self.tokens[:, 0], self.ended_tokens[:, 0])
        return tokens[:, : int((tokens != PAD).sum(dim=1).max())]


def _pick(tokens: Tensor, rows: Tensor) -> Tensor:
    """Return hypotheses `rows` (B, N) of tokens (B, K, T)."""
    return tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[-1]))
