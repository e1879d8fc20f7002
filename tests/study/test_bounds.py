"""What large studies cost: tasks are planned, counted and found again in time and memory."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lowroad.execution.events import Event
from lowroad.study.config import StudyConfig
from lowroad.study.progress import RunProgress
from lowroad.study.resolve import resolve_study
from lowroad.study.resolved import Study
from lowroad.study.schedule import Schedule
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study

from .conftest import HERE, Finished, prepared


def study_of(raw: dict[str, Any], seeds: int) -> Study:
    """Eight optimizers, each with as many runs."""
    raw["optimizers"] = {
        f"sgd{number}": {
            "method": "sgd",
            "epochs": 2,
            "batch_size": 20,
            "learning_rate": 0.01 * (number + 1),
        }
        for number in range(8)
    }
    raw["train"] = {"seeds": seeds, "keep": 2}
    return resolve_study(parse_study(raw), HERE)


def test_a_hundred_thousand_tasks_are_planned_in_ten_seconds_and_500_MB(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    """A tenth of them in a third of the time, since other tests may run beside this one."""
    study = study_of(raw, 1250)
    begun = time.perf_counter()
    tasks = Schedule(study, Store(tmp_path)).begin()
    assert time.perf_counter() - begun < 10 / 3
    assert len({task.hash for task in tasks}) == 10_000
    del tasks
    tracemalloc.start()
    tasks = Schedule(study_of(raw, 125), Store(tmp_path)).begin()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tasks) == 1000
    assert peak / 1000 * 100_000 < 500e6


def calls_of_an_event(raw: dict[str, Any], directory: Path, seeds: int) -> int:
    """How many functions are called when a task begins and ends, and the time left is told."""
    schedule = Schedule(study_of(raw, seeds), Store(directory))
    tasks = iter(schedule.begin())
    progress = RunProgress(schedule, workers=2)
    counts = Counter[str]()

    def happen() -> None:
        task = next(tasks)
        progress.note(Event("started", task, 0.0))
        schedule.finished(task)
        progress.note(Event("finished", task, 1.0, result={}))
        assert progress.seconds_left() > 0
        assert progress.total > 8 * seeds

    happen()
    sys.setprofile(lambda frame, event, argument: counts.update([event]))
    happen()
    sys.setprofile(None)
    return counts["call"] + counts["c_call"]


def test_what_an_event_costs_does_not_grow_with_the_tasks(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    few, many = (calls_of_an_event(raw, tmp_path, seeds) for seeds in (10, 500))
    assert many <= 1.1 * few


def test_each_record_is_read_once_when_a_study_goes_on(
    tiny: StudyConfig, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    real = Store._verified

    def verified(store: Store, name: str) -> bytes:
        read[name] += 1
        return real(store, name)

    monkeypatch.setattr(Store, "_verified", verified)
    assert prepared(tiny, finished.directory).tasks == []
    assert read == dict.fromkeys(finished.digests, 1)
