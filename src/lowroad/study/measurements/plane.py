"""Values on the plane through two solutions and the peak of the path between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from lowroad.study.labels import WeightSet
from lowroad.study.measurements.measurement import Context, Measurement, costs
from lowroad.study.measurements.path import finders, pairs_of, path_task
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.study.plan import Plan


def number(plan: Plan, problem: str) -> int:
    """How many planes a problem has."""
    settings = plan.study.config.settings(problem)
    if "train" not in plan.study.splits(problem):
        return 0
    total = 0
    for sets in plan.study.set_pairs(problem):
        if sets.within:
            kept = plan.number_kept(problem, sets.first.source)
            total += min(settings.planes.pairs, settings.paths.pairs, kept * (kept - 1) // 2)
    return total


def tasks(plan: Plan, problem: str, source: str) -> list[Task]:
    """Planes of the first paths within each weight set of a source, on the training landscape."""
    settings = plan.study.config.settings(problem).planes
    if not settings.pairs or "train" not in plan.study.splits(problem):
        return []
    finder = next(finders(plan, problem))
    value, _ = costs(plan, problem)
    fraction = min(1.0, settings.samples / plan.study.facts[problem].samples["train"])
    planes = []
    for sets in plan.completed_pairs(problem, source):
        if not sets.within:
            continue
        for pair in pairs_of(plan, problem, sets)[: settings.pairs]:
            path = path_task(plan, problem, sets, pair, "train", finder)
            planes.append(
                Task(
                    measurement="plane",
                    problem=path.problem,
                    labels=path.labels,
                    settings=settings.model_dump(mode="json", exclude={"pairs"}),
                    study_seed=path.study_seed,
                    group=f"plane {problem}",
                    records=(path.hash, *path.records),
                    work=settings.resolution**2 * fraction * value,
                )
            )
    return planes


def run(task: Task, context: Context) -> xr.Dataset:
    """The plane through a path's ends and its peak, on the first training samples.

    Variables: ``values`` [v, u] on the grid of ``u`` and ``v``; ``corners`` [corner, axis] and
    ``corner_values`` of start, end and peak; over ``t`` the path's ``projection`` [t, axis] on the
    plane, its ``distance`` from it and the ``projected_values`` there. Empty where the peak is an
    end of the path, so that there is no plane.
    """
    import numpy as np
    import torch

    from lowroad.analysis.planes import plane_through

    landscape = context.problem.train.first(task.settings["samples"])
    sets = [WeightSet.of(str(task.labels[name])) for name in ("first", "second")]
    path = context.records[0].arrays
    if not np.isfinite(path["projection"]).all():
        return xr.Dataset(attrs={"samples": landscape.samples})
    corners = {
        "start": context.point(1, sets[0].selection),
        "end": context.point(2, sets[1].selection),
        "peak": torch.from_numpy(path["peak_point"]).to(context.device),
    }
    plane = plane_through(
        landscape,
        corners,
        projections={"path": (path["projection"], path["distance"])},
        resolution=task.settings["resolution"],
    )
    along = plane.isel(path=0)
    return xr.Dataset(
        {
            "values": (("v", "u"), plane["value"].transpose("v", "u").values),
            "grid_u": ("u", plane["u"].values),
            "grid_v": ("v", plane["v"].values),
            "corners": (("corner", "axis"), plane["position"].values),
            "corner_values": ("corner", plane["point_value"].values),
            "projection": (("t", "axis"), along["projection"].values),
            "distance": ("t", along["distance"].values),
            "projected_values": ("t", along["projected_value"].values),
            "profile": ("t", path["profile"]),
        },
        coords={"t": path["t"]},
        attrs={"samples": landscape.samples},
    )


PLANE = Measurement(
    name="plane",
    row="plane",
    what="planes",
    number=number,
    tasks=tasks,
    run=run,
    numbers=frozenset({"samples"}),
)
