"""Comparing solutions that one has in Python: the study's measurements without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from lowroad.optimizers import OptimizationResult
from lowroad.problems import Problem
from lowroad.study.config import StudyConfig
from lowroad.study.netcdf import content_digest
from lowroad.study.references import ProblemReference
from lowroad.study.resolve import examine, misfits, misused
from lowroad.study.resolved import CheckpointFile, Study
from lowroad.study.results import StudyResults, gather
from lowroad.study.schedule import Schedule
from lowroad.study.store import Outline, Record, Store
from lowroad.study.study_file import StudyFileError, parse_study
from lowroad.study.tasks import Task, canonical_json, digest_of
from lowroad.study.worker import perform, provenance, task_arithmetic

NAME = "problem"


class MemoryStore(Store):
    """Records in memory, for a study that ends with the program."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self._records: dict[str, Record] = {}

    def hashes(self) -> set[str]:
        """Hashes of all records."""
        return set(self._records)

    def write(self, task_hash: str, dataset: xr.Dataset) -> None:
        """Keep a record."""
        self._records[task_hash] = Record(
            {str(name): np.asarray(v.values) for name, v in dataset.variables.items()},
            {str(k): v for k, v in dataset.attrs.items()}
            | {"content_sha256": content_digest(dataset)},
            {str(name): tuple(map(str, v.dims)) for name, v in dataset.variables.items()},
        )

    def read(self, task_hash: str, without: frozenset[str] = frozenset()) -> Record:
        """Return a record, but for the arrays in `without`."""
        record = self._records[task_hash]
        arrays = {name: array for name, array in record.arrays.items() if name not in without}
        return Record(arrays, record.attributes, record.dimensions)

    def read_outline(self, task_hash: str) -> Outline:
        """Return a record without its numbers."""
        return self._records[task_hash].outline

    def read_attributes(self, task_hash: str) -> dict[str, Any]:
        """Return a record's attributes."""
        return self._records[task_hash].attributes


Points = Any  # a tensor or array [n, d], or a list of points [d] or of optimization results


def compare(
    sets: Mapping[str, Points],
    problem: Problem,
    *,
    out: Path | str | None = None,
    seed: int = 0,
    **sections: Mapping[str, Any],
) -> StudyResults:
    """Compare sets of solutions of one problem: values, paths, distances, questions, a report.

    Args:
        sets: points [n, d], or results of `lowroad.train`, by the name of their set.
        problem: what they are solutions of.
        out: a folder for the report; without it none is written.
        seed: of whatever is random.
        sections: sections of a study file, such as `paths={"pairs": 4, "steps": 50}`,
            `planes={"pairs": 1}` or `sharpness={"runs": 2}`. Unless `paths` says otherwise, all
            sets are connected with each other, by at most 4 paths each.

    Returns:
        What a study's store gives: `table("path", "problem")` and so on. `write_report` of
        `lowroad.report` makes a report of it.

    Raises:
        ValueError: when there are no sets, a set is empty, points do not fit the problem or are not
            finite, or a section has no such setting or one that does not fit the problem.
        TypeError: when `sets` or a section is no dict.

    >>> import lowroad
    >>> surface = lowroad.problems.mueller_brown()
    >>> points = torch.stack([minimum.point for minimum in surface.train.minima])
    >>> found = compare({"minima": points}, surface, paths={"points": 21, "pairs": 1})
    >>> found.table("training", "problem")["train_value"].values.round(3).tolist()
    [-146.7, -108.167, -80.768]
    """
    if not isinstance(sets, Mapping):
        raise TypeError(f"expected sets of points by name, a dict, got {type(sets).__name__}")
    for name, given in sections.items():
        if not isinstance(given, Mapping):
            raise TypeError(f"{name}: expected a dict of settings, got {type(given).__name__}")
    points = {name: _points(name, given, problem) for name, given in sets.items()}
    if not points:
        raise ValueError("expected at least one named set of points, got none")
    config = _config(list(points), seed, sections)
    label = ProblemReference(NAME, "python:object", "{}", "")
    facts = examine(problem, NAME, seed)
    files = {
        name: tuple(
            CheckpointFile(str(number), digest_of([name, number])) for number in range(len(own))
        )
        for name, own in points.items()
    }
    study = Study(config, None, {NAME: label}, {NAME: facts}, {}, files)
    wrong = [*misused(config, NAME, None, {})] or [*misfits(study)]
    if wrong:
        raise StudyFileError(wrong)
    store = MemoryStore()
    schedule = Schedule(study, store)
    with task_arithmetic():
        waiting = schedule.begin()
        while waiting:
            task = waiting.pop(0)
            if task.measurement == "checkpoint":
                numbers = [file.seed for file in files[str(task.labels["source"])]]
                own = points[str(task.labels["source"])]
                _store_point(store, task, problem, own[numbers.index(int(task.labels["seed"]))])
            else:
                perform(task, problem, store, lambda step, value: None)
            waiting += schedule.finished(task)
    results = gather(schedule)
    if out is not None:
        from lowroad.report.page import write_report

        write_report(results, Path(out))
    return results


def _config(names: list[str], seed: int, sections: Mapping[str, Mapping[str, Any]]) -> StudyConfig:
    paths = {
        "pairs": 4,
        "between": [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]],
        **sections.get("paths", {}),
    }
    return parse_study(
        {
            "name": "comparison",
            "seed": seed,
            "problems": {NAME: {"from": "python:object"}},
            "checkpoints": {name: {"problem": NAME, "files": "memory"} for name in names},
            **{key: dict(value) for key, value in sections.items()},
            "paths": paths,
        }
    )


def _points(name: str, given: Points, problem: Problem) -> Tensor:
    if isinstance(given, Sequence) and given and isinstance(given[0], OptimizationResult):
        given = [result.point for result in given]
    if isinstance(given, Sequence) and not given:
        raise ValueError(f"{name}: expected at least one point, got none")
    try:
        if isinstance(given, Sequence):
            given = torch.stack([_tensor(each) for each in given])
        points = _tensor(given).to(problem.train.dtype)
        problem.train.check_points(points)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from None
    if not len(points) or not bool(torch.isfinite(points).all()):
        raise ValueError(f"{name}: expected at least one point, all finite")
    return points.detach()


def _tensor(given: Any) -> Tensor:
    """Real numbers as a tensor, arrays of any strides and byte order too."""
    if not isinstance(given, Tensor):
        array = np.asarray(given)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"expected points as real numbers, got {type(given).__name__}")
        given = torch.tensor(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    if given.is_complex():
        raise TypeError("expected points as real numbers, got complex ones")
    return given


def _store_point(store: MemoryStore, task: Task, problem: Problem, point: Tensor) -> None:
    from lowroad.study.measurements.checkpoint import dataset_of

    about = {
        "title": str(task),
        "task": canonical_json(task.hash_inputs()),
        "computed_from": "{}",
        "seconds": 0.0,
        **provenance(point.device),
    }
    store.write(task.hash, dataset_of(problem, point, "given in Python").assign_attrs(about))
