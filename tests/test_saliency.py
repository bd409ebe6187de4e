"""Saliency: pooling and gating, without a query."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from attnbook.saliency import Gate, max_pool_attention, softmax_pool

B, S, D = 2, 5, 13
EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def x():
    return torch.randn(B, S, D, dtype=torch.float64)


# reference


def test_max_pool_equals_pytorch_max_pool(x):
    values, index = F.max_pool1d(x.mT, kernel_size=S, return_indices=True)
    pooled, where = max_pool_attention(x)
    assert_close(pooled, values[..., 0], **EXACT)
    assert torch.equal(where, index[..., 0])


def test_softmax_pool_is_the_weighted_mean(x):
    weights = torch.exp(2.0 * x) / torch.exp(2.0 * x).sum(dim=1, keepdim=True)
    assert_close(softmax_pool(x, 2.0), (weights * x).sum(dim=1), **EXACT)


def test_gate_is_a_sigmoid_times_its_input(x):
    gate = Gate(D).double()
    expected = x / (1 + torch.exp(-(x @ gate.linear.weight.T + gate.linear.bias)))
    assert_close(gate(x), expected, **EXACT)


# law


def test_softmax_pool_runs_from_min_over_mean_to_max(x):
    assert_close(softmax_pool(x, 0.0), x.mean(dim=1), **EXACT)
    assert_close(softmax_pool(x, 1e6), x.amax(dim=1), **EXACT)
    assert_close(softmax_pool(x, -1e6), x.amin(dim=1), **EXACT)


def test_softmax_pool_grows_with_beta(x):
    pooled = torch.stack([softmax_pool(x, beta) for beta in (-3.0, 0.0, 1.0, 5.0)])
    assert (pooled.diff(dim=0) > 0).all()


def test_max_pool_gradient_goes_to_the_winner_only(x):
    x.requires_grad_()
    pooled, where = max_pool_attention(x)
    pooled.sum().backward()
    expected = torch.zeros_like(x).scatter(1, where[:, None], 1.0)
    assert torch.equal(x.grad, expected)


@pytest.mark.parametrize(
    "pool", [lambda x: max_pool_attention(x)[0], lambda x: softmax_pool(x, 2.0)]
)
def test_pooling_does_not_depend_on_the_order(x, pool):
    assert_close(pool(x[:, torch.randperm(S)]), pool(x), **EXACT)


def test_max_pool_commutes_with_an_increasing_function(x):
    pooled, where = max_pool_attention(x)
    squeezed, same = max_pool_attention(torch.tanh(x))
    assert torch.equal(same, where)
    assert_close(squeezed, torch.tanh(pooled), **EXACT)


def test_softmax_pool_scales_if_beta_makes_up_for_it(x):
    assert_close(softmax_pool(3 * x, 2.0), 3 * softmax_pool(x, 6.0), **EXACT)


def test_gate_shrinks_and_keeps_the_sign(x):
    gated = Gate(D).double()(x)
    assert (gated.abs() < x.abs()).all()
    assert torch.equal(gated.sign(), x.sign())


def test_gate_treats_positions_one_by_one(x):
    gate = Gate(D).double()
    assert_close(gate(x)[:, 2], gate(x[:, 2]), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_softmax_pool_stays_finite_for_large_half_precision_values(dtype):
    x = torch.tensor([[1e4], [-1e4]], dtype=dtype)
    assert_close(softmax_pool(x, 1.0), x[0], rtol=0, atol=0)


# contract


@pytest.mark.parametrize("shape", [(0, D), (B, 0, D), (D,)])
@pytest.mark.parametrize("pool", [max_pool_attention, lambda x: softmax_pool(x, 1.0)])
def test_pooling_refuses_input_without_positions(as_user, pool, shape):
    with pytest.raises(ValueError, match=r"with S ≥ 1 positions, got shape \("):
        pool(torch.ones(shape))
