"""The problem's metrics, such as the error rate, at kept solutions on every split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from lowroad.study.labels import WeightSet
from lowroad.study.measurements.measurement import Context, Measurement, costs
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.study.plan import Plan


def number(plan: Plan, problem: str) -> int:
    """How many points of a problem are measured on its splits."""
    facts = plan.study.facts[problem]
    if not facts.metrics or not plan.study.config.settings(problem).metrics.solutions:
        return 0
    points = sum(plan.number_kept(problem, each.source) for each in plan.study.sets(problem))
    return points * len(facts.splits)


def tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """The kept points of a source, on every split."""
    facts = plan.study.facts[problem]
    if not facts.metrics or not plan.study.config.settings(problem).metrics.solutions:
        return []
    return [
        Task(
            measurement="metric",
            problem=plan.study.problems[problem],
            labels={"set": str(weights), "seed": seed, "split": split},
            settings={"metrics": list(facts.metrics)},
            study_seed=plan.study.config.seed,
            group=f"metric {problem}",
            records=(plan.record(problem, source, seed),),
            work=(1 + len(facts.metrics)) * costs(plan, problem, split)[0],
        )
        for weights in plan.study.sets(problem)
        if weights.source == source
        for seed in plan.kept(problem, source)
        for split in facts.splits
    ]


def run(task: Task, context: Context) -> xr.Dataset:
    """The landscape's value and the problem's metrics at one point; they are attributes.

    Raises:
        TypeError: when a metric returns no number.
    """
    landscape = context.problem.landscape(str(task.labels["split"]))
    point = context.point(0, WeightSet.of(str(task.labels["set"])).selection)
    numbers = {"value": landscape.value(point)}
    for name in task.settings["metrics"]:
        found = context.problem.metrics[name](landscape, point)
        try:
            numbers[name] = float(found)
        except (TypeError, ValueError):
            raise TypeError(
                f"expected the metric {name} to return a number, got {type(found).__name__}"
            ) from None
    return xr.Dataset(attrs=numbers)


METRIC = Measurement(
    name="metric",
    row="point",
    what="metrics of solutions",
    number=number,
    tasks=tasks,
    run=run,
    shown={"value": "value"},
    numbers=frozenset({"value"}),
)
