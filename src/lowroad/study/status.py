"""How far a study is, stage by stage, from what its directory holds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lowroad.study.heartbeat import alive
from lowroad.study.index import Index, read_index
from lowroad.study.progress import seconds_of_missing
from lowroad.study.resolved import Study
from lowroad.study.schedule import Schedule
from lowroad.study.store import Store
from lowroad.study.tasks import Task


@dataclass(frozen=True)
class RowStatus:
    """How far the tasks of one measurement on one problem are.

    Attributes:
        problem, measurement: which tasks.
        total, done, running, failed: how many there are, are stored, are under way, and failed when
            they were tried last and are not under way again.
    """

    problem: str
    measurement: str
    total: int
    done: int
    running: int
    failed: int

    @property
    def missing(self) -> int:
        """How many tasks are neither stored, nor under way, nor failed."""
        return self.total - self.done - self.running - self.failed


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        rows: one for each problem and measurement that has tasks.
        runs, workers: how many runs are alive in the directory, and their tasks under way.
        work_left: seconds of one worker that are left; NaN where nothing has been timed.
        damaged: a line for each record, of this study or another, that was found damaged.
        failures: the tasks that failed when they were tried last, by hash.
        abandoned: snapshots that no task of the study has a use for, with their sizes in bytes.
    """

    rows: list[RowStatus]
    runs: int
    workers: int
    work_left: float
    damaged: list[str]
    abandoned: dict[Path, int]
    failures: dict[str, Task]

    @property
    def seconds_left(self) -> float:
        """Time left with the workers at work now; NaN if none is."""
        return self.work_left / self.workers if self.workers else math.nan


def status(study: Study, directory: Path) -> Status:
    """How far a study is; nothing is changed but the index.

    Records that the index knows are not read: :func:`lowroad.study.verify.verify` does that.
    """
    store = Store(directory)
    index = read_index(store)
    schedule = Schedule(study, store, index=index.rows)
    schedule.begin()
    running = alive(store)
    missing = schedule.known.keys() - schedule.done.keys()
    under_way = running.seconds.keys() & missing
    failures = store.failures() & missing - under_way
    done, busy, failed = (
        Counter((task.problem.label, task.measurement) for task in tasks)
        for tasks in (
            schedule.done.values(),
            [schedule.known[name] for name in under_way],
            [schedule.known[name] for name in failures],
        )
    )
    rows = [
        RowStatus(*key, total, done[key], busy[key], failed[key])
        for key, total in schedule.numbers().items()
        if total
    ]
    seconds = _mean_seconds(index, schedule.done.values())
    left = math.nan
    if seconds or not any(row.missing + row.running for row in rows):
        left = sum(seconds_of_missing(schedule, seconds))
        for name in under_way:
            left -= min(running.seconds[name], seconds.get(schedule.known[name].group, 0.0))
    needed = {task.trajectory for task in schedule.known.values() if task.measurement == "training"}
    abandoned = {}
    for path in store.snapshots():
        with suppress(FileNotFoundError):
            if path.stem not in needed:
                abandoned[path] = path.lstat().st_size
    return Status(
        rows,
        running.runs,
        running.workers,
        max(left, 0.0),
        index.damaged,
        abandoned,
        {name: schedule.known[name] for name in sorted(failures)},
    )


def _mean_seconds(index: Index, tasks: Iterable[Task]) -> dict[str, float]:
    """How long a task of each group took."""
    times: dict[str, list[float]] = defaultdict(list)
    for task in tasks:
        times[task.group].append(index.rows[task.hash].seconds)
    return {group: sum(each) / len(each) for group, each in times.items()}
