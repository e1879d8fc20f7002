"""The norm of the training landscape's gradient at the kept solutions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows
from lowroad.plotting.style import three_figures
from lowroad.report.charts import ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.text import listing, runs_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry


def _samples(view: View, problem: str) -> dict[str, NDArray[np.float64]]:
    table = view.results.table("gradient_norm", problem)
    if not table.sizes["point"]:
        return {}
    names, norms = table["set"].values, table["gradient_norm"].values
    found = {str(each): norms[names == str(each)] for each in view.sets(problem)}
    return {name: values for name, values in found.items() if len(values)}


def build(view: View, charts: Charts) -> list[FigureView]:
    """One panel for each problem where it was measured."""
    views = []
    for problem in view.results.problems:
        if samples := _samples(view, problem):
            medians = [
                f"{view.styles[n].label} {three_figures(float(np.median(v)))}"
                for n, v in samples.items()
            ]
            chart = ridge_chart(samples, "gradient norm", view.styles)
            text = f"Median gradient norms in {problem}: {listing(medians)}."
            views.append(charts.add(chart, problem, text, "No finite norm."))
    if not views:
        return []
    caption = [
        "Euclidean norm of the training landscape’s gradient at each kept solution: how far it is "
        "from stationary. Each mark is one solution, the bar the median.",
        f"Behind it: {runs_behind(view)}.",
    ]
    return [
        FigureView(
            "gradient-norms", "Training", "Gradient norms at the solutions", caption, views,
            [LegendEntry("median", "ink", "bar")], ["gradient-norms"],
        )
    ]  # fmt: skip


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for all."""
    panels = {p: samples for p in view.results.problems if (samples := _samples(view, p))}
    if not panels:
        return {}
    return {"gradient-norms": sample_rows(panels, "gradient norm", styles=view.styles)}


FIGURE = Figure("gradient norms", build, draw)
