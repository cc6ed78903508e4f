"""How the camera moves: sparse flow and a partial affine fit per frame pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from aiprod.qc.checks import tracking
from aiprod.qc.checks.standing_edges import Standing, standing
from aiprod.qc.clip_context import ClipContext, Plane
from aiprod.qc.measurement import Figures, Measurement

VERSION = "5"
METHOD = (
    "Lucas-Kanade flow of corners between pairs of small planes, partial-affine RANSAC; figures per second; "
    "a compact group of corners that stays while the ground passes round it is followed; static where the same edges "
    "are in most pictures of the clip, whatever passes before them: in three quarters of it, or in two where no "
    "movement explains two thirds of the corners"
)
STATIC = 0.0005  # of the width, per frame
_AGREE = 0.8
_SOME_STANDS = 0.02  # of the edges: less is left where a camera moves, also past a scene of depth
_ONE_MOVEMENT = 0.5  # of the corners: a movement that explains fewer is what passes, not the camera
_CAMERA_MOVES = 0.67  # of the corners: where half of the scene stands, a movement of fewer is of what passes before it
_POINTS = 600
_QUALITY = 0.0005  # of the best corner: a dim background must not be outvoted by a bright thing before it
_ROWS, _COLUMNS, _PER_CELL = 4, 6, 8
_WINDOW = (16, 15)  # pixels: OpenCV takes eight of a line at once, and what is left of 15 one by one, in twice the time

_HALF = (np.array(_WINDOW) - 1) / 2


@dataclass(frozen=True)
class PairMotion:
    """Camera motion between two planes.

    Attributes:
        dx, dy: shift of the picture's centre, shares of the width; dx > 0: content moves right.
        zoom: log scale; roll: radians, positive clockwise on the screen.
        inliers: share of followed corners that the movement explains.
        still_border: share of the picture's border cells (with corners in them) that did not move.
        flow: the corners themselves.
    """

    dx: float
    dy: float
    zoom: float
    roll: float
    inliers: float
    still_border: float
    flow: tracking.Flow


def pair_motion(first: Plane, second: Plane, still_px: float) -> PairMotion | None:
    """Fit the movement between two planes; None where too few corners, or corners in too few places, can be followed.

    Corners are spread over a grid of cells, so that one rich object does not outvote the rest of the picture.
    """
    h, w = first.shape
    points = cv2.goodFeaturesToTrack(first, _POINTS, _QUALITY, max(3, w // 50))
    if points is None:
        return None
    points = points.reshape(-1, 2)
    cells = (points[:, 1] * _ROWS // h).astype(int) * _COLUMNS + (points[:, 0] * _COLUMNS // w).astype(int)
    order = np.argsort(cells, kind="stable")  # the strongest first within each cell
    rank = np.arange(order.size) - np.searchsorted(cells[order], cells[order])
    keep = np.sort(order[rank < _PER_CELL])
    points, cells = points[keep], cells[keep]
    moved, tracked, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]  # its stubs do not know None
        first,
        second,
        points,
        None,
        winSize=_WINDOW,
        maxLevel=3,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03),
        flags=cv2.OPTFLOW_LK_GET_MIN_EIGENVALS,  # which are known; differences would take a tenth of the time
    )
    # What left the picture in the last step is marked only where differences are asked for.
    good = (tracked.ravel() == 1) & ((moved >= _HALF - _WINDOW) & (moved < _HALF + np.array([w, h]))).all(axis=1)
    a, b, cells = points[good], moved[good], cells[good]
    if len(a) < 8 or np.count_nonzero(np.bincount(cells)) < 4:
        return None
    cv2.setRNGSeed(0)  # RANSAC draws at random: the same pair must give the same figures
    matrix, inliers = cv2.estimateAffinePartial2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=300)
    if matrix is None:
        return None
    centre = np.array([w / 2, h / 2, 1.0])
    dx, dy = (matrix @ centre - centre[:2]) / w
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    rotation = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return PairMotion(
        float(dx),
        float(dy),
        float(np.log(max(scale, 1e-6))),
        rotation,
        float(inliers.mean()),
        _still_border(cells, np.hypot(*(b - a).T), still_px),
        tracking.Flow(first, a, b - a),
    )


def _still_border(cells: np.ndarray, lengths: np.ndarray, still_px: float) -> float:
    """Share of the occupied cells along the picture's border whose corners stayed where they were."""
    rows, columns = cells // _COLUMNS, cells % _COLUMNS
    border = (rows == 0) | (rows == _ROWS - 1) | (columns == 0) | (columns == _COLUMNS - 1)
    cells, lengths = cells[border], lengths[border]
    count, still = (np.bincount(of, minlength=_ROWS * _COLUMNS) for of in (cells, cells[lengths <= still_px]))
    occupied = np.count_nonzero(count)
    if occupied < 3:
        return 0.0
    # A median is known by how many are under the bound, but where just half of them are.
    stays = np.count_nonzero(2 * still > count)
    for cell in np.flatnonzero((2 * still == count) & (count > 0)).tolist():
        own = np.sort(lengths[cells == cell])
        stays += (own[own.size // 2 - 1] + own[own.size // 2]) / 2 <= still_px
    return float(stays / occupied)


def measure(
    pairs: list[tuple[Plane, Plane, float]], frame_s: float, clip_s: float, stands: Standing | None = None
) -> dict[str, Any]:
    """Movement by name and figures.

    Args:
        pairs: (plane, later plane, seconds between them).
        frame_s: frame interval; ``static`` is judged per frame.
        clip_s: length of the clip.
        stands: what of the scene is where it was all over the clip.

    Where the camera follows something, the figures are the ground's, and ``subject`` says where what it follows is.
    """
    standing_figures = {"standing": round(stands.share, 4)} if stands is not None else {}
    nothing = dict.fromkeys(("dx_per_s", "dy_per_s", "zoom_per_s", "roll_per_s", "speed_per_s", "travel"), 0.0)
    still = {"status": "ok", "movement": "static", "movements": ["static"], **nothing, **standing_figures}
    if stands is not None and stands.scene:  # what passes before it may outvote it in every pair
        return still
    fitted = [
        (fit, gap)
        for a, b, gap in pairs
        if gap > 0 and (fit := pair_motion(a, b, max(0.12, STATIC * a.shape[1] * gap / max(frame_s, 1e-3)))) is not None
    ]
    if len(fitted) < max(2, len(pairs) // 3):
        return {
            "status": "unmeasurable",
            "reason": "too few corners to follow",
            "movement": "undetermined",
            **standing_figures,
        }
    rates = np.array([[fit.dx, fit.dy, fit.zoom, fit.roll] for fit, _ in fitted])
    gaps, inliers = np.array([gap for _, gap in fitted]), np.array([fit.inliers for fit, _ in fitted])
    if stands is not None and stands.half and float(np.median(inliers)) < _CAMERA_MOVES:
        return still
    still_share = float(np.median([fit.still_border for fit, _ in fitted]))
    followed = tracking.measure([fit.flow for fit, _ in fitted], len(pairs))
    if followed is not None:  # a large subject can outvote the ground in a pair: only the ground counts
        looks = followed.looks
        rates, gaps = np.array([look.rates for look in looks.values()]), gaps[list(looks)]
        inliers = np.array([look.ground for look in looks.values()])
    elif still_share >= 0.6:  # whatever moves in the middle, the frame of the picture stands
        rates = rates * (np.array([fit.still_border for fit, _ in fitted]) < 0.6)[:, None]
        inliers = np.ones_like(inliers)
    trusted = (inliers >= 0.35) | (followed is not None)
    if trusted.sum() < max(2, len(pairs) // 3):
        return {
            "status": "unmeasurable",
            "reason": "no single movement explains the picture",
            "movement": "undetermined",
            "inliers": float(np.median(inliers)),
            **standing_figures,
        }
    per_s = rates[trusted] / gaps[trusted, None]
    names = [*([followed.movement] if followed else []), *classify(per_s, frame_s)]
    doubtful = names == ["handheld"] or (names != ["static"] and stands is not None and stands.share > _SOME_STANDS)
    if doubtful and followed is None and float(np.median(inliers)) < _ONE_MOVEMENT:
        return {
            "status": "unmeasurable",
            "reason": "things in the picture move in several ways",
            "movement": "undetermined",
            "inliers": float(np.median(inliers)),
            **standing_figures,
        }
    medians = np.median(per_s, axis=0)
    speed = np.hypot(per_s[:, 0], per_s[:, 1])
    return {
        "status": "ok",
        "movement": names[0],
        "movements": names,
        "pairs_used": int(trusted.sum()),
        "dx_per_s": float(medians[0]),
        "dy_per_s": float(medians[1]),
        "zoom_per_s": float(medians[2]),
        "roll_per_s": float(medians[3]),
        "speed_per_s": float(np.median(speed)),
        "travel": float((speed + 0.5 * np.abs(per_s[:, 2])).mean() * clip_s),
        "inliers": float(np.median(inliers)),
        "still_border": still_share,
        "agreement_x": _agreement(per_s[:, 0]),
        "agreement_y": _agreement(per_s[:, 1]),
        "agreement_zoom": _agreement(per_s[:, 2]),
        **standing_figures,
        **({"subject": followed.subject, "following": followed.share} if followed else {}),
    }


def classify(per_s: np.ndarray, frame_s: float) -> list[str]:
    """Movement names, strongest first, from rates [pairs, (dx, dy, log scale, roll)] a second."""
    still = STATIC / max(frame_s, 1e-3)
    # Each in the same unit: how fast the edge of the picture moves, in widths a second.
    reach = np.abs(per_s) * np.array([1.0, 1.0, 0.5, 0.5])
    strength = np.median(reach, axis=0)
    moving = float(np.median(np.sqrt((reach**2).sum(axis=1))))
    if moving < still:
        return ["static"]
    moves: list[tuple[float, str]] = []
    labels = (  # the camera goes where the content comes from; content that grows means that it moves in
        ("pans left", "pans right"),
        ("tilts up", "tilts down"),
        ("moves in", "moves out"),
        ("rolls anticlockwise", "rolls clockwise"),
    )
    for axis, (positive, negative) in enumerate(labels):
        if strength[axis] >= max(still, 0.3 * strength.max()) and _agreement(per_s[:, axis]) > _AGREE:
            up = float(np.median(per_s[:, axis])) > 0
            moves.append((float(strength[axis]), positive if up else negative))
    if moves:
        return [name for _, name in sorted(moves, reverse=True)]
    return ["handheld"]


def _agreement(values: np.ndarray) -> float:
    """1 when all signs agree, 0 when they cancel; weighted by size, so that noise about zero does not vote."""
    total = float(np.abs(values).sum())
    return abs(float(values.sum())) / total if total > 0 else 0.0


class Camera(Measurement):
    """How the camera moves."""

    name = "camera"
    version = VERSION
    method = METHOD
    needs = ("borders",)

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Movement by name and figures."""
        stands = standing(seen.planes, measurements["borders"], seen.slopes if seen.planes else None)
        return measure(seen.pairs, seen.frame_s, seen.shown_s, stands)
