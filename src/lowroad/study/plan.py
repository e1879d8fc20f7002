"""Which tasks a study has, which of them are stored, and which have become possible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lowroad.study.config import StudyConfig
from lowroad.study.index import IndexRow
from lowroad.study.selection import kept_seeds, random_pairs
from lowroad.study.store import DamagedRecordError, Store
from lowroad.study.tasks import (
    OPTIMIZERS,
    SIDES,
    WEIGHT_SETS,
    Optimizer,
    PathTask,
    SharpnessTask,
    Task,
    TrainingTask,
    WeightSet,
)

Stage = tuple[str, Optimizer]
"""The training runs of one network with one optimizer; what follows waits for all of them."""

COST = {"FCP": 1.0, "Autoencoder": 2.0, "LSTM": 13.0, "LeNet": 27.0}
"""Rough cost of one image's loss; a gradient costs about three losses."""


def stages(config: StudyConfig) -> Iterator[Stage]:
    """All stages of a study, the slowest first, so that the workers end at about the same time."""
    for network in sorted(config.networks, key=COST.__getitem__, reverse=True):
        for optimizer in OPTIMIZERS:
            yield network, optimizer


def stage_of(task: Task) -> Stage:
    """The stage that a task belongs to."""
    if isinstance(task, TrainingTask):
        return task.network, task.optimizer
    return task.network, "sgd" if task.weights.startswith("sgd") else "lbfgs"


def training_tasks(config: StudyConfig, stage: Stage) -> list[TrainingTask]:
    """The training runs of a stage, by seed."""
    network, optimizer = stage
    train = config.settings(network).train
    settings = train.sgd if optimizer == "sgd" else train.lbfgs
    common = _common(config, network)
    return [TrainingTask(seed=seed, settings=settings, **common) for seed in range(train.seeds)]


def path_tasks(
    config: StudyConfig, stage: Stage, train_heights: dict[int, float]
) -> list[PathTask]:
    """The paths of a stage: random pairs of its kept runs, in both weight sets, on both landscapes.

    Args:
        config: the study.
        stage: network and optimizer.
        train_heights: the lowest training loss of every run of the stage, by seed.
    """
    network, _ = stage
    settings = config.settings(network)
    planes = settings.planes
    kept = kept_seeds(train_heights, settings.train.keep)
    hashes = _hashes(config, stage)
    common = _common(config, network)
    pairs = random_pairs(kept, settings.paths.pairs, config.seed, network)
    return [
        PathTask(
            weights=weights,
            landscape=landscape,
            seeds=(i, j),
            records=(hashes[i], hashes[j]),
            settings=settings.paths,
            plane=planes if number < planes.pairs and landscape == "train" else None,
            **common,
        )
        for number, (i, j) in enumerate(pairs)
        for weights in _weight_sets(stage)
        for landscape in SIDES
    ]


def sharpness_tasks(
    config: StudyConfig, stage: Stage, train_heights: dict[int, float]
) -> list[SharpnessTask]:
    """The points of a stage whose sharpness is measured; arguments as of :func:`path_tasks`."""
    network, _ = stage
    settings = config.settings(network).sharpness
    hashes = _hashes(config, stage)
    common = _common(config, network)
    return [
        SharpnessTask(weights=weights, seed=seed, record=hashes[seed], settings=settings, **common)
        for seed in kept_seeds(train_heights, settings.runs)
        for weights in _weight_sets(stage)
    ]


def _common(config: StudyConfig, network: str) -> dict[str, Any]:
    """What all tasks on a network share."""
    return {
        "network": network,
        "activation": config.activation,
        "data": config.data,
        "study_seed": config.seed,
    }


def _hashes(config: StudyConfig, stage: Stage) -> list[str]:
    """Hashes of a stage's training runs, by seed."""
    return [task.hash for task in training_tasks(config, stage)]


def _weight_sets(stage: Stage) -> list[WeightSet]:
    return [weights for weights in WEIGHT_SETS if weights.startswith(stage[1])]


def number_of_tasks(config: StudyConfig) -> tuple[int, int, int]:
    """Numbers of training runs, of paths, and of points whose sharpness is measured."""
    trainings = paths = points = 0
    for network in config.networks:
        settings = config.settings(network)
        trainings += len(OPTIMIZERS) * settings.train.seeds
        paths += len(WEIGHT_SETS) * len(SIDES) * settings.paths.pairs
        points += len(WEIGHT_SETS) * settings.sharpness.runs
    return trainings, paths, points


