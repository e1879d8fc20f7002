"""From a study's results to the samples that questions are asked of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lowroad.analysis import KERNELS, PathSamples, ProblemSamples, SetSamples, rise_after_minimum
from lowroad.study.labels import WeightSet

if TYPE_CHECKING:
    from lowroad.report.view import View

__all__ = ["samples_of"]

Numbers = NDArray[np.float64]


def samples_of(view: View, problem: str, pairs: Iterable[tuple[str, str]]) -> ProblemSamples:
    """All samples of a problem; distances and projections of the given pairs of its sets."""
    results = view.results
    known = {str(each): each for each in results.sets(problem)}
    chosen = [
        (known[one], known[two]) for one, two in pairs if one in known and two in known
    ]  # fmt: skip
    distances = {pair: view.distances(problem, pair) for pair in chosen}
    projections = {
        (*pair, kernel): view.projection(problem, pair, kernel)
        for pair in chosen
        for kernel in KERNELS
    }
    return ProblemSamples(
        name=problem,
        sets={name: _set_samples(view, problem, each) for name, each in known.items()},
        between={
            (str(first), str(second)): {
                split: _path_samples(view, problem, split, first, second)
                for split in view.splits(problem)
            }
            for first, second in view.between(problem)
        },
        distances={
            (str(one), str(two)): table
            for (one, two), table in distances.items()
            if table is not None
        },
        projections={
            (str(one), str(two), kernel): table
            for (one, two, kernel), table in projections.items()
            if table is not None
        },
        lower_bound=results.facts[problem].lower_bound,
        same_points=_same_points(view, problem),
    )


def _set_samples(view: View, problem: str, weights: WeightSet) -> SetSamples:
    runs = view.runs(problem, weights.source, kept=True)
    if not runs.sizes["run"]:
        return SetSamples()
    facts, seeds = view.results.facts[problem], runs["seed"].values
    values = {split: _values(view, problem, weights, split, runs) for split in facts.splits}
    rises = (
        [rise_after_minimum(curve, facts.lower_bound) for curve in runs["test_values"].values]
        if "test_values" in runs and runs.sizes["step"] > 1
        else ()
    )
    return SetSamples(
        seeds=seeds,
        own_starts=weights.source not in view.results.config.optimizers_of(problem),
        values={split: each for split, each in values.items() if not np.isnan(each).all()},
        rises=rises,
        sharpness=_sharpness(view, problem, weights, seeds.tolist()),
        paths={
            split: _path_samples(view, problem, split, weights, weights)
            for split in view.splits(problem)
        },
    )


def _values(view: View, problem: str, weights: WeightSet, split: str, runs: xr.Dataset) -> Numbers:
    """Values [n] on a split of the points of a set, NaN where they are not known."""
    selection = weights.selection or "train"
    if f"{split}_value" in runs and selection in (split, {"test": "validation"}.get(split)):
        return np.asarray(runs[f"{split}_value"].values, dtype=np.float64)
    if f"{split}_values" in runs:
        step = "last_step" if selection == "last" else f"{selection}_step"
        places = np.searchsorted(runs["step"].values, runs[step].values)
        return np.asarray(runs[f"{split}_values"].values[np.arange(len(places)), places])
    table = view.results.table("metric", problem)
    measured: Mapping[int, float] = {}
    if table.sizes["point"]:
        own = (table["set"].values == str(weights)) & (table["split"].values == split)
        own_seeds, numbers = table["seed"].values[own].tolist(), table["value"].values[own]
        measured = dict(zip(own_seeds, numbers.tolist(), strict=True))
    return np.array([measured.get(int(seed), np.nan) for seed in runs["seed"].values])


def _sharpness(view: View, problem: str, weights: WeightSet, seeds: list[int]) -> Numbers:
    table = view.results.table("sharpness", problem)
    if not table.sizes["point"]:
        return np.empty(0)
    own = table.isel(point=table["set"].values == str(weights))
    largest = own["eigenvalues"].values[:, 0].tolist()
    known = dict(zip(own["seed"].values.tolist(), largest, strict=True))
    return np.array([known.get(seed, np.nan) for seed in seeds]) if known else np.empty(0)


def _path_samples(
    view: View, problem: str, split: str, first: WeightSet, second: WeightSet
) -> PathSamples:
    paths = view.paths(problem, split, first, second)
    if not paths.sizes["path"]:
        return PathSamples()
    ends = np.maximum(paths["start_value"].values, paths["end_value"].values)
    return PathSamples(
        heights=paths["height"].values,
        barriers=paths["barrier"].values,
        straight_barriers=paths["straight_height"].values - ends,
        pairs=np.stack([paths["seed_1"].values, paths["seed_2"].values], axis=1),
        same_start=paths["same_start"].values,
        converged=paths["converged"].values.astype(bool),
        curves=view.curves(problem, split, first, second),
    )


def _same_points(view: View, problem: str) -> dict[str, str]:
    """Sets whose points are all those of an earlier set of the same optimizer."""
    same: dict[str, str] = {}
    sets = view.results.sets(problem)
    for number, one in enumerate(sets):
        points = view.points(problem, one)[0]
        for other in sets[:number]:
            if (
                other.source == one.source
                and str(other) not in same
                and len(points)
                and np.array_equal(points, view.points(problem, other)[0])
            ):
                same[str(one)] = str(other)
                break
    return same
