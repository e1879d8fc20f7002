"""What the page's template is filled with: figures, charts and tables as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from lowroad.plotting.style import SetStyle

__all__ = [
    "ChartView",
    "Charts",
    "FigureView",
    "Group",
    "LegendEntry",
    "TableView",
    "legend_of",
]


@dataclass(frozen=True)
class ChartView:
    """Place of a chart in the page.

    Attributes:
        key: Identifies it to the page's script; None where there is nothing to draw.
        title: What stands above it.
        text: What it shows, for people who do not see it; or what is missing.
        height: Its height in pixels, reserved before it is drawn.
        group: Charts of one group are shown together, and one group at a time; "" for always.
    """

    key: str | None
    title: str
    text: str
    height: int = 0
    group: str = ""


class Charts:
    """Collects the page's charts; each gets a key that the page's script finds it by."""

    def __init__(self) -> None:
        self._specs: dict[str, str] = {}

    def add(
        self, figure: go.Figure | None, title: str, text: str, missing: str = "", group: str = ""
    ) -> ChartView:
        """Take a chart, or say with `missing` why there is none."""
        if figure is None:
            return ChartView(None, title, missing, group=group)
        key = f"chart-{len(self._specs) + 1}"
        self._specs[key] = figure.to_json()
        return ChartView(key, title, text, figure.layout.height, group)

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


def legend_of(styles: Iterable[SetStyle], lines: bool = False) -> list[LegendEntry]:
    """Legend of weight sets, with their line styles where the figure draws lines."""
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
        name: What it is called where it scrolls.
        caption: What it holds.
        header: Names of the columns; the first column holds the rows' names.
        groups: Its rows.
    """

    name: str
    caption: str
    header: Sequence[str]
    groups: Sequence[Group]


@dataclass(frozen=True)
class FigureView:
    """A figure of the page.

    Attributes:
        anchor: Its address in the page.
        section: The heading under which it stands.
        title: What it is about.
        caption: What one sees, and what stands behind it, in sentences.
        charts: Its panels.
        legend: What the marks mean.
        files: Names of the same figure in `figures/`, without ending.
        table: The same in numbers.
        layout: "pairs" for two panels in a row that belong together, "grid" for any number, "wide"
            for one panel in a row.
        navigation: What it is called in the list of contents, where the title is too long.
    """

    anchor: str
    section: str
    title: str
    caption: Sequence[str]
    charts: Sequence[ChartView]
    legend: Sequence[LegendEntry] = ()
    files: Sequence[str] = ()
    table: TableView | None = None
    layout: str = "grid"
    navigation: str = ""
