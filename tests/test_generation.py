"""Greedy and beam search against searches written out in plain Python."""

import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attnbook import generation
from attnbook.generation import beam, greedy, length_penalty
from attnbook.models import Transformer, TransformerConfig
from attnbook.recurrent import RecurrentConfig, RecurrentTranslator
from attnbook.tokenizers import END, PAD, START

V, MAX_LEN = 7, 4  # three words and four marks
WORDS = range(4, V)
SOURCE = torch.tensor([[4, 5, 6, END], [6, END, PAD, PAD], [5, 5, END, PAD]])
MANY = torch.randint(4, V, (24, 5), generator=torch.Generator().manual_seed(0))


class Oracle(nn.Module):
    """Draw the logits of the next token from the source and all that was written."""

    def __init__(self, seed, end=0.0):
        super().__init__()
        self.seed, self.end = seed, end
        self.eval()

    def logits(self, source, written):
        key = hash((self.seed, *source, *written)) % 2**31
        logits = torch.randn(V, generator=torch.Generator().manual_seed(key))
        logits[END] += self.end
        return logits.double()

    def start(self, source, max_len):
        return OracleState([[row, []] for row in source.tolist()])

    def step(self, tokens, state):
        for row, token in zip(state.rows, tokens.tolist(), strict=True):
            row[1] = [*row[1], token]
        return torch.stack([self.logits(*row) for row in state.rows])


class OracleState:
    def __init__(self, rows):
        self.rows = rows

    def reorder(self, rows):
        self.rows = [list(self.rows[i]) for i in rows.tolist()]


def log_probs(model, source, written):
    """Return the log-probability of each token that may follow."""
    logits = model.logits(source, [START, *written])
    logits[list(generation.FORBIDDEN)] = -torch.inf
    return logits.log_softmax(-1).tolist()


def plain_greedy(model, source):
    written = []
    while len(written) < MAX_LEN and END not in written:
        chances = log_probs(model, source, written)
        written.append(chances.index(max(chances)))
    return written


def plain_beam(model, source, k, alpha):
    """Search as the docstring of `beam` tells it."""
    beams, ended = [(0.0, [])], []
    while len(beams[0][1]) < MAX_LEN and len(ended) < k:
        longer = [
            (score + chance, [*written, token])
            for score, written in beams
            for token, chance in enumerate(log_probs(model, source, written))
            if token in (END, *WORDS)
        ]
        longer.sort(reverse=True)
        for score, written in longer[:k]:
            if written[-1] == END:
                ended.append((score / length_penalty(len(written), alpha), written))
        beams = [b for b in longer[: 2 * k] if b[1][-1] != END][:k]
    return max(ended)[1] if ended else beams[0][1]


def trimmed(tokens):
    """Drop the padding at the end."""
    return [[t for t in row if t != PAD] for row in tokens.tolist()]


def transformer(norm_first=True):
    config = TransformerConfig(
        source_vocab=V, target_vocab=V, d_model=16, num_layers=2, norm_first=norm_first
    )
    return Transformer(config).double().eval()


def recurrent(context):
    config = RecurrentConfig(
        source_vocab=V, target_vocab=V, context=context, d_model=5, d_hidden=7
    )
    return RecurrentTranslator(config).double().eval()


MODELS = {
    "transformer": transformer,
    "additive": lambda: recurrent("additive"),
    "fixed": lambda: recurrent("fixed"),
}
each_model = pytest.mark.parametrize("name", MODELS)
each_seed = pytest.mark.parametrize("seed", range(5))


# reference


@each_seed
def test_greedy_takes_the_most_probable_token_each_time(seed):
    model = Oracle(seed)
    expected = [plain_greedy(model, source) for source in SOURCE.tolist()]
    assert trimmed(greedy(model, SOURCE, MAX_LEN)) == expected


@each_seed
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_beam_is_the_search_written_out(seed, k, alpha):
    model = Oracle(seed)
    expected = [plain_beam(model, source, k, alpha) for source in MANY.tolist()]
    assert trimmed(beam(model, MANY, k, MAX_LEN, alpha)) == expected


@each_seed
def test_widest_beam_finds_the_best_of_all_sentences(seed):
    model, found = Oracle(seed), []
    for source in SOURCE.tolist():
        scores = {}
        for length in range(MAX_LEN):
            for words in itertools.product(WORDS, repeat=length):
                steps = [(words[:i], t) for i, t in enumerate((*words, END))]
                chances = [log_probs(model, source, before)[t] for before, t in steps]
                scores[(*words, END)] = sum(chances) / length_penalty(length + 1, 0.6)
        found.append(list(max(scores, key=scores.get)))
    assert trimmed(beam(model, SOURCE, 81, MAX_LEN)) == found


