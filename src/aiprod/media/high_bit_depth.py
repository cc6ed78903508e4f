"""Pictures for a delivery in more than 8 bits of BT.709: scaled, graded and converted in floating point, then dithered
once into limited-range Y'CbCr 4:2:0 of 8 or 10 bits."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.color.delivery import Delivery
from aiprod.color.grade import Grade
from aiprod.color.light import REC709
from aiprod.color.rendering import rendering
from aiprod.media import colour
from aiprod.media.media_info import VideoFacts
from aiprod.media.scaling import Scaler
from aiprod.media.tone_mapping import signal_facts

Plane = NDArray[Any]  # uint8, or uint16 of 10 bits
_BAYER = np.array([[0]])
for _ in range(3):  # 8 x 8 thresholds, each between 0 and 1 once: what lies between two codes comes out as their mix
    _BAYER = np.block([[4 * _BAYER, 4 * _BAYER + 2], [4 * _BAYER + 3, 4 * _BAYER + 1]])
THRESHOLDS = ((_BAYER + 0.5) / 64).astype(np.float32)
_WHOLE = 0.04  # of a code: nearer to one than tables and rounding can tell, a value is that code


def pixel_format(bits: int) -> str:
    """FFmpeg's name of 4:2:0 of a depth."""
    return "yuv420p" if bits == 8 else "yuv420p10le"


class DeepPictures:
    """Makes decoded pictures of one film those of a delivery.

    Args:
        width: of the result, upright.
        height: likewise.
        video: facts of the film.
    """

    def __init__(self, width: int, height: int, video: VideoFacts, grade: Grade | None, delivery: Delivery) -> None:
        self._turn, self._delivery = video.orientation, delivery
        self._size = (height, width) if self._turn.transpose else (width, height)
        self._scaler = Scaler(*self._size, "gbrp16le", exact=True)
        self._rendering = rendering(signal_facts(video), grade, delivery)
        self._kept = (
            self._rendering.nothing
            and self._turn.upright
            and video.sar == (1, 1)
            and video.matrix == delivery.tags[2]
            and not video.full_range
        )

    def frame(self, frame: av.VideoFrame) -> list[Plane]:
        """Planes of the delivery; those of the picture itself where nothing has to be done to it."""
        format_name = pixel_format(self._delivery.bits)
        if self._kept and (frame.width, frame.height) == self._size and frame.format.name == format_name:
            return list(colour.planes(frame))
        codes = [np.asarray(plane, np.uint16) for plane in colour.rgb_planes(self._scaler.frame(frame))]
        shown = [self._turn.turned(plane) for plane in self._rendering.signal(codes)]
        return coded(shown, self._delivery)

    def signal(self, frame: av.VideoFrame) -> NDArray[np.float32]:
        """Signal float32 [H, W, 3] of the delivery, not clipped."""
        codes = [np.asarray(plane, np.uint16) for plane in colour.rgb_planes(self._scaler.frame(frame))]
        return np.stack([self._turn.turned(plane) for plane in self._rendering.signal(codes)], axis=-1)


def still_planes(picture: NDArray[np.uint8], delivery: Delivery, grade: Grade | None = None) -> list[Plane]:
    """Planes of a still picture or a title, uint8 RGB [H, W, 3] of BT.709, graded, white becoming diffuse white."""
    codes = [np.ascontiguousarray(picture[..., n]).astype(np.uint16) * np.uint16(257) for n in range(3)]
    return coded(rendering(REC709, grade, delivery).signal(codes), delivery)


def coded(rgb: list[NDArray[np.float32]], delivery: Delivery) -> list[Plane]:
    """Y', Cb and Cr 4:2:0 of signal [H, W] of 0 to 1, both sides even, dithered by an ordered pattern."""
    red, green, blue = (np.clip(plane, 0, 1) for plane in rgb)
    weights = [np.float32(w) for w in colour.luma_weights(delivery.tags[2])]
    luma = weights[0] * red + weights[1] * green + weights[2] * blue
    step = np.float32(1 << (delivery.bits - 8))
    cb = _halved((blue - luma) / (2 - 2 * weights[2]))
    cr = _halved((red - luma) / (2 - 2 * weights[0]))
    kind = np.uint8 if delivery.bits == 8 else np.uint16
    planes = [luma * (219 * step) + 16 * step, *(c * (224 * step) + 128 * step for c in (cb, cr))]
    return [dithered(plane).astype(kind) for plane in planes]


def dithered(codes: NDArray[np.float32], whole: float = _WHOLE) -> NDArray[np.float32]:
    """Codes [H, W] rounded up or down by an ordered pattern, so that a smooth ramp has no bands; whole ones stay."""
    height, width = codes.shape
    tiles = np.tile(THRESHOLDS, (-(-height // 8), -(-width // 8)))[:height, :width]
    near = np.rint(codes)
    return np.where(np.abs(codes - near) < whole, near, np.floor(codes + tiles))


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the size as 4:2:0 is placed (H.264 annex E, type 0): columns on the even ones, lines between two."""
    lines = (plane[0::2] + plane[1::2]) * np.float32(0.5)
    left = np.concatenate([lines[:, :1], lines[:, 1:-1:2]], axis=1)
    return (lines[:, 0::2] * 2 + left + lines[:, 1::2]) * np.float32(0.25)
