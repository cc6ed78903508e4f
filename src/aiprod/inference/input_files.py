"""Files given on the command line: read with the checks that ingest makes of their format, at the size of the model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.files import sha256_file
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.inference.input_image import read_picture
from aiprod.media.audio import read_sound
from aiprod.media.clips import read_clip
from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.errors import MediaError
from aiprod.media.probing import probe
from aiprod.media.sniffing import sniff
from aiprod.media.training_mining import training_reservation
from aiprod.rights.embedded import against_training

RATE = 48_000
RIGHTS_NOTE = (
    "the given files were checked for their format only; whose rights are in them was not checked, and a mark against "
    "training does not forbid editing one's own film: who gives them answers for the right to use them"
)
_BYTES_MOST = 2 << 30  # of a film's pictures at the model's size
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class InputFilm:
    """A film at the size and rate of the model.

    Attributes:
        pictures: uint8 RGB [N, H, W, 3]; None for a file of sound alone.
        sound: float32 [2, S], as long as the pictures; None without sound.
    """

    pictures: np.ndarray | None
    sound: np.ndarray | None

    @property
    def frames(self) -> int:
        """Pictures that it has; 0 for sound alone."""
        return 0 if self.pictures is None else len(self.pictures)


def read_film(
    path: Path, config: GenerationConfig, size: tuple[int, int] | None = None, *, most: int | None = None
) -> InputFilm:
    """A film.

    Args:
        size: (height, width) instead of the model's.
        most: pictures that are read; None = all.

    Raises:
        AiprodError: it does not open or is too long.
    """
    height, width = size or (config.height_px, config.width_px)
    try:
        facts = probe(path)
        if facts.video is None:
            sound = read_sound(path, RATE, 2)
            if sound is None or not sound.shape[1]:
                raise AiprodError(f"{path} holds neither pictures nor sound", "give a film or a recording")
            return InputFilm(None, sound)
        lasts = facts.video.duration_s or facts.duration_s or 0.0
        frames = min(max(1, round(lasts * config.fps)), most or sys.maxsize)
        if frames * height * width * 3 > _BYTES_MOST:
            seconds = _BYTES_MOST / (height * width * 3 * config.fps)
            raise AiprodError(f"{path} lasts {lasts:.1f} s, more than {seconds:.0f} s", "cut out the part")
        pictures, sound = read_clip(path, height, width, config.fps, frames, sample_rate=RATE)
    except MediaError as error:
        raise AiprodError(f"{path}: {error.what}", error.hint or "give a film that plays") from None
    return InputFilm(pictures, sound if facts.audio is not None else None)


def read_mask(path: Path, config: GenerationConfig, frames: int) -> np.ndarray:
    """What is to be made, bool [F, H, W]: where a picture, or each picture of a film, is lighter than mid-grey.

    Raises:
        AiprodError: it cannot be read, or nothing of it is light.
    """
    if path.suffix.lower() in _PICTURES:
        pictures = np.repeat(read_picture(path, config.height_px, config.width_px)[None], frames, axis=0)
    else:
        film = read_film(path, config).pictures
        if film is None:
            raise AiprodError(f"{path} holds no pictures", "give a picture or a film as mask")
        pictures = film[np.minimum(np.arange(frames), len(film) - 1)]
    light = pictures.mean(axis=-1) > 127.5
    if not light.any():
        raise AiprodError(f"{path} is dark throughout, so that nothing would be made", "paint white what is to be made")
    return np.asarray(light)


def about(option: str, path: Path) -> dict[str, Any]:
    """What the description of a result says of a file that was given.

    Raises:
        AiprodError: it cannot be read.
    """
    if not path.is_file():
        raise AiprodError(f"{path} does not exist", f"give {option} a file")
    facts: dict[str, Any] = {"option": option, "file": path.name, "sha256": sha256_file(path)}
    if path.suffix.lower() in _PICTURES:
        return {**facts, "rights": "not read of pictures"}
    try:
        rights: dict[str, Any] = dict(embedded_statement(path))
        reservations = [against_training(rights), training_reservation(path, sniff(path).extension)]
    except MediaError as error:
        raise AiprodError(f"{path}: {error.what}", error.hint or "give a film that plays") from None
    against = [reason for reason in reservations if reason]
    return {**facts, "rights": rights or "the file says nothing", **({"against_training": against} if against else {})}
