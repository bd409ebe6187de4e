"""Data by name: nothing unchecked is returned, every failure says what to do."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import types
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
import requests
import torch

from attnbook import data

GOOD = bytes(range(256)) * 2000
NAME = "toy/good.bin"
SHARED = Path(__file__).parents[2] / "shared" / "data"


class Handler(BaseHTTPRequestHandler):
    """Serve good, wrong and broken answers; count what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/both":
            self.server.both.wait(timeout=60)  # until a second client is here too
        body = {"/wrong": b"<html>moved</html>", "/half": GOOD[:999]}
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(GOOD)))
        if self.path == "/wrong":
            self.send_header("Content-Length", "18")
        self.end_headers()
        self.wfile.write(body.get(self.path, GOOD))

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.both = [], threading.Barrier(2)
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def known(url):
    sha256 = hashlib.sha256(GOOD).hexdigest()
    entry = {"path": NAME, "sha256": sha256, "bytes": len(GOOD), "url": url}
    return {"toy": {"title": "A toy", "files": [entry]}}


@pytest.fixture
def register(monkeypatch, tmp_path):
    """Return a function that registers one file at a URL; the cache is empty."""
    monkeypatch.setenv("ATTNBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("ATTNBOOK_DATA", raising=False)
    no_wait = types.SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(pooch.core, "time", no_wait)
    return lambda url: monkeypatch.setattr(data, "registry", lambda: known(url))


def kept(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


# what goes right


def test_download_is_checked_kept_and_not_repeated(register, server, tmp_path):
    register(f"{server.url}/good")
    path = data.fetch(NAME)
    assert path.read_bytes() == GOOD
    assert data.fetch(NAME) == path == tmp_path / "cache" / NAME
    assert server.asked == ["/good"]
    assert kept(tmp_path) == ["good.bin"]


def test_damaged_file_in_the_cache_is_downloaded_again(register, server, tmp_path):
    register(f"{server.url}/good")
    damaged = tmp_path / "cache" / NAME
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(GOOD[:-1])
    assert data.fetch(NAME).read_bytes() == GOOD


def test_mirror_comes_first_and_needs_no_network(register, monkeypatch, tmp_path):
    register("http://nowhere.invalid/good")
    monkeypatch.setenv("ATTNBOOK_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    (tmp_path / NAME).write_bytes(GOOD)
    assert data.fetch(NAME) == tmp_path / NAME


def test_file_that_the_mirror_lacks_is_downloaded(
    register, server, monkeypatch, tmp_path
):
    register(f"{server.url}/good")
    monkeypatch.setenv("ATTNBOOK_DATA", str(tmp_path / "mirror"))
    assert data.fetch(NAME).read_bytes() == GOOD


def test_two_processes_download_into_one_cache(register, server, tmp_path):
    register(f"{server.url}/both")
    code = (
        "from attnbook import data\n"
        f"data.registry = lambda: {known(f'{server.url}/both')!r}\n"
        f"data.fetch({NAME!r})"
    )
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert server.asked == ["/both", "/both"]
    assert (tmp_path / "cache" / NAME).read_bytes() == GOOD
    assert kept(tmp_path) == ["good.bin"]


# what goes wrong


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_set/a.txt", "unknown data set 'no_such_set'; known: multi30k, "),
        ("multi30k/a.txt", "multi30k has no file 'multi30k/a.txt'; it has multi30k/tr"),
        ("", "unknown data set ''"),
        ("../multi30k/train.en.gz", "unknown data set '..'"),
    ],
)
def test_unknown_name_says_what_there_is(path, message):
    with pytest.raises(ValueError, match=message):
        data.fetch(path)


def test_damaged_mirror_file_is_named_and_not_returned(register, monkeypatch, tmp_path):
    register("http://nowhere.invalid/good")
    monkeypatch.setenv("ATTNBOOK_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    (tmp_path / NAME).write_bytes(GOOD[1:])
    message = rf"{NAME} is damaged: .* Delete it, or download it .* http://nowhere"
    with pytest.raises(OSError, match=message):
        data.fetch(NAME)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("wrong", f"/wrong gave other bytes than expected for {NAME}.*Nothing was k"),
        ("half", f"could not download {NAME} from http.*/half: .*Check the network"),
        ("gone", f"could not download {NAME} from .*404 .*ATTNBOOK_DATA"),
    ],
)
def test_bad_download_leaves_nothing_and_says_so(
    register, server, tmp_path, answer, message
):
    register(f"{server.url}/{answer}")
    with pytest.raises(OSError, match=message):
        data.fetch(NAME)
    assert kept(tmp_path) == []
    assert server.asked == [f"/{answer}"] * 2  # tried once more


