"""What can happen to a study: processes killed, disks that are full or read-only, two at once."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import deadly_work
from lowroad.execution.events import Event
from lowroad.study import store as store_module
from lowroad.study import worker
from lowroad.study.config import StudyConfig
from lowroad.study.progress import RunProgress
from lowroad.study.resolve import resolve_study
from lowroad.study.run import RunSummary
from lowroad.study.status import status
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study
from lowroad.study.verify import verify
from preloaded_process import preloaded

from .conftest import HERE, Finished, digests, prepared

MEGABYTE = 2**20


def go_on(config: StudyConfig, directory: Path, workers: int = 1) -> RunSummary:
    return prepared(config, directory).execute(workers, lambda progress, event: None)


def check_whole(directory: Path, records: int | None = None) -> None:
    """Every record is sound, and nothing lies about that a writer has left."""
    found = verify(directory)
    assert found.damaged == []
    if records is not None:
        assert found.records == records
    assert not list(directory.rglob(".*"))


@pytest.mark.slow
def test_twenty_resumptions_give_the_same_store_as_none(
    tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    """Killed 20 times, each time within a few steps, at moments drawn at random."""
    draw = random.Random(0)
    processes = preloaded()
    stored = 0
    for _ in range(20):
        moment = draw.randint(1, 4), draw.uniform(0, 0.01)
        run = processes.Process(
            target=deadly_work.run_and_die, args=(tiny, tmp_path, HERE, *moment), daemon=True
        )
        run.start()
        run.join(60)
        assert run.exitcode == -signal.SIGKILL
        now = verify(tmp_path)
        assert now.damaged == []
        assert now.records >= stored
        stored = now.records
    assert 0 < stored < len(finished.digests)
    assert go_on(tiny, tmp_path).performed == len(finished.digests) - stored
    assert digests(tmp_path) == finished.digests
    check_whole(tmp_path, len(finished.digests))


@pytest.mark.slow
def test_a_worker_killed_on_every_third_task(
    raw: dict[str, Any], finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers and those that take their places give the bits of one process."""
    del raw["optimizers"]["sgd"]
    monkeypatch.setattr(worker, "run_task", deadly_work.run_or_die)
    directory = tmp_path / "out"
    kinds: list[str] = []
    run = prepared(parse_study(raw), directory)
    summary = run.execute(2, lambda progress, event: kinds.append(event.kind))
    assert (summary.performed, summary.failed) == (7, [])  # three runs, four paths
    died = len(list(tmp_path.glob("died-*")))
    assert died >= 2
    assert (kinds.count("started"), kinds.count("finished")) == (7 + died, 7)
    found = digests(directory)
    assert found == {name: finished.digests[name] for name in found}
    check_whole(directory, 7)


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Mounts something as ``mount`` does; without the right to do so the test is skipped."""
    mounted: list[Path] = []

    def do(*arguments: str, at: Path) -> None:
        done = subprocess.run(["mount", *arguments, str(at)], capture_output=True)
        if done.returncode:
            pytest.skip("needs the right to mount")
        mounted.append(at)

    yield do
    for path in dict.fromkeys(mounted):
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture(params=["tmpfs", "faked"])
def small_disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Callable[[], None]]:
    """A directory with room for a few records, and a way to make more room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "tmpfs":
        mount = request.getfixturevalue("mount")
        mount("-t", "tmpfs", "-o", "size=2m", "none", at=folder)
        return folder / "out", lambda: mount("-o", "remount,size=50m", at=folder)
    real = os.fsync

    def fsync(file: int) -> None:
        full = sum(path.stat().st_size for path in folder.rglob("*")) > 2 * MEGABYTE
        if full and os.fstat(file).st_size > 100_000:  # a few small files always fit
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(store_module.os, "fsync", fsync)
    return folder / "out", lambda: monkeypatch.setattr(store_module.os, "fsync", real)


def test_a_disk_that_runs_full(
    tiny: StudyConfig, finished: Finished, small_disk: tuple[Path, Callable[[], None]]
) -> None:
    directory, make_room = small_disk
    begun: list[str] = []
    files: list[Path] = []  # that the last task begun writes

    def watch(progress: RunProgress, event: Event) -> None:
        if event.kind == "started":
            begun.append(event.task.hash)
            files[:] = [store.path(event.task.hash), store.snapshot_path(event.task.trajectory)]

    store = Store(directory)

    with pytest.raises(OSError, match="No space left on device") as caught:
        prepared(tiny, directory).execute(1, watch)
    assert caught.value.errno == errno.ENOSPC
    assert any(str(file) in str(caught.value) for file in files)  # no task was begun after this one
    assert store.hashes() == set(begun[:-1]) != set()
    assert store.failures() == set()  # it was not the task's fault
    check_whole(directory, len(begun) - 1)
    make_room()
    assert go_on(tiny, directory).performed == len(finished.digests) - len(begun) + 1
    assert digests(directory) == finished.digests
    check_whole(directory, len(finished.digests))


@pytest.mark.slow
def test_a_worker_without_room_ends_the_run(
    tiny: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "run_task", deadly_work.find_no_room)
    with pytest.raises(OSError, match="Disk quota exceeded: 'a record'") as caught:
        go_on(tiny, tmp_path, workers=2)
    assert caught.value.errno == errno.EDQUOT
    check_whole(tmp_path, 0)


@pytest.fixture
def read_only(
    request: pytest.FixtureRequest, finished: Finished, tmp_path: Path
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A copy of the finished store, and what makes it read-only."""
    directory = Path(shutil.copytree(finished.directory, tmp_path / "copy"))
    folders = [directory, *(path for path in directory.rglob("*") if path.is_dir())]

    def close() -> None:
        if os.geteuid() == 0:  # whom permissions do not stop
            mount = request.getfixturevalue("mount")
            mount("--bind", str(directory), at=directory)
            mount("-o", "remount,ro,bind", at=directory)
        for folder in () if os.geteuid() == 0 else folders:
            folder.chmod(0o555)

    yield directory, close
    for folder in () if os.geteuid() == 0 else folders:
        folder.chmod(0o755)


def test_a_read_only_directory_can_be_looked_at(
    tiny: StudyConfig, read_only: tuple[Path, Callable[[], None]]
) -> None:
    directory, close = read_only
    close()
    assert all(row.missing == 0 for row in status(resolve_study(tiny, HERE), directory).rows)
    assert verify(directory).damaged == []
    assert go_on(tiny, directory) == RunSummary(performed=0, failed=[], waiting=0)


def test_a_run_in_a_read_only_directory_ends_before_its_first_task(
    tiny: StudyConfig, read_only: tuple[Path, Callable[[], None]]
) -> None:
    directory, close = read_only
    store = Store(directory)
    store.path(min(store.hashes())).unlink()
    close()
    events: list[Event] = []

    def watch(progress: RunProgress, event: Event) -> None:
        events.append(event)

    with pytest.raises(OSError, match=rf"(Read-only|Permission denied).*{directory}"):
        prepared(tiny, directory).execute(1, watch)
    assert events == []
