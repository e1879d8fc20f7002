"""How far a study is, stage by stage, from what its directory holds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lowroad.study.config import StudyConfig
from lowroad.study.heartbeat import alive
from lowroad.study.index import Index, read_index
from lowroad.study.plan import Agenda, Stage, stage_of, stages
from lowroad.study.store import Store
from lowroad.study.tasks import SIDES, WEIGHT_SETS, PathTask, SharpnessTask, Task, TrainingTask


@dataclass(frozen=True)
class StageStatus:
    """How far a stage, the runs of a network with an optimizer and their paths, is.

    Attributes:
        network, optimizer: which stage.
        trainings_done, trainings, paths_done, paths: how many are stored, and how many there are.
        points_done, points: the same of the points whose sharpness is measured.
        running: how many tasks are under way.
        failed: how many failed when they were tried last, and are not under way again.
        seconds_left: what is left, in seconds of one worker, if each task takes as long as those of
            its kind that are stored.
        untimed: how many tasks this leaves out, because none of their kind is stored.
    """

    network: str
    optimizer: str
    trainings_done: int
    trainings: int
    paths_done: int
    paths: int
    points_done: int
    points: int
    running: int
    failed: int
    seconds_left: float
    untimed: int

    @property
    def missing(self) -> int:
        """How many tasks are neither stored, nor under way, nor failed."""
        return self.total - self.done - self.running - self.failed

    @property
    def done(self) -> int:
        """How many tasks are stored."""
        return self.trainings_done + self.paths_done + self.points_done

    @property
    def total(self) -> int:
        """How many tasks there are."""
        return self.trainings + self.paths + self.points


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        stages: in the order of the study's networks.
        runs, workers: how many runs are alive in the directory, and their tasks under way.
        damaged: a line for each record, of this study or another, that was found damaged.
        abandoned: checkpoints that no task of the study has a use for, with their sizes in bytes.
    """

    stages: list[StageStatus]
    runs: int
    workers: int
    damaged: list[str]
    abandoned: dict[Path, int]

    @property
    def seconds_left(self) -> float:
        """Time left with the workers at work now; NaN if none is, or some tasks are untimed."""
        if not self.workers or any(stage.untimed for stage in self.stages):
            return math.nan
        return sum(stage.seconds_left for stage in self.stages) / self.workers


def status(config: StudyConfig, directory: Path) -> Status:
    """How far a study is; nothing is changed but the index.

    Records that the index knows are not read: :func:`lowroad.study.verify.verify` does that.
    """
    store = Store(directory)
    index = read_index(store)
    agenda = Agenda(config, store, index=index.rows)
    agenda.begin()
    running = alive(store)
    under_way = running.seconds.keys() & agenda.known.keys() - agenda.done.keys()
    failures = store.failures() & agenda.known.keys() - agenda.done.keys() - under_way
    done = _by_stage(agenda.done.values())
    busy = _by_stage(agenda.known[name] for name in under_way)
    failed = _by_stage(agenda.known[name] for name in failures)
    seconds = _mean_seconds(index, agenda.done.values())
    rows = []
    for network, optimizer in sorted(stages(config), key=lambda s: config.networks.index(s[0])):
        stage = network, optimizer
        settings = config.settings(network)
        left = Counter({f"training {network} {optimizer}": settings.train.seeds})
        for side in SIDES:
            left[f"path {network} on {side}"] = len(WEIGHT_SETS) // 2 * settings.paths.pairs
        left[f"sharpness {network}"] = len(WEIGHT_SETS) // 2 * settings.sharpness.runs
        left.subtract(task.group for task in done[stage])
        work = sum(seconds.get(group, 0.0) * number for group, number in left.items())
        for task in busy[stage]:
            work -= min(running.seconds[task.hash], seconds.get(task.group, 0.0))
        kinds = Counter(type(task) for task in done[stage])
        rows.append(
            StageStatus(
                network=network,
                optimizer=optimizer,
                trainings_done=kinds[TrainingTask],
                trainings=settings.train.seeds,
                paths_done=kinds[PathTask],
                paths=len(WEIGHT_SETS) // 2 * len(SIDES) * settings.paths.pairs,
                points_done=kinds[SharpnessTask],
                points=len(WEIGHT_SETS) // 2 * settings.sharpness.runs,
                running=len(busy[stage]),
                failed=len(failed[stage]),
                seconds_left=work,
                untimed=sum(n for group, n in left.items() if group not in seconds),
            )
        )
    needed = agenda.known.keys() - agenda.done.keys() | running.seconds.keys()
    abandoned = {}
    for path in store.checkpoints():
        with suppress(FileNotFoundError):  # its task has just ended
            if path.stem not in needed:
                abandoned[path] = path.stat().st_size
    return Status(rows, running.runs, running.workers, index.damaged, abandoned)


def _by_stage(tasks: Iterable[Task]) -> defaultdict[Stage, list[Task]]:
    by_stage: defaultdict[Stage, list[Task]] = defaultdict(list)
    for task in tasks:
        by_stage[stage_of(task)].append(task)
    return by_stage


def _mean_seconds(index: Index, tasks: Iterable[Task]) -> dict[str, float]:
    """How long a task of each group took."""
    times: dict[str, list[float]] = defaultdict(list)
    for task in tasks:
        times[task.group].append(index.rows[task.hash].seconds)
    return {group: sum(each) / len(each) for group, each in times.items()}
