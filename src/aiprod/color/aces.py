"""Tone and gamut mapping of ACES 2.0, by OpenColorIO: from one display's rendering back to the scene, and to another's.

A transform takes a second a picture, so that it is baked into a table of three dimensions behind PQ or gamma.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.color.light import Signal, between, light_of, pq_signal, signal_of, to_xyz
from aiprod.errors import AiprodError

_SIZE = 65
_PEAKS = (500, 1000, 2000, 4000)
_SDR_NITS = 100.0
_HDR_WAY, _SDR_WAY = Signal("pq", 9, 10_000.0), Signal("bt1886", 9, _SDR_NITS)


def through_aces(
    light: list[NDArray[np.float32]], source: Signal, peak_nits: float, target: Signal
) -> list[NDArray[np.float32]]:
    """Light of a source whose peak is 1 as that of a target of the other range.

    Raises:
        AiprodError: OpenColorIO is not installed.
    """
    matrix = between(source.primaries, 9)
    wide = np.stack([sum(c * w for c, w in zip(light, row, strict=True)) for row in matrix], axis=-1)
    wide = np.clip(wide, 0, 1)
    way = _HDR_WAY if source.hdr else _SDR_WAY
    shaped = pq_signal(wide * peak_nits) if source.hdr else signal_of(wide, way)
    pixels = np.ascontiguousarray(shaped, np.float32)
    _baked(source.hdr, peak_nits, target).applyRGB(pixels)
    scale = 1.0
    if target.hdr:
        scale = _HDR_WAY.peak_nits / target.peak_nits
    out = light_of(pixels.astype(np.float64), _HDR_WAY if target.hdr else _SDR_WAY) * scale
    return [np.ascontiguousarray(out[..., n], np.float32) for n in range(3)]


@lru_cache(maxsize=4)
def _baked(hdr: bool, peak_nits: float, target: Signal) -> Any:
    """OpenColorIO's processor of the table, from and to PQ of BT.2020 (gamma 2.4 of standard range)."""
    axis = np.linspace(0, 1, _SIZE)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    values = np.ascontiguousarray(exact(grid, hdr, peak_nits, target), np.float32)
    ocio = _library()
    table = ocio.Lut3DTransform(_SIZE)
    table.setData(values.ravel())
    table.setInterpolation(ocio.INTERP_TETRAHEDRAL)
    depth = ocio.BIT_DEPTH_F32
    processor = ocio.Config.CreateRaw().getProcessor(table, ocio.TRANSFORM_DIR_FORWARD)
    return processor.getOptimizedCPUProcessor(depth, depth, ocio.OPTIMIZATION_LOSSLESS)


def exact(signal: NDArray[np.float64], hdr: bool, peak_nits: float, target: Signal) -> NDArray[np.float64]:
    """What the table holds: signals [..., 3] through the transforms themselves.

    Args:
        hdr: whether ``signal`` is PQ of BT.2020; else gamma 2.4 of BT.2020.
    """
    ocio = _library()
    forward, back = ocio.TRANSFORM_DIR_FORWARD, ocio.TRANSFORM_DIR_INVERSE
    source_way, target_way = (_HDR_WAY if hdr else _SDR_WAY), (_HDR_WAY if target.hdr else _SDR_WAY)
    xyz = to_xyz(9)
    most = _style_peak(peak_nits) if hdr else _SDR_NITS
    light = np.minimum(light_of(signal, source_way) * source_way.peak_nits, most)
    pixels = np.ascontiguousarray(light / 100 @ xyz.T, np.float32)
    group = ocio.GroupTransform()
    group.appendTransform(ocio.BuiltinTransform(_style(hdr, peak_nits, 9 if hdr else 1), back))
    group.appendTransform(ocio.BuiltinTransform(_style(target.hdr, target.peak_nits, target.primaries), forward))
    ocio.Config.CreateRaw().getProcessor(group).getDefaultCPUProcessor().applyRGB(pixels)
    shown = np.maximum(pixels.astype(np.float64) @ np.linalg.inv(to_xyz(target.primaries)).T, 0)
    if target.hdr:
        return signal_of(np.minimum(shown * 100 / _HDR_WAY.peak_nits, 1), target_way)
    return signal_of(np.minimum(shown, 1), target_way)


def _style_peak(peak_nits: float) -> float:
    return float(next((peak for peak in _PEAKS if peak >= peak_nits), _PEAKS[-1]))


def _style(hdr: bool, peak_nits: float, primaries: int) -> str:
    kind = f"HDR-{_style_peak(peak_nits):g}nit-REC2020" if hdr else "SDR-100nit-REC709"
    if not hdr and primaries == 12:
        kind = "SDR-100nit-P3-D65"
    return f"ACES-OUTPUT - ACES2065-1_to_CIE-XYZ-D65 - {kind}_2.0"


def _library() -> Any:
    try:
        import PyOpenColorIO as ocio  # noqa: N813 (its own documentation names it so)
    except ImportError:
        raise AiprodError("OpenColorIO is not installed", "pip install 'aiprod[color]'") from None
    return ocio
