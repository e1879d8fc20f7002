"""Whole runs of the tiny study: resuming, damage, changed settings, failures."""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowroad.execution.clusters import ClusterError
from lowroad.execution.events import Event
from lowroad.study import worker
from lowroad.study.config import StudyConfig
from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.progress import RunProgress
from lowroad.study.resolve import resolve_study
from lowroad.study.run import RunSummary
from lowroad.study.snapshot import SnapshotFile
from lowroad.study.status import status
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study, read_study
from lowroad.study.tasks import Task

from .conftest import HERE, Finished, digests, prepared


def ignore(progress: RunProgress, event: Event) -> None:
    pass


def go_on(config: StudyConfig, directory: Path) -> RunSummary:
    return prepared(config, directory).execute(1, ignore)


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished store, free to damage."""
    return Path(shutil.copytree(finished.directory, tmp_path / "copy"))


def record_of(directory: Path, config: StudyConfig, kind: str) -> str:
    run = prepared(config, directory)
    return next(name for name, task in run.schedule.done.items() if task.measurement == kind)


def test_a_finished_run_has_nothing_to_do(tiny: StudyConfig, finished: Finished) -> None:
    run = prepared(tiny, finished.directory)
    assert (run.tasks, run.notes) == ([], [])
    assert run.execute(1, ignore) == RunSummary(performed=0, failed=[], waiting=0)
    assert read_study(finished.directory / "study.toml") == run.study.config


def test_a_record_lost_is_computed_again_to_the_same_bits(
    tiny: StudyConfig, finished: Finished, copy: Path
) -> None:
    for kind in ("training", "path"):
        Store(copy).path(record_of(copy, tiny, kind)).unlink()
    assert go_on(tiny, copy).performed == 2
    assert digests(copy) == finished.digests


KINDS = ("training", "path", "plane", "sharpness", "metric")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_record_is_named_quarantine_and_computed_again(
    measured_config: StudyConfig, measured: Finished, tmp_path: Path, kind: str, damage: str
) -> None:
    copy = Path(shutil.copytree(measured.directory, tmp_path / "copy"))
    done = prepared(measured_config, copy).schedule.done
    name = next(name for name, task in done.items() if task.measurement == kind)
    path = Store(copy).path(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    damaged = {"flip": bytes(content), "truncate": bytes(content[:-1]), "empty": b""}[damage]
    path.write_bytes(damaged)
    run = prepared(measured_config, copy)
    aside = copy / "quarantine" / f"{name}.nc"
    assert [task.hash for task in run.tasks] == [name]
    (note,) = run.notes
    assert note.startswith(f"{path}: damaged record: ")
    assert note.endswith(f"moved to {aside}")
    assert aside.read_bytes() == damaged
    assert run.execute(1, ignore).performed == 1
    assert digests(copy) == measured.digests


@pytest.mark.parametrize("damage", ["empty", "gone"])
def test_a_record_damaged_after_it_was_stored_keeps_back_what_follows(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, damage: str
) -> None:
    first: list[Path] = []

    def watch(progress: RunProgress, event: Event) -> None:
        if event.kind == "finished" and not first:
            first.append(Store(tmp_path).path(event.task.hash))
            first[0].unlink() if damage == "gone" else first[0].write_bytes(b"")

    summary = prepared(tiny, tmp_path).execute(1, watch)
    assert (summary.performed, summary.failed, summary.waiting) == (6 + 4, [], 4)
    (problem,) = summary.damaged
    assert str(first[0]) in problem
    assert go_on(tiny, tmp_path) == RunSummary(performed=1 + 4, failed=[], waiting=0)
    assert digests(tmp_path) == finished.digests


@pytest.mark.parametrize("kind", ["training", "path"])
@pytest.mark.parametrize("rewritten", [False, True])
def test_another_run_may_be_quicker_with_a_damaged_record(
    tiny: StudyConfig,
    finished: Finished,
    copy: Path,
    kind: str,
    rewritten: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between finding the damage and moving the record another run moves it, or rewrites it."""
    name = record_of(copy, tiny, kind)
    path = Store(copy).path(name)
    path.write_bytes(path.read_bytes()[:-1])
    real = Store.quarantine

    def after_another(store: Store, name: str, check: Callable[[], None]) -> Path | None:
        real(store, name, check)
        if rewritten:
            shutil.copy(Store(finished.directory).path(name), path)
        return real(store, name, check)

    monkeypatch.setattr(Store, "quarantine", after_another)
    run = prepared(tiny, copy)
    assert [task.hash for task in run.tasks] == ([] if rewritten else [name])
    assert run.notes == []  # the other run tells it
    assert run.execute(1, ignore).performed == len(run.tasks)
    assert digests(copy) == finished.digests


def test_new_settings_keep_what_still_fits_and_say_what_changed(
    raw: dict[str, Any], finished: Finished, copy: Path
) -> None:
    raw["optimizers"]["lbfgs"]["iterations"] = 4
    config = parse_study(raw)
    run = prepared(config, copy)
    (note,) = run.notes
    assert "optimizers.lbfgs.iterations: 3 -> 4" in note
    summary = run.execute(1, ignore)
    assert summary.performed == 3 + 4  # the runs and paths of L-BFGS
    assert read_study(copy / "study.toml") == run.study.config
    now = digests(copy)
    assert {name: now[name] for name in finished.digests} == finished.digests
    # going back costs nothing
    raw["optimizers"]["lbfgs"]["iterations"] = 3
    assert prepared(parse_study(raw), copy).tasks == []


