from __future__ import annotations

import io
import math
from typing import Any

import pytest
from rich.console import Console

from lowroad.execution.executor import Event
from lowroad.study.config import StudyConfig
from lowroad.study.plan import path_tasks, training_tasks
from lowroad.study.progress import LiveDisplay, PlainDisplay, Tally
from lowroad.study.study_file import parse_study
from lowroad.study.tasks import TrainingTask


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("lowroad.study.progress.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def config(raw: dict[str, Any]) -> StudyConfig:
    raw["train"] |= {"seeds": 4, "keep": 2}
    return parse_study(raw)


def event(kind: Any, task: Any, seconds: float, **details: Any) -> Event:
    return Event(kind, task, seconds, **details)


RESULT = {"train loss": 0.5, "test loss": 0.25}


def test_counts_and_time_left(config: StudyConfig, clock: Clock) -> None:
    sgd = training_tasks(config, ("FCP", "sgd"))
    tally = Tally(config, [sgd[0]], workers=2)
    assert (tally.total, tally.done) == (4 + 4 + 8, 1)
    assert math.isnan(tally.seconds_left())
    tally.note(event("started", sgd[1], 0.0))
    tally.note(event("started", sgd[2], 0.0))
    tally.note(event("progress", sgd[2], 5.0, step=3, height=0.7))
    running = tally.running[sgd[2].hash]
    assert (running.step, running.height) == (3, 0.7)
    clock.now += 10
    tally.note(event("finished", sgd[1], 10.0, result=RESULT))
    # Two SGD runs are left at 10 s each, one of which has begun 10 s ago. Rough work, in losses of
    # an image: an SGD run 2 (4·60 + 40) = 560, so 56 a second; an L-BFGS run 3 (9·60 + 40) = 1740;
    # a path 7 (4·30·3 + 2·60) = 3360 on the training set and 7 (360 + 2·40) = 3080 on the test set.
    others = (4 * 1740 + 4 * 3360 + 4 * 3080) / 56
    assert tally.seconds_left() == pytest.approx((2 * 10 - 10 + others) / 2)
    tally.note(event("failed", sgd[2], 10.0, error="no"))
    assert (tally.done, tally.performed, tally.failed, tally.running) == (2, 1, 1, {})
    assert tally.seconds_left() == pytest.approx((10 + others) / 2)
    # A path that took 2 s: the other three like it do too, and the pace is (560 + 3360) / 12 s.
    path = path_tasks(config, ("FCP", "sgd"), {task.seed: 1.0 for task in sgd})[0]
    assert path.landscape == "train"
    tally.note(event("started", path, 10.0))
    clock.now += 2
    tally.note(event("finished", path, 12.0, result={"path height": 1.0}))
    others = (4 * 1740 + 4 * 3080) * 12 / (560 + 3360)
    assert tally.seconds_left() == pytest.approx((10 + 3 * 2 + others) / 2)


def test_plain_lines_come_seldom_but_failures_and_the_end_always(
    config: StudyConfig, clock: Clock
) -> None:
    stream = io.StringIO()
    tasks: list[TrainingTask] = [
        task for o in ("sgd", "lbfgs") for task in training_tasks(config, ("FCP", o))
    ]
    tally = Tally(config, [], workers=1)
    tally.total = 8  # as if there were no paths
    with PlainDisplay(stream, pause=2.0) as display:
        for number, task in enumerate(tasks):
            clock.now += 0.5
            now = clock.now - 1000
            last = (
                event("failed", task, now, error="ValueError: bad")
                if number == 2
                else event("finished", task, now, result=RESULT)
            )
            for happening in (event("started", task, now), last):
                tally.note(happening)
                display(tally, happening)
    lines = stream.getvalue().splitlines()
    assert [line.split(" training")[0] for line in lines] == [
        "0:00 1/8",
        "0:02 2/8 FAILED",
        "0:02 4/8",
        "0:04 7/8",
    ]
    assert "training FCP sgd seed 0: train loss 5.000e-01, test loss 2.500e-01" in lines[0]
    assert "ValueError: bad" in lines[1]


def test_the_live_display_shows_running_tasks_with_their_losses(config: StudyConfig) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    task, other = training_tasks(config, ("FCP", "sgd"))[:2]
    tally = Tally(config, [], workers=1)
    with LiveDisplay(console) as display:
        for happening in (
            event("started", task, 0.0),
            event("finished", task, 1.0, result=RESULT),
            event("started", other, 1.0),
            event("progress", other, 2.0, step=17, height=0.0625),
            event("failed", training_tasks(config, ("FCP", "lbfgs"))[0], 2.0, error="E: [odd]"),
        ):
            tally.note(happening)
            display(tally, happening)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 done, 1 running, 13 left, 1 failed" in text
    assert "step 17" in text
    assert "loss 6.250e-02" in text
    assert "E: [odd]" in text
