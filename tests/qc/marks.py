"""Marks burnt into pictures as broadcasters and stock libraries do, and copies of real film that carry one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler

_FINE = 4  # drawn so many times as large, then averaged
Draw = Callable[["Layer"], None]


class Layer:
    """What lies over a picture: light 0 to 255 and cover 0 to 1; places are shares of the picture."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width
        self.light = np.zeros((_FINE * height, _FINE * width), np.float32)
        self.cover = np.zeros_like(self.light)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self.light.shape[1]), round(y * self.light.shape[0])

    def _thick(self, share: float) -> int:
        return max(1, round(share * self.light.shape[0]))

    def text(self, words: str, x: float, y: float, *, tall: float, light: float, cover: float) -> None:
        """Letters whose capitals are ``tall``, from (x, y) at the lower left."""
        size, thick = tall * self.light.shape[0] / 21.5, self._thick(tall * 0.14)
        for target, value in ((self.light, light), (self.cover, cover)):
            cv2.putText(target, words, self._at(x, y), cv2.FONT_HERSHEY_DUPLEX, size, value, thick)

    def box(
        self, x: float, y: float, right: float, bottom: float, *, light: float, cover: float, line: float = 0
    ) -> None:
        """A filled box, or its outline of a width."""
        thick = self._thick(line) if line else -1
        for target, value in ((self.light, light), (self.cover, cover)):
            cv2.rectangle(target, self._at(x, y), self._at(right, bottom), value, thick)

    def disc(self, x: float, y: float, *, radius: float, light: float, cover: float) -> None:
        """A filled circle; the radius is a share of the height."""
        for target, value in ((self.light, light), (self.cover, cover)):
            cv2.circle(target, self._at(x, y), self._thick(radius), value, -1)

    def over(self, picture: np.ndarray) -> np.ndarray:
        """The picture [h, w] or [h, w, 3] with this over it."""
        h, w = self.size
        cover = cv2.resize(self.cover, (w, h), interpolation=cv2.INTER_AREA)
        light = cv2.resize(self.light * self.cover, (w, h), interpolation=cv2.INTER_AREA)
        if picture.ndim == 3:
            cover, light = cover[..., None], light[..., None]
        return np.clip(np.rint(picture * (1 - cover) + light), 0, 255).astype(np.uint8)

    @property
    def box_area(self) -> float:
        """Share of the picture of the box round all of it."""
        y, x = np.nonzero(self.cover)
        return float(np.ptp(y) + 1) * float(np.ptp(x) + 1) / self.cover.size


def _disc(layer: Layer) -> None:
    layer.disc(0.1, 0.14, radius=0.065, light=240, cover=0.7)
    layer.text("7", 0.085, 0.17, tall=0.06, light=20, cover=0.9)


def _banner(layer: Layer) -> None:
    layer.box(0.05, 0.80, 0.95, 0.92, light=30, cover=0.8)
    layer.box(0.05, 0.80, 0.20, 0.92, light=220, cover=1.0)


MARKS: dict[str, Draw] = {
    "logo": lambda layer: layer.text("ACME TV", 0.78, 0.12, tall=0.05, light=250, cover=1.0),
    "faint logo": lambda layer: layer.text("ACME TV", 0.78, 0.12, tall=0.05, light=255, cover=0.4),
    "small logo": lambda layer: layer.text("ACME", 0.86, 0.11, tall=0.035, light=250, cover=1.0),
    "disc": _disc,
    "address": lambda layer: layer.text("www.stock.example", 0.30, 0.94, tall=0.04, light=240, cover=0.8),
    "banner": _banner,
    "caption frame": lambda layer: layer.box(0.15, 0.75, 0.85, 0.90, light=245, cover=1.0, line=0.006),
    "preview": lambda layer: layer.text("PREVIEW", 0.22, 0.57, tall=0.13, light=255, cover=0.35),
}


def layer_of(name: str, height: int, width: int) -> Layer:
    """A mark on pictures of a size."""
    layer = Layer(height, width)
    MARKS[name](layer)
    return layer


@dataclass(frozen=True)
class BurnJob:
    """The first ``longest_s`` seconds of a film with a mark over them."""

    source: Path
    target: Path
    mark: str
    longest_s: float = 6.0
    width: int = 640


def burn(job: BurnJob) -> Path:
    """Write the film without its sound."""
    video = require_video(probe(job.source))
    height = round(job.width * video.height / video.width / 2) * 2
    layer = layer_of(job.mark, height, job.width)
    with VideoReader(job.source) as reader:
        scaler = Scaler(job.width, height, exact=True)
        pictures = (layer.over(scaler.array(timed.frame)) for timed in reader.frames(0.0, job.longest_s))
        rate = Fraction(video.fps).limit_denominator(1001)
        encode(job.target, pictures, rate, crf=23.0, preset="ultrafast")
    return job.target
