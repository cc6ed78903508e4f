"""Exact conversions between Y'CbCr and R'G'B': what swscale rounds away is 1 to 2 codes of 255, and 2 at white.

swscale is used for what it does exactly, which is to scale planes; here the matrices of ITU-R BT.601, 709 and 2020 and
SMPTE 240M and the ranges of H.273 are applied to the scaled planes. Elementwise sums and tables only: the same bytes on
every processor.
"""

from __future__ import annotations

import functools

import av
import numpy as np
from numpy.typing import NDArray

SWS_709, SWS_601, SWS_2020, SWS_240M = 1, 5, 9, 7  # swscale's numbers
_WEIGHTS = {
    SWS_709: (0.2126, 0.0722),
    SWS_601: (0.299, 0.114),
    SWS_2020: (0.2627, 0.0593),
    SWS_240M: (0.212, 0.087),
}
_BAND = 32  # lines that are worked on at once, so that they stay in the processor's cache

Codes = NDArray[np.uint8] | NDArray[np.uint16]


def luma_weights(matrix: int) -> tuple[float, float, float]:
    """Share of red, green and blue in luma."""
    red, blue = _WEIGHTS[matrix]
    return red, 1 - red - blue, blue


def to_rgb(matrix: int) -> NDArray[np.float64]:
    """Matrix [3, 3] from Y', Pb, Pr (0 to 1, -1/2 to 1/2) to R'G'B' (0 to 1)."""
    red, green, blue = luma_weights(matrix)
    rows = [
        [red, green, blue],
        [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
        [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
    ]
    return np.asarray(np.linalg.inv(rows), np.float64)


def planes(frame: av.VideoFrame) -> list[Codes]:
    """The planes of a planar picture [h, w]; views of its own memory."""
    bits = frame.format.components[0].bits
    return [
        np.frombuffer(p, np.uint8 if bits <= 8 else np.uint16).reshape(p.height, -1)[:, : p.width]  # type: ignore[call-overload]
        for p in frame.planes
    ]


@functools.cache
def values(full: bool, bits: int, wide: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the codes of luma and of chroma mean, of 8 bits or (``wide``) of ``bits`` moved up to 16."""
    codes = np.arange(65_536 if wide else 256, dtype=np.float64)
    unit = 2.0 ** ((16 if wide else 8) - bits)  # one step of the source
    step = 2.0 ** (bits - 8) * unit  # one step of 8 bits
    top = (2.0**bits - 1) * unit
    luma = codes / top if full else (codes - 16 * step) / (219 * step)
    chroma = (codes - 128 * step) / (top if full else 224 * step)
    return luma, chroma


@functools.cache
def _to_gray(full: bool, bits: int, wide: bool) -> NDArray[np.uint8]:
    return np.clip(np.rint(values(full, bits, wide)[0] * 255), 0, 255).astype(np.uint8)


def gray(luma: Codes, full: bool, bits: int) -> NDArray[np.uint8]:
    """Luma as full-range codes of 8 bits."""
    table = _to_gray(full, bits, luma.dtype == np.uint16)
    if luma.dtype == np.uint16:
        return table.take(luma)
    import cv2  # its table is twice as fast as NumPy's

    return np.asarray(cv2.LUT(luma, table), np.uint8)


@functools.cache
def _rgb_tables(matrix: int, full: bool, bits: int, wide: bool) -> tuple[NDArray[np.float32], ...]:
    luma, chroma = values(full, bits, wide)
    return luma.astype(np.float32), chroma.astype(np.float32), to_rgb(matrix).astype(np.float32)


def rgb(frame: av.VideoFrame, matrix: int, full: bool, bits: int, top: int) -> list[Codes]:
    """Red, green and blue of a 4:4:4 picture of 8 or 16 bits as whole numbers from 0 to ``top``, white being ``top``.

    Args:
        bits: of the source, whose codes were moved up where the picture has 16.
    """
    source = planes(frame)
    luma, chroma, weights = _rgb_tables(matrix, full, bits, source[0].dtype == np.uint16)
    kind = np.uint8 if top < 256 else np.uint16
    channels = [np.empty(source[0].shape, kind) for _ in range(3)]
    for first in range(0, frame.height, _BAND):
        lines = slice(first, first + _BAND)
        y, pb, pr = luma.take(source[0][lines]), chroma.take(source[1][lines]), chroma.take(source[2][lines])
        for channel, row in zip(channels, weights, strict=True):
            value = y + row[1] * pb
            value += row[2] * pr
            value *= np.float32(top)
            channel[lines] = np.rint(np.clip(value, 0, top, out=value), out=value)
    return list(channels)


def gbrp(channels: list[Codes], pixel_format: str) -> av.VideoFrame:
    """Red, green and blue as a picture of that planar format."""
    frame = av.VideoFrame(channels[0].shape[1], channels[0].shape[0], pixel_format)
    for plane, values in zip(rgb_planes(frame), channels, strict=True):
        plane[:] = values
    return frame


def rgb_planes(frame: av.VideoFrame) -> list[Codes]:
    """Red, green and blue of a picture that is stored as green, blue, red; views of its own memory."""
    green, blue, red = planes(frame)
    return [red, green, blue]


_PACKED = {  # where red, green and blue lie in a number, and their bits
    "rgb555": ((10, 5), (5, 5), (0, 5)),
    "bgr555": ((0, 5), (5, 5), (10, 5)),
    "rgb565": ((11, 5), (5, 6), (0, 5)),
    "bgr565": ((0, 5), (5, 6), (11, 5)),
    "rgb444": ((8, 4), (4, 4), (0, 4)),
    "bgr444": ((0, 4), (4, 4), (8, 4)),
    "rgb8": ((5, 3), (2, 3), (0, 2)),
    "bgr8": ((0, 3), (3, 3), (6, 2)),
}


def widened(frame: av.VideoFrame) -> av.VideoFrame:
    """A picture whose codes swscale takes for others as one that it takes for what it is; any other as it comes.

    Red, green and blue of fewer than 8 bits are only moved up there, so that white becomes a light gray, and gray of
    limited range counts as full.
    """
    name = frame.format.name
    parts = _PACKED.get(name.removesuffix("le").removesuffix("be"))
    if parts is not None:
        kind = "u1" if name in _PACKED else ">u2" if name.endswith("be") else "<u2"
        [plane] = frame.planes
        numbers = np.frombuffer(plane, np.dtype(kind)).reshape(frame.height, -1)[:, : frame.width]  # type: ignore[call-overload]
        channels = [_spread(bits).take((numbers >> shift) & ((1 << bits) - 1)) for shift, bits in parts]
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(np.stack(channels, axis=-1)), "rgb24")
    if name.startswith("gray") and frame.color_range == 1:
        bits = frame.format.components[0].bits
        luma = planes(frame)[0]
        if bits > 8:
            luma = np.left_shift(luma, 16 - bits, dtype=np.uint16)
        whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(gray(luma, False, bits)), "gray")
        whole.color_range = 2
        return whole
    return frame


@functools.cache
def _spread(bits: int) -> NDArray[np.uint8]:
    top = (1 << bits) - 1
    return np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)


def rescaled(channels: list[Codes], bits: int, pixel_format: str) -> list[Codes]:
    """Channels of ``bits`` that were moved up to 16 as those of ``gbrp``, ``gbrp10le`` or ``gbrp16le``, white staying
    white."""
    table = _narrow(bits, {"gbrp10le": 10, "gbrp16le": 16}.get(pixel_format, 8))
    return [table.take(channel) for channel in channels]


@functools.cache
def _narrow(bits: int, wanted: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    top = ((1 << bits) - 1) << (16 - bits)
    values = np.minimum(np.rint(np.arange(65_536) * ((2.0**wanted - 1) / top)), 2**wanted - 1)
    return values.astype(np.uint8) if wanted == 8 else values.astype(np.uint16)


def luma_of(channels: list[Codes]) -> NDArray[np.uint8]:
    """BT.709 luma of red, green and blue of 8 bits."""
    weights = [np.float32(weight) for weight in luma_weights(SWS_709)]
    value = channels[0] * weights[0]
    value += channels[1] * weights[1]
    value += channels[2] * weights[2]
    return np.rint(value).astype(np.uint8)
