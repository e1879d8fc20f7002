"""How far a run is: counts, time left, and two displays of it."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lowroad.execution.events import Event
from lowroad.study.schedule import Schedule
from lowroad.study.tasks import Task


@dataclass
class Running:
    """A task under way: when it began, and where it is."""

    task: Task
    began: float
    step: int = 0
    value: float = float("nan")


class RunProgress:
    """Counts of a run's tasks.

    Args:
        schedule: the study's tasks, and those that were stored before.
        workers: how many tasks run at once; 0 for as many as are seen to run.

    Attributes:
        total, done, performed, failed: numbers of tasks: in all, stored, stored by this run,
            failed.
        running: the tasks under way, by hash.
    """

    def __init__(self, schedule: Schedule, workers: int) -> None:
        self.schedule, self.workers = schedule, workers
        self.done, self.performed, self.failed = len(schedule.done), 0, 0
        self.running: dict[str, Running] = {}
        self._times: dict[str, list[float]] = defaultdict(list)
        self._began = time.monotonic()

    @property
    def total(self) -> int:
        """How many tasks the study has."""
        return self.schedule.total

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def title(self, task: Task) -> str:
        """What a task is called."""
        return self.schedule.study.title(task)

    def note(self, event: Event) -> None:
        """Count an event."""
        if event.kind == "note":
            return
        task: Task = event.task
        if event.kind == "started":
            self.running[task.hash] = Running(task, self.seconds)
        elif event.kind == "progress" and task.hash in self.running:
            running = self.running[task.hash]
            running.step, running.value = event.step, event.value
        elif event.kind in ("finished", "failed"):
            running = self.running.pop(task.hash, Running(task, self.seconds))
            if event.kind == "finished":
                self._times[task.group].append(self.seconds - running.began)
                self.done += 1
                self.performed += 1
            else:
                self.failed += 1

    def seconds_left(self) -> float:
        """An estimate from what this run has done; NaN before it has done anything.

        Tasks of a group done before take as long as those; others in proportion to their rough
        work. Tasks that are not known yet take as long as the known ones of their measurement.
        """
        if not self._times:
            return math.nan
        left, unknown = seconds_of_missing(
            self.schedule, {group: sum(t) / len(t) for group, t in self._times.items()}
        )
        now = self.seconds
        for running in self.running.values():
            left -= min(now - running.began, left)
        return max(left + unknown, 0.0) / (self.workers or max(len(self.running), 1))


def seconds_of_missing(schedule: Schedule, seconds: dict[str, float]) -> tuple[float, float]:
    """Rough seconds of known and of unknown tasks that are not stored.

    Args:
        schedule: the study's tasks.
        seconds: how long a task of a group takes, as far as it is known.
    """
    tallies = schedule.tallies
    measured = [group for group, each in tallies.items() if group in seconds and each.work]
    pace = 1.0
    if measured:
        pace = sum(seconds[group] * tallies[group].known for group in measured) / sum(
            tallies[group].work for group in measured
        )
    known = 0.0
    counts: Counter[tuple[str, str]] = Counter()
    tasks, times = Counter[str](), defaultdict[str, float](float)
    for group, each in tallies.items():
        timed = group in seconds
        known += each.missing * seconds[group] if timed else pace * each.missing_work
        counts[each.problem, each.measurement] += each.known
        tasks[each.measurement] += each.known
        times[each.measurement] += each.known * seconds[group] if timed else pace * each.work
    unknown = 0.0
    for key, number in schedule.numbers().items():
        if tasks[key[1]]:
            unknown += max(number - counts[key], 0) * times[key[1]] / tasks[key[1]]
    return known, unknown


class PlainDisplay:
    """One line for finished tasks, at most every ``pause`` seconds; for logs and pipes.

    Args:
        stream: where the lines go.
        pause: least number of seconds between two lines.
    """

    def __init__(self, stream: TextIO, pause: float = 2.0) -> None:
        self._stream, self._pause, self._last = stream, pause, -math.inf

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def __call__(self, progress: RunProgress, event: Event) -> None:
        """Tell about an event."""
        if event.kind == "note":
            self._line(progress, event.result)
        elif event.kind == "failed":
            self._line(progress, f"FAILED {progress.title(event.task)}: {event.error}")
        elif event.kind == "finished":
            last = progress.done + progress.failed == progress.total
            if last or progress.seconds - self._last >= self._pause:
                self._last = progress.seconds
                self._line(progress, f"{progress.title(event.task)}{_numbers(event)}")

    def _line(self, progress: RunProgress, text: str) -> None:
        width = len(str(progress.total))
        counts = f"{progress.done:{width}}/{progress.total}"
        self._stream.write(f"{clock(progress.seconds)} {counts} {text}{_time_left(progress)}\n")
        self._stream.flush()


class LiveDisplay:
    """A bar and a table of the running tasks with their current losses, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: RunProgress | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def __call__(self, progress: RunProgress, event: Event) -> None:
        """Tell about an event."""
        self._progress = progress
        if event.kind == "note":
            self._console.print(event.result, markup=False, highlight=False)
        elif event.kind == "failed":
            line = Text.assemble(("failed", "red"), f" {progress.title(event.task)}: {event.error}")
            self._console.print(line, highlight=False)
        elif event.kind == "finished":
            told = f" {progress.title(event.task)}{_numbers(event)}"
            line = Text.assemble(("done", "green"), told)
            self._console.print(line, highlight=False)

    def _render(self) -> Group:
        progress = self._progress
        if progress is None:
            return Group("starting the workers …")
        left = progress.total - progress.done - progress.failed - len(progress.running)
        counts = f"{progress.done} done, {len(progress.running)} running, {left} left"
        if progress.failed:
            counts += f", {progress.failed} failed"
        bar = Table.grid(padding=(0, 2))
        for _ in range(3):
            bar.add_column(no_wrap=True, overflow="ellipsis")
        wide = self._console.width >= 90
        bar.add_row(
            ProgressBar(total=progress.total, completed=progress.done, width=30 if wide else 10),
            counts,
            f"{clock(progress.seconds)} gone{_time_left(progress)}",
        )
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for running in list(progress.running.values()):
            begun = math.isfinite(running.value)
            table.add_row(
                f"  {progress.title(running.task)}",
                f"step {running.step}" if begun else "begins",
                f"value {running.value:.3e}" if begun else "",
                clock(progress.seconds - running.began),
            )
        return Group(bar, table)


def _time_left(progress: RunProgress) -> str:
    seconds = progress.seconds_left()
    return f", about {clock(seconds)} left" if seconds > 0 else ""


def _numbers(event: Event) -> str:
    numbers = ", ".join(f"{label} {value:.3e}" for label, value in event.result.items())
    return f": {numbers}" if numbers else ""


def clock(seconds: float) -> str:
    """Seconds as minutes or hours.

    >>> clock(75), clock(3 * 3600 + 61)
    ('1:15', '3:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
