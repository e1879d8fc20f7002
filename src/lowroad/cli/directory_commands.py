"""``lowroad status``, ``verify``, ``report`` and ``export``: what is in a study's directory."""

from __future__ import annotations

import contextlib
import math
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowroad.cli.messages import FAILED, WRONG_USAGE, fail, readable_errors, study_in, warn

# Everything heavy is imported where it is used: `lowroad --help` shall answer at once.
if TYPE_CHECKING:
    from lowroad.study.config import StudyConfig
    from lowroad.study.results import StudyResults
    from lowroad.study.status import StageStatus

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]


def status(directory: Directory) -> None:
    """Show how far a study is: what is done, running, failed and missing, and the time left."""
    with readable_errors():
        from lowroad.study.study_file import read_study

        print_status(read_study(study_in(directory)), directory)


def verify(directory: Directory) -> None:
    """Verify the checksums of all that is stored, and change nothing."""
    with readable_errors():
        from lowroad.study.verify import verify

        study_in(directory)
        found = verify(directory)
        typer.echo(
            f"{found.records} records and {found.checkpoints} checkpoints in {directory} are sound"
        )
        for problem in (*found.study_file, *found.damaged):
            warn(problem)
        advice = []
        if found.study_file:
            advice.append(
                "The study file cannot be used; `lowroad run` with the file that the study was run "
                f"from, and --out {directory}, writes it anew"
            )
        if found.damaged:
            advice.append(
                f"{len(found.damaged)} damaged; `lowroad run` sets damaged records of its study "
                "aside and computes them again"
            )
        if advice:
            fail("\n".join(advice), FAILED)


class Style(StrEnum):
    """How the figures' files look."""

    SCREEN = "screen"
    PAPER = "paper"


def report(
    directory: Directory,
    style: Annotated[
        Style,
        typer.Option(help="Of the figures' PDF and PNG files: paper is for an article."),
    ] = Style.SCREEN,
    out: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Where to write it (default: the study's directory)."),
    ] = None,
) -> None:
    """Write the report of a study from what is stored, finished or not."""
    with readable_errors():
        study_in(directory)
        write_the_report(directory, out or directory, style)


def export(
    directory: Directory,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="A folder for tables of runs and paths."),
    ] = None,
    zarr: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="A new zarr store with everything, weights too."),
    ] = None,
) -> None:
    """Write the results for other programs, as tables or as one zarr store."""
    with readable_errors():
        if csv is None and zarr is None:
            fail("give --csv OUT or --zarr OUT", WRONG_USAGE)
        study_in(directory)
        from lowroad.study.export import export_csv, export_zarr

        results = _results(directory, "the export has")
        if csv is not None:
            for path in export_csv(results, csv):
                typer.echo(f"Written: {path}")
        if zarr is not None:
            try:
                export_zarr(results, zarr)
            except ModuleNotFoundError as error:
                fail(str(error), FAILED)
            typer.echo(f"Written: {zarr}")


def print_status(config: StudyConfig, directory: Path) -> None:
    """Print a table of the study's stages, and what is damaged."""
    from rich.console import Console
    from rich.table import Table

    from lowroad.study.progress import clock
    from lowroad.study.status import status

    found = status(config, directory)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("stage", no_wrap=True)
    sharpness = any(row.points for row in found.stages)
    kinds = ("runs", "paths", *(("sharpness",) if sharpness else ()))
    for title in (*kinds, "running", "failed", "missing"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("work left", justify="right")
    for row in found.stages:
        table.add_row(
            f"{row.network} {row.optimizer}",
            f"{row.trainings_done}/{row.trainings}",
            f"{row.paths_done}/{row.paths}",
            *((f"{row.points_done}/{row.points}",) if sharpness else ()),
            str(row.running),
            str(row.failed),
            str(row.missing),
            _work(row),
        )
    total = sum(row.total for row in found.stages)
    done = sum(row.done for row in found.stages)
    typer.echo(f"Study {config.name} in {directory}: {done} of {total} tasks stored")
    if found.runs:
        typer.echo(
            f"{_number(found.runs, 'run')} under way with {_number(found.workers, 'task')}"
            + (
                ""
                if math.isnan(found.seconds_left)
                else f", about {clock(found.seconds_left)} left"
            )
        )
    typer.echo()
    Console(highlight=False).print(table)
    if found.abandoned:
        size = sum(found.abandoned.values()) / 1e6
        typer.echo(
            f"\n{_number(len(found.abandoned), 'checkpoint')} ({size:.1f} MB) of tasks that are "
            "stored, or are not in the study as it is now, can be deleted:"
        )
        for path in found.abandoned:
            typer.echo(f"  {path}")
    for problem in found.damaged:
        warn(f"{problem}; `lowroad run` sets it aside and computes it again if it needs it")


def _work(row: StageStatus) -> str:
    """What is left of a stage: the time of one worker, and tasks of kinds not yet timed."""
    from lowroad.study.progress import clock

    time = [clock(row.seconds_left)] if row.seconds_left or not row.untimed else []
    tasks = [_number(row.untimed, "task")] if row.untimed else []
    return " + ".join(time + tasks)


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def write_the_report(directory: Path, out: Path, style: str = "screen") -> None:
    """Write the report, saying what is missing in it."""
    from lowroad.report import write_report

    last = _last_change(directory)
    results = _results(directory, "the report shows")
    typer.echo("Writing the report …")
    page = write_report(results, out, style)
    os.utime(page, ns=(last, last))  # what has come since then is not in it
    typer.echo(f"Report: {page}")


def bring_the_report_up_to_date(directory: Path) -> None:
    """Write the report, unless nothing that it is made from has changed since it was written."""
    page = directory / "report.html"
    if page.exists() and page.stat().st_mtime_ns >= _last_change(directory):
        typer.echo(f"Report: {page} (nothing has changed since it was written)")
    else:
        write_the_report(directory, directory)


def _last_change(directory: Path) -> int:
    """When records, settings or code last changed, in ns.

    A page carries this as its time, so that no clock but that of these files counts.
    """
    from lowroad.study.store import Store

    store = Store(directory)
    code = (path for path in Path(__file__).parents[1].rglob("*.*") if path.suffix != ".pyc")
    last = 0
    for path in (store.study_file, *map(store.path, store.hashes()), *code):
        with contextlib.suppress(FileNotFoundError):  # another run has just set it aside
            # By the last change of any kind: a copied record may have kept its old `st_mtime`.
            last = max(last, path.stat().st_ctime_ns)
    return last


def _results(directory: Path, shows: str) -> StudyResults:
    """Read the results, saying what is missing in them."""
    from lowroad.study.results import load_results

    results = load_results(directory)
    for problem in results.damaged:
        warn(f"{problem}; `lowroad run` sets it aside and computes it again")
    if results.missing:
        warn(f"{results.missing} tasks are not stored yet: {shows} what there is")
    return results
