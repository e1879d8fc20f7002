"""The figures as PDF and PNG files."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, ScalarFormatter

from lowroad.plotting.style import drawing
from lowroad.report.figures import figures_of
from lowroad.report.view import View
from lowroad.study.files import write_atomically

__all__ = ["save_figures"]


def save_figures(view: View, directory: Path, style: str = "screen") -> list[Path]:
    """Write every figure as PDF and PNG and return the paths; equal results give equal files.

    Raises:
        ValueError: for a style that `lowroad.plotting.style.drawing` does not know.
    """
    written = []
    with drawing(style):
        for each in figures_of(view):
            for name, figure in each.draw(view).items():
                _show_names_as_they_are(figure)
                # Lay out once for both files: it takes most of the time.
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
                for ending in ("pdf", "png"):
                    content = io.BytesIO()
                    # Without a date a PDF does not change from one time to the next.
                    metadata = {"CreationDate": None} if ending == "pdf" else None
                    figure.savefig(content, format=ending, metadata=metadata)
                    path = directory / f"{name}.{ending}"
                    write_atomically(path, content.getvalue())
                    written.append(path)
    return written


def _show_names_as_they_are(figure: Figure) -> None:
    """Take dollar signs in labels, metrics and units for no formula; numbers on axes stay one."""
    numbers = {
        text
        for axis in figure.findobj(Axis)
        if isinstance(axis.get_major_formatter(), LogFormatter | ScalarFormatter)
        for part in (*axis.get_major_ticks(), *axis.get_minor_ticks(), axis.offsetText)
        for text in part.findobj(Text)
    }
    for text in set(figure.findobj(Text)) - numbers:
        text.set_parse_math(False)
