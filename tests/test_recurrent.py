"""GRU translators: the context written out, teacher forcing = steps, no padding."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from attnbook import tracing
from attnbook.attention import key_value_attention
from attnbook.recurrent import RecurrentConfig, RecurrentTranslator

B, T, S, V, D, F = 2, 3, 5, 17, 7, 11
EXACT = {"rtol": 0, "atol": 1e-12}
SOURCE = torch.tensor([[5, 6, 7, 3, 0], [4, 9, 12, 8, 3]])
TARGET = torch.tensor([[2, 5, 3], [2, 16, 4]])

both_contexts = pytest.mark.parametrize("context", ["fixed", "additive"])


def translator(context="additive", **options):
    sizes = {"source_vocab": 13, "target_vocab": V, "d_model": D, "d_hidden": F}
    config = RecurrentConfig(context=context, **sizes | options)
    return RecurrentTranslator(config).double().eval()


def read(model, source):
    """Read one sentence without padding; return memory, summary, first state."""
    memory, _ = model.encoder(model.source_embedding(source) * D**0.5)
    summary = torch.cat((memory[:, -1, :F], memory[:, 0, F:]), dim=-1)
    return memory, summary, torch.tanh(model.bridge(summary))[None]


# reference


@both_contexts
def test_logits_follow_the_formula_word_by_word(context):
    model = translator(context)
    memory, summary, hidden = read(model, SOURCE[1:])
    for t, token in enumerate(TARGET[1]):
        word = model.target_embedding.weight[token][None, None] * D**0.5
        look = summary[:, None]
        if context == "additive":
            look, _ = key_value_attention(
                hidden[0][:, None], memory, memory, model.score
            )
        output, hidden = model.decoder(torch.cat((word, look), -1), hidden)
        features = model.out(torch.cat((output, look, word), dim=-1))
        expected = features @ model.target_embedding.weight.T
        assert_close(model(SOURCE, TARGET)[1, t], expected[0, 0], **EXACT)


def test_padded_sentence_is_read_backwards_from_its_end():
    model = translator()
    _, summary, hidden = read(model, SOURCE[:1, :4])
    state = model.start(SOURCE)
    assert_close(state.summary[:1, 0], summary, **EXACT)
    assert_close(state.hidden[:, :1], hidden, **EXACT)


def test_embeddings_are_drawn_with_deviation_one_over_root_d():
    model = translator(d_model=140)
    for embedding in (model.source_embedding, model.target_embedding):
        assert abs(embedding.weight.std().item() * 140**0.5 - 1) < 0.05


# law


@both_contexts
def test_padding_of_the_source_is_invisible(context):
    model = translator(context)
    expected = model(SOURCE[:1, :4], TARGET[:1])
    assert_close(model(SOURCE, TARGET)[:1], expected, **EXACT)


@both_contexts
def test_future_targets_cannot_touch_the_past(context):
    model, changed = translator(context), TARGET.clone()
    changed[:, -1] = 11
    before, after = model(SOURCE, TARGET), model(SOURCE, changed)
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


@both_contexts
def test_steps_equal_teacher_forcing(context):
    model = translator(context)
    state, expected = model.start(SOURCE), model(SOURCE, TARGET)
    for t in range(T):
        assert_close(model.step(TARGET[:, t], state), expected[:, t], **EXACT)


@both_contexts
def test_reordered_state_goes_on_from_its_parents(context):
    model, rows = translator(context), torch.tensor([1, 1])
    source = SOURCE[:1].expand(2, -1)
    state = model.start(source)
    model.step(TARGET[:, 0], state)
    model.step(TARGET[:, 1], state)
    state.reorder(rows)
    expected = model(source, TARGET[rows])[:, 2]
    assert_close(model.step(TARGET[rows, 2], state), expected, **EXACT)


def test_recorded_weights_sum_to_one_and_skip_padding():
    with tracing.record() as trace:
        translator()(SOURCE, TARGET)
    weights = torch.cat(trace["weights"], dim=1)
    assert_close(weights.sum(-1), torch.ones(B, T).double(), **EXACT)
    assert not weights[0, :, 4].any()
    assert weights[1].all()


def test_fixed_context_reads_the_words_through_its_summary_only():
    model = translator("fixed")
    state = model.start(SOURCE)
    state.memory.zero_()
    assert_close(model.step(TARGET[:, 0], state), model(SOURCE, TARGET)[:, 0], **EXACT)


@both_contexts
def test_loss_reaches_every_parameter(context):
    model = translator(context)
    model(SOURCE, TARGET).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_output_layer_is_the_target_embedding():
    model = translator()
    before = model(SOURCE, TARGET)
    with torch.no_grad():
        model.target_embedding.weight[13] += 1.0  # a token that TARGET does not hold
    changed = (model(SOURCE, TARGET) - before).abs().amax(dim=(0, 1)) > 0
    assert changed.nonzero().flatten().tolist() == [13]


def test_dropout_acts_in_training_only():
    model = translator(dropout=0.5)
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.train()
    assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))


# contract


@pytest.mark.parametrize(
    "name", ["source_vocab", "target_vocab", "d_model", "d_hidden"]
)
def test_sizes_below_one_are_refused(as_user, name):
    with pytest.raises(ValueError, match=f"{name} must be ≥ 1, got 0"):
        translator(**{name: 0})


def test_dropout_outside_its_range_is_refused(as_user):
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\), got 1"):
        translator(dropout=1)


def test_unknown_context_is_refused(as_user):
    with pytest.raises(ValueError, match="context must be .*, got 'dot'"):
        translator("dot")


def test_sentence_of_padding_only_is_refused(as_user):
    source = torch.tensor([[5, 6, 3], [0, 0, 0]])
    with pytest.raises(ValueError, match="sentence 1 is empty"):
        translator()(source, TARGET)


def test_configuration_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError, match="d_hidden"):
        translator().config.d_hidden = 3
