"""Output that may fail: a pipe that nobody reads any more, a full disk, a terminal that is gone."""

from __future__ import annotations

import io
import os
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
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # one that was closed at the start:
        os.set_inheritable(number, True)  # no record shall get its number, nor what is printed
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(AttributeError, OSError, ValueError):  # replaced by another object
            number = os.open(os.devnull, os.O_WRONLY) if stream is None else stream.fileno()
            file = io.BufferedWriter(_Tolerant(number, "w", closefd=False))
            text = io.TextIOWrapper(
                file,
                encoding="utf-8" if stream is None else stream.encoding,
                errors="backslashreplace",
                line_buffering=True,
            )
            setattr(sys, name, text)