class Agenda:
    """What is left to do of a study: its plan minus what is stored.

    Args:
        config: the study.
        store: where the records are.
        repair: set damaged records aside, to be done anew; without it they stay where they are and
            count as missing.
        share: (i, n): of each stage's training runs and of what follows them only every n-th is to
            be done here, beginning with the i-th; others do the rest.
        index: the rows of an index, taken for true; without it every record is verified.

    Attributes:
        done: the tasks known to be stored.
        known: the tasks whose hash is known; others are known once their stage is trained.
        damaged: which records are damaged, why, and where they are now if they were set aside;
            also those that were stored a moment ago and are damaged or gone now.
    """

    def __init__(
        self,
        config: StudyConfig,
        store: Store,
        repair: bool = False,
        share: tuple[int, int] = (0, 1),
        index: Mapping[str, IndexRow] | None = None,
    ) -> None:
        self.config, self.store, self.repair, self.share = config, store, repair, share
        self.done: dict[str, Task] = {}
        self.known: dict[str, Task] = {}
        self.damaged: list[str] = []
        self._stored = store.hashes() if index is None else index.keys()
        self._index = index
        self._train_heights: dict[str, float] = {}
        self._untrained: dict[Stage, set[str]] = {}
        self._stage_of: dict[str, Stage] = {}
        self._trainings: dict[Stage, list[TrainingTask]] = {}

    def begin(self) -> list[Task]:
        """All tasks that are not stored and can begin now."""
        missing: list[Task] = []
        later: list[Task] = []
        for stage in stages(self.config):
            tasks = self._trainings[stage] = training_tasks(self.config, stage)
            new = self._missing(tasks)
            self._untrained[stage] = {task.hash for task in new}
            self._stage_of |= {task.hash: stage for task in tasks}
            missing += self._ours(tasks, new)
            if not new:
                later += self._following(stage)
        return missing + later

    def finished(self, task: Task) -> list[Task]:
        """Note that a task is stored; the tasks that can begin now because of it."""
        self.done[task.hash] = task
        if not isinstance(task, TrainingTask):
            return []
        stage = self._stage_of[task.hash]
        self._untrained[stage].discard(task.hash)
        return [] if self._untrained[stage] else self._following(stage)

    @property
    def total(self) -> int:
        """How many tasks the study has."""
        return sum(number_of_tasks(self.config))

    def _following(self, stage: Stage) -> list[Task]:
        try:
            heights = {task.seed: self._train_height(task.hash) for task in self._trainings[stage]}
        except (DamagedRecordError, FileNotFoundError) as error:
            # Damaged or gone since it was stored a moment ago: the next run computes it again.
            self.damaged.append(str(error))
            return []
        tasks: list[Task] = [*path_tasks(self.config, stage, heights)]
        tasks += sharpness_tasks(self.config, stage, heights)
        return self._ours(tasks, self._missing(tasks))

    def _ours(self, tasks: Sequence[Task], missing: Sequence[Task]) -> list[Task]:
        """Return those of the missing tasks of a stage that are to be done here."""
        first, step = self.share
        ours = {task.hash for task in tasks[first::step]}
        return [task for task in missing if task.hash in ours]

    def _missing(self, tasks: Iterable[Task]) -> list[Task]:
        missing = []
        for task in tasks:
            self.known[task.hash] = task
            if task.hash in self._stored and self._is_sound(task):
                self.done[task.hash] = task
            else:
                missing.append(task)
        return missing

    def _is_sound(self, task: Task) -> bool:
        if self._index is not None:
            return True
        try:
            if isinstance(task, TrainingTask):
                self._train_height(task.hash)  # verifies it too: the file is read once
            else:
                self.store.verify(task.hash)
        except FileNotFoundError:
            return False
        except DamagedRecordError as error:
            if not self.repair:
                self.damaged.append(str(error))
                return False
            aside = self.store.set_aside(task.hash)
            if aside is None:  # another run was quicker: the record is gone, or sound now
                return self._is_sound(task)
            self.damaged.append(f"{error}; set aside as {aside}")
            return False
        return True

    def _train_height(self, task_hash: str) -> float:
        if task_hash not in self._train_heights:
            if self._index is not None:
                height = self._index[task_hash].train_height
            else:
                height = float(self.store.read_attributes(task_hash)["train_height"])
            self._train_heights[task_hash] = height
        return self._train_heights[task_hash]
