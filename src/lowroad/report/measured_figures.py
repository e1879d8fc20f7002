"""The page's figures of planes through paths and of sharpness, where a study measured them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from lowroad.plotting import plane_scene
from lowroad.plotting.ridges import log_ticks
from lowroad.plotting.style import WEIGHT_STYLES, three_figures
from lowroad.report.charts import ridge_chart
from lowroad.report.summary import Summary
from lowroad.report.tables import sharpness_table
from lowroad.report.views import Charts, FigureView, LegendEntry, weight_legend
from lowroad.report.words import by_value, counted, interval, listing
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS, PathResult

__all__ = ["plane_figure", "sharpness_figure"]


def plane_figure(summary: Summary, charts: Charts) -> FigureView | None:
    """The loss surface in the plane through two minima and the peak of the path between them."""
    views, images, drawn = [], {}, set[str]()
    for network in summary.networks:
        for name in WEIGHT_SETS:
            measured = [p for p in network.paths[name, "train"] if p.plane is not None]
            if not measured:
                continue
            path = measured[0]
            assert path.plane is not None
            images[network.name] = counted(path.plane.images, "training image")
            drawn.add(name)
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
            f"Losses are means over {by_value(images)}, so they differ a little from those of "
            "the whole training set, and stand on a log axis, cut off flat above the highest "
            "contour. A well narrower than the grid is not seen: its minimum’s mark is at the "
            "lowest height of the grid. Drag to turn, scroll or pinch to come nearer; u and v are "
            "distances of weights.",
            "A set is missing where the path’s highest point is one of its ends, which span no "
            "plane.",
        ],
        views, [LegendEntry(f"{style.label}: path", style.color, "", "solid")
                for name, style in WEIGHT_STYLES.items() if name in drawn],
    )  # fmt: skip


def _plane_chart(path: PathResult) -> go.Figure:
    """The surface with logarithms of the losses as heights; the losses are under the pointer."""
    plane = path.plane
    assert plane is not None
    grid, corners, below = (
        _logarithms(h) for h in (plane.heights, plane.corner_heights, plane.below)
    )
    low = float(np.nanmin(grid))
    table = xr.Dataset(
        {
            "height": (("v", "u"), grid),
            "position": (("point", "axis"), _rounded(plane.corners)),
            "point_height": ("point", np.maximum(corners, low)),
            "projection": (("path", "t", "axis"), _rounded(plane.places)[None]),
            "distance": (("path", "t"), _rounded(plane.distances)[None]),
            "projected_height": (("path", "t"), np.maximum(below, low)[None]),
            "profile": (("path", "t"), np.maximum(below, low)[None]),
        },
        coords={
            "u": _rounded(plane.u),
            "v": _rounded(plane.v),
            "point": [f"run {path.seeds[0]}", f"run {path.seeds[1]}", "peak"],
            "axis": ["u", "v"],
            "path": ["path"],
            "t": path.t,
            "straight": ("path", [False]),
        },
    )
    figure = plane_scene(table)
    figure.update_traces(
        showscale=False, customdata=_rounded(plane.heights),
        hovertemplate="loss %{customdata:.3g}<extra></extra>", selector={"type": "surface"},
    )  # fmt: skip
    figure.update_traces(
        line_color=WEIGHT_STYLES[path.weights].color,
        customdata=_rounded(np.column_stack([path.t, path.profile, plane.below, plane.distances])),
        hovertemplate="t %{customdata[0]:.2f}: the path’s own loss %{customdata[1]:.3g}<br>"
        "%{customdata[3]:.3g} from the plane, whose loss is %{customdata[2]:.3g}<extra></extra>",
        selector={"type": "scatter3d", "mode": "lines"},
    )
    for trace, loss in zip(
        figure.select_traces({"mode": "markers"}), plane.corner_heights.tolist(), strict=True
    ):
        trace.update(hovertemplate=f"{trace.name}: loss {loss:.3g}<extra></extra>")
    z = figure.layout.scene.zaxis
    ticks, labels = log_ticks(10 ** z.range[0], 10 ** z.range[1])
    if len(ticks) < 2:  # too narrow a range for round numbers
        ticks = (10 ** np.linspace(float(z.range[0]), float(z.range[1]), 4)).tolist()
        labels = [three_figures(tick) for tick in ticks]
    z.update(tickvals=np.log10(ticks), ticktext=labels, title="loss")
    return figure.update_layout(
        template=None, width=None, height=360, showlegend=False,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene_camera={"eye": {"x": 0.46, "y": 1.14, "z": 1.8}, "center": {"x": 0, "y": 0, "z": 0}},
    )  # fmt: skip


def _logarithms(heights: np.ndarray) -> np.ndarray:
    """log10 of heights, infinite where they are; a gap where they are not positive."""
    positive = heights > 0
    return np.where(positive, np.log10(np.where(positive, heights, 1.0)).round(4), np.nan)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values with five figures: no more can be seen, and the page stays small."""
    return np.array([float(f"{value:.5g}") for value in values.ravel()]).reshape(values.shape)


def sharpness_figure(summary: Summary, charts: Charts) -> FigureView | None:
    """Largest eigenvalues and traces of the Hessian at the kept minima."""
    if not any(found for network in summary.networks for found in network.sharpness.values()):
        return None
    views, settings, deltas = [], {}, []
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
        for kind, found in network.sharper.items():
            delta = interval(found.delta.estimate, found.delta.low, found.delta.high)
            deltas.append(
                f"{delta}, p = {three_figures(found.p_value)} for {kind} weights of {network.name}"
            )
        own = summary.results.config.settings(network.name).sharpness
        settings[network.name] = (
            f"{counted(own.runs, 'run')} of each optimizer on "
            f"{counted(own.images, 'training image')}, {counted(own.samples, 'random vector')} "
            "for each trace"
        )
    caption = [
        "Largest eigenvalue and trace of the training loss’s Hessian at the kept minima: the "
        "larger, the sharper. Test weights are points of lowest test loss, measured on the "
        "training loss too, where they need not be minima.",
        "Curvature in the coordinates of the weights: it changes when a layer’s weights are "
        "scaled up and another’s down, though the network stays the same. And the cross-entropy’s "
        "curvature vanishes with the cross-entropy itself, so of two points the one of much lower "
        "training loss is flatter for that alone.",
        f"Measured: {by_value(settings)}.",
    ]
    if deltas:
        caption.append(
            "Cliff’s δ of the largest eigenvalues, positive where BFGS’s minima are sharper than "
            f"SGD’s, with its 95% bootstrap interval and the rank test’s p: {'; '.join(deltas)}."
        )
    return FigureView(
        "sharpness", "Beyond the paper", "Sharpness of the minima", caption, views,
        weight_legend(), ["sharpness"], sharpness_table(summary), layout="pairs",
    )  # fmt: skip
