"""Decoded sound as float32 arrays, and its channels mixed to two."""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np

_HALF = 0.5**0.5
_SAMPLES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}
_BOTH, _LEFT, _RIGHT = (_HALF, _HALF), (1.0, 0.0), (0.0, 1.0)
# What each place adds to left and right: ITU-R BS.775 for the front, surround and low-frequency channels, and by the
# same measure for the places above, below and behind them that BS.2051 and Dolby add.
_PLACES: dict[str, tuple[float, float]] = {
    "FL": _LEFT,
    "FR": _RIGHT,
    "FC": _BOTH,
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
    "BL": (_HALF, 0.0),
    "BR": (0.0, _HALF),
    "SL": (_HALF, 0.0),
    "SR": (0.0, _HALF),
    "BC": (0.5, 0.5),
    "FLC": _LEFT,
    "FRC": _RIGHT,
    "TC": (0.5, 0.5),
    "TFL": (_HALF, 0.0),
    "TFC": (0.5, 0.5),
    "TFR": (0.0, _HALF),
    "TBL": (0.5, 0.0),
    "TBC": (_HALF / 2, _HALF / 2),
    "TBR": (0.0, 0.5),
    "TSL": (0.5, 0.0),
    "TSR": (0.0, 0.5),
    "BFC": (0.5, 0.5),
    "BFL": (_HALF, 0.0),
    "BFR": (0.0, _HALF),
    "WL": _LEFT,
    "WR": _RIGHT,
    "SDL": (_HALF, 0.0),
    "SDR": (0.0, _HALF),
    "SSL": (_HALF, 0.0),
    "SSR": (0.0, _HALF),
    "TTL": (_HALF, 0.0),
    "TTR": (0.0, _HALF),
    "DL": _LEFT,
    "DR": _RIGHT,
    "BIL": _LEFT,
    "BIR": _RIGHT,
}
_MANY = 8
_USUAL = {1: "FC", 2: "FL FR", 6: "FL FR FC LFE BL BR", 8: "FL FR FC LFE BL BR SL SR"}


def names_of(layout: Any) -> list[str]:
    """Where the channels of a PyAV layout belong; channels whose places are not stated take the usual ones of their
    number, where there are any."""
    names = [channel.name for channel in layout.channels]
    if names and all(name == "NONE" for name in names) and len(names) in _USUAL:
        return _USUAL[len(names)].split()
    return names


def mixing(names: list[str]) -> np.ndarray | None:
    """What each channel adds to the two sides, [2, channels]; None where nothing is mixed: one channel, or two sides.

    Channels without a place of their own (also the one channel of a sound field without direction) are heard on both
    sides alike.
    """
    if len(names) <= 1 or names in (["FL", "FR"], ["DL", "DR"]):  # none: a damaged header says of no channel
        return None
    if names and names[0] == "AMBI0":  # a sound field: the first harmonics are all round and to the left (ACN, SN3D)
        field = np.zeros((2, len(names)))
        field[:, 0] = 1.0
        if len(names) > 1:
            field[:, 1] = 0.5, -0.5
        return field
    placed = [_PLACES.get(name) for name in names]
    homeless = sum(place is None for place in placed)
    matrix = np.array([place or (homeless**-0.5, homeless**-0.5) for place in placed]).T
    if not matrix.any():  # low-frequency channels alone
        matrix[:] = len(names) ** -0.5
    return matrix


def _names_in(layout: str) -> list[str]:
    """The places that FFmpeg's description of a layout without a name of its own lists: ``2 channels (FL+FC)``."""
    return re.findall(r"[A-Z0-9]+", layout.partition("(")[2])


def mixing_words(layout: str, channels: int) -> str | None:
    """How the channels of a layout become two, in words; None where they are two sides.

    Args:
        layout: FFmpeg's name of it; empty where it has none.
    """
    try:
        names = names_of(av.AudioLayout(layout))
    except (ValueError, av.error.FFmpegError):
        names = _names_in(layout) or _USUAL.get(channels, " ".join(["NONE"] * channels)).split()
    if not names:
        return None
    if len(names) == 1:
        return "sound 1 to 2 channels (ITU-R BS.775)"
    if mixing(names) is None:
        return None
    count = len(names)
    if names[0] == "AMBI0":
        return f"sound field of {count} channels heard from left and right"
    lost = sum(name not in _PLACES for name in names)
    if lost:
        return f"sound of {count} channels mixed to 2, {lost} of them without a known place on both sides alike"
    if count == 2:
        return f"sound of the channels {names[0]} and {names[1]} mixed to 2 (ITU-R BS.775)"
    return f"sound {count} to 2 channels (ITU-R BS.775)"


def floats(frame: Any) -> np.ndarray:
    """Samples of an audio frame as float32 [channels, T], full scale at 1; exact up to 24 bits."""
    planar, channels = frame.format.is_planar, frame.layout.nb_channels
    if planar and channels >= _MANY:
        # PyAV 18 counts the planes of many channels wrong and reads behind the last; packed there is one plane.
        packed = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
        frame.pts = None
        return np.concatenate([floats(part) for part in (*packed.resample(frame), *packed.resample(None))], axis=1)
    name = frame.format.name
    kind = _SAMPLES[name.removesuffix("p")]
    count = frame.samples
    if planar:
        # One view a plane: PyAV's own way stacks them, which takes five times as long.
        planes = frame.planes
        array = np.empty((len(planes), count), kind)
        for row, plane in enumerate(planes):
            array[row] = np.frombuffer(plane, kind, count)
    else:
        array = np.frombuffer(frame.planes[0], kind, count * channels).reshape(count, channels).T
    if kind is np.float32:
        return array
    if kind is np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if np.issubdtype(kind, np.integer):
        scale = np.float32(2.0 ** (1 - 8 * array.itemsize))
        return np.asarray(np.multiply(array, scale, dtype=np.float32, casting="unsafe"))
    return array.astype(np.float32, copy=False)


def two_at_most(array: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """One channel as it is, two sides as they are, more mixed to two."""
    return array if matrix is None else (matrix @ array).astype(np.float32)
