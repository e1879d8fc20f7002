"""``lowroad sharpness``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowroad.cli.messages import FAILED, WRONG_USAGE, fail, readable_errors
from lowroad.cli.options import Key, LandscapeFunction, Trainable


def sharpness(
    file: Annotated[Path, typer.Argument(metavar="A", help="A checkpoint.")],
    landscape: LandscapeFunction,
    key: Key = None,
    trainable: Trainable = None,
    matrix: Annotated[
        str, typer.Option(metavar="hessian|gauss_newton", help="The curvature that is measured.")
    ] = "hessian",
    eigenvalues: Annotated[int, typer.Option(min=1, help="How many of the largest.")] = 5,
    vectors: Annotated[int, typer.Option(min=2, help="Random vectors for the trace.")] = 30,
    radius: Annotated[float, typer.Option(help="Of the ball in which the loss is raised.")] = 0.05,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Of the data, the first ones; all by default.")
    ] = None,
    density: Annotated[
        bool, typer.Option("--density", help="Also estimate and draw the density of eigenvalues.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(
        "lowroad-sharpness"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of the random vectors.")] = 0,
) -> None:
    """Measure how sharp the loss is at a checkpoint: largest eigenvalues, trace, rise by ascent."""
    with readable_errors():
        from rich.console import Console

        from lowroad.connect import load_landscape
        from lowroad.connect.curvature import checkpoint_sharpness

        try:
            found = checkpoint_sharpness(
                file,
                load_landscape(landscape),
                out,
                matrix=matrix,
                eigenvalues=eigenvalues,
                vectors=vectors,
                radius=radius,
                samples=samples,
                density=density,
                seed=seed,
                key=key,
                patterns=trainable or (),
                console=Console(stderr=True),
            )
        except (ValueError, TypeError) as error:
            fail(str(error), WRONG_USAGE)
        except ArithmeticError as error:
            fail(str(error), FAILED)
        typer.echo(f"loss                 {found['loss']:.6g} ({found['samples']} samples)")
        typer.echo(f"largest eigenvalues  {', '.join(f'{v:.4g}' for v in found['eigenvalues'])}")
        typer.echo(f"trace                {found['trace']:.4g} ± {found['trace_error']:.2g}")
        typer.echo(f"rise within {radius:g}     {found['ascent']:.4g}")
        typer.echo(f"adaptive rise        {found['adaptive_ascent']:.4g}")
        for power, (value, spread) in found.get("moments", {}).items():
            typer.echo(f"Σ λ^{power}                {value:.4g} ± {spread:.2g}")
        typer.echo(f"Results: {out}")
