"""Checkpoints: one file that holds all a training run needs to go on.

The file is in the safetensors format: weights, optimizer state and random states as
tensors, everything else as JSON in its header. Loading one runs no code, unlike a
pickle. It is written beside its final place, forced to disk and renamed, so that at
any moment there is one whole checkpoint: a crash, a kill or a full disk cannot cost it.
"""

import contextlib
import glob
import json
import os
import random
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], record: dict) -> None:
    """Write tensors and a JSON-able record to one file, whole or not at all.

    Args:
        path: the file; its folder is made if need be.
        tensors: name → tensor, on any device.
        record: what JSON can hold.

    Raises:
        OSError: the disk is full or cannot be written; an older file stays as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.safetensors")
        ...     save_tensors(path, {"w": torch.ones(2)}, {"step": 3})
        ...     load_tensors(path)
        ({'w': tensor([1., 1.])}, {'step': 3})
    """
    import safetensors.torch  # compiled, and few chapters need it

    path = Path(path)
    # Cloned, because safetensors refuses tensors that share memory.
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    text = json.dumps(record)
    checked = {
        "attnbook": text,
        "crc32": str(_checksum(plain)),
        "crc32_record": str(_checksum_of_record(plain, text)),
    }
    _write_whole(path, safetensors.torch.save(plain, metadata=checked))


def _write_whole(path: Path, data: bytes) -> None:
    """Write beside the final place, force to disk, rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
            leftover.unlink()  # a run was killed while it wrote
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        kept = "the one before it is kept" if path.exists() else "there is none yet"
        raise OSError(
            error.errno,
            f"could not save the checkpoint {path} ({len(data):,} bytes): "
            f"{error.strerror}; {kept}. Make room, or name another folder",
        ) from error
    if os.name == "posix":  # a rename is lasting once its folder is on disk
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


@contextlib.contextmanager
def held(path: str | Path | None) -> Iterator[None]:
    """Keep other processes from writing the same checkpoint; None needs no lock.

    The lock belongs to the process: one that was killed leaves none behind.

    Raises:
        RuntimeError: another process holds it.
        OSError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with held(Path(folder, "run.safetensors")):
        ...         pass
    """
    if path is None:
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RuntimeError(
            f"another run is writing the checkpoint {path}: wait for it, or name "
            "another file"
        ) from None
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write a checkpoint {path}: {error.strerror}. Name another folder",
        ) from error
    with lock:
        yield


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read what `save_tensors` wrote.

    Returns:
        The tensors, on the CPU, and the record.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is cut short, changed, or no checkpoint of this package.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from error
    if "attnbook" not in header:
        raise _damaged(path, "it was not written by attnbook.checkpoints")
    if str(_checksum(tensors)) != header.get("crc32"):
        raise _damaged(path, "its checksum does not match")
    sealed = header.get("crc32_record")  # files of the first weeks have none
    if sealed not in (None, str(_checksum_of_record(tensors, header["attnbook"]))):
        raise _damaged(path, "its record does not match its checksum")
    return tensors, json.loads(header["attnbook"])


def _damaged(path: Path, why: str) -> OSError:
    return OSError(
        f"the checkpoint {path} is damaged: {why}. Delete it to start anew, or put a "
        "copy in its place"
    )


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """Return a CRC-32 over names and bytes."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        flat = tensors[name].contiguous().flatten()
        value = zlib.crc32(flat.view(torch.uint8).numpy(), value)
    return value


def _checksum_of_record(tensors: Mapping[str, Tensor], text: str) -> int:
    """Return a CRC-32 over the record and the kind and shape of each tensor."""
    kinds = [f"{name} {t.dtype} {list(t.shape)}" for name, t in sorted(tensors.items())]
    return zlib.crc32("\n".join([text, *kinds]).encode())


def save_run(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    streams: Mapping[str, object],
    history: list[float],
) -> None:
    """Save a training run: weights, optimizer, random states, data position, losses.

    Args:
        path: the checkpoint.
        model: its parameters and persistent buffers are saved.
        optimizer: its state and settings are saved.
        streams: name → `torch.Generator`, or an object whose `state_dict()` JSON can
            hold, as `batching.PairBatches`.
        history: one loss per update done.

    Raises:
        OSError: see `save_tensors`.
    """
    state = optimizer.state_dict()
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    plain = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            key = f"optimizer.{index}.{name}"
            (tensors if torch.is_tensor(value) else plain)[key] = value
    tensors["history"] = torch.tensor(history, dtype=torch.float64)
    tensors |= _random_tensors()
    positions = {}
    for name, stream in streams.items():
        if isinstance(stream, torch.Generator):
            tensors[f"stream.{name}"] = stream.get_state()
        else:
            positions[name] = stream.state_dict()
    record = {
        "groups": state["param_groups"],
        "optimizer": plain,
        "streams": positions,
        "python": random.getstate(),
        "numpy": _numpy_record(),
    }
    save_tensors(path, tensors, record)


def load_run(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    streams: Mapping[str, object],
) -> list[float]:
    """Put a run back to where `save_run` left it, random states included.

    Returns:
        The losses so far; their number is the number of updates done.

    Raises:
        OSError: see `load_tensors`.
        ValueError: the checkpoint is of another model or has other streams.
    """
    tensors, record = load_tensors(path)
    generators = _under(tensors, "stream.")
    _require_run(path, record, generators, streams)
    _load_model(path, model, _under(tensors, "model."))
    state: dict[int, dict] = {}
    entries = {
        **_under(tensors, "optimizer."),
        **_under(record["optimizer"], "optimizer."),
    }
    for key, value in entries.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})
    for name, stream in streams.items():
        if isinstance(stream, torch.Generator):
            stream.set_state(generators[name])
        else:
            stream.load_state_dict(record["streams"][name])
    _restore_random(tensors, record)
    return tensors["history"].tolist()


def _under(entries: Mapping, prefix: str) -> dict:
    """Return the entries below a prefix, without it."""
    return {k[len(prefix) :]: v for k, v in entries.items() if k.startswith(prefix)}


def _require_run(path, record: dict, generators: dict, streams: Mapping) -> None:
    """Check, before anything is changed, that the file fits the run."""
    if "streams" not in record:
        raise ValueError(f"{path} holds weights, not a training run")
    known = {*record["streams"], *generators}
    if set(streams) != known:
        raise ValueError(
            f"the checkpoint {path} has the streams {sorted(known)}, "
            f"not {sorted(streams)}"
        )


def _load_model(path: str | Path, model: nn.Module, weights: dict) -> None:
    """Load weights; say which checkpoint it is when they do not fit."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"the checkpoint {path} is of another model: {error}"
        ) from error


def _random_tensors() -> dict[str, Tensor]:
    """Return the random states of torch."""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def _numpy_record() -> list:
    """Return the random state of NumPy's global generator."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [name, keys.tolist(), *rest]


def _restore_random(tensors: dict[str, Tensor], record: dict) -> None:
    """Put all random states back."""
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    version, internal, gauss = record["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = record["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))  # noqa: NPY002
