"""The ``aiprod`` command: registers the sub-commands and turns errors into one line and an exit code.

Exit codes: 0 success, 1 the answer is no (a rejected clip, a broken log), 2 wrong usage or bad input, 70 an unexpected
error (the traceback is in the state folder; ``AIPROD_TRACEBACK=1`` shows it).
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

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
    "where",
    "params",
)

app = typer.Typer(
    name="aiprod",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From licensed film to a text-to-video-with-audio model, with verifiable provenance.",
)

for _name in COMMANDS:
    importlib.import_module(f"aiprod.commands.{_name}").register(app)


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
