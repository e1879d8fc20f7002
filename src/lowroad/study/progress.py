"""How far a run is: counts, time left, and two displays of it."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lowroad.execution.executor import Event
from lowroad.study.config import StudyConfig
from lowroad.study.plan import COST, number_of_tasks
from lowroad.study.tasks import WEIGHT_SETS, Task


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
        workers: how many tasks run at once; 0 for as many as are seen to run.

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
        self._left: Counter[str] = Counter()
        self._work: dict[str, float] = {}
        for group, number, work in _groups(self.config):
            self._left[group], self._work[group] = number, work
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
        if event.kind == "note":
            return
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
        """An estimate from what this run has done; NaN before it has done anything.

        Tasks of a kind done before take as long as those; others take time in proportion to a rough
        count of their work.
        """
        if not self._times:
            return math.nan
        seconds = {group: sum(times) / len(times) for group, times in self._times.items()}
        done = sum(self._work[group] * len(times) for group, times in self._times.items())
        pace = sum(map(sum, self._times.values())) / done
        for group, work in self._work.items():
            seconds.setdefault(group, pace * work)
        left = sum(number * seconds[group] for group, number in self._left.items())
        now = self.seconds
        for running in self.running.values():
            left -= min(now - running.began, seconds[running.task.group])
        return max(left, 0.0) / (self.workers or max(len(self.running), 1))


def _groups(config: StudyConfig) -> Iterator[tuple[str, int, float]]:
    """Each kind of task: name, number of tasks, rough work of one."""
    data = config.data
    for network in config.networks:
        settings, cost = config.settings(network), COST[network]
        train, paths = settings.train, settings.paths
        sgd = train.sgd.epochs * (4 * data.train + data.test)
        lbfgs = train.lbfgs.iterations * ((3 + train.lbfgs.evaluations) * data.train + data.test)
        yield f"training {network} sgd", train.seeds, cost * sgd
        yield f"training {network} lbfgs", train.seeds, cost * lbfgs
        for side, images in (("train", data.train), ("test", data.test)):
            batch = paths.batch_size or images
            work = paths.points * (4 * batch * paths.steps + 2 * images)
            yield f"path {network} on {side}", len(WEIGHT_SETS) * paths.pairs, cost * work
        sharpness = settings.sharpness
        products = sharpness.samples + 40  # of about twelve losses each
        points = len(WEIGHT_SETS) * sharpness.runs
        yield f"sharpness {network}", points, cost * 12 * products * sharpness.images


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
        if event.kind == "note":
            self._line(tally, event.result)
        elif event.kind == "failed":
            self._line(tally, f"FAILED {event.task}: {event.error}")
        elif event.kind == "finished":
            last = tally.done + tally.failed == tally.total
            if last or tally.seconds - self._last >= self._pause:
                self._last = tally.seconds
                self._line(tally, f"{event.task}: {_numbers(event)}")

    def _line(self, tally: Tally, text: str) -> None:
        width = len(str(tally.total))
        counts = f"{tally.done:{width}}/{tally.total}"
        self._stream.write(f"{clock(tally.seconds)} {counts} {text}{_time_left(tally)}\n")
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
        if event.kind == "note":
            self._console.print(event.result, markup=False, highlight=False)
        elif event.kind == "failed":
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
            f"{clock(tally.seconds)} gone{_time_left(tally)}",
        )
        table = Table.grid(padding=(0, 2))
        for running in list(tally.running.values()):
            begun = math.isfinite(running.height)
            table.add_row(
                f"  {running.task}",
                f"step {running.step}" if begun else "begins",
                f"loss {running.height:.3e}" if begun else "",
                clock(tally.seconds - running.began),
            )
        return Group(bar, table)


def _time_left(tally: Tally) -> str:
    seconds = tally.seconds_left()
    return f", about {clock(seconds)} left" if seconds > 0 else ""


def _numbers(event: Event) -> str:
    return ", ".join(f"{label} {value:.3e}" for label, value in event.result.items())


def clock(seconds: float) -> str:
    """Seconds as minutes or hours.

    >>> clock(75), clock(3 * 3600 + 61)
    ('1:15', '3:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
