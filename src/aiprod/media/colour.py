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
_FINE = 6  # bits behind the point

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
def _values(full: bool, bits: int, wide: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    return np.clip(np.rint(_values(full, bits, wide)[0] * 255), 0, 255).astype(np.uint8)


def gray(luma: Codes, full: bool, bits: int) -> NDArray[np.uint8]:
    """Luma as full-range codes of 8 bits."""
    table = _to_gray(full, bits, luma.dtype == np.uint16)
    if luma.dtype == np.uint16:
        return table.take(luma)
    import cv2  # its table is twice as fast as NumPy's

    return np.asarray(cv2.LUT(luma, table), np.uint8)


@functools.cache
def _rgb_tables(matrix: int, full: bool, bits: int, wide: bool) -> tuple[NDArray[np.float32], ...]:
    luma, chroma = _values(full, bits, wide)
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


@functools.cache
def _yuv_tables(matrix: int, full: bool, bits: int, wide: bool) -> tuple[NDArray[np.int16], ...]:
    """Tables over codes that give limited-range BT.709 with ``_FINE`` bits behind the point: luma of luma, of Cb, of
    Cr; Cb of Cb, of Cr; Cr of Cb, of Cr."""
    luma, chroma = _values(full, bits, wide)
    turn = np.linalg.inv(to_rgb(SWS_709)) @ to_rgb(matrix)
    unit = 2.0**_FINE

    def table(scale: float, values: NDArray[np.float64], offset: float = 0.0) -> NDArray[np.int16]:
        return np.clip(np.rint((scale * values + offset) * unit), -32_768, 32_767).astype(np.int16)

    return (
        table(219.0, luma, 16.0),
        *(table(219 * turn[0, n], chroma) for n in (1, 2)),
        *(table(224 * turn[m, n], chroma, 128.0 if m == n else 0.0) for m in (1, 2) for n in (1, 2)),
    )


def limited_709(frame: av.VideoFrame, matrix: int, full: bool, bits: int) -> av.VideoFrame:
    """A yuv420p or yuv420p16le picture of another matrix or range as limited-range BT.709, yuv420p.

    The turn from one matrix to another is linear, so chroma stays at its own resolution, and colours outside of what
    R'G'B' can hold are kept.
    """
    luma, cb, cr = planes(frame)
    tables = _yuv_tables(matrix, full, bits, luma.dtype == np.uint16)
    converted = av.VideoFrame(frame.width, frame.height, "yuv420p")
    target = planes(converted)
    bright = _looked_up(tables[0], luma)
    if matrix != SWS_709:
        bright += _doubled(_looked_up(tables[1], cb) + _looked_up(tables[2], cr), bright.shape)
    _finish(bright, target[0])
    for own, other, first, plane in ((cb, cr, 3, target[1]), (cr, cb, 6, target[2])):
        value = _looked_up(tables[first], own)
        if matrix != SWS_709:
            value += _looked_up(tables[4 if first == 3 else 5], other)
        _finish(value, plane)
    return converted


def _looked_up(table: NDArray[np.int16], codes: Codes) -> NDArray[np.int16]:
    """What a table holds for each code; of 8 bits in less than half of NumPy's time."""
    if codes.dtype != np.uint8 or table.size != 256:
        return table.take(codes)
    import cv2  # here: few films need it

    found: NDArray[np.int16] = cv2.LUT(codes, table)  # type: ignore[assignment]
    return found


def _finish(value: NDArray[np.int16], plane: Codes) -> None:
    """Round to whole codes."""
    value += 1 << (_FINE - 1)
    value >>= _FINE
    plane[:] = np.clip(value, 0, 255, out=value)


def _doubled(small: NDArray[np.int16], shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Twice the size as 4:2:0 is placed (H.264 annex E, type 0): columns on the even ones, lines between two."""
    tall = np.empty((2 * small.shape[0], small.shape[1]), np.int16)
    above, below = np.concatenate([small[:1], small[:-1]]), np.concatenate([small[1:], small[-1:]])
    tall[0::2] = (3 * small + above + 2) >> 2
    tall[1::2] = (3 * small + below + 2) >> 2
    wide = np.empty((tall.shape[0], 2 * tall.shape[1]), np.int16)
    wide[:, 0::2] = tall
    wide[:, 1:-1:2] = (tall[:, :-1] + tall[:, 1:] + 1) >> 1
    wide[:, -1] = tall[:, -1]
    return wide[: shape[0], : shape[1]]
