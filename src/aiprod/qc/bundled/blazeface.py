"""Faces by two networks of MediaPipe that lie here: the short-range BlazeFace finds, the full-range one confirms.

Each was trained on its own, so what they agree on is a face far more often than what either says alone. A face in
profile the second hardly knows: there a cascade may confirm instead. Faces are found, never matched or embedded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aiprod.qc.bundled import profile_cascade
from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.fitting import Runtime, fastest, signed

if TYPE_CHECKING:
    from aiprod.qc.clip_context import Plane, Still

VERSION = "4"
METHOD = (
    "BlazeFace on the stills at a shorter side of 480 px: the short-range network on the whole and on squares of 0.6 "
    "of the shorter side; each hit confirmed by the full-range network on a cut-out of four times its size; "
    "less is asked of the first where faces are small; what the second does not confirm may be confirmed by a Haar "
    "cascade for profiles in 15 looks"
)
SIDE_PX = 480
# Both have to see a face. A small one scores less with the first network (0.35 to 0.7), often more with the second, and
# both have to be sure of it together.
FOUND_MIN, CONFIRMED_MIN = 0.7, 0.45
_SMALL_PX, _SMALL_FOUND_MIN, _TOGETHER_MIN = 64, 0.35, 1.15
_PROFILE_PX, _PROFILE_FOUND_MIN = 48, 0.45  # of a profile the first network is less sure
_PROFILES = 3  # places of a picture that are looked at: bounds what they cost
_OVERLAP = 0.4  # of the smaller of two boxes, from which they are one face
_LAP = 0.15  # by which squares overlap
_PARTS = (0.6, 1.0)  # sides of the squares, of the picture's shorter side
_SQUARES_MAX = 24  # a picture of sixteen by nine takes eight: bounds what a very long one costs
_SHORT_PX = 128  # a side of what the first network is given
_CUT_OUT = 4.0  # times a face's size
_Box = tuple[float, float, float, float, float]
"""Left, top, width, height in pixels, and the score."""


def identity() -> dict[str, str]:
    """How faces are looked for."""
    return {"method": METHOD, "version": f"{VERSION}-{BUNDLED['faces'].identity()}"}


def find(
    rgb: Plane, runtime: Runtime = fastest, *, profiles: bool = False, quick: bool = False
) -> list[dict[str, Any]]:
    """Faces of an upright picture [h, w, 3] RGB: ``box`` as shares of it, and ``confidence``; the surest first.

    Args:
        profiles: find faces in profile, too, whose mouth nothing here follows.
        quick: leave out the larger squares, which find hardly anything that the others do not, and make the others of
            a large picture smaller in two steps: to average all pixels of each takes a third of the network's time.
    """
    answers: list[_Box] = []
    for x, y, times, part in _parts(rgb, quick=quick):
        for a, b, c, d, score in _short(part, runtime):
            answers.append((x + times * a, y + times * b, times * c, times * d, score))
    faces, boxes = [], []
    for box in _merged([box for box in answers if box[4] >= _found_min(box[3])]):
        confirmed = _confirmation(rgb, box, runtime)
        if confirmed >= CONFIRMED_MIN and box[4] + confirmed >= _TOGETHER_MIN - 1e-9:
            boxes.append(box)
            faces.append(_face(rgb, box, min(box[4], confirmed)))
    if profiles:
        faces += [_face(rgb, box, box[4]) for box in _profiles(rgb, answers, boxes)]
    return sorted(faces, key=lambda face: (-face["confidence"], face["box"]))


def faces_in(still: Still) -> list[dict[str, Any]]:
    """Faces of a still by the bundled networks, which several checks ask for: ``box`` and ``confidence`` of each."""
    if "faces" not in still.shared:
        still.shared["faces"] = find(still.upright_rgb(SIDE_PX), profiles=True, quick=True)
    faces: list[dict[str, Any]] = still.shared["faces"]
    return faces


def _face(rgb: Plane, box: _Box, confidence: float) -> dict[str, Any]:
    h, w = rgb.shape[:2]
    low = np.clip([box[0] / w, box[1] / h], 0, 1)
    high = np.clip([(box[0] + box[2]) / w, (box[1] + box[3]) / h], 0, 1)
    place = [round(float(value), 3) for value in (*low, *(high - low))]
    return {"box": place, "confidence": round(confidence, 2)}


def _profiles(rgb: Plane, answers: list[_Box], faces: list[_Box]) -> list[_Box]:
    """What the first network may have seen in profile, beside the faces: as a cascade confirms it."""
    likely = [box for box in answers if box[4] >= _PROFILE_FOUND_MIN and min(box[2:4]) >= _PROFILE_PX]
    apart = [box for box in _merged(likely) if all(_shared(box, face) < _OVERLAP for face in faces)]
    if not apart:
        return []
    luma, found = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), []
    for box in apart[:_PROFILES]:
        size = max(box[2:4])
        left, top = box[0] + (box[2] - size) / 2, box[1] + (box[3] - size) / 2
        if profile_cascade.windows(luma, left, top, size) >= profile_cascade.WINDOWS_MIN:
            found.append(box)
    return found


def _found_min(size_px: float) -> float:
    """How sure of a face the first network has to be."""
    return FOUND_MIN if size_px >= _SMALL_PX else _SMALL_FOUND_MIN


def _parts(rgb: Plane, *, quick: bool) -> Iterator[tuple[int, int, int, Plane]]:
    """The whole picture, then squares of it, of one size if ``quick``: corner, how much smaller each is, the part."""
    yield 0, 0, 1, rgb
    h, w = rgb.shape[:2]
    times, first = 1, rgb
    if quick and _PARTS[0] * min(h, w) >= 2 * _SHORT_PX:
        times, first = 2, cv2.resize(rgb[: h // 2 * 2, : w // 2 * 2], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
    h, w = first.shape[:2]
    for share in _PARTS:
        side = max(16, round(share * min(h, w)))
        places = [(x, y) for y in _starts(h, side) for x in _starts(w, side)]
        if 1 < len(places) <= _SQUARES_MAX:
            for x, y in places:
                yield times * x, times * y, times, first[y : y + side, x : x + side]
            if quick:
                return


def _starts(length: int, side: int) -> list[int]:
    step = side * (1 - _LAP)
    count = max(1, int(np.ceil((length - side * _LAP) / step - 1e-6)))
    return [round(value) for value in np.linspace(0, max(0, length - side), count)]


def _confirmation(rgb: Plane, box: _Box, runtime: Runtime) -> float:
    """The full-range network's best score for what overlaps a box, on a cut-out around it."""
    reach = _CUT_OUT * max(box[2], box[3]) / 2
    middle = box[0] + box[2] / 2, box[1] + box[3] / 2
    left, top = (max(0, round(value - reach)) for value in middle)
    part = rgb[top : round(middle[1] + reach), left : round(middle[0] + reach)]
    if min(part.shape[:2]) < 8:
        return 0.0
    near = [hit for hit in _full(part, runtime) if _shared((hit[0] + left, hit[1] + top, *hit[2:]), box) >= _OVERLAP]
    return max((hit[4] for hit in near), default=0.0)


