"""``lowroad connect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowroad.cli.messages import WRONG_USAGE, fail, readable_errors


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
    seed: Annotated[int, typer.Option(help="Of mini-batches, noise and further starts.")] = 0,
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
    with readable_errors():
        from lowroad.connect import connect, load_landscape, parse_finder, table

        try:
            chosen = parse_finder(finder, assignments or [])
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
            fail(str(error), WRONG_USAGE)
        typer.echo(table(curves))
        typer.echo(f"Results: {out}")
