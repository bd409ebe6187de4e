"""Device, seeds, budgets."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from attnbook import runtime


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_seed_everything_seeds_all_three_sources():
    runtime.seed_everything(3)
    first = draw()
    runtime.seed_everything(3)
    assert draw() == first
    runtime.seed_everything(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_seed_everything_returns_a_generator_of_its_own():
    generator = runtime.seed_everything(3)
    before = torch.rand((), generator=generator)
    assert torch.equal(before, torch.rand(()))  # the same seed ...
    assert generator is not torch.default_generator  # ... not the same stream


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seed_everything_takes_the_ends_of_the_range(seed):
    assert runtime.seed_everything(seed).initial_seed() == seed


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_everything_refuses_a_seed_out_of_range(as_user, seed):
    with pytest.raises(ValueError, match=rf"0 … 2\*\*32 - 1, got {seed}"):
        runtime.seed_everything(seed)


@pytest.mark.parametrize(("cuda", "expected"), [(False, 2), (True, 30)])
def test_budget_follows_the_device(monkeypatch, cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert runtime.budget(cpu=2, gpu=30) == expected


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_device_is_the_fastest_at_hand(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert runtime.device().type == expected


def test_importing_the_layers_is_light_and_does_nothing():
    code = """
import random, sys, numpy, torch
state = random.getstate(), torch.get_rng_state(), torch.get_default_dtype()
import attnbook.attention, attnbook.saliency, attnbook.tracing, attnbook.claims
import attnbook.runtime, attnbook.training
heavy = {"matplotlib", "sklearn", "scipy", "pooch", "requests", "IPython"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert state[0] == random.getstate() and state[1].equal(torch.get_rng_state())
import attnbook.data, attnbook.plotting, matplotlib
assert "sklearn" not in sys.modules and "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams["axes.spines.top"] is True
"""
    subprocess.run([sys.executable, "-c", code], check=True)
