"""The report's interactive charts as plotly figures, without colours of text and background.

The page's script adds those, so that a chart follows the reader's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.plotting import LossCurve, SurfacePath, SurfacePaths
from lowroad.plotting.curves import STEP_NAMES, pick_representative
from lowroad.plotting.ensembles import samples_of
from lowroad.plotting.ridges import Ridge, log_ticks, ridges, row_limits, wants_log_axis
from lowroad.plotting.style import LINE_COLORS, STRAIGHT_COLOR, WEIGHT_STYLES, shorter

__all__ = [
    "OUTLINE",
    "curve_chart",
    "distance_chart",
    "height_chart",
    "kernels_chart",
    "layout",
    "projection_chart",
    "ridge_chart",
    "shared_loss_range",
    "surface_chart",
    "surface_profile_chart",
]

_MOST_POINTS = 300
_PATTERNS = {"": "", "///": "/", "...": ".", "xxx": "x"}
OUTLINE = {"color": "black", "width": 0.8}


def layout(figure: go.Figure, height: int, **more: object) -> go.Figure:
    """Give a chart its height and the margins and manners that all charts share."""
    figure.update_layout(
        template=None,
        height=height,
        showlegend=False,
        margin={"l": 56, "r": 12, "t": 12, "b": 44},
        hovermode="closest",
        dragmode=False,
        **more,
    )
    figure.update_xaxes(automargin=True, zeroline=False, title_standoff=8)
    figure.update_yaxes(automargin=True, zeroline=False, title_standoff=8)
    return figure


def shared_loss_range(runs: Sequence[LossCurve]) -> tuple[float, float] | None:
    """Ends of a log axis, as powers of ten, that holds all losses; None without positive ones."""
    losses = [np.concatenate([run.train_heights, run.test_heights]) for run in runs]
    joined = np.concatenate(losses) if losses else np.empty(0)
    joined = joined[np.isfinite(joined) & (joined > 0)]
    if not len(joined):
        return None
    low, high = np.log10(joined.min()), np.log10(joined.max())
    margin = 0.05 * (high - low) + 0.02
    return float(low - margin), float(high + margin)


def curve_chart(
    optimizer: str, runs: Sequence[LossCurve], loss_range: tuple[float, float]
) -> go.Figure | None:
    """Losses of all kept runs, thin, and of a representative one, thick, its minima marked."""
    chosen = pick_representative(runs)
    if chosen is None:
        return None
    figure = go.Figure()
    for side in ("train", "test"):
        style = WEIGHT_STYLES[f"{optimizer}_{side}"]
        line = {"color": style.color, "dash": style.plotly_dash}
        steps, heights = _joined(runs, side)
        figure.add_scatter(
            x=steps, y=heights, mode="lines", line=line | {"width": 0.7}, opacity=0.4,
            hoverinfo="skip", connectgaps=False,
        )  # fmt: skip
        run = runs[chosen]
        figure.add_scatter(
            x=run.steps, y=_positive(getattr(run, f"{side}_heights")), mode="lines",
            line=line | {"width": 2.2}, name=style.label,
            hovertemplate=f"{style.label}<br>{STEP_NAMES[optimizer]} %{{x}}: %{{y:.2e}}"
            "<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[getattr(run, f"{side}_step")], y=[getattr(run, f"{side}_height")], mode="markers",
            marker={"symbol": style.symbol, "size": 11, "color": style.color, "line": OUTLINE},
            hovertemplate=f"{style.label}, lowest<br>{STEP_NAMES[optimizer]} %{{x}}: %{{y:.2e}}"
            "<extra></extra>",
        )  # fmt: skip
    values, labels = log_ticks(10 ** loss_range[0], 10 ** loss_range[1])
    figure.update_yaxes(
        type="log", range=loss_range, title_text="loss", tickvals=values, ticktext=labels
    )
    figure.update_xaxes(title_text=STEP_NAMES[optimizer], rangemode="tozero")
    return layout(figure, 300)


def _joined(
    runs: Sequence[LossCurve], side: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All runs' curves as one line with gaps, thinned to a few hundred points each."""
    steps: list[NDArray[np.float64]] = []
    heights: list[NDArray[np.float64]] = []
    for run in runs:
        stride = max(1, -(-len(run.steps) // _MOST_POINTS))
        steps += [run.steps[::stride].astype(np.float64), np.array([np.nan])]
        heights += [_positive(getattr(run, f"{side}_heights"))[::stride], np.array([np.nan])]
    return np.concatenate(steps), np.concatenate(heights)


def _positive(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights with a gap where a log axis has no place for them."""
    return np.where(np.isfinite(heights) & (heights > 0), heights, np.nan)


def surface_chart(surface: SurfacePaths) -> go.Figure:
    """Contours with the straight line and the paths."""
    figure = go.Figure()
    figure.add_contour(
        x=surface.x, y=surface.y, z=np.round(surface.heights, 4), ncontours=24, meta="surface",
        line={"width": 0.5}, hovertemplate="x %{x:.2f}, y %{y:.2f}<br>f = %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "f(x, y)", "side": "bottom"}, "thickness": 10, "len": 0.8,
                  "orientation": "h", "y": -0.16, "yanchor": "top"},
    )  # fmt: skip
    _add_lines(figure, surface, lambda path: (path.points[:, 0], path.points[:, 1]))
    figure.update_xaxes(title_text="x", range=[surface.x[0], surface.x[-1]], constrain="domain")
    figure.update_yaxes(
        title_text="y", range=[surface.y[0], surface.y[-1]], scaleanchor="x", constrain="domain"
    )
    return layout(figure, 420)


def surface_profile_chart(surface: SurfacePaths) -> go.Figure:
    """Height along the straight line and along each path."""
    figure = go.Figure()
    _add_lines(figure, surface, lambda path: (path.t, path.profile))
    figure.update_xaxes(title_text="t", range=[-0.02, 1.02])
    figure.update_yaxes(title_text="f along the path", rangemode="tozero")
    return layout(figure, 420)


SURFACE_DASHES = ("solid", "dash", "dashdot")
SURFACE_SYMBOLS = ("circle", "square", "triangle-up")


_Coordinates = Callable[[SurfacePath], tuple[NDArray[np.float64], NDArray[np.float64]]]


def _add_lines(figure: go.Figure, surface: SurfacePaths, coordinates: _Coordinates) -> None:
    def add(path: SurfacePath, color: str, dash: str, symbol: str | None) -> None:
        x, y = coordinates(path)
        marker = {"symbol": symbol, "size": 4.5, "color": color, "maxdisplayed": 26}
        figure.add_scatter(
            x=np.round(x, 5), y=np.round(y, 5), mode="lines+markers" if symbol else "lines",
            line={"color": color, "dash": dash, "width": 2.2}, marker=marker if symbol else None,
            customdata=np.round(path.profile, 4),
            hovertemplate=f"{path.label}<br>f = %{{customdata:.3f}}<extra></extra>",
        )  # fmt: skip

    add(surface.straight, STRAIGHT_COLOR, "dot", None)
    for path, color, dash, symbol in zip(
        surface.paths, LINE_COLORS, SURFACE_DASHES, SURFACE_SYMBOLS, strict=False
    ):
        add(path, color, dash, symbol)


def height_chart(
    heights: Mapping[str, ArrayLike], straight: Mapping[str, ArrayLike]
) -> go.Figure | None:
    """Path heights of each weight set as rows; None where there is none."""
    return ridge_chart(heights, straight, "path height")


def distance_chart(table: xr.Dataset) -> go.Figure | None:
    """Distances from the common origin as rows, the centroids' distance as a dotted line."""
    label = "distance from the common origin"
    figure = ridge_chart(samples_of(table, "distance"), {}, label, log=False)
    if figure is not None:
        figure.update_xaxes(rangemode="tozero")
        figure.add_vline(x=float(table["centroid_distance"].values[0]), line_dash="dot")
    return figure


def ridge_chart(
    samples: Mapping[str, ArrayLike],
    straight: Mapping[str, ArrayLike],
    label: str,
    log: bool | None = None,
) -> go.Figure | None:
    """Samples of weight sets as rows of points and bars; see `plotting.paths.draw_ridges`."""
    medians = {
        name: float(np.median(values))
        for name, sample in straight.items()
        if len(values := np.asarray(sample, dtype=np.float64)[np.isfinite(sample)])
    }
    if log is None:
        log = wants_log_axis([*samples.values(), list(medians.values())])
    rows = ridges(samples, log)[::-1]
    if not any(len(row.values) for row in rows):
        return None
    figure = go.Figure()
    for place, row in enumerate(rows):
        _add_row(figure, row, place, medians.get(row.name))
    names = [f"{WEIGHT_STYLES[row.name].label}<br>n = {len(row.values)}" for row in rows]
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=names, range=row_limits(rows),
        showgrid=True,
    )  # fmt: skip
    figure.update_xaxes(title_text=label)
    if log:
        joined = np.concatenate([*(row.values for row in rows), list(medians.values())])
        low, high = joined.min() / 1.15, joined.max() * 1.15
        ticks, labels = log_ticks(low, high)
        figure.update_xaxes(
            type="log", range=[np.log10(low), np.log10(high)], tickvals=ticks, ticktext=labels
        )
    return layout(figure, 90 + 62 * len(rows))


def _add_row(figure: go.Figure, row: Ridge, place: int, straight: float | None) -> None:
    style = WEIGHT_STYLES[row.name]
    x, tops = row.outline()
    if len(x):
        figure.add_scatter(
            x=x, y=place + tops, mode="lines", fill="toself", fillcolor=style.color,
            line={"color": "black", "width": 0.5}, opacity=0.75, hoverinfo="skip",
            fillpattern={"shape": _PATTERNS[style.hatch], "fgcolor": "black", "fgopacity": 0.5,
                         "bgcolor": style.color, "size": 6, "solidity": 0.15},
        )  # fmt: skip
    if not len(row.values):
        return
    figure.add_scatter(
        x=[row.median] * 2, y=[place + end for end in row.reach], mode="lines", meta="ink",
        line={"width": 2.5}, hovertemplate=f"{style.label}, median %{{x:.4g}}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=row.values, y=place + row.offsets, mode="markers",
        marker={"symbol": style.symbol, "size": 7, "color": style.color, "line": OUTLINE},
        hovertemplate=f"{style.label}: %{{x:.4g}}<extra></extra>",
    )  # fmt: skip
    if straight is not None:
        figure.add_scatter(
            x=[straight], y=[place + row.middle], mode="markers", meta="ink",
            marker={"symbol": "triangle-down-open", "size": 9, "line": {"width": 1.5}},
            hovertemplate=f"{style.label}, straight lines, median %{{x:.4g}}<extra></extra>",
        )  # fmt: skip


def projection_chart(table: xr.Dataset) -> go.Figure:
    """The first two kernel principal components."""
    figure = go.Figure()
    _add_projection(figure, table, None)
    shares = table["explained"].values
    figure.update_xaxes(title_text=f"component 1 ({shares[0]:.0%})", exponentformat="power")
    figure.update_yaxes(title_text=f"component 2 ({shares[1]:.0%})", exponentformat="power")
    return layout(figure, 300)


def kernels_chart(tables: Mapping[str, xr.Dataset]) -> go.Figure:
    """Small panels of the first two components, two in a row, one for each named kernel."""
    titles = [f"{name}, area {shorter(float(t['auc'].values[0]))}" for name, t in tables.items()]
    rows = -(-len(tables) // 2)
    figure = go.Figure().set_subplots(
        rows, 2, subplot_titles=titles, horizontal_spacing=0.08, vertical_spacing=0.14
    )
    for number, table in enumerate(tables.values()):
        _add_projection(figure, table, (number // 2 + 1, number % 2 + 1))
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
    figure.update_annotations(font_size=12)
    layout(figure, 40 + 170 * rows)
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 28, "b": 8})


def _add_projection(figure: go.Figure, table: xr.Dataset, place: tuple[int, int] | None) -> None:
    names = table["set"].values
    where = {} if place is None else {"row": place[0], "col": place[1]}
    for name in dict.fromkeys(names.tolist()):
        style = WEIGHT_STYLES[name]
        points = table["projection"].values[names == name]
        figure.add_scatter(
            x=points[:, 0], y=points[:, 1], mode="markers",
            marker={"symbol": style.symbol, "size": 8 if place is None else 6,
                    "color": style.color, "line": OUTLINE},
            hovertemplate=f"{style.label}<br>%{{x:.3g}}, %{{y:.3g}}<extra></extra>", **where,
        )  # fmt: skip
