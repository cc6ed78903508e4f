"""Still pictures on a timeline: titles, mattes, photographs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.media.still_images import read_still_pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_SIDE_MAX = 16_384


class StillImage(NamedTuple):
    """A picture uint8 [H, W, 3] in RGB, and its opacity in 0..1."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.float32] | None

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.rgb.shape[0])

    def scaled(self, width: int, height: int) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """At another size; colours of transparent pixels do not bleed into their neighbours."""
        import cv2

        if (width, height) == (self.width, self.height):
            return self.rgb, self.alpha
        how = cv2.INTER_AREA if width < self.width else cv2.INTER_CUBIC
        if self.alpha is None:
            return np.asarray(cv2.resize(self.rgb, (width, height), interpolation=how), np.uint8), None
        weighted = self.rgb.astype(np.float32) * self.alpha[..., None]
        alpha = np.clip(cv2.resize(self.alpha, (width, height), interpolation=how), 0, 1).astype(np.float32)
        colour = cv2.resize(weighted, (width, height), interpolation=how) / np.maximum(alpha, 1e-4)[..., None]
        return np.rint(np.clip(colour, 0, 255)).astype(np.uint8), alpha


def is_still(path: Path) -> bool:
    """Whether a file is a still picture by its name."""
    return path.suffix.lower() in SUFFIXES


def read_still(path: Path) -> StillImage:
    """Read a picture of 8 or 16 bits a channel, with or without alpha: upright, in sRGB.

    Raises:
        AiprodError: it cannot be read, or is larger than a film may be.
    """
    rgb, alpha, _ = read_still_pixels(path)
    if max(rgb.shape[:2]) > _SIDE_MAX:
        raise AiprodError(f"{path.name} is larger than {_SIDE_MAX} pixels", "scale it down")
    return StillImage(rgb, alpha)