def test_an_unreadable_study_file_there_is_replaced_and_said(tiny: StudyConfig, copy: Path) -> None:
    (copy / "study.toml").write_text("name = ")
    run = prepared(tiny, copy)
    assert run.tasks == []
    assert "could not be read and is replaced" in run.notes[0]
    assert tomllib.loads((copy / "study.toml").read_text())["name"] == "tiny"


def test_a_task_that_fails_is_recorded_and_does_not_stop_the_others(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = MEASUREMENTS["training"]

    def fail_once(task: Task, context: Any) -> Any:
        if (task.labels["source"], task.labels["seed"]) == ("sgd", 1):
            raise ArithmeticError("no luck today\nand more")
        return training.run(task, context)

    failing = dataclasses.replace(training, run=fail_once)
    monkeypatch.setitem(MEASUREMENTS, "training", failing)
    summary = go_on(tiny, tmp_path)
    ((task, error),) = summary.failed
    assert (task.problem.label, task.labels["seed"], error) == (
        "net",
        1,
        "ArithmeticError: no luck today",
    )
    assert (summary.performed, summary.waiting) == (5 + 4, 4)
    text = Store(tmp_path).failure_path(task.hash).read_text()
    assert text.startswith("training net sgd seed 1\n")
    assert "Traceback" in text
    assert "fail_once" in text
    found = status(resolve_study(tiny, HERE), tmp_path)
    assert (found.runs, found.damaged) == (0, [])
    assert [(row.measurement, row.done, row.failed, row.missing) for row in found.rows] == [
        ("training", 5, 1, 0),
        ("path", 4, 0, 4),
    ]
    # another run tries again, and then nothing is left of the failure
    monkeypatch.undo()
    assert go_on(tiny, tmp_path).performed == 5
    assert digests(tmp_path) == finished.digests
    assert Store(tmp_path).failures() == set()


def test_records_say_where_they_come_from(finished: Finished, tiny: StudyConfig) -> None:
    store = Store(finished.directory)
    names = [record_of(finished.directory, tiny, kind) for kind in ("training", "path")]
    for name in names:
        attributes = store.read_attributes(name)
        assert attributes["seconds"] > 0
        assert "torch" in attributes["versions"]
        assert {"created", "machine", "task", "outcome", "computed_from"} <= attributes.keys()


def test_both_optimizers_begin_at_the_same_weights(finished: Finished, tiny: StudyConfig) -> None:
    store = Store(finished.directory)
    run = prepared(tiny, finished.directory)
    first: dict[int, list[float]] = {}
    for name, task in run.schedule.done.items():
        if task.measurement == "training":
            first.setdefault(task.labels["seed"], []).append(
                store.read(name).arrays["train_values"][0]
            )
    for heights in first.values():
        # the same weights, and the same height up to the order of float32 sums
        np.testing.assert_allclose(heights[0], heights[1], rtol=1e-6)
    assert len({round(heights[0], 9) for heights in first.values()}) == 3


def test_leftovers_of_a_killed_writer_are_removed(tiny: StudyConfig, copy: Path) -> None:
    leftover = copy / "records" / ".x.nc.elsewhere.1.abcd.tmp"
    folder = next(path for path in (copy / "records").iterdir() if path.is_dir())
    leftover = folder / leftover.name
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    prepared(tiny, copy)
    assert not leftover.exists()


def test_a_training_run_that_was_cut_short_goes_on_from_its_snapshot(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SnapshotFile", functools.partial(SnapshotFile, every=0.0))
    steps: list[int] = []

    def cut_short(step: int, height: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    tasks = prepared(tiny, tmp_path).tasks
    task = next(t for t in tasks if (t.labels["source"], t.labels["seed"]) == ("sgd", 0))
    with pytest.raises(KeyboardInterrupt):
        worker.run_task(tmp_path, task, cut_short, HERE)
    assert Store(tmp_path).hashes() == set()
    worker.run_task(tmp_path, task, lambda step, height: steps.append(step), HERE)
    assert steps == [2]  # the first of the two epochs was not repeated
    assert digests(tmp_path) == {task.hash: finished.digests[task.hash]}


def test_shards_do_the_whole_study_between_them_and_nothing_twice(
    tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    runs = [prepared(tiny, tmp_path, shard=(i, 2)) for i in range(2)]  # begun at once
    parts = [{task.hash for task in run.tasks} for run in runs]
    assert [len(part) for part in parts] == [4, 2]  # of three SGD and three L-BFGS runs
    assert parts[0].isdisjoint(parts[1])
    assert [run.execute(1, ignore).performed for run in runs] == [4, 2]
    # the paths of a stage wait for the runs of all shards
    paths = [prepared(tiny, tmp_path, shard=(i, 2)) for i in range(2)]
    assert [len(run.tasks) for run in paths] == [4, 4]
    for run in paths:
        run.execute(1, ignore)
    assert digests(tmp_path) == finished.digests
    assert prepared(tiny, tmp_path).tasks == []


def test_a_worker_that_does_not_see_the_directory_says_so(
    tiny: StudyConfig, tmp_path: Path
) -> None:
    run = prepared(tiny, tmp_path)
    (tmp_path / "study.toml").unlink()  # as on a machine that does not share the file system
    with pytest.raises(ClusterError, match=rf"does not see {tmp_path}/study.toml: every worker"):
        run.execute(1, ignore)
    assert Store(tmp_path).failures() == set()  # no task is to blame
    assert list((tmp_path / "records").rglob("*")) == []
