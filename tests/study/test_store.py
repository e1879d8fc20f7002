from __future__ import annotations

import errno
import hashlib
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from lowroad.study import store as store_module
from lowroad.study.files import host_name, write_atomically
from lowroad.study.netcdf import content_digest
from lowroad.study.store import DamagedRecordError, Store

NAME = hashlib.sha256(b"a task").hexdigest()


def make_dataset(**attributes: Any) -> xr.Dataset:
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "heights": ("step", rng.random(5), {"long_name": "loss"}),
            "point": ("parameter", rng.random(7).astype(np.float32)),
        },
        coords={"step": np.arange(5)},
        attrs={
            "task": "a task",
            "network": "FCP",
            "best": 0.1,
            "seed": 3,
            "none": float("nan"),
            "seeds": [1, 2],
            **attributes,
        },
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "study")


def test_what_is_written_is_read_back(store: Store) -> None:
    dataset = make_dataset()
    store.write(NAME, dataset)
    assert store.path(NAME) == store.directory / "records" / NAME[:2] / f"{NAME}.nc"
    record = store.read(NAME)
    assert set(record.arrays) == {"heights", "point", "step"}
    for name, values in record.arrays.items():
        assert values.dtype == dataset[name].dtype
        np.testing.assert_array_equal(values, dataset[name].values)
    attributes = record.attributes
    assert np.isnan(attributes.pop("none"))
    assert attributes.pop("content_sha256") == content_digest(dataset)
    assert attributes == {
        "task": "a task",
        "network": "FCP",
        "best": 0.1,
        "seed": 3,
        "seeds": [1, 2],
    }
    assert store.read_attributes(NAME)["best"] == 0.1


def test_xarray_alone_opens_a_record(store: Store) -> None:
    dataset = make_dataset()
    store.write(NAME, dataset)
    with xr.open_dataset(store.path(NAME)) as opened:
        xr.testing.assert_equal(opened, dataset)
        assert opened["heights"].attrs == {"long_name": "loss"}
        assert opened.attrs["network"] == "FCP"
        assert content_digest(opened.load()) == content_digest(dataset)


def test_equal_datasets_give_equal_files(store: Store) -> None:
    other = "f" * 64
    store.write(NAME, make_dataset())
    store.write(other, make_dataset())
    assert store.path(NAME).read_bytes() == store.path(other).read_bytes()


def test_the_content_digest_sees_content_and_not_the_circumstances() -> None:
    digest = content_digest(make_dataset(seconds=1.0, created="now"))
    assert digest == content_digest(make_dataset(seconds=2.0, created="then", machine="x"))
    changed = make_dataset()
    changed["point"].values[3] = np.nextafter(changed["point"].values[3], np.float32(2))
    others = [
        changed,
        make_dataset(seed=4),
        make_dataset().rename(point="points"),
        make_dataset().rename(parameter="weight"),
        make_dataset().assign(point=make_dataset()["point"].astype(np.float64)),
    ]
    assert len({digest, *map(content_digest, others)}) == 6


