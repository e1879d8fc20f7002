"""Solutions that exist already: points from files, with their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lowroad.study.measurements.measurement import Context, Measurement, costs, no_tasks
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from lowroad.problems import Problem
    from lowroad.study.plan import Plan


def checkpoint_tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """One task for each file of a table of checkpoints."""
    value, _ = costs(plan, problem)
    return [
        Task(
            measurement="checkpoint",
            problem=plan.study.problems[problem],
            labels={"source": source, "seed": file.seed},
            settings={"sha256": file.digest, "key": plan.study.config.checkpoints[source].key},
            study_seed=plan.study.config.seed,
            group=f"checkpoint {problem} {source}",
            work=2 * value,
            origin=file.path,
        )
        for file in plan.study.files[source]
    ]


def number(plan: Plan, problem: str) -> int:
    """How many files a problem has."""
    return sum(len(plan.study.files[name]) for name in plan.study.config.checkpoints_of(problem))


def run(task: Task, context: Context) -> xr.Dataset:
    """Read a file of weights and take its values, as a training run of no steps.

    Raises:
        ValueError: when the file has changed, or does not fit the problem.
    """
    from lowroad.problems.checkpoints import read_solution

    path = Path(task.origin)
    point = read_solution(
        context.problem, path, key=task.settings["key"], digest=task.settings["sha256"]
    )
    return dataset_of(context.problem, point, f"read from {path.name}")


def dataset_of(problem: Problem, point: Tensor, outcome: str) -> xr.Dataset:
    """A point with its values, as the record of a training run of no steps."""
    landscapes = {
        "train": problem.train,
        "test": problem.test,
        "validation": problem.validation,
    }
    values = {name: each.value(point) for name, each in landscapes.items() if each is not None}
    zero = np.zeros(1)
    return xr.Dataset(
        {
            **{f"{name}_values": ("step", np.array([value])) for name, value in values.items()},
            "evaluations": ("step", zero),
            "elapsed": ("step", zero),
            "train_point": ("parameter", point.cpu().numpy()),
        },
        coords={"step": np.zeros(1, dtype=np.int64)},
        attrs={
            **{f"{name}_value": value for name, value in values.items()},
            **{f"{name}_step": 0 for name in values},
            "last_step": 0,
            "outcome": outcome,
            "values_evaluated": 0.0,
            "gradients_evaluated": 0.0,
        },
    )


CHECKPOINT = Measurement(
    name="checkpoint",
    row="run",
    what="checkpoints",
    number=number,
    tasks=no_tasks,
    run=run,
    shown={"train": "train_value", "test": "test_value"},
    on_demand=frozenset({"train_point"}),
    required={"train_values": ("step",), "train_point": ("parameter",), "step": ("step",)},
    numbers=frozenset({"train_value"}),
)
