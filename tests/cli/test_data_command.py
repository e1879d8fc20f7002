"""`lowroad data`, on a tiny set in the form of MNIST and without any."""

from __future__ import annotations

import hashlib

from mnist_stand_in import put

from .conftest import call


def test_verified_files_are_named_with_their_digests(tiny_mnist, tiny_cache):
    put(tiny_mnist, tiny_cache)
    result = call("data")
    assert result.code == 0
    assert f"MNIST is in {tiny_cache} (the cache):" in result.out
    for name, content in tiny_mnist.items():
        assert f"{name}: verified, sha256 {hashlib.sha256(content).hexdigest()}" in result.out


def test_without_data_the_error_says_what_to_do(tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("LOWROAD_DATA", str(tmp_path / "nowhere"))
    result = call("data")
    assert result.code == 1
    assert "does not hold MNIST" in result.errors
    assert "Traceback" not in result.errors


def test_a_damaged_file_is_named(tiny_mnist, tmp_path, monkeypatch):
    names = sorted(tiny_mnist)
    put({**tiny_mnist, names[0]: tiny_mnist[names[0]][:-1] + b"?"}, tmp_path / "data")
    monkeypatch.setenv("LOWROAD_DATA", str(tmp_path / "data"))
    result = call("data")
    assert result.code == 1
    assert names[0] in result.errors
