"""How the camera moves: sparse flow and a partial affine fit per frame pair."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from aiprod.qc.evidence import Plane

VERSION = "1"
METHOD = "Lucas-Kanade flow of corners between pairs of small planes, partial-affine RANSAC; figures per second"
STATIC = 0.0005  # of the width, per frame
_AGREE = 0.8
_POINTS = 120


def pair_motion(first: Plane, second: Plane) -> tuple[float, float, float, float, float] | None:
    """Camera motion between two planes: (dx, dy as shares of the width, log scale, rotation rad, inlier share).

    dx > 0 means that the picture content moves right. None where too few corners could be followed.
    """
    points = cv2.goodFeaturesToTrack(first, _POINTS, 0.01, max(4, first.shape[1] // 40))
    if points is None or len(points) < 8:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, points, None, winSize=(15, 15), maxLevel=3,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03),
    )
    keep = found.ravel() == 1
    if keep.sum() < 8:
        return None
    a, b = points.reshape(-1, 2)[keep], moved.reshape(-1, 2)[keep]
    cv2.setRNGSeed(0)  # RANSAC draws at random: the same pair must give the same figures
    matrix, inliers = cv2.estimateAffinePartial2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=300)
    if matrix is None:
        return None
    h, w = first.shape
    centre = np.array([w / 2, h / 2, 1.0])
    dx, dy = (matrix @ centre - centre[:2]) / w
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    rotation = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
    return float(dx), float(dy), float(np.log(max(scale, 1e-6))), rotation, float(inliers.mean())


def measure(pairs: list[tuple[Plane, Plane, float]], frame_s: float, clip_s: float) -> dict[str, Any]:
    """Movement by name and figures.

    Args:
        pairs: (plane, later plane, seconds between them).
        frame_s: frame interval; ``static`` is judged per frame.
        clip_s: length of the clip.
    """
    fitted = [(fit, gap) for a, b, gap in pairs if gap > 0 and (fit := pair_motion(a, b)) is not None]
    if len(fitted) < max(2, len(pairs) // 3):
        return {"status": "unmeasurable", "reason": "too few corners to follow", "movement": "undetermined"}
    rates = np.array([[*fit[:4], fit[4]] for fit, _ in fitted])
    gaps = np.array([gap for _, gap in fitted])
    inliers = rates[:, 4]
    trusted = inliers >= 0.35
    if trusted.sum() < max(2, len(pairs) // 3):
        return {
            "status": "unmeasurable", "reason": "no single movement explains the picture", "movement": "undetermined",
            "inliers": float(np.median(inliers)),
        }
    per_s = rates[trusted, :4] / gaps[trusted, None]
    names = classify(per_s, frame_s)
    medians = np.median(per_s, axis=0)
    speed = np.hypot(per_s[:, 0], per_s[:, 1])
    return {
        "status": "ok", "movement": names[0], "movements": names, "pairs_used": int(trusted.sum()),
        "dx_per_s": float(medians[0]), "dy_per_s": float(medians[1]), "zoom_per_s": float(medians[2]),
        "roll_per_s": float(medians[3]), "speed_per_s": float(np.median(speed)),
        "travel": float((speed + 0.5 * np.abs(per_s[:, 2])).mean() * clip_s), "inliers": float(np.median(inliers)),
        "agreement_x": _agreement(per_s[:, 0]), "agreement_y": _agreement(per_s[:, 1]),
        "agreement_zoom": _agreement(per_s[:, 2]),
    }


def classify(per_s: np.ndarray, frame_s: float) -> list[str]:
    """Movement names, strongest first, from rates [pairs, (dx, dy, log scale, roll)] a second."""
    still = STATIC / max(frame_s, 1e-3)
    # Each in the same unit: how fast the edge of the picture moves, in widths a second.
    reach = np.abs(per_s) * np.array([1.0, 1.0, 0.5, 0.5])
    strength = np.median(reach, axis=0)
    moving = float(np.median(np.hypot(reach[:, 0], reach[:, 1]) + reach[:, 2] + reach[:, 3]))
    if moving < still:
        return ["static"]
    found: list[tuple[float, str]] = []
    labels = (
        ("pans left", "pans right"), ("tilts up", "tilts down"), ("moves out", "moves in"),
        ("rolls clockwise", "rolls anticlockwise"),
    )
    for axis, (positive, negative) in enumerate(labels):
        if strength[axis] >= max(still, 0.3 * strength.max()) and _agreement(per_s[:, axis]) > _AGREE:
            up = float(np.median(per_s[:, axis])) > 0
            if axis == 2:
                up = not up  # content that grows means that the camera moves in
            found.append((float(strength[axis]), positive if up else negative))
    if found:
        return [name for _, name in sorted(found, reverse=True)]
    return ["handheld"]


def _agreement(values: np.ndarray) -> float:
    """1 when all signs agree, 0 when they cancel; weighted by size, so that noise about zero does not vote."""
    total = float(np.abs(values).sum())
    return abs(float(values.sum())) / total if total > 0 else 0.0
