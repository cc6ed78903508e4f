"""Faces by networks or Haar cascades: evidence that asks for a human look. Found, never matched or embedded."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

from aiprod.qc.bundled import blazeface
from aiprod.qc.checks import yunet
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import Plane, Still
from aiprod.qc.measurement import OfStills
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.planes import shrink

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams
    from aiprod.qc.params import QcDecideParams

VERSION = "9"
METHOD = (
    "Haar frontal-face cascade (alt2) on the upright stills, coarsely (where the picture has contrast; of the smallest "
    "size in every second still), then finely where it answers; each hit confirmed by a second cascade (default) and "
    "an eye cascade on a cut-out of one size (what takes least time first, then all); the first still that shows one "
    "is followed by looks at its place 0.25 and 0.5 s later; found when two looks show one; the search stops when that "
    "is decided"
)
_AGAIN_S = (0.25, 0.5)
"""When to look again after the first hit: a shot in which somebody faces the camera is often shorter than the time to
the next still."""
_WINDOW = 20  # pixels: what the cascade was trained on
_SIZE_STEP = 1.5
_HINTS_MAX = 12
_REJECTED = 10.0  # codes: a window whose standard deviation is no more is passed over by OpenCV, which costs nothing
_FLAT = 0.45  # of the picture's own deviation: so much less than it has no face worth a look
_CONTRAST_LEAST = 0.6
_NEAR = 0.5  # times a face's width: how far from its place it may be half a second later
_BOXES_MAX = 64  # that a row keeps
_Share = tuple[float, float, float, float]
"""x, y, w and h as shares of the picture."""
Find = Callable[[Plane, int], list[_Share]]
"""Finds faces in luma [H, W] made no higher than so many pixels: (x, y, w, h) shares of the picture."""
FindNear = Callable[[Plane, int, list[_Share]], list[_Share]]
"""The same where faces were a moment before."""
_Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / name  # type: ignore[attr-defined]
    return cv2.CascadeClassifier(str(path))


class Faces(OfStills):
    """Looks at each still at a small fixed height; confirms every hit before it counts."""

    name = "faces"
    version = VERSION
    method = METHOD

    def __init__(
        self,
        height_px: int,
        stills: int,
        of: int,
        find: Find | None = None,
        identity: dict[str, str] | None = None,
        *,
        find_large: Find | None = None,
        find_near: FindNear | None = None,
    ) -> None:
        """Search ``stills`` evenly chosen ones ``of`` those that will be fed, at ``height_px``.

        Args:
            find: another detector than the cascades, whose method and version are ``identity``.
            find_large: finds all but the smallest faces, in much less time; for every second still.
            find_near: finds faces again, in much less time; for the looks after a hit.
        """
        self._height, self._find, self._identity = height_px, find or find_faces, identity or {}
        self._find_large, self._find_near = find_large or self._find, find_near
        self._fed = 0
        self._chosen = {round((i + 0.5) * of / min(stills, of) - 0.5) for i in range(min(stills, of))}
        self._seen: list[list[_Share]] = []
        self._need = 1 if len(self._chosen) < 3 else 2
        self._again_s: list[float] = []
        self._bundled: _ByBundled | None = None

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """The search by the network whose file is named, else by the bundled ones, else by the cascades."""
        upright = video.orientation.turned  # a cascade knows faces that stand
        find, identity = (lambda luma, height_px: find_faces(upright(luma), height_px)), None
        large: Find | None = partial(_find_large, upright)
        near: FindNear | None = partial(_find_near, upright)
        if onnx := params.face_yunet_onnx:
            find, identity, large, near = yunet.YuNet(onnx, video.orientation), yunet.method(onnx), None, None
        measurement = cls(
            *(params.face_height_px, params.face_stills, params.stills, find, identity),
            find_large=large,
            find_near=near,
        )
        if not params.face_yunet_onnx and "faces" in params.uses:
            measurement._bundled = _ByBundled()
        return measurement

    def feed(self, still: Still) -> None:
        """Find faces in one still; the cascades stop as soon as the answer can no longer change."""
        index, self._fed = self._fed, self._fed + 1
        if self._bundled is not None:
            if index in self._chosen:
                self._bundled.feed(still)
            return
        hits = sum(1 for boxes in self._seen if boxes)
        left = sum(1 for i in self._chosen if i >= index)
        if index in self._chosen and hits < self._need <= hits + left:
            find = self._find if sum(1 for i in self._chosen if i < index) % 2 == 0 else self._find_large
            self._seen.append(find(still.luma, self._height))
            if self._seen[-1]:
                undecided = hits + 1 < self._need
                self._again_s = [still.time_s + after_s for after_s in _AGAIN_S] if undecided else []

    def wants(self, time_s: float) -> bool:
        """Whether to look at the frame at this time too, though it is no still."""
        return bool(self._again_s) and time_s >= self._again_s[0] - 1e-6

    def look(self, luma: Plane) -> None:
        """Look at a frame that was wanted, luma [H, W]."""
        self._again_s.pop(0)
        if self._find_near is None:
            self._seen.append(self._find(luma, self._height))
        else:
            last = next(boxes for boxes in reversed(self._seen) if boxes)
            self._seen.append(self._find_near(luma, self._height, last))
        if self._seen[-1]:
            self._again_s.clear()

    def figures(self) -> dict[str, Any]:
        """Number of looks, of those with a face, and the greatest number of faces in one."""
        if self._bundled is not None:
            return self._bundled.figures()
        if not self._seen:
            return {"status": "unmeasurable", "reason": "no stills", **self._identity}
        hits = sum(1 for boxes in self._seen if boxes)
        largest = max((w * h for boxes in self._seen for _, _, w, h in boxes), default=0.0)
        return {
            "status": "ok",
            "stills": len(self._seen),
            "stills_with_faces": hits,
            "found": bool(hits >= self._need),
            "faces_max": max(len(boxes) for boxes in self._seen),
            "largest_fraction": largest,
            **self._identity,
        }


class _ByBundled:
    """The search by the bundled networks: every chosen still, and where each face is."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._faces_of_stills: list[list[dict[str, Any]]] = []

    def feed(self, still: Still) -> None:
        """Look at one still."""
        self._faces_of_stills.append(blazeface.faces_in(still))
        self._times_s.append(round(still.time_s, 3))

    def figures(self) -> dict[str, Any]:
        """As with the cascades, and the boxes."""
        identity = blazeface.identity()
        if not self._times_s:
            return {"status": "unmeasurable", "reason": "no stills", **identity}
        hits = sum(1 for faces in self._faces_of_stills if faces)
        boxes = [{"still": i, **face} for i, faces in enumerate(self._faces_of_stills) for face in faces]
        return {
            "status": "ok",
            "stills": len(self._faces_of_stills),
            "stills_with_faces": hits,
            "found": hits > 0,
            "faces_max": max(len(faces) for faces in self._faces_of_stills),
            "largest_fraction": max((box["box"][2] * box["box"][3] for box in boxes), default=0.0),
            "times_s": self._times_s,
            "boxes": boxes[:_BOXES_MAX],
            **identity,
        }


