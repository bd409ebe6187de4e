"""The small training loop: Adam, clipping, an early word when it diverges."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attnbook.training import fit, progress


def problem():
    torch.manual_seed(0)
    model, x = nn.Linear(3, 1), torch.randn(11, 3)
    return model, lambda: (model(x) - x.sum(-1, keepdim=True)).square().mean()


def test_fit_takes_the_steps_of_adam():
    model, loss = problem()
    losses = fit(model, loss, steps=5, lr=0.1)
    twin, twin_loss = problem()
    adam = torch.optim.Adam(twin.parameters(), lr=0.1)
    for expected in losses:
        adam.zero_grad()
        value = twin_loss()
        assert value.item() == expected
        value.backward()
        adam.step()
    assert_close(model.weight, twin.weight, rtol=0, atol=0)


def test_fit_learns_and_returns_one_loss_per_step():
    model, loss = problem()
    losses = fit(model, loss, steps=300, lr=0.05)
    assert len(losses) == 300
    assert losses[-1] < 1e-3 < losses[0]


def test_fit_for_no_steps_changes_nothing():
    model, loss = problem()
    before = model.weight.clone()
    assert fit(model, loss, steps=0) == []
    assert torch.equal(model.weight, before)


def test_fit_clips_the_gradient_to_the_norm_asked_for():
    model, loss = problem()
    fit(model, lambda: 1e3 * loss(), steps=1, clip=0.5)
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert_close(norm.item(), 0.5, rtol=1e-4, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_fit_stops_at_the_first_loss_that_is_not_finite(bad):
    model, loss = problem()
    factors = iter([1.0, 1.0, bad])
    with pytest.raises(ValueError, match=rf"{bad} at step 2: lower lr \(now 0.1\)"):
        fit(model, lambda: next(factors) * loss(), steps=9, lr=0.1)
    assert model.weight.isfinite().all()


def test_progress_passes_everything_through(monkeypatch, capsys):
    monkeypatch.setenv("ATTNBOOK_PROGRESS", "0")
    assert list(progress(range(3))) == [0, 1, 2]
    assert progress(range(3)).disable
    assert capsys.readouterr().err == ""


def test_progress_shows_nothing_before_two_seconds(monkeypatch, capsys):
    monkeypatch.delenv("ATTNBOOK_PROGRESS", raising=False)
    bar = progress(range(3))
    assert (bar.disable, bar.delay) == (False, 2)
    assert list(bar) == [0, 1, 2]
    assert capsys.readouterr().err == ""
