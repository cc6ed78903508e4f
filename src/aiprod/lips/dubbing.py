"""Writes a film whose face says something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.lips.measure_file import MeasuredFilm, pictures_of, see
from aiprod.lips.mouth_model import MouthModel
from aiprod.lips.redrawing import Redrawer
from aiprod.lips.viseme_model import VisemeModel
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.qc.bundled.face_mesh import Face, Picture

SOUND_HZ = 48_000
LIPS_SHOW_MIN = 2.5
"""How much redder lips are than cheeks, in a* of CIELAB, at least: less, and something is before the mouth."""


@dataclass(frozen=True)
class DubResult:
    """What was written."""

    pictures: int
    redrawn: int


def find_face(path: Path, which: int | None) -> MeasuredFilm:
    """Follow the face that is to speak.

    Args:
        which: 0 is the largest; None: there has to be one alone.

    Raises:
        AiprodError: no face, several and none was named, or its mouth is hidden.
    """
    film = see(path, which or 0)
    if not any(face is not None for face in film.faces):
        raise AiprodError(
            f"no face is seen in {path}" if not film.face_count else f"{path} has no face number {which}",
            "give a film with a face that looks towards the camera"
            if not film.face_count
            else "--face 0 is the largest",
        )
    if film.face_count > 1 and which is None:
        raise AiprodError(
            f"{film.face_count} faces are seen in {path}", "say whose mouth it is: --face 0 is the largest"
        )
    if film.lips is not None and film.lips < LIPS_SHOW_MIN:
        raise AiprodError(
            f"the mouth in {path} is hidden: no lips are seen in it", "give a film in which nothing is before the mouth"
        )
    return film


def write_dubbed(  # noqa: PLR0917 (what a film is made of)
    path: Path,
    out: Path,
    film: MeasuredFilm,
    voice: NDArray[np.float32],
    sound: NDArray[np.float32],
    visemes: VisemeModel,
    model: MouthModel,
    tags: Mapping[str, str],
) -> DubResult:
    """Write a film with new sound, in which the face says it. What is not mouth, jaw or cheek stays as it was.

    Args:
        film: as :func:`find_face` gives it.
        voice: at 16 kHz, from where the film begins.
        sound: the same, as it is to be heard, float32 [1 or 2, samples] at :data:`SOUND_HZ`.
    """
    faces = [None if face is None else Face(face.points / film.scale) for face in film.faces]
    redrawer = Redrawer(model, faces, film.step_s)
    with VideoReader(path) as reader:
        for number, (_, picture) in enumerate(pictures_of(path, reader)):
            redrawer.remember(number, picture)
    mouths = visemes.see(voice).at(film.times_s)[1]

    def pictures(reader: VideoReader) -> Iterator[Picture]:
        for number, (_, picture) in enumerate(pictures_of(path, reader)):
            yield redrawer.draw(number, picture, mouths[number])

    length = round((float(film.times_s[-1]) + film.step_s / 2) * SOUND_HZ)
    padded = np.pad(sound, ((0, 0), (0, max(0, length - sound.shape[1]))))[:, :length]
    with VideoReader(path) as reader:
        begins = (float(at) - film.step_s / 2 for at in film.times_s)
        count = encode(out, pictures(reader), 1 / film.step_s, padded, crf=16.0, times_s=begins, tags=tags)
    return DubResult(count, sum(square is not None for square in redrawer.squares))
