"""The command line killed at bad moments, and gone on with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lowroad.study.config import StudyConfig
from lowroad.study.resolve import resolve_study
from lowroad.study.run import RunSummary
from lowroad.study.status import status
from lowroad.study.store import Store
from lowroad.study.study_file import to_toml
from lowroad.study.verify import verify

from .conftest import HERE, Finished, digests, prepared


@pytest.fixture
def study_file(tiny: StudyConfig, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(tiny))
    shutil.copy(HERE / "tiny_network_problem.py", tmp_path)
    return path


def start(study_file: Path, directory: Path, workers: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lowroad.cli", "run", str(study_file)]
    return subprocess.Popen(
        [*command, "--out", str(directory), "--workers", str(workers), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_records(store: Store, count: int, run: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while len(store.hashes()) < count:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def ages(store: Store) -> dict[str, int]:
    return {name: store.path(name).stat().st_mtime_ns for name in store.hashes()}


@pytest.mark.slow
def test_killed_twice_and_gone_on_with_gives_the_same_store(
    study_file: Path, tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    """Kill the driver among the training runs, then among the paths, with other workers each."""
    directory = tmp_path / "out"
    store = Store(directory)
    before: dict[str, int] = {}
    for count, workers in ((2, 2), (9, 1)):
        run = start(study_file, directory, workers)
        wait_for_records(store, count, run)
        run.kill()
        run.communicate()
        time.sleep(0.5)  # the workers notice, and finish what they write
        now = ages(store)
        assert len(now) >= count
        assert {name: now[name] for name in before} == before
        before = now
    assert len(before) < 14
    summary = prepared(tiny, directory).execute(1, lambda progress, event: None)
    assert summary == RunSummary(performed=14 - len(before), failed=[], waiting=0)
    now = ages(store)
    assert {name: now[name] for name in before} == before
    assert digests(directory) == finished.digests
    assert not [path for path in directory.rglob("*.tmp") if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_says_how_to_go_on(study_file: Path, tmp_path: Path, workers: int) -> None:
    directory = tmp_path / "out"
    run = start(study_file, directory, workers)
    wait_for_records(Store(directory), 1, run)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert "of 14 tasks are stored, nothing finished is lost" in errors
    assert f"To go on: lowroad run {study_file} --out {directory} --workers {workers}" in errors
    assert "Traceback" not in errors


NO_REPORT = ("--shard", "1/1")


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(
    study_file: Path, finished: Finished, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    run = start(study_file, directory, 2, *NO_REPORT)
    wait_for_records(Store(directory), 2, run)
    children = psutil.Process(run.pid).children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert digests(directory) == finished.digests
    assert verify(directory).damaged == []


@pytest.mark.slow
def test_driver_and_workers_killed_at_once(
    study_file: Path, tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    store = Store(directory)
    run = start(study_file, directory, 2, *NO_REPORT)
    wait_for_records(store, 3, run)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    stored = len(store.hashes())
    assert stored < len(finished.digests)
    assert status(resolve_study(tiny, HERE), directory).runs == 0  # though its heartbeat is there
    assert len(list(store.running.iterdir())) >= 1
    summary = prepared(tiny, directory).execute(1, lambda progress, event: None)
    assert summary.performed == len(finished.digests) - stored
    assert digests(directory) == finished.digests
    assert verify(directory).damaged == []
    assert list(store.running.iterdir()) == []


@pytest.mark.slow
def test_two_runs_in_one_directory_at_once(
    study_file: Path, finished: Finished, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    runs = [start(study_file, directory, 1, *NO_REPORT) for _ in range(2)]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert (run.returncode, errors) == (0, "")
    assert digests(directory) == finished.digests
    assert verify(directory).damaged == []
    assert not list(directory.rglob(".*"))
