"""Draws the pictures of a scene: a textured ground under a moving camera, shaded shapes with outline and shadow."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import cv2
import numpy as np

from aiprod.data.sources.demo.motion import SimulatedMotion
from aiprod.data.sources.demo.plan import COLOURS, GENTLE_TEXTURE, GROUNDS, PLAIN, ObjectPlan, ScenePlan

_SHIFT = 4  # OpenCV draws polygons at 1/16 pixel
_ONE = 1 << _SHIFT


def draw(scene: ScenePlan, motion: SimulatedMotion, width: int, height: int) -> Iterator[np.ndarray]:
    """Pictures as uint8 RGB [height, width, 3]."""
    pictures = len(motion.paths[0])
    ground = _ground(scene.texture, scene.ground, width, height)
    for n in range(pictures):
        picture = _view(ground, scene, n, pictures, (width, height))
        for plan, path in zip(scene.objects, motion.paths, strict=True):
            _shadow(picture, plan, *path[n])
        for plan, path in zip(scene.objects, motion.paths, strict=True):
            _shape(picture, plan, *path[n])
        yield picture


def _view(ground: np.ndarray, scene: ScenePlan, n: int, pictures: int, size: tuple[int, int]) -> np.ndarray:
    """What the camera sees of the ground: pan right shows what lies further right, so the ground moves left."""
    tall, wide = ground.shape[:2]
    width, height = size
    cx, cy, scale = wide / 2, tall / 2, 1.0
    travel = scene.camera_speed * (n - pictures // 2)
    if scene.camera == "pan right":
        cx += travel
    elif scene.camera == "pan left":
        cx -= travel
    elif scene.camera == "tilt down":
        cy += travel
    elif scene.camera == "tilt up":
        cy -= travel
    elif scene.camera.startswith("zoom"):
        share = n / max(1, pictures - 1)
        share = share if scene.camera == "zoom in" else 1 - share
        scale = 1.0 + 2.0 * scene.camera_speed * share
    matrix = np.array([[1 / scale, 0, cx - width / (2 * scale)], [0, 1 / scale, cy - height / (2 * scale)]], np.float64)
    if scale == 1.0 and cx == int(cx) and cy == int(cy):
        top, left = int(cy) - height // 2, int(cx) - width // 2
        return ground[top : top + height, left : left + width].copy()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(ground, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


@functools.lru_cache(maxsize=4)
def _ground(texture: str, colour: str, width: int, height: int) -> np.ndarray:
    """A texture larger than the picture, uint8 RGB; the same for the same names and size. A plain one just fits."""
    if texture == PLAIN:
        # One colour: of a gradient, an encoder leaves steps along its blocks.
        plain = np.clip(np.array(GROUNDS[colour], np.float32) + 6.0, 8, 235).astype(np.uint8)
        return np.full((height, width, 3), plain)
    wide, tall = width + 2 * (7 * 64 + 8), height + 2 * (4 * 64 + 8)  # room for the fastest camera in a 5 s film
    if texture == GENTLE_TEXTURE:
        return _spotted(colour, wide, tall, height)
    seed = sum(ord(c) * 31**i for i, c in enumerate(texture + colour)) % (1 << 32)
    rng = np.random.default_rng(seed)
    fine, coarse = _noise(rng, tall, wide, 5), _noise(rng, tall, wide, 150)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32)
    unit = height / 480.0
    if texture == "striped":
        pattern = np.sin((x + 0.55 * y + 30 * coarse) * (2 * math.pi / (96 * unit))) * 1.4
    elif texture == "checked":
        pattern = np.sign(np.sin(x * math.pi / (72 * unit)) * np.sin(y * math.pi / (72 * unit)))
    elif texture == "brick":
        row = np.floor(y / (44 * unit))
        along = (x / (104 * unit) + 0.5 * (row % 2)) % 1.0
        mortar = (np.abs((y / (44 * unit)) % 1.0 - 0.5) > 0.44) | (np.abs(along - 0.5) > 0.475)
        tone = np.sin(row * 12.9898 + np.floor(x / (104 * unit) + 0.5 * (row % 2)) * 78.233) * 0.5
        pattern = np.where(mortar, 1.6, tone)
    elif texture == "wavy":
        pattern = np.sin((y + 22 * unit * np.sin(x * 2 * math.pi / (190 * unit))) * (2 * math.pi / (70 * unit))) * 1.1
    elif texture == "cloudy":
        pattern = coarse * 1.8 + _noise(rng, tall, wide, 48) * 0.8
    elif texture == "dotted":
        dx, dy = (x / (80 * unit)) % 1.0 - 0.5, (y / (80 * unit)) % 1.0 - 0.5
        pattern = np.clip((0.30 - np.hypot(dx, dy)) * 40, -0.6, 1.3)
    elif texture == "marbled":
        pattern = np.sin((x * 0.7 + y + 130 * coarse * unit + 36 * _noise(rng, tall, wide, 40)) / (26 * unit)) * 1.2
    else:  # speckled
        pattern = np.where(_noise(rng, tall, wide, 9) > 1.0, 1.7, 0.0) + coarse * 0.5
    shade = 1.0 + 0.17 * pattern + 0.05 * fine + 0.06 * coarse
    tint = np.array(GROUNDS[colour], np.float32)
    return np.clip(shade[..., None] * tint + 6.0, 8, 235).astype(np.uint8)


def _spotted(colour: str, wide: int, tall: int, height: int) -> np.ndarray:
    """Light and dark spots as wide as a fifth of the picture's height, with soft edges that few channels carry."""
    wave = 2 * math.pi / (0.4 * height)
    shade = 1.0 + 0.3 * np.cos(np.arange(wide) * wave) * np.cos(np.arange(tall) * wave)[:, None]
    tint = np.array(GROUNDS[colour], np.float64)
    return np.clip(shade[..., None] * tint + 6.0, 8, 235).astype(np.uint8)


