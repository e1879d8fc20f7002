"""``lowroad new``: a study file and a problem module to begin with."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from lowroad.cli.messages import WRONG_USAGE, fail, readable_errors


def new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="The folder to make.")],
) -> None:
    """Write a study file and a problem module that run as they are."""
    with readable_errors():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", folder.name):
            told = "expected a name of at most 100 letters, digits, '.', '_', '-'"
            fail(f"{folder}: {told}", WRONG_USAGE)
        if folder.exists():
            fail(f"{folder} exists: choose another name, or remove it", WRONG_USAGE)
        folder.mkdir(parents=True)
        templates = files("lowroad.cli") / "templates"
        for name in ("study.toml", "problem.py"):
            text = (templates / f"{name}.txt").read_text(encoding="utf-8")
            (folder / name).write_text(text.replace("STUDY", folder.name), encoding="utf-8")
        typer.echo(
            f"{folder}/study.toml names what is compared, {folder}/problem.py what it is compared "
            f"on. To run it:\n  lowroad run {folder}/study.toml"
        )
