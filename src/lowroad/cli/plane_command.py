"""``lowroad plane``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lowroad.cli.messages import WRONG_USAGE, fail, readable_errors
from lowroad.cli.options import Key, LandscapeFunction, Trainable


def plane(
    files: Annotated[
        list[Path], typer.Argument(metavar="A [B [C]]", help="One to three checkpoints.")
    ],
    landscape: LandscapeFunction,
    key: Key = None,
    trainable: Trainable = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            metavar="filter|layer|none", help="How random directions are scaled (Li et al. 2018)."
        ),
    ] = None,
    extent: Annotated[
        float, typer.Option(help="How far a plane through one checkpoint goes, in directions.")
    ] = 1.0,
    margin: Annotated[
        float, typer.Option(help="Around several checkpoints, as a fraction of the larger side.")
    ] = 0.2,
    resolution: Annotated[int, typer.Option(min=2, max=1000, help="Values on each side.")] = 25,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(
        "lowroad-plane"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of the random directions.")] = 0,
    reestimate_batch_norm: Annotated[
        bool,
        typer.Option(
            "--reestimate-batch-norm", help="Estimate batch norm's statistics anew at every point."
        ),
    ] = False,
) -> None:
    """Show the landscape on a plane through one, two or three checkpoints.

    Random directions make up what is missing: two for one checkpoint, one for two.

    Interrupted, the same command goes on where it was.
    """
    with readable_errors():
        from rich.console import Console
        from rich.progress import Progress

        from lowroad.connect import load_landscape
        from lowroad.connect.planes import plane as evaluate

        console = Console(stderr=True)
        with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("rows", total=resolution)

            def show(done: int, total: int) -> None:
                progress.update(bar, completed=done)
                if progress.disable and (done == total or done % max(1, total // 5) == 0):
                    typer.echo(f"{done} of {total} rows", err=True)

            try:
                table = evaluate(
                    files,
                    load_landscape(landscape),
                    out,
                    normalize=normalize,
                    extent=extent,
                    margin=margin,
                    resolution=resolution,
                    seed=seed,
                    reestimate_batch_norm=reestimate_batch_norm,
                    key=key,
                    patterns=trainable or (),
                    console=console,
                    callback=show,
                )
            except (ValueError, TypeError) as error:
                fail(str(error), WRONG_USAGE)
        values = table["value"].values
        typer.echo(f"Values from {values.min():.6g} to {values.max():.6g}")
        for name, value in zip(table["point"].values, table["point_value"].values, strict=True):
            typer.echo(f"  {name}: {value:.6g}")
        typer.echo(f"Results: {out / 'plane.html'}")
