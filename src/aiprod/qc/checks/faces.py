"""Faces by networks or Haar cascades: evidence that asks for a human look. Found, never matched or embedded."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams
    from aiprod.qc.params import QcDecideParams

VERSION = "8"
METHOD = (
    "Haar frontal-face cascade (alt2) on the upright stills, coarsely (of the smallest size in every second still), "
    "then finely where it answers; each hit confirmed by a second cascade (default) and an eye cascade on a cut-out "
    "of one size (every second size first, then all); the first still that shows one is followed by looks 0.25 and "
    "0.5 s later; found when two looks show one; the search stops when that is decided"
)
_AGAIN_S = (0.25, 0.5)
"""When to look again after the first hit: a shot in which somebody faces the camera is often shorter than the time to
the next still."""
_WINDOW = 20  # pixels: what the cascade was trained on
_SIZE_STEP = 1.5
_HINTS_MAX = 12
_ANY_PX = 1 << 14
_BOXES_MAX = 64  # that a row keeps
Find = Callable[[Plane, int], list[tuple[float, float, float, float]]]
"""Finds faces in luma [H, W] made no higher than so many pixels: (x, y, w, h) shares of the picture."""
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
    ) -> None:
        """Search ``stills`` evenly chosen ones ``of`` those that will be fed, at ``height_px``.

        Args:
            find: another detector than the cascades, whose method and version are ``identity``.
            find_large: finds all but the smallest faces, in much less time; for every second still.
        """
        self._height, self._find, self._identity = height_px, find or find_faces, identity or {}
        self._find_large = find_large or self._find
        self._fed = 0
        self._chosen = {round((i + 0.5) * of / min(stills, of) - 0.5) for i in range(min(stills, of))}
        self._seen: list[list[tuple[float, float, float, float]]] = []
        self._need = 1 if len(self._chosen) < 3 else 2
        self._again_s: list[float] = []
        self._bundled: _ByBundled | None = None

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """The search by the network whose file is named, else by the bundled ones, else by the cascades."""
        upright = video.orientation.turned  # a cascade knows faces that stand
        find, identity = (lambda luma, height_px: find_faces(upright(luma), height_px)), None
        find_large: Find | None = partial(_find_large, upright)
        if onnx := params.face_yunet_onnx:
            find, identity, find_large = yunet.YuNet(onnx, video.orientation), yunet.method(onnx), None
        measurement = cls(
            params.face_height_px, params.face_stills, params.stills, find, identity, find_large=find_large
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
        self._seen.append(self._find(luma, self._height))
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


def find_faces(luma: Plane, height_px: int, *, smallest: bool = True) -> list[tuple[float, float, float, float]]:
    """Confirmed faces as (x, y, w, h) shares of the picture.

    Args:
        luma: uint8 [H, W].
        height_px: the picture is made no higher than this; the smallest face looked for is an eleventh of it.
        smallest: without these, which take most of the time, the smallest is a seventh of it.
    """
    scale = min(1.0, height_px / luma.shape[0])
    width = max(16, round(luma.shape[1] * scale))
    small = cv2.resize(luma, (width, max(16, round(luma.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    least_px = max(_WINDOW, height_px // 11)
    hints = _hints(small, least_px if smallest else _SIZE_STEP * least_px)
    merged = [box for hint in hints for box in _looked_at(small, hint)]
    if len(hints) > 1:  # what two hints have led to is one face
        merged = _merged(merged, 0.3)
    tall, wide = small.shape
    boxes: list[tuple[float, float, float, float]] = []
    for box in merged:
        x, y, w, h = box
        if _confirmed(_cut_out(small, box, w // 3), w):
            boxes.append((x / wide, y / tall, w / wide, h / tall))
    return boxes


def _find_large(
    upright: Callable[[Plane], Plane], luma: Plane, height_px: int
) -> list[tuple[float, float, float, float]]:
    return find_faces(upright(luma), height_px, smallest=False)


def _hints(small: Plane, least_px: float) -> list[_Box]:
    """Places at which the cascade answers anywhere in a coarse search, largest first: few sizes, every other pixel.

    OpenCV's own search of a pyramid takes every pixel from twice the window's size on and many sizes, which costs three
    times as much; a face answers in many neighbouring places and sizes, so that one in several is enough for a hint.
    """
    cascade, size = _cascade("haarcascade_frontalface_alt2.xml"), least_px / _WINDOW
    hits: list[_Box] = []
    while size * _WINDOW <= min(small.shape):
        level = cv2.resize(small, (round(small.shape[1] / size), round(small.shape[0] / size)))
        windows = cascade.detectMultiScale(
            level, scaleFactor=100.0, minNeighbors=0, minSize=(_WINDOW, _WINDOW), maxSize=(_WINDOW + 1, _WINDOW + 1)
        )
        hits += [_box(window * size) for window in np.asarray(windows).reshape(-1, 4)]
        size *= _SIZE_STEP
    return sorted(_merged(hits, 0.4), key=lambda box: -box[2])[:_HINTS_MAX]


def _looked_at(small: Plane, hint: _Box) -> list[_Box]:
    """Faces about as large as a hint, found where it is by a fine search in which three answers must agree."""
    x, y, w, _ = hint
    margin = int(0.35 * w) + 2
    grow = max(1.0, 1.6 * _WINDOW / w)
    region = cv2.resize(_cut_out(small, hint, margin), None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR)
    least, most = int(0.7 * grow * w), int(1.45 * grow * w)
    hits = _cascade("haarcascade_frontalface_alt2.xml").detectMultiScale(
        region, scaleFactor=1.1, minNeighbors=2, minSize=(least, least), maxSize=(most, most)
    )
    corner = np.array([max(0, x - margin), max(0, y - margin), 0, 0])
    return [_box(corner + hit / grow) for hit in np.asarray(hits).reshape(-1, 4)]


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
    grow = 60.0 / face_px
    large = cv2.resize(region, None, fx=grow, fy=grow, interpolation=_smooth(grow))
    # What answers in a few sizes answers in all, too: the usual ones first, which take a fraction of the time.
    if not any(
        len(
            _cascade("haarcascade_frontalface_default.xml").detectMultiScale(
                large, scaleFactor=1.1, minNeighbors=3, minSize=(least, least), maxSize=(most, most)
            )
        )
        for least, most in (
            (int(face_px * grow * 0.9), int(face_px * grow * 1.4)),
            (int(face_px * grow * 0.6), _ANY_PX),
        )
    ):
        return False
    grow = 120.0 / face_px
    upper = cv2.resize(region[: int(region.shape[0] * 0.6)], None, fx=grow, fy=grow, interpolation=_smooth(grow))
    # An eye mostly answers in every second size too, which takes half the time; only where none does, all are tried.
    return any(
        len(
            _cascade("haarcascade_eye.xml").detectMultiScale(
                upper,
                scaleFactor=finer,
                minNeighbors=1,
                minSize=(int(face_px * grow * least), int(face_px * grow * least)),
                maxSize=(int(face_px * grow * most), int(face_px * grow * most)),
            )
        )
        for finer, least, most in ((1.05**2, 0.24, 0.36), (1.05**2, 0.15, 0.4), (1.05, 0.15, 0.4))
    )


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
