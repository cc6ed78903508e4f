"""Persons and a few things by a small network that lies here: SSD on MobileNetV2, trained on Open Images (MediaPipe).

W. Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016; M. Sandler et al., "MobileNetV2", CVPR 2018.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.qc.bundled.fitting import LiteRTNetwork, OpenCVNetwork, fastest, fitted, signed
from aiprod.qc.clip_context import Plane

LABELS = (
    *("", "bicycle", "boot", "laptop", "person", "chair", "cow", "desk", "cat", "computer mouse", "computer monitor"),
    *("box", "mug", "coffee cup", "stationary bicycle", "table", "bottle", "high heels", "vehicle", "footwear", "dog"),
    *("book", "camera", "car"),
)
"""What it knows, in its order; the first is the background."""
PERSON = LABELS.index("person")
SIDE_PX = 300
_BOXES, _CLASSES = "raw_outputs/box_encodings", "raw_outputs/class_predictions"
_CELLS = (19, 10, 5, 3, 2, 1)  # a side, of the six layers that answer
_SCALE_LEAST, _SCALE_MOST = 0.2, 0.95
_CENTRE, _SIZE = 10.0, 5.0  # by which its answers are divided


def answers(rgb: Plane) -> tuple[np.ndarray, np.ndarray]:
    """What it says of a picture [h, w, 3] RGB.

    Returns:
        Boxes [1917, 4] of left, top, width and height as shares of the picture, and scores [1917, 24] of ``LABELS``.
    """
    fitted_image = fitted(rgb, SIDE_PX)
    network = fastest(BUNDLED["persons"].file("ssd_mobilenet_v2_open_images.tflite"))
    raw, logits = _outputs(network, signed(fitted_image.square))
    middles = _anchors()
    scores = 1 / (1 + np.exp(-np.clip(logits.reshape(len(middles), -1), -50, 50)))
    size = np.exp(raw[:, [3, 2]] / _SIZE) * middles[:, 2:]
    centre = raw[:, [1, 0]] / _CENTRE * middles[:, 2:] + middles[:, :2]
    return fitted_image.shares(np.hstack([centre - size / 2, size]) * SIDE_PX), scores


def _outputs(
    network: OpenCVNetwork | LiteRTNetwork, image: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What it says of boxes [1917, 4] and labels [1, 1917, 24].

    OpenCV takes the boxes of each layer, which are shaped [1, n, 1, 4], for a picture of channels and turns them round:
    so the layers themselves are asked.
    """
    if isinstance(network, LiteRTNetwork):
        raw, logits = network(image, (_BOXES, _CLASSES))
        return raw[0], logits
    layers = [name for name in network.layers() if "/BoxEncodingPredictor/BiasAdd" in name]
    *boxes, logits = network(image, (*layers, _CLASSES))
    return np.concatenate([part.transpose(0, 2, 3, 1).reshape(-1, 4) for part in boxes]), logits


def detections(boxes: np.ndarray, scores: np.ndarray, label: int, least: float) -> list[tuple[float, np.ndarray]]:
    """Score and box of each thing of a label, the surest first, one of those that overlap by half."""
    likely = np.flatnonzero(scores[:, label] >= least)
    kept = cv2.dnn.NMSBoxes(boxes[likely].tolist(), scores[likely, label].tolist(), least, 0.5) if likely.size else ()
    return [(float(scores[likely[i], label]), boxes[likely[i]]) for i in kept]


@lru_cache(maxsize=1)
def _anchors() -> np.ndarray:
    """Middle, width and height [1917, 4] of the places that the answers are about, as shares of the input."""
    scales = [*np.linspace(_SCALE_LEAST, _SCALE_MOST, len(_CELLS)).tolist(), 1.0]
    parts = []
    for layer, cells in enumerate(_CELLS):
        scale, between = scales[layer], float(np.sqrt(scales[layer] * scales[layer + 1]))
        shapes = [(scale, 1.0), (scale, 2.0), (scale, 0.5), (scale, 3.0), (scale, 1 / 3), (between, 1.0)]
        if layer == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        sizes = np.array([(size * np.sqrt(ratio), size / np.sqrt(ratio)) for size, ratio in shapes])
        ticks = (np.arange(cells) + 0.5) / cells
        middles = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
        parts.append(np.hstack([np.repeat(middles, len(sizes), axis=0), np.tile(sizes, (len(middles), 1))]))
    return np.concatenate(parts)