def _noise(rng: np.random.Generator, tall: int, wide: int, cell: int) -> np.ndarray:
    """Smooth noise of zero mean and about unit deviation, float32 [tall, wide]."""
    grid = rng.standard_normal((tall // cell + 3, wide // cell + 3)).astype(np.float32)
    return cv2.resize(grid, (wide, tall), interpolation=cv2.INTER_CUBIC)


def outline(shape: str, x: float, y: float, radius: float, angle_deg: float) -> np.ndarray:
    """Corners of a shape about (x, y), float64 [N, 2]; all shapes of one radius look about equally large."""
    spin = math.radians(angle_deg if shape != "diamond" else angle_deg / 8)  # a turned diamond would be a square
    if shape == "square":
        spin /= 8  # and the reverse
    rotation = np.array([[math.cos(spin), -math.sin(spin)], [math.sin(spin), math.cos(spin)]])
    return _corners(shape, radius) @ rotation.T + (x, y)


@functools.lru_cache(maxsize=64)
def _corners(shape: str, radius: float) -> np.ndarray:
    """Corners of an upright shape about the origin, float64 [N, 2]; not to be written to."""
    if shape == "circle":
        count, radii, first = 48, [1.0], 0.0
    elif shape == "star":
        count, radii, first = 10, [1.12, 0.5], -90.0
    else:
        count = {"square": 4, "triangle": 3, "hexagon": 6, "diamond": 4}[shape]
        radii, first = [1.1], {"square": 45.0, "triangle": -90.0, "hexagon": 0.0, "diamond": 0.0}[shape]
    turn = np.radians(first + np.arange(count) * 360.0 / count)
    reach = radius * np.array([radii[i % len(radii)] for i in range(count)])
    points = np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)
    if shape == "diamond":
        points *= (0.72, 1.12)
    points.flags.writeable = False
    return points


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * _ONE).astype(np.int32)


def _shadow(picture: np.ndarray, plan: ObjectPlan, x: float, y: float, angle: float) -> None:
    """Darken what lies a little right of and below the object."""
    reach = int(plan.radius_px * 1.3) + 2
    offset = plan.radius_px * 0.16
    tall, wide = picture.shape[:2]
    x0, x1 = max(0, int(x + offset) - reach), min(wide, int(x + offset) + reach)
    y0, y1 = max(0, int(y + offset) - reach), min(tall, int(y + offset) + reach)
    if x0 >= x1 or y0 >= y1:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(
        mask,
        [_fixed(outline(plan.shape, x + offset - x0, y + offset - y0, plan.radius_px, angle))],
        150,
        cv2.LINE_AA,
        _SHIFT,
    )
    region = picture[y0:y1, x0:x1]
    region[:] = cv2.multiply(region, cv2.merge([255 - mask] * 3), scale=1 / 255)


def _shape(picture: np.ndarray, plan: ObjectPlan, x: float, y: float, angle: float) -> None:
    colour = COLOURS[plan.colour]
    dark = tuple(int(c * 0.45) for c in colour)
    inner = tuple(int(c + (255 - c) * 0.22) for c in colour)
    for share, tint in ((1.0, dark), (0.92, colour), (0.55, inner)):
        points = outline(plan.shape, x, y, plan.radius_px * share, angle)
        cv2.fillPoly(picture, [_fixed(points)], tint, cv2.LINE_AA, _SHIFT)
