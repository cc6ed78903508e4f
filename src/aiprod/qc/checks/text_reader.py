"""Lines of text in a picture: found and read by PP-OCRv5 mobile (Apache-2.0), with this program's own arithmetic.

The detector gives, for each pixel, how probably it is text; each connected part becomes a rotated rectangle, which is
grown, for the detector was trained on shrunk ones (Liao et al., "Real-time Scene Text Detection with Differentiable
Binarization", AAAI 2020). What is inside is cut out, straightened and read; the reader's blanks and repetitions are
left out (CTC).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.onnx import load
from aiprod.qc.clip_context import Plane

SIDE_PX = 288
"""Shorter side at which text is looked for. It is read from the picture as it is handed in."""
_AFAR_PX = 160
_LONG_SIDE_MAX = 2048  # bounds what a very long picture costs
_GRID = 32  # both sides of what the detector is given are multiples
_PIXEL_MIN, _REGION_MIN, _GROW = 0.3, 0.9, 1.6
_LETTER_PX = 48  # height at which a line is read
_CORNERS_APART, _APART_MAX = 0.25, 8  # of two looks at one line: share of its height; codes in a quarter of a letter
_WIDTH_MIN, _WIDTH_MAX = 320, 1600
_REGIONS_MAX = 16
_READ_MIN = 0.8
_TEXT_MAX = 200  # characters that a row keeps of a line
_WORD = re.compile(r"[^\W_]")
_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_SPREAD = np.array((0.229, 0.224, 0.225), np.float32)
_CODES = (np.arange(256, dtype=np.float32) / np.float32(255) - _MEAN[:, None]) / _SPREAD[:, None]
_UPRIGHT_MIN = 1.5  # what is this much taller than wide is a line that runs downwards


class TextLine(NamedTuple):
    """A line of text.

    Attributes:
        box: left, top, width and height as shares of the picture.
        text: what is read.
        confidence: the reader's mean probability of its characters.
    """

    box: tuple[float, float, float, float]
    text: str
    confidence: float


class _KnownLine(NamedTuple):
    """What a region was read as: its corners, how it looked, what it says."""

    corners: np.ndarray
    line: Plane
    text: str
    confidence: float

    def looks_as(self, rgb: Plane, corners: np.ndarray) -> bool:
        """Whether a picture looks the same here up to what coding does, also where it differs most.

        The corners of a region that stands differ by a pixel or two from picture to picture, so its own are compared.
        """
        height = float(np.linalg.norm(self.corners - np.roll(self.corners, 1, axis=0), axis=1).min())
        if np.abs(self.corners - corners).max() > max(2.0, _CORNERS_APART * height):
            return False
        apart = cv2.absdiff(self.line, _fitted(_straightened(rgb, self.corners)))
        return bool(cv2.blur(apart, (_LETTER_PX // 4, _LETTER_PX // 4)).max() <= _APART_MAX)


class TextReader:
    """Reads pictures of one film in turn: what looks as it did in the picture before is not read again.

    Attributes:
        regions: how many the last picture had that may hold a line.
    """

    def __init__(self) -> None:
        self.regions = 0
        self._read: list[_KnownLine] = []

    def lines(self, rgb: Plane) -> list[TextLine]:
        """As :func:`read_lines`."""
        before, self._read = self._read, []
        lines: list[TextLine] = []
        for corners in (regions := _regions(rgb)):
            near = (known for known in before if known.looks_as(rgb, corners))
            if (known := next(near, None)) is None:
                line = _fitted(_straightened(rgb, corners))
                known = _KnownLine(corners, line, *_read(line))
            self._read.append(known)
            text, confidence = known.text, known.confidence
            if confidence >= _READ_MIN and len(_WORD.findall(text)) >= 2:
                lines.append(TextLine(_box(corners, rgb), text[:_TEXT_MAX], round(confidence, 2)))
        self.regions = len(regions)
        return sorted(lines, key=lambda line: (round(line.box[1] + line.box[3] / 2, 2), line.box[0]))


def read_lines(rgb: Plane) -> list[TextLine]:
    """The lines of a picture [h, w, 3] RGB, from top to bottom; two letters or digits at least in each."""
    return TextReader().lines(rgb)


def may_hold_text(rgb: Plane) -> bool:
    """Whether anything in a picture looks like text from afar, in a third of the time; small lettering does not."""
    return bool((_text_map(rgb, _AFAR_PX) > _PIXEL_MIN).any())


def _regions(rgb: Plane) -> list[np.ndarray]:
    """Corners [4, 2] of regions that may hold a line, the largest first."""
    tall, wide = rgb.shape[:2]
    scores = _text_map(rgb, SIDE_PX)
    h, w = scores.shape
    outlines, _ = cv2.findContours((scores > _PIXEL_MIN).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    regions: list[tuple[float, np.ndarray]] = []
    for outline in outlines:
        centre, (a, b), angle = cv2.minAreaRect(outline)
        if min(a, b) < 3 or _mean_inside(scores, outline) < _REGION_MIN:
            continue
        grow = a * b * _GROW / (a + b)
        corners = cv2.boxPoints((centre, (a + grow, b + grow), angle)) * np.array((wide / w, tall / h), np.float32)
        regions.append((a * b, corners))
    return [corners for _, corners in sorted(regions, key=lambda item: -item[0])[:_REGIONS_MAX]]


def _text_map(rgb: Plane, side_px: int) -> NDArray[np.float32]:
    """How probably each pixel of the picture, its shorter side of so many at most, is text."""
    tall, wide = rgb.shape[:2]
    shrink = min(1.0, side_px / min(tall, wide), _LONG_SIDE_MAX / max(tall, wide))
    h, w = (max(_GRID, round(side * shrink / _GRID) * _GRID) for side in (tall, wide))
    small = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
    planes = np.empty((1, 3, h, w), np.float32)
    for channel in range(3):  # plane by plane, as it wants them: BGR
        cv2.LUT(cv2.extractChannel(small, 2 - channel), _CODES[channel], planes[0, channel])
    (scores,) = load(BUNDLED["text"].file("det.onnx"))(planes)
    text_map: NDArray[np.float32] = scores[0, 0]
    return text_map


def _mean_inside(scores: np.ndarray, outline: np.ndarray) -> float:
    x, y, w, h = cv2.boundingRect(outline)
    mask = np.zeros((h, w), np.uint8)
    cv2.drawContours(mask, [outline - np.array([x, y])], -1, 1, cv2.FILLED)
    return float(scores[y : y + h, x : x + w][mask > 0].mean())


def _straightened(rgb: Plane, corners: np.ndarray) -> Plane:
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (half[np.argsort(half[:, 1], kind="stable")] for half in (by_x[:2], by_x[2:]))
    source = np.array([left[0], right[0], right[1], left[1]], np.float32)
    w = max(2, round(float(max(np.linalg.norm(source[0] - source[1]), np.linalg.norm(source[3] - source[2])))))
    h = max(2, round(float(max(np.linalg.norm(source[0] - source[3]), np.linalg.norm(source[1] - source[2])))))
    turn = cv2.getPerspectiveTransform(source, np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32))
    line = cv2.warpPerspective(rgb, turn, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.rot90(line) if h >= _UPRIGHT_MIN * w else line


def _fitted(line: Plane) -> Plane:
    """A cut-out line [48, w, 3] RGB at the height at which it is read."""
    h, w = line.shape[:2]
    width = min(_WIDTH_MAX, max(_LETTER_PX, round(_LETTER_PX * w / h)))
    return cv2.resize(np.ascontiguousarray(line), (width, _LETTER_PX))


def _read(line: Plane) -> tuple[str, float]:
    """What a fitted line says, and the mean probability of its characters; 0 where it says nothing."""
    width = line.shape[1]
    small = line[:, :, ::-1].astype(np.float32)
    batch = np.zeros((1, 3, _LETTER_PX, max(_WIDTH_MIN, width)), np.float32)
    batch[0, :, :, :width] = (small / np.float32(127.5) - np.float32(1)).transpose(2, 0, 1)
    (scores,) = load(BUNDLED["text"].file("rec.onnx"))(batch)
    best, probability = scores[0].argmax(axis=1), scores[0].max(axis=1)
    kept = (best != 0) & np.r_[True, best[1:] != best[:-1]]
    if not kept.any():
        return "", 0.0
    letters = _letters()
    return "".join(letters[i] for i in best[kept].tolist()).strip(), float(probability[kept].mean())


@lru_cache(maxsize=1)
def _letters() -> list[str]:
    # By line feeds alone: some of the characters are themselves line ends to str.splitlines.
    return BUNDLED["text"].file("keys_v5.txt").read_text(encoding="utf-8").split("\n")


def _box(corners: np.ndarray, rgb: Plane) -> tuple[float, float, float, float]:
    size = np.array([rgb.shape[1], rgb.shape[0]])
    low, high = np.clip(corners.min(axis=0) / size, 0, 1), np.clip(corners.max(axis=0) / size, 0, 1)
    x, y, w, h = (round(float(value), 3) for value in (*low, *(high - low)))
    return x, y, w, h


def rows_of(lines: Iterable[TextLine], still: int) -> list[dict[str, Any]]:
    """The lines of a still as a row keeps them."""
    return [{"still": still, "box": list(line.box), "text": line.text, "confidence": line.confidence} for line in lines]
