"""Layers and stacks: equal to PyTorch's in both norm orders, and lawful."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from attnbook import layers, masks
from attnbook.layers import Decoder, DecoderLayer, Encoder, EncoderLayer, LayerCache
from attnbook.multihead import KeyValueCache
from attnbook.positions import Rope, alibi_bias

B, T, S, H, Dh, DFF = 2, 3, 5, 7, 2, 11
D = H * Dh
EXACT = {"rtol": 0, "atol": 1e-12}
SINGLE = {"rtol": 0, "atol": 1e-5}

both_orders = pytest.mark.parametrize("norm_first", [False, True])
each_precision = pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, EXACT), (torch.float32, SINGLE)]
)


def twins(theirs_kind, ours_kind, dtype=torch.float64, **options):
    """Return a layer of PyTorch, all its parameters drawn anew, and ours with them."""
    theirs = theirs_kind(D, H, DFF, dropout=0.0, batch_first=True, **options).to(dtype)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.5)
    ours = ours_kind(D, H, DFF, **options).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def encoder_twins(**options):
    return twins(nn.TransformerEncoderLayer, EncoderLayer, **options)


def decoder_twins(**options):
    return twins(nn.TransformerDecoderLayer, DecoderLayer, **options)


def sequences(dtype=torch.float64):
    """Return targets, memory, and the padding mask of the memory."""
    mask = masks.padding(torch.tensor([4, S]), S)
    return torch.randn(B, T, D, dtype=dtype), torch.randn(B, S, D, dtype=dtype), mask


# reference: one layer


@both_orders
@each_precision
def test_encoder_layer_equals_pytorch_with_padding(norm_first, dtype, close):
    theirs, ours = encoder_twins(norm_first=norm_first, dtype=dtype)
    _, x, mask = sequences(dtype)
    expected = theirs(x, src_key_padding_mask=~mask[:, 0])
    assert_close(ours(x, mask), expected, **close)


@both_orders
def test_encoder_layer_equals_pytorch_with_a_causal_mask(norm_first):
    theirs, ours = encoder_twins(norm_first=norm_first)
    _, x, mask = sequences()
    hidden = {"src_mask": ~masks.causal(S), "src_key_padding_mask": ~mask[:, 0]}
    assert_close(ours(x, mask, causal=True), theirs(x, **hidden), **EXACT)


@both_orders
@each_precision
def test_decoder_layer_equals_pytorch_with_both_masks(norm_first, dtype, close):
    theirs, ours = decoder_twins(norm_first=norm_first, dtype=dtype)
    x, memory, mask = sequences(dtype)
    hidden = {"tgt_mask": ~masks.causal(T), "memory_key_padding_mask": ~mask[:, 0]}
    expected = theirs(x, memory, **hidden)
    assert_close(ours(x, memory, None, mask), expected, **close)


@both_orders
def test_decoder_layer_equals_pytorch_with_padded_targets(norm_first):
    theirs, ours = decoder_twins(norm_first=norm_first)
    x, memory, mask = sequences()
    own = masks.padding(torch.tensor([2, T]), T)
    hidden = {"tgt_key_padding_mask": ~own[:, 0], "tgt_mask": ~masks.causal(T)}
    expected = theirs(x, memory, memory_key_padding_mask=~mask[:, 0], **hidden)
    assert_close(ours(x, memory, own, mask), expected, **EXACT)


@pytest.mark.parametrize("make", [encoder_twins, decoder_twins])
def test_gelu_layer_equals_pytorch(make):
    theirs, ours = make(activation="gelu")
    x, memory, _ = sequences()
    extra = (memory,) if make is decoder_twins else ()
    options = {"causal": False} if extra else {}
    assert_close(ours(x, *extra, **options), theirs(x, *extra), **EXACT)


@both_orders
def test_gradients_equal_pytorch(norm_first):
    theirs, ours = decoder_twins(norm_first=norm_first)
    x, memory, _ = sequences()
    theirs(x, memory, tgt_mask=~masks.causal(T)).square().sum().backward()
    ours(x, memory).square().sum().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    got = {name: p.grad for name, p in ours.named_parameters()}
    assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [encoder_twins, decoder_twins])
def test_weights_load_back_into_pytorch(make):
    theirs, ours = make()
    assert list(theirs.state_dict()) == list(ours.state_dict())
    theirs.load_state_dict(ours.state_dict())


# reference: stacks and nn.Transformer


@both_orders
@pytest.mark.parametrize("final", [False, True])
def test_encoder_equals_pytorch_stack(norm_first, final):
    layer, _ = encoder_twins(norm_first=norm_first)
    norm = nn.LayerNorm(D).double() if final else None
    theirs = nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)
    ours = Encoder(2, D, H, DFF, norm_first=norm_first, final_norm=final).double()
    ours.load_state_dict(theirs.state_dict())
    _, x, mask = sequences()
    expected = theirs(x, src_key_padding_mask=~mask[:, 0])
    assert_close(ours(x, mask), expected, **EXACT)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
@both_orders
@each_precision
def test_encoder_and_decoder_equal_nn_transformer(norm_first, dtype, close):
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    theirs = nn.Transformer(D, H, 2, 3, DFF, **options).to(dtype)
    sizes = {"norm_first": norm_first, "final_norm": True}
    encoder, decoder = (
        kind(num_layers, D, H, DFF, **sizes).to(dtype)
        for kind, num_layers in ((Encoder, 2), (Decoder, 3))
    )
    encoder.load_state_dict(theirs.encoder.state_dict())
    decoder.load_state_dict(theirs.decoder.state_dict())
    target, source, mask = sequences(dtype)
    padding = dict.fromkeys(
        ("src_key_padding_mask", "memory_key_padding_mask"), ~mask[:, 0]
    )
    expected = theirs(source, target, tgt_mask=~masks.causal(T), **padding)
    got = decoder(target, encoder(source, mask), memory_mask=mask)
    assert_close(got, expected, **close)


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_final_norm_follows_the_norm_order(kind):
    assert kind(1, D, H, DFF).norm is None
    assert kind(1, D, H, DFF, norm_first=True).norm is not None


# reference: feed-forward and activations


def test_feed_forward_is_its_formula():
    layer, x = layers.FeedForward(D, DFF), torch.randn(B, T, D)
    hidden = (x @ layer.linear1.weight.T + layer.linear1.bias).clamp(min=0)
    expected = hidden @ layer.linear2.weight.T + layer.linear2.bias
    assert_close(layer(x), expected, rtol=0, atol=1e-6)


def test_activations_are_those_of_bert_and_gpt_2():
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    erf = x * (1 + torch.erf(x / math.sqrt(2))) / 2
    tanh = x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    assert_close(layers.activation_named("relu")(x), x.clamp(min=0), **EXACT)
    assert_close(layers.activation_named("gelu")(x), erf, **EXACT)
    assert_close(layers.activation_named("gelu_tanh")(x), tanh, **EXACT)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer, layers.FeedForward])
def test_activation_reaches_the_layer(kind, activation):
    sizes = (D, DFF) if kind is layers.FeedForward else (D, H, DFF)
    layer = kind(*sizes, activation=activation)
    assert layer.activation is layers.ACTIVATIONS[activation]


# law


def test_feed_forward_treats_every_position_alone():
    layer, x = layers.FeedForward(D, DFF).double(), torch.randn(B, T, D).double()
    for t in range(T):
        assert_close(layer(x)[:, t], layer(x[:, t : t + 1])[:, 0], **EXACT)


@both_orders
def test_padding_is_invisible_to_the_encoder(norm_first):
    ours = Encoder(2, D, H, DFF, norm_first=norm_first).double()
    x = torch.randn(B, S, D, dtype=torch.float64)
    mask = masks.padding(torch.tensor([3, 3]), S)
    assert_close(ours(x, mask)[:, :3], ours(x[:, :3]), **EXACT)


@both_orders
def test_padding_of_the_memory_is_invisible_to_the_decoder(norm_first):
    ours = Decoder(2, D, H, DFF, norm_first=norm_first).double()
    x, memory, _ = sequences()
    mask = masks.padding(torch.tensor([3, 3]), S)
    got = ours(x, memory, memory_mask=mask)
    assert_close(got, ours(x, memory[:, :3]), **EXACT)


@pytest.mark.parametrize("causal", [True, False])
def test_future_touches_the_past_only_if_it_may(causal):
    ours = Decoder(2, D, H, DFF).double()
    x, memory, _ = sequences()
    changed = torch.cat((x[:, :-1], torch.randn_like(x[:, -1:])), dim=1)
    before, after = (ours(y, memory, causal=causal)[:, :-1] for y in (x, changed))
    assert torch.equal(before, after) is causal


def test_stack_passes_bias_rotation_and_causality_to_every_layer():
    ours = Encoder(2, D, H, DFF, norm_first=True).double()
    _, x, mask = sequences()
    options = {"bias": alibi_bias(H, S).double(), "rotate": Rope(S, Dh), "causal": True}
    expected = x
    for layer in ours.layers:
        update = layer.self_attn(layer.norm1(expected), attn_mask=mask, **options)
        expected = expected + update
        hidden = F.relu(layer.linear1(layer.norm2(expected)))
        expected = expected + layer.linear2(hidden)
    assert_close(ours(x, mask, **options), ours.norm(expected), **EXACT)


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
def test_dropout_acts_on_the_updates_of_the_residual_stream(kind):
    layer = kind(D, H, DFF, dropout=1.0, norm_first=True)
    x, memory, _ = sequences(torch.float32)
    inputs = (x, memory) if kind is DecoderLayer else (x,)
    assert torch.equal(layer(*inputs), x)
    assert not torch.equal(layer.eval()(*inputs), x)


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
def test_dropout_of_post_norm_leaves_the_norms(kind):
    layer = kind(D, H, DFF, dropout=1.0)
    x, memory, _ = sequences(torch.float32)
    inputs = (x, memory) if kind is DecoderLayer else (x,)
    assert_close(layer(*inputs), F.layer_norm(x, (D,)), rtol=0, atol=1e-4)


@both_orders
def test_cached_decoder_equals_one_pass(norm_first):
    ours = Decoder(2, D, H, DFF, norm_first=norm_first).double()
    x, memory, mask = sequences()
    caches = [LayerCache(KeyValueCache(T), KeyValueCache(S)) for _ in range(2)]
    steps = [ours(x[:, t : t + 1], memory, None, mask, caches=caches) for t in range(T)]
    expected = ours(x, memory, None, mask)
    assert_close(torch.cat(steps, dim=1), expected, **EXACT)


def test_cached_encoder_layer_equals_one_pass():
    layer, cache = EncoderLayer(D, H, DFF).double(), KeyValueCache(S)
    _, x, _ = sequences()
    steps = [layer(x[:, t : t + 1], cache=cache) for t in range(S)]
    assert_close(torch.cat(steps, dim=1), layer(x, causal=True), **EXACT)


# contract


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
def test_unknown_activation_is_refused_by_name(as_user, kind):
    message = r"activation must be one of \['relu', .*\], got 'swish'"
    with pytest.raises(ValueError, match=message):
        kind(D, H, DFF, activation="swish")


def test_memory_of_another_width_is_refused(as_user):
    with pytest.raises(ValueError, match=f"key has width 5, expected {D}"):
        DecoderLayer(D, H, DFF)(torch.ones(B, T, D), torch.ones(B, S, 5))


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_stack_needs_a_layer(as_user, kind):
    with pytest.raises(ValueError, match="num_layers must be ≥ 1, got 0"):
        kind(0, D, H, DFF)


def test_decoder_needs_one_cache_per_layer(as_user):
    x, memory, _ = sequences(torch.float32)
    caches = [LayerCache(KeyValueCache(T), KeyValueCache(S))]
    with pytest.raises(ValueError, match="1 caches for 2 layers"):
        Decoder(2, D, H, DFF)(x, memory, caches=caches)
