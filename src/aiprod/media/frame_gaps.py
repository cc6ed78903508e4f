"""Names places where no picture comes though all others come evenly: a pause, or pictures that were lost on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FEWEST = 12  # pictures of which one can say that they come evenly
_EVEN = 0.95  # share of the distances that are one step
_NEAR = 0.2  # of a step
_NUMBERED = {"h264", "mpeg2video", "mpeg1video"}  # a missing picture is noticed by its number
_ON_THEIR_OWN = {"mjpeg", "prores", "dnxhd", "ffv1", "huffyuv", "utvideo", "rawvideo", "qtrle", "png", "jpeg2000"}


def pauses(times_s: Sequence[float], codec: str) -> str | None:
    """A note on pauses in a film of even rate; None where there is none, or where the rate varies.

    Args:
        times_s: of the pictures, growing.
    """
    if len(times_s) < _FEWEST:
        return None
    times = np.asarray(times_s, np.float64)
    distances = np.diff(times)
    step = float(np.median(distances))
    even = np.abs(distances - step) < _NEAR * step
    where = np.flatnonzero(distances > 1.5 * step)
    if not len(where) or even.mean() < _EVEN:
        return None
    places = f"{len(where)} place{'s' * (len(where) > 1)}, first at {times[where[0]]:.2f} s"
    words = (
        f"timing: no picture comes for {float((distances[where] - step).sum()):.2f} s in {places}, though all others "
    )
    words += f"come every {step * 1000:.0f} ms: the one before stays"
    if codec in _NUMBERED or codec in _ON_THEIR_OWN:
        return words
    return f"{words}. If some were lost there, {codec} does not say so, and the pictures after it may be torn"


def uncounted(codec: str) -> str | None:
    """A note on film in a container that counts pictures instead of timing them."""
    if codec in _NUMBERED or codec in _ON_THEIR_OWN or codec == "mpeg4":
        return None
    return (
        f"timing: the container counts pictures, and {codec} does not number them: a missing one would not be noticed"
    )
