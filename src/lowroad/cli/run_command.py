"""``lowroad run``."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lowroad.cli.directory_commands import (
    bring_the_report_up_to_date,
    failure_told,
    print_status,
)
from lowroad.cli.messages import (
    FAILED,
    WRONG_USAGE,
    code_of,
    fail,
    readable_errors,
    signals_interrupt,
    warn,
)

# Everything heavy is imported where it is used: `lowroad --help` shall answer at once.
if TYPE_CHECKING:
    from lowroad.execution.clusters import Workers
    from lowroad.study.config import StudyConfig
    from lowroad.study.device import Device
    from lowroad.study.run import PreparedRun, RunSummary

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]


def run(
    study: StudyFile,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: train.seeds=8."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the study is stored (default: runs/NAME)."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of one thread each (default: one for each core)."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A running dask scheduler, or its scheduler file."),
    ] = None,
    slurm: Annotated[
        Path | None,
        typer.Option(metavar="CLUSTER.toml", help="Submit SLURM jobs as this file describes."),
    ] = None,
    device: Annotated[
        Literal["cpu", "auto"],
        typer.Option(help="auto: a CUDA device for each worker, and a worker for each device."),
    ] = "cpu",
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do the I-th of N parts: for job arrays, no report."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done and do nothing.")
    ] = False,
) -> None:
    """Run a study, or go on with it, and write its report."""
    with readable_errors(), signals_interrupt():
        from lowroad.study.study_file import StudyFileError, overridden, read_study

        config = read_study(study, assignments or [])
        for line in overridden(config, assignments or []):
            warn(line)
        where = _workers(workers, scheduler, slurm, device)
        part = _shard(shard)
        folder = study.absolute().parent
        directory = out or Path("runs") / config.name
        if dry_run:
            from lowroad.study.resolve import resolve_study
            from lowroad.study.run import read_known
            from lowroad.study.store import Store

            known = read_known(Store(directory))
            print_status(resolve_study(config, folder, known), directory)
            typer.echo("\nThis was a dry run: nothing has been done.")
            return
        if directory.exists() and not directory.is_dir():
            fail(f"{directory}: expected a directory, got a file", WRONG_USAGE)
        try:
            _run(config, directory, folder, where, part or (0, 1), device)
        except StudyFileError as error:
            raise StudyFileError([f"{study}: {line}" for line in error.problems]) from None
        if part is None:
            bring_the_report_up_to_date(directory)


def _workers(
    workers: int | None, scheduler: str | None, slurm: Path | None, device: Device
) -> Workers:
    from lowroad.execution.cluster_file import read_slurm
    from lowroad.execution.clusters import Scheduler

    if sum(choice is not None for choice in (workers, scheduler, slurm)) > 1:
        fail("--workers, --scheduler and --slurm exclude each other: give one", WRONG_USAGE)
    if scheduler is not None:
        return Scheduler(scheduler)
    if slurm is not None:
        try:
            return read_slurm(slurm)
        except ValueError as error:
            fail(str(error), WRONG_USAGE)
    return workers or (_cuda_devices() if device == "auto" else 0) or _cores()


def _shard(shard: str | None) -> tuple[int, int] | None:
    """Return (i − 1, n) of "i/n"."""
    if shard is None:
        return None
    from lowroad.study.setting_errors import printable, shown

    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    i, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= i <= n:
        told = f"--shard: expected I/N with 1 <= I <= N, such as 3/8, got {shown(shard)}"
        fail(printable(told), WRONG_USAGE)
    return i - 1, n


def _run(
    config: StudyConfig,
    directory: Path,
    folder: Path,
    workers: Workers,
    shard: tuple[int, int],
    device: Device,
) -> None:
    from lowroad.study.run import prepare_run

    prepared = prepare_run(config, directory, folder, shard)
    for note in prepared.notes:
        warn(note)
    total, done = prepared.schedule.total, len(prepared.schedule.done)
    by = _told(workers, device)
    part = (
        ""
        if shard == (0, 1)
        else f" (shard {shard[0] + 1} of {shard[1]}: {len(prepared.tasks)} now)"
    )
    typer.echo(
        f"Study {config.name} in {directory}: {total} tasks, {done} stored, {total - done} to do"
        f"{part}, {by}"
    )
    try:
        summary = _perform(prepared, workers, device)
    except KeyboardInterrupt as interrupt:
        stored = len(prepared.schedule.done)
        fail(
            f"\nInterrupted: {stored} of {total} tasks are stored, nothing finished is lost.\n"
            f"To go on: {_same_command()}",
            code_of(interrupt),
        )
    for task, error in summary.failed:
        trace = failure_told(prepared.schedule.store, task.hash, prepared.study.folder)
        warn(f"failed: {prepared.study.title(task)}: {error}\n{trace}")
    for problem in summary.damaged:
        warn(problem)
    waiting = summary.waiting if shard == (0, 1) else 0  # other shards do much of what waits
    if summary.failed or waiting:
        told = [f"{len(summary.failed)} of {total} tasks failed"] if summary.failed else []
        if waiting:
            told.append(
                f"{waiting} could not begin because tasks before them failed or their records are "
                "damaged"
            )
        fail(f"{'; '.join(told)}. Running again does what is missing.", FAILED)
    if shard != (0, 1):
        if prepared.tasks:  # others may have finished what paths of this part waited for
            return _run(config, directory, folder, workers, shard, device)
        _tell_what_waits(prepared)


def _told(workers: Workers, device: Device) -> str:
    if not isinstance(workers, int):
        return str(workers)
    by = f"{workers} worker{'s' if workers > 1 else ''}"
    if device == "cpu":
        return by
    count = _cuda_devices()
    return by + (
        f", {count} CUDA device{'s' if count > 1 else ''}" if count else ", no CUDA device"
    )


def _tell_what_waits(prepared: PreparedRun) -> None:
    missing = prepared.schedule.total - len(prepared.schedule.done)
    if missing:
        typer.echo(
            f"This shard has nothing more to do now; {missing} of the study's tasks are not "
            "stored. Paths begin when all training runs of their problem and optimizer are stored: "
            "run the shards again for them, and `lowroad report` when all is done."
        )
    else:
        typer.echo("All tasks of the study are stored; `lowroad report` writes the report.")


def _same_command() -> str:
    """This command as it can be typed again; `make study` calls one that is not on the PATH."""
    program = sys.argv[0]
    if Path(program).name != "lowroad" or shutil.which("lowroad") == program:
        program = "lowroad"
    return shlex.join([program, *sys.argv[1:]])


def _perform(prepared: PreparedRun, workers: Workers, device: Device) -> RunSummary:
    from rich.console import Console

    from lowroad.study.progress import LiveDisplay, PlainDisplay

    if not prepared.tasks:
        return prepared.execute(workers, lambda progress, event: None)
    console = Console()
    with LiveDisplay(console) if console.is_terminal else PlainDisplay(sys.stdout) as display:
        return prepared.execute(workers, display, device)


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
