"""How TransNet V2 is shown a film, without the network itself: deciding reads this too, and must not need PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 48, 27
WINDOW, MARGIN = 100, 25
"""Frames that it is shown together, and how many of them at either end only show what is around."""
STEP = WINDOW - 2 * MARGIN
Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From frames [T, 27, 48, 3] RGB to the probabilities [T, 2] that ``shot_network.ShotNetwork`` gives."""


class Windows:
    """Shows a film to the network as it was published: 100 frames at a time, of which the middle 50 are told.

    Before the first frame and after the last stand copies of it, so that each is once among the middle ones.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._waiting: list[NDArray[np.uint8]] = []
        self._told: list[NDArray[np.float32]] = []
        self._count = 0

    def feed(self, frame: NDArray[np.uint8]) -> None:
        """Take one frame, uint8 [27, 48, 3] RGB."""
        if not self._count:
            self._waiting = [frame] * MARGIN
        self._count += 1
        self._waiting.append(frame)
        if len(self._waiting) == WINDOW:
            self._show()

    def finish(self) -> NDArray[np.float32]:
        """Probabilities of all frames that were fed [N, 2], as the network gives them."""
        while self._count > STEP * len(self._told):
            self._waiting += self._waiting[-1:] * (WINDOW - len(self._waiting))
            self._show()
        return np.concatenate(self._told)[: self._count] if self._told else np.zeros((0, 2), np.float32)

    def _show(self) -> None:
        self._told.append(self._network(np.stack(self._waiting))[MARGIN : MARGIN + STEP])
        self._waiting = self._waiting[STEP:]
