"""Low paths between two solutions, and the straight lines beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lowroad.seeds import derived_seed
from lowroad.study.labels import SetPair, WeightSet
from lowroad.study.measurements.measurement import Context, Measurement, costs
from lowroad.study.selection import Pair, cross_pairs, random_pairs
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from lowroad.study.plan import Plan


def pairs_of(plan: Plan, problem: str, sets: SetPair) -> list[Pair]:
    """The pairs of runs that paths between two weight sets connect."""
    count, seed = plan.study.config.settings(problem).paths.pairs, plan.study.config.seed
    first = plan.kept(problem, sets.first.source)
    if sets.first.source == sets.second.source:
        return random_pairs(first, count, seed, problem)
    second = plan.kept(problem, sets.second.source)
    names = sets.first.source, sets.second.source
    return cross_pairs(first, second, count, seed, problem, names)


def number(plan: Plan, problem: str) -> int:
    """How many paths a problem has."""
    settings = plan.study.config.settings(problem).paths
    each = (1 + len(settings.finders)) * len(plan.study.splits(problem))
    total = 0
    for sets in plan.study.set_pairs(problem):
        one, two = (plan.number_kept(problem, each.source) for each in sets)
        same = sets.first.source == sets.second.source
        total += each * min(settings.pairs, one * (one - 1) // 2 if same else one * two)
    return total


def tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """The paths of all pairs of weight sets that a source completes."""
    return [
        path_task(plan, problem, sets, pair, split, finder)
        for sets in plan.completed_pairs(problem, source)
        for pair in pairs_of(plan, problem, sets)
        for split in plan.study.splits(problem)
        for finder in finders(plan, problem)
    ]


def finders(plan: Plan, problem: str) -> Iterator[str]:
    """Names of the path finders of a problem, the main one first."""
    settings = plan.study.config.settings(problem).paths
    yield settings.finder
    yield from settings.finders


def path_task(plan: Plan, problem: str, sets: SetPair, pair: Pair, split: str, finder: str) -> Task:
    """One path between two runs on a split's landscape."""
    settings = plan.study.config.settings(problem).paths
    main = finder == settings.finder
    method, own = (
        (finder, settings.own) if main else
        (settings.finders[finder].finder, settings.finders[finder].own)
    )  # fmt: skip
    more: dict[str, Any] = {"align": True} if settings.align else {}
    if plan.study.config.settings(problem).metrics.along_paths:
        more["metrics"] = list(plan.study.facts[problem].metrics)
    value, gradient = costs(plan, problem, split)
    points = own.get("images", own.get("points", 50))
    batch = own.get("batch_size", plan.study.facts[problem].samples[split])
    fraction = batch / plan.study.facts[problem].samples[split]
    return Task(
        measurement="path",
        problem=plan.study.problems[problem],
        labels={
            "first": str(sets.first), "second": str(sets.second),
            "seed_1": pair[0], "seed_2": pair[1], "split": split, "finder": finder,
        },
        settings={"finder": method, "settings": _identifying(own), **more},
        study_seed=plan.study.config.seed,
        group=f"path {problem} on {split}" + ("" if main else f" by {finder}"),
        records=tuple(
            plan.record(problem, each.source, seed) for each, seed in zip(sets, pair, strict=True)
        ),
        work=points * (own.get("steps", 1) * fraction * gradient + 4 * value),
    )  # fmt: skip


