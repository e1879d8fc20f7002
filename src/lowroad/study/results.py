"""What a store holds of its study, as arrays for analysis, plots and the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowroad.study.config import StudyConfig
from lowroad.study.plan import Agenda
from lowroad.study.selection import kept_seeds
from lowroad.study.store import DamagedRecordError, Record, Store
from lowroad.study.study_file import read_study
from lowroad.study.tasks import (
    WEIGHT_SETS,
    Optimizer,
    PathTask,
    SharpnessTask,
    Side,
    TrainingTask,
    WeightSet,
)

__all__ = [
    "WEIGHT_SETS",
    "WEIGHT_SET_LABELS",
    "PathResult",
    "PlaneResult",
    "SharpnessResult",
    "StudyResults",
    "TrainingResult",
    "load_results",
]

WEIGHT_SET_LABELS: dict[str, str] = {
    "sgd_train": "SGD train",
    "sgd_test": "SGD test",
    "lbfgs_train": "BFGS train",
    "lbfgs_test": "BFGS test",
}
"""The weight sets as the paper calls them."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """One training run.

    Attributes:
        network, optimizer, seed: which run.
        steps: int64 [r], epochs or iterations done, from 0.
        train_heights, test_heights: float64 [r], both losses after each step.
        train_point, test_point: float32 [d], the weights where each loss was lowest.
        train_height, test_height: the lowest losses.
        train_step, test_step: when they were reached.
        outcome: how the run ended, in words.
        heights_evaluated, gradients_evaluated: what it cost, in full evaluations.
        seconds: how long it took.
        train_point_accuracy, test_point_accuracy: shares of the test images classified rightly by
            the two points; NaN for the autoencoder.
    """

    network: str
    optimizer: Optimizer
    seed: int
    steps: NDArray[np.int64]
    train_heights: NDArray[np.float64]
    test_heights: NDArray[np.float64]
    train_point: NDArray[np.float32]
    test_point: NDArray[np.float32]
    train_height: float
    test_height: float
    train_step: int
    test_step: int
    outcome: str
    heights_evaluated: float
    gradients_evaluated: float
    seconds: float
    train_point_accuracy: float = float("nan")
    test_point_accuracy: float = float("nan")


@dataclass(frozen=True, eq=False)
class PlaneResult:
    """Heights on the plane through a path's start, end and peak.

    Attributes:
        images: how many training images the heights are means over.
        u, v, heights: float64 [m], [m] and [m over v, m over u], a grid and the heights on it.
        corners, corner_heights: float64 [3, 2] and [3], places and heights of start, end and peak.
        places, distances, below: float64 [T, 2], [T] and [T], where the path's points are on the
            plane, how far from it, and the heights there.
    """

    images: int
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    heights: NDArray[np.float64]
    corners: NDArray[np.float64]
    corner_heights: NDArray[np.float64]
    places: NDArray[np.float64]
    distances: NDArray[np.float64]
    below: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SharpnessResult:
    """Curvature of the training loss at a point of a training run.

    Attributes:
        network, weights, seed: which point.
        eigenvalues: float64 [k], the largest of the Hessian, the largest first.
        trace, trace_error: of the Hessian, with the estimate's standard error.
        products: how many products with the Hessian were taken.
        seconds: how long it took.
    """

    network: str
    weights: WeightSet
    seed: int
    eigenvalues: NDArray[np.float64]
    trace: float
    trace_error: float
    products: int
    seconds: float


@dataclass(frozen=True, eq=False)
class PathResult:
    """One path between two kept runs.

    Attributes:
        network, weights, landscape: which ends, and on which data the loss is taken.
        seeds: the two runs.
        t, profile: float64 [T], places on the path and the loss there.
        height, straight_height: highest loss on the path and on the straight line.
        length, straight_length: their lengths in weight space.
        history_steps, history_totals, history_heights: [h], the finder's course.
        peak_point: float32 [d], weights at the highest point.
        outcome: how the search ended, in words.
        heights_evaluated, gradients_evaluated: what it cost, in full evaluations.
        seconds: how long it took.
        plane: heights on the plane through its ends and its peak, where that was measured.
    """

    network: str
    weights: WeightSet
    landscape: Side
    seeds: tuple[int, int]
    t: NDArray[np.float64]
    profile: NDArray[np.float64]
    height: float
    straight_height: float
    length: float
    straight_length: float
    history_steps: NDArray[np.int64]
    history_totals: NDArray[np.float64]
    history_heights: NDArray[np.float64]
    peak_point: NDArray[np.float32]
    outcome: str
    heights_evaluated: float
    gradients_evaluated: float
    seconds: float
    plane: PlaneResult | None = None

    @property
    def barrier(self) -> float:
        """How far the path rises above its higher end, 0 where that is its highest point."""
        return self.height - float(self.profile[[0, -1]].max())


@dataclass(frozen=True, eq=False)
class StudyResults:
    """All stored results of a study.

    Attributes:
        config: the study.
        trainings: all stored training runs.
        paths: all stored paths of the study's pairs.
        sharpness: what is stored on the sharpness of kept runs.
        missing: how many of the study's tasks are not stored.
        provenance: versions, machine and dates.
        damaged: what is wrong with records that were not used.
    """

    config: StudyConfig
    trainings: list[TrainingResult]
    paths: list[PathResult]
    missing: int
    provenance: dict[str, str]
    damaged: tuple[str, ...] = ()
    sharpness: tuple[SharpnessResult, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the study's networks."""
        return self.config.networks

    @property
    def seconds(self) -> float:
        """How long all stored tasks took, one after the other."""
        kinds = (self.trainings, self.paths, self.sharpness)
        return sum(sum(each.seconds for each in kind) for kind in kinds)

    def kept(self, network: str, optimizer: str) -> list[TrainingResult]:
        """The stored runs with the lowest training loss, lowest first, at most ``train.keep``."""
        runs = {
            run.seed: run
            for run in self.trainings
            if (run.network, run.optimizer) == (network, optimizer)
        }
        heights = {seed: run.train_height for seed, run in runs.items()}
        keep = self.config.settings(network).train.keep
        return [runs[seed] for seed in kept_seeds(heights, keep)]

    def vectors(self, network: str, weight_set: str) -> NDArray[np.float32]:
        """The weight vectors of a set, [kept, d]; [0, 0] when no run is stored."""
        optimizer, _, side = weight_set.partition("_")
        points = [getattr(run, f"{side}_point") for run in self.kept(network, optimizer)]
        return np.stack(points) if points else np.empty((0, 0), dtype=np.float32)

    def path_results(self, network: str, weight_set: str, landscape: str) -> list[PathResult]:
        """The stored paths between weights of a set, on a landscape."""
        wanted = (network, weight_set, landscape)
        return [
            path for path in self.paths if (path.network, path.weights, path.landscape) == wanted
        ]


