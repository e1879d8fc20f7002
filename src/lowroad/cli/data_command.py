"""``lowroad data``."""

from __future__ import annotations

import typer

from lowroad.cli.messages import readable_errors


def data() -> None:
    """Show where the MNIST data is, verify it, and fetch it if there is none."""
    with readable_errors():
        from lowroad.paper.mnist import load_mnist, locate_mnist

        load_mnist()
        location = locate_mnist()
        typer.echo(f"MNIST is in {location.path} ({location.chosen_by}):")
        for file in location.files:
            typer.echo(f"  {file.name}: {file.problem or f'verified, sha256 {file.sha256}'}")
