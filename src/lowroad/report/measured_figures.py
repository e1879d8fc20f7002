"""The page's figures of planes through paths and of sharpness, where a study measured them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from lowroad.plotting import plane_scene
from lowroad.plotting.style import WEIGHT_STYLES, three_figures
from lowroad.report.charts import ridge_chart
from lowroad.report.summary import Summary
from lowroad.report.tables import sharpness_table
from lowroad.report.views import Charts, FigureView, LegendEntry, weight_legend
from lowroad.report.words import by_value, counted, listing
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS, PathResult

__all__ = ["plane_figure", "sharpness_figure"]


def plane_figure(summary: Summary, charts: Charts) -> FigureView | None:
    """The loss surface in the plane through two minima and the peak of the path between them."""
    views, images = [], {}
    for network in summary.networks:
        for name in WEIGHT_SETS:
            measured = [p for p in network.paths[name, "train"] if p.plane is not None]
            if not measured:
                continue
            path = measured[0]
            assert path.plane is not None
            images[network.name] = counted(path.plane.images, "training image")
            label = WEIGHT_SET_LABELS[name]
            first, second = path.seeds
            start, end, peak = (three_figures(h) for h in path.plane.corner_heights.tolist())
            text = (
                f"Loss surface of {network.name} through runs {first} and {second} of {label}, at "
                f"{start} and {end}, and their path’s peak, at {peak}."
            )
            title = f"{network.name}, {label}, runs {first} and {second}"
            views.append(charts.add(_plane_chart(path), title, text, ""))
    if not views:
        return None
    return FigureView(
        "planes", "Beyond the paper", "Loss surfaces through two minima and a path’s peak",
        [
            "The training loss on the plane through two minima and the highest point of the path "
            "between them, for the first measured pair of each set. The line is the path projected "
            "on the plane; it touches the plane at its ends and its peak, and under the pointer is "
            "how far it is from the plane elsewhere, where its own loss is another than the "
            "surface’s.",
            f"Heights are means over {by_value(images)}, so they differ a little from those of "
            "the whole training set; what lies above the highest contour is cut off flat. Drag to "
            "turn, scroll or pinch to come nearer. Lengths are distances of weights.",
        ],
        views, [LegendEntry(f"{style.label}: path", style.color, "", "solid")
                for style in WEIGHT_STYLES.values()],
    )  # fmt: skip


def _plane_chart(path: PathResult) -> go.Figure:
    plane = path.plane
    assert plane is not None
    names = [f"run {path.seeds[0]}", f"run {path.seeds[1]}", "peak"]
    table = xr.Dataset(
        {
            "height": (("v", "u"), _rounded(plane.heights)),
            "position": (("point", "axis"), _rounded(plane.corners)),
            "point_height": ("point", _rounded(plane.corner_heights)),
            "projection": (("path", "t", "axis"), _rounded(plane.places)[None]),
            "distance": (("path", "t"), _rounded(plane.distances)[None]),
            "projected_height": (("path", "t"), _rounded(plane.below)[None]),
            "profile": (("path", "t"), _rounded(path.profile)[None]),
        },
        coords={
            "u": _rounded(plane.u), "v": _rounded(plane.v), "point": names, "axis": ["u", "v"],
            "path": ["path"], "t": path.t, "straight": ("path", [False]),
        },
    )  # fmt: skip
    figure = plane_scene(table)
    figure.update_traces(
        line_color=WEIGHT_STYLES[path.weights].color,
        selector={"type": "scatter3d", "mode": "lines"},
    )
    figure.update_traces(showscale=False, selector={"type": "surface"})
    return figure.update_layout(
        template=None, width=None, height=400, showlegend=False,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
    )  # fmt: skip


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values with five figures: no more can be seen, and the page stays small."""
    return np.array([float(f"{value:.5g}") for value in values.ravel()]).reshape(values.shape)


def sharpness_figure(summary: Summary, charts: Charts) -> FigureView | None:
    """Largest eigenvalues and traces of the Hessian at the kept minima."""
    if not any(found for network in summary.networks for found in network.sharpness.values()):
        return None
    views, settings = [], {}
    for network in summary.networks:
        measures = {
            "largest eigenvalue": lambda each: float(each.eigenvalues[0]),
            "trace": lambda each: float(each.trace),
        }
        for label, number in measures.items():
            samples = {
                str(name): [number(each) for each in found]
                for name, found in network.sharpness.items()
            }
            medians = [
                f"{WEIGHT_SET_LABELS[name]} {three_figures(float(np.median(values)))}"
                for name, values in samples.items()
                if values
            ]
            text = f"Medians of the {label} in {network.name}: {listing(medians)}."
            chart = ridge_chart(samples, {}, label)
            views.append(charts.add(chart, f"{network.name}, {label}", text, "Not measured."))
        own = summary.results.config.settings(network.name).sharpness
        settings[network.name] = (
            f"{counted(own.runs, 'run')} of each optimizer on "
            f"{counted(own.images, 'training image')}, {counted(own.samples, 'random vector')} "
            "for each trace"
        )
    return FigureView(
        "sharpness", "Beyond the paper", "Sharpness of the minima",
        [
            "Largest eigenvalue and trace of the training loss’s Hessian at the kept minima: the "
            "larger, the sharper. Test weights are points of lowest test loss, measured on the "
            "training loss too, where they need not be minima.",
            "Curvature in the coordinates of the weights: it changes when a layer’s weights are "
            "scaled up and another’s down, though the network stays the same.",
            f"Measured: {by_value(settings)}.",
        ],
        views, weight_legend(), ["sharpness"], sharpness_table(summary), layout="pairs",
    )  # fmt: skip