def load_results(directory: Path) -> StudyResults:
    """Read all that is stored of the study in ``directory``; damaged records count as missing.

    Raises:
        FileNotFoundError: there is no study in the directory.
        StudyFileError: its study file has been changed into something else.
    """
    store = Store(directory)
    if not store.study_file.is_file():
        raise FileNotFoundError(f"{directory}: no study here ({store.study_file} is missing)")
    config = read_study(store.study_file)
    agenda = Agenda(config, store)
    agenda.begin()
    trainings: list[TrainingResult] = []
    paths: list[PathResult] = []
    sharpness: list[SharpnessResult] = []
    created: list[str] = []
    origins: dict[str, set[str]] = {"versions": set(), "machine": set()}
    damaged = list(agenda.damaged)
    for task_hash, task in agenda.done.items():
        try:
            record = store.read(task_hash)
        except DamagedRecordError as error:
            damaged.append(str(error))
            continue
        except FileNotFoundError:
            continue  # set aside by a run going on at the same time
        created.append(record.attributes["created"])
        for name, values in origins.items():
            values.add(record.attributes[name])
        if isinstance(task, TrainingTask):
            trainings.append(_training_result(task, record))
        elif isinstance(task, PathTask):
            paths.append(_path_result(task, record))
        else:
            sharpness.append(_sharpness_result(task, record))
    provenance = {name: "; ".join(sorted(values)) for name, values in origins.items() if values}
    if created:
        provenance["computed"] = f"{min(created)} to {max(created)}"
    provenance["read"] = datetime.now(UTC).isoformat(timespec="seconds")
    missing = agenda.total - len(trainings) - len(paths) - len(sharpness)
    problems = tuple(dict.fromkeys(damaged))
    return StudyResults(config, trainings, paths, missing, provenance, problems, tuple(sharpness))


def _training_result(task: TrainingTask, record: Record) -> TrainingResult:
    arrays = record.arrays
    return TrainingResult(
        network=task.network,
        optimizer=task.optimizer,
        seed=task.seed,
        steps=arrays["step"],
        train_heights=arrays["train_heights"],
        test_heights=arrays["test_heights"],
        train_point=arrays["train_point"],
        test_point=arrays["test_point"],
        **_numbers(
            record,
            *("train_height", "test_height", "train_step", "test_step"),
            *("train_point_accuracy", "test_point_accuracy"),
        ),
    )


def _path_result(task: PathTask, record: Record) -> PathResult:
    arrays = record.arrays
    return PathResult(
        network=task.network,
        weights=task.weights,
        landscape=task.landscape,
        seeds=task.seeds,
        t=arrays["t"],
        profile=arrays["profile"],
        history_steps=arrays["step"],
        history_totals=arrays["totals"],
        history_heights=arrays["heights"],
        peak_point=arrays["peak_point"],
        plane=_plane_result(task, record),
        **_numbers(record, "height", "straight_height", "length", "straight_length"),
    )


def _plane_result(task: PathTask, record: Record) -> PlaneResult | None:
    arrays = record.arrays
    if task.plane is None or "plane_height" not in arrays:
        return None
    return PlaneResult(
        images=task.plane.images,
        u=arrays["plane_u"],
        v=arrays["plane_v"],
        heights=arrays["plane_height"],
        corners=arrays["plane_position"],
        corner_heights=arrays["plane_point_height"],
        places=arrays["plane_place"],
        distances=arrays["plane_distance"],
        below=arrays["plane_below"],
    )


def _sharpness_result(task: SharpnessTask, record: Record) -> SharpnessResult:
    names = ("trace", "trace_error", "products", "seconds")
    return SharpnessResult(
        network=task.network,
        weights=task.weights,
        seed=task.seed,
        eigenvalues=record.arrays["eigenvalues"],
        **{name: record.attributes[name] for name in names},
    )


def _numbers(record: Record, *names: str) -> dict[str, Any]:
    """Attributes by name, with those that every record has."""
    common = ("outcome", "heights_evaluated", "gradients_evaluated", "seconds")
    return {name: record.attributes[name] for name in (*names, *common)}