def find_faces(luma: Plane, height_px: int, *, smallest: bool = True) -> list[_Share]:
    """Confirmed faces as (x, y, w, h) shares of the picture.

    Args:
        luma: uint8 [H, W].
        height_px: the picture is made no higher than this; the smallest face looked for is an eleventh of it.
        smallest: without these, which take most of the time, the smallest is a seventh of it.
    """
    least_px = max(_WINDOW, height_px // 11)
    hints = _hints(luma, height_px, least_px if smallest else _SIZE_STEP * least_px)
    return _at(luma, height_px, hints, 0.35) if hints else []


def find_again(luma: Plane, height_px: int, faces: list[_Share]) -> list[_Share]:
    """As :func:`find_faces`, near to where faces were a moment before."""
    wide, tall = _size(luma, height_px)
    hints = [(int(x * wide), int(y * tall), int(w * wide), int(h * tall)) for x, y, w, h in faces]
    return _at(luma, height_px, hints, _NEAR)


def _find_large(upright: Callable[[Plane], Plane], luma: Plane, height_px: int) -> list[_Share]:
    return find_faces(upright(luma), height_px, smallest=False)


def _find_near(upright: Callable[[Plane], Plane], luma: Plane, height_px: int, faces: list[_Share]) -> list[_Share]:
    return find_again(upright(luma), height_px, faces)


def _size(luma: Plane, height_px: int) -> tuple[int, int]:
    """Width and height of a picture that is made no higher than so many pixels."""
    scale = min(1.0, height_px / luma.shape[0])
    return max(16, round(luma.shape[1] * scale)), max(16, round(luma.shape[0] * scale))


def _at(luma: Plane, height_px: int, hints: list[_Box], reach: float) -> list[_Share]:
    """Confirmed faces in places of the picture at that height, and up to ``reach`` of a face's width around them."""
    wide, tall = _size(luma, height_px)
    small = cv2.resize(luma, (wide, tall), interpolation=cv2.INTER_AREA)
    merged = [box for hint in hints for box in _looked_at(small, hint, reach)]
    if len(hints) > 1:  # what two hints have led to is one face
        merged = _merged(merged, 0.3)
    boxes: list[_Share] = []
    for box in merged:
        x, y, w, h = box
        if _confirmed(_cut_out(small, box, w // 3), w):
            boxes.append((x / wide, y / tall, w / wide, h / tall))
    return boxes


def _hints(luma: Plane, height_px: int, least_px: float) -> list[_Box]:
    """Places, in the picture at that height, at which the cascade answers anywhere in a coarse search, largest first:
    few sizes, every other pixel.

    OpenCV's own search of a pyramid takes every pixel from twice the window's size on and many sizes, which costs three
    times as much; a face answers in many neighbouring places and sizes, so that one in several is enough for a hint.
    The cascade's answer does not depend on contrast, but what has too little is passed over; so contrast is taken from
    the picture.
    """
    wide, tall = _size(luma, height_px)
    cascade, size = _cascade("haarcascade_frontalface_alt2.xml"), least_px / _WINDOW
    if least_px > min(wide, tall):
        return []
    # By halves, which is quick, down to at most twice what is wanted, from which two by two pixels are weighed.
    halvings = max(0, math.ceil(math.log2(luma.shape[0] * size / tall)) - 1)
    picture = shrink(luma, 1 << halvings) if halvings else luma
    contrast = _REJECTED / (_FLAT * max(1.0, float(cv2.meanStdDev(picture)[1].item())))
    if contrast < 1.0:
        picture = cv2.convertScaleAbs(picture, alpha=max(_CONTRAST_LEAST, contrast))
    hits: list[_Box] = []
    while size * _WINDOW <= min(wide, tall):
        level = cv2.resize(picture, (round(wide / size), round(tall / size)), interpolation=cv2.INTER_LINEAR)
        windows = cascade.detectMultiScale(
            level, scaleFactor=100.0, minNeighbors=0, minSize=(_WINDOW, _WINDOW), maxSize=(_WINDOW + 1, _WINDOW + 1)
        )
        hits += [_box(window * size) for window in np.asarray(windows).reshape(-1, 4)]
        size *= _SIZE_STEP
    return sorted(_merged(hits, 0.4), key=lambda box: -box[2])[:_HINTS_MAX]


def _looked_at(small: Plane, hint: _Box, reach: float) -> list[_Box]:
    """Faces about as large as a hint, found where it is by a fine search in which three answers must agree.

    At a small size first, at which OpenCV looks at every other pixel; what is not found there may be at its own.
    """
    x, y, w, _ = hint
    margin = int(reach * w) + 2
    region = _cut_out(small, hint, margin)
    corner = np.array([max(0, x - margin), max(0, y - margin), 0, 0])
    quick = 1.6 * _WINDOW / w
    for grow in (quick, 1.0) if quick < 1 else (quick,):
        resized = cv2.resize(region, None, fx=grow, fy=grow, interpolation=_smooth(grow)) if grow != 1 else region
        least, most = int(0.7 * grow * w), int(1.45 * grow * w)
        hits = _cascade("haarcascade_frontalface_alt2.xml").detectMultiScale(
            resized, scaleFactor=1.1, minNeighbors=2, minSize=(least, least), maxSize=(most, most)
        )
        if len(hits):
            return [_box(corner + hit / grow) for hit in np.asarray(hits).reshape(-1, 4)]
    return []


def _merged(boxes: list[_Box], apart: float) -> list[_Box]:
    """One box for those that lie together, sides differing by up to ``apart``; single ones stay."""
    twice = [*boxes, *boxes]  # OpenCV drops what stands alone
    return [_box(np.asarray(box)) for box in cv2.groupRectangles(twice, 1, apart)[0]] if boxes else []


def _cut_out(small: Plane, box: _Box, margin: int) -> Plane:
    x, y, w, h = box
    return small[max(0, y - margin) : y + h + margin, max(0, x - margin) : x + w + margin]


def _box(values: np.ndarray) -> _Box:
    x, y, w, h = (int(v) for v in values)
    return x, y, w, h


def _confirmed(region: Plane, face_px: int) -> bool:
    """A second cascade, trained apart, finds the face in a cut-out of fixed size as well, and a third finds an eye."""
    # Most faces answer at a small size, in few sizes and in one half of the picture too, which takes a fraction of the
    # time; only where none does, all are tried.
    for height, least, most in ((36.0, 0.9, 1.4), (60.0, 0.9, 1.4), (60.0, 0.6, 1e3)):
        grow = height / face_px
        large = cv2.resize(region, None, fx=grow, fy=grow, interpolation=_smooth(grow))
        if _answers("haarcascade_frontalface_default.xml", large, (1.1, 3), (height * least, height * most)):
            break
    else:
        return False
    grow = 120.0 / face_px
    upper = cv2.resize(region[: int(region.shape[0] * 0.6)], None, fx=grow, fy=grow, interpolation=_smooth(grow))
    wide = upper.shape[1]
    return any(
        _answers("haarcascade_eye.xml", part, (finer, 1), (120.0 * least, 120.0 * most))
        for part, finer, least, most in (
            (upper[:, : int(0.55 * wide)], 1.05**2, 0.24, 0.36),
            (upper[:, int(0.45 * wide) :], 1.05**2, 0.24, 0.36),
            (upper, 1.05**2, 0.15, 0.4),
            (upper, 1.05, 0.15, 0.4),
        )
    )


def _answers(name: str, picture: Plane, search: tuple[float, int], sizes_px: tuple[float, float]) -> bool:
    """Whether a cascade answers, in such steps of size and with so many neighbours, from and up to such a size."""
    least, most = (int(size) for size in sizes_px)
    hits = _cascade(name).detectMultiScale(
        picture, scaleFactor=search[0], minNeighbors=search[1], minSize=(least, least), maxSize=(most, most)
    )
    return len(hits) > 0


def _smooth(grow: float) -> int:
    return cv2.INTER_LINEAR if grow >= 1 else cv2.INTER_AREA


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Weak evidence: a hit asks for a review, no hit never means that there are none."""
    figures = measurements["faces"]
    hits, stills = figures.number("stills_with_faces"), figures.number("stills")
    return judged(
        figures,
        Case(figures.flag("found"), 0.0, "faces in {hits:.0f} of {stills:.0f} stills", caps=True, flags=("faces",)),
        Case(True, 1.0, "no faces found in {stills:.0f} stills (weak evidence)"),
        value=hits,
        hits=hits,
        stills=stills,
    )


RULES = (Rule("faces", "faces", {"faces": ("stills_with_faces", "stills", "found")}, judge, weight=0.10),)
