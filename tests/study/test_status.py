"""What is told about a directory: how far it is, who works in it, and whether it is sound."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr

from lowroad.execution.events import Event
from lowroad.study import heartbeat
from lowroad.study.config import StudyConfig
from lowroad.study.files import host_name
from lowroad.study.heartbeat import alive
from lowroad.study.progress import RunProgress
from lowroad.study.resolve import resolve_study
from lowroad.study.status import status
from lowroad.study.store import Outline, Store
from lowroad.study.study_file import parse_study
from lowroad.study.tasks import Task, canonical_json
from lowroad.study.verify import verify

from .conftest import HERE, Finished, prepared


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished store, free to damage."""
    return Path(shutil.copytree(finished.directory, tmp_path / "copy"))


def record_of(directory: Path, config: StudyConfig, kind: str) -> str:
    run = prepared(config, directory)
    return next(name for name, task in run.schedule.done.items() if task.measurement == kind)


def state(directory: Path) -> dict[Path, int]:
    files = (path for path in directory.rglob("*") if path.name != "index.csv")
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize("kind", ["training", "path"])
def test_status_changes_nothing_and_names_damage(tiny: StudyConfig, copy: Path, kind: str) -> None:
    name = record_of(copy, tiny, kind)
    Store(copy).path(name).write_bytes(b"")
    before = state(copy)
    found = status(resolve_study(tiny, HERE), copy)
    assert state(copy) == before
    assert [name in line for line in found.damaged] == [True]
    assert sum(row.total for row in found.rows if row.measurement == "training") == 6
    stored = sum(row.done for row in found.rows)
    assert stored == (13 if kind == "path" else 13 - 4)  # paths wait for all runs
    assert sum(row.missing for row in found.rows) == 14 - stored
    nowhere = status(resolve_study(tiny, HERE), copy / "nowhere")
    assert sum(row.missing for row in nowhere.rows) == 14
    assert math.isnan(nowhere.work_left)
    assert not (copy / "nowhere").exists()


