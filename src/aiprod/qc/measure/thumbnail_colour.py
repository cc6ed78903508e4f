"""Small colour stills for people and for the palette: film of high dynamic range looks as its training clip does."""

from __future__ import annotations

import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane

from aiprod.media.colour import SWS_240M, SWS_601, SWS_709, SWS_2020
from aiprod.media.media_info import VideoFacts
from aiprod.media.scaling import Scaler, matrix_of, upright
from aiprod.media.tone_mapping import ToneMapper
from aiprod.qc.planes import shrink

_QUARTERED = ("yuv420p", "yuvj420p")  # 8 bits, and one chroma sample for two by two of luma
_SPARE = 2  # times as wide as asked: the scaler weighs the rest, as it would have weighed the whole
_SIGNALLED = {SWS_709: 1, SWS_601: 6, SWS_240M: 7, SWS_2020: 9}


def halved(frame: VideoFrame, width: int) -> VideoFrame:
    """The picture averaged by halves while it stays wider than asked, which takes a fraction of the time that an exact
    scaler takes for the whole; of other formats than planar Y'CbCr 4:2:0 in 8 bits the picture."""
    factor = 1
    while frame.width // (2 * factor) >= _SPARE * width and frame.height // (2 * factor) >= 2:
        factor *= 2
    if factor == 1 or frame.format.name not in _QUARTERED:
        return frame
    wide, tall = (side // (2 * factor) * 2 for side in (frame.width, frame.height))
    small = VideoFrame(wide, tall, frame.format.name)
    for number in range(3):
        high, across = (tall, wide) if number == 0 else (tall // 2, wide // 2)
        _samples(small, number, high, across)[:] = shrink(
            _samples(frame, number, high * factor, across * factor), factor
        )
    small.colorspace, small.color_range = _SIGNALLED[matrix_of(frame)], frame.color_range
    return small


def _samples(frame: VideoFrame, number: int, tall: int, wide: int) -> np.ndarray:
    """The first so many lines and columns of one of its planes, in its own memory."""
    plane = VideoPlane(frame, number)
    return np.ndarray((tall, wide), np.uint8, plane, 0, (plane.line_size, 1))  # type: ignore[arg-type]


class StillColour:
    """Scales decoded pictures to small RGB ones, PQ and HLG by the mapping that ingest makes training clips with.

    Args:
        width: of the still, pixels; its height follows from the shape of the first picture.
        video: facts of the film.
    """

    def __init__(self, width: int, video: VideoFacts) -> None:
        self._width, self._video = width, video
        self._scaler: Scaler | None = None
        self._mapper: ToneMapper | None = None

    def take(self, frame: VideoFrame) -> np.ndarray:
        """The picture as uint8 [h, w, 3], full-range RGB of BT.709."""
        if self._scaler is None:
            height = max(2, 2 * round(self._width * frame.height / frame.width / 2))
            self._scaler = Scaler(self._width, height, "rgb24", exact=True)
            if self._video.hdr:
                self._mapper = ToneMapper(self._width, height, self._video)
        return self._scaler.array(halved(frame, self._width) if self._mapper is None else self._mapper.frame(frame))


class TinyColour:
    """Squeezes decoded pictures to tiny RGB ones of one shape, upright, by the same bytes on every processor.

    Args:
        size: width and height, pixels.
        video: facts of the film.
    """

    def __init__(self, size: tuple[int, int], video: VideoFacts) -> None:
        self._orientation = video.orientation
        width, height = size
        self._scaler = Scaler(*((height, width) if self._orientation.transpose else size), "rgb24", exact=True)

    def take(self, frame: VideoFrame) -> np.ndarray:
        """The picture as uint8 [h, w, 3]."""
        return upright(self._scaler.array(frame), self._orientation)


class UprightColour:
    """Scales decoded pictures to RGB ones that are upright and in square pixels.

    Args:
        video: facts of the film.
    """

    def __init__(self, video: VideoFacts) -> None:
        self._video = video
        self._whole_px = min(video.display_width, video.display_height)
        self._scalers: dict[int, Scaler] = {}
        self._last: VideoFrame | None = None
        self._thumbnails: dict[int, np.ndarray] = {}  # of the last picture, for several checks ask for one size

    def take(self, frame: VideoFrame, side_px: int) -> np.ndarray:
        """The picture as uint8 [h, w, 3] that cannot be written to, its shorter side of so many pixels at most."""
        side_px = min(side_px, self._whole_px)  # of a small film, all sizes that are asked for are one
        if frame is not self._last:
            self._last, self._thumbnails = frame, {}
        if side_px not in self._thumbnails:
            self._thumbnails[side_px] = picture = np.ascontiguousarray(self._scaled(frame, side_px))
            picture.flags.writeable = False
        return self._thumbnails[side_px]

    def _scaled(self, frame: VideoFrame, side_px: int) -> np.ndarray:
        if side_px not in self._scalers:
            video = self._video
            shrink = side_px / self._whole_px
            wide, tall = (max(2, round(side * shrink)) for side in (video.display_width, video.display_height))
            stored = (tall, wide) if video.orientation.transpose else (wide, tall)
            self._scalers[side_px] = Scaler(*stored, "rgb24", exact=True)
        return upright(self._scalers[side_px].array(frame), self._video.orientation)
