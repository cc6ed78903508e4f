"""The clips of talking heads in memory, as training and measuring take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import contained
from aiprod.lips.measure_file import pictures_of
from aiprod.lips.mouth_region import Picture, Square, cut, square_of
from aiprod.lips.rows import FaceRow
from aiprod.media.frames import VideoReader
from aiprod.speech.visemes import NUMBERS

# How the face mesh sees the eyes that were drawn: where squares come from when a film is dubbed. Training takes
# the truth, about as far off as the mesh is, so that both see squares of one kind.
_MESH_EYES, _SIZE_OFF, _PLACE_OFF = 1.1, 0.02, 0.015
_MESH_MOUTH = 0.92 / _MESH_EYES
_TREMBLE = 0.1  # of that, how far off each picture is besides: squares are smoothed


@dataclass(frozen=True)
class Squares:
    """A clip: its squares ``[T, size, size, 3]``, where they lie, and mouths ``[T, 4]``."""

    row: FaceRow
    squares: NDArray[np.uint8]
    places: list[Square]
    mouths: NDArray[np.float32]


def read_pictures(row: FaceRow, folder: Path) -> list[Picture]:
    """The pictures of a clip."""
    path = contained(folder, row.file_name)
    with VideoReader(path) as reader:
        return [picture for _, picture in pictures_of(path, reader)]


def mouth_of(row: FaceRow) -> NDArray[np.float32]:
    """``[T, 4]``."""
    return np.array(row.mouth, np.float32).reshape(-1, len(NUMBERS))


def load_squares(rows: Iterable[FaceRow], folder: Path, size: int, seed: int) -> list[Squares]:
    """Read clips, and cut their mouths out."""
    loaded = []
    for number, row in enumerate(rows):
        rng = np.random.default_rng([seed, number])
        poses = np.array(row.pose).reshape(-1, 4)
        one, each = rng.normal(0, 1, (1, 3)), rng.normal(0, _TREMBLE, (len(poses), 3))
        off = (one + each) * (_PLACE_OFF, _PLACE_OFF, _SIZE_OFF)
        squares = [
            square_of(pose[:2] + by[:2] * pose[2], _MESH_EYES * pose[2] * (1 + by[2]), np.deg2rad(pose[3]), _MESH_MOUTH)
            for pose, by in zip(poses, off, strict=True)
        ]
        pictures = [cut(p, square, size) for p, square in zip(read_pictures(row, folder), squares, strict=True)]
        loaded.append(Squares(row, np.stack(pictures), squares, mouth_of(row)))
    return loaded
