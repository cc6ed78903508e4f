"""What several commands share: the option by which a person says who they are, and where denials are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from aiprod.base.denials import Refusal

As = Annotated[
    str | None,
    typer.Option(
        "--as", help="who you are; a name in datasets/roles.yaml (default: AIPROD_ACTOR, then git's user.name)"
    ),
]


def log_denials(refusals: Sequence[Refusal], *, once: bool = False) -> None:
    """Write denials to the audit log. A module of its own opens that, because few commands need it."""
    from aiprod.governance.audit.denials import append

    append(refusals, once=once)
