"""The command line: arguments, messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

# Everything heavy is imported where it is used: `lowroad --help` shall answer at once.
if TYPE_CHECKING:
    from lowroad.execution.clusters import Workers
    from lowroad.study.config import StudyConfig
    from lowroad.study.run import PreparedRun, RunSummary

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Find the low roads between minima: train networks, connect them, compare and report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")]


def main() -> None:
    """Run the command line."""
    app()


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        import lowroad

        typer.echo(f"lowroad {lowroad.__version__}")
        raise typer.Exit


# `--version` is the one option that needs no command.
app.info.invoke_without_command = True


@app.command()
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
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do the I-th of N parts: for job arrays, no report."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done and do nothing.")
    ] = False,
) -> None:
    """Run a study, or go on with it, and write its report."""
    with _readable_errors():
        from lowroad.study.study_file import read_study

        config = read_study(study, assignments or [])
        where = _workers(workers, scheduler, slurm)
        share = _share(shard)
        directory = out or Path("runs") / config.name
        if dry_run:
            _print_status(config, directory)
            typer.echo("\nThis was a dry run: nothing has been done.")
            return
        if directory.exists() and not directory.is_dir():
            _fail(f"{directory}: expected a directory, got a file", WRONG_USAGE)
        if share is None:
            _run(config, directory, where, (0, 1))
            _write_report(directory)
        else:
            _run(config, directory, where, share)


def _workers(workers: int | None, scheduler: str | None, slurm: Path | None) -> Workers:
    from lowroad.execution.clusters import Scheduler, read_slurm

    if sum(choice is not None for choice in (workers, scheduler, slurm)) > 1:
        _fail("--workers, --scheduler and --slurm exclude each other: give one", WRONG_USAGE)
    if scheduler is not None:
        return Scheduler(scheduler)
    if slurm is not None:
        try:
            return read_slurm(slurm)
        except ValueError as error:
            _fail(str(error), WRONG_USAGE)
    return workers or _cores()


def _share(shard: str | None) -> tuple[int, int] | None:
    """Return (i − 1, n) of "i/n"."""
    if shard is None:
        return None
    i, slash, n = shard.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        _fail(f"--shard: expected I/N with 1 <= I <= N, such as 3/8, got {shard!r}", WRONG_USAGE)
    return int(i) - 1, int(n)


def _run(config: StudyConfig, directory: Path, workers: Workers, share: tuple[int, int]) -> None:
    from lowroad.study.run import prepare_run

    prepared = prepare_run(config, directory, share)
    for note in prepared.notes:
        _warn(note)
    total, done = prepared.agenda.total, len(prepared.agenda.done)
    by = f"{workers} worker{'s' if workers > 1 else ''}" if isinstance(workers, int) else workers
    part = (
        ""
        if share == (0, 1)
        else f" (shard {share[0] + 1} of {share[1]}: {len(prepared.tasks)} now)"
    )
    typer.echo(
        f"Study {config.name} in {directory}: {total} tasks, {done} stored, {total - done} to do"
        f"{part}, {by}"
    )
    try:
        summary = _perform(prepared, workers)
    except KeyboardInterrupt:
        stored = len(prepared.agenda.done)
        _fail(
            f"\nInterrupted: {stored} of {total} tasks are stored, nothing finished is lost.\n"
            f"To go on: {_same_command()}",
            INTERRUPTED,
        )
    for task, error in summary.failed:
        _warn(f"failed: {task}: {error}\n  traceback: {_traceback(prepared, task.hash)}")
    if share == (0, 1) and summary.waiting:
        _warn(f"{summary.waiting} paths could not begin because training runs failed")
    if summary.failed:
        _fail(
            f"{len(summary.failed)} of {total} tasks failed; the others are stored. "
            f"Running again tries them again.",
            FAILED,
        )
    if share != (0, 1):
        if prepared.tasks:  # others may have finished what paths of this part waited for
            return _run(config, directory, workers, share)
        _tell_what_waits(prepared)


def _tell_what_waits(prepared: PreparedRun) -> None:
    missing = prepared.agenda.total - len(prepared.agenda.done)
    if missing:
        typer.echo(
            f"This shard has nothing more to do now; {missing} of the study's tasks are not "
            "stored. Paths begin when all training runs of their network and optimizer are stored: "
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


def _perform(prepared: PreparedRun, workers: Workers) -> RunSummary:
    from rich.console import Console

    from lowroad.study.progress import LiveDisplay, PlainDisplay

    if not prepared.tasks:
        return prepared.perform(workers, lambda tally, event: None)
    console = Console()
    with LiveDisplay(console) if console.is_terminal else PlainDisplay(sys.stdout) as display:
        return prepared.perform(workers, display)


def _traceback(prepared: PreparedRun, task_hash: str) -> Path:
    return prepared.agenda.store.failure_path(task_hash)


@app.command()
def status(directory: Directory) -> None:
    """Show how far a study is."""
    with _readable_errors():
        from lowroad.study.study_file import read_study

        _print_status(read_study(_study_in(directory)), directory)


@app.command()
def report(directory: Directory) -> None:
    """Write the report of a study from what is stored, finished or not."""
    with _readable_errors():
        _study_in(directory)
        _write_report(directory)


@app.command()
def data() -> None:
    """Show where the MNIST data is, verify it, and fetch it if there is none."""
    with _readable_errors():
        from lowroad.mnist import load_mnist, locate_mnist

        load_mnist()
        location = locate_mnist()
        typer.echo(f"MNIST is in {location.path} ({location.chosen_by}):")
        for file in location.files:
            typer.echo(f"  {file.name}: {file.problem or f'verified, sha256 {file.sha256}'}")


@app.command()
def connect(
    first: Annotated[Path, typer.Argument(metavar="A", help="A checkpoint.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    landscape: Annotated[
        str,
        typer.Option(metavar="MODULE:FUNCTION", help="A function that returns the landscape."),
    ],
    finder: Annotated[
        str, typer.Option(help="fourier, bezier, chain, band, string or line.")
    ] = "fourier",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the finder: steps=300."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(
        "lowroad-connect"
    ),
    seed: Annotated[int, typer.Option(help="Of mini-batches and noise.")] = 0,
    align: Annotated[
        bool, typer.Option("--align", help="Also with B's hidden units permuted to lie near A.")
    ] = False,
    reestimate_batch_norm: Annotated[
        bool,
        typer.Option(
            "--reestimate-batch-norm", help="Estimate batch norm's statistics anew at every point."
        ),
    ] = False,
) -> None:
    """Find a low path between two checkpoints (.pt, .npy, .safetensors) of your own model."""
    with _readable_errors():
        from lowroad.connect import connect, load_landscape, make_finder, table

        try:
            chosen = make_finder(finder, assignments or [])
            curves = connect(
                first,
                second,
                load_landscape(landscape),
                chosen,
                out,
                seed,
                align=align,
                reestimate_batch_norm=reestimate_batch_norm,
            )
        except (ValueError, TypeError) as error:
            _fail(str(error), WRONG_USAGE)
        typer.echo(table(curves))
        typer.echo(f"Results: {out}")


def _study_in(directory: Path) -> Path:
    if not directory.is_dir():
        _fail(f"{directory}: there is no such directory", WRONG_USAGE)
    study = directory / "study.toml"
    if not study.is_file():
        _fail(f"{directory}: no study here ({study} is missing)", WRONG_USAGE)
    return study


def _print_status(config: StudyConfig, directory: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from lowroad.study.run import status

    rows, damaged = status(config, directory)
    table = Table(box=None, header_style="bold")
    table.add_column("network")
    table.add_column("optimizer")
    for title in ("training runs", "paths", "failed", "missing"):
        table.add_column(title, justify="right")
    for row in rows:
        missing = row.trainings - row.trainings_done + row.paths - row.paths_done
        table.add_row(
            row.network,
            row.optimizer,
            f"{row.trainings_done} of {row.trainings}",
            f"{row.paths_done} of {row.paths}",
            str(row.failed),
            str(missing),
        )
    total = sum(row.trainings + row.paths for row in rows)
    done = sum(row.trainings_done + row.paths_done for row in rows)
    typer.echo(f"Study {config.name} in {directory}: {done} of {total} tasks stored\n")
    Console(highlight=False).print(table)
    for problem in damaged:
        _warn(f"{problem}; `lowroad run` sets it aside and computes it again")


def _write_report(directory: Path) -> None:
    from lowroad.report import write_report
    from lowroad.study.results import load_results

    results = load_results(directory)
    for problem in results.damaged:
        _warn(f"{problem}; `lowroad run` sets it aside and computes it again")
    if results.missing:
        _warn(f"{results.missing} tasks are not stored yet: the report shows what there is")
    typer.echo("Writing the report …")
    typer.echo(f"Report: {write_report(results, directory)}")


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Turn errors that a user can mend into messages without a traceback."""
    from lowroad.study.study_file import StudyFileError

    try:
        yield
    except StudyFileError as error:
        _fail(str(error), WRONG_USAGE)
    except OSError as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        _fail("Interrupted", INTERRUPTED)
    except Exception as error:
        from lowroad.execution.clusters import ClusterError
        from lowroad.mnist import MnistError

        if isinstance(error, MnistError | ClusterError):
            _fail(str(error), FAILED)
        raise


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _warn(message: str) -> None:
    typer.echo(message, err=True)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
