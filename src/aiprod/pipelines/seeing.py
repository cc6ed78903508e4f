"""What a video of the demo world shows: ground colour, object colour, camera movement, by classical vision alone.

On the real demo films at 64 x 112 pixels, 25 pictures at 12 a second, all three are right for every clean film (the
test repeats that); on smaller pictures slow zooms are missed first.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from aiprod.data.demo_corpus.plan import COLOURS, GROUNDS

_STILL_PX = 0.15  # a slower camera counts as still, in pixels a picture
_ZOOM_EDGE_PX = 0.08  # what a zoom must move the outer parts of the picture, in pixels a picture
_OUTLIER_PX = 0.3  # flow further than this from the camera's is an object's
_NEAR_LAB = 30.0  # an object's pixels are not further than this from its colour's reference


def seen_ground(pictures: np.ndarray) -> str:
    """Name of the ground colour nearest (in CIELAB) to the median of the pictures' rims, uint8 RGB [F, H, W, 3]."""
    lab = _lab(pictures)
    rim = max(1, pictures.shape[1] // 8)
    edges = np.concatenate([part.reshape(-1, 3) for part in (lab[:, :rim], lab[:, :, -rim:], lab[:, :, :rim])])
    names, reference = _references(GROUNDS)
    return names[int(np.linalg.norm(np.median(edges, axis=0) - reference, axis=1).argmin())]


def seen_colour(pictures: np.ndarray) -> str:
    """Name of the object colour with the most pixels.

    A pixel counts for its nearest object colour when it lies within reach of it and nearer to it than half its distance
    from the ground. Where no pixel does, the two per cent furthest from the ground decide.
    """
    lab = _lab(pictures).reshape(-1, 3)
    names, reference = _references(COLOURS)
    distance = np.linalg.norm(lab[:, None] - reference[None], axis=2)
    nearest, least = distance.argmin(axis=1), distance.min(axis=1)
    away = np.linalg.norm(lab - np.median(lab, axis=0), axis=1)
    counts = (least < 0.5 * away) & (least < _NEAR_LAB)
    if not counts.any():
        counts = away >= np.quantile(away, 0.98)
    return names[int(np.bincount(nearest[counts], minlength=len(names)).argmax())]


def colour_mask(pictures: np.ndarray, colour: str) -> np.ndarray:
    """Bool [F, H, W]: pixels of an object of this colour, by the rule of :func:`seen_colour`."""
    lab = _lab(pictures)
    names, reference = _references(COLOURS)
    distance = np.linalg.norm(lab - reference[names.index(colour)], axis=-1)
    away = np.linalg.norm(lab - np.median(lab.reshape(-1, 3), axis=0), axis=-1)
    return np.asarray((distance < 0.5 * away) & (distance < _NEAR_LAB))


def seen_camera(pictures: np.ndarray) -> str:
    """Camera movement: shift and scale that explain most of the optical flow between successive pictures."""
    grey = [
        cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for p in pictures
    ]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = [
        _camera_between(before, np.asarray(flow.calc(before, after, None)))  # type: ignore[call-overload]
        for before, after in itertools.pairwise(grey)
    ]
    x, y, growth = (float(value) for value in np.median(np.array(found), axis=0))
    edge = abs(growth) * pictures.shape[2] / 4
    if edge > _ZOOM_EDGE_PX and edge > max(abs(x), abs(y)):
        return "zoom in" if growth > 0 else "zoom out"
    if max(abs(x), abs(y)) < _STILL_PX:
        return "static"
    if abs(x) >= abs(y):  # the picture moves against the camera
        return "pan right" if x < 0 else "pan left"
    return "tilt down" if y < 0 else "tilt up"


def _camera_between(picture: np.ndarray, flow: np.ndarray) -> tuple[float, float, float]:
    """Shift in pixels of the original size and growth, fitted to the flow of a picture of twice that size.

    Iteratively reweighted least squares (Geman-McClure weights), textured places first: objects that move otherwise
    are outliers.
    """
    height, width = picture.shape
    y, x = (axis.ravel() for axis in np.mgrid[0:height, 0:width].astype(np.float32))
    x, y = x - width / 2, y - height / 2
    texture = cv2.Sobel(picture, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(picture, cv2.CV_32F, 0, 1) ** 2
    base = np.minimum(texture, np.quantile(texture, 0.9)).ravel() + 1e-6
    u, v, weight = flow[..., 0].ravel(), flow[..., 1].ravel(), base
    shift_x = shift_y = growth = 0.0
    for _ in range(5):
        total = weight.sum()
        mx, my, mu, mv = ((weight * part).sum() / total for part in (x, y, u, v))
        spread = (weight * ((x - mx) ** 2 + (y - my) ** 2)).sum()
        growth = (weight * ((x - mx) * (u - mu) + (y - my) * (v - mv))).sum() / spread
        shift_x, shift_y = mu - growth * mx, mv - growth * my
        error = np.hypot(u - shift_x - growth * x, v - shift_y - growth * y)
        weight = base / (1 + (error / _OUTLIER_PX) ** 2) ** 2
    return shift_x / 2, shift_y / 2, growth


def _lab(pictures: np.ndarray) -> np.ndarray:
    """CIELAB as float32, L in 0..100."""
    flat = pictures.reshape(-1, pictures.shape[-2], 3).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2LAB)).reshape(pictures.shape)


def _references(colours: dict[str, tuple[int, int, int]]) -> tuple[list[str], np.ndarray]:
    names = list(colours)
    rgb = np.array([colours[name] for name in names], np.uint8)[None, None]
    return names, _lab(rgb).reshape(-1, 3)