def _identifying(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without later ones at their defaults: stored paths keep their names."""
    later = {"recordings": 0}
    return {name: value for name, value in settings.items() if later.get(name) != value}


def path_seed(task: Task) -> int:
    """Seed for the random numbers of a path's search."""
    return derived_seed(task.study_seed, task.problem.label, "path", *task.labels.values())


def run(task: Task, context: Context) -> xr.Dataset:
    """The low path between two points, and the straight line.

    Variables: ``profile`` [t], values along the path; ``projection`` [t, axis] and ``distance``
    [t], where its points are on the plane through its ends and its peak (NaN where there is none);
    ``totals`` and ``heights`` [step], what the finder saw; ``peak_point`` [parameter]. Numbers are
    attributes: ``height`` (Eq. 5), ``refined_height`` and, for chains of images, ``spline_height``
    (see `FoundPath`), ``barrier`` (above the higher end), ``length``,
    ``straight_height``, ``straight_length``, and so on; ``same_ends``, whether the problem takes
    the two solutions for one, and ``symmetric_length``, the distance to which a symmetry of the
    landscape brings the ends, where one brings them nearer.
    """
    import torch

    from lowroad.analysis.planes import project_path
    from lowroad.paths import StraightLine
    from lowroad.paths.registry import make_finder

    landscape = context.problem.landscape(str(task.labels["split"]))
    start, end = (
        context.point(number, WeightSet.of(str(task.labels[name])).selection)
        for number, name in enumerate(("first", "second"))
    )
    generator = torch.Generator().manual_seed(path_seed(task))
    if task.settings.get("align"):
        assert context.problem.align is not None
        end = context.problem.align(end, start, generator)
    same = context.problem.same
    symmetric: dict[str, float] = {} if same is None else {"same_ends": int(same(start, end))}
    finder = make_finder(task.settings["finder"], task.settings["settings"])
    if torch.equal(start, end):
        return _no_path(start, landscape.value(start), finder.points, symmetric)
    found = finder.find(landscape, start, end, generator=generator, callback=context.report)
    estimate = {} if found.spline_height is None else {"spline_height": found.spline_height}
    if found.symmetry is not None:
        symmetric["symmetric_length"] = found.symmetry.distance
    history = found.history
    steps, heights, totals = history.steps, history.heights, history.totals
    if not len(steps):  # nothing was searched for
        steps = np.zeros(1, dtype=np.int64)
        heights, totals = np.array([found.height]), found.profile.sum(keepdims=True)
    straight = float(heights[0])
    if steps[0] != 0:
        straight = StraightLine(points=len(found.t), refinements=0).find(
            landscape, start, end
        ).height  # fmt: skip
    ends = [float(found.profile[0]), float(found.profile[-1])]
    along = {}
    if names := task.settings.get("metrics"):
        points = [found.path(torch.as_tensor([t], device=start.device))[0] for t in found.t]
        along = {
            f"metric_{name}": ("t", [context.problem.metrics[name](landscape, x) for x in points])
            for name in names
        }
    places, distances = project_path(found, start, end)
    return xr.Dataset(
        {
            "projection": (("t", "axis"), places),
            "distance": ("t", distances),
            "profile": ("t", found.profile, {"long_name": "value along the path"}),
            "totals": ("step", totals, {"long_name": "sum of the values on the path"}),
            "heights": ("step", heights, {"long_name": "highest value on the path"}),
            "peak_point": ("parameter", found.peak_point.cpu().numpy()),
            **along,
        },
        coords={"t": np.asarray(found.t), "step": np.asarray(steps)},
        attrs={
            "height": found.height,
            "refined_height": found.refined_height,
            "barrier": found.height - max(ends),
            "start_value": ends[0],
            "end_value": ends[1],
            "straight_height": straight,
            "length": found.length,
            "straight_length": float(torch.linalg.vector_norm(end.double() - start.double())),
            "converged": int(found.outcome.converged),
            "outcome": found.outcome.value,
            "values_evaluated": found.evaluations.values,
            "gradients_evaluated": found.evaluations.gradients,
            **estimate,
            **symmetric,
        },
    )


def _no_path(point: Tensor, value: float, points: int, symmetric: dict[str, float]) -> xr.Dataset:
    """The record of a path whose ends are one point: it stays there."""
    nothing = dict.fromkeys(("length", "straight_length", "barrier", "gradients_evaluated"), 0.0)
    values = dict.fromkeys(
        ("height", "refined_height", "straight_height", "start_value", "end_value"), value
    )
    return xr.Dataset(
        {
            "projection": (("t", "axis"), np.full((points, 2), np.nan)),
            "distance": ("t", np.full(points, np.nan)),
            "profile": ("t", np.full(points, value)),
            "totals": ("step", [points * value]),
            "heights": ("step", [value]),
            "peak_point": ("parameter", point.cpu().numpy()),
        },
        coords={"t": np.linspace(0.0, 1.0, points), "step": np.zeros(1, dtype=np.int64)},
        attrs={
            **nothing,
            **values,
            **symmetric,
            "values_evaluated": 1.0,
            "converged": 1,
            "outcome": "the ends are the same point",
        },
    )


PATH = Measurement(
    name="path",
    row="path",
    what="paths",
    number=number,
    tasks=tasks,
    run=run,
    shown={"path height": "height", "straight": "straight_height"},
    on_demand=frozenset({"peak_point"}),
    required={
        **dict.fromkeys(("t", "profile", "distance"), ("t",)),
        **dict.fromkeys(("step", "heights", "totals"), ("step",)),
        "projection": ("t", "axis"),
        "peak_point": ("parameter",),
    },
    numbers=frozenset(
        {
            *("height", "barrier", "start_value", "end_value", "length"),
            *("straight_height", "straight_length", "converged"),
        }
    ),
)
