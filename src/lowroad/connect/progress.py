"""How far the searches are: a bar on a terminal, lines in a log."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from lowroad.study.progress import clock

PAUSE = 5.0  # seconds between two lines of a log


class SearchDisplay:
    """Tells about searches that run one after another.

    Args:
        searches: how many with steps there will be.
        console: where it tells; lines where it is no terminal.
        pause: the least number of seconds between two lines within a search.
    """

    def __init__(self, searches: int, console: Console, pause: float = PAUSE) -> None:
        self._searches, self._console, self._pause = searches, console, pause
        self._began = self._search_began = self._told = time.monotonic()
        self._label, self._first, self._steps = "", 0, 0
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(20),
                TextColumn("{task.fields[at]}"),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=None, at="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, label: str, steps: int = 0, first: int = 0) -> None:
        """A search begins, of so many steps if that is known, at a step."""
        self._label, self._steps, self._first = label, steps, first
        self._search_began = time.monotonic()
        if self._bar is not None:
            total = steps or None
            self._bar.reset(self._task, total=total, completed=first, description=label, at="")
        else:
            self._line(f"{label} …")

    def step(self, step: int, height: float) -> None:
        """A search has come to a step, where its path is so high."""
        at = f"step {step}{f'/{self._steps}' if self._steps else ''}, height {height:.4g}"
        left = self.seconds_left(step)
        at += f", about {clock(left)} left" if math.isfinite(left) else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, at=f"{clock(self._seconds)} {at}")
        elif time.monotonic() - self._told >= self._pause:
            self._line(f"{self._label}: {at}")

    def finish(self, height: float, outcome: str) -> None:
        """A search has ended."""
        self._searches -= bool(self._steps)  # a straight line is no search
        self._line(f"{self._label}: height {height:.6g} ({outcome})")

    def say(self, text: str) -> None:
        """Tell something else."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def seconds_left(self, step: int) -> float:
        """About how long this search and those after it will take; NaN where it is not known."""
        done = step - self._first
        if done < 1 or not self._steps:
            return math.nan
        pace = (time.monotonic() - self._search_began) / done
        return pace * (max(self._steps - step, 0) + self._steps * max(self._searches - 1, 0))

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _line(self, text: str) -> None:
        self._told = time.monotonic()
        self.say(f"{clock(self._seconds)} {text}")
