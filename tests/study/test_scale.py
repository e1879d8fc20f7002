"""Planning and resuming stay quick and small where studies are large, in processor time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

from lowroad.study.run import RunSummary, prepare_run
from lowroad.study.study_file import parse_study

PLANNING = """
import psutil, time
from pathlib import Path
from unittest import mock
from lowroad.study.plan import Agenda
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study

begin = time.process_time()
config = parse_study(
    {"name": "a", "train": {"seeds": 8000, "keep": 48}, "paths": {"pairs": 1128}}
)
agenda = Agenda(config, Store(Path("none")))
trainings = agenda.begin()
tasks = list(trainings)
with mock.patch.object(Store, "read_attributes", return_value={"train_height": 1.0}):
    for task in trainings:  # as if each was done now
        tasks += agenda.finished(task)
assert len({task.hash for task in tasks}) == len(tasks) == agenda.total
print(len(tasks), time.process_time() - begin)
print(psutil.Process().memory_info().rss)  # all tasks are still there
"""


def test_a_hundred_thousand_tasks_are_planned_within_10_s_and_500_mb() -> None:
    out = subprocess.check_output([sys.executable, "-c", PLANNING], text=True)
    tasks, seconds, memory = out.split()
    assert int(tasks) >= 100_000
    assert float(seconds) < 10
    assert int(memory) < 500e6


def test_a_finished_study_of_a_thousand_records_is_resumed_within_2_s(tmp_path: Path) -> None:
    config = parse_study(
        {"name": "a", "networks": ["FCP"], "train": {"seeds": 100}, "paths": {"pairs": 100}}
    )
    run = prepare_run(config, tmp_path)
    store, waiting = run.agenda.store, list(run.tasks)
    point = np.zeros(5000, dtype=np.float32)
    store.write(
        waiting[0].hash, xr.Dataset({"point": ("parameter", point)}, attrs={"train_height": 1.0})
    )
    content = store.path(waiting[0].hash).read_bytes()
    while waiting:
        task = waiting.pop()
        store.path(task.hash).parent.mkdir(exist_ok=True)
        store.path(task.hash).write_bytes(content)
        waiting += run.agenda.finished(task)
    begin = time.process_time()
    again = prepare_run(config, tmp_path)
    assert again.perform(1, lambda tally, event: None) == RunSummary(0, [], 0)
    assert time.process_time() - begin < 2
    assert len(again.agenda.done) == 1000
    assert (again.tasks, again.notes) == ([], [])
