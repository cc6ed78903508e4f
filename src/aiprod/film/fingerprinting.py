"""Soft binding: a finished film is known again by its fingerprint after it was encoded anew and lost its metadata.

The words are those by which quality control finds duplicates (:mod:`aiprod.qc.checks.fingerprint`), over a whole film.
They are in its record, so that the film itself need not be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.film.record import films_below
from aiprod.media.audio import read_sound
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.qc.checks import borders, fingerprint
from aiprod.qc.clip_context import SmallFrame
from aiprod.qc.duplicates.clusters import Matches
from aiprod.qc.measure.decode_pass import LumaTaker
from aiprod.qc.params import DuplicateParams
from aiprod.qc.planes import shrink

LONGEST_S = 600.0
"""From the start; more would take memory, and tells nothing more."""
_WIDTH = 320
_RATE = 16_000
_OVERLAP = 0.5  # a part of a film is the film too; of two films, not one picture in ten agrees
_SLOT_S = 1 / fingerprint.PICTURE_HZ


class FilmPrint:
    """Gathers the fingerprint of a film while it is decoded for something else."""

    def __init__(self) -> None:
        self._pictures, self._bars = fingerprint.Fingerprint(LONGEST_S), borders.Borders()

    def feed(self, frame: SmallFrame) -> None:
        """Take a picture."""
        if frame.time_s <= LONGEST_S:
            self._pictures.feed(frame)
            self._bars.feed(frame)

    def figures(self, sound: NDArray[np.float32] | None, rate_hz: int) -> dict[str, Any] | None:
        """The words with the version of their method; None where there is nothing to see."""
        pictures = self._pictures.figures(borders.active_area(self._bars.figures()))
        if pictures["status"] != "ok":
            return None
        words = fingerprint.measure(pictures, sound, rate_hz, LONGEST_S)
        return {"version": fingerprint.VERSION, **{name: words[name] for name in ("look", "change", "sound")}}


def print_of(film: Path) -> dict[str, Any] | None:
    """The fingerprint of a film file; None where nothing of it can be seen or decoded."""
    film_print = FilmPrint()
    try:
        with VideoReader(film) as reader:
            luma_of, factor = LumaTaker(reader.facts), max(1, reader.facts.width // _WIDTH)
            first = None
            for number, timed in enumerate(reader.frames()):
                first = timed.time_s if first is None else first
                if timed.time_s - first > LONGEST_S:
                    break
                plane = shrink(luma_of.take(timed.frame), factor)
                nothing = np.zeros((0, 0), np.uint8)
                levels = luma_of.black_level, luma_of.white_level
                film_print.feed(SmallFrame(number, timed.time_s - first, plane, nothing, *levels))
            sound = read_sound(film, _RATE, 1, duration_s=LONGEST_S, origin_s=first or 0.0)
        return film_print.figures(sound, _RATE)
    except MediaError:
        return None


@dataclass(frozen=True)
class RecognisedFilm:
    """A film that another file shows.

    Attributes:
        path: of its record.
        later_s: by how much that file begins later in the film.
        evidence: what agrees, in words.
    """

    path: Path
    record: dict[str, Any]
    later_s: float
    evidence: str


def recognised(root: Path, film: Path) -> RecognisedFilm | None:
    """The film of this workspace whose pictures a file shows, or None."""
    known = [(path, record, words) for path, record in films_below(root) if (words := _print_in(path, record))]
    query = print_of(film) if known else None
    if query is None:
        return None
    prints: list[Mapping[str, Any]] = [*(words for _, _, words in known), query]
    matches = Matches.of(prints, DuplicateParams(overlap_min=_OVERLAP), range(len(prints))).pictures
    own = [match for (_, second), match in matches.items() if second == len(known)]
    if not own:
        return None
    best = min(own, key=lambda match: match.figures["look_bits"] + (match.figures["change_bits"] or 0.0))
    path, record, _ = known[best.first]
    evidence = f"{best.figures['look_bits']} of 64 bits of its looks differ, 32 by chance"
    if best.figures["sound_error"] is not None:
        evidence += f"; {best.figures['sound_error']:.1%} of those of its sound, 50 % by chance"
    return RecognisedFilm(
        path, record, best.shift * _SLOT_S, f"{evidence}{'; it is mirrored' if best.mirrored else ''}"
    )


def _print_in(path: Path, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The fingerprint in a record, or of the film beside it where its record has none of this method."""
    words = record.get("fingerprint")
    if isinstance(words, dict) and words.get("version") in fingerprint.COMPARABLE:
        return words
    film = path.with_name(str(record.get("file") or path.stem))
    return print_of(film) if film.is_file() else None
