"""Scopes: waveform, RGB parade, vectorscope and false colour, as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
_HEIGHT, _WIDTH, _EDGE = 256, 384, 8
_INK = (70, 70, 70)
# What false colour shows, by share of the display signal: the bands that exposure is judged by.
FALSE_COLOUR: tuple[tuple[float, tuple[int, int, int], str], ...] = (
    (0.02, (110, 0, 160), "crushed"),
    (0.10, (20, 60, 220), "near black"),
    (0.38, (90, 90, 90), "shadows"),
    (0.46, (40, 170, 60), "middle grey"),
    (0.54, (130, 130, 130), "midtones"),
    (0.62, (240, 150, 170), "light skin"),
    (0.90, (190, 190, 190), "highlights"),
    (0.98, (240, 220, 40), "near white"),
    (2.00, (220, 30, 30), "clipped"),
)


def _trace(values: NDArray[np.float32], columns: NDArray[np.intp], width: int) -> NDArray[np.float32]:
    """How often each level stands in each column, float32 [HEIGHT, width] in 0..1; single pixels show."""
    rows = np.clip(np.rint((1 - np.clip(values, -0.05, 1.05)) * (_HEIGHT - 1)), 0, _HEIGHT - 1).astype(np.intp)
    counts = np.bincount((rows * width + columns).ravel(), minlength=_HEIGHT * width).reshape(_HEIGHT, width)
    most = max(1, int(counts.max()))
    return (np.log1p(counts) / np.log1p(most)).astype(np.float32)


def _columns(height: int, wide: int, width: int) -> NDArray[np.intp]:
    return np.broadcast_to((np.arange(wide) * width // wide)[None], (height, wide))


def _ruled(traces: list[NDArray[np.float32]], inks: list[tuple[int, int, int]]) -> Picture:
    out = np.zeros((_HEIGHT, traces[0].shape[1], 3), np.float32)
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        out[round((1 - level) * (_HEIGHT - 1))] = _INK
    for trace, ink in zip(traces, inks, strict=True):
        out = np.maximum(out, trace[..., None] * np.array(ink, np.float32))
    return np.rint(out).astype(np.uint8)


def luma(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """BT.709 luma of display signal [H, W, 3]."""
    return (rgb * np.array([0.2126, 0.7152, 0.0722], np.float32)).sum(axis=-1)


def waveform(rgb: NDArray[np.float32]) -> Picture:
    """Luma against the horizontal place, uint8 [256, 384, 3]; lines at every quarter of the signal."""
    height, wide = rgb.shape[:2]
    return _ruled([_trace(luma(rgb), _columns(height, wide, _WIDTH), _WIDTH)], [(120, 255, 140)])


def parade(rgb: NDArray[np.float32]) -> Picture:
    """The three channels side by side."""
    height, wide = rgb.shape[:2]
    third = _WIDTH // 3
    inks = [(255, 90, 90), (90, 255, 110), (110, 140, 255)]
    parts = [_ruled([_trace(rgb[..., n], _columns(height, wide, third), third)], [inks[n]]) for n in range(3)]
    return np.concatenate(parts, axis=1)


def vectorscope(rgb: NDArray[np.float32]) -> Picture:
    """Cb to the right and Cr upwards, uint8 [256, 256, 3], with boxes at the colours of 75 % bars."""
    import cv2

    def place(values: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        y = luma(values)
        cb, cr = (values[..., 2] - y) / 1.8556, (values[..., 0] - y) / 1.5748
        x = np.clip(np.rint((cb + 0.5) * (_HEIGHT - 1)), 0, _HEIGHT - 1).astype(np.intp)
        return x, np.clip(np.rint((0.5 - cr) * (_HEIGHT - 1)), 0, _HEIGHT - 1).astype(np.intp)

    x, row = place(rgb)
    counts = np.bincount((row * _HEIGHT + x).ravel(), minlength=_HEIGHT * _HEIGHT).reshape(_HEIGHT, _HEIGHT)
    trace = np.log1p(counts) / np.log1p(max(1, int(counts.max())))
    out = np.ascontiguousarray(np.rint(trace[..., None] * np.array([150, 255, 160])).astype(np.uint8))
    centre = _HEIGHT // 2
    cv2.circle(out, (centre, centre), centre - 1, _INK, 1)
    out[centre] = np.maximum(out[centre], 50)
    out[:, centre] = np.maximum(out[:, centre], 50)
    bars = 0.75 * np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]], np.float32)
    for colour, at_x, at_y in zip(bars, *place(bars), strict=True):
        ink = tuple(int(255 * c / 0.75) for c in colour)
        cv2.rectangle(out, (int(at_x) - 6, int(at_y) - 6), (int(at_x) + 6, int(at_y) + 6), ink, 1)
    return out


def false_colour(rgb: NDArray[np.float32]) -> Picture:
    """Bands of luma as colours, uint8 [H, W, 3]; see :data:`FALSE_COLOUR`."""
    edges = np.array([limit for limit, _, _ in FALSE_COLOUR], np.float32)
    inks = np.array([ink for _, ink, _ in FALSE_COLOUR], np.uint8)
    return inks[np.minimum(np.searchsorted(edges, luma(rgb), side="right"), len(edges) - 1)]


def sheet(rgb: NDArray[np.float32]) -> Picture:
    """Picture, false colour, waveform, parade and vectorscope in one picture."""
    import cv2

    tall = _HEIGHT
    wide = round(rgb.shape[1] * tall / rgb.shape[0])
    picture = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    tiles = [cv2.resize(tile, (wide, tall), interpolation=cv2.INTER_AREA) for tile in (picture, false_colour(rgb))]
    gap = np.full((tall, _EDGE, 3), 24, np.uint8)
    row = [tiles[0], gap, tiles[1], gap, waveform(rgb), gap, parade(rgb), gap, vectorscope(rgb)]
    return np.ascontiguousarray(np.concatenate([np.asarray(part, np.uint8) for part in row], axis=1))
