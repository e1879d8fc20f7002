"""Whole runs of the tiny study: resuming, damage, changed settings, failures."""

from __future__ import annotations

import functools
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowroad.execution.clusters import ClusterError
from lowroad.execution.executor import Event
from lowroad.mnist import MnistError
from lowroad.study import work
from lowroad.study.checkpoint import Checkpoint
from lowroad.study.config import StudyConfig
from lowroad.study.progress import Tally
from lowroad.study.run import RunSummary, prepare_run
from lowroad.study.status import status
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study, read_study
from lowroad.study.tasks import PathTask, SharpnessTask, TrainingTask

from .conftest import Finished, digests


def ignore(tally: Tally, event: Event) -> None:
    pass


def go_on(config: StudyConfig, directory: Path) -> RunSummary:
    return prepare_run(config, directory).perform(1, ignore)


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished store, free to damage."""
    return Path(shutil.copytree(finished.directory, tmp_path / "copy"))


def record_of(directory: Path, config: StudyConfig, kind: type) -> str:
    run = prepare_run(config, directory)
    return next(name for name, task in run.agenda.done.items() if isinstance(task, kind))


def test_a_finished_run_has_nothing_to_do(tiny: StudyConfig, finished: Finished) -> None:
    run = prepare_run(tiny, finished.directory)
    assert (run.tasks, run.notes) == ([], [])
    assert run.perform(1, ignore) == RunSummary(performed=0, failed=[], waiting=0)
    assert read_study(finished.directory / "study.toml") == tiny


def test_a_run_in_two_worker_processes_gives_the_same_bits(
    tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    kinds: list[str] = []
    summary = prepare_run(tiny, tmp_path).perform(2, lambda tally, event: kinds.append(event.kind))
    assert (summary.performed, summary.failed) == (14, [])
    assert digests(tmp_path) == finished.digests
    assert kinds.count("started") == kinds.count("finished") == 14


def test_a_record_lost_is_computed_again_to_the_same_bits(
    tiny: StudyConfig, finished: Finished, copy: Path
) -> None:
    for kind in (TrainingTask, PathTask):
        Store(copy).path(record_of(copy, tiny, kind)).unlink()
    assert go_on(tiny, copy).performed == 2
    assert digests(copy) == finished.digests


KINDS = {
    "training": lambda task: isinstance(task, TrainingTask),
    "path": lambda task: isinstance(task, PathTask) and task.plane is None,
    "path with a plane": lambda task: isinstance(task, PathTask) and task.plane is not None,
    "sharpness": lambda task: isinstance(task, SharpnessTask),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_record_is_named_set_aside_and_computed_again(
    measured_config: StudyConfig, measured: Finished, tmp_path: Path, kind: str, damage: str
) -> None:
    copy = Path(shutil.copytree(measured.directory, tmp_path / "copy"))
    done = prepare_run(measured_config, copy).agenda.done
    name = next(name for name, task in done.items() if KINDS[kind](task))
    path = Store(copy).path(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    damaged = {"flip": bytes(content), "truncate": bytes(content[:-1]), "empty": b""}[damage]
    path.write_bytes(damaged)
    run = prepare_run(measured_config, copy)
    aside = copy / "damaged" / f"{name}.nc"
    assert [task.hash for task in run.tasks] == [name]
    (note,) = run.notes
    assert note.startswith(f"{path}: damaged record: ")
    assert note.endswith(f"set aside as {aside}")
    assert aside.read_bytes() == damaged
    assert run.perform(1, ignore).performed == 1
    assert digests(copy) == measured.digests


@pytest.mark.parametrize("damage", ["empty", "gone"])
def test_a_record_damaged_after_it_was_stored_keeps_back_what_follows(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, damage: str
) -> None:
    first: list[Path] = []

    def watch(tally: Tally, event: Event) -> None:
        if event.kind == "finished" and not first:
            first.append(Store(tmp_path).path(event.task.hash))
            first[0].unlink() if damage == "gone" else first[0].write_bytes(b"")

    summary = prepare_run(tiny, tmp_path).perform(1, watch)
    assert (summary.performed, summary.failed, summary.waiting) == (6 + 4, [], 4)
    (problem,) = summary.damaged
    assert str(first[0]) in problem
    assert go_on(tiny, tmp_path) == RunSummary(performed=1 + 4, failed=[], waiting=0)
    assert digests(tmp_path) == finished.digests


@pytest.mark.parametrize("kind", [TrainingTask, PathTask])
@pytest.mark.parametrize("rewritten", [False, True])
def test_another_run_may_be_quicker_with_a_damaged_record(
    tiny: StudyConfig,
    finished: Finished,
    copy: Path,
    kind: type,
    rewritten: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between finding the damage and moving the record another run moves it, or rewrites it."""
    name = record_of(copy, tiny, kind)
    path = Store(copy).path(name)
    path.write_bytes(path.read_bytes()[:-1])
    real = Store.set_aside

    def after_another(store: Store, name: str) -> Path | None:
        real(store, name)
        if rewritten:
            shutil.copy(Store(finished.directory).path(name), path)
        return real(store, name)

    monkeypatch.setattr(Store, "set_aside", after_another)
    run = prepare_run(tiny, copy)
    assert [task.hash for task in run.tasks] == ([] if rewritten else [name])
    assert run.notes == []  # the other run tells it
    assert run.perform(1, ignore).performed == len(run.tasks)
    assert digests(copy) == finished.digests