@each_model
def test_greedy_with_caches_equals_whole_passes(name):
    model, written = MODELS[name](), torch.full((3, 1), START)
    for _ in range(MAX_LEN):
        logits = model(SOURCE, written)[:, -1]
        logits[:, list(generation.FORBIDDEN)] = -torch.inf
        written = torch.cat((written, logits.argmax(-1, keepdim=True)), dim=1)
    ends = (written == END).cumsum(dim=1).roll(1, dims=1) > 0
    expected = written.masked_fill(ends, PAD)[:, 1:]
    assert trimmed(greedy(model, SOURCE, MAX_LEN)) == trimmed(expected)


class Checked(nn.Module):
    """Compare each step of a model with a whole pass over what its row has written."""

    def __init__(self, model):
        super().__init__()
        self.model, self.num_moved = model, 0
        self.eval()

    def start(self, source, max_len):
        self.source, self.written = source, source.new_empty(len(source), 0)
        self.state = self.model.start(source, max_len)
        return self

    def step(self, tokens, state):
        self.written = torch.cat((self.written, tokens[:, None]), dim=1)
        logits = self.model.step(tokens, self.state)
        expected = self.model(self.source, self.written)[:, -1]
        assert_close(logits, expected, rtol=0, atol=1e-9)
        return logits

    def reorder(self, rows):
        self.num_moved += int((self.written[rows] != self.written).any(1).sum())
        self.written = self.written[rows]
        self.state.reorder(rows)


@each_model
def test_every_beam_goes_on_from_its_own_past(name):
    model = Checked(MODELS[name]())
    beam(model, SOURCE, 5, 9)
    assert model.num_moved > 5


def test_length_penalty_is_that_of_wu():
    assert length_penalty(13, 0.6) == pytest.approx(18**0.6 / 6**0.6, rel=1e-12)
    assert length_penalty(13, 0.0) == 1.0


# law


@each_model
def test_beam_of_one_is_greedy(name):
    model = MODELS[name]()
    assert torch.equal(beam(model, SOURCE, 1, 9), greedy(model, SOURCE, 9))


@each_model
@pytest.mark.parametrize("k", [1, 3])
def test_a_sentence_is_translated_the_same_alone_and_in_a_batch(name, k):
    model = MODELS[name]()
    together = trimmed(beam(model, SOURCE, k, 9))
    alone = [trimmed(beam(model, row[None], k, 9))[0] for row in SOURCE]
    assert together == alone


@pytest.mark.parametrize("search", [greedy, beam])
def test_marks_are_never_written_and_padding_follows_the_end(search):
    written = search(Oracle(0), SOURCE.repeat(9, 1), max_len=30)
    for row in written.tolist():
        length = row.index(END) + 1 if END in row else len(row)
        assert not set(row[:length]) & set(generation.FORBIDDEN)
        assert set(row[length:]) <= {PAD}


def test_other_tokens_can_be_forbidden():
    model, forbidden = Oracle(0), (PAD, START, END, 1, 5)
    for written in (
        greedy(model, SOURCE, 9, forbidden),
        beam(model, SOURCE, 2, 9, forbidden=forbidden),
    ):
        assert set(written.flatten().tolist()) == {4, 6}


def test_more_beams_than_ways_to_go_on_find_the_only_way():
    forbidden = [token for token in range(V) if token != 4]
    written = beam(Oracle(0), SOURCE, V, MAX_LEN, forbidden=forbidden)
    assert written.tolist() == [[4] * MAX_LEN] * len(SOURCE)


def test_length_penalty_makes_sentences_longer():
    lengths = []
    for alpha in (0.0, 3.0):
        models = (Oracle(seed, end=1.0) for seed in range(9))
        rows = [trimmed(beam(model, SOURCE, 4, 9, alpha)) for model in models]
        lengths.append(sum(len(row) for batch in rows for row in batch))
    assert lengths[0] < lengths[1]


def test_greedy_stops_when_all_sentences_have_ended():
    model, steps = Oracle(0, end=100.0), []
    step = model.step
    model.step = lambda *arguments: steps.append(1) or step(*arguments)
    assert greedy(model, SOURCE, 50).tolist() == [[END]] * 3
    assert len(steps) == 1


@pytest.mark.parametrize("k", [1, 2])
def test_unfinished_sentences_are_returned_as_they_are(k):
    written = beam(Oracle(0, end=-100.0), SOURCE, k, MAX_LEN)
    assert written.shape == (3, MAX_LEN)
    assert (written >= 4).all()


# contract


@pytest.mark.parametrize("search", [greedy, beam])
def test_model_in_training_mode_is_refused(as_user, search):
    with pytest.raises(ValueError, match="training mode: call model.eval"):
        search(transformer().train(), SOURCE)


@pytest.mark.parametrize("search", [greedy, beam])
def test_no_room_to_write_is_refused(as_user, search):
    with pytest.raises(ValueError, match="max_len must be ≥ 1, got 0"):
        search(transformer(), SOURCE, max_len=0)


def test_no_beams_are_refused(as_user):
    with pytest.raises(ValueError, match="num_beams must be ≥ 1, got 0"):
        beam(transformer(), SOURCE, num_beams=0)
