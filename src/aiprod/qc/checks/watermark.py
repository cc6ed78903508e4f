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
    travelled = float(camera.get("travel", 0.0))
    if travelled < 0.08:
        return {
            "status": "unmeasurable", "travel": travelled,
            "reason": "the camera hardly moves, so a mark cannot be told from the scene",
        }
    changing = _changing_fraction(planes)
    if changing < 0.5:
        return {
            "status": "unmeasurable", "travel": travelled, "changing_fraction": changing,
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
        "status": "ok", "area_fraction": area, "boxes": boxes, "travel": travelled, "changing_fraction": changing,
        "frames_used": len(planes),
    }


def persistent_edges(planes: list[Plane]) -> NDArray[np.bool_]:
    """Pixels whose gradient keeps direction and strength over time, bool [h, w]."""
    stack = [(cv2.Sobel(p, cv2.CV_16S, 1, 0), cv2.Sobel(p, cv2.CV_16S, 0, 1)) for p in planes]
    kept = np.zeros(planes[0].shape, bool)
    for axis in (0, 1):
        gradients = np.stack([pair[axis] for pair in stack]).astype(np.float32) / 8.0
        strength = np.median(gradients, axis=0)
        agreement = np.abs(np.sign(gradients).sum(axis=0)) / len(planes)
        # A mark's edge keeps its strength too: the lower quartile of the magnitude stays up.
        low = np.quantile(np.abs(gradients), 0.2, axis=0)
        kept |= (np.abs(strength) >= _STRENGTH) & (agreement >= _AGREEMENT) & (low >= 0.5 * _STRENGTH)
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
