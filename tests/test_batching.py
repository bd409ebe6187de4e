"""Batches of pairs: each once per epoch, little padding, a place to go on from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnbook import corpora
from attnbook.batching import PairBatches, pad
from attnbook.tokenizers import END, PAD, START, split_words

LENGTHS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1)


def pairs(lengths):
    """Make pairs that name themselves: pair i is written with the number 4 + i."""
    sources = [[4 + i] * length for i, (length, _) in enumerate(lengths)]
    targets = [[4 + i] * length for i, (_, length) in enumerate(lengths)]
    return sources, targets


def epoch(batches):
    return [batches.next() for _ in range(len(batches))]


def content(batches):
    """Return the pairs of some batches as plain lists, without padding."""
    return [
        ([t for t in s if t != PAD], [t for t in y if t != PAD])
        for batch in batches
        for s, y in zip(batch.source.tolist(), batch.target.tolist(), strict=True)
    ]


@given(lengths=LENGTHS, batch_size=st.integers(1, 7), seed=st.integers(0, 99))
def test_every_pair_comes_once_per_epoch_with_its_marks(lengths, batch_size, seed):
    sources, targets = pairs(lengths)
    batches = PairBatches(sources, targets, batch_size, seed)
    expected = [
        ([*s, END], [START, *t, END]) for s, t in zip(sources, targets, strict=True)
    ]
    for _ in range(2):
        assert sorted(content(epoch(batches))) == sorted(expected)


@given(lengths=LENGTHS, batch_size=st.integers(1, 7))
def test_batches_are_full_but_for_one(lengths, batch_size):
    sizes = [len(b.source) for b in epoch(PairBatches(*pairs(lengths), batch_size))]
    assert sorted(sizes)[1:] == [batch_size] * (len(sizes) - 1)
    assert sum(sizes) == len(lengths)


@given(lengths=LENGTHS, batch_size=st.integers(1, 7))
def test_no_column_is_padding_only_and_padding_comes_last(lengths, batch_size):
    for batch in epoch(PairBatches(*pairs(lengths), batch_size)):
        for tokens in batch:
            used = tokens != PAD
            assert used.any(dim=0).all()
            assert torch.equal(used, used.cummin(dim=1).values)


def test_padding_ratio_counts_what_is_computed():
    batches = PairBatches(*pairs([(1, 2), (5, 3), (2, 2), (7, 7)]), batch_size=2)
    shapes = [batch.source.shape + batch.target.shape for batch in epoch(batches)]
    computed = sum(b * s + c * t for b, s, c, t in shapes)
    useful = sum(s + 1 + t + 2 for s, t in [(1, 2), (5, 3), (2, 2), (7, 7)])
    assert batches.padding_ratio() == computed / useful


def test_buckets_hold_sentences_of_similar_length():
    lengths = [(i % 17, i % 17) for i in range(17 * 13)]
    torch.manual_seed(0)
    order = torch.randperm(len(lengths)).tolist()
    batches = PairBatches(*pairs([lengths[i] for i in order]), batch_size=13)
    assert batches.padding_ratio() == 1.0  # every length fills a batch


def test_padding_of_multi30k_is_at_most_eight_percent(real_data):
    train = corpora.multi30k("de", "en").train
    numbered = [
        [[4] * len(split_words(pair[side], language)) for pair in train]
        for side, language in ((0, "de"), (1, "en"))
    ]
    assert PairBatches(*numbered, batch_size=128).padding_ratio() <= 1.08


# the order


def test_order_depends_on_the_seed_and_the_epoch():
    lengths = [(3, 3)] * 31
    first, second = (PairBatches(*pairs(lengths), 5, seed=s) for s in (1, 2))
    epochs = [content(epoch(batches)) for batches in (first, first, second)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_same_seed_gives_the_same_order_whatever_else_is_drawn():
    lengths = [(i % 5, i % 7) for i in range(31)]
    first = content(epoch(PairBatches(*pairs(lengths), 5, seed=3)))
    torch.rand(11)
    assert content(epoch(PairBatches(*pairs(lengths), 5, seed=3))) == first


def test_batches_do_not_come_in_order_of_length():
    lengths = [(i, i) for i in range(50)]
    widths = [batch.source.shape[1] for batch in epoch(PairBatches(*pairs(lengths), 2))]
    assert widths != sorted(widths)
    assert widths != sorted(widths, reverse=True)


@pytest.mark.parametrize("done", [0, 1, 6, 7, 8, 20])
def test_stream_goes_on_where_another_stood(done):
    lengths = [(i % 5, i % 7) for i in range(31)]
    whole, resumed = (PairBatches(*pairs(lengths), 5, seed=3) for _ in range(2))
    for _ in range(done):
        whole.next()
    resumed.next()
    resumed.load_state_dict(whole.state_dict())
    following = [[batches.next() for _ in range(9)] for batches in (whole, resumed)]
    assert content(following[0]) == content(following[1])


# reference and contract


def test_pad_fills_the_end():
    assert pad([[5, 6, 7], [8], []]).tolist() == [[5, 6, 7], [8, 0, 0], [0, 0, 0]]


def test_other_seed_is_refused():
    batches, other = (PairBatches([[5]], [[6]], seed=seed) for seed in (1, 2))
    with pytest.raises(ValueError, match="the stream had seed 1, not 2"):
        other.load_state_dict(batches.state_dict())


def test_other_pairs_are_refused():
    batches = PairBatches([[5]] * 9, [[6]] * 9, batch_size=2)
    other = PairBatches([[5]] * 9, [[6]] * 9, batch_size=3)
    with pytest.raises(ValueError, match="9 pairs in batches of 2, not 9 .* of 3"):
        other.load_state_dict(batches.state_dict())


@pytest.mark.parametrize(
    ("sources", "targets", "size"), [([], [], 2), ([[5]], [], 2), ([[5]], [[6]], 0)]
)
def test_nothing_to_draw_is_refused(sources, targets, size):
    message = (
        f"got {len(sources)} sources, {len(targets)} targets and batch_size = {size}"
    )
    with pytest.raises(ValueError, match=message):
        PairBatches(sources, targets, size)


def test_empty_list_is_no_batch():
    with pytest.raises(ValueError, match="nothing to pad"):
        pad([])
