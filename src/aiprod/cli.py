"""The ``aiprod`` command: registers the sub-commands and turns errors into one line and an exit code.

Exit codes: 0 success, 1 the answer is no (a rejected clip, a broken log), 2 wrong usage or bad input, 70 an unexpected
error (the traceback is in the state folder; ``AIPROD_TRACEBACK=1`` shows it).
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata
from typing import Annotated

import typer
from typer.models import CommandInfo, TyperInfo

from aiprod.base.denials import log_to
from aiprod.base.unexpected import end_with
from aiprod.commands.options import log_denials
from aiprod.errors import is_disk_full, is_one_line

# Name on the command line → module with ``register(app)``. Heavy imports stay inside the functions of those modules.
COMMANDS = (
    "doctor",
    "qc",
    "caption",
    "generate",
    "speak",
    "measure",
    "cut",
    "grade",
    "film",
    "lineage",
    "sources",
    "audit",
    "keys",
    "erase",
    "dataset",
    "review",
    "consent",
    "export",
    "release",
    "model",
    "summary",
    "where",
    "params",
)

PANELS = {  # heading in the list of commands → the commands under it
    "Run and results": ("doctor", "params", "summary", "where", "ui", "generate", "model"),
    "Films": ("qc", "caption", "speak", "measure", "cut", "grade", "film"),
    "Sources and data": ("sources", "dataset", "review", "consent"),
    "Proof": ("lineage", "audit", "export", "release"),
    "Privacy": ("erase", "keys"),
}

app = typer.Typer(
    name="aiprod",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From licensed film to a text-to-video-with-audio model, with verifiable provenance.",
)

for _name in COMMANDS:
    importlib.import_module(f"aiprod.commands.{_name}").register(app)

_HEADING = {name: heading for heading, names in PANELS.items() for name in names}
_infos: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
for _info in _infos:
    _callback = getattr(_info, "callback", None)
    _called = _info.name or (_callback.__name__ if callable(_callback) else "")
    _info.rich_help_panel = _HEADING[_called]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aiprod {metadata.version('aiprod')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """From licensed film to a text-to-video-with-audio model, with verifiable provenance."""


def main() -> None:
    """Entry point of the ``aiprod`` command."""
    log_to(log_denials)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # while what goes wrong can still be said
    except BrokenPipeError:  # `aiprod … | head`
        _drop_output()
        sys.exit(0)
    except Exception as error:
        if is_disk_full(error) and not is_one_line(error):
            _drop_output()
        line, status = end_with(error)
        print(line, file=sys.stderr)
        sys.exit(status)


def _drop_output() -> None:
    """Send what was not written yet, and cannot be, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
