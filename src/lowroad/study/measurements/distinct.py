"""Which runs of a source ended in the same solution, where the problem can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lowroad.study.measurements.measurement import Context, Measurement, no_tasks
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.study.plan import Plan


def distinct_task(plan: Plan, problem: str, source: str) -> Task:
    """The task that merges the runs of a source, in the order of their training values."""
    seeds = plan.by_value(problem, source)
    return Task(
        measurement="distinct",
        problem=plan.study.problems[problem],
        labels={"source": source},
        settings={"seeds": seeds},
        study_seed=plan.study.config.seed,
        group=f"distinct {problem} {source}",
        records=tuple(plan.record(problem, source, seed) for seed in seeds),
    )


def number(plan: Plan, problem: str) -> int:
    """One task for each source of a problem that can tell solutions apart."""
    return len(plan.study.config.sources(problem)) if plan.study.facts[problem].merges else 0


def run(task: Task, context: Context) -> xr.Dataset:
    """Compare every run's point with those kept before it, the lowest first.

    Variable ``same_as`` [run]: the seed of the first run of the same solution.
    """
    same = context.problem.same
    assert same is not None
    seeds, kept = task.settings["seeds"], list[int]()
    owner = []
    for number, seed in enumerate(seeds):
        point = context.point(number, "train")
        found = next((k for k in kept if same(context.point(k, "train"), point)), None)
        if found is None:
            kept.append(number)
        owner.append(seed if found is None else seeds[found])
    return xr.Dataset(
        {"same_as": ("run", np.array(owner, dtype=np.int64))},
        coords={"seed": ("run", np.array(seeds, dtype=np.int64))},
        attrs={"representatives": [seeds[k] for k in kept]},
    )


DISTINCT = Measurement(
    name="distinct",
    row="source",
    what="comparisons of solutions",
    number=number,
    tasks=no_tasks,
    run=run,
    required={"same_as": ("run",), "seed": ("run",)},
    numbers=frozenset({"representatives"}),
)
