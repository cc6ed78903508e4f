"""Learned white balance and shot matching of whole films: what the network sees of them, and what it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiprod.base.files import sha256_file
from aiprod.base.progress import log, progress, ticker
from aiprod.errors import AiprodError
from aiprod.media.discovery import films_below, problem_of
from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.normalising import Crop, finished, scaler_for
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from aiprod.media.sniffing import sniff
from aiprod.media.training_mining import training_reservation
from aiprod.printable import escape_controls
from aiprod.rights.embedded import against_training

if TYPE_CHECKING:
    from aiprod.color.balance import Errors, Gains, Thumbnails

_PICTURES = 12
_HELD_OUT = 4  # one film in as many, from as many on
_STEPS = 400


def thumbnails_of(film: Path, count: int = _PICTURES) -> Thumbnails:
    """Up to ``count`` pictures from all over a film, uint8 R'G'B' of BT.709.

    Raises:
        MediaError: it does not open or has no picture.
    """
    from aiprod.color.balance import HEIGHT, WIDTH

    facts = probe(film)
    length_s = (facts.video.duration_s if facts.video is not None else None) or facts.duration_s or 0.0
    leave, thumbnails = Scaler(WIDTH, HEIGHT, "rgb24"), []
    with VideoReader(film) as reader:
        turned = reader.facts.orientation.transpose
        enter = scaler_for(*((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)), reader.facts)
        for n in range(count):
            timed = next(iter(reader.frames((n + 0.5) / count * length_s, on_screen=True)), None)
            if timed is not None:
                thumbnails.append(leave.array(finished(timed.frame, enter, reader.facts.orientation, Crop())))
    if not thumbnails:
        raise MediaError("no-frames", f"{film.name} shows no picture")
    return np.stack(thumbnails)


def train_balance(folder: Path, out: Path) -> Errors | None:
    """Learn from the films of a folder, as they were finished, and write the weights with the digests of these films.

    A film that does not open, or that says itself that it is not to be trained on, is left out by name. Every fourth
    film, in the order of names, is held out and measured on; nothing is measured with fewer than eight.

    Raises:
        AiprodError: there is too little to learn from.
    """
    from aiprod.color.balance import measured, save, train

    films, thumbnails = films_in(folder), {}
    for film in progress(films, "films", len(films)):
        try:
            refuse_reserved(film)
            thumbnails[str(film)] = thumbnails_of(film)
        except MediaError as error:
            log(f"left out: {escape_controls(film.name)}: {error.what}")
    names = sorted(thumbnails)
    heldout = names[_HELD_OUT - 1 :: _HELD_OUT] if len(names) >= 2 * _HELD_OUT else []
    shown = [n for n in names if n not in heldout]
    with ticker("learning", _STEPS) as tick:
        net = train({n: thumbnails[n] for n in shown}, _STEPS, advance=tick.advance)
    save(net, out, films=[sha256_file(Path(n)) for n in shown])
    return measured(net, {n: thumbnails[n] for n in heldout}) if heldout else None


def refuse_reserved(film: Path) -> None:
    """Keep a film out of training if its own metadata or its C2PA manifest says so, as ingest does.

    Raises:
        MediaError: it says so, or does not open.
    """
    reservation = against_training(embedded_statement(film)) or training_reservation(film, sniff(film).extension)
    if reservation is not None:
        raise MediaError("reserved", reservation)


def films_in(folder: Path) -> Sequence[Path]:
    """The files below a folder that may be films.

    Raises:
        AiprodError: it is no folder.
    """
    if not folder.is_dir():
        raise AiprodError(f"{folder} is not a folder", "give a folder of films, as they were finished")
    return [path for path in films_below(folder) if path.is_file() and problem_of(path) is None]


def gains_of(film: Path, model: Path, like: Path | None = None) -> Gains:
    """What a film's light is to be multiplied with to lose its cast, or to look like another.

    Raises:
        AiprodError: the model or a film does not open.
    """
    from aiprod.color.balance import balance_gains, load, match_gains

    net, thumbnails = load(model), thumbnails_of(film)
    return balance_gains(net, thumbnails) if like is None else match_gains(net, thumbnails_of(like), thumbnails)
