"""``aiprod measure``: meters of files and models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Measure what files and models sound like.")


@app.command()
def speech(
    file: Annotated[Path, typer.Argument(help="A sound or film file, or the folder of a speech model.")],
    text: Annotated[str, typer.Option(help="What a file says, so that words can be counted.")] = "",
    sentences: Annotated[int, typer.Option(min=3, max=10_000, help="For a model: how many sentences to draw.")] = 60,
) -> None:
    """Words that a recogniser understands, with its chance level and bounds (the extra `voice`), pitch and level.

    Example: aiprod measure speech line.wav --text "place blue at A two now"

    A model: aiprod measure speech models/speech
    """
    from aiprod.errors import AiprodError

    if file.is_dir():
        from aiprod.speech.fresh import fresh_commands
        from aiprod.speech.model import load_speech_model
        from aiprod.speech.scores import word_figures

        _print(word_figures(load_speech_model(file), fresh_commands(sentences)))
        return
    if not file.is_file():
        raise AiprodError(f"there is no file {file}", "give a sound file, or the folder of a speech model")
    from aiprod.speech.of_file import measure_file

    _print(measure_file(file, text))


def _print(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        typer.echo(f"{name:32} {value:.4g}" if isinstance(value, float) else f"{name:32} {value}")


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.add_typer(app, name="measure")
