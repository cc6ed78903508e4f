"""Small TFLite networks, and pictures as they want them: made to fit a square, without changing their shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.catalogue import has_litert

if TYPE_CHECKING:
    from aiprod.qc.clip_context import Plane


@dataclass(frozen=True)
class Fitted:
    """A picture in the middle of a square, black around it.

    Attributes:
        square: uint8 [side, side, 3].
        left, top: of the picture in the square, in pixels.
        width, height: of the picture in the square, in pixels.
    """

    square: np.ndarray
    left: int
    top: int
    width: int
    height: int

    def shares(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [n, 4] of left, top, width and height in pixels of the square, as shares of the picture."""
        corner = np.array([self.left, self.top, 0, 0], np.float64)
        return (boxes - corner) / np.array([self.width, self.height, self.width, self.height], np.float64)


def fitted(rgb: Plane, side: int) -> Fitted:
    """A picture [h, w, 3] made to fit a square."""
    h, w = rgb.shape[:2]
    scale = side / max(h, w)
    tall, wide = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (side - tall) // 2, (side - wide) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + tall, left : left + wide] = cv2.resize(
        rgb, (wide, tall), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return Fitted(square, left, top, wide, tall)


_SIGNED = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
_UNIT = np.arange(256, dtype=np.float32) / np.float32(255)


def signed(picture: Plane) -> NDArray[np.float32]:
    """Codes of a picture [h, w, 3] as -1 to 1: from a table, which takes a tenth of the time of NumPy's division."""
    return np.asarray(cv2.LUT(picture, _SIGNED), np.float32)


def unit(picture: Plane) -> NDArray[np.float32]:
    """Codes of a picture [h, w, 3] as 0 to 1."""
    return np.asarray(cv2.LUT(picture, _UNIT), np.float32)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The part that two boxes of left, top, width and height share, as a share of the smaller one."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    smaller = min(a[2] * a[3], b[2] * b[3])
    return float(max(0.0, wide) * max(0.0, tall) / smaller) if smaller > 0 else 0.0


def box_of(box: np.ndarray) -> list[float]:
    """A box of shares, cut to the picture, to three decimals."""
    low, high = np.clip(box[:2], 0, 1), np.clip(box[:2] + box[2:], 0, 1)
    return [round(float(value), 3) for value in (*low, *(high - low))]


class OpenCVNetwork:
    """A TFLite network as OpenCV runs it, which is everywhere."""

    def __init__(self, path: Path) -> None:
        self._network: Any = cv2.dnn.readNetFromTFLite(str(path))

    def __call__(self, image: NDArray[np.floating], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """The named outputs for a picture [side, side, channels]."""
        self._network.setInput(image.astype(np.float32, copy=False).transpose(2, 0, 1)[None])
        results: list[NDArray[np.float32]] = self._network.forward(list(outputs))
        return results

    def layers(self) -> list[str]:
        """The names of all layers, each of which can be an output."""
        return list(self._network.getLayerNames())


class LiteRTNetwork:
    """A TFLite network as LiteRT runs it, in a third of the time that OpenCV takes."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _quiet():
            self._network: Any = Interpreter(str(path), num_threads=1)  # the engine runs clips side by side
            self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        self._outputs = {output["name"]: output["index"] for output in self._network.get_output_details()}

    def __call__(self, image: NDArray[np.floating], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """The named outputs for a picture [side, side, channels]."""
        self._network.set_tensor(self._input, image.astype(np.float32, copy=False)[None])
        self._network.invoke()
        return [self._network.get_tensor(self._outputs[name]) for name in outputs]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without standard error: LiteRT announces its choice of kernels there, from C++ and with no switch."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


Runtime = Callable[[Path], OpenCVNetwork | LiteRTNetwork]
"""What runs the network of a TFLite file: ``by_opencv`` or ``fastest``."""


@lru_cache(maxsize=8)
def by_opencv(path: Path) -> OpenCVNetwork:
    """The network of a TFLite file, kept for the process; its figures do not depend on what else is installed."""
    return OpenCVNetwork(path)


@lru_cache(maxsize=8)
def fastest(path: Path) -> OpenCVNetwork | LiteRTNetwork:
    """The network of a TFLite file, kept for the process; by LiteRT where it is installed.

    What comes of it bears ``BundledNetwork.identity``, which says by which of the two.
    """
    return LiteRTNetwork(path) if has_litert() else by_opencv(path)
