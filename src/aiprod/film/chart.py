"""A test chart as a shot, and what became of its colours in the finished film."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import write_bytes
from aiprod.color.cdl import Cdl
from aiprod.color.grade import Grade, applied
from aiprod.media.frames import VideoReader
from aiprod.media.rgb_frames import rgb_frames

_COLUMNS, _ROWS = 6, 4
_LEVELS = (24, 64, 104, 144, 184, 224)  # of gray
_COLOURS = (
    (190, 40, 40), (40, 160, 60), (40, 60, 170), (190, 170, 40), (160, 50, 140), (40, 150, 170),
    (215, 160, 135), (120, 80, 60), (90, 110, 150), (95, 120, 60), (130, 125, 175), (110, 185, 165),
    (230, 130, 50), (75, 85, 165), (190, 85, 95), (85, 55, 100), (155, 185, 65), (225, 160, 45),
)  # fmt: skip
PATCHES = np.array([*((level,) * 3 for level in _LEVELS), *_COLOURS], np.uint8)
"""RGB of the patches, row by row: gray, saturated colours, and those of skin, sky, leaves and fruit."""
_GROUND = 16


def _boxes(width: int, height: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each patch: four fifths of a cell of the middle nine tenths of the picture."""
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            cells = (height * 9 // 10 / _ROWS, width * 9 // 10 / _COLUMNS)
            starts = (height / 20 + row * cells[0], width / 20 + column * cells[1])
            top, left = (round(start + cell / 10) for start, cell in zip(starts, cells, strict=True))
            tall, wide = (round(cell * 0.8) for cell in cells)
            yield slice(top, top + tall), slice(left, left + wide)


def write_chart(path: Path, width: int, height: int) -> None:
    """Write the chart as PNG."""
    import cv2

    picture = np.full((height, width, 3), _GROUND, np.uint8)
    for box, colour in zip(_boxes(width, height), PATCHES, strict=True):
        picture[box] = colour
    done, data = cv2.imencode(".png", picture[..., ::-1])
    assert done
    write_bytes(path, data.tobytes())


def codes_off(film: Path, record: dict[str, Any]) -> list[float]:
    """How far each patch of a film's charts is from its colour through the grade of its shot, in codes of 255.

    The middle picture of each shot is looked at. Shots whose grade reads files are left out: the record holds none.
    """
    kinds = [each["kind"] for each in record["ingredients"]]
    off: list[float] = []
    for shot in record["shots"]:
        grade = dict(shot.get("grade") or {})
        if kinds[shot["ingredient"]] != "chart" or grade.pop("files", []):
            continue
        wanted = np.asarray(PATCHES / 255, np.float32)
        if grade:
            correction = Cdl(**cdl) if (cdl := grade.pop("cdl", None)) else None
            wanted = np.asarray(applied(Grade(**grade, cdl=correction), wanted), np.float32).clip(0, 1)
        middle = (shot["record_in"] + shot["record_out"]) // 2
        shown = _picture(film, float((middle - Fraction(1, 4)) / Fraction(record["rate"])))
        height, width = shown.shape[:2]
        for box, colour in zip(_boxes(width, height), wanted, strict=True):
            inside = shown[box]
            rim = max(2, min(inside.shape[:2]) // 8)
            mean = inside[rim:-rim, rim:-rim].reshape(-1, 3).mean(axis=0)
            off.append(float(np.abs(mean - colour * 255).max()))
    return off


def _picture(film: Path, from_s: float) -> NDArray[np.uint8]:
    with VideoReader(film) as reader:
        return next(picture for _, picture in rgb_frames(reader, start_s=from_s))
