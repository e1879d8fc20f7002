"""Output that may fail: a pipe that nobody reads any more, a full disk, a terminal that is gone."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import Any


class _Tolerant(io.FileIO):
    """Writes to a file descriptor what can be written, and drops the rest."""

    def write(self, content: Any) -> int:
        """Write, or do as if."""
        with suppress(OSError):
            return super().write(content) or 0
        return len(content)


def tolerate_closed_output() -> None:
    """Let no fault of standard output or standard error end the program: its work goes on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(AttributeError, OSError, ValueError):  # none, or replaced by another object
            file = io.BufferedWriter(_Tolerant(stream.fileno(), "w", closefd=False))
            text = io.TextIOWrapper(
                file,
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=True,
            )
            setattr(sys, name, text)
