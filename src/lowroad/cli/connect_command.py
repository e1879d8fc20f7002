"""``lowroad connect``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from lowroad.cli.messages import INTERRUPTED, WRONG_USAGE, fail, readable_errors
from lowroad.cli.options import Key, LandscapeFunction, Trainable


def connect(
    files: Annotated[
        list[Path], typer.Argument(metavar="A B [C ...]", help="Two or more checkpoints.")
    ],
    landscape: LandscapeFunction,
    test: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="The same network's landscape on test data."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="error, accuracy or MODULE:FUNCTION, along the paths. Repeatable."),
    ] = None,
    key: Key = None,
    trainable: Trainable = None,
    finder: Annotated[
        str,
        typer.Option(help="fourier, bezier, polygonal_chain, elastic_band, string or straight."),
    ] = "fourier",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the finder: steps=300."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(
        "lowroad-connect"
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command was interrupted.")
    ] = False,
    save_path: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .safetensors file for the points of the path found."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of mini-batches, noise and further starts.")] = 0,
    align: Annotated[
        bool,
        typer.Option("--align", help="Also with hidden units permuted to lie near the first's."),
    ] = False,
    match: Annotated[
        str,
        typer.Option(metavar="weights|activations", help="How --align pairs the units."),
    ] = "weights",
    save_aligned: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder for the aligned checkpoints; means --align."),
    ] = None,
    reestimate_batch_norm: Annotated[
        bool,
        typer.Option(
            "--reestimate-batch-norm", help="Estimate batch norm's statistics anew at every point."
        ),
    ] = False,
) -> None:
    """Find low paths between checkpoints of your own model."""
    with readable_errors(), _interruptible():
        from rich.console import Console

        from lowroad.connect import (
            Options,
            connect,
            load_landscape,
            load_metrics,
            parse_finder,
            table,
        )

        try:
            chosen = parse_finder(finder, assignments or [])
            options = Options(
                seed=seed,
                key=key,
                trainable=tuple(trainable or ()),
                align=align or save_aligned is not None,
                match=match,
                save_aligned=save_aligned,
                reestimate_batch_norm=reestimate_batch_norm,
                metrics=load_metrics(metric or []),
                test=None if test is None else load_landscape(test),
                resume=resume,
                save_path=save_path,
            )
            surface = load_landscape(landscape)
            records = connect(files, surface, chosen, out, options, Console(stderr=True))
        except (ValueError, TypeError) as error:
            fail(str(error), WRONG_USAGE)
        except KeyboardInterrupt:
            kept = out.is_dir() and any(out.iterdir())
            advice = ": what was found is kept, go on by the same command with --resume"
            fail(f"Interrupted{advice if kept else ''}", INTERRUPTED)
        typer.echo(table(records))
        typer.echo(f"Results: {out}, the page is {out / 'report.html'}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a request to terminate, or a closed terminal, interrupt as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {kind: signal.signal(kind, interrupt) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
