"""How far a run is: counts, time left, and two displays of it."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lowroad.execution.executor import Event
from lowroad.study.config import StudyConfig
from lowroad.study.plan import number_of_tasks
from lowroad.study.tasks import OPTIMIZERS, SIDES, WEIGHT_SETS, Task


@dataclass
class Running:
    """A task under way: when it began, and where it is."""

    task: Task
    began: float
    step: int = 0
    height: float = float("nan")


@dataclass
class Tally:
    """Counts of a run's tasks.

    Args:
        config: the study.
        stored: the tasks that were stored before.
        workers: how many tasks run at once.

    Attributes:
        total, done, performed, failed: numbers of tasks: in all, stored, stored by this run,
            failed.
        running: the tasks under way, by hash.
    """

    config: StudyConfig
    stored: Iterable[Task]
    workers: int
    total: int = 0
    done: int = 0
    performed: int = 0
    failed: int = 0
    running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.total = sum(number_of_tasks(self.config))
        self._left = _group_sizes(self.config)
        for task in self.stored:
            self._left[task.group] -= 1
            self.done += 1
        self._times: dict[str, list[float]] = defaultdict(list)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def note(self, event: Event) -> None:
        """Count an event."""
        task: Task = event.task
        if event.kind == "started":
            self.running[task.hash] = Running(task, self.seconds)
        elif event.kind == "progress" and task.hash in self.running:
            running = self.running[task.hash]
            running.step, running.height = event.step, event.height
        elif event.kind in ("finished", "failed"):
            running = self.running.pop(task.hash, Running(task, self.seconds))
            self._left[task.group] -= 1
            if event.kind == "finished":
                self._times[task.group].append(self.seconds - running.began)
                self.done += 1
                self.performed += 1
            else:
                self.failed += 1

    def seconds_left(self) -> float:
        """An estimate from the tasks of the same kind that this run has done; NaN before any.

        Kinds not done yet count as much as the mean of those done.
        """
        means = {group: sum(times) / len(times) for group, times in self._times.items()}
        if not means:
            return math.nan
        other = sum(means.values()) / len(means)
        work = sum(left * means.get(group, other) for group, left in self._left.items())
        now = self.seconds
        for running in self.running.values():
            work -= min(now - running.began, means.get(running.task.group, other))
        return max(work, 0.0) / self.workers


def _group_sizes(config: StudyConfig) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for network in config.networks:
        settings = config.settings(network)
        for optimizer in OPTIMIZERS:
            sizes[f"training {network} {optimizer}"] = settings.train.seeds
        for side in SIDES:
            sizes[f"path {network} on {side}"] = len(WEIGHT_SETS) * settings.paths.pairs
    return sizes


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

    def __call__(self, tally: Tally, event: Event) -> None:
        """Tell about an event."""
        if event.kind == "failed":
            self._line(tally, f"FAILED {event.task}: {event.error}")
        elif event.kind == "finished":
            last = tally.done + tally.failed == tally.total
            if last or tally.seconds - self._last >= self._pause:
                self._last = tally.seconds
                self._line(tally, f"{event.task}: {_numbers(event)}")

    def _line(self, tally: Tally, text: str) -> None:
        width = len(str(tally.total))
        left = tally.seconds_left()
        ending = f"; about {clock(left)} left" if left > 0 else ""
        counts = f"{tally.done:{width}}/{tally.total}"
        self._stream.write(f"{clock(tally.seconds)} {counts} {text}{ending}\n")
        self._stream.flush()


class LiveDisplay:
    """A bar and a table of the running tasks with their current losses, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally: Tally | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def __call__(self, tally: Tally, event: Event) -> None:
        """Tell about an event."""
        self._tally = tally
        if event.kind == "failed":
            line = Text.assemble(("failed", "red"), f" {event.task}: {event.error}")
            self._console.print(line, highlight=False)
        elif event.kind == "finished":
            line = Text.assemble(("done", "green"), f" {event.task}: {_numbers(event)}")
            self._console.print(line, highlight=False)

    def _render(self) -> Group:
        tally = self._tally
        if tally is None:
            return Group("starting the workers …")
        left = tally.total - tally.done - tally.failed - len(tally.running)
        counts = f"{tally.done} done, {len(tally.running)} running, {left} left"
        if tally.failed:
            counts += f", {tally.failed} failed"
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=tally.total, completed=tally.done, width=30),
            counts,
            f"{clock(tally.seconds)} gone, about {clock(tally.seconds_left())} left",
        )
        table = Table.grid(padding=(0, 2))
        for running in list(tally.running.values()):
            table.add_row(
                f"  {running.task}",
                f"step {running.step}",
                f"loss {running.height:.3e}",
                clock(tally.seconds - running.began),
            )
        return Group(bar, table)


def _numbers(event: Event) -> str:
    return ", ".join(f"{label} {value:.3e}" for label, value in event.result.items())


def clock(seconds: float) -> str:
    """Seconds as minutes or hours.

    >>> clock(75), clock(3 * 3600 + 61), clock(float("nan"))
    ('1:15', '3:01:01', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
