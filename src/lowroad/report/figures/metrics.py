"""The problem's metrics, such as the error rate, at the kept solutions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows
from lowroad.plotting.style import three_figures
from lowroad.report.charts import ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import metric_table
from lowroad.report.text import listing, runs_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry

Samples = dict[str, NDArray[np.float64]]


def _panels(view: View) -> Iterator[tuple[str, str, str, Samples]]:
    """Problem, metric and split with the samples of all sets."""
    for problem in view.results.problems:
        table = view.results.table("metric", problem)
        if not table.sizes["point"]:
            continue
        facts = view.results.facts[problem]
        for name in facts.metrics:
            for split in facts.splits:
                samples = {
                    str(each): table[name].values[
                        (table["set"].values == str(each)) & (table["split"].values == split)
                    ]
                    for each in view.sets(problem)
                }
                yield problem, name, split, {n: v for n, v in samples.items() if len(v)}


def build(view: View, charts: Charts) -> list[FigureView]:
    """One panel for each problem, metric and split."""
    views = []
    for problem, name, split, samples in _panels(view):
        medians = [
            f"{view.styles[n].label} {three_figures(float(np.median(v)))}"
            for n, v in samples.items()
        ]
        text = f"Medians of the {name} of {problem} on the {split} samples: {listing(medians)}."
        chart = ridge_chart(samples, name, view.styles, log=False)
        views.append(charts.add(chart, f"{problem}, {name} ({split})", text, "Not measured yet."))
    if not views:
        return []
    return [
        FigureView(
            "metrics", "Training", "Metrics of the solutions",
            ["Each mark is one solution, the bar the median.", f"Behind it: {runs_behind(view)}."],
            views, [LegendEntry("median", "ink", "bar")], ["metrics"], metric_table(view),
            layout="pairs",
        )
    ]  # fmt: skip


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for all."""
    panels = {f"{p}, {name} ({split})": samples for p, name, split, samples in _panels(view)}
    if not panels:
        return {}
    return {"metrics": sample_rows(panels, "metric", styles=view.styles, log=False)}


FIGURE = Figure("metrics", build, draw)
