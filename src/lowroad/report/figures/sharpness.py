"""Sharpness: largest eigenvalue and trace of the Hessian at the kept solutions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows
from lowroad.plotting.style import three_figures
from lowroad.report.charts import ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import sharpness_table
from lowroad.report.text import by_value, counted, listing
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry


def _samples(view: View, problem: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Largest eigenvalues and traces of each set."""
    table = view.results.table("sharpness", problem)
    if not table.sizes["point"]:
        return {}
    numbers = {
        "largest eigenvalue": table["eigenvalues"].values[:, 0],
        "trace": table["trace"].values,
    }
    names = table["set"].values
    return {
        label: {
            str(each): values[names == str(each)]
            for each in view.sets(problem)
            if (names == str(each)).any()
        }
        for label, values in numbers.items()
    }


def build(view: View, charts: Charts) -> list[FigureView]:
    """Two panels for each problem."""
    views, settings = [], {}
    for problem in view.results.problems:
        for label, samples in _samples(view, problem).items():
            medians = [
                f"{view.styles[n].label} {three_figures(float(np.median(v)))}"
                for n, v in samples.items()
            ]
            text = f"Medians of the {label} in {problem}: {listing(medians)}."
            chart = ridge_chart(samples, label, view.styles)
            views.append(charts.add(chart, f"{problem}, {label}", text, "Not measured."))
            own = view.results.config.settings(problem).sharpness
            settings[problem] = (
                f"{counted(own.runs, 'run')} of each source on the first "
                f"{counted(own.samples, 'training sample')}, "
                f"{counted(own.vectors, 'random vector')} for each trace"
            )
    if not views:
        return []
    caption = [
        "Largest eigenvalue and trace of the Hessian of the training landscape at the kept "
        "solutions: the larger, the sharper. Test sets are points of lowest test value, measured "
        "on the training landscape too, where they need not be minima.",
        "Curvature in the coordinates of the weights: it changes when a layer’s weights are scaled "
        "up and another’s down, though the network stays the same. And the cross-entropy’s "
        "curvature vanishes with the cross-entropy itself, so of two points the one of much lower "
        "training loss is flatter for that reason.",
        f"Measured: {by_value(settings)}.",
    ]
    return [
        FigureView(
            "sharpness", "Where they lie", "Sharpness of the solutions", caption, views,
            [LegendEntry("median", "ink", "bar")], ["sharpness"], sharpness_table(view),
            layout="pairs",
        )
    ]  # fmt: skip


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for all."""
    panels = {
        f"{problem}, {label}": samples
        for problem in view.results.problems
        for label, samples in _samples(view, problem).items()
    }
    if not panels:
        return {}
    return {"sharpness": sample_rows(panels, "curvature", styles=view.styles)}


FIGURE = Figure("sharpness", build, draw)
