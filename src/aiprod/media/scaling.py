"""Scales a picture to a size and pixel format with the right colour matrix and range."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from aiprod.media import colour
from aiprod.media.media_info import Orientation
from aiprod.media.probing import is_full_range
from aiprod.media.rematrixing import limited_709

_WHOLE_RGB = {"gbrp10le": 1023, "gbrp16le": 65_535}  # formats that hold R'G'B' as it is, and their white


def first_plane(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Luma of a planar 8-bit frame, uint8 [H, W]: a view of the decoder's memory, valid until the next one."""
    plane = VideoPlane(frame, 0)  # ``frame.planes`` makes all of them, which takes three times as long
    return np.ndarray((frame.height, frame.width), np.uint8, plane, 0, (plane.line_size, 1))  # type: ignore[arg-type]


class Scaler:
    """One kept scaler: scales a picture to a size and pixel format with the right colour matrix and range.

    White, black and gray come out as what they mean, whatever the size, depth, matrix and range; colours within a code.

    Args:
        width: of the result as stored (before it is turned upright), pixels.
        height: likewise.
        pixel_format: ``gray`` (luma), ``rgb24``, ``gbrp10le``, ``gbrp16le``, ``yuv420p``; ``bgr24`` is quick.
        exact: accurate rounding, the same bytes on every processor; about half as fast.
    """

    def __init__(self, width: int, height: int, pixel_format: str = "rgb24", exact: bool = False) -> None:
        self.width, self.height, self.pixel_format = width, height, pixel_format
        self._kept = VideoReformatter()
        flags = Interpolation.BILINEAR
        if exact:
            flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        self._rgb_flags = self._flags = int(flags)
        if pixel_format != "bgr24":  # without these swscale's matrices lose up to two codes from Y'CbCr
            flags |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
            self._flags = int(flags)
        self.colour_managed = False  # True converts transfer and primaries to BT.709 too (wide gamut); slow

    def frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The scaled picture; limited range BT.709 where the format is YUV, full range for RGB and gray."""
        frame = colour.widened(frame)
        source = _Source.of(frame)
        if source.yuv and not self.colour_managed:
            if self.pixel_format == "gray":
                return av.VideoFrame.from_ndarray(self._gray(frame, source), "gray")
            if self.pixel_format in _WHOLE_RGB:
                top = _WHOLE_RGB[self.pixel_format]
                channels = colour.rgb(self._scaled(frame, source, "yuv444p16le"), *source.meaning, top)
                return colour.gbrp(channels, self.pixel_format)
            if self.pixel_format == "rgb24" and ((source.deep and source.full) or source.misnamed):
                return av.VideoFrame.from_ndarray(self._deep_rgb(frame, source), "rgb24")
            if self.pixel_format == "yuv420p" and (source.full or source.jpeg or source.matrix != colour.SWS_709):
                same = self._scaled(frame, source, "yuv420p16le" if source.deep else "yuv420p")
                return limited_709(same, *source.meaning)
        if source.rgb and not self.colour_managed:
            if self.pixel_format == "gray":
                return av.VideoFrame.from_ndarray(self._gray(frame, source), "gray")
            if self.pixel_format in _WHOLE_RGB:
                return self._whole_rgb(frame, source, self.pixel_format)
            if source.deep and self.pixel_format != "bgr24":
                frame = self._whole_rgb(frame, source, "gbrp")
        return self._reformat(frame, source)

    def array(self, frame: av.VideoFrame) -> np.ndarray:
        """The scaled picture as uint8 [H, W] (gray) or [H, W, 3] (rgb24)."""
        if self.pixel_format == "gray" and not self.colour_managed:
            frame = colour.widened(frame)
            source = _Source.of(frame)
            if source.yuv or source.rgb:
                return self._gray(frame, source)
        return self.frame(frame).to_ndarray()

    def _gray(self, frame: av.VideoFrame, source: _Source) -> np.ndarray:
        """Luma, at its own size without scaling; of RGB that of BT.709."""
        if source.rgb:
            return colour.luma_of(colour.rgb_planes(self._whole_rgb(frame, source, "gbrp")))
        if not source.planar or source.deep or (frame.width, frame.height) != (self.width, self.height):
            frame = self._scaled(frame, source, "yuv420p16le" if source.deep else "yuv420p")
        return colour.gray(colour.planes(frame)[0], source.full, source.bits)

    def _deep_rgb(self, frame: av.VideoFrame, source: _Source) -> np.ndarray:
        return np.stack(colour.rgb(self._scaled(frame, source, "yuv444p16le"), *source.meaning, 255), axis=-1)

    def _whole_rgb(self, frame: av.VideoFrame, source: _Source, pixel_format: str) -> av.VideoFrame:
        """RGB in 8, 10 or 16 bits a channel: swscale only moves bits, so that white would not stay white."""
        scaled = self._kept.reformat(
            frame,
            self.width,
            self.height,
            "gbrp16le",
            src_color_range=2,
            dst_color_range=2,
            interpolation=self._flags,
            threads=1,
        )
        return colour.gbrp(colour.rescaled(colour.rgb_planes(scaled), source.bits, pixel_format), pixel_format)

    def _scaled(self, frame: av.VideoFrame, source: _Source, pixel_format: str) -> av.VideoFrame:
        """Scaled and nothing else: the matrix and the range of the source."""
        if source.jpeg:  # swscale takes such formats for full range, whatever it is told
            pixel_format = "yuvj444p" if "444" in pixel_format else "yuvj420p"
        return self._kept.reformat(
            frame,
            self.width,
            self.height,
            pixel_format,
            src_colorspace=colour.SWS_709,
            dst_colorspace=colour.SWS_709,
            src_color_range=1 + source.jpeg,
            dst_color_range=1 + source.jpeg,
            interpolation=self._flags,
            threads=1,
        )

    def _reformat(self, frame: av.VideoFrame, source: _Source) -> av.VideoFrame:
        full = self.pixel_format in ("gray", "rgb24", *_WHOLE_RGB)
        return self._kept.reformat(
            frame,
            self.width,
            self.height,
            self.pixel_format,
            src_colorspace=source.matrix,
            dst_colorspace=colour.SWS_709,
            src_color_range=2 if source.full else 1,
            dst_color_range=2 if full else 1,
            interpolation=self._rgb_flags if source.rgb else self._flags,
            threads=1,
            dst_color_trc=1 if self.colour_managed else None,
            dst_color_primaries=1 if self.colour_managed else None,
        )


@dataclass(frozen=True)
class _Source:
    """How the codes of a picture are meant."""

    yuv: bool
    rgb: bool
    jpeg: bool  # a format that is full range by its name
    planar: bool
    full: bool
    matrix: int
    bits: int

    @classmethod
    def of(cls, frame: av.VideoFrame) -> _Source:
        layout = frame.format
        jpeg = layout.name.startswith("yuvj")
        return cls(
            yuv=layout.name.startswith(("yuv4", "yuvj4", "yuva4", "nv", "p0", "p2", "p4")),
            rgb=layout.is_rgb and layout.components[0].bits <= 16,  # not those of floating point
            jpeg=jpeg,
            planar=layout.name.startswith(("yuv4", "yuvj4", "yuva4")),
            full=is_full_range(frame),
            matrix=colour.SWS_709 if layout.is_rgb else matrix_of(frame),
            bits=layout.components[0].bits,
        )

    @property
    def deep(self) -> bool:
        """Whether a code has more than 8 bits."""
        return self.bits > 8

    @property
    def misnamed(self) -> bool:
        """Whether the range is limited although the format's name says full: it changed within the film."""
        return self.jpeg and not self.full

    @property
    def meaning(self) -> tuple[int, bool, int]:
        """Matrix, range and depth."""
        return self.matrix, self.full, self.bits


def matrix_of(frame: av.VideoFrame) -> int:
    """swscale's number of a picture's colour matrix; where it is not signalled, BT.601 up to 576 lines, else BT.709."""
    signalled = int(frame.colorspace)
    if signalled in (5, 6, 4):
        return colour.SWS_601
    if signalled in (9, 10):
        return colour.SWS_2020
    if signalled == 7:
        return colour.SWS_240M
    if signalled == 1:
        return colour.SWS_709
    return colour.SWS_601 if frame.height <= 576 and frame.width <= 1024 else colour.SWS_709


def upright(picture: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Turn an array [H, W] or [H, W, C] upright; contiguous."""
    return orientation.turned(picture)
