from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lowroad.execution.events import Event
from lowroad.study.config import StudyConfig
from lowroad.study.progress import LiveDisplay, PlainDisplay, RunProgress
from lowroad.study.schedule import Schedule

from .conftest import prepared


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("lowroad.study.progress.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def schedule(tiny: StudyConfig, tmp_path: Path) -> Schedule:
    return prepared(tiny, tmp_path / "new").schedule


RESULT = {"train": 0.5, "test": 0.25}


def training(schedule: Schedule, source: str) -> list[Any]:
    return [task for task in schedule.known.values() if task.labels["source"] == source]


def test_counts_and_time_left(schedule: Schedule, clock: Clock) -> None:
    sgd = training(schedule, "sgd")
    progress = RunProgress(schedule, workers=2)
    assert (progress.total, progress.done) == (14, 0)
    assert math.isnan(progress.seconds_left())
    for task in sgd[:2]:
        progress.note(Event("started", task, 0.0))
    progress.note(Event("progress", sgd[1], 5.0, step=3, value=0.7))
    running = progress.running[sgd[1].hash]
    assert (running.step, running.value) == (3, 0.7)
    clock.now += 10
    schedule.finished(sgd[0])
    progress.note(Event("finished", sgd[0], 10.0, result=RESULT))
    # two SGD runs are left at 10 s each, one of which began 10 s ago; an L-BFGS run in proportion
    # to its rough work; the eight paths that are not known yet are not timed
    lbfgs = training(schedule, "lbfgs")
    pace = 10 / sgd[0].work
    expected = (2 * 10 - 10 + sum(task.work for task in lbfgs) * pace) / 2
    assert progress.seconds_left() == pytest.approx(expected)
    progress.note(Event("failed", sgd[1], 10.0, error="no"))
    assert (progress.done, progress.performed, progress.failed) == (1, 1, 1)
    assert progress.running == {}


def test_plain_lines_come_seldom_but_failures_and_the_end_always(
    schedule: Schedule, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    tasks = [*training(schedule, "sgd"), *training(schedule, "lbfgs")]
    progress = RunProgress(schedule, workers=1)
    monkeypatch.setattr(RunProgress, "total", 6)  # as if there were no paths
    monkeypatch.setattr(RunProgress, "seconds_left", lambda self: math.nan)
    with PlainDisplay(stream, pause=2.0) as display:
        for number, task in enumerate(tasks):
            clock.now += 0.5
            now = clock.now - 1000
            last = (
                Event("failed", task, now, error="ValueError: bad")
                if number == 2
                else Event("finished", task, now, result=RESULT)
            )
            for happening in (Event("started", task, now), last):
                progress.note(happening)
                display(progress, happening)
    lines = stream.getvalue().splitlines()
    assert [line.split(" training")[0] for line in lines] == [
        "0:00 1/6", "0:02 2/6 FAILED", "0:02 4/6", "0:03 5/6",
    ]  # fmt: skip
    assert "training net sgd seed 0: train 5.000e-01, test 2.500e-01" in lines[0]
    assert "ValueError: bad" in lines[1]


def test_a_task_without_numbers_is_told_by_its_name_alone(schedule: Schedule, clock: Clock) -> None:
    task = training(schedule, "sgd")[0]
    progress = RunProgress(schedule, workers=1)
    stream = io.StringIO()
    with PlainDisplay(stream, pause=0.0) as display:
        happening = Event("finished", task, 1.0, result={})
        progress.note(happening)
        display(progress, happening)
    assert ":" not in stream.getvalue().split("training net sgd seed 0")[1].split(", about")[0]


@pytest.mark.parametrize("width", [60, 120])
def test_the_live_display_shows_running_tasks_on_one_line_each(
    schedule: Schedule, width: int
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    task, other, bad = training(schedule, "sgd")
    progress = RunProgress(schedule, workers=1)
    with LiveDisplay(console) as display:
        for happening in (
            Event("started", task, 0.0),
            Event("finished", task, 1.0, result=RESULT),
            Event("started", other, 1.0),
            Event("progress", other, 2.0, step=17, value=0.0625),
            Event("failed", bad, 2.0, error="E: [odd]"),
        ):
            progress.note(happening)
            display(progress, happening)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 done, 1 running, 11" in text
    assert "E: [odd]" in text
    if width == 120:
        assert "step 17" in text
        assert "6.250e-02" in text
