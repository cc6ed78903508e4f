"""Overlays burnt into the picture: gradients that stay while the camera moves."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.evidence import Plane

VERSION = "1"
METHOD = (
    "small planes spread over the clip; median over time of signed gradients where their signs agree "
    "(after Dekel et al. 2017); only where the camera moves"
)
_STRENGTH = 8.0  # gradient (levels per pixel, Sobel/8) an overlay keeps while what lies behind it changes
_AGREEMENT = 0.8
_EDGE = 0.02
_TRAVEL = 0.08  # widths: the scene has to move by more than a mark's strokes are wide
_SPEED = 0.02  # widths a second


def measure(planes: list[Plane], camera: dict[str, Any], borders: dict[str, Any]) -> dict[str, Any]:
    """Area of what stays put, as a share of the picture.

    Args:
        planes: small planes [h, w] at evenly spaced times.
        camera: figures of the camera check; decides whether anything can be said.
        borders: black borders are excluded.

    A still camera shows the same gradients for ever, and a mark cannot be told from the scene: ``unmeasurable``.
    """
    if len(planes) < 6:
        return {"status": "unmeasurable", "reason": "fewer than six frames to compare"}
    if camera.get("status") != "ok":
        return {"status": "unmeasurable", "reason": "the camera's movement is not known"}
    travelled, speed = float(camera.get("travel", 0.0)), float(camera.get("speed_per_s", 0.0))
    if camera.get("movement") == "static" or travelled < _TRAVEL or speed < _SPEED:
        return {
            "status": "unmeasurable",
            "travel": travelled,
            "reason": "the camera hardly moves, so a mark cannot be told from the scene",
        }
    changing = _changing_fraction(planes)
    if changing < 0.5:
        return {
            "status": "unmeasurable",
            "travel": travelled,
            "changing_fraction": changing,
            "reason": f"only {changing:.0%} of the picture changes, so a mark cannot be told from the scene",
        }
    kept = persistent_edges(planes)
    h, w = kept.shape
    top, bottom = (int(np.ceil((borders.get(k) or 0.0) * h)) for k in ("top", "bottom"))
    left, right = (int(np.ceil((borders.get(k) or 0.0) * w)) for k in ("left", "right"))
    margin_y, margin_x = max(2, int(_EDGE * h)), max(2, int(_EDGE * w))
    kept[: top + margin_y] = False
    kept[h - bottom - margin_y :] = False
    kept[:, : left + margin_x] = False
    kept[:, w - right - margin_x :] = False
    area, boxes = _cluster_area(kept)
    return {
        "status": "ok",
        "area_fraction": area,
        "boxes": boxes,
        "travel": travelled,
        "changing_fraction": changing,
        "frames_used": len(planes),
    }


def persistent_edges(planes: list[Plane]) -> NDArray[np.bool_]:
    """Pixels whose gradient keeps direction and strength over time, bool [h, w]."""
    kept = np.zeros(planes[0].shape, bool)
    middle, low = len(planes) // 2, len(planes) // 5
    for dx, dy in ((1, 0), (0, 1)):
        gradients = np.stack([cv2.Sobel(p, cv2.CV_16S, dx, dy) for p in planes])  # 8 times the slope
        # Only pixels that are strong in a first look are worth sorting over time.
        likely = np.abs(gradients[::4].sum(axis=0, dtype=np.int32)) >= 4 * _STRENGTH * len(gradients[::4])
        part = gradients[:, likely]
        if part.size == 0:
            continue
        ordered, sizes = np.sort(part, axis=0), np.sort(np.abs(part), axis=0)
        agreement = np.abs(np.sign(part).sum(axis=0)) / len(planes)
        strong = (np.abs(ordered[middle]) >= 8 * _STRENGTH) & (sizes[low] >= 4 * _STRENGTH)
        kept[likely] |= strong & (agreement >= _AGREEMENT)
    return kept


def _changing_fraction(planes: list[Plane]) -> float:
    """Share of pixels whose value moves by more than noise over the sample."""
    spread = np.stack(planes[:: max(1, len(planes) // 12)]).astype(np.float32).std(axis=0)
    return float((spread > 6.0).mean())


def _cluster_area(kept: NDArray[np.bool_]) -> tuple[float, list[list[float]]]:
    """Area of the boxes round clusters of kept pixels, and the boxes [x, y, w, h] as shares of the picture."""
    h, w = kept.shape
    reach = max(3, w // 40) | 1
    joined = cv2.morphologyEx(kept.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    boxes: list[list[float]] = []
    area = 0.0
    for i in range(1, count):
        x, y, bw, bh = (int(v) for v in stats[i, :4])
        inside = int(kept[y : y + bh, x : x + bw].sum())
        if inside < max(12, 0.0004 * h * w):
            continue
        area += bw * bh / (w * h)
        boxes.append([round(x / w, 4), round(y / h, 4), round(bw / w, 4), round(bh / h, 4)])
    return min(1.0, area), sorted(boxes)[:16]
