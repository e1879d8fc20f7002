from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from lowroad.study.config import StudyConfig
from lowroad.study.plan import Agenda, number_of_tasks, path_tasks, training_tasks
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study
from lowroad.study.tasks import PathTask, Task, TrainingTask


def heights(task: TrainingTask) -> float:
    """Made-up training losses: later seeds are better."""
    return 1.0 / (1 + task.seed)


def pretend(store: Store, task: Task) -> None:
    """Store a record as if the task had been done."""
    height = heights(task) if isinstance(task, TrainingTask) else 1.0
    store.write(task.hash, xr.Dataset(attrs={"train_height": height}))


def carry_out(config: StudyConfig, store: Store) -> list[Task]:
    """All tasks in the order in which they become possible, pretending to do each."""
    agenda = Agenda(config, store)
    waiting, done = agenda.begin(), []
    while waiting:
        task = waiting.pop(0)
        pretend(store, task)
        done.append(task)
        waiting += agenda.finished(task)
    assert len(agenda.done) == agenda.total
    return done


@pytest.fixture
def config(raw: dict[str, Any]) -> StudyConfig:
    raw["networks"] = ["FCP", "LSTM"]
    raw["train"] |= {"seeds": 5, "keep": 3}
    raw["paths"]["pairs"] = 2
    return parse_study(raw)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_study_has_all_its_tasks_once(config: StudyConfig, store: Store) -> None:
    assert number_of_tasks(config) == (2 * 2 * 5, 2 * 4 * 2 * 2, 0)
    done = carry_out(config, store)
    assert len({task.hash for task in done}) == len(done) == 20 + 32
    paths = [task for task in done if isinstance(task, PathTask)]
    counts = Counter((task.network, task.weights, task.landscape) for task in paths)
    assert len(counts) == 2 * 4 * 2
    assert set(counts.values()) == {2}
    # the three best of five seeds are kept, and weight sets and landscapes share their pairs
    assert {seed for task in paths for seed in task.seeds} <= {2, 3, 4}
    for network in config.networks:
        assert len({task.seeds for task in paths if task.network == network}) == 2


def test_paths_wait_for_all_runs_of_their_stage_and_for_no_other(
    config: StudyConfig, store: Store
) -> None:
    agenda = Agenda(config, store)
    begin = agenda.begin()
    assert all(isinstance(task, TrainingTask) for task in begin)
    stage = training_tasks(config, ("FCP", "sgd"))
    for task in stage:
        pretend(store, task)
    for task in stage[:-1]:
        assert agenda.finished(task) == []
    paths = agenda.finished(stage[-1])
    assert len(paths) == 2 * 2 * 2
    assert {(task.network, task.weights) for task in paths if isinstance(task, PathTask)} == {
        ("FCP", "sgd_train"),
        ("FCP", "sgd_test"),
    }
    # whoever resumes now begins with these paths and the runs of the other stages
    again = Agenda(config, store).begin()
    assert {task.hash for task in again} == {t.hash for t in [*begin, *paths]} - {
        t.hash for t in stage
    }


def test_a_finished_study_has_nothing_left(config: StudyConfig, store: Store) -> None:
    carry_out(config, store)
    agenda = Agenda(config, store, repair=False)
    assert agenda.begin() == []
    assert len(agenda.done) == agenda.total == 52


def test_more_seeds_and_more_pairs_reuse_what_is_stored(
    config: StudyConfig, store: Store, raw: dict[str, Any]
) -> None:
    first = {task.hash for task in carry_out(config, store)}
    raw["networks"] = ["FCP", "LSTM"]
    raw["train"] |= {"seeds": 5, "keep": 3}
    raw["paths"]["pairs"] = 3
    more_pairs = carry_out(parse_study(raw), store)
    assert len(more_pairs) == 2 * 4 * 2  # one new pair each
    assert not first & {task.hash for task in more_pairs}
    # keep 3 of 6, where the new run is the best: 4 new runs, and pairs with the new run alone
    raw["train"]["seeds"] = 6
    more_seeds = carry_out(parse_study(raw), store)
    assert sum(isinstance(task, TrainingTask) for task in more_seeds) == 4
    assert all(5 in task.seeds for task in more_seeds if isinstance(task, PathTask))


def test_the_plan_does_not_depend_on_the_order_of_networks(
    config: StudyConfig, raw: dict[str, Any]
) -> None:
    turned = config.model_copy(update={"networks": ("LSTM", "FCP")})
    for stage in (("FCP", "sgd"), ("LSTM", "lbfgs")):
        one, other = training_tasks(config, stage), training_tasks(turned, stage)
        assert [task.hash for task in one] == [task.hash for task in other]
        values = {task.seed: heights(task) for task in one}
        assert [t.hash for t in path_tasks(config, stage, values)] == [
            t.hash for t in path_tasks(turned, stage, values)
        ]
