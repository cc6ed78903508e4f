"""Shots of a thing before a ground, drawn from textures: each moves as told, the camera with or without the thing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from tests.qc.films import texture

WIDTH, HEIGHT, FPS = 320, 180, 24
Path2 = Callable[[float], tuple[float, float]]
"""Where something is at a time in seconds: (x, y) in pixels."""


def still(_: float) -> tuple[float, float]:
    """Stays where it is."""
    return 0.0, 0.0


def straight(x: float, y: float = 0.0) -> Path2:
    """Goes evenly, (x, y) widths of the picture a second."""
    return lambda t: (x * WIDTH * t, y * WIDTH * t)


def sway(size: float, seed: int = 0, hz: float = 0.4) -> Path2:
    """Sways about its place by ``size`` widths, as what a hand follows does."""
    a, b, c = np.random.default_rng(seed).uniform(0, 2 * math.pi, 3)

    def path(t: float) -> tuple[float, float]:
        turn = 2 * math.pi * hz * t
        return (
            size * WIDTH * (0.7 * math.sin(turn + a) + 0.3 * math.sin(2.3 * turn + b)),
            size * WIDTH * 0.5 * math.sin(1.7 * turn + c),
        )

    return path


def together(*paths: Path2) -> Path2:
    """The sum of several paths."""
    return lambda t: (sum(p(t)[0] for p in paths), sum(p(t)[1] for p in paths))


@dataclass(frozen=True)
class Thing:
    """Something before the ground.

    Attributes:
        looks: planes [h, w] that it shows in turn, one a picture: of one it is stiff, of many it is alive.
        alpha: how much it covers, float32 [h, w] of 0 to 1.
        place: of its middle at the start, shares of the picture.
        path: in the picture, from that place.
    """

    looks: Sequence[np.ndarray]
    alpha: np.ndarray
    place: tuple[float, float] = (0.5, 0.55)
    path: Path2 = still


def creature(size: float, seed: int = 0, alive: float = 1.0, grain: int = 3, covers: float = 1.0) -> Thing:
    """A textured oval of ``size`` picture heights whose lower part swings, as legs do; ``alive`` 0 is a stiff thing."""
    tall = max(8, round(size * HEIGHT))
    wide = max(8, round(0.75 * size * HEIGHT))
    skin = texture(wide + 24, tall + 24, seed + 900, grain)
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32)
    looks = []
    for n in range(24 if alive else 1):
        swing = alive * 5 * np.sin(2 * np.pi * n / 24) * np.clip((y / tall - 0.55) * 2.2, 0, 1)
        looks.append(cv2.remap(skin, x + 12 + swing.astype(np.float32), y + 12, cv2.INTER_LINEAR))
    oval = 1.0 - np.hypot((x - wide / 2) / (wide / 2), (y - tall / 2) / (tall / 2))
    return Thing(looks, covers * np.clip(oval * 6, 0, 1))


@dataclass(frozen=True)
class Shot:
    """A shot of ``seconds``: pictures on demand.

    Attributes:
        ground: of the ground in the picture (a camera that pans right moves it left); it repeats at its ends.
        zoom: log scale a second about the middle.
        marks: burnt-in lettering and its place, shares of the picture.
        bars: black bars above and below, share of the height each.
        noise: deviation of each pixel, levels.
        depth: how much faster the ground passes at the lower edge than at the upper one, about its usual speed.
    """

    things: Sequence[Thing] = ()
    ground: Path2 = still
    zoom: float = 0.0
    marks: Sequence[tuple[str, tuple[float, float]]] = ()
    bars: float = 0.0
    noise: float = 2.0
    depth: float = 0.0
    seconds: float = 3.0
    seed: int = 0
    plate: np.ndarray | None = field(default=None, repr=False)

    def pictures(self) -> list[np.ndarray]:
        """Planes uint8 [HEIGHT, WIDTH], 24 a second."""
        plate = self.plate if self.plate is not None else texture(700, 420, self.seed, 4)
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        near = 1.0 + self.depth * (y / HEIGHT - 0.5)
        made = []
        for n in range(round(self.seconds * FPS)):
            t = n / FPS
            (gx, gy), scale = self.ground(t), math.exp(self.zoom * t)
            at_x = (x - WIDTH / 2) / scale + plate.shape[1] / 2 - gx * near
            at_y = (y - HEIGHT / 2) / scale + plate.shape[0] / 2 - gy
            picture = cv2.remap(
                plate, _fold(at_x, plate.shape[1]), _fold(at_y, plate.shape[0]), cv2.INTER_LINEAR
            ).astype(np.float32)
            for thing in self.things:
                _paste(picture, thing, n, t)
            picture += rng.normal(size=picture.shape) * self.noise
            drawn = np.clip(picture, 0, 255).astype(np.uint8)
            for text, (mx, my) in self.marks:
                at = (round(mx * WIDTH), round(my * HEIGHT))
                cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_DUPLEX, 1.1, 240, 3, cv2.LINE_AA)
            bar = round(self.bars * HEIGHT)
            if bar:
                drawn[:bar], drawn[-bar:] = 16, 16
            made.append(drawn)
        return made


def _fold(at: np.ndarray, size: int) -> np.ndarray:
    """Reflect positions at the ends of a plate, so that it never ends."""
    period = 2 * (size - 1)
    at = np.mod(at, period)
    return np.where(at > size - 1, period - at, at).astype(np.float32)


def _paste(picture: np.ndarray, thing: Thing, n: int, t: float) -> None:
    """Lay a thing over the picture, at a place between pixels."""
    look = thing.looks[n % len(thing.looks)].astype(np.float32)
    tall, wide = look.shape
    px, py = thing.path(t)
    matrix = np.array(
        [[1, 0, thing.place[0] * WIDTH + px - wide / 2], [0, 1, thing.place[1] * HEIGHT + py - tall / 2]], np.float64
    )
    over = cv2.warpAffine(look, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(thing.alpha.astype(np.float32), matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    picture += alpha * (over - picture)
