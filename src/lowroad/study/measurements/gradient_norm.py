"""The norm of the training landscape's gradient at kept solutions: how far each has converged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from lowroad.study.labels import WeightSet
from lowroad.study.measurements.measurement import Context, Measurement, costs
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.study.plan import Plan


def number(plan: Plan, problem: str) -> int:
    """How many points of a problem are measured."""
    if not plan.study.config.settings(problem).metrics.gradient_norm:
        return 0
    return sum(plan.number_kept(problem, each.source) for each in plan.study.sets(problem))


def tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """The kept points of a source."""
    if not plan.study.config.settings(problem).metrics.gradient_norm:
        return []
    return [
        Task(
            measurement="gradient_norm",
            problem=plan.study.problems[problem],
            labels={"set": str(weights), "seed": seed},
            settings={},
            study_seed=plan.study.config.seed,
            group=f"gradient {problem}",
            records=(plan.record(problem, source, seed),),
            work=costs(plan, problem)[1],
        )
        for weights in plan.study.sets(problem)
        if weights.source == source
        for seed in plan.kept(problem, source)
    ]


def run(task: Task, context: Context) -> xr.Dataset:
    """The value and the Euclidean norm of the gradient at one point; they are attributes."""
    point = context.point(0, WeightSet.of(str(task.labels["set"])).selection)
    value, gradient = context.problem.train.value_and_gradient(point)
    return xr.Dataset(attrs={"value": value, "gradient_norm": float(gradient.double().norm())})


GRADIENT_NORM = Measurement(
    name="gradient_norm",
    row="point",
    what="gradient norms",
    number=number,
    tasks=tasks,
    run=run,
    shown={"gradient norm": "gradient_norm"},
    numbers=frozenset({"value", "gradient_norm"}),
)
