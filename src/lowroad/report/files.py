"""The figures as PDF and PNG files."""

from __future__ import annotations

import io
from pathlib import Path

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
