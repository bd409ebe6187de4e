"""Models: the classifier and the Transformer, whole, cached, padded and tied."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attnbook import masks, tracing
from attnbook.models import (
    ClassifierConfig,
    EncoderClassifier,
    Transformer,
    TransformerConfig,
    patchify,
)
from attnbook.positions import sinusoidal

B, T, S, V, D, H, DFF = 2, 3, 5, 17, 14, 7, 11
EXACT = {"rtol": 0, "atol": 1e-12}
SINGLE = {"rtol": 0, "atol": 1e-5}
SOURCE = torch.tensor([[5, 6, 7, 3, 0], [4, 9, 12, 8, 3]])
TARGET = torch.tensor([[2, 5, 3], [2, 16, 4]])

both_orders = pytest.mark.parametrize("norm_first", [False, True])


def translator(**options):
    sizes = {"d_model": D, "num_heads": H, "d_ff": DFF, "num_layers": 2}
    config = TransformerConfig(source_vocab=13, target_vocab=V, **sizes | options)
    return Transformer(config).double().eval()


def classifier(**options):
    sizes = {"d_model": D, "num_heads": H, "d_ff": DFF}
    config = ClassifierConfig(d_in=3, num_tokens=S, num_classes=10, **sizes | options)
    return EncoderClassifier(config).double().eval()


# reference


def test_patchify_cuts_row_by_row():
    images, tokens = torch.randn(B, 4, 6), []
    for y in (0, 2):
        tokens += [images[:, y : y + 2, x : x + 2].flatten(1) for x in (0, 2, 4)]
    assert torch.equal(patchify(images, 2), torch.stack(tokens, dim=1))


def test_patches_of_one_pixel_are_the_pixels():
    images = torch.randn(B, 3, 5)
    assert torch.equal(patchify(images, 1), images.reshape(B, 15, 1))


def official(norm_first, dtype):
    """Return `nn.Transformer` with the weights of our model, and our model."""
    ours = translator(norm_first=norm_first).to(dtype)
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    theirs = nn.Transformer(D, H, 2, 2, DFF, **options).to(dtype)
    if not norm_first:  # the paper has no norm after the last layer
        theirs.encoder.norm = theirs.decoder.norm = None
    theirs.encoder.load_state_dict(ours.encoder.state_dict())
    theirs.decoder.load_state_dict(ours.decoder.state_dict())
    return theirs, ours


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
@both_orders
@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, EXACT), (torch.float32, SINGLE)]
)
def test_logits_equal_nn_transformer_between_embeddings(norm_first, dtype, close):
    theirs, ours = official(norm_first, dtype)
    source, target = (
        embedding.weight[tokens] * math.sqrt(D) + sinusoidal(256, D)[: tokens.shape[1]]
        for embedding, tokens in (
            (ours.source_embedding, SOURCE),
            (ours.target_embedding, TARGET),
        )
    )
    padding = {k: SOURCE == 0 for k in ("src", "memory")}
    padding = {f"{k}_key_padding_mask": mask for k, mask in padding.items()}
    out = theirs(source, target, tgt_mask=~masks.causal(T), **padding)
    assert_close(ours(SOURCE, TARGET), out @ ours.target_embedding.weight.T, **close)


def test_classifier_with_mean_is_its_parts():
    model, x = classifier(pool="mean"), torch.randn(B, S, 3).double()
    hidden = model.encoder(model.embed(x) + model.positions.weight)
    assert_close(model(x), model.head(hidden.mean(dim=1)), **EXACT)


def test_classifier_with_class_token_reads_the_first_place():
    model, x = classifier(pool="class_token"), torch.randn(B, S, 3).double()
    nn.init.normal_(model.class_token)
    tokens = torch.cat((model.class_token.expand(B, 1, D), model.embed(x)), dim=1)
    hidden = model.encoder(tokens + model.positions.weight)
    assert_close(model(x), model.head(hidden[:, 0]), **EXACT)


def test_embeddings_are_drawn_with_deviation_one_over_root_d():
    model = translator(d_model=140)
    for embedding in (model.source_embedding, model.target_embedding):
        assert abs(embedding.weight.std().item() * math.sqrt(140) - 1) < 0.05


def test_matrices_are_drawn_xavier_uniform():
    weight = translator(d_ff=211).encoder.layers[0].linear1.weight
    bound = math.sqrt(6 / (D + 211))
    assert 0.98 * bound < weight.abs().max() <= bound


# law


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal"])
def test_classifier_without_positions_sees_a_bag_of_tokens(positions):
    model, x = classifier(positions=positions), torch.randn(B, S, 3).double()
    difference = (model(x) - model(x.flip(1))).abs().max().item()
    assert (difference < 1e-12) is (positions == "none")


@both_orders
def test_padding_of_the_source_is_invisible(norm_first):
    model = translator(norm_first=norm_first)
    assert_close(model(SOURCE[:1], TARGET[:1]), model(SOURCE[:1, :4], TARGET[:1]))


def test_padding_of_the_source_is_invisible_after_the_encoder():
    model, changed = translator(), torch.randn(B, S, D).double()
    mask, memory = masks.not_padding(SOURCE), model.encode(SOURCE)
    memory_changed = torch.where(mask.mT, memory, changed)
    got = model.decode(TARGET, memory_changed, mask)
    assert_close(got, model.decode(TARGET, memory, mask), **EXACT)


@both_orders
def test_future_targets_cannot_touch_the_past(norm_first):
    model, changed = translator(norm_first=norm_first), TARGET.clone()
    changed[:, -1] = 11
    before, after = model(SOURCE, TARGET), model(SOURCE, changed)
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


def test_decoder_without_its_causal_mask_leaks():
    model, changed = translator(), TARGET.clone()
    changed[:, -1] = 11
    memory = model.encode(SOURCE)
    before, after = (
        model.decode(y, memory, causal=False)[:, 0] for y in (TARGET, changed)
    )
    assert (before - after).abs().max() > 1e-3


@both_orders
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
def test_cached_logits_equal_uncached_ones(norm_first, positions):
    model = translator(norm_first=norm_first, positions=positions)
    state, expected = model.start(SOURCE, T), model(SOURCE, TARGET)
    for t in range(T):
        assert_close(model.step(TARGET[:, t], state), expected[:, t], **EXACT)


def test_reordered_state_goes_on_from_its_parents():
    model, rows = translator(), torch.tensor([1, 1])
    source, target = SOURCE[:1].expand(2, -1), TARGET.clone()
    state = model.start(source, T)
    model.step(target[:, 0], state)
    model.step(target[:, 1], state)
    state.reorder(rows)
    expected = model(source, target[rows])[:, 2]
    assert_close(model.step(target[rows, 2], state), expected, **EXACT)


def test_output_layer_is_the_target_embedding():
    model = translator()
    before = model(SOURCE, TARGET)
    with torch.no_grad():
        model.target_embedding.weight[13] += 1.0  # a token that TARGET does not hold
    changed = (model(SOURCE, TARGET) - before).abs().amax(dim=(0, 1)) > 0
    assert changed.nonzero().flatten().tolist() == [13]


def test_number_of_parameters_is_that_of_the_formula():
    model = translator(norm_first=True)
    attention, feed, norm = 4 * D**2 + 4 * D, 2 * D * DFF + DFF + D, 2 * D
    encoder, decoder = attention + feed + 2 * norm, 2 * attention + feed + 3 * norm
    expected = (13 + V) * D + 2 * (encoder + decoder) + 2 * norm
    assert sum(p.numel() for p in model.parameters()) == expected


@both_orders
def test_loss_reaches_every_parameter(norm_first):
    model = translator(norm_first=norm_first)
    model(SOURCE, TARGET).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_source_of_padding_only_gives_finite_logits():
    assert translator()(torch.zeros(B, S).long(), TARGET).isfinite().all()


def test_dropout_acts_in_training_only():
    model = translator(dropout=0.5)
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.train()
    assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))


def test_another_number_can_stand_for_padding():
    ours, other = translator(pad=0), translator(pad=12)
    other.load_state_dict(ours.state_dict())
    source = SOURCE.clone()
    source[0, 4] = 12
    assert_close(other(source, TARGET)[0], ours(SOURCE, TARGET)[0], **EXACT)


def test_recording_shows_all_weights_of_one_pass():
    model = translator(num_layers=2)
    with tracing.record() as trace:
        model(SOURCE, TARGET)
    shapes = [tuple(weights.shape) for weights in trace["weights"]]
    assert shapes == [(B, H, S, S)] * 2 + [(B, H, T, T), (B, H, T, S)] * 2
    assert not trace["weights"][-1][0, :, :, 4].any()


# contract


@pytest.mark.parametrize("name", ["d_in", "num_tokens", "num_classes", "num_layers"])
def test_classifier_refuses_sizes_below_one(as_user, name):
    sizes = {"d_in": 3, "num_tokens": S, "num_classes": 2, name: -1}
    with pytest.raises(ValueError, match=f"{name} must be ≥ 1, got -1"):
        ClassifierConfig(**sizes)


@pytest.mark.parametrize("name", ["source_vocab", "target_vocab", "num_layers", "d_ff"])
def test_transformer_refuses_sizes_below_one(as_user, name):
    sizes = {"source_vocab": 5, "target_vocab": 5, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be ≥ 1, got 0"):
        TransformerConfig(**sizes)


@pytest.mark.parametrize("make", [translator, classifier])
@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_outside_its_range_is_refused(as_user, make, dropout):
    with pytest.raises(
        ValueError, match=rf"dropout must lie in \[0, 1\), got {dropout}"
    ):
        make(dropout=dropout)


@pytest.mark.parametrize("num_heads", [0, 4])
def test_configuration_refuses_heads_that_do_not_divide_the_width(as_user, num_heads):
    message = f"d_model = 14 is not divisible by num_heads = {num_heads}"
    width = {"d_model": 14, "num_heads": num_heads}
    with pytest.raises(ValueError, match=message):
        TransformerConfig(source_vocab=5, target_vocab=5, **width)
    with pytest.raises(ValueError, match=message):
        ClassifierConfig(d_in=3, num_tokens=S, num_classes=2, **width)


@pytest.mark.parametrize("make", [translator, classifier])
def test_unknown_positions_are_refused(as_user, make):
    with pytest.raises(ValueError, match="positions must be .*, got 'rope'"):
        make(positions="rope")


def test_unknown_pooling_is_refused(as_user):
    with pytest.raises(ValueError, match="pool must be .*, got 'max'"):
        classifier(pool="max")


def test_configuration_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError, match="d_ff"):
        translator().config.d_ff = 3


def test_patches_that_do_not_tile_are_refused(as_user):
    with pytest.raises(ValueError, match="patches of 3 do not tile an image of 4 × 6"):
        patchify(torch.ones(B, 4, 6), 3)


@pytest.mark.parametrize("size", [0, -2])
def test_patches_without_a_size_are_refused(as_user, size):
    with pytest.raises(ValueError, match=f"patches of {size} do not tile"):
        patchify(torch.ones(B, 4, 6), size)


def test_sentence_beyond_max_len_is_refused(as_user):
    with pytest.raises(ValueError, match="positions 0 … 4 .* max_len = 4"):
        translator(max_len=4)(SOURCE, TARGET)
