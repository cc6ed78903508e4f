"""What a video of the demo world shows: ground colour, object colour, camera movement, by classical vision alone.

On the real demo films at 64 x 112 pixels, 25 pictures at 12 a second, all three are right for every clean film (the
test repeats that); on smaller pictures slow zooms are missed first.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from aiprod.data.sources.demo.plan import COLOURS, GROUNDS

_STILL_PX = 0.15  # a slower camera counts as still, in pixels per picture
_ZOOM_EDGE_PX = 0.08  # what a zoom must move the outer parts of the picture, in pixels per picture
_OUTLIER_PX = 0.3  # flow further than this from the camera's is an object's
_PLAIN = 50.0  # mean squared gradient of a ground on which nothing shows whether the camera moves
_RIM_PX = 4  # about an object that its outline and shadow take
_NEAR_LAB = 30.0  # an object's pixels are not further than this from its colour's reference


def seen_ground(pictures: np.ndarray) -> str:
    """Name of the ground colour nearest (in CIELAB) to the median of the pictures' rims, uint8 RGB [F, H, W, 3]."""
    lab = _lab(pictures)
    rim = max(1, pictures.shape[1] // 8)
    edges = np.concatenate([part.reshape(-1, 3) for part in (lab[:, :rim], lab[:, :, -rim:], lab[:, :, :rim])])
    names, reference = _references(GROUNDS)
    return names[int(np.linalg.norm(np.median(edges, axis=0) - reference, axis=1).argmin())]


@dataclass(frozen=True)
class ObjectColours:
    """The pixels of a video by object colour.

    A pixel counts for an object colour when it lies within reach of it and nearer to it than half its distance from
    the ground.

    Attributes:
        lab: [F, H, W, 3]; ``ground`` [3] its median.
        distance: [F, H, W, colours] to each object colour.
    """

    lab: np.ndarray
    ground: np.ndarray
    distance: np.ndarray

    @classmethod
    def of(cls, pictures: np.ndarray) -> ObjectColours:
        """Of uint8 RGB [F, H, W, 3]."""
        lab = _lab(pictures)
        reference = _references(COLOURS)[1]
        square = (lab**2).sum(-1, keepdims=True) - 2 * lab @ reference.T + (reference**2).sum(-1)
        return cls(lab, np.median(lab.reshape(-1, 3), axis=0), np.sqrt(np.maximum(square, 0)))

    @functools.cached_property
    def away(self) -> np.ndarray:
        """[F, H, W]: distance from the ground."""
        return np.asarray(np.linalg.norm(self.lab - self.ground, axis=-1))

    @functools.cached_property
    def most(self) -> str:
        """Name of the colour with the most pixels. Where no pixel counts, the two per cent furthest from the ground
        decide."""
        names = list(COLOURS)
        nearest, least = self.distance.argmin(axis=-1), self.distance.min(axis=-1)
        counts = (least < 0.5 * self.away) & (least < _NEAR_LAB)
        if not counts.any():
            counts = self.away >= np.quantile(self.away, 0.98)
        return names[int(np.bincount(nearest[counts], minlength=len(names)).argmax())]

    def mask(self, colour: str) -> np.ndarray:
        """Bool [F, H, W]: pixels of an object of this colour."""
        distance = self.distance[..., list(COLOURS).index(colour)]
        return np.asarray((distance < 0.5 * self.away) & (distance < _NEAR_LAB))

    def softness(self, colour: str) -> np.ndarray:
        """float32 [F, H, W]: 0 where a pixel has the ground's colour, 1 at this colour, about 0.5 at an edge."""
        line = _references(COLOURS)[1][list(COLOURS).index(colour)] - self.ground
        return np.asarray(np.clip((self.lab - self.ground) @ line / (line @ line), 0.0, 1.0), np.float32)


def colour_mask(pictures: np.ndarray, colour: str) -> np.ndarray:
    """Bool [F, H, W]: pixels of an object of this colour, by the rule of :class:`ObjectColours`."""
    return ObjectColours.of(pictures).mask(colour)


@dataclass(frozen=True)
class CameraMotion:
    """Shift of the ground in pixels per picture, and what its growth moves the outer parts by."""

    x: float
    y: float
    edge: float

    @classmethod
    def of(cls, pictures: np.ndarray) -> CameraMotion:
        """Shift and scale that explain most of the optical flow between successive pictures, uint8 RGB [F, H, W, 3]."""
        grey = [
            cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            for p in pictures
        ]
        textures = [_texture(picture) for picture in grey]
        grounds = _grounds(pictures)
        if np.mean([texture[ground].mean() for texture, ground in zip(textures, grounds, strict=True)]) < _PLAIN:
            return cls(0.0, 0.0, 0.0)  # only objects move, as far as can be seen
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        shifts = [
            _camera_between(texture * (here & there), np.asarray(flow.calc(before, after, None)))  # type: ignore[call-overload]
            for texture, (here, there), (before, after) in zip(
                textures, itertools.pairwise(grounds), itertools.pairwise(grey), strict=False
            )
        ]
        x, y, growth = (float(value) for value in np.median(np.array(shifts), axis=0))
        return cls(x, y, growth * pictures.shape[2] / 4)

    @property
    def direction(self) -> str:
        """The movement that it is nearest to, however slow; the picture moves against the camera."""
        if abs(self.edge) > max(abs(self.x), abs(self.y)):
            return "zoom in" if self.edge > 0 else "zoom out"
        if abs(self.x) >= abs(self.y):
            return "pan right" if self.x < 0 else "pan left"
        return "tilt down" if self.y < 0 else "tilt up"

    @property
    def name(self) -> str:
        """The movement, or ``static`` where it is too slow to count."""
        if abs(self.edge) > _ZOOM_EDGE_PX and abs(self.edge) > max(abs(self.x), abs(self.y)):
            return self.direction
        if max(abs(self.x), abs(self.y)) < _STILL_PX:
            return "static"
        return CameraMotion(self.x, self.y, 0.0).direction


def _texture(grey: np.ndarray) -> np.ndarray:
    """Squared gradient, float32 [H, W], the highest tenth cut off."""
    squared = cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2
    return np.asarray(np.minimum(squared, np.quantile(squared, 0.9)))


def _grounds(pictures: np.ndarray) -> list[np.ndarray]:
    """Bool [2 H, 2 W] of each picture: where it shows no object and none is near; everywhere where nothing else is."""
    colours = ObjectColours.of(pictures)
    near = (colours.distance < 0.5 * colours.away[..., None]) & (colours.distance < _NEAR_LAB)
    objects: np.ndarray = np.any(near, axis=-1)
    wide = np.ones((2 * _RIM_PX + 1, 2 * _RIM_PX + 1), np.uint8)
    free = [cv2.dilate(one.astype(np.uint8), wide).repeat(2, 0).repeat(2, 1) == 0 for one in objects]
    return [one if one.any() else np.ones_like(one) for one in free]


def _camera_between(texture: np.ndarray, flow: np.ndarray) -> tuple[float, float, float]:
    """Shift in pixels of the original size and growth, fitted to the flow of a picture of twice that size.

    Iteratively reweighted least squares (Geman-McClure weights), textured places first: objects that move otherwise
    are outliers, where they were not left out before.

    Args:
        texture: how much each place counts at most; 0 where there is an object.
    """
    height, width = texture.shape
    y, x = (axis.ravel() for axis in np.mgrid[0:height, 0:width].astype(np.float32))
    x, y = x - width / 2, y - height / 2
    base = texture.ravel() + 1e-6
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
