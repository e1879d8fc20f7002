"""Running a study: the plan minus what is stored, carried out and told to a display."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lowroad.execution.clusters import Workers
from lowroad.execution.executor import Event, execute
from lowroad.study.config import StudyConfig
from lowroad.study.heartbeat import Heartbeat
from lowroad.study.plan import Agenda
from lowroad.study.progress import Tally
from lowroad.study.store import FULL, Store, write_atomically
from lowroad.study.study_file import StudyFileError, differences, read_study, to_toml
from lowroad.study.tasks import Task

if TYPE_CHECKING:  # a plan needs no torch
    from lowroad.study.device import Device

Watch = Callable[[Tally, Event], None]


@dataclass(frozen=True)
class RunSummary:
    """How a run ended.

    Attributes:
        performed: how many tasks this run finished.
        failed: tasks that failed, with one line each.
        waiting: how many paths and points of sharpness could not begin because training runs before
            them failed, or their records were damaged.
        damaged: a line for each record that was found damaged, or gone, after it was stored.
    """

    performed: int
    failed: list[tuple[Task, str]]
    waiting: int
    damaged: tuple[str, ...] = ()


@dataclass
class PreparedRun:
    """A study with its directory, ready to go on.

    Attributes:
        notes: what is worth telling before: damaged records, a changed study file.
    """

    config: StudyConfig
    agenda: Agenda
    tasks: list[Task]
    notes: list[str]

    def perform(self, workers: Workers, watch: Watch, device: Device = "cpu") -> RunSummary:
        """Carry out what is missing; ``watch`` is told about every event.

        Args:
            workers: as for :func:`lowroad.execution.executor.execute`.
            watch: called as ``watch(tally, event)``.
            device: where the arithmetic happens, as for :func:`~lowroad.study.device.device_of`.

        Raises:
            ClusterError: the cluster cannot be had.
            MnistError: the data cannot be had.
            ModuleNotFoundError: the study measures sharpness, and curvlinops is not installed.
            KeyboardInterrupt: after the workers have stopped; what is finished is stored.
            OSError: the directory cannot be written, or is full: no further task is begun then.
        """
        processes = workers if isinstance(workers, int) else 0
        tally = Tally(self.config, self.agenda.done.values(), processes * self.agenda.share[1])
        failed: list[tuple[Task, str]] = []
        store = self.agenda.store
        known = len(self.agenda.damaged)

        def on_event(event: Event) -> list[Task]:
            more: list[Task] = []
            if event.kind == "finished":
                more = self.agenda.finished(event.task)
            elif event.kind == "failed":
                _raise_if_full(event.error)
                failed.append((event.task, event.error))
                text = f"{event.task}\n{event.error}\n\n{event.trace}"
                write_atomically(store.failure_path(event.task.hash), text.encode())
            tally.note(event)
            watch(tally, event)
            return more

        if self.tasks:
            # Loaded here: an error comes once, and early.
            from lowroad.analysis.sharpness import require_curvlinops
            from lowroad.study.work import load_data, perform

            if any(self.config.settings(name).sharpness.runs for name in self.config.networks):
                require_curvlinops()
            load_data(self.config.data.train, self.config.data.test, self.config.seed)
            with Heartbeat(store, tally):
                function = partial(perform, store.directory, device=device)
                execute(self.tasks, function, workers, on_event)
        waiting = self.agenda.total - len(self.agenda.done) - len(failed)
        damaged = tuple(self.agenda.damaged[known:])
        return RunSummary(tally.performed, failed, waiting, damaged)


def _raise_if_full(error: str) -> None:
    """End the run where a task found no room: every other would be computed and lost, too."""
    found = re.match(r"OSError: \[Errno (\d+)\] (.*)", error)  # all that a worker's error leaves
    if found and int(found[1]) in FULL:
        raise OSError(int(found[1]), found[2])


def prepare_run(
    config: StudyConfig, directory: Path, share: tuple[int, int] = (0, 1)
) -> PreparedRun:
    """Write the study file, verify the records, and find out what is left to do.

    Args:
        config: the study.
        directory: where it is stored.
        share: which part of it is to be done here, as for :class:`~lowroad.study.plan.Agenda`.

    Raises:
        OSError: the directory cannot be written.
    """
    store = Store(directory.absolute())
    notes = _write_study_file(config, store)
    store.remove_leftovers()
    agenda = Agenda(config, store, repair=True, share=share)
    tasks = agenda.begin()
    return PreparedRun(config, agenda, tasks, notes + agenda.damaged)


def _write_study_file(config: StudyConfig, store: Store) -> list[str]:
    notes = []
    if store.study_file.exists():
        try:
            old = read_study(store.study_file)
        except StudyFileError as error:
            notes.append(f"the study file there could not be read and is replaced:\n{error}")
        else:
            if old == config:
                return []
            changes = "\n".join(f"  {line}" for line in differences(old, config))
            notes.append(
                f"{store.directory} was run with other settings before; what is stored stays, and "
                f"is used where it still fits:\n{changes}"
            )
    write_atomically(store.study_file, to_toml(config).encode())
    return notes
