"""A picture that a video is to begin with, as a person sees it: upright, flattened, in sRGB."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from aiprod.base.progress import log
from aiprod.media.still_images import read_still_pixels


def read_picture(path: Path, height: int, width: int) -> np.ndarray:
    """A picture as uint8 RGB [height, width, 3], scaled to cover that size and cropped about its centre.

    What is transparent is laid on white before anything is scaled, so that no colour hidden there can show; a turn that
    the file states is done, its colour profile is followed, and of several pictures the first is taken, and said.

    Raises:
        AiprodError: missing, or no picture that can be read.
    """
    picture = _flat(path)
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(fitted[top : top + height, left : left + width])


def _flat(path: Path) -> np.ndarray:
    """The colours uint8 RGB [H, W, 3] of a picture file in sRGB, laid on white where they are transparent."""
    colours, alpha, pictures = read_still_pixels(path)
    if pictures > 1:
        log(f"note: {path} holds {pictures} pictures; the first is used")
    if alpha is None:
        return colours
    log(f"note: parts of {path} are transparent; they are laid on white")
    mixed = 255.0 + (colours - 255.0) * alpha[..., None]
    return np.asarray(np.round(mixed), np.uint8)
