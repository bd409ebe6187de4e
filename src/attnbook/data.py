"""Data sets by name: real ones downloaded once and checked, small ones at hand.

`fetch` gives the path of a file of the registry (`registry.json`: address, SHA-256,
licence of each). It looks in the mirror folder that `ATTNBOOK_DATA` names, else in
pooch's cache, else downloads. Nothing unchecked is ever returned.

`digits` needs no download: scikit-learn ships the images.
"""

import json
import os
import warnings
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import requests
import torch
from torch import Tensor
from tqdm import TqdmWarning

from attnbook.training import progress

with warnings.catch_warnings():  # pooch loads tqdm.auto, which asks for ipywidgets
    warnings.simplefilter("ignore", TqdmWarning)
    import pooch


def registry() -> dict:
    """Return what is known of every data set: title, files, licence, citation."""
    text = resources.files("attnbook").joinpath("registry.json").read_text("utf-8")
    return json.loads(text)


def fetch(path: str) -> Path:
    """Return the local path of a registered file, downloading it if need be.

    Args:
        path: data set and file, as "multi30k/train.en.gz".

    Returns:
        A path to bytes whose SHA-256 is the registered one.

    Raises:
        ValueError: no such data set or file; the message lists what there is.
        OSError: no network, a wrong hash, or a cache that cannot be written; the
            message names the file, the address and what to do.

    Example:
        >>> fetch("no_such_set/file.txt")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: unknown data set 'no_such_set'; known: multi30k, ...
    """
    entry = _entry(path)
    mirror = os.environ.get("ATTNBOOK_DATA")
    if mirror and (local := Path(mirror, path)).exists():
        if pooch.file_hash(str(local)) != entry["sha256"]:
            raise OSError(
                f"{local} is damaged: its SHA-256 is not {entry['sha256']}. "
                f"Delete it, or download it again from {entry['url']}"
            )
        return local
    cache = Path(os.environ.get("ATTNBOOK_CACHE") or pooch.os_cache("attnbook"))
    return _download(path, entry, cache)


def _entry(path: str) -> dict:
    """Look a file up in the registry."""
    name = path.partition("/")[0]
    known = registry()
    if name not in known:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(known)}")
    files = {file["path"]: file for file in known[name]["files"]}
    if path not in files:
        raise ValueError(f"{name} has no file {path!r}; it has {', '.join(files)}")
    return files[path]


def _download(path: str, entry: dict, cache: Path) -> Path:
    """Download into the cache; pooch checks the hash before the file gets its name.

    A failed download is tried once more. A progress bar shows after two seconds.
    """
    advice = (
        "Check the network, or put the file into a folder with the same layout "
        "and name that folder in the environment variable ATTNBOOK_DATA."
    )
    try:
        folder, name = Path(path).parent, Path(path).name
        keeper = pooch.create(
            path=cache / folder,
            base_url="",
            registry={name: f"sha256:{entry['sha256']}"},
            urls={name: entry["url"]},
            retry_if_failed=1,
        )
        bar = progress(None, total=entry["bytes"], unit="B", unit_scale=True)
        downloader = pooch.HTTPDownloader(timeout=30, progressbar=bar)
        return Path(keeper.fetch(name, downloader=downloader))
    except ValueError as error:
        raise OSError(
            f"{entry['url']} gave other bytes than expected for {path}: {error}. "
            "Nothing was kept. Try again; if it stays so, the address has changed."
        ) from error
    except requests.RequestException as error:  # an OSError too, so it comes first
        raise OSError(
            f"could not download {path} from {entry['url']}: {error}. {advice}"
        ) from error
    except OSError as error:  # no permission, a read-only disk, a full one
        raise OSError(
            f"cannot write {path} to the cache {cache}: {error}. "
            "Name a folder that you may write in ATTNBOOK_CACHE."
        ) from error


class Digits(NamedTuple):
    """Handwritten digits: 8 × 8 images with values from 0 to 1, and their labels."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def digits() -> Digits:
    """Load scikit-learn's 1,797 handwritten digits, split once and for all.

    Returns:
        1,400 training and 397 test images (N, 8, 8), float32 from 0 to 1, and
        labels (N,), int64 from 0 to 9.

    Source: E. Alpaydin, C. Kaynak. Optical Recognition of Handwritten Digits, UCI
    1998 (CC BY 4.0), through scikit-learn.

    Example:
        >>> digits().train_images.shape
        torch.Size([1400, 8, 8])
    """
    from sklearn.datasets import load_digits  # slow to import, and few need it

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    images = torch.tensor(bunch.images[order] / 16, dtype=torch.float32)
    labels = torch.tensor(bunch.target[order], dtype=torch.int64)
    return Digits(images[:1400], labels[:1400], images[1400:], labels[1400:])


def digits_by_class() -> tuple[Tensor, Tensor]:
    """Return `digits` as two pools, training and test, sorted by class.

    Returns:
        Two tensors (10, N, 64), float32 from 0 to 1: flat images of each class, as
        many as the rarest class has.

    Example:
        >>> train, test = digits_by_class()
        >>> train.shape[0], test.shape[2]
        (10, 64)
    """
    images = digits()
    train = _by_class(images.train_images, images.train_labels)
    return train, _by_class(images.test_images, images.test_labels)


def _by_class(images: Tensor, labels: Tensor) -> Tensor:
    """Stack as many flat images of each class as the rarest has."""
    num = int(labels.bincount().min())
    return torch.stack([images[labels == c][:num].flatten(1) for c in range(10)])
