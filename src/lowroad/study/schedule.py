"""What is left to do of a study: its tasks minus what is stored, as they become possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lowroad.study.content import origins_of, read_outline
from lowroad.study.index import SUMMARY, IndexRow
from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.measurements.checkpoint import checkpoint_tasks
from lowroad.study.measurements.distinct import distinct_task
from lowroad.study.measurements.training import run_tasks
from lowroad.study.plan import Plan, Stage
from lowroad.study.resolved import Study
from lowroad.study.store import DamagedRecordError, Store
from lowroad.study.tasks import Task


class Schedule:
    """The tasks of a study, those that are stored, and those that have become possible.

    Args:
        study: the resolved study.
        store: where the records are.
        repair: quarantine damaged records, to be done anew; without it they stay where they are
            and count as missing.
        shard: (i, n): of each round of tasks only every n-th is to be done here, beginning with
            the i-th; others do the rest.
        index: the rows of an index, taken for true; without it every record is verified.

    Attributes:
        plan: what is known of the runs.
        done: the tasks known to be stored.
        known: the tasks whose hash is known; others are known once their stage is trained.
        tallies: their numbers and rough work by group, so that an estimate needs no task.
        candidates: the settings of a grid with their runs, by problem and optimizer; the first ones
            are those that were chosen, once they are known.
        damaged: which records are damaged, why, and where they are now if they were quarantined;
            also those that were stored a moment ago and are damaged or gone now.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        repair: bool = False,
        shard: tuple[int, int] = (0, 1),
        index: Mapping[str, IndexRow] | None = None,
    ) -> None:
        self.study, self.store, self.repair, self.shard = study, store, repair, shard
        self.plan = Plan(study)
        self.done: dict[str, Task] = {}
        self.known: dict[str, Task] = {}
        self.tallies: dict[str, Tally] = {}
        self.candidates: dict[Stage, list[Candidate]] = {}
        self.damaged: list[str] = []
        self._stored = store.hashes() if index is None else index.keys()
        self._index = index
        self._dimensions = study.dimensions
        self._summaries: dict[str, Mapping[str, Any]] = {}
        self._stages = {
            stage: _Rounds(self, stage)
            for stage in sorted(_stages(study), key=lambda s: -_seconds(study, s))
        }
        self._stage_of: dict[str, list[_Rounds]] = {}
        self._waiting: dict[str, list[Task]] = {}  # tasks by a record that they wait for

    def begin(self) -> list[Task]:
        """All tasks that are not stored and can begin now."""
        possible: list[Task] = []
        for rounds in self._stages.values():
            possible += rounds.advance()
        # what takes longest begins first: the workers end at about the same time
        return sorted(possible, key=lambda task: task.measurement not in ("training", "checkpoint"))

    def finished(self, task: Task) -> list[Task]:
        """Note that a task is stored; the tasks that can begin now because of it."""
        if task.hash in self.known and task.hash not in self.done:
            self._tally(task).finish(task)
        self.done[task.hash] = task
        possible = [each for each in self._waiting.pop(task.hash, []) if self._can_begin(each)]
        for rounds in self._stage_of.pop(task.hash, []):
            possible += rounds.finished(task)
        return possible

    @property
    def total(self) -> int:
        """How many tasks the study has."""
        return sum(self.numbers().values())

    def numbers(self) -> dict[tuple[str, str], int]:
        """How many tasks there are, by problem and measurement."""
        return {
            (problem, name): each.number(self.plan, problem)
            for problem in self.study.problems
            for name, each in MEASUREMENTS.items()
        }

    def ours(self, tasks: Sequence[Task]) -> list[Task]:
        """Those of some newly known tasks that are missing and can begin here and now."""
        first, step = self.shard
        mine = {task.hash for task in tasks[first::step]}
        missing = self._missing(tasks)
        return [task for task in missing if task.hash in mine and self._can_begin(task)]

    def await_all(self, rounds: _Rounds, tasks: Iterable[Task]) -> set[str]:
        """Hashes of the tasks that are not stored; `rounds` is told when each of them is."""
        missing = {task.hash for task in tasks if task.hash not in self.done}
        for name in missing:
            self._stage_of.setdefault(name, []).append(rounds)
        return missing

    def summary(self, task: Task) -> Mapping[str, Any]:
        """The numbers of a stored record.

        Raises:
            DamagedRecordError, FileNotFoundError: when it is not there any more.
        """
        if task.hash not in self._summaries:
            row = None if self._index is None else self._index.get(task.hash)
            numbers = {} if row is None else row.numbers
            if (
                row is None
                or not numbers.keys() >= MEASUREMENTS[task.measurement].numbers & SUMMARY
            ):
                numbers = read_outline(self.store, task.hash)
            self._summaries[task.hash] = numbers
        return self._summaries[task.hash]

    def _can_begin(self, task: Task) -> bool:
        """Whether all records that a task needs are stored; else it is noted where it waits."""
        for name in task.records:
            if name not in self.done:
                self._waiting.setdefault(name, []).append(task)
                return False
        return True

    def _missing(self, tasks: Iterable[Task]) -> list[Task]:
        missing = []
        for task in tasks:
            if new := task.hash not in self.known:
                self.known[task.hash] = task
                self._tally(task).add(task)
            if task.hash in self.done or (task.hash in self._stored and self._is_sound(task)):
                if new:
                    self._tally(task).finish(task)
                self.done[task.hash] = task
            else:
                missing.append(task)
        return missing

    def _tally(self, task: Task) -> Tally:
        return self.tallies.setdefault(task.group, Tally(task.problem.label, task.measurement))

    def _is_sound(self, task: Task) -> bool:
        if self._index is not None:
            return True
        for last_try in (not self.repair, True):  # another run may just have replaced it
            try:
                self._check(task)
            except FileNotFoundError:
                return False
            except DamagedRecordError as error:
                if not last_try:
                    continue
                if not self.repair:
                    self.damaged.append(str(error))
                    return False
                moved = self.store.quarantine(task.hash, lambda: self._check(task))
                if moved is None:  # another run was quicker: the record is gone, or sound now
                    return self.store.path(task.hash).is_file()
                self.damaged.append(f"{error}; moved to {moved}")
                return False
            return True
        raise AssertionError

    def _check(self, task: Task) -> None:
        """Verify a record and note its numbers.

        Raises:
            DamagedRecordError, FileNotFoundError: it cannot be used, or is not there.
        """
        attributes = read_outline(self.store, task.hash, self._dimensions)
        origins = origins_of(attributes) or {}
        for name in task.records:
            if name in self.done and origins.get(name) != self.summary(self.done[name]).get(
                "content_sha256"
            ):
                told = f"computed from another content of record {name}"
                raise DamagedRecordError(self.store.path(task.hash), told)
        self._summaries[task.hash] = attributes


