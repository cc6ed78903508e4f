"""The ``aiprod`` command: registers the sub-commands and turns errors into one line and an exit code.

Exit codes: 0 success, 1 the answer is no (a rejected clip, a broken log), 2 wrong usage or bad input, 70 an unexpected
error (the traceback is in the state folder; ``AIPROD_TRACEBACK=1`` shows it).
"""

from __future__ import annotations

import atexit
import gc
import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from typer.models import CommandInfo, TyperInfo

from aiprod.base.crash_report import end_with
from aiprod.base.denials import log_to
from aiprod.commands.options import log_denials, with_checked_paths
from aiprod.errors import is_disk_full, is_one_line

# Name on the command line → module with ``register(app)``. Heavy imports stay inside the functions of those modules.
COMMANDS = (
    "doctor",
    "qc",
    "caption",
    "generate",
    "speak",
    "visemes",
    "dub",
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
    "desk",
    "consent",
    "export",
    "release",
    "sign",
    "promote",
    "model",
    "summary",
    "where",
    "params",
)

PANELS = {  # heading in the list of commands → the commands under it
    "Run and results": ("doctor", "params", "summary", "where", "desk", "ui", "generate", "model"),
    "Films": ("qc", "caption", "speak", "visemes", "dub", "measure", "cut", "grade", "film"),
    "Sources and data": ("sources", "dataset", "review", "consent"),
    "Proof": ("lineage", "audit", "export", "release", "sign", "promote"),
    "Privacy": ("erase", "keys"),
}


def build(modules: Sequence[str] = COMMANDS) -> typer.Typer:
    """The ``aiprod`` command with the sub-commands of these modules."""
    built = typer.Typer(
        name="aiprod",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="From licensed film to a text-to-video-with-audio model, with verifiable provenance.",
    )
    built.callback()(_options)
    for name in modules:
        importlib.import_module(f"aiprod.commands.{name}").register(built)
    headings = {name: heading for heading, names in PANELS.items() for name in names}
    infos: list[CommandInfo | TyperInfo] = [*built.registered_commands, *built.registered_groups]
    for info in infos:
        callback = getattr(info, "callback", None)
        called = info.name or (callback.__name__ if callable(callback) else "")
        info.rich_help_panel = headings[called]
    for command in _commands(infos):
        assert command.callback is not None
        command.callback = with_checked_paths(command.callback)
        _join_help_lines(command)
    return built


def _commands(infos: Sequence[CommandInfo | TyperInfo]) -> Iterator[CommandInfo]:
    """Every command, however deep in groups."""
    for info in infos:
        if isinstance(info, TyperInfo):
            group = info.typer_instance
            yield from _commands([*group.registered_commands, *group.registered_groups] if group else [])
        elif info.callback is not None:
            yield info


def _join_help_lines(command: CommandInfo) -> None:
    """Let the terminal break the lines of a help text: typer keeps those of the source below the first paragraph."""
    text = command.help or inspect.getdoc(command.callback) or ""
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _version(requested: bool) -> None:
    if requested:
        from importlib import metadata

        typer.echo(f"aiprod {metadata.version('aiprod')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """From licensed film to a text-to-video-with-audio model, with verifiable provenance."""


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = build()
    return globals()["app"]


def run() -> None:
    """Run the command that is called, put together alone where it is named first: all take longer than most run."""
    called = sys.argv[1] if len(sys.argv) > 1 else ""
    (build((called,)) if called in COMMANDS and "_AIPROD_COMPLETE" not in os.environ else build())()


def main() -> None:
    """Entry point of the ``aiprod`` command."""
    gc.set_threshold(50_000)  # imports leave no cycles behind: looking for them takes a tenth of importing PyTorch
    atexit.register(gc.freeze)  # or the interpreter looks through all that is left before it ends, for 0.06 s
    log_to(log_denials)
    try:
        try:
            run()
        finally:
            sys.stdout.flush()  # while what goes wrong can still be said
    except (BrokenPipeError, SystemExit) as end:
        # `aiprod … | head`. Click catches it within a command, and exits with 1, which here says that the answer is no.
        if not isinstance(end, BrokenPipeError) and not isinstance(end.__context__, BrokenPipeError):
            raise
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
