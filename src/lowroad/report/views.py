"""What the page's template is filled with: figures, charts and tables as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from lowroad.plotting.style import WEIGHT_STYLES

__all__ = [
    "ChartView",
    "Charts",
    "FigureView",
    "Group",
    "LegendEntry",
    "TableView",
    "weight_legend",
]


@dataclass(frozen=True)
class ChartView:
    """Place of a chart in the page.

    Attributes:
        key: Identifies it to the page's script; None where there is nothing to draw.
        title: What stands above it.
        text: What it shows, for people who do not see it; or what is missing.
        height: Its height in pixels, reserved before it is drawn.
    """

    key: str | None
    title: str
    text: str
    height: int = 0


class Charts:
    """Collects the page's charts; each gets a key that the page's script finds it by."""

    def __init__(self) -> None:
        self._specs: dict[str, str] = {}

    def add(self, figure: go.Figure | None, title: str, text: str, missing: str) -> ChartView:
        """Take a chart, or say with `missing` why there is none."""
        if figure is None:
            return ChartView(None, title, missing)
        key = f"chart-{len(self._specs) + 1}"
        self._specs[key] = figure.to_json()
        return ChartView(key, title, text, figure.layout.height)

    def as_json(self) -> str:
        """All charts as one JSON object that can stand inside a script element."""
        entries = [f'"{key}":{spec}' for key, spec in self._specs.items()]
        return "{" + ",\n".join(entries).replace("<", "\\u003c") + "}"


@dataclass(frozen=True)
class LegendEntry:
    """A line, a marker or both, and what they stand for."""

    label: str
    color: str = ""
    symbol: str = ""
    dash: str = ""


def weight_legend(
    names: Sequence[str] = tuple(WEIGHT_STYLES), lines: bool = False
) -> list[LegendEntry]:
    """Legend of weight sets, with their line styles where the figure draws lines."""
    styles = [WEIGHT_STYLES[name] for name in names]
    return [
        LegendEntry(style.label, style.color, style.symbol, style.plotly_dash if lines else "")
        for style in styles
    ]


@dataclass(frozen=True)
class Group:
    """Rows of a table under a common heading; each cell is a text."""

    heading: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class TableView:
    """A table.

    Attributes:
        caption: What it holds.
        header: Names of the columns; the first column holds the rows' names.
        groups: Its rows.
    """

    caption: str
    header: Sequence[str]
    groups: Sequence[Group]


@dataclass(frozen=True)
class FigureView:
    """A figure of the page.

    Attributes:
        anchor: Its address in the page.
        name: Its number in the paper, e.g. "Figure 4".
        title: What it is about.
        caption: What one sees, and what stands behind it, in sentences.
        charts: Its panels.
        legend: What the marks mean.
        files: Names of the same figure in `figures/`, without ending.
        table: The same in numbers.
        layout: "pairs" for two panels in a row that belong together, "grid" for any number.
    """

    anchor: str
    name: str
    title: str
    caption: Sequence[str]
    charts: Sequence[ChartView]
    legend: Sequence[LegendEntry] = ()
    files: Sequence[str] = ()
    table: TableView | None = None
    layout: str = field(default="grid")