def _merged(boxes: list[_Box]) -> list[_Box]:
    """The surest of those that overlap."""
    kept: list[_Box] = []
    for box in sorted(boxes, key=lambda box: (-box[4], box[:4])):
        if all(_shared(box, other) < _OVERLAP for other in kept):
            kept.append(box)
    return kept


def _shared(a: _Box, b: _Box) -> float:
    """The overlap of two boxes, as a share of the smaller one."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    smaller = min(a[2] * a[3], b[2] * b[3])
    return max(0.0, wide) * max(0.0, tall) / smaller if smaller > 0 else 0.0


def _short(part: Plane, runtime: Runtime) -> list[_Box]:
    return _answers(runtime, part, "short_range.tflite", _SHORT_PX, ("classificators", "regressors"))


def _full(part: Plane, runtime: Runtime) -> list[_Box]:
    return _answers(
        runtime, part, "full_range.tflite", 192, ("reshaped_classifier_face_4", "reshaped_regressor_face_4")
    )


def _answers(runtime: Runtime, part: Plane, name: str, side: int, outputs: tuple[str, str]) -> list[_Box]:
    """What a network says of a picture, made to fit its square input: boxes in the picture's pixels."""
    h, w = part.shape[:2]
    scale = side / max(h, w)
    tall, wide = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (side - tall) // 2, (side - wide) // 2
    batch = np.zeros((side, side, 3), np.float32)  # the middle of the codes round the picture
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(part, (wide, tall), interpolation=method)
    batch[top : top + tall, left : left + wide] = signed(small)
    logits, offsets = runtime(BUNDLED["faces"].file(name))(batch, outputs)
    scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -50, 50)))
    likely = np.flatnonzero(scores >= min(_SMALL_FOUND_MIN, CONFIRMED_MIN))
    boxes: list[_Box] = []
    for i in likely.tolist():
        x, y, box_w, box_h = (float(value) for value in offsets[0, i, :4])
        centre_x, centre_y = x + side * _anchors(side)[i, 0], y + side * _anchors(side)[i, 1]
        corner = (centre_x - box_w / 2 - left) / scale, (centre_y - box_h / 2 - top) / scale
        boxes.append((*corner, box_w / scale, box_h / scale, float(scores[i])))
    return boxes


@lru_cache(maxsize=2)
def _anchors(side: int) -> np.ndarray:
    """Middle points [n, 2] of the places that the outputs are about, as shares of the input."""
    grids = ((16, 2), (8, 6)) if side == 128 else ((48, 1),)
    parts = []
    for cells, times in grids:
        ticks = (np.arange(cells) + 0.5) / cells
        parts.append(np.repeat(np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2), times, axis=0))
    return np.concatenate(parts)