@dataclass
class Tally:
    """How many tasks of a group are known, how many of them are missing, and their rough work."""

    problem: str
    measurement: str
    known: int = 0
    work: float = 0.0
    missing: int = 0
    missing_work: float = 0.0

    def add(self, task: Task) -> None:
        """Count a task that has become known."""
        self.known += 1
        self.missing += 1
        self.work += task.work
        self.missing_work += task.work

    def finish(self, task: Task) -> None:
        """Count a task as stored."""
        self.missing -= 1
        self.missing_work = max(self.missing_work - task.work, 0.0) if self.missing else 0.0


class Candidate(NamedTuple):
    """Settings of a grid, and the mean over their runs of the value that they are chosen by."""

    settings: dict[str, Any]
    score: float


class _Rounds:
    """The runs of one stage, round by round, and then what follows from them.

    A grid's candidates come first, then all runs with the chosen settings, then, where the problem
    can tell, which of them are the same solution.
    """

    def __init__(self, schedule: Schedule, stage: Stage) -> None:
        self.schedule, self.stage = schedule, stage
        self._awaited: set[str] = set()
        self._steps = iter(self._all_rounds())

    def advance(self) -> list[Task]:
        """The tasks of the next rounds that can begin now."""
        possible: list[Task] = []
        while not self._awaited:
            try:
                tasks = next(self._steps, None)
            except (DamagedRecordError, FileNotFoundError) as error:
                # damaged or gone since it was stored a moment ago: the next run computes it again
                self.schedule.damaged.append(str(error))
                return possible
            if tasks is None:
                return possible
            possible += self.schedule.ours(tasks)
            self._awaited = self.schedule.await_all(self, tasks)
        return possible

    def finished(self, task: Task) -> list[Task]:
        """Note that one of the round's tasks is stored."""
        self._awaited.discard(task.hash)
        return self.advance()

    def _all_rounds(self) -> Iterable[list[Task]]:
        schedule, plan, (problem, source) = self.schedule, self.schedule.plan, self.stage
        if source in plan.study.config.checkpoints:
            tasks = checkpoint_tasks(plan, problem, source)
        else:
            seeds = range(plan.study.config.settings(problem).train.seeds)
            choices = plan.study.grid(problem, source)
            if len(choices) > 1:
                first = seeds[: plan.study.config.settings(problem).train.grid_seeds]
                runs = [run_tasks(plan, problem, source, each, first) for each in choices]
                yield [task for tasks in runs for task in tasks]
                found = [
                    Candidate(each, sum(_score(schedule.summary(t)) for t in tasks) / len(tasks))
                    for each, tasks in zip(choices, runs, strict=True)
                ]
                found.sort(key=lambda each: each.score)
                schedule.candidates[self.stage] = found
                choices = [found[0].settings]
            tasks = run_tasks(plan, problem, source, choices[0], seeds)
        by_seed = {int(task.labels["seed"]): task for task in tasks}
        plan.note_runs(self.stage, by_seed)
        yield tasks
        values = {seed: schedule.summary(task)["train_value"] for seed, task in by_seed.items()}
        plan.note_values(self.stage, values)
        representatives = None
        if plan.study.facts[problem].merges:
            task = distinct_task(plan, problem, source)
            yield [task]
            found = schedule.summary(task)["representatives"]
            representatives = [int(seed) for seed in np.atleast_1d(found)]
        plan.note_kept(self.stage, representatives)
        yield [
            task
            for measurement in MEASUREMENTS.values()
            for task in measurement.tasks(plan, problem, source)
        ]


def _score(numbers: Mapping[str, Any]) -> float:
    """What a grid's candidates are compared by: the validation value, else the training value."""
    value = float(numbers.get("validation_value", numbers["train_value"]))
    return value if value == value else float("inf")


def _stages(study: Study) -> list[Stage]:
    return [(name, source) for name in study.problems for source in study.config.sources(name)]


def _seconds(study: Study, stage: Stage) -> float:
    problem, source = stage
    if source in study.config.checkpoints:
        return 0.0
    plan = Plan(study)
    first = run_tasks(plan, problem, source, study.grid(problem, source)[0], range(1))
    return first[0].work
