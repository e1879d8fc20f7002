"""What a figure of the report is: its charts on the page, and its files for print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure as PrintFigure

from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView


@dataclass(frozen=True)
class Figure:
    """One figure, or several of a kind.

    Attributes:
        name: What the study's figures are called.
        build: The figures on the page, in their order; none where there is nothing to show.
        draw: The same for print, by file name.
    """

    name: str
    build: Callable[[View, Charts], list[FigureView]]
    draw: Callable[[View], Mapping[str, PrintFigure]]
