"""The training loop: its steps, its schedules, and what it does when things fail."""

import errno
import json
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attnbook.checkpoints import held, load_tensors
from attnbook.training import fit, linear_rate, noam_rate, progress, set_rate


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


def test_fit_steps_the_optimizer_it_is_given():
    model, loss = problem()
    before = model.weight.clone()
    fit(model, loss, steps=1, optimizer=torch.optim.SGD(model.parameters(), lr=0.5))
    assert_close(model.weight, before - 0.5 * model.weight.grad)


def test_schedule_sets_the_rate_of_every_update():
    model, loss = problem()
    sgd, rates = torch.optim.SGD(model.parameters(), lr=9.0), []
    options = {"optimizer": sgd, "schedule": lambda t: 0.1 * t}
    fit(model, loss, steps=3, after_step=lambda t: rates.append(rate(sgd)), **options)
    assert rates == [0.1 * 1, 0.1 * 2, 0.1 * 3]


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


def test_set_rate_reaches_every_group():
    parts = [{"params": [nn.Parameter(torch.ones(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(parts, lr=9.0)
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_after_step_hears_the_number_of_updates_done():
    heard = []
    fit(*problem(), steps=3, after_step=heard.append)
    assert heard == [1, 2, 3]


def test_mixed_precision_changes_nothing_on_a_cpu():
    losses = [fit(*problem(), steps=3, mixed=mixed) for mixed in (False, True)]
    assert losses[0] == losses[1]


# schedules


def test_noam_rate_is_the_formula_and_peaks_at_the_warmup():
    rates = [noam_rate(t, 64, 10, factor=2.0) for t in range(1, 100)]
    assert_close(rates[3], 2 * 64**-0.5 * 4 * 10**-1.5, rtol=1e-12, atol=0)
    assert_close(rates[24], 2 * 64**-0.5 * 25**-0.5, rtol=1e-12, atol=0)
    assert max(rates) == rates[9]


def test_linear_rate_rises_to_the_peak_and_falls_to_nothing():
    rates = [linear_rate(t, 0.5, 4, 11) for t in range(1, 12)]
    assert_close(rates[:4], [0.125, 0.25, 0.375, 0.5], rtol=1e-12, atol=0)
    falls = [0.5 * left / 8 for left in range(8, 0, -1)]
    assert_close(rates[3:], falls, rtol=1e-12, atol=0)


def test_linear_rate_may_warm_up_to_the_end():
    assert linear_rate(5, 1.0, 5, 5) == 1.0


@pytest.mark.parametrize(("step", "warmup"), [(0, 5), (3, 0)])
def test_noam_rate_starts_at_one(as_user, step, warmup):
    with pytest.raises(ValueError, match=f"start at 1, got {step} and {warmup}"):
        noam_rate(step, 64, warmup)


@pytest.mark.parametrize(("step", "warmup"), [(0, 2), (3, 0), (3, 12)])
def test_linear_rate_needs_its_warmup_within_the_steps(as_user, step, warmup):
    with pytest.raises(
        ValueError, match=f"warmup = {warmup}, steps = 11, step = {step}"
    ):
        linear_rate(step, 1.0, warmup, 11)


# a run that is interrupted


def noisy(seed=0):
    """Return a model with dropout, its loss, and the generator of its data."""
    torch.manual_seed(seed)
    data = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 7), nn.Dropout(0.3), nn.Linear(7, 1))

    def loss():
        x = torch.randn(11, 3, generator=data)
        return (model(x) - x.sum(-1, keepdim=True)).square().mean()

    return model, loss, data


class Crash(Exception):
    """Stands for whatever ends a run."""


def crash():
    raise Crash


def go(path, steps=11, crash_at=None, crash=crash, seed=0, **options):
    """Run the noisy problem; return its losses and weights."""

    def after_step(done):
        if done == crash_at:
            crash()

    model, loss, data = noisy(seed)
    saving = {"checkpoint": path, "save_every": 4, "streams": {"data": data}}
    options = {"schedule": lambda t: linear_rate(t, 0.1, 3, 11), "clip": 1.0} | options
    losses = fit(model, loss, steps=steps, after_step=after_step, **saving, **options)
    return losses, model.state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize("crash_at", [2, 4, 5, 9])
def test_resumed_run_equals_an_uninterrupted_one(path, tmp_path, crash_at):
    with pytest.raises(Crash):
        go(path, crash_at=crash_at)
    # Another seed: what was drawn before must come from the checkpoint if there is one.
    resumed = go(path, seed=99 if path.exists() else 0)
    whole = go(tmp_path / "whole.safetensors")
    assert resumed[0] == whole[0]
    assert_close(resumed[1], whole[1], rtol=0, atol=0)


def test_saving_changes_nothing(path):
    model, loss, _ = noisy()
    schedule = {"schedule": lambda t: linear_rate(t, 0.1, 3, 11), "clip": 1.0}
    losses = fit(model, loss, steps=11, **schedule)
    saved_losses, weights = go(path)
    assert saved_losses == losses
    assert_close(weights, model.state_dict(), rtol=0, atol=0)


def test_finished_run_is_left_alone(path):
    losses, weights = go(path)
    before = path.read_bytes()
    again = go(path, seed=5)
    assert again[0] == losses
    assert_close(again[1], weights, rtol=0, atol=0)
    assert path.read_bytes() == before


def test_longer_run_goes_on_from_a_finished_one(path, tmp_path):
    constant = {"schedule": None, "lr": 0.1}
    go(path, steps=6, **constant)
    whole = go(tmp_path / "whole.safetensors", steps=11, **constant)
    assert go(path, steps=11, **constant)[0] == whole[0]


def test_checkpoint_is_written_as_often_as_asked(path):
    saved = []
    model, loss, _ = noisy()

    def after_step(done):  # called before the save of this step
        if path.exists():
            saved.append((done, len(load_tensors(path)[0]["history"])))

    fit(model, loss, steps=8, checkpoint=path, save_every=3, after_step=after_step)
    assert saved == [(4, 3), (5, 3), (6, 3), (7, 6), (8, 6)]
    assert len(load_tensors(path)[0]["history"]) == 8


RUN = """
import json, os, resource, signal, sys
import test_training
from attnbook import training

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def save_on_a_full_disk(*arguments):
    if len(arguments[-1]) > 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))
    save(*arguments)

path, fault = sys.argv[1:]
if fault == "full disk":
    save, training.save_run = training.save_run, save_on_a_full_disk
options = {"crash_at": 7, "crash": kill} if fault == "kill" else {}
losses, weights = test_training.go(path, **options)
print(json.dumps([losses, {name: w.tolist() for name, w in weights.items()}]))
"""


def child(path, fault):
    """Train in another process."""
    command = [sys.executable, "-c", RUN, str(path), fault]
    folders = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    environment = {**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_killed_process_goes_on_to_the_same_weights(path, tmp_path):
    assert child(path, "kill").returncode == -9
    assert len(load_tensors(path)[0]["history"]) == 4
    resumed = child(path, "none")
    losses, weights = go(tmp_path / "whole.safetensors")
    expected = [losses, {name: w.tolist() for name, w in weights.items()}]
    assert json.loads(resumed.stdout) == expected


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
def test_full_disk_while_training_keeps_the_last_checkpoint(path):
    done = child(path, "full disk")
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"OSError: [Errno {errno.EFBIG}] could not save")
    assert "the one before it is kept" in message
    assert len(load_tensors(path)[0]["history"]) == 4
    assert go(path)[0] == go(path.with_name("whole.safetensors"))[0]


# a run that diverges


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_loss_that_is_not_finite_keeps_the_last_good_checkpoint(path, bad):
    model, loss = problem()
    factors = iter([1.0] * 6 + [bad])
    message = (
        rf"the loss is {bad} at step 6.*last good checkpoint is kept in .*run.safe"
    )
    with pytest.raises(ValueError, match=message):
        fit(
            model,
            lambda: next(factors) * loss(),
            steps=9,
            checkpoint=path,
            save_every=4,
        )
    tensors, _ = load_tensors(path)
    assert len(tensors["history"]) == 4
    assert tensors["model.weight"].isfinite().all()


def test_weights_that_are_not_finite_are_never_saved(path):
    model, loss = problem()
    factors = iter([1.0] * 7 + [math.nan])  # the last gradient is spoilt, not its loss
    model.weight.register_hook(lambda gradient: gradient * next(factors))
    saving = {"checkpoint": path, "save_every": 4}
    with pytest.raises(
        ValueError, match="weight is not finite after step 7: .* kept in"
    ):
        fit(model, loss, steps=9, **saving)
    assert load_tensors(path)[0]["model.weight"].isfinite().all()


def test_first_save_that_fails_promises_nothing(path):
    model, loss = problem()
    with pytest.raises(ValueError, match="or set clip$"):
        fit(model, lambda: math.nan * loss(), steps=3, checkpoint=path)


# contract


def test_second_run_with_one_checkpoint_is_refused(as_user, path):
    model_and_loss = problem()
    with held(path), pytest.raises(RuntimeError, match="another run is writing .*run"):
        fit(*model_and_loss, steps=3, checkpoint=path)
    assert len(fit(*model_and_loss, steps=3, checkpoint=path)) == 3


def test_folder_that_cannot_be_made_is_named(as_user, tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "run.safetensors"
    with pytest.raises(OSError, match="cannot write a checkpoint .*Name another"):
        fit(*problem(), steps=3, checkpoint=path)


def test_damaged_checkpoint_stops_the_run(path):
    go(path, steps=4)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(OSError, match="run.safetensors is damaged"):
        go(path)


def test_checkpoint_of_a_longer_run_is_refused(as_user, path):
    go(path)
    with pytest.raises(ValueError, match="has 11 updates already, more than steps = 7"):
        go(path, steps=7)


def test_saving_never_is_refused(as_user, path):
    with pytest.raises(ValueError, match="save_every must be ≥ 1, got 0"):
        fit(*problem(), steps=3, checkpoint=path, save_every=0)


# the bar


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
