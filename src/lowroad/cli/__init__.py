"""The command line: arguments, messages and exit codes. One file for each kind of command."""

from __future__ import annotations

from typing import Annotated

import typer

from lowroad.cli.connect_command import connect
from lowroad.cli.data_command import data
from lowroad.cli.directory_commands import export, report, status, verify
from lowroad.cli.new_command import new
from lowroad.cli.plane_command import plane
from lowroad.cli.run_command import run
from lowroad.cli.sharpness_command import sharpness
from lowroad.execution.streams import tolerate_closed_output

__all__ = ["app", "main"]

app = typer.Typer(
    help="Find the low roads between minima: train networks, connect them, compare and report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (new, run, status, verify, report, export, data, connect, plane, sharpness):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    tolerate_closed_output()
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
