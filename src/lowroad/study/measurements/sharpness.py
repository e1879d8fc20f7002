"""Curvature of the training landscape at solutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lowroad.seeds import derived_seed
from lowroad.study.labels import WeightSet
from lowroad.study.measurements.measurement import Context, Measurement, costs
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.study.plan import Plan


def number(plan: Plan, problem: str) -> int:
    """How many points of a problem are measured."""
    runs = plan.study.config.settings(problem).sharpness.runs
    return sum(min(runs, plan.number_kept(problem, s.source)) for s in plan.study.sets(problem))


def tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """The points of a source's runs of lowest training value."""
    settings = plan.study.config.settings(problem).sharpness
    _, gradient = costs(plan, problem)
    fraction = min(1.0, settings.samples / plan.study.facts[problem].samples["train"])
    return [
        Task(
            measurement="sharpness",
            problem=plan.study.problems[problem],
            labels={"set": str(weights), "seed": seed},
            settings=settings.model_dump(mode="json", exclude={"runs"}),
            study_seed=plan.study.config.seed,
            group=f"sharpness {problem}",
            records=(plan.record(problem, source, seed),),
            work=4 * (settings.vectors + 40) * fraction * gradient,
        )
        for weights in plan.study.sets(problem)
        if weights.source == source
        for seed in plan.kept(problem, source)[: settings.runs]
    ]


def run(task: Task, context: Context) -> xr.Dataset:
    """Largest eigenvalues and trace of the Hessian on the first training samples.

    Variable ``eigenvalues`` [rank], the largest first; attributes ``trace``, ``trace_error`` and
    ``products``, how many products with the Hessian were taken.
    """
    import torch

    from lowroad.analysis import sharpness
    from lowroad.landscapes import NetworkLandscape

    settings = task.settings
    landscape = context.problem.train.first(settings["samples"])
    assert isinstance(landscape, NetworkLandscape)
    seed = derived_seed(task.study_seed, task.problem.label, "sharpness", *task.labels.values())
    found = sharpness(
        landscape,
        context.point(0, WeightSet.of(str(task.labels["set"])).selection),
        eigenvalues=settings["eigenvalues"],
        samples=settings["vectors"],
        generator=torch.Generator().manual_seed(seed),
    )
    return xr.Dataset(
        {"eigenvalues": ("rank", found.eigenvalues, {"long_name": "eigenvalues of the Hessian"})},
        coords={"rank": np.arange(1, len(found.eigenvalues) + 1)},
        attrs={
            "largest_eigenvalue": float(found.eigenvalues[0]),
            "trace": found.trace,
            "trace_error": found.trace_error,
            "products": found.products,
        },
    )


SHARPNESS = Measurement(
    name="sharpness",
    row="point",
    what="points of sharpness",
    number=number,
    tasks=tasks,
    run=run,
    shown={"largest eigenvalue": "largest_eigenvalue"},
    required={"eigenvalues": ("rank",), "rank": ("rank",)},
    numbers=frozenset({"largest_eigenvalue", "trace", "trace_error", "products"}),
)
