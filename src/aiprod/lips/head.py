"""Draws a talking head: a person who does not exist, whose mouth is known in every picture.

Everything is drawn in sizes of the distance between the outer corners of the eyes, and at a multiple of the wanted
resolution, so that edges are smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Cover = Literal["none", "hand", "profile"]
"""What hides the mouth: nothing, a hand before it, or a head that looks aside."""

OVER = 2  # drawn so many times larger, and smooth edges besides
_SHIFT = 4  # binary digits behind the point in what OpenCV draws
_MOUTH_DOWN, _OPENING = 0.92, 0.30  # below the eyes; height of a fully open mouth


@dataclass(frozen=True)
class Looks:
    """What stays of a head."""

    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    shirt: Colour
    background: Colour
    long_hair: bool
    face_width: float
    brow: float


@dataclass(frozen=True)
class Pose:
    """Where a head is: the point between the eyes, the distance of the eyes' outer corners and the angle, in pixels."""

    x: float
    y: float
    eyes: float
    angle: float


def looks_of(rng: np.random.Generator) -> Looks:
    """A person by chance."""
    tone = rng.uniform(0, 1)
    skin = _mixed((246, 212, 184), (112, 72, 48), tone, rng.normal(0, 5, 3))
    hair = ((38, 28, 22), (92, 58, 32), (176, 132, 76), (120, 116, 112), (140, 62, 34))[int(rng.integers(5))]
    return Looks(
        skin=skin,
        hair=hair,
        lips=_mixed(skin, (168, 60, 66), rng.uniform(0.45, 0.75), np.zeros(3)),
        iris=((66, 44, 30), (70, 98, 60), (74, 108, 146))[int(rng.integers(3))],
        shirt=tuple(int(v) for v in rng.integers(40, 210, 3)),  # type: ignore[arg-type]
        background=tuple(int(v) for v in rng.integers(70, 215, 3)),  # type: ignore[arg-type]
        long_hair=bool(rng.random() < 0.4),
        face_width=float(rng.uniform(0.8, 0.88)),
        brow=float(rng.uniform(0.2, 0.26)),
    )


def _mixed(a: Colour, b: Colour, share: float, more: NDArray[np.float64]) -> Colour:
    return tuple(round(v) for v in np.clip(np.array(a) * (1 - share) + np.array(b) * share + more, 0, 255))  # type: ignore[return-value]