def test_each_flipped_byte_is_found(store: Store) -> None:
    store.write(NAME, make_dataset())
    path = store.path(NAME)
    content = path.read_bytes()
    positions = range(len(content))
    # every byte of the footer, and many before it
    for position in [*positions[:-120:31], *positions[-120:]]:
        for flip in (0x01, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= flip
            path.write_bytes(damaged)
            with pytest.raises(DamagedRecordError, match=NAME):
                store.read(NAME)


def test_each_truncation_and_addition_is_found(store: Store) -> None:
    store.write(NAME, make_dataset())
    path = store.path(NAME)
    content = path.read_bytes()
    for length in [0, 1, 50, 100, *range(200, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DamagedRecordError, match="empty" if length == 0 else "cut short"):
            store.read(NAME)
    path.write_bytes(content + b"\n")
    with pytest.raises(DamagedRecordError, match="no checksum at its end"):
        store.read(NAME)
    path.write_bytes(content.replace(b"format 2", b"format 3"))
    with pytest.raises(DamagedRecordError, match="expected format 2, got 3"):
        store.read(NAME)


def test_what_a_worker_finds_damaged_is_told_whole_to_its_driver(store: Store) -> None:
    write_atomically(store.path(NAME), b"")
    with pytest.raises(DamagedRecordError) as caught:
        store.read(NAME)
    passed_on = pickle.loads(pickle.dumps(caught.value))
    assert str(passed_on) == f"{store.path(NAME)}: damaged record: the file is empty"


def test_a_missing_record_is_missing_and_not_damaged(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read(NAME)
    assert store.hashes() == set()


def test_damaged_records_are_quarantine_under_different_names(store: Store) -> None:
    places = []
    for text in (b"one", b"two"):
        write_atomically(store.path(NAME), text)
        places.append(store.quarantine(NAME, lambda: store.read(NAME) and None))
    assert [place.read_bytes() for place in places] == [b"one", b"two"]
    assert {place.parent for place in places} == {store.directory / "quarantine"}
    assert store.hashes() == set()


def test_what_another_run_has_moved_is_not_quarantined(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.quarantine(NAME, lambda: store.read(NAME) and None) is None
    write_atomically(store.path(NAME), b"quarantine")
    real = os.replace

    def replace_after_another(source: Path, target: Path) -> None:
        source.unlink()
        real(source, target)

    monkeypatch.setattr(store_module.os, "replace", replace_after_another)
    assert store.quarantine(NAME, lambda: store.read(NAME) and None) is None


def test_a_success_removes_the_failure_before_it(store: Store) -> None:
    write_atomically(store.failure_path(NAME), b"traceback")
    assert store.failures() == {NAME}
    store.write(NAME, make_dataset())
    assert store.failures() == set()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(
    store: Store, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(NAME, make_dataset())
    before = store.path(NAME).read_bytes()

    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        store.write(NAME, make_dataset(seed=4))
    monkeypatch.undo()
    assert store.path(NAME).read_bytes() == before
    assert [path.name for path in store.path(NAME).parent.iterdir()] == [f"{NAME}.nc"]


def test_where_nothing_can_be_made_or_removed_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system, where removing a file that is not there fails, too."""

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        write_atomically(tmp_path / "file", b"content")
    assert caught.value.filename == str(tmp_path / "file")


def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """Two contents are written in turn without a pause until the writer is killed."""
    path = tmp_path / "file"
    code = (
        "import sys; from pathlib import Path; from lowroad.study.files import write_atomically\n"
        "while True:\n"
        "    for letter in (b'a', b'b'): write_atomically(Path(sys.argv[1]), letter * 300_000)"
    )
    seen = set()
    for pause in (0.0, 0.013, 0.029, 0.047):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
        try:
            wait_for(path)
            time.sleep(pause)
        finally:
            writer.kill()
            writer.wait()
        content = path.read_bytes()
        seen.add(content)
        assert content in (b"a" * 300_000, b"b" * 300_000)
    assert seen


def wait_for(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} has not come"
        time.sleep(0.001)


@pytest.fixture
def gone() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_writers_that_nobody_waits_for_or_whose_number_is_taken(store: Store) -> None:
    store.write(NAME, make_dataset())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it has ended and stays in the table
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as newer:
        folder = store.path(NAME).parent
        paths = [folder / f".{NAME}.nc.{host_name()}.{p.pid}.abcd.tmp" for p in (ended, newer)]
        own = folder / f".{NAME}.nc.{host_name()}.{newer.pid}.ef01.tmp"
        for path in (*paths, own):
            path.write_bytes(b"half")
        hour = time.time() - 3600
        os.utime(paths[1], (hour, hour))  # written before the process with this number began
        store.remove_leftovers()
        assert [path.exists() for path in (*paths, own)] == [False, False, True]
        newer.communicate(b"\n")
    ended.wait()


def test_leftovers_of_dead_writers_are_removed_and_others_kept(store: Store, gone: int) -> None:
    store.write(NAME, make_dataset())
    folder = store.path(NAME).parent
    host = host_name()
    dead = folder / f".{NAME}.nc.{host}.{gone}.abcd.tmp"
    alive = folder / f".{NAME}.nc.{host}.{os.getppid()}.abcd.tmp"
    elsewhere = folder / f".{NAME}.nc.elsewhere.{gone}.abcd.tmp"
    old = folder / f".{NAME}.nc.elsewhere.{gone}.ef01.tmp"
    study = store.directory / f".study.toml.{host}.{gone}.abcd.tmp"
    for path in (dead, alive, elsewhere, old, study):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert store.hashes() == {NAME}
    store.remove_leftovers()
    left = {path for path in (dead, alive, elsewhere, old, study) if path.exists()}
    assert left == {alive, elsewhere}
    assert store.hashes() == {NAME}
    store.read(NAME)


def test_ten_thousand_records_are_listed_quickly(store: Store) -> None:
    for number in range(10_000):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        path = store.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    start = time.monotonic()
    assert len(store.hashes()) == 10_000
    assert time.monotonic() - start < 2
