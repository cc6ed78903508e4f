"""Cuts and gradual transitions by a bundled network, beside the cuts that the differences between frames show.

It is a second opinion: the clips that ingest makes and the verdicts do not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled import shot_windows
from aiprod.qc.bundled.catalogue import BUNDLED, missing
from aiprod.qc.clip_context import ClipContext, Plane
from aiprod.qc.measurement import Figures, OfColours

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams

VERSION = "1"
METHOD = "none: no network for shots is configured"
_BY_NETWORK = (
    "TransNet V2 on every frame (at most 60 a second) at 48x27, windows of 100 frames of which the middle 50 count: a "
    "transition where the probability of its middle reaches 0.4; gradual where more than 3 frames on end are part of it"
)
LEAST = 0.4  # probability of a transition's middle, chosen on half A of the open films
_PART_LEAST = 0.5  # probability that a frame is part of one
_CUT_FRAMES = 3  # that a cut may seem to last
_FRAMES_APART = 1.5  # between two that are one
_DIGITS = 3
_MOST = 256  # of each list in a row
_FRAMES_MAX = 5000  # shown of one clip, 90 s of processor time: a clip that takes too long gets no figures at all


class Transition(NamedTuple):
    """A transition, by index of frames.

    Attributes:
        first: the last frame before a cut, or the first that is part of something gradual.
        last: the first frame behind it.
        probability: of its middle.
    """

    first: int
    last: int
    probability: float

    @property
    def gradual(self) -> bool:
        """Whether it is no cut."""
        return self.last - self.first > 1


class Shots(OfColours):
    """Shows each frame to the network, a window at a time, so that memory does not grow with the film.

    Args:
        why_not: why nothing is shown; None where the network is there.
    """

    name = "shots"
    version = VERSION
    method = METHOD
    needs = ("motion",)
    size = (shot_windows.WIDTH, shot_windows.HEIGHT)

    def __init__(self, why_not: str | None) -> None:
        self._why_not, self.asks = why_not, why_not is None
        self._windows = shot_windows.Windows(self._answers)
        self._times_s: list[float] = []
        self._torn: list[bool] = []

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the network, where the parameters name it."""
        return cls(missing("shots") if "shots" in params.uses else "no network for shots is configured")

    def take(self, time_s: float, rgb: Plane, torn: bool) -> None:
        """Show one frame."""
        self._times_s.append(time_s)
        self._torn.append(torn)
        self._windows.feed(rgb)
        self.asks = len(self._times_s) < _FRAMES_MAX

    def _answers(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.network()(frames)  # it is kept for the process, and loaded once a film has frames

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """Cuts and gradual transitions, and where the other detector of cuts says something else."""
        if self._why_not is not None:
            return {"status": "not_evaluated", "reason": self._why_not}
        identity = {"method": _BY_NETWORK, "version": f"{VERSION}-{BUNDLED['shots'].identity()}"}
        if len(self._times_s) < 2:
            return {"status": "unmeasurable", "reason": "fewer than two frames", **identity}
        times = np.array(self._times_s)
        found = transitions(self._windows.finish(), self._torn)
        cuts, gradual = [t for t in found if not t.gradual], [t for t in found if t.gradual]
        other_s = [cut_s for cut_s in measurements["motion"].get("_cuts_s", []) if cut_s <= times[-1]]
        apart_s = _FRAMES_APART * float(np.median(np.diff(times)))
        ours = [(float(times[t.first if t.gradual else t.last]), float(times[t.last])) for t in found]
        only_network = [a for a, b in ours if not any(a - apart_s < o < b + apart_s for o in other_s)]
        only_classical = [o for o in other_s if not any(a - apart_s < o < b + apart_s for a, b in ours)]
        return {
            "status": "ok",
            "searched_s": round(float(times[-1]), 4),
            "cuts": len(cuts),
            "times_s": _rounded(float(times[t.last]) for t in cuts[:_MOST]),
            "probabilities": [round(t.probability, _DIGITS) for t in cuts[:_MOST]],
            "transitions": [
                {
                    "start_s": round(float(times[t.first]), 4),
                    "end_s": round(float(times[t.last]), 4),
                    "probability": round(t.probability, _DIGITS),
                }
                for t in gradual[:_MOST]
            ],
            "agree": len(found) - len(only_network),
            "only_network_s": _rounded(only_network[:_MOST]),
            "only_classical_s": _rounded(only_classical[:_MOST]),
            **identity,
        }


def transitions(probabilities: NDArray[np.float32], torn: Sequence[bool], least: float = LEAST) -> list[Transition]:
    """The transitions that the network's answers speak of, in order.

    Args:
        probabilities: [N, 2] of each frame: that a transition has its middle there, that the frame is part of one.
        torn: of each frame, whether it decoded from damaged data; a transition next to such a frame is none.
        least: probability from which on it counts.
    """
    middle, part = probabilities[:, 0], probabilities[:, 1] >= _PART_LEAST
    found: list[Transition] = []
    for first, end in _runs(middle >= least):
        peak = first + int(middle[first:end].argmax())
        begin, close = first, end
        while begin > 0 and part[begin - 1]:
            begin -= 1
        while close < len(part) and part[close]:
            close += 1
        if close - begin <= _CUT_FRAMES:
            begin, close = peak, peak + 1
        if close >= len(part) or any(torn[begin : close + 1]):  # the film ends in it
            continue
        if found and begin <= found[-1].last and found[-1].gradual:
            old = found.pop()
            found.append(Transition(old.first, max(old.last, close), max(old.probability, float(middle[peak]))))
        else:
            found.append(Transition(begin, close, float(middle[peak])))
    return found


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First index and the one behind the last of each stretch that holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _rounded(times_s: Any) -> list[float]:
    return [round(time_s, 4) for time_s in times_s]
