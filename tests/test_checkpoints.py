"""Checkpoints: what comes back is what was saved, or a clear error."""

import contextlib
import errno
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.testing import assert_close

from attnbook.checkpoints import load_run, load_tensors, save_run, save_tensors

TENSORS = {
    "weight": torch.arange(6.0).view(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "mask": torch.tensor([True, False]),
    "empty": torch.empty(0, 5),
}
RECORD = {"step": 3, "names": ["ä", "中文"], "rate": 1e-3}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "run.safetensors"


def saved(path):
    save_tensors(path, TENSORS, RECORD)
    return path.read_bytes()


# reference: a round trip


def test_tensors_and_record_come_back(path):
    saved(path)
    tensors, record = load_tensors(path)
    assert_close(tensors, TENSORS, rtol=0, atol=0)
    assert record == RECORD


def test_file_is_plain_safetensors(path):
    saved(path)
    assert_close(safetensors.torch.load_file(path), TENSORS, rtol=0, atol=0)


def test_views_and_shared_memory_are_saved_as_values(path):
    base = torch.arange(12.0).view(3, 4)
    tensors = {"turned": base.T, "part": base[1:], "same": base}
    save_tensors(path, tensors, {})
    assert_close(load_tensors(path)[0], tensors, rtol=0, atol=0)


# a run


def run_parts(optimizer=torch.optim.Adam):
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    return model, optimizer(model.parameters(), lr=0.1, **options)


def update(model, optimizer):
    optimizer.zero_grad()
    model(torch.randn(7, 3)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
def test_run_goes_on_bit_for_bit(path, kind):
    model, optimizer = run_parts(kind)
    update(model, optimizer)
    save_run(path, model, optimizer, {}, [0.5])
    update(model, optimizer)
    twin, twin_optimizer = run_parts(kind)
    assert load_run(path, twin, twin_optimizer, {}) == [0.5]
    update(twin, twin_optimizer)
    assert_close(twin.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_settings_of_the_optimizer_come_back(path):
    model, optimizer = run_parts()
    optimizer.param_groups[0]["lr"] = 0.007
    save_run(path, model, optimizer, {}, [])
    optimizer.param_groups[0]["lr"] = 0.1
    load_run(path, model, optimizer, {})
    assert optimizer.param_groups[0]["lr"] == 0.007
    assert list(optimizer.param_groups[0]["betas"]) == [0.9, 0.999]


def draw(generator):
    numpy = float(np.random.standard_normal())  # noqa: NPY002
    torch_draws = torch.rand(()).item(), torch.rand((), generator=generator).item()
    return random.gauss(0, 1), numpy, *torch_draws


def test_all_random_states_come_back(path):
    generator = torch.Generator().manual_seed(3)
    draw(generator)  # leaves a second normal number inside Python's and NumPy's
    parts = (*run_parts(), {"data": generator})
    save_run(path, *parts, [])
    expected = [draw(generator) for _ in range(3)]
    load_run(path, *parts)
    assert [draw(generator) for _ in range(3)] == expected


class Counter:
    """A stream whose place is one number."""

    def __init__(self):
        self.place = 0

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


def test_place_of_a_stream_comes_back(path):
    parts, counter = run_parts(), Counter()
    counter.place = 11
    save_run(path, *parts, {"data": counter}, [])
    fresh = Counter()
    load_run(path, *parts, {"data": fresh})
    assert fresh.place == 11


def test_losses_come_back_in_full_precision(path):
    parts, history = run_parts(), [1 / 3, 1e-300, 2.0**53 + 2]
    save_run(path, *parts, {}, history)
    assert load_run(path, *parts, {}) == history


# faults: reading


def test_missing_checkpoint_is_named(path):
    with pytest.raises(FileNotFoundError, match="no checkpoint .*run.safetensors"):
        load_tensors(path)


def test_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load_tensors(tmp_path)


def test_checkpoint_cut_short_anywhere_is_refused(path):
    data = saved(path)
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(OSError, match="run.safetensors is damaged.*Delete it"):
            load_tensors(path)


def test_one_changed_bit_anywhere_is_noticed_or_harmless(path):
    data, chance = saved(path), random.Random(0)
    for i in range(len(data)):
        bit = 1 << chance.randrange(8)
        path.write_bytes(data[:i] + bytes([data[i] ^ bit]) + data[i + 1 :])
        with contextlib.suppress(OSError):
            tensors, record = load_tensors(path)
            assert_close(tensors, TENSORS, rtol=0, atol=0)
            assert record == RECORD


@pytest.mark.parametrize("data", [b"", b"<html>moved</html>", b"\xff" * 999, b"{}" * 9])
def test_other_bytes_are_refused(path, data):
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(OSError, match="run.safetensors is damaged"):
        load_tensors(path)


def test_safetensors_of_another_program_is_refused(path):
    path.parent.mkdir()
    safetensors.torch.save_file(TENSORS, path)
    with pytest.raises(OSError, match="not written by attnbook.checkpoints"):
        load_tensors(path)


# faults: a run that does not fit


def test_checkpoint_of_another_model_is_refused(path):
    save_run(path, *run_parts(), {}, [])
    other = nn.Linear(3, 5)
    with pytest.raises(
        ValueError, match="(?s)run.safetensors is of another model: .*0.weight"
    ):
        load_run(path, other, torch.optim.Adam(other.parameters()), {})


def test_other_streams_are_refused_before_anything_changes(path):
    save_run(path, *run_parts(), {"data": Counter()}, [])
    model, optimizer = run_parts()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=r"streams \['data'\], not \['noise'\]"):
        load_run(path, model, optimizer, {"noise": torch.Generator()})
    assert all(map(torch.equal, model.parameters(), before))


def test_file_of_weights_is_no_run(path):
    model, optimizer = run_parts()
    save_tensors(path, model.state_dict(), {})
    with pytest.raises(ValueError, match="holds weights, not a training run"):
        load_run(path, model, optimizer, {})


# faults: writing

FULL_DISK = """
import resource, sys, torch
from attnbook.checkpoints import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))
save_tensors(sys.argv[1], {"weight": torch.zeros(9999)}, {})
"""
KILLED = """
import os, signal, sys, torch
from attnbook.checkpoints import save_tensors
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
save_tensors(sys.argv[1], {"weight": torch.zeros(9999)}, {})
"""


def child(code, path):
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
def test_full_disk_keeps_the_checkpoint_before(path):
    before = saved(path)
    done = child(FULL_DISK, path)
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"OSError: [Errno {errno.EFBIG}] could not save the")
    assert "File too large; the one before it is kept. Make room" in message
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_kill_while_saving_keeps_the_checkpoint_before(path):
    before = saved(path)
    assert child(KILLED, path).returncode == -9
    assert path.read_bytes() == before
    assert len(os.listdir(path.parent)) == 2  # with what was half written
    saved(path)
    assert os.listdir(path.parent) == [path.name]


def test_disk_that_cannot_be_written_is_named(path, monkeypatch):
    def refuse(*names):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    message = "run.safetensors .* bytes.: Read-only file system; there is none yet"
    with pytest.raises(OSError, match=message):
        saved(path)
    assert os.listdir(path.parent) == []


def test_file_in_the_place_of_the_folder_is_named(path):
    path.parent.write_text("a file")
    with pytest.raises(
        OSError, match="could not save the checkpoint .*run.safetensors"
    ):
        saved(path)


def test_record_that_json_cannot_hold_leaves_no_file(path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_tensors(path, {}, {"now": object()})
    assert not path.exists()
