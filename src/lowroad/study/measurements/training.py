"""Training runs: from a start to a solution, with curves and the best points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from lowroad.seeds import derived_seed
from lowroad.study.measurements.measurement import (
    Context,
    Measurement,
    costs,
    no_tasks,
    point_name,
)
from lowroad.study.resolved import INITIAL
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.optimizers import OptimizationResult
    from lowroad.study.plan import Plan

BUDGET = ("epochs", "iterations")
"""Settings that say how far a run goes: a longer run goes on from a shorter one's snapshot."""


def run_tasks(
    plan: Plan, problem: str, optimizer: str, settings: Mapping[str, Any], seeds: Iterable[int]
) -> list[Task]:
    """The runs of an optimizer with some settings; starts and shuffles depend on neither."""
    table = plan.study.config.settings(problem).optimizers[optimizer]
    budget = {name: settings[name] for name in BUDGET if name in settings}
    own = {name: value for name, value in settings.items() if name not in BUDGET}
    value, gradient = costs(plan, problem)
    steps = next(iter(budget.values()), 100)
    method = {"method": table.method, "code": plan.study.codes.get(table.method, "")}
    shared = {**method, "settings": own}  # one of them for any number of seeds
    return [
        Task(
            measurement="training",
            problem=plan.study.problems[problem],
            labels={"source": optimizer, "seed": seed},
            settings=shared,
            budget=budget,
            study_seed=plan.study.config.seed,
            group=f"training {problem} {optimizer}",
            work=steps * (gradient + settings.get("budget", 1) * value),
        )
        for seed in seeds
    ]


def number(plan: Plan, problem: str) -> int:
    """How many runs a problem has, those that choose among a grid's settings included."""
    train = plan.study.config.settings(problem).train
    runs = 0
    for optimizer in plan.study.config.optimizers_of(problem):
        choices = len(plan.study.grid(problem, optimizer))
        more = (choices - 1) * min(train.grid_seeds, train.seeds)
        runs += train.seeds + more
    return runs


def run(task: Task, context: Context) -> xr.Dataset:
    """One training run; it goes on from its snapshot where there is one, and ends in the same bits.

    Variables: ``train_values``, ``test_values`` (``validation_values`` where the problem has such a
    landscape), ``evaluations`` (passes over the training data) and ``elapsed`` (s) over ``step``;
    points [parameter] of the lowest value of each, and the last one. Numbers are attributes:
    ``train_value`` (the lowest, after ``train_step`` epochs or iterations), and so on.

    Raises:
        ArithmeticError: when the value on the held-out landscape was never finite.
    """
    import torch

    from lowroad.optimizers.method import optimize
    from lowroad.optimizers.result import SnapshotError

    def generator(use: str) -> torch.Generator:
        seed = derived_seed(task.study_seed, task.problem.label, use, task.labels["seed"])
        return torch.Generator().manual_seed(seed)

    problem, snapshot = context.problem, context.snapshot
    held_out = "test" if problem.validation is None else "validation"
    start = problem.start(generator(INITIAL)).to(context.device)

    def callback(progress: Any) -> None:
        context.report(progress.step, progress.value)
        if snapshot is not None:
            snapshot.note(progress)

    budget = next(iter(task.budget.values()), float("inf"))

    def optimized(resume: dict[str, Any] | None) -> OptimizationResult:
        return optimize(
            task.settings["method"],
            problem,
            start,
            generator("shuffling"),
            settings={**task.settings["settings"], **task.budget},
            callback=callback,
            resume=resume,
        )

    try:
        result = optimized(None if snapshot is None else snapshot.load(context.device, budget))
    except SnapshotError:  # of another version: the run begins anew
        result = optimized(None)
    return _dataset(task, result, held_out, context)


def _dataset(task: Task, result: OptimizationResult, held_out: str, context: Context) -> xr.Dataset:
    history = result.history
    curves = {"train_values": history.values, "evaluations": history.evaluations}
    points = {"train": result.point, "last": result.last_point}
    numbers: dict[str, float] = {"train_value": result.value, "train_step": result.step}
    if history.validation_values is not None:
        if result.validation_point is None or result.validation_value is None:
            raise ArithmeticError(f"the {held_out} value was never finite ({result.message})")
        curves[f"{held_out}_values"] = history.validation_values
        points[held_out] = result.validation_point
        numbers[f"{held_out}_value"] = result.validation_value
        numbers[f"{held_out}_step"] = int(result.validation_step or 0)
        if held_out == "validation" and context.problem.test is not None:
            numbers["test_value"] = context.problem.test.value(result.validation_point)
            numbers["test_step"] = numbers["validation_step"]
    return xr.Dataset(
        {
            **{name: ("step", values) for name, values in curves.items()},
            "elapsed": ("step", history.elapsed),
            **{
                point_name(name): ("parameter", point.cpu().numpy())
                for name, point in points.items()
            },
        },
        coords={"step": ("step", history.steps, {"long_name": "epochs or iterations done"})},
        attrs={
            **numbers,
            "last_step": int(history.steps[-1]),
            "outcome": result.message,
            "values_evaluated": result.evaluations.values,
            "gradients_evaluated": result.evaluations.gradients,
        },
    )


TRAINING = Measurement(
    name="training",
    row="run",
    what="training runs",
    number=number,
    tasks=no_tasks,
    run=run,
    shown={"train": "train_value", "test": "test_value"},
    on_demand=frozenset(point_name(name) for name in ("train", "test", "validation", "last")),
    required={"train_values": ("step",), "train_point": ("parameter",), "step": ("step",)},
    numbers=frozenset({"train_value"}),
)
