"""Drawings that several of the report's interactive charts share, without colours of text.

The page's script adds those, so that a chart follows the reader's light or dark theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis import MergeTree
from lowroad.plotting.barriers import tree_lines
from lowroad.plotting.paths import medians_of
from lowroad.plotting.ridges import Ridge, log_ticks, ridges, row_limits, wants_log_axis
from lowroad.plotting.style import SetStyle, plotly_text, shorter, three_figures, wrapped

__all__ = [
    "MARK_SIZE",
    "OUTLINE",
    "kernels_chart",
    "layout",
    "log_axis",
    "matrix_chart",
    "projection_chart",
    "ridge_chart",
    "trees_chart",
]

MARK_SIZE = 8
_NAME_WIDTH = 16  # letters of a line of a name beside a panel, on a phone too
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


def log_axis(values: ArrayLike, margin: float = 0.06) -> dict[str, object]:
    """Settings of a log axis that holds all positive finite values."""
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite) & (finite > 0)]
    factor = max((finite.max() / finite.min()) ** margin, 1.02)
    low, high = float(finite.min() / factor), float(finite.max() * factor)
    ticks, labels = log_ticks(low, high)
    return {
        "type": "log", "range": [np.log10(low), np.log10(high)],
        "tickvals": ticks, "ticktext": labels,
    }  # fmt: skip


def ridge_chart(
    samples: Mapping[str, ArrayLike],
    label: str,
    styles: Mapping[str, SetStyle],
    straight: Mapping[str, ArrayLike] | None = None,
    log: bool | None = None,
) -> go.Figure | None:
    """Samples of sets as rows of points and bars; see `plotting.paths.draw_ridges`."""
    medians = medians_of(straight or {})
    if log is None:
        log = wants_log_axis([*samples.values(), list(medians.values())])
    rows = ridges(samples, log)[::-1]
    if not any(len(row.values) for row in rows):
        return None
    figure = go.Figure()
    for place, row in enumerate(rows):
        _add_row(figure, row, place, medians.get(row.name), styles[row.name])
    names = [[*_lines(styles[row.name].label), f"n = {len(row.values)}"] for row in rows]
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=["<br>".join(lines) for lines in names],
        range=row_limits(rows), showgrid=True,
    )  # fmt: skip
    figure.update_xaxes(title_text=f"{label} (log scale)" if log else label)
    if log:
        joined = np.concatenate([*(row.values for row in rows), list(medians.values())])
        figure.update_xaxes(**log_axis(joined))
    height = max(62 if len(rows) < 6 else 44, _height(names))
    return layout(figure, 90 + height * len(rows))


def _lines(name: str) -> list[str]:
    return [plotly_text(line) for line in wrapped(name, _NAME_WIDTH)]


def _height(names: Sequence[Sequence[str]]) -> int:
    """Pixels of the row with the most lines."""
    return 8 + 15 * max(map(len, names), default=1)


def _add_row(
    figure: go.Figure, row: Ridge, place: int, straight: float | None, style: SetStyle
) -> None:
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
        line={"width": 2.5},
        hovertemplate=f"{style.plotly_label}, median %{{x:.4g}}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=row.values, y=place + row.offsets, mode="markers",
        marker={"symbol": style.symbol, "size": MARK_SIZE, "color": style.color, "line": OUTLINE},
        hovertemplate=f"{style.plotly_label}: %{{x:.4g}}<extra></extra>",
    )  # fmt: skip
    if straight is not None:
        figure.add_scatter(
            x=[straight], y=[place + row.middle], mode="markers", meta="ink",
            marker={"symbol": "triangle-down-open", "size": 9, "line": {"width": 1.5}},
            hovertemplate=f"{style.plotly_label}, straight lines, median %{{x:.4g}}<extra></extra>",
        )  # fmt: skip


def projection_chart(table: xr.Dataset, styles: Mapping[str, SetStyle]) -> go.Figure:
    """The first two kernel principal components."""
    figure = go.Figure()
    _add_projection(figure, table, styles, None)
    shares = table["explained"].values
    figure.update_xaxes(title_text=f"component 1 ({shares[0]:.0%})", exponentformat="power")
    figure.update_yaxes(title_text=f"component 2 ({shares[1]:.0%})", exponentformat="power")
    return layout(figure, 300)


def kernels_chart(tables: Mapping[str, xr.Dataset], styles: Mapping[str, SetStyle]) -> go.Figure:
    """Small panels of the first two components, two in a row, one for each named kernel."""
    titles = [
        f"{name}, area {shorter(float(t['auc'].values[0]))}" if "auc" in t else name
        for name, t in tables.items()
    ]
    rows = -(-len(tables) // 2)
    figure = go.Figure().set_subplots(
        rows, 2, subplot_titles=titles, horizontal_spacing=0.08, vertical_spacing=0.14
    )
    for number, table in enumerate(tables.values()):
        _add_projection(figure, table, styles, (number // 2 + 1, number % 2 + 1))
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
    figure.update_annotations(font_size=12)
    layout(figure, 40 + 170 * rows)
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 28, "b": 8})


def _add_projection(
    figure: go.Figure,
    table: xr.Dataset,
    styles: Mapping[str, SetStyle],
    place: tuple[int, int] | None,
) -> None:
    names = table["set"].values
    where = {} if place is None else {"row": place[0], "col": place[1]}
    for name in dict.fromkeys(names.tolist()):
        style = styles[name]
        points = table["projection"].values[names == name]
        figure.add_scatter(
            x=points[:, 0], y=points[:, 1], mode="markers",
            marker={"symbol": style.symbol, "size": MARK_SIZE,
                    "color": style.color, "line": OUTLINE},
            hovertemplate=f"{style.plotly_label}<br>%{{x:.3g}}, %{{y:.3g}}<extra></extra>", **where,
        )  # fmt: skip


def matrix_chart(
    values: NDArray[np.float64], names: Sequence[str], what: str, log: bool = False
) -> go.Figure:
    """A heat map of one number for each two sets; what was not measured stays empty."""
    shown = np.log10(np.where(values > 0, values, np.nan)) if log else values
    texts = [[three_figures(v) if np.isfinite(v) else "" for v in line] for line in values]
    known = [plotly_text(name) for name in names]
    figure = go.Figure()
    figure.add_heatmap(
        z=shown, x=known, y=known, text=texts, texttemplate="%{text}",
        colorscale="Cividis", showscale=False, hoverongaps=False, xgap=1, ygap=1,
        textfont={"size": 10 if len(names) > 6 else 12},
        hovertemplate=f"%{{y}} – %{{x}}<br>{what} %{{text}}<extra></extra>",
    )  # fmt: skip
    # said to be categories: names such as 0.1 or 2024-01 would be places on an axis
    lines = [_lines(name) for name in names]
    ticks = {"tickvals": known, "ticktext": ["<br>".join(each) for each in lines]}
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, **ticks)
    figure.update_xaxes(type="category", showgrid=False, tickangle=-40, **ticks)
    return layout(figure, 140 + max(34, _height(lines)) * len(names))


def trees_chart(
    trees: Mapping[str, MergeTree], styles: Mapping[str, SetStyle], label: str, log: bool
) -> go.Figure:
    """Disconnectivity graphs of sets side by side; see `plotting.disconnectivity_graphs`."""
    figure, first = go.Figure(), 0.0
    values: list[float] = []
    for name, tree in trees.items():
        style = styles[name]
        places, x, y = tree_lines(tree, first)
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": style.color, "width": 1.8},
            connectgaps=False, hovertemplate=f"{style.plotly_label}<br>%{{y:.4g}}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=places, y=tree.heights, mode="markers",
            marker={"symbol": style.symbol, "size": MARK_SIZE, "color": style.color,
                    "line": OUTLINE},
            hovertemplate=f"{style.plotly_label}, solution<br>%{{y:.5g}}<extra></extra>",
        )  # fmt: skip
        values += [*tree.heights, *(merge.level for merge in tree.merges)]
        first += len(places) + 1
    figure.update_xaxes(showticklabels=False, showgrid=False, range=[-1, first - 1])
    figure.update_yaxes(title_text=f"{label} (log scale)" if log else label)
    if log:
        figure.update_yaxes(**log_axis(np.array(values)))
    return layout(figure, 340)
