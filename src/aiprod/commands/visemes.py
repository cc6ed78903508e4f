"""``aiprod visemes``: curves of a mouth, for animation, from a voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def visemes(
    file: Annotated[Path, typer.Argument(help="A sound or film file with one voice.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv or .json.")] = Path("visemes.csv"),
    fps: Annotated[float, typer.Option(min=1.0, max=240.0, help="Rows per second.")] = 60.0,
    model: Annotated[Path, typer.Option(help="Folder of the trained model.")] = Path("models/visemes"),
) -> None:
    """Write the mouth movements of a voice: 15 visemes, and curves of ARKit's blendshapes from 0 to 1.

    Example: aiprod visemes line.wav --fps 30 --out line.csv
    """
    import time

    from aiprod.base.progress import log
    from aiprod.errors import AiprodError
    from aiprod.lips.blendshapes import blendshapes, write_curves
    from aiprod.lips.file_audio import read_voice
    from aiprod.lips.viseme_model import load_viseme_model
    from aiprod.speech.visemes import VISEMES, middles
    from aiprod.speech.voice import RATE

    if out.suffix.lower() not in {".csv", ".json"}:
        raise AiprodError(f"{out} is named neither .csv nor .json", "give a name that ends in one of them")
    network, sound = load_viseme_model(model), read_voice(file)
    begun = time.perf_counter()
    seconds = len(sound) / RATE
    times = middles(max(1, round(seconds * fps)), fps)
    kinds, mouth = network.see(sound).at(times)
    names = [VISEMES[n] for n in kinds.argmax(1)]
    write_curves(out, times, blendshapes(kinds, mouth), names, fps)
    took = time.perf_counter() - begun
    log(f"wrote {out} ({len(times)} lines, {seconds:.2f} s of sound in {took:.2f} s)")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(visemes)