def test_no_network_names_file_address_and_way_out(register, monkeypatch, tmp_path):
    def get(*args, **options):
        raise requests.ConnectionError("Network is unreachable")

    register("https://example.org/good")
    monkeypatch.setattr(requests, "get", get)
    message = (
        f"could not download {NAME} from https://example.org/good: Network is "
        "unreachable. Check the network, or put the file into a folder .*ATTNBOOK_DATA"
    )
    with pytest.raises(OSError, match=message):
        data.fetch(NAME)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_cache_that_cannot_be_written_is_named(register, server, monkeypatch, code):
    def refuse(*args, **options):  # root may write everywhere: a mode would not do
        raise OSError(code, os.strerror(code))

    register(f"{server.url}/good")
    monkeypatch.setattr(pooch.core, "temporary_file", refuse)
    message = f"cannot write {NAME} to the cache .*/cache: .*{os.strerror(code)}.*CACHE"
    with pytest.raises(OSError, match=message):
        data.fetch(NAME)
    assert server.asked == []


def test_tests_cannot_reach_the_network():
    with pytest.raises(requests.ConnectionError, match="tests use no network"):
        requests.get("http://192.0.2.1/", timeout=1)


# what is registered


@pytest.mark.parametrize("name", data.registry())
def test_registry_says_all_about_every_file(name):
    for file in data.registry()[name]["files"]:
        assert file["path"].startswith(f"{name}/")
        assert urllib.parse.urlsplit(file["url"]).scheme in ("http", "https")
        assert len(bytes.fromhex(file["sha256"])) == 32
        assert file["bytes"] > 0
    assert data.registry()[name]["licence"]
    assert data.registry()[name]["citation"]


@pytest.mark.parametrize("name", data.registry())
def test_mirror_holds_what_is_registered(name):
    """Only small sets are hashed, but each size is compared."""
    if not SHARED.exists():
        pytest.skip(f"NO MIRROR at {SHARED}: hashes of the data sets not compared")
    for file in data.registry()[name]["files"]:
        path = SHARED / file["path"]
        assert path.stat().st_size == file["bytes"]
        if file["bytes"] < 3_000_000:
            assert pooch.file_hash(str(path)) == file["sha256"]


# digits


def test_digits_have_the_documented_shapes_and_ranges():
    digits = data.digits()
    assert digits.train_images.shape == (1400, 8, 8)
    assert digits.test_images.shape == (397, 8, 8)
    assert digits.train_images.dtype == torch.float32
    assert digits.train_labels.dtype == torch.int64
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 1)
    assert digits.test_labels.unique().tolist() == list(range(10))


def test_digits_split_is_the_same_everywhere_and_every_time():
    digits = data.digits()
    assert digits.train_labels[:10].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1]
    assert digits.test_labels[:10].tolist() == [2, 5, 7, 4, 5, 5, 2, 9, 4, 7]
    torch.manual_seed(1)
    assert torch.equal(data.digits().test_images, digits.test_images)


def test_digits_no_test_image_is_trained_on():
    digits = data.digits()
    seen = {image.numpy().tobytes() for image in digits.train_images}
    assert not any(image.numpy().tobytes() in seen for image in digits.test_images)
