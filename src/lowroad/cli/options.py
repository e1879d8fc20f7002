"""Arguments that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

LandscapeFunction = Annotated[
    str, typer.Option(metavar="MODULE:FUNCTION", help="A function that returns the landscape.")
]
Key = Annotated[
    str | None, typer.Option(help="Where the weights are in a checkpoint: state_dict_ema.")
]
Trainable = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help='Only these parameters: "head.*". Repeatable.'),
]
