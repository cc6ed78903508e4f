"""What a check measures: the classes that the files of ``qc.checks`` derive from.

A measurement is made for one clip. It may be fed frames or stills during the decode, and afterwards it turns what it
saw into figures. It knows no threshold: what figures mean is for the rules, ``qc.checks.judging.Rule``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts, VideoFacts
    from aiprod.qc.bundled.shot_windows import Network as ShotNetwork
    from aiprod.qc.clip_context import ClipContext, ClipSound, Plane, SmallFrame, Still
    from aiprod.qc.measure_params import QcMeasureParams

SOME_HZ = 4.0
"""How many frames a second are shown to those that do not need every one."""
Figures = Mapping[str, Any]
"""``status`` and, where that is ``ok``, what was measured: JSON values only. A name that begins with ``_`` is for
measurements that need this one; no row keeps it."""


class Measurement:
    """A measurement that needs no more of the pictures than every :class:`ClipContext` holds.

    Attributes:
        name: of the figures in a row.
        version: to be raised when the same film gives other figures: only this measurement, and those that need it,
            are then made again.
        method: how it is done, in words.
        needs: other measurements whose figures it reads.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    method: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """The measurement of one clip; ``video`` is what the file states."""
        return cls()

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """The figures, once the clip has been decoded.

        Args:
            measurements: the figures of what it needs, by name.
        """
        return self.figures()

    def figures(self) -> dict[str, Any]:
        """The figures, where what it was fed is all that it needs."""
        raise NotImplementedError(f"{type(self).__name__} has neither measure nor figures")


class OfFrames(Measurement):
    """A measurement that sees every frame once (at most 60 a second), as small planes."""

    @abstractmethod
    def feed(self, frame: SmallFrame) -> None:
        """Take one frame into account."""


class OfDifferences(OfFrames):
    """A measurement that compares every frame with the one before. Each frame is shown to all of them in turn, so that
    the difference is made once."""


class OfSomeFrames(OfFrames):
    """A measurement for which a few frames a second are enough: it sees the first of each quarter of a second,
    as a plane of the full ``plane_width_px``; all others are coarser where that is not 1/2, 1/4, … of the width."""


class OfStills(Measurement):
    """A costly measurement that sees only the stated sample of frames, at full size."""

    @abstractmethod
    def feed(self, still: Still) -> None:
        """Take one still into account."""

    def wants(self, time_s: float) -> bool:
        """Whether it asks for the frame at this time too, after something in a still."""
        return False

    def look(self, luma: Plane) -> None:
        """Take that frame into account, luma [H, W]."""


class OfColours(Measurement):
    """A measurement that sees every frame once (at most 60 a second) as a tiny picture in colour, where it asks for it.

    Attributes:
        size: width and height of the pictures, pixels.
        asks: whether it does, which may end within a clip; then no frame is scaled for it.
        network: loads what it shows them to; whoever measures gives it, for those who only decide have no PyTorch.
    """

    size: ClassVar[tuple[int, int]]
    asks: bool = False
    network: Callable[[], ShotNetwork]

    @abstractmethod
    def take(self, time_s: float, rgb: Plane, torn: bool) -> None:
        """Take one frame into account.

        Args:
            rgb: uint8 [h, w, 3], upright, squeezed to ``size``.
            torn: whether something that it was to be made of did not decode.
        """


class OfSound(Measurement):
    """A measurement of sound; where there is none, the figures say why."""

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """The figures of the sound, once the clip has been decoded."""
        if seen.sound is None or seen.facts.audio is None:
            return seen.without_sound()
        return self.hear(seen.sound, seen.facts.audio)

    @abstractmethod
    def hear(self, sound: ClipSound, audio: AudioFacts) -> dict[str, Any]:
        """The figures of sound that is there."""
