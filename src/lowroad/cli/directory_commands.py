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
    from lowroad.study.resolved import Study
    from lowroad.study.results import StudyResults
    from lowroad.study.store import Store

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]


def status(directory: Directory) -> None:
    """Show how far a study is: what is done, running, failed and missing, and the time left."""
    with readable_errors():
        from lowroad.study.results import read_resolved

        study_in(directory)
        print_status(read_resolved(directory)[1], directory)


def verify(directory: Directory) -> None:
    """Verify the checksums of all that is stored, and change nothing."""
    with readable_errors():
        from lowroad.study.verify import verify

        study_in(directory)
        found = verify(directory)
        typer.echo(
            f"{found.records} records and {found.snapshots} snapshots in {directory} are sound"
        )
        for problem in (*found.study_file, *found.damaged):
            warn(problem)
        advice = []
        if found.study_file:
            advice.append(
                "The study cannot be read; `lowroad run` with the file that the study was run "
                f"from, and --out {directory}, writes it anew"
            )
        if found.damaged:
            advice.append(
                f"{len(found.damaged)} damaged; `lowroad run` moves damaged records of its "
                "study out of the way and computes them again"
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


def print_status(study: Study, directory: Path) -> None:
    """Print a table of the study's tasks, and what is damaged."""
    from rich.console import Console
    from rich.table import Table

    from lowroad.study.measurements import MEASUREMENTS
    from lowroad.study.progress import clock
    from lowroad.study.status import status
    from lowroad.study.store import Store

    found = status(study, directory)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("problem", no_wrap=True)
    table.add_column("tasks", no_wrap=True)
    for title in ("done", "running", "failed", "missing"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        table.add_row(
            row.problem,
            MEASUREMENTS[row.measurement].what,
            f"{row.done}/{row.total}",
            str(row.running),
            str(row.failed),
            str(row.missing),
        )
    total = sum(row.total for row in found.rows)
    done = sum(row.done for row in found.rows)
    typer.echo(f"Study {study.config.name} in {directory}: {done} of {total} tasks stored")
    if found.runs:
        left = found.seconds_left
        typer.echo(
            f"{_number(found.runs, 'run')} under way with {_number(found.workers, 'task')}"
            + ("" if math.isnan(left) else f", about {clock(left)} left")
        )
    elif done < total and not math.isnan(found.work_left):
        typer.echo(f"About {clock(found.work_left)} of one worker are left")
    typer.echo()
    Console(highlight=False).print(table)
    for name, task in found.failures.items():
        store = Store(directory)
        typer.echo(f"\nfailed: {study.title(task)}\n{failure_told(store, name, study.folder)}")
    if found.abandoned:
        size = sum(found.abandoned.values()) / 1e6
        typer.echo(
            f"\n{_number(len(found.abandoned), 'snapshot')} ({size:.1f} MB) of runs that are not "
            "in the study as it is now can be deleted:"
        )
        for path in found.abandoned:
            typer.echo(f"  {path}")
    for problem in found.damaged:
        warn(f"{problem}; `lowroad run` moves it out of the way and computes it again if needed")


def failure_told(store: Store, name: str, folder: Path | None) -> str:
    """The user's own part of a failed task's traceback, where it is the user's, and its file."""
    from lowroad.study.files import read_regular
    from lowroad.study.user_errors import users_part

    path = store.failure_path(name)
    try:
        text = read_regular(path).decode(errors="replace")
    except OSError:
        return f"  traceback: {path}"
    own = users_part(text.partition("\n\n")[2], folder) if folder is not None else ""
    told = own if str(folder) in own else ""
    return f"{told}\n  traceback: {path}".lstrip("\n")


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
    if page.is_file() and page.stat().st_mtime_ns >= _last_change(directory):
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
        with contextlib.suppress(FileNotFoundError):  # another run has just moved it
            # By the last change of any kind: a copied record may have kept its old `st_mtime`.
            last = max(last, path.lstat().st_ctime_ns)
    return last


def _results(directory: Path, shows: str) -> StudyResults:
    """Read the results, saying what is missing in them."""
    from lowroad.study.results import load_results

    results = load_results(directory)
    for problem in results.damaged:
        warn(f"{problem}; `lowroad run` moves it out of the way and computes it again")
    if results.missing:
        warn(f"{results.missing} tasks are not stored yet: {shows} what there is")
    return results
