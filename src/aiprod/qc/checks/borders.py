"""Black bars above and below or at both sides of the picture, and the picture between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.judging import Case, Judgements, Rule, judged, or_else, rounded
from aiprod.qc.clip_context import Plane, SmallFrame
from aiprod.qc.measurement import OfSomeFrames
from aiprod.qc.metric_table import FigureColumns, FigureTable, Floats, Mask

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "5"
METHOD = (
    "four frames a second, small plane: rows and columns at the edges that are dark in the lightest value "
    "each pixel takes; bars where both are as wide, even, and end in a straight line"
)
_DARK = 0.06  # of the signalled range
_RAISED = 0.15  # black that a wrong range or a brightening has lifted: bars too, where nothing is as flat
_FLAT, _STEP = 0.02, 0.03
_LINE = 1 / 3
_SOFT = 4  # lines that scaling and coding smear an edge over


@dataclass(frozen=True)
class _End:
    """Dark lines from one edge of the picture inwards, and whether they look like a bar."""

    lines: int
    bar: bool


class Borders(OfSomeFrames):
    """Letterbox and pillarbox: rows and columns that stay at black while the rest does not."""

    name = "borders"
    version = VERSION
    method = METHOD

    def __init__(self) -> None:
        self._lightest: Plane | None = None
        self._black = 16.0
        self._range = 219.0

    def feed(self, frame: SmallFrame) -> None:
        """Keep the lightest value that each pixel takes."""
        self._black, self._range = frame.black_level, frame.white_level - frame.black_level
        if self._lightest is None:
            self._lightest = frame.plane.copy()
            return
        plane, first = frame.plane, self._lightest.shape
        if plane.shape != first:  # a film that changes its size half-way
            plane = cv2.resize(plane, first[::-1], interpolation=cv2.INTER_AREA)
        cv2.max(self._lightest, plane, dst=self._lightest)

    def figures(self) -> dict[str, Any]:
        """Border widths as shares of height and width as stored, and how many lines they were counted in."""
        if self._lightest is None:
            return {"status": "unmeasurable", "reason": "no frames"}
        light = self._lightest.astype(np.float32)
        h, w = light.shape
        top, bottom = self._end(light), self._end(light[::-1])
        if top.lines + bottom.lines >= h:
            return {"status": "unmeasurable", "reason": "the whole picture is black"}
        between = light[top.lines : h - bottom.lines].T
        left, right = self._end(between), self._end(between[::-1])
        return {
            "status": "ok",
            "top": top.lines / h,
            "bottom": bottom.lines / h,
            "left": left.lines / w,
            "right": right.lines / w,
            "letterboxed": _bars(top, bottom, h),
            "pillarboxed": _bars(left, right, w),
            "rows": h,
            "columns": w,
        }

    def _end(self, lines: np.ndarray) -> _End:
        """Args: lines: [n, length], the outermost first."""
        means = lines.mean(axis=1)
        dark = means <= self._black + _DARK * self._range
        if means[0] <= self._black + _RAISED * self._range:
            like_first = np.abs(means - means[0]) <= _FLAT * self._range
            dark |= like_first & (lines.std(axis=1) <= _FLAT * self._range)
        if dark.all() and float(means.max()) > self._black + _DARK * self._range:  # plain, not black
            return _End(0, False)
        ends = np.flatnonzero(~dark)
        count = int(ends[0]) if ends.size else dark.size
        if count == 0 or count + _SOFT >= dark.size:
            return _End(count, False)
        # Light falls off gradually from a lamp on a dark stage, and a title on black begins only here and there; bars
        # are alike up to their edge, and the picture begins all along it.
        plain = means[: max(1, count - _SOFT)]
        even = float(np.ptp(plain)) <= _FLAT * self._range
        risen = lines[count + _SOFT] > plain.mean() + _STEP * self._range
        return _End(count, even and bool(risen.mean() >= _LINE))


def _bars(one: _End, other: _End, size: int) -> bool:
    """Whether two dark edges are bars: both there, of like width, and with a picture between them.

    A dark scene has dark edges too, but hardly two of the same width.
    """
    a, b = one.lines / size, other.lines / size
    return one.bar and other.bar and min(a, b) > 0.01 and abs(a - b) <= 0.03 and a + b <= 0.7


def active_area(figures: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of the picture between the bars, as shares of the whole; dark edges are no bars."""
    top, bottom, left, right = 0.0, 1.0, 0.0, 1.0
    if figures.get("letterboxed"):
        top, bottom = float(figures["top"]), 1.0 - float(figures["bottom"])
    if figures.get("pillarboxed"):
        left, right = float(figures["left"]), 1.0 - float(figures["right"])
    return top, bottom, left, right


