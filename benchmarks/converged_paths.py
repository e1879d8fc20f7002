"""Print the paths of a study that searched until convergence, as tables.

    python benchmarks/converged_paths.py DIR [--split train]

For every weight set: the largest loss on each path (in bold where it lies above both ends) and its
steps; medians of the height on the straight line, after the paper's 100 steps (a dash where it was
not recorded) and at the end, and of the barrier above the higher end. A path "fell" by the part of
its height above the lower end that the second half of its steps still took away. Last come Cliff's
delta and the exact Mann-Whitney p-value of the heights and barriers of two optimizers' sets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from lowroad.analysis.comparisons import cliffs_delta, rank_sum_p
from lowroad.report.view import View
from lowroad.study.results import load_results

PAPERS_STEPS = 100


def rows_of(table: xr.Dataset, split: str) -> dict[str, list[xr.Dataset]]:
    """Return the paths on one landscape within each weight set."""
    found: dict[str, list[xr.Dataset]] = {}
    for number in range(table.sizes.get("path", 0)):
        path = table.isel(path=number)
        if path.split == split and path["first"] == path.second:
            found.setdefault(str(path["first"].values), []).append(path)
    return found


def measured(path: xr.Dataset) -> dict[str, float]:
    """Return one path's numbers."""
    heights = path.heights.dropna("step")
    steps, low = heights.step.values, np.minimum.accumulate(heights.values)
    early = np.searchsorted(steps, PAPERS_STEPS, side="right") - 1
    floor = min(float(path.start_value), float(path.end_value))
    half = low[np.searchsorted(steps, steps[-1] / 2, side="right") - 1]
    return {
        "height": float(path.height),
        "barrier": float(path.barrier),
        "steps": int(steps[-1]),
        "early": float(low[early]) if steps[early] > PAPERS_STEPS / 2 else np.nan,
        "fell": 1 - (low[-1] - floor) / (half - floor) if half > floor else 0.0,
        "straight": float(path.straight_height),
    }


def number(value: float) -> str:
    """Return a number, or a dash where there is none."""
    return "–" if np.isnan(value) else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--split", choices=["train", "test"], default="train")
    given = parser.parse_args()
    results = load_results(given.study)
    view = View(results)
    print("| between | paths (steps) | straight | 100 steps | the end | barrier | fell |")
    print("|---|---|---|---|---|---|---|")
    comparisons = []
    for problem in results.problems:
        sets = {
            name: [measured(path) for path in paths]
            for name, paths in rows_of(results.table("path", problem), given.split).items()
        }
        for name, paths in sorted(sets.items(), reverse=True):
            medians = {key: float(np.median([each[key] for each in paths])) for key in paths[0]}
            heights = ", ".join(
                f"{'**' * (each['barrier'] > 0)}{each['height']:.3g}{'**' * (each['barrier'] > 0)}"
                f" ({each['steps']:,})"
                for each in paths
            )
            columns = ("straight", "early", "height", "barrier")
            numbers = " | ".join(number(medians[key]) for key in columns)
            label = f"{problem}, {view.label(name)}"
            print(f"| {label} | {heights} | {numbers} | {medians['fell']:.0%} |")
        for selection in ("train", "test"):
            pair = [sets.get(f"{name}/{selection}", []) for name in ("sgd", "lbfgs")]
            for key in ("height", "barrier"):
                if all(pair):
                    first, second = ([each[key] for each in paths] for paths in pair)
                    comparisons.append(
                        f"{problem}, {selection} weights, {key}s: BFGS against SGD, delta "
                        f"{cliffs_delta(second, first):+.2f}, p = {rank_sum_p(second, first):.3f}"
                    )
    print("\n" + "\n".join(comparisons))


if __name__ == "__main__":
    main()
