"""The page of `lowroad plane`: contours, and the surface in space."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from lowroad.plotting.ridges import log_ticks, wants_log_axis
from lowroad.plotting.style import three_figures
from lowroad.report.charts import layout
from lowroad.report.page import render
from lowroad.report.views import Charts, FigureView, Group, TableView
from lowroad.study.files import write_atomically

COLORS = "Viridis"
_DECADES = 1e4  # that a logarithmic colour scale spans at most
_MARK = {"size": 9, "color": "white", "line": {"color": "black", "width": 1.5}}


def write_plane_page(path: Path, table: xr.Dataset, facts: Sequence[tuple[str, str]]) -> None:
    """Write the page of a plane that `random_plane` or `plane_through` made.

    Raises:
        OSError: when it cannot be written.
    """
    values, own = table["value"].values, table["point_value"].values
    names = [str(name) for name in table["point"].values]
    finite = values[np.isfinite(values)]
    charts = Charts()
    text = (
        f"Values from {three_figures(float(finite.min()))} to {three_figures(float(finite.max()))}."
    )
    views = [
        charts.add(_contours(table), "contours", f"Contours. {text}"),
        charts.add(_surface(table), "surface", f"The surface in space. {text}"),
    ]
    caption = [
        "The value on the plane x(u, v). " + (
            "u and v are distances between points."
            if len(names) > 1
            else "u and v are steps along two random directions, as long as the weights where they "
            "are normalized."
        ),
        "Drag the surface to turn it, scroll or pinch to come nearer.",
    ]  # fmt: skip
    page = render(
        "connect.html.j2",
        charts,
        command="lowroad plane",
        section="The plane",
        title=f"The landscape around {', '.join(names)}" if len(names) > 1 else
        "The landscape around a solution",
        findings=[
            text,
            *(f"{n}: {three_figures(float(v))}." for n, v in zip(names, own, strict=True)),
        ],
        figures=[FigureView("plane", "The plane", "Values", caption, views)],
        numbers=TableView(
            "Points", "Their places on the plane and their values.", ["Point", "u", "v", "Value"],
            [Group("", [
                [name, *(three_figures(float(x)) for x in (*place, value))]
                for name, place, value in zip(names, table["position"].values, own, strict=True)
            ])],
        ),
        facts=[*facts, *((name, version(name)) for name in ("lowroad", "torch"))],
    )  # fmt: skip
    write_atomically(path, page.encode())


def _scaled(table: xr.Dataset) -> tuple[NDArray[np.float64], dict[str, object]]:
    """Return what is drawn, and its colour bar: logarithms where values span decades."""
    values = table["value"].values
    finite = values[np.isfinite(values)]
    if not (wants_log_axis([finite]) and finite.min() > 0):
        return np.where(np.isfinite(values), values, finite.max()), {"title": {"text": "value"}}
    low = max(float(finite.min()), float(finite.max()) / _DECADES)
    ticks, labels = log_ticks(low, float(finite.max()))
    drawn = np.log10(np.clip(np.where(np.isfinite(values), values, finite.max()), low, None))
    bar = {"title": {"text": "value"}, "tickvals": np.log10(ticks).tolist(), "ticktext": labels}
    return drawn, bar


def _contours(table: xr.Dataset) -> go.Figure:
    drawn, bar = _scaled(table)
    figure = go.Figure()
    figure.add_contour(
        x=table["u"].values, y=table["v"].values, z=drawn, customdata=table["value"].values,
        colorscale=COLORS, ncontours=24, colorbar=bar | {"thickness": 12, "len": 0.9},
        line={"width": 0.6, "color": "rgba(255,255,255,0.5)"},
        hovertemplate="u %{x:.3g}, v %{y:.3g}<br>%{customdata:.5g}<extra></extra>",
    )  # fmt: skip
    places = table["position"].values
    figure.add_scatter(
        x=places[:, 0], y=places[:, 1], mode="markers", marker=_MARK,
        customdata=list(zip(table["point"].values.tolist(), table["point_value"].values.tolist(),
                            strict=True)),
        hovertemplate="%{customdata[0]}: %{customdata[1]:.5g}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text="u")
    figure.update_yaxes(title_text="v", scaleanchor="x", constrain="domain")
    return layout(figure, 460)


def _surface(table: xr.Dataset) -> go.Figure:
    drawn, bar = _scaled(table)
    figure = go.Figure()
    figure.add_surface(
        x=table["u"].values, y=table["v"].values, z=drawn, customdata=table["value"].values,
        colorscale=COLORS, showscale=False,
        hovertemplate="u %{x:.3g}, v %{y:.3g}<br>%{customdata:.5g}<extra></extra>",
        contours={"z": {"show": True, "color": "rgba(255,255,255,0.35)", "width": 1}},
    )  # fmt: skip
    axis = {"title": {"text": "value"}} | {k: v for k, v in bar.items() if k.startswith("tick")}
    figure.update_layout(
        template=None, height=460, showlegend=False, margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={
            "xaxis": {"title": {"text": "u"}, "nticks": 5},
            "yaxis": {"title": {"text": "v"}, "nticks": 5},
            "zaxis": axis, "aspectmode": "manual", "aspectratio": {"x": 1.2, "y": 1.2, "z": 0.8},
            "camera": {"eye": {"x": 1.1, "y": -1.35, "z": 1.0}, "center": {"z": -0.15}},
        },
    )  # fmt: skip
    return figure
