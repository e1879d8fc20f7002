"""Running a study: the plan minus what is stored, carried out and told to a display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lowroad.execution.clusters import Workers
from lowroad.execution.events import Event
from lowroad.execution.executor import execute
from lowroad.study.config import StudyConfig
from lowroad.study.files import read_regular, write_atomically
from lowroad.study.heartbeat import Heartbeat
from lowroad.study.progress import RunProgress
from lowroad.study.resolve import resolve_study
from lowroad.study.resolved import Study, load_study
from lowroad.study.schedule import Schedule
from lowroad.study.store import FULL, Store
from lowroad.study.study_file import StudyFileError, differences, read_study, to_toml
from lowroad.study.tasks import Task

if TYPE_CHECKING:
    from lowroad.study.device import Device

Watch = Callable[[RunProgress, Event], None]


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

    study: Study
    schedule: Schedule
    tasks: list[Task]
    notes: list[str]

    def execute(self, workers: Workers, watch: Watch, device: Device = "cpu") -> RunSummary:
        """Carry out what is missing; ``watch`` is told about every event.

        Args:
            workers: as for :func:`lowroad.execution.executor.execute`.
            watch: called as ``watch(progress, event)``.
            device: where the arithmetic happens, as for :func:`~lowroad.study.device.device_of`.

        Raises:
            ClusterError: the cluster cannot be had, or a worker cannot make a problem.
            KeyboardInterrupt: after the workers have stopped; what is finished is stored.
            OSError: the directory cannot be written, or is full: no further task is begun then.
        """
        processes = workers if isinstance(workers, int) else 0
        progress = RunProgress(self.schedule, processes * self.schedule.shard[1])
        failed: list[tuple[Task, str]] = []
        store = self.schedule.store
        known = len(self.schedule.damaged)

        def on_event(event: Event) -> list[Task]:
            more: list[Task] = []
            if event.kind == "finished":
                more = self.schedule.finished(event.task)
            elif event.kind == "failed":
                if event.system is not None and event.system.errno in FULL:
                    raise event.system  # every other task would be computed and lost, too
                failed.append((event.task, event.error))
                text = f"{self.study.title(event.task)}\n{event.error}\n\n{event.trace}"
                write_atomically(store.failure_path(event.task.hash), text.encode())
            progress.note(event)
            watch(progress, event)
            return more

        if self.tasks:
            from lowroad.study.worker import run_task

            with Heartbeat(store, progress):
                function = partial(
                    run_task,
                    store.directory,
                    folder=self.study.folder,
                    device=device,
                    sources=self.study.sources,
                    facts=self.study.facts,
                )
                execute(self.tasks, function, workers, on_event)
        waiting = self.schedule.total - len(self.schedule.done) - len(failed)
        damaged = tuple(self.schedule.damaged[known:])
        return RunSummary(progress.performed, failed, waiting, damaged)


def prepare_run(
    config: StudyConfig,
    directory: Path,
    folder: Path | None = None,
    shard: tuple[int, int] = (0, 1),
) -> PreparedRun:
    """Resolve the study, write it down, verify the records, and find out what is left to do.

    Args:
        config: the study.
        directory: where it is stored.
        folder: the study file's folder, from which its modules are imported.
        shard: which part of it is to be done here, as for
            :class:`~lowroad.study.schedule.Schedule`.

    Raises:
        StudyFileError: something that the study names cannot be used.
        OSError: the directory cannot be written.
    """
    store = Store(directory.absolute())
    made_room = store.make_room()
    old = read_known(store)
    folder = folder and folder.absolute()
    if old is not None and folder == store.directory:  # the study file that was written there
        folder = old.folder
    study = resolve_study(config, folder, old)
    notes = _write_study(study, store, old)
    store.remove_leftovers()
    schedule = Schedule(study, store, repair=True, shard=shard)
    tasks = schedule.begin()
    return PreparedRun(study, schedule, tasks, made_room + notes + schedule.damaged)


def read_known(store: Store) -> Study | None:
    """The study as it was run before; None where there is none, or it cannot be read."""
    try:
        config = read_study(store.study_file)
        return load_study(config, read_regular(store.problems_file))
    except (OSError, ValueError):
        return None


def _write_study(study: Study, store: Store, old: Study | None) -> list[str]:
    notes = []
    if old is not None:
        changes = [f"  {line}" for line in differences(old.config, study.config)]
        changes += [
            f"  problems.{name}: the source is {each.code or 'built in'} now, it was "
            f'{old.problems[name].code}; version = "{old.problems[name].code}" keeps its records'
            for name, each in study.problems.items()
            if name in old.problems and old.problems[name].code != each.code
        ]
        if changes:
            notes.append(
                f"{store.directory} was run with other settings before; what is stored stays, and "
                "is used where it still fits:\n" + "\n".join(changes)
            )
    elif store.study_file.exists():
        try:
            read_study(store.study_file)
        except StudyFileError as error:
            notes.append(f"the study file there could not be read and is replaced:\n{error}")
    for path, content in (
        (store.problems_file, study.as_json()),
        (store.study_file, to_toml(study.config).encode()),
    ):
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
    return notes
