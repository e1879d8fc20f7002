"""What a store holds of its study, as labelled tables for analysis, plots, report and exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lowroad.study.config import StudyConfig
from lowroad.study.files import read_regular
from lowroad.study.labels import WeightSet
from lowroad.study.measurements import MEASUREMENTS, Measurement
from lowroad.study.measurements.measurement import point_name
from lowroad.study.netcdf import PROVENANCE
from lowroad.study.plan import Plan
from lowroad.study.references import Facts
from lowroad.study.resolved import Study, load_study
from lowroad.study.schedule import Candidate, Schedule
from lowroad.study.store import DamagedRecordError, Record, Store
from lowroad.study.study_file import StudyFileError, read_study
from lowroad.study.tasks import Task

_RUNS = ("training", "checkpoint")
_NOT_IN_TABLES = PROVENANCE - {"seconds", "elapsed"} | {"title", "task", "computed_from"}


@dataclass(eq=False)
class StudyResults:
    """All stored results of a study.

    Attributes:
        study: the resolved study.
        plan: which runs are kept.
        store: where the records are; points are read from it when they are asked for.
        tasks: the tasks whose records are here.
        records: those records without their points, by hash.
        missing: how many of the study's tasks are not stored.
        provenance: versions, machine and dates.
        damaged: what is wrong with records that were not used.
        candidates: settings of grids, the chosen ones first, by problem and optimizer.
    """

    study: Study
    plan: Plan
    store: Store
    tasks: list[Task]
    records: Mapping[str, Record]
    missing: int
    provenance: dict[str, str]
    damaged: tuple[str, ...] = ()
    candidates: Mapping[tuple[str, str], list[Candidate]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tables: dict[tuple[str, str], xr.Dataset] = {}

    @property
    def config(self) -> StudyConfig:
        """The study's settings."""
        return self.study.config

    @property
    def chosen(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """The settings that were chosen from grids, by problem and optimizer."""
        return {stage: found[0].settings for stage, found in self.candidates.items()}

    @property
    def problems(self) -> tuple[str, ...]:
        """Names of the study's problems."""
        return tuple(self.study.problems)

    @property
    def facts(self) -> Mapping[str, Facts]:
        """What is known of the problems, by name."""
        return self.study.facts

    @property
    def seconds(self) -> float:
        """How long all stored tasks took, one after the other."""
        return sum(float(each.attributes["seconds"]) for each in self.records.values())

    def sources(self, problem: str) -> tuple[str, ...]:
        """Names of a problem's optimizers and tables of checkpoints."""
        return self.config.sources(problem)

    def label(self, source: str) -> str:
        """What a source is called for people."""
        return self.config.label(source)

    def sets(self, problem: str) -> tuple[WeightSet, ...]:
        """All weight sets of a problem, by source and selection."""
        return self.study.sets(problem)

    def set_label(self, weights: WeightSet | str) -> str:
        """What a weight set is called for people."""
        source, selection = WeightSet.of(str(weights))
        return f"{self.label(source)} {selection}".strip()

    def table(self, measurement: str, problem: str) -> xr.Dataset:
        """All rows of a measurement on a problem; curves of other lengths are filled with NaN.

        Runs and checkpoints are one table, "training", ordered by source and training value, with
        the coordinate `kept`.
        """
        key = measurement, problem
        if key not in self._tables:
            names = _RUNS if measurement == "training" else (measurement,)
            tasks = [
                task for task in self.tasks
                if task.measurement in names and task.problem.label == problem
            ]  # fmt: skip
            if measurement == "training":
                tasks.sort(key=self._order(problem))
            records = [self.records[task.hash] for task in tasks]
            table = stacked(MEASUREMENTS[measurement], tasks, records)
            if measurement == "training":
                kept = [self._is_kept(problem, task) for task in tasks]
                table = table.assign_coords(kept=("run", np.array(kept, dtype=bool)))
            elif measurement == "path":
                table = self._with_starts(table, problem)
            self._tables[key] = table
        return self._tables[key]

    def points(
        self, problem: str, weights: WeightSet | str
    ) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """Points [n, d] and seeds [n] of a set's kept runs, the lowest training value first."""
        source, selection = WeightSet.of(str(weights))
        name = point_name(selection)
        runs = self.table("training", problem)
        own = (runs["source"].values == source) & runs["kept"].values
        seeds = [int(seed) for seed in runs["seed"].values[own]]
        hashes = {
            int(task.labels["seed"]): task.hash
            for task in self.tasks
            if task.measurement in _RUNS
            and (task.problem.label, task.labels["source"]) == (problem, source)
        }
        found = [self.store.read(hashes[seed]).arrays[name] for seed in seeds]
        shape = (0, self.facts[problem].dimension)
        return np.stack(found) if found else np.empty(shape), np.array(seeds, dtype=np.int64)

    def _order(self, problem: str) -> Any:
        sources = self.sources(problem)

        def key(task: Task) -> tuple[int, int, float, int]:
            source, seed = str(task.labels["source"]), int(task.labels["seed"])
            if self.plan.ready(problem, source):
                kept = self.plan.kept(problem, source)
                place = kept.index(seed) if seed in kept else len(kept)
            else:
                place = 0
            value = float(self.records[task.hash].attributes["train_value"])
            finite = value if np.isfinite(value) else np.inf
            return sources.index(source), place, finite, seed

        return key

    def _is_kept(self, problem: str, task: Task) -> bool:
        source, seed = str(task.labels["source"]), int(task.labels["seed"])
        if self.plan.ready(problem, source):
            return seed in self.plan.kept(problem, source)
        own = [
            (float(self.records[each.hash].attributes["train_value"]), int(each.labels["seed"]))
            for each in self.tasks
            if each.measurement in _RUNS
            and (each.problem.label, each.labels["source"]) == (problem, source)
        ]
        keep = self.config.settings(problem).train.kept
        return seed in [each for _, each in sorted(own)[:keep]]

    def _with_starts(self, table: xr.Dataset, problem: str) -> xr.Dataset:
        """Paths with whether both ends were trained from the same start."""
        if not table.sizes["path"]:
            return table
        trained = set(self.config.optimizers_of(problem))
        shared = [
            a == b and {WeightSet.of(f).source, WeightSet.of(s).source} <= trained
            for a, b, f, s in zip(
                table["seed_1"].values, table["seed_2"].values,
                table["first"].values, table["second"].values, strict=True,
            )
        ]  # fmt: skip
        return table.assign_coords(same_start=("path", np.array(shared, dtype=bool)))


def stacked(
    measurement: Measurement, tasks: Iterable[Task], records: Iterable[Record]
) -> xr.Dataset:
    """One table of records: a row for each, their labels as coordinates.

    A dimension along which records differ in their coordinate, such as steps, gets all values that
    occur; where a record has none of them there is NaN, or an empty text.
    """
    row = measurement.row
    tasks, records = list(tasks), list(records)
    labels = dict.fromkeys(name for task in tasks for name in task.labels)
    columns: dict[str, tuple[Any, ...]] = {}
    coordinates = {
        name: (row, np.array([task.labels.get(name, "") for task in tasks])) for name in labels
    }
    axes: dict[str, NDArray[Any]] = {}
    for record in records:
        for name, dimensions in record.dimensions.items():
            if dimensions == (name,):
                values = record.arrays[name]
                known = axes.get(name)
                if known is None or not np.array_equal(known, values):
                    axes[name] = values if known is None else np.union1d(known, values)
    names = dict.fromkeys(name for record in records for name in record.arrays if name not in axes)
    for name in names:
        columns[name] = _stack_arrays(row, name, records, axes)
    numbers = dict.fromkeys(
        name for record in records for name in record.attributes if name not in _NOT_IN_TABLES
    )
    for name in numbers:
        found = [record.attributes.get(name, np.nan) for record in records]
        if all(isinstance(value, str | int | float) for value in found):
            columns[name] = (row, np.array(found))
    if not records:
        return xr.Dataset(coords={row: (row, np.empty(0, dtype=np.int64))})
    return xr.Dataset(columns, coords={**coordinates, **axes})


def _stack_arrays(
    row: str, name: str, records: list[Record], axes: Mapping[str, NDArray[Any]]
) -> tuple[Any, ...]:
    dimensions = next(record.dimensions[name] for record in records if name in record.arrays)
    sizes = [
        len(axes[each]) if each in axes
        else max(r.arrays[name].shape[i] for r in records if name in r.arrays)
        for i, each in enumerate(dimensions)
    ]  # fmt: skip
    table = np.full((len(records), *sizes), np.nan)
    for line, record in zip(table, records, strict=True):
        if name in record.arrays:
            places = [
                np.searchsorted(axes[each], record.arrays[each]) if each in axes
                else np.arange(size)
                for each, size in zip(dimensions, record.arrays[name].shape, strict=True)
            ]  # fmt: skip
            line[np.ix_(*places)] = record.arrays[name]
    return (row, *dimensions), table


def read_resolved(directory: Path) -> tuple[Store, Study]:
    """The store in a directory and the study that it was run with.

    Raises:
        FileNotFoundError: there is no study in the directory.
        StudyFileError: its study file, or the list of its problems, is not what was written.
    """
    store = Store(directory)
    for path in (store.study_file, store.problems_file):
        if not path.is_file():
            raise FileNotFoundError(f"{directory}: no study here ({path} is missing)")
    config = read_study(store.study_file)
    try:
        return store, load_study(config, read_regular(store.problems_file))
    except ValueError:
        told = f"{store.problems_file}: damaged; `lowroad run` of the study writes it anew"
        raise StudyFileError([told]) from None


def load_results(directory: Path) -> StudyResults:
    """Read all that is stored of the study in ``directory``; damaged records count as missing.

    Raises:
        FileNotFoundError: there is no study in the directory.
        StudyFileError: its study file, or the list of its problems, is not what was written.
    """
    store, study = read_resolved(directory)
    schedule = Schedule(study, store)
    schedule.begin()
    return gather(schedule)


def gather(schedule: Schedule) -> StudyResults:
    """Read the records of a schedule's stored tasks."""
    store, damaged = schedule.store, list(schedule.damaged)
    records: dict[str, Record] = {}
    origins: dict[str, set[str]] = {"versions": set(), "machine": set()}
    for name, task in schedule.done.items():
        measurement = MEASUREMENTS[task.measurement]
        try:
            record = store.read(name, without=measurement.on_demand)
        except DamagedRecordError as error:
            damaged.append(str(error))
            continue
        except FileNotFoundError:
            continue  # quarantined by a run going on at the same time
        records[name] = record
        for origin, values in origins.items():
            values.add(str(record.attributes.get(origin, "unknown")))
    created = [str(each.attributes.get("created", "")) for each in records.values()]
    told = {name: "; ".join(sorted(values)) for name, values in origins.items() if values}
    if created:
        told["computed"] = f"{min(created)} to {max(created)}"
    told["read"] = datetime.now(UTC).isoformat(timespec="seconds")
    return StudyResults(
        study=schedule.study,
        plan=schedule.plan,
        store=store,
        tasks=[
            task
            for name, task in schedule.done.items()
            if name in records and (task.measurement not in _RUNS or schedule.plan.holds(task))
        ],
        records=records,
        missing=schedule.total - len(records),
        provenance=told,
        damaged=tuple(dict.fromkeys(damaged)),
        candidates=schedule.candidates,
    )
