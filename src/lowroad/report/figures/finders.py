"""Several path finders on the same pairs: how high their paths are, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows
from lowroad.plotting.style import set_styles, three_figures
from lowroad.report.charts import ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.text import listing
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry

Samples = dict[str, NDArray[np.float64]]
_NUMBERS = {"height": "path height", "evaluations": "evaluations"}


def _samples(view: View, problem: str, split: str) -> dict[str, Samples]:
    """Heights and costs by finder, of the pairs that all of them have connected."""
    table = view.results.table("path", problem)
    settings = view.results.config.settings(problem).paths
    if not table.sizes["path"] or not settings.finders:
        return {}
    table = table.isel(path=table["split"].values == split)
    names = [settings.finder, *settings.finders]
    keys = ("first", "second", "seed_1", "seed_2")
    ends = list(zip(*(table[key].values.tolist() for key in keys), strict=True))
    finders = table["finder"].values.tolist()
    by_finder = {
        name: {end: row for row, (end, own) in enumerate(zip(ends, finders, strict=True))
               if own == name}
        for name in names
    }  # fmt: skip
    common = [end for end in by_finder[names[0]] if all(end in by_finder[n] for n in names)]
    if not common:
        return {}
    cost = table["values_evaluated"].values + table["gradients_evaluated"].values
    numbers = {"height": table["height"].values, "evaluations": cost}
    return {
        key: {name: values[[by_finder[name][end] for end in common]] for name in names}
        for key, values in numbers.items()
    }


def build(view: View, charts: Charts) -> list[FigureView]:
    """Heights and costs side by side, for each problem and split."""
    views = []
    for problem in view.results.problems:
        for split in view.splits(problem):
            for key, samples in _samples(view, problem, split).items():
                medians = [f"{n} {three_figures(float(np.median(v)))}" for n, v in samples.items()]
                text = f"Medians of the {_NUMBERS[key]} in {problem}: {listing(medians)}."
                chart = ridge_chart(samples, _NUMBERS[key], set_styles(samples))
                title = f"{problem}{view.on(split)}: {_NUMBERS[key]}"
                views.append(charts.add(chart, title, text, "No finite number."))
    if not views:
        return []
    return [
        FigureView(
            "finders", "Paths", "Path finders on the same pairs",
            [
                "Each mark is a pair of solutions that every finder has connected; all their "
                "weight sets together. A finder’s cost is what its search evaluated of the whole "
                "landscape, a value and a gradient counting as one each.",
                "Heights of different finders may be measured on different grids: compare finders "
                "that check equally many points along a path.",
            ],
            views, [LegendEntry("median", "ink", "bar")], ["path-finders"], layout="pairs",
        )
    ]  # fmt: skip


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for all."""
    panels = {
        f"{problem}, {split}: {_NUMBERS[key]}": samples
        for problem in view.results.problems
        for split in view.splits(problem)
        for key, samples in _samples(view, problem, split).items()
    }
    return {"path-finders": sample_rows(panels, "height or evaluations")} if panels else {}


FIGURE = Figure("path finders", build, draw)
