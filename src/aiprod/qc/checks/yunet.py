"""Faces by YuNet, a small network whose ONNX file the user gives. Faces are found, never matched or embedded.

W. Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023, as OpenCV's
``FaceDetectorYN`` runs it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from aiprod.errors import AiprodError, words_of
from aiprod.qc.clip_context import Plane
from aiprod.qc.measure_params import yunet_sha256

if TYPE_CHECKING:
    from aiprod.media.media_info import Orientation

VERSION = "1"
_SCORE, _OVERLAP = 0.9, 0.3  # OpenCV's own defaults: the least score, and the overlap from which two boxes are one face
_LEAST_PX = 32  # the network's coarsest grid


def method(onnx: str) -> dict[str, str]:
    """How faces are looked for with this file."""
    return {
        "method": f"YuNet on luma, score of {_SCORE} at least; looks as with the cascades",
        "version": f"{VERSION}-{yunet_sha256(onnx)[:16]}",
    }


@lru_cache(maxsize=1)
def load_yunet(onnx: str) -> Any:
    """The detector of a file, kept for the process.

    Raises:
        AiprodError: the file is not there, or holds no such network.
    """
    yunet_sha256(onnx)
    try:
        detector = cv2.FaceDetectorYN.create(str(Path(onnx)), "", (64, 64), _SCORE, _OVERLAP)
        detector.detect(np.zeros((64, 64, 3), np.uint8))  # another network fails only here, for want of its outputs
    except cv2.error as error:
        raise AiprodError(
            f"qc_measure.face_yunet_onnx: {onnx} does not load as a YuNet face detector ({error.err or error})",
            "name the ONNX file of YuNet, or leave the parameter empty for the cascades that OpenCV brings along",
        ) from None
    return detector


class YuNet:
    """Finds faces in the luma of pictures.

    Args:
        onnx: the network's file.
        orientation: of the film, for the network knows faces that are upright.
    """

    def __init__(self, onnx: str, orientation: Orientation) -> None:
        self._onnx, self._orientation = onnx, orientation

    def __call__(self, luma: Plane, height_px: int) -> list[tuple[float, float, float, float]]:
        """Faces as (x, y, w, h) shares of the upright picture.

        Args:
            luma: uint8 [H, W] as stored.
            height_px: the picture is made no higher than this.
        """
        picture = self._orientation.turned(luma)
        scale = min(1.0, height_px / picture.shape[0])
        tall, wide = (max(_LEAST_PX, round(side * scale)) for side in picture.shape)
        small = cv2.resize(picture, (wide, tall), interpolation=cv2.INTER_AREA)
        detector = load_yunet(self._onnx)
        try:
            detector.setInputSize((wide, tall))
            _, detections = detector.detect(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR))
        except cv2.error as error:
            if error.code == cv2.Error.STS_NO_MEM:
                raise
            raise AiprodError(f"the face detector failed on a picture of {wide}x{tall} ({words_of(error)})") from None
        boxes = np.zeros((0, 4)) if detections is None else detections[:, :4]
        return [(float(x / wide), float(y / tall), float(w / wide), float(h / tall)) for x, y, w, h in boxes]
