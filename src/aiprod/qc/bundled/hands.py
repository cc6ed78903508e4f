"""Hands by two networks of MediaPipe that lie here: one finds palms, the other says whether a cut-out is a hand.

Each was trained on its own, so what they agree on is a hand far more often than what either says alone.

F. Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", CVPR Workshop on Computer Vision for AR/VR, 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.fitting import box_of, fastest, fitted, unit
from aiprod.qc.clip_context import Plane

PALM_MIN, HAND_MIN = 0.7, 0.8
_PALM_PX, _HAND_PX = 192, 224
_LOOKED_AT = 4  # palms of a picture that are looked at: bounds what a crowd costs
_HAND = 2.6  # times a palm's size is a hand's
_AHEAD = 0.5  # of a palm's size, by which a hand's middle lies towards the fingers


@dataclass(frozen=True)
class _Palm:
    """Score, middle and size in pixels, and which way the fingers point, in radians clockwise from up."""

    score: float
    x: float
    y: float
    size: float
    turn: float


def find(rgb: Plane) -> list[dict[str, Any]]:
    """Hands of an upright picture [h, w, 3] RGB: ``box`` as shares of it, and ``confidence``; the surest first."""
    h, w = rgb.shape[:2]
    hands = []
    for palm in _palms(rgb):
        if (score := _is_hand(rgb, palm)) >= HAND_MIN:
            side = palm.size * _HAND / 2  # a hand's own square has room for stretched fingers
            x, y = _middle(palm)
            box = np.array([(x - side / 2) / w, (y - side / 2) / h, side / w, side / h])
            hands.append({"box": box_of(box), "confidence": round(min(palm.score, score), 2)})
    return sorted(hands, key=lambda hand: (-hand["confidence"], hand["box"]))


def _palms(rgb: Plane) -> list[_Palm]:
    """The surest palms, each once."""
    fitted_image = fitted(rgb, _PALM_PX)
    network = fastest(BUNDLED["persons"].file("palm_detection_full.tflite"))
    logits, offsets = network(unit(fitted_image.square), ("Identity_1", "Identity"))
    scores = 1 / (1 + np.exp(-np.clip(logits.ravel(), -50, 50)))
    palms: list[_Palm] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if scores[i] < PALM_MIN or len(palms) == _LOOKED_AT:
            break
        scale = fitted_image.width / rgb.shape[1]
        anchor, corner = _anchors()[i] * _PALM_PX, np.array([fitted_image.left, fitted_image.top])
        x, y = ((anchor + offsets[0, i, :2] - corner) / scale).tolist()
        wrist, knuckle = offsets[0, i, 4:6], offsets[0, i, 8:10]  # and the middle finger's
        turn = float(np.arctan2(knuckle[0] - wrist[0], wrist[1] - knuckle[1]))
        palm = _Palm(float(scores[i]), x, y, float(offsets[0, i, 2]) / scale, turn)
        if all(np.hypot(x - other.x, y - other.y) >= max(palm.size, other.size) / 2 for other in palms):
            palms.append(palm)
    return palms


def _middle(palm: _Palm) -> tuple[float, float]:
    ahead = _AHEAD * palm.size
    return palm.x + ahead * float(np.sin(palm.turn)), palm.y - ahead * float(np.cos(palm.turn))


def _is_hand(rgb: Plane, palm: _Palm) -> float:
    """The second network's score for what lies around a palm, the fingers up."""
    scale = _HAND_PX / (palm.size * _HAND)
    x, y = _middle(palm)
    cos, sin = scale * np.cos(palm.turn), scale * np.sin(palm.turn)
    place = np.array([[cos, sin, _HAND_PX / 2 - cos * x - sin * y], [-sin, cos, _HAND_PX / 2 + sin * x - cos * y]])
    soft = max(1, round(1 / scale))  # what would alias in the smaller picture
    seen = cv2.warpAffine(cv2.blur(rgb, (soft, soft)) if soft > 1 else rgb, place, (_HAND_PX, _HAND_PX))
    network = fastest(BUNDLED["persons"].file("hand_landmark_full.tflite"))
    return float(network(unit(seen), ("Identity_1",))[0].ravel()[0])


@lru_cache(maxsize=1)
def _anchors() -> np.ndarray:
    """Middle points [2016, 2] of the places that the palm detector's answers are about, as shares of its input."""
    parts = []
    for cells, times in ((24, 2), (12, 6)):
        ticks = (np.arange(cells) + 0.5) / cells
        parts.append(np.repeat(np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2), times, axis=0))
    return np.concatenate(parts)
