"""Heights of paths: a summary for each weight set on each landscape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.checks import as_sample

__all__ = ["heights_by_step", "lowest_within", "path_heights"]

_QUANTILES = {"minimum": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75}


def path_heights(
    heights: Mapping[tuple[str, str], ArrayLike],
    straight: Mapping[tuple[str, str], ArrayLike] | None = None,
    barriers: Mapping[tuple[str, str], ArrayLike] | None = None,
) -> xr.Dataset:
    """Summarise path heights, the largest loss on each path (Eq. 5), set by set.

    Quantiles interpolate linearly between the sorted heights (NumPy's default). Heights that are
    not finite, from paths that diverged, are counted in `not_finite` and left out of the rest. A
    combination without paths has n = 0 and NaN everywhere.

    Args:
        heights: Heights [n] of the paths, by (weight set, landscape).
        straight: Heights of the straight lines between the same ends, by the same keys.
        barriers: How far [n] the same paths rise above their higher ends, by the same keys.

    Returns:
        A dataset over (`weights`, `landscape`) with `n`, `not_finite`, `minimum`,
        `lower_quartile`, `median`, `upper_quartile`, `maximum`, and with `straight` also
        `straight_median` and `lowered` (the median of straight height / path height), with
        `barriers` also `barrier_median` and `at_an_end` (of how many the highest point is an end).

    Raises:
        ValueError: If a sample is not [n], or differs from the heights in n.

    Source: Yu & Morozov 2026, Eq. 5, Figs. 4 and S2.

    >>> table = path_heights({("sgd_train", "train"): [0.3, 0.1, 0.2]})
    >>> table["median"].sel(weights="sgd_train", landscape="train").item()
    0.2
    """
    samples = {key: as_sample(values, f"heights {key}") for key, values in heights.items()}
    weights = list(dict.fromkeys(key[0] for key in samples))
    landscapes = list(dict.fromkeys(key[1] for key in samples))
    names = ["n", "not_finite", *_QUANTILES, "maximum"]
    if straight is not None:
        names += ["straight_median", "lowered"]
    if barriers is not None:
        names += ["barrier_median"]
    shape = (len(weights), len(landscapes))
    columns = {name: np.full(shape, np.nan) for name in names}
    counts = ["n", "not_finite"] + (["at_an_end"] if barriers is not None else [])
    columns |= {name: np.zeros(shape, dtype=np.int64) for name in counts}
    for (weight_set, landscape), sample in samples.items():
        at = weights.index(weight_set), landscapes.index(landscape)
        finite = np.isfinite(sample)
        columns["n"][at] = finite.sum()
        columns["not_finite"][at] = (~finite).sum()
        key = weight_set, landscape
        lines = _of_the_same_paths(sample, straight, key, "heights of straight lines")
        rises = _of_the_same_paths(sample, barriers, key, "barriers")
        if not finite.any():
            continue
        for name, fraction in _QUANTILES.items():
            columns[name][at] = np.quantile(sample[finite], fraction)
        columns["maximum"][at] = sample[finite].max()
        if lines is not None:
            columns["straight_median"][at] = np.median(lines[finite])
            columns["lowered"][at] = np.median(lines[finite] / sample[finite])
        if rises is not None:
            columns["barrier_median"][at] = np.median(rises[finite])
            columns["at_an_end"][at] = (rises[finite] <= 0).sum()
    return xr.Dataset(
        {name: (("weights", "landscape"), values) for name, values in columns.items()},
        coords={"weights": weights, "landscape": landscapes},
    )


def _of_the_same_paths(
    sample: NDArray[np.float64],
    others: Mapping[tuple[str, str], ArrayLike] | None,
    key: tuple[str, str],
    name: str,
) -> NDArray[np.float64] | None:
    if others is None:
        return None
    values = as_sample(others[key], name)
    if len(values) != len(sample):
        raise ValueError(
            f"{key[0]} on {key[1]}: {len(sample)} path heights but {len(values)} {name}; they must "
            "belong to the same pairs"
        )
    return values


def heights_by_step(histories: Sequence[tuple[ArrayLike, ArrayLike]]) -> xr.Dataset:
    """Return the convergence curves: the lowest height of each search up to each step.

    The height of every path that a search passed through, taken on the full landscape, is an upper
    bound on the lowest pass, so the lowest of them so far is one too. It is constant between the
    steps at which a search measured its path, and after the last one; heights that are not finite
    are ignored.

    Args:
        histories: For each path the steps [h], from 0, the straight line, and the path's height at
            each of them [h].

    Returns:
        A dataset with `lowest` over (`path`, `step`), NaN before a path's first finite height, on
        all steps at which any search measured.

    Raises:
        ValueError: If steps and heights differ in number, or steps do not increase.

    >>> table = heights_by_step([([0, 2, 4], [9.0, 5.0, 6.0]), ([0, 4], [8.0, 3.0])])
    >>> table["step"].values.tolist(), table["lowest"].values.tolist()
    ([0, 2, 4], [[9.0, 5.0, 5.0], [8.0, 8.0, 3.0]])
    """
    checked = []
    for number, (steps, heights) in enumerate(histories):
        own, values = as_sample(steps, "steps"), as_sample(heights, "heights")
        if len(own) != len(values) or (np.diff(own) <= 0).any():
            raise ValueError(
                f"history {number}: expected increasing steps with a height each, got "
                f"{len(own)} steps and {len(values)} heights"
            )
        checked.append((own, np.where(np.isfinite(values), values, np.inf)))
    grid = np.unique(np.concatenate([own for own, _ in checked] or [np.empty(0)])).astype(np.int64)
    lowest = np.full((len(checked), len(grid)), np.nan)
    for row, (own, values) in zip(lowest, checked, strict=True):
        before = np.searchsorted(own, grid, side="right")
        so_far = np.concatenate([[np.inf], np.minimum.accumulate(values)])[before]
        row[:] = np.where(np.isfinite(so_far), so_far, np.nan)
    return xr.Dataset({"lowest": (("path", "step"), lowest)}, coords={"step": grid})


def lowest_within(curves: xr.Dataset, fraction: float) -> NDArray[np.float64]:
    """Return the lowest height of each path that was measured within a fraction of the steps.

    Args:
        curves: convergence curves from `heights_by_step`, measured at the same steps.
        fraction: 0 for the straight lines, 1 for all steps.

    Returns:
        Heights [n]; NaN where the search measured nothing but the straight line until then, so that
        its lowest height by then is not known.

    >>> table = heights_by_step([([0, 20, 80], [9.0, 5.0, 1.0])])
    >>> [lowest_within(table, fraction).item() for fraction in (0.0, 0.2, 0.5, 1.0)]
    [9.0, nan, 5.0, 1.0]
    """
    steps, lowest = curves["step"].values, curves["lowest"].values
    if not len(steps):
        return np.full(len(lowest), np.nan)
    at = int(np.searchsorted(steps, fraction * steps[-1], side="right")) - 1
    unknown = at < 0 or (at == 0 and fraction > 0)
    return np.full(len(lowest), np.nan) if unknown else np.asarray(lowest[:, at])
