"""Small colour stills for people and for the palette: film of high dynamic range looks as its training clip does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiprod.media.halving import halved
from aiprod.media.media_info import VideoFacts
from aiprod.media.scaling import Scaler, upright
from aiprod.media.tone_mapping import ToneMapper

if TYPE_CHECKING:
    from av import VideoFrame


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
