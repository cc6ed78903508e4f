"""The option by which a person says who they are, the same for every command that takes a decision."""

from __future__ import annotations

from typing import Annotated

import typer

As = Annotated[
    str | None,
    typer.Option("--as", help="who you are, as datasets/roles.yaml names you; else AIPROD_ACTOR, else git's user.name"),
]
