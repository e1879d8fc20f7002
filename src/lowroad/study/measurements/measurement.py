"""What a measurement is: everything that a study needs to know about one kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from lowroad.study.tasks import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lowroad.execution.events import Report
    from lowroad.problems import Problem
    from lowroad.study.plan import Plan
    from lowroad.study.snapshot import SnapshotFile
    from lowroad.study.store import Record


@dataclass(frozen=True)
class Context:
    """What a task is given when it is done.

    Attributes:
        problem: made for this worker.
        records: the records that the task names, in its order.
        report: to be called as `report(step, value)`.
        snapshot: where the task may keep how far it is; None where nothing is kept.
        device: where the arithmetic happens.
        folder: the study's own modules.
    """

    problem: Problem
    records: Sequence[Record]
    report: Report
    snapshot: SnapshotFile | None
    device: torch.device
    folder: Path | None = None

    def point(self, number: int, selection: str) -> Tensor:
        """The point [d] of the given selection in one of the records."""
        import torch

        array = self.records[number].arrays[point_name(selection)]
        return torch.from_numpy(array).to(self.device)


def point_name(selection: str) -> str:
    """The variable of a run's record that holds the point of a selection."""
    return f"{selection or 'train'}_point"


@dataclass(frozen=True)
class Measurement:
    """One kind of task: what follows from trained runs, how it is done, and how it is read back.

    Attributes:
        name: of the tasks.
        row: the dimension of its table, one row for each record.
        what: what a row is called in words, in plural.
        number: how many tasks a problem of a plan has.
        tasks: the tasks of a problem that become known once a source's runs are stored; those that
            need another source too come with the later one.
        run: does a task; the dataset becomes its record.
        shown: numbers that progress shows: the record's attributes by what they are called.
        on_demand: variables that tables leave out, because they are as long as a point.
        required: variables that every record has, with their dimensions.
        numbers: attributes that every record has; each is a number, or a list of numbers.
    """

    name: str
    row: str
    what: str
    number: Callable[[Plan, str], int]
    tasks: Callable[[Plan, str, str], list[Task]]
    run: Callable[[Task, Context], xr.Dataset]
    shown: Mapping[str, str] = field(default_factory=dict)
    on_demand: frozenset[str] = frozenset()
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()


def no_tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """Tasks of a measurement that begins a study rather than follows from one."""
    return []


def costs(plan: Plan, problem: str, split: str = "train") -> tuple[float, float]:
    """Rough seconds of one value and of one gradient on a split."""
    facts = plan.study.facts[problem]
    fraction = facts.samples[split] / facts.samples["train"]
    return facts.value_seconds * fraction, facts.gradient_seconds * fraction


Settings = Mapping[str, Any]
