"""``aiprod measure``: meters of files and models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Measure films, files and models.")


@app.command()
def speech(
    file: Annotated[Path, typer.Argument(help="A sound or film file, or the folder of a speech model.")],
    text: Annotated[str, typer.Option(help="The text that the file should say, to count words against.")] = "",
    sentences: Annotated[int, typer.Option(min=3, max=10_000, help="For a model: how many sentences to draw.")] = 60,
) -> None:
    """Share of words a recogniser understands, with chance level and bounds (extra `voice`); pitch and level; ratings.

    Ratings are those of DNSMOS, from 1 to 5, where the extra `mos` is installed.

    Example: aiprod measure speech line.wav --text "place blue at A two now"

    A model: aiprod measure speech models/speech
    """
    from aiprod.errors import AiprodError

    if file.is_dir():
        from aiprod.speech.held_out import fresh_commands
        from aiprod.speech.model import load_speech_model
        from aiprod.speech.mos import installed
        from aiprod.speech.scores import ratings, word_figures

        model, spoken = load_speech_model(file), fresh_commands(sentences)
        _print(word_figures(model, spoken) | (ratings(model, spoken) if installed() else {}))
        return
    if not file.is_file():
        raise AiprodError(f"there is no file {file}", "give a sound file, or the folder of a speech model")
    from aiprod.speech.measure_file import measure_file

    _print(measure_file(file, text))


@app.command()
def lips(
    file: Annotated[Path, typer.Argument(help="A film with a face that speaks.")],
    text: Annotated[str, typer.Option(help="What is said, in English; it is aligned (extra `voice`).")] = "",
    times: Annotated[
        Path | None,
        typer.Option(help="JSON file of phones as `aiprod speak` writes it; default: that beside the film."),
    ] = None,
    face: Annotated[int, typer.Option(min=0, max=63, help="Which face if there are several; 0 = the largest.")] = 0,
) -> None:
    """Whether the mouth closes on P, B and M and opens on open vowels, and by how many frames the sound lags.

    auc is the share of pairs in which the vowel's mouth is wider; auc_mismatched the same with a sound that does not
    belong to the picture. sound_late_frames is positive where the sound comes after the picture.

    Example: aiprod measure lips talk.mp4 --text "place blue at A two now"
    """
    from aiprod.errors import AiprodError
    from aiprod.lips.measure_file import measure_lips

    if not file.is_file():
        raise AiprodError(f"there is no file {file}", "give a film with a face that speaks")
    _print(measure_lips(file, text=text, times=times, which=face))


@app.command()
def film(
    file: Annotated[Path, typer.Argument(help="A film that `aiprod film` made.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """A finished film compared with the targets of its profile, and the words understood in its final mix.

    Exit code 1 if a target is missed. Words need the extra `voice`.

    Example: aiprod measure film reports/film/film.mp4
    """
    import json

    from aiprod.base.state import workspace
    from aiprod.film.targets import measure_film

    figures, notes = measure_film(file, workspace())
    if as_json:
        typer.echo(json.dumps({each.name: vars(each) for each in figures} | {"notes": notes}, indent=1))
    else:
        for each in figures:
            value = f"{each.value:.4g}" if isinstance(each.value, float) else str(each.value)
            holds = {None: "", True: "holds", False: "MISSED"}[each.holds]
            typer.echo(f"{each.name:34} {value:>10}  {holds:6}  {each.target}".rstrip())
        for note in notes:
            typer.echo(f"note: {note}")
    if any(each.holds is False for each in figures):
        raise typer.Exit(1)


def _print(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        typer.echo(f"{name:32} {value:.4g}" if isinstance(value, float) else f"{name:32} {value}")


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.add_typer(app, name="measure")
