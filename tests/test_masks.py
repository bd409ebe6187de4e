"""Masks: True = may attend; causal is aligned bottom-right."""

import jaxtyping
import pytest
import torch

from attnbook import masks

B, T, S, H = 2, 3, 5, 7


# reference


@pytest.mark.parametrize(("num_queries", "num_keys"), [(T, S), (S, T), (T, T), (1, S)])
def test_causal_is_the_formula_counted_from_the_end(num_queries, num_keys):
    got = masks.causal(num_queries, num_keys)
    expected = [
        [s <= t + num_keys - num_queries for s in range(num_keys)]
        for t in range(num_queries)
    ]
    assert got.tolist() == expected


def test_causal_equals_pytorch_generated_mask_with_the_sign_turned():
    forbidden = torch.nn.Transformer.generate_square_subsequent_mask(S) < 0
    assert torch.equal(masks.causal(S), ~forbidden)


def test_padding_lets_the_first_tokens_through():
    got = masks.padding(torch.tensor([0, 2, S]), S)
    assert got.shape == (3, 1, S)
    assert got.sum(dim=-1).flatten().tolist() == [0, 2, S]
    assert torch.equal(got, got.sort(dim=-1, descending=True).values)


# law


def test_causal_last_query_sees_every_key():
    assert masks.causal(T, S)[-1].all()


def test_causal_queries_before_the_first_key_see_nothing():
    assert not masks.causal(S, T)[: S - T].any()


def test_causal_last_rows_are_those_of_the_whole_sequence():
    assert torch.equal(masks.causal(T, S), masks.causal(S)[-T:])


@pytest.mark.parametrize("sizes", [(0, 0), (0, S), (T, 0)])
def test_causal_of_nothing_is_empty(sizes):
    assert masks.causal(*sizes).shape == sizes


def test_combine_is_the_logical_and_of_what_broadcasts():
    allowed = masks.combine(masks.causal(S), masks.padding(torch.tensor([2, S]), S))
    assert allowed.shape == (B, S, S)
    assert torch.equal(allowed[1], masks.causal(S))
    assert not allowed[0, :, 2:].any()


def test_combine_ignores_none():
    mask = masks.causal(S)
    assert masks.combine(None, mask, None) is mask
    assert masks.combine(None, None) is None


def test_combine_leaves_its_masks_alone():
    mask = torch.ones(S, S, dtype=torch.bool)
    masks.combine(mask, masks.causal(S))
    assert mask.all()


# contract


@pytest.mark.parametrize("sizes", [(-1, S), (T, -1)])
def test_causal_refuses_negative_sizes(as_user, sizes):
    wanted = f"sizes must be ≥ 0, got T = {sizes[0]}, S = {sizes[1]}"
    with pytest.raises(ValueError, match=wanted):
        masks.causal(*sizes)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([-1, 2], r"lengths must be ≥ 0, got \[-1, 2\]"),
        ([2, 6], "lengths go up to 6, but there are only S = 5 keys"),
        ([2.0, 3.0], r"must be \(B,\) integers, got torch.float32 of shape \(2,\)"),
        ([[2, 3]], r"must be \(B,\) integers, got torch.int64 of shape \(1, 2\)"),
    ],
)
def test_padding_refuses_bad_lengths(as_user, lengths, message):
    with pytest.raises(ValueError, match=message):
        masks.padding(torch.tensor(lengths), S)


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [
        (torch.float32, "bias that is added to the scores"),
        (torch.int64, r"mask.bool\(\) if 1 means 'may attend', mask == 0 if"),
        (torch.uint8, r"mask.bool\(\) if 1 means 'may attend', mask == 0 if"),
    ],
)
def test_mask_of_another_dtype_is_refused_with_what_to_write(as_user, dtype, hint):
    with pytest.raises(ValueError, match=f"must be boolean, got {dtype}: .*{hint}"):
        masks.combine(torch.ones(T, S, dtype=dtype))


def test_combine_refuses_shapes_that_do_not_broadcast(as_user):
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(5, 5\) do not broadcast"):
        masks.combine(masks.causal(3), masks.causal(5))


@pytest.mark.parametrize("shape", [(S,), (T, S + 1), (T + 1, S), (S, T), (B, T, T)])
def test_mask_of_the_wrong_size_is_refused(as_user, shape):
    with pytest.raises(ValueError, match=r"does not broadcast to .* \(…, 3, 5\)"):
        masks.require_mask(torch.ones(shape, dtype=torch.bool), T, S)


@pytest.mark.parametrize("shape", [(H, T, S), (1, B, T, S), (B, H, T, S)])
def test_mask_with_another_batch_is_refused(as_user, shape):
    with pytest.raises(ValueError, match=r"shape \(.*\) does not .* \(2, 3, 5\)"):
        masks.require_mask(torch.ones(shape, dtype=torch.bool), T, S, batch=(B,))


@pytest.mark.parametrize("shape", [(T, S), (1, S), (T, 1), (B, 1, S), (1, T, S)])
def test_mask_that_broadcasts_is_accepted(shape):
    mask = torch.ones(shape, dtype=torch.bool)
    assert masks.require_mask(mask, T, S, batch=(B,)) is None


@pytest.mark.parametrize("shape", [(S, S), (B, S, S), (B, H, S, S)])
def test_reversed_causal_mask_is_refused(as_user, shape):
    mask = ~masks.causal(S).expand(shape)
    with pytest.raises(ValueError, match=r"looks reversed.* write ~mask"):
        masks.require_mask(mask, S, S)


@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(S, S, dtype=torch.bool),
        ~torch.eye(S, dtype=torch.bool),
        torch.ones(S, S).triu().bool(),  # backwards, but each sees itself
        torch.stack([masks.causal(S), ~masks.causal(S)]),
        torch.ones(1, 1, dtype=torch.bool),
    ],
    ids=["nothing", "not itself", "backwards", "one of two", "one token"],
)
def test_unusual_mask_is_not_taken_for_a_reversed_one(mask):
    assert masks.require_mask(mask, *mask.shape[-2:]) is None
    assert not masks.is_reversed_causal(mask)


def test_annotations_are_checked_under_pytest():
    with pytest.raises(jaxtyping.TypeCheckError):
        masks.padding(torch.tensor([[1, 2]]), S)