def test_the_index_spares_reading_and_is_rebuilt(
    tiny: StudyConfig, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(copy)
    read: list[str] = []
    real = Store.read_outline

    def read_outline(store: Store, name: str) -> Outline:
        read.append(name)
        return real(store, name)

    monkeypatch.setattr(Store, "read_outline", read_outline)
    store.index_file.unlink(missing_ok=True)  # another test may have asked for the status
    first = status(resolve_study(tiny, HERE), copy)
    assert sorted(read) == sorted(store.hashes())
    table = pd.read_csv(store.index_file).set_index("record")
    assert len(table) == 14
    for name, row in table.iterrows():
        attributes = real(store, str(name)).attributes
        assert (row["title"], row["seconds"]) == (attributes["title"], attributes["seconds"])
        assert row["bytes"] == store.path(str(name)).stat().st_size
    read.clear()
    assert status(resolve_study(tiny, HERE), copy) == first
    assert read == []
    # a record that is written again is read again, and only that one
    name = str(table.index[0])
    os.utime(store.path(name), (0, 0))
    assert status(resolve_study(tiny, HERE), copy) == first
    assert read == [name]
    # damaged or gone, the index is made anew
    whole = store.index_file.read_bytes()
    for content in (b"", whole[:-40], b"record,title\n1,2,3\n", b"\xff", whole[:50] + b"\0"):
        store.index_file.write_bytes(content)
        assert status(resolve_study(tiny, HERE), copy) == first
        assert store.index_file.read_bytes() == whole
    store.index_file.unlink()
    assert status(resolve_study(tiny, HERE), copy) == first
    assert store.index_file.read_bytes() == whole


def store_with_seconds(store: Store, task: Task, seconds: float) -> None:
    attributes = {"train_value": 1.0, "seconds": seconds, "title": str(task)}
    attributes |= {"task": canonical_json(task.hash_inputs()), "computed_from": "{}"}
    arrays = {"train_values": ("step", [1.0]), "train_point": ("parameter", [0.0])}
    store.write(task.hash, xr.Dataset(arrays, coords={"step": [0]}, attrs=attributes))


def test_time_left_follows_from_the_times_of_stored_tasks(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    """Six SGD runs of 10 and 30 s, two stored, one under way for 5 s and one failed: by hand."""
    raw["train"] |= {"seeds": 6, "keep": 2}
    raw["paths"] |= {"pairs": 0}
    config = parse_study(raw)
    run = prepared(config, tmp_path)
    store = Store(tmp_path)
    by_optimizer = {
        name: [task for task in run.tasks if task.labels["source"] == name]
        for name in ("sgd", "lbfgs")
    }
    tasks = by_optimizer["sgd"]
    for task, seconds in zip(tasks, (10.0, 30.0), strict=False):
        store_with_seconds(store, task, seconds)
    for task in by_optimizer["lbfgs"]:
        store_with_seconds(store, task, 100.0)
    store.failure_path(tasks[5].hash).parent.mkdir()
    store.failure_path(tasks[5].hash).write_text("no luck")
    store.running.mkdir()
    beat = store.running / f"{host_name()}.{os.getpid()}.json"
    beat.write_text(json.dumps({tasks[2].hash: 5.0, "of another study": 3.0}))
    (store.running / "elsewhere.7.json").write_text(json.dumps({tasks[3].hash: 4.0}))
    found = status(resolve_study(config, HERE), tmp_path)
    (row,) = found.rows
    assert (row.total, row.done, row.running, row.failed, row.missing) == (12, 8, 2, 1, 1)
    assert (found.runs, found.workers) == (2, 3)
    assert found.work_left == pytest.approx(4 * 20 - 5 - 4)
    assert found.seconds_left == pytest.approx((4 * 20 - 5 - 4) / 3)


def test_a_finished_study_has_no_time_left(tiny: StudyConfig, finished: Finished) -> None:
    found = status(resolve_study(tiny, HERE), finished.directory)
    assert found.work_left == 0
    assert all(row.missing == row.running == row.failed == 0 for row in found.rows)


@pytest.fixture
def gone() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_heartbeats_of_dead_runs_count_for_nothing(tmp_path: Path, gone: int) -> None:
    store = Store(tmp_path)
    assert alive(store).runs == 0
    store.running.mkdir()
    names = [f"{host_name()}.{gone}", "elsewhere.1", "elsewhere.2", "elsewhere.3"]
    for name, text in zip(names, ('{"a": 1}', '{"b": 2}', '{"c": 3}', "half"), strict=True):
        (store.running / f"{name}.json").write_text(text)
    for number, text in enumerate(("[1, 2]", "3", "null", '{"d": "long"}', '{"e": {"f": 1}}')):
        (store.running / f"another-{number}.1.json").write_text(text)
    old = time.time() - 2 * heartbeat.DEAD_AFTER
    os.utime(store.running / "elsewhere.1.json", (old, old))
    assert alive(store) == heartbeat.Alive(runs=1, workers=1, seconds={"c": 3.0})


def test_a_run_beats_until_its_end(
    tiny: StudyConfig, tmp_path: Path, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY", 0.01)
    run = prepared(tiny, tmp_path)
    store = run.schedule.store
    store.running.mkdir()
    left = store.running / f"{host_name()}.{gone}.json"
    left.write_text("{}")
    seen: list[set[str]] = []

    def watch(progress: RunProgress, event: Event) -> None:
        if event.kind == "started":
            end = time.monotonic() + 20
            while event.task.hash not in alive(store).seconds and time.monotonic() < end:
                time.sleep(0.005)
            seen.append(set(alive(store).seconds))

    assert run.execute(1, watch).performed == 14
    assert seen == [{name} for name in run.schedule.done]
    assert list(store.running.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if "_beat_on" in thread.name]


def test_all_records_and_snapshots_are_verified(tiny: StudyConfig, copy: Path) -> None:
    changed = tiny.model_copy(update={"seed": 1})  # its plan has none of the records
    prepared(changed, copy)
    before = state(copy)
    assert verify(copy).records == 14
    assert verify(copy).damaged == []
    assert state(copy) == before


@pytest.fixture
def two(copy: Path) -> tuple[Store, str, str]:
    store = Store(copy)
    first, second = sorted(store.hashes())[:2]
    return store, first, second


def test_each_kind_of_damage_is_named(two: tuple[Store, str, str]) -> None:
    store, first, second = two
    content = bytearray(store.path(first).read_bytes())
    content[100] ^= 1
    store.path(first).write_bytes(content)
    store.path(second).unlink()
    third, fourth = sorted(store.hashes())[1:3]
    path = store.path(second)
    path.parent.mkdir(exist_ok=True)
    shutil.copy(store.path(third), path)  # sound, but another task's
    snapshot = store.snapshot_path(fourth)
    snapshot.parent.mkdir(exist_ok=True)
    snapshot.write_bytes(b"0" * 100)
    strange = store.snapshot_path(third)
    strange.write_bytes(hashlib.sha256(b"not torch's").digest() + b"not torch's")
    store.study_file.write_text("name = 3")
    found = verify(store.directory)
    assert found.records == 12
    problems = "\n".join(found.damaged)
    assert len(found.damaged) == 4
    assert f"{store.path(first)}: damaged record: its content does not fit" in problems
    assert f"{path}: damaged record: it is the record of another task" in problems
    assert f"{snapshot}: damaged snapshot" in problems
    assert f"{strange}: damaged snapshot" in problems
    assert f"{store.study_file}: name: expected a string" in found.study_file[0]


def test_snapshots_that_no_task_needs_are_told(tiny: StudyConfig, copy: Path) -> None:
    """Those of the study's own runs are kept, since longer runs go on from them."""
    study = resolve_study(tiny, HERE)
    assert len(Store(copy).snapshots()) == 6
    assert status(study, copy).abandoned == {}
    path = Store(copy).snapshot_path("0" * 64)
    path.write_bytes(b"a snapshot")
    assert status(study, copy).abandoned == {path: len(b"a snapshot")}


def test_a_file_with_a_footer_that_is_no_record_is_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.study_file.write_text('name = "a"')
    name = hashlib.sha256(b"a").hexdigest()
    body = b"no HDF5 at all"
    footer = f"\nlowroad record, format 2, sha256 {hashlib.sha256(body).hexdigest()}\n".encode()
    store.path(name).parent.mkdir(parents=True)
    store.path(name).write_bytes(body + footer)
    (problem,) = verify(tmp_path).damaged
    assert "it holds no netCDF file" in problem


def test_a_records_name_is_the_hash_of_the_task_it_tells(
    tiny: StudyConfig, finished: Finished
) -> None:
    run = prepared(tiny, finished.directory)
    for name, task in run.schedule.done.items():
        told = run.schedule.store.read_attributes(name)["task"]
        assert told == canonical_json(task.hash_inputs())
        assert hashlib.sha256(told.encode()).hexdigest() == name
