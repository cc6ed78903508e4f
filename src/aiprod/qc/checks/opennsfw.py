"""Unsafe content by Yahoo's open_nsfw, fed as it was trained: squeezed to 256 px square, the middle 224 px, BGR."""

from __future__ import annotations

import cv2
import numpy as np

from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.onnx import load
from aiprod.qc.clip_context import Plane

METHOD = "open_nsfw (Yahoo) on every other still"
SIDE_PX = 480  # as the search for faces, which then shares the picture
LABELS = ("sfw", "nsfw")
_WHOLE, _MIDDLE = 256, 224
_MEAN_BGR = np.array((104, 117, 123), np.float32)
_DIGITS = 3  # what the order of additions changes on another processor lies below


def probabilities(rgb: Plane) -> list[float]:
    """The shares of ``LABELS`` for a picture [h, w, 3] RGB."""
    edge = (_WHOLE - _MIDDLE) // 2
    small = cv2.resize(rgb, (_WHOLE, _WHOLE), interpolation=cv2.INTER_AREA)[edge:-edge, edge:-edge, ::-1]
    (shares,) = load(BUNDLED["nsfw"].file("open-nsfw.onnx"))((small.astype(np.float32) - _MEAN_BGR)[None])
    return [round(float(share), _DIGITS) for share in shares[0]]