READ_BY_RULES = ("top", "bottom", "left", "right", "letterboxed", "pillarboxed", "rows", "columns")
"""What :func:`bars_of` asks for."""


class Bars(NamedTuple):
    """The pictures of many clips between bars, as shares of the displayed width and height.

    Attributes:
        width_doubt, height_doubt: how much more it may be, likewise: bars are counted in lines of a small picture, and
            a line that bar and picture share may count as bar at either end.
    """

    width: Floats
    height: Floats
    width_doubt: Floats
    height_doubt: Floats

    @property
    def name(self) -> NDArray[np.object_]:
        """``letterboxed``, ``pillarboxed``, both or nothing."""
        tall, wide = self.height < 1.0, self.width < 1.0
        names = ("", "letterboxed", "pillarboxed", "letterboxed and pillarboxed")
        return np.array(names, object)[tall + 2 * wide]


def bars_of(geometry: FigureColumns, borders: FigureColumns) -> Bars:
    """The bars of each clip, whole where none were found or none could be measured."""
    sides = {name: borders.number(name) for name in ("top", "bottom", "left", "right")}
    boxed = borders.ok & borders.flag("pillarboxed"), borders.ok & borders.flag("letterboxed")
    shares, doubts = [], []
    for mask, ends, count in zip(boxed, (("left", "right"), ("top", "bottom")), ("columns", "rows"), strict=True):
        lines = or_else(borders.number(count), 0.0)
        doubt = np.divide(2.0, lines, out=np.zeros(lines.size), where=lines != 0)
        shares.append(np.where(mask, 1.0 - sides[ends[0]] - sides[ends[1]], 1.0))
        doubts.append(np.where(mask, doubt, 0.0))
    turned = is_turned(geometry)  # bars are measured on the picture as it is stored
    return Bars(
        np.where(turned, shares[1], shares[0]),
        np.where(turned, shares[0], shares[1]),
        np.where(turned, doubts[1], doubts[0]),
        np.where(turned, doubts[0], doubts[1]),
    )


def is_turned(geometry: FigureColumns) -> Mask:
    """Whether the picture is shown turned by a right angle."""
    return np.isin(geometry.number("rotation_deg"), (90, 270))


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Shape of the picture within its black borders against the allowed ones."""
    figures = measurements["geometry"]
    bars = bars_of(figures, measurements["borders"])
    shape = figures.number("aspect") * bars.width / bars.height
    cases = []
    for name in params.video.aspects:
        wide, _, tall = name.partition(":")
        near = np.abs(shape / (float(wide) / float(tall)) - 1.0) <= params.video.aspect_tolerance
        cases.append(Case(near, 1.0, f"{name}{{border}}"))
    return judged(
        figures,
        *cases,
        Case(True, 0.0, "{shape:.3f}:1{border} is none of {allowed}"),
        value=rounded(shape, 4),
        shape=shape,
        border=lambda places: _borders(figures.number("aspect")[places], bars.name[places]),
        allowed=", ".join(params.video.aspects),
    )


def _borders(aspects: Floats, names: NDArray[np.object_]) -> list[str]:
    return [
        f" ({aspect:.3f}:1 {name})" if name else ""
        for aspect, name in zip(aspects.tolist(), names.tolist(), strict=True)
    ]


RULES = (
    Rule("aspect", "geometry", {"geometry": ("aspect", "rotation_deg"), "borders": READ_BY_RULES}, judge, weight=0.10),
)
