"""The option by which a person says who they are, the same for every command that takes a decision."""

from __future__ import annotations

from typing import Annotated

import typer

As = Annotated[
    str | None,
    typer.Option(
        "--as", help="who you are; a name in datasets/roles.yaml (default: AIPROD_ACTOR, then git's user.name)"
    ),
]