def test_new_settings_keep_what_still_fits_and_say_what_changed(
    raw: dict[str, Any], finished: Finished, copy: Path
) -> None:
    raw["train"]["lbfgs"]["iterations"] = 4
    config = parse_study(raw)
    run = prepare_run(config, copy)
    (note,) = run.notes
    assert "train.lbfgs.iterations: 3 -> 4" in note
    summary = run.perform(1, ignore)
    assert summary.performed == 3 + 4  # the runs and paths of L-BFGS
    assert read_study(copy / "study.toml") == config
    now = digests(copy)
    assert {name: now[name] for name in finished.digests} == finished.digests
    # going back costs nothing
    raw["train"]["lbfgs"]["iterations"] = 3
    assert prepare_run(parse_study(raw), copy).tasks == []


def test_an_unreadable_study_file_there_is_replaced_and_said(tiny: StudyConfig, copy: Path) -> None:
    (copy / "study.toml").write_text("name = ")
    run = prepare_run(tiny, copy)
    assert run.tasks == []
    assert "could not be read and is replaced" in run.notes[0]
    assert tomllib.loads((copy / "study.toml").read_text())["name"] == "tiny"


def test_a_task_that_fails_is_recorded_and_does_not_stop_the_others(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.run_training

    def fail_once(task: TrainingTask, *arguments: Any) -> Any:
        if (task.optimizer, task.seed) == ("sgd", 1):
            raise ArithmeticError("no luck today\nand more")
        return real(task, *arguments)

    monkeypatch.setattr(work, "run_training", fail_once)
    summary = go_on(tiny, tmp_path)
    ((task, error),) = summary.failed
    assert (task.network, task.seed, error) == ("FCP", 1, "ArithmeticError: no luck today")
    assert (summary.performed, summary.waiting) == (5 + 4, 4)
    text = Store(tmp_path).failure_path(task.hash).read_text()
    assert text.startswith("training FCP sgd seed 1\n")
    assert "Traceback" in text
    assert "fail_once" in text
    found = status(tiny, tmp_path)
    assert (found.runs, found.damaged) == (0, [])
    assert [
        (row.optimizer, row.trainings_done, row.paths_done, row.failed, row.missing)
        for row in found.stages
    ] == [("sgd", 2, 0, 1, 4), ("lbfgs", 3, 4, 0, 0)]
    # another run tries again, and then nothing is left of the failure
    monkeypatch.undo()
    assert go_on(tiny, tmp_path).performed == 5
    assert digests(tmp_path) == finished.digests
    assert Store(tmp_path).failures() == set()


def test_records_say_where_they_come_from(finished: Finished, tiny: StudyConfig) -> None:
    store = Store(finished.directory)
    names = [record_of(finished.directory, tiny, kind) for kind in (TrainingTask, PathTask)]
    for name in names:
        attributes = store.read_attributes(name)
        assert attributes["seconds"] > 0
        assert "torch" in attributes["versions"]
        assert {"created", "machine", "task", "outcome", "network"} <= attributes.keys()


def test_both_optimizers_begin_at_the_same_weights(finished: Finished, tiny: StudyConfig) -> None:
    store = Store(finished.directory)
    run = prepare_run(tiny, finished.directory)
    first: dict[int, list[float]] = {}
    for name, task in run.agenda.done.items():
        if isinstance(task, TrainingTask):
            first.setdefault(task.seed, []).append(store.read(name).arrays["train_heights"][0])
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
    prepare_run(tiny, copy)
    assert not leftover.exists()


def test_a_training_run_that_was_cut_short_goes_on_from_its_checkpoint(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "Checkpoint", functools.partial(Checkpoint, every=0.0))
    task = TrainingTask(
        network="FCP",
        activation=tiny.activation,
        data=tiny.data,
        study_seed=tiny.seed,
        seed=0,
        settings=tiny.train.sgd,
    )
    steps: list[int] = []

    def cut_short(step: int, height: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    prepare_run(tiny, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        work.perform(tmp_path, task, cut_short)
    assert Store(tmp_path).hashes() == set()
    work.perform(tmp_path, task, lambda step, height: steps.append(step))
    assert steps == [2]  # the first of the two epochs was not repeated
    assert digests(tmp_path) == {task.hash: finished.digests[task.hash]}
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_shards_do_the_whole_study_between_them_and_nothing_twice(
    tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    runs = [prepare_run(tiny, tmp_path, share=(i, 2)) for i in range(2)]  # begun at once
    parts = [{task.hash for task in run.tasks} for run in runs]
    assert [len(part) for part in parts] == [4, 2]  # of three SGD and three L-BFGS runs
    assert parts[0].isdisjoint(parts[1])
    assert [run.perform(1, ignore).performed for run in runs] == [4, 2]
    # the paths of a stage wait for the runs of all shards
    paths = [prepare_run(tiny, tmp_path, share=(i, 2)) for i in range(2)]
    assert [len(run.tasks) for run in paths] == [4, 4]
    for run in paths:
        run.perform(1, ignore)
    assert digests(tmp_path) == finished.digests
    assert prepare_run(tiny, tmp_path).tasks == []


def test_a_worker_that_does_not_see_the_directory_says_so(
    tiny: StudyConfig, tmp_path: Path
) -> None:
    run = prepare_run(tiny, tmp_path)
    (tmp_path / "study.toml").unlink()  # as on a machine that does not share the file system
    with pytest.raises(ClusterError, match=rf"does not see {tmp_path}/study.toml: every worker"):
        run.perform(1, ignore)
    assert Store(tmp_path).failures() == set()  # no task is to blame
    assert list((tmp_path / "records").rglob("*")) == []


def test_a_worker_without_the_data_says_so(
    tiny: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = work.load_data, []

    def load_once(*arguments: int) -> Any:
        calls.append(arguments)
        if len(calls) > 1:  # the driver has it
            raise MnistError("MNIST could not be obtained")
        return real(*arguments)

    monkeypatch.setattr(work, "load_data", load_once)
    with pytest.raises(ClusterError, match="does not have the data: MNIST could not"):
        prepare_run(tiny, tmp_path).perform(1, ignore)
    assert Store(tmp_path).failures() == set()