def aperture_of(mouth: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far inner lips are drawn apart, over the distance of the eyes: what a meter finds in the picture."""
    aperture: NDArray[np.float64] = mouth[..., 0] * _OPENING
    return aperture


class _Canvas:
    """Draws in the head's own sizes: x to its left in the picture's right, y down, (0, 0) between the eyes."""

    def __init__(self, width: int, height: int, colour: Colour, pose: Pose) -> None:
        self.picture = np.empty((height * OVER, width * OVER, 3), np.uint8)
        self.picture[:] = colour
        self._pose, self.eyes = pose, pose.eyes
        turn = np.deg2rad(pose.angle)
        self._axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * pose.eyes * OVER

    def fill(self, points: NDArray[np.float64], colour: Colour) -> None:
        """A polygon."""
        placed = points @ self._axes + (np.array([self._pose.x, self._pose.y]) + 0.5) * OVER - 0.5
        cv2.fillPoly(self.picture, [np.round(placed * (1 << _SHIFT)).astype(np.int32)], colour, cv2.LINE_AA, _SHIFT)

    def oval(self, x: float, y: float, a: float, b: float, colour: Colour) -> None:
        """An ellipse along the head's axes."""
        self.fill(_oval(x, y, a, b), colour)


def _oval(x: float, y: float, a: float, b: float) -> NDArray[np.float64]:
    at = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([x + a * np.cos(at), y + b * np.sin(at)], 1)


def draw(  # noqa: PLR0917 (what is drawn)
    looks: Looks,
    pose: Pose,
    mouth: NDArray[np.float64],
    size: tuple[int, int],
    cover: Cover = "none",
    blink: float = 0.0,
) -> Picture:
    """A picture uint8 ``[H, W, 3]`` RGB.

    Args:
        mouth: the four numbers of :data:`aiprod.speech.visemes.NUMBERS`.
        size: width and height.
        blink: 0: open eyes, 1: closed.
    """
    width, height = size
    canvas = _Canvas(width, height, looks.background, pose)
    drop = float(mouth[0]) * _OPENING * 0.55  # the jaw goes down with the lower lip
    dark = _mixed(looks.skin, (40, 20, 10), 0.28, np.zeros(3))
    light = _mixed(looks.skin, (255, 255, 255), 0.16, np.zeros(3))
    _back(canvas, looks, dark)
    if cover == "profile":
        _profile(canvas, looks, mouth, drop, dark)
    else:
        _face(canvas, looks, drop, dark, light)
        _eyes(canvas, looks, dark, blink)
        _mouth(canvas, looks, mouth, dark)
    if cover == "hand":
        _hand(canvas, _mixed(looks.skin, (0, 0, 0), 0.12, np.zeros(3)), dark)
    return np.ascontiguousarray(cv2.resize(canvas.picture, (width, height), interpolation=cv2.INTER_AREA))


def _back(canvas: _Canvas, looks: Looks, dark: Colour) -> None:
    wide = looks.face_width
    if looks.long_hair:
        canvas.oval(0, 0.45, wide * 1.22, 1.5, looks.hair)
    canvas.oval(0, -0.12, wide * 1.1, 1.12, looks.hair)
    canvas.fill(np.array([[-0.42, 1.0], [0.42, 1.0], [0.5, 2.2], [-0.5, 2.2]]), dark)
    canvas.oval(0, 3.0, 1.9, 1.15, looks.shirt)


def _face(canvas: _Canvas, looks: Looks, drop: float, dark: Colour, light: Colour) -> None:
    at = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    wide = looks.face_width
    lower = np.sin(at) > 0
    y = np.where(lower, (1.38 + drop) * np.sin(at), 0.95 * np.sin(at))
    x = wide * np.cos(at) * np.where(lower, 1 - 0.16 * np.sin(at) ** 2, 1.0)
    outline = np.stack([x, y + 0.1], 1)
    canvas.oval(-wide, 0.22, 0.12, 0.24, dark)
    canvas.oval(wide, 0.22, 0.12, 0.24, dark)
    canvas.fill(outline, looks.skin)
    canvas.oval(0, -0.42, wide * 0.62, 0.26, _mixed(looks.skin, light, 0.5, np.zeros(3)))
    for side in (-1, 1):
        canvas.oval(side * 0.48, 0.58, 0.2, 0.16, _mixed(looks.skin, (220, 90, 80), 0.14, np.zeros(3)))
    canvas.oval(0, 1.32 + drop, 0.3, 0.09, _mixed(looks.skin, light, 0.5, np.zeros(3)))
    hair = outline[np.sin(at) < -0.35]
    canvas.fill(
        np.concatenate([hair * [1.03, 1.06], np.array([[wide * 0.9, -0.5], [0.2, -0.62], [-wide * 0.9, -0.45]])]),
        looks.hair,
    )
    shade = _mixed(looks.skin, dark, 0.55, np.zeros(3))
    canvas.fill(
        np.array([[-0.06, 0.05], [0.05, 0.05], [0.1, 0.48], [0.16, 0.56], [0.0, 0.64], [-0.16, 0.56], [-0.1, 0.48]]),
        _mixed(looks.skin, shade, 0.35, np.zeros(3)),
    )
    canvas.fill(np.array([[-0.03, 0.05], [0.03, 0.05], [0.06, 0.5], [-0.06, 0.5]]), light)
    for side in (-1, 1):
        canvas.oval(side * 0.075, 0.575, 0.045, 0.025, dark)


def _eyes(canvas: _Canvas, looks: Looks, dark: Colour, blink: float) -> None:
    tall = 0.085 * (1 - blink) + 0.008
    for side in (-1, 1):
        centre = side * 0.345
        at = np.linspace(-1, 1, 13)
        lid = 1 - at**2
        upper = np.stack([centre + 0.155 * at, -tall * lid], 1)
        lower = np.stack([centre + 0.155 * at[::-1], 0.7 * tall * lid], 1)
        canvas.fill(np.concatenate([upper - np.array([0, 0.035]), upper[::-1]]), dark)
        canvas.fill(np.concatenate([upper, lower]), (244, 240, 236))
        if blink < 0.5:
            canvas.oval(centre, -0.01, 0.07, min(0.07, tall), looks.iris)
            canvas.oval(centre, -0.01, 0.033, min(0.033, tall), (12, 10, 10))
            canvas.oval(centre + 0.02, -0.03, 0.014, 0.014, (255, 255, 255))
        brow = np.stack([centre + 0.2 * at, -looks.brow - 0.05 * lid], 1)
        canvas.fill(np.concatenate([brow, brow[::-1] + np.array([0, 0.05])]), looks.hair)


def _mouth(canvas: _Canvas, looks: Looks, mouth: NDArray[np.float64], dark: Colour) -> None:
    aperture, width, rounding, teeth = (float(v) for v in mouth)
    half = 0.31 * (0.72 + 0.5 * width - 0.28 * rounding)
    inner = 0.9 * half
    opening = aperture * _OPENING
    upper_y, lower_y = _MOUTH_DOWN - 0.4 * opening, _MOUTH_DOWN + 0.6 * opening
    thick = 0.075 + 0.03 * rounding
    at = np.linspace(-1, 1, 25)
    round_ = 1 - np.abs(at) ** 2.2
    top = np.stack(
        [half * at, _MOUTH_DOWN + (upper_y - thick - _MOUTH_DOWN) * round_ + 0.018 * np.exp(-((at / 0.16) ** 2))], 1
    )
    bottom = np.stack([half * at[::-1], _MOUTH_DOWN + (lower_y + 1.25 * thick - _MOUTH_DOWN) * round_], 1)
    canvas.oval(0, _MOUTH_DOWN + 0.6 * opening + 1.9 * thick, 0.2, 0.03, _mixed(looks.skin, dark, 0.35, np.zeros(3)))
    canvas.fill(np.concatenate([top, bottom]), looks.lips)
    in_top = np.stack([inner * at, _MOUTH_DOWN + (upper_y - _MOUTH_DOWN) * round_], 1)
    in_bottom = np.stack([inner * at[::-1], _MOUTH_DOWN + (lower_y - _MOUTH_DOWN) * round_], 1)
    hole = np.concatenate([in_top, in_bottom])
    if opening * canvas.eyes > 0.3:
        canvas.fill(hole, (58, 16, 18))
        if teeth > 0.05:
            low = np.stack([inner * at[::-1], np.minimum(in_top[::-1, 1] + 0.09 * teeth * round_, in_bottom[:, 1])], 1)
            canvas.fill(np.concatenate([in_top, low]), (236, 230, 220))
        tongue = np.stack(
            [
                inner * 0.7 * at[::-1],
                np.maximum(_MOUTH_DOWN + (lower_y - _MOUTH_DOWN) * round_ - 0.3 * opening * round_, in_top[::-1, 1]),
            ],
            1,
        )
        canvas.fill(np.concatenate([np.stack([inner * 0.7 * at, in_bottom[::-1, 1]], 1), tongue]), (150, 62, 66))
    line = _mixed(looks.lips, (40, 10, 10), 0.6, np.zeros(3))
    canvas.fill(np.concatenate([in_top - np.array([0, 0.008]), in_top[::-1] + np.array([0, 0.008])]), line)


def _profile(canvas: _Canvas, looks: Looks, mouth: NDArray[np.float64], drop: float, dark: Colour) -> None:
    opening = float(mouth[0]) * _OPENING
    canvas.fill(
        np.array(
            [
                [-0.55, -0.8],
                [0.35, -0.8],
                [0.52, -0.4],
                [0.5, -0.05],
                [0.78, 0.5],
                [0.55, 0.6],
                [0.6, 0.82],
                [0.4, 0.92],
                [0.57, 0.94 + opening],
                [0.5, 1.1 + drop],
                [0.52, 1.35 + drop],
                [0.3, 1.5 + drop],
                [-0.4, 1.1],
                [-0.6, 0.2],
            ]
        ),
        looks.skin,
    )
    canvas.oval(0.36, 0.0, 0.08, 0.06, (244, 240, 236))
    canvas.oval(0.4, 0.0, 0.04, 0.05, looks.iris)
    canvas.oval(-0.25, 0.25, 0.12, 0.24, dark)


def _hand(canvas: _Canvas, skin: Colour, dark: Colour) -> None:
    canvas.oval(0.05, 1.15, 0.55, 0.42, skin)
    for n in range(4):
        canvas.oval(-0.42 + 0.24 * n, 0.82, 0.1, 0.34, skin)
        canvas.oval(-0.3 + 0.24 * n, 0.95, 0.012, 0.26, dark)
