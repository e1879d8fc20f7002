"""The page: what was found between the checkpoints, in one HTML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import plotly.graph_objects as go
import xarray as xr

from lowroad.connect.records import Shown, curves_of
from lowroad.connect.results import SIDES, barrier_matrices, linear_barriers, trees
from lowroad.plotting.barriers import tree_lines, wants_log_heights
from lowroad.plotting.style import set_styles, three_figures
from lowroad.report.charts import layout, matrix_chart, trees_chart
from lowroad.report.page import render
from lowroad.report.views import Charts, FigureView, Group, LegendEntry, TableView
from lowroad.study.files import write_atomically

STRAIGHT, FOUND = "#D55E00", "#0072B2"
FEW = 3  # pairs that are told one by one


def write_page(
    path: Path,
    names: Sequence[str],
    records: Sequence[xr.Dataset],
    settings: Mapping[str, str | int],
) -> None:
    """Write the page.

    Raises:
        OSError: when it cannot be written.
    """
    charts = Charts()
    figures = [_profiles(charts, records)]
    if len(records) > 1:
        figures = [_matrices(charts, names, records), _trees(charts, names, records), *figures]
    what = " and ".join(names) if len(names) == 2 else f"{len(names)} checkpoints"
    facts = [(name.capitalize(), str(value)) for name, value in settings.items()]
    facts += [("Checkpoints", ", ".join(names)), ("Python", sys.version.split()[0])]
    facts += [(name, version(name)) for name in ("lowroad", "torch")]
    page = render(
        "connect.html.j2",
        charts,
        command="lowroad connect",
        section="Paths",
        title=f"What lies between {what}",
        findings=_of_all(names, records)
        if len(records) > FEW
        else [sentence for record in records for sentence in _findings(record)],
        figures=figures,
        numbers=_numbers(records),
        facts=facts,
    )
    write_atomically(path, page.encode())


def _pair(record: xr.Dataset) -> str:
    return f"{record.attrs['first']} – {record.attrs['second']}"


def _findings(record: xr.Dataset) -> list[str]:
    """What was found, in sentences."""
    curves = {curve.key: curve for curve in curves_of(record)}
    sentences = []
    for side, said in SIDES.items():
        if side not in curves:
            continue
        straight, found = curves[f"{side}straight_"].numbers, curves[side].numbers
        sentences.append(
            f"{_pair(record)}, {said}: the straight line rises to "
            f"{three_figures(float(straight['height']))}, "
            f"{three_figures(float(straight['barrier']))} above its higher end, the path found to "
            f"{three_figures(float(found['height']))}, {three_figures(float(found['barrier']))} "
            f"above it ({found['outcome']})."
        )
    barriers = [f"{name.replace('_', ' ')} {b:.4g}" for name, b in linear_barriers(record).items()]
    sentences.append(
        f"{_pair(record)}: barrier of linear mode connectivity, the maximum on the straight line "
        f"above the mean of its ends (for an accuracy, the minimum below it): "
        f"{', '.join(barriers)}."
    )
    if "note" in record.attrs:
        sentences.append(f"{_pair(record)}: {record.attrs['note']}.")
    return sentences


def _of_all(names: Sequence[str], records: Sequence[xr.Dataset]) -> list[str]:
    """The barriers of many pairs, in sentences."""
    sentences = []
    for label, matrix in barrier_matrices(names, records).items():
        barriers = {
            (names[i], names[j]): float(matrix[i, j])
            for i in range(len(names))
            for j in range(i + 1, len(names))
        }
        low, high = (choose(barriers, key=barriers.__getitem__) for choose in (min, max))
        sentences.append(
            f"Barriers, {label}: from {three_figures(barriers[low])} ({' – '.join(low)}) to "
            f"{three_figures(barriers[high])} ({' – '.join(high)}), median "
            f"{three_figures(median(barriers.values()))} of {len(barriers)} pairs."
        )
    return sentences


def _profiles(charts: Charts, records: Sequence[xr.Dataset]) -> FigureView:
    views = []
    for record in records:
        for aligned in (False, True):
            curves = [curve for curve in curves_of(record) if curve.is_aligned == aligned]
            quantities = dict.fromkeys(name for curve in curves for name in curve)
            for name in quantities:
                title = "height" if name == "profile" else name.replace("_", " ")
                chart = _chart(record, [c for c in curves if name in c], name, title)
                side = ", aligned" if aligned else ""
                text = f"{title} along the paths between {_pair(record)}{side}."
                group = _pair(record) if len(records) > 1 else ""
                views.append(charts.add(chart, f"{title}{side}", text, group=group))
    caption = [
        "The value along the straight line (dashed) and along the path found (solid)."
        " t runs from 0 at the first checkpoint to 1 at the second.",
        "A path's height is an upper bound that belongs to its budget of steps.",
    ]
    if any(curve.interpolated for record in records for curve in curves_of(record)):
        caption.append("Dotted: batch norm's statistics interpolated in t instead of re-estimated.")
    legend = [
        LegendEntry("straight line", STRAIGHT, dash="dash"),
        LegendEntry("path found", FOUND, dash="solid"),
    ]
    return FigureView("profiles", "Paths", "Profiles", caption, views, legend)


def _chart(record: xr.Dataset, curves: Sequence[Shown], name: str, title: str) -> go.Figure:
    figure = go.Figure()
    for curve in curves:
        dash = "dot" if curve.interpolated else "dash" if curve.is_straight else "solid"
        figure.add_scatter(
            x=record["t"].values, y=curve[name], mode="lines",
            line={"color": STRAIGHT if curve.is_straight else FOUND, "dash": dash, "width": 2},
            hovertemplate=f"{curve.label}<br>t %{{x:.3g}}: %{{y:.5g}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="t")
    figure.update_yaxes(title_text=title)
    return layout(figure, 340)


def _matrices(charts: Charts, names: Sequence[str], records: Sequence[xr.Dataset]) -> FigureView:
    views = [
        charts.add(
            matrix_chart(matrix, names, "barrier"), label, f"Barriers of all pairs, {label}."
        )
        for label, matrix in barrier_matrices(names, records).items()
    ]
    caption = ["The height of each pair's path above its higher end; 0 where there is none."]
    return FigureView("barriers", "Paths", "Barriers of all pairs", caption, views)


def _trees(charts: Charts, names: Sequence[str], records: Sequence[xr.Dataset]) -> FigureView:
    views = []
    for side, tree in trees(names, records).items():
        own = {"checkpoints": tree}
        chart = trees_chart(own, set_styles(own), "height", wants_log_heights(own))
        places = tree_lines(tree)[0].tolist()
        chart.update_xaxes(showticklabels=True, tickvals=places, ticktext=list(names))
        views.append(charts.add(chart, side, f"Disconnectivity graph, {side}."))
    caption = [
        "Each line begins at a checkpoint, at its value, and two lines join at the lowest value "
        "below which no chain of found paths connects them. The levels are upper bounds.",
    ]
    return FigureView("disconnectivity", "Paths", "Disconnectivity graph", caption, views)


def _numbers(records: Sequence[xr.Dataset]) -> TableView:
    header = ["Path", "Height", "Barrier", "Above the mean of the ends", "Length"]
    groups = [
        Group(
            _pair(record),
            [
                [
                    curve.label,
                    *(
                        three_figures(float(curve.numbers[name])) if name in curve.numbers else ""
                        for name in ("height", "barrier", "barrier_above_mean", "length")
                    ),
                ]
                for curve in curves_of(record)
            ],
        )
        for record in records
    ]
    caption = (
        "Heights on the grid of t; barriers above the higher end, and above the mean of the two "
        "ends: on the straight line the barrier of linear mode connectivity (Frankle et al. 2020, "
        "Ainsworth et al. 2023)."
    )
    return TableView("Numbers of all paths", caption, header, groups)
