"""What every test file shares: a fixed seed, the user's view, hypothesis settings."""

import os
import socket
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings

# Tensors are tiny here and workers are many: more threads would only wait.
torch.set_num_threads(1)

# The same examples on every machine; a shared runner must not make a test flaky.
settings.register_profile("book", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("book")


@pytest.fixture(autouse=True)
def _same_start():
    """Start every test from the same state, whatever a chapter's cells have set."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_printoptions(profile="default")


@pytest.fixture
def as_user():
    """Turn the shape annotations off, as they are outside of pytest.

    Contract tests need it: a user meets our own ValueError, not jaxtyping's.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def real_data(monkeypatch):
    """Read the real corpora from the mirror; skip, loudly, where there is none."""
    shared = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ATTNBOOK_DATA") or shared)
    if not folder.exists():
        pytest.skip(f"NO DATA at {folder}: the real corpora are not tested")
    monkeypatch.setenv("ATTNBOOK_DATA", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Refuse every connection that leaves the machine."""
    connect = socket.socket.connect

    def connect_at_home(self, address):
        abroad = self.family in (socket.AF_INET, socket.AF_INET6)
        if abroad and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests use no network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_at_home)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
