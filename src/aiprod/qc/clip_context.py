"""What one decode of a clip hands to the checks: small planes of all frames, a few full frames, sound, file facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aiprod.media.facts import MediaFacts

if TYPE_CHECKING:
    from av import VideoFrame

Plane = np.ndarray
"""A picture of one channel, uint8 [h, w]; or of three, uint8 [h, w, 3]."""


@dataclass(frozen=True)
class SmallFrame:
    """One frame, scaled down once for all per-frame checks.

    Attributes:
        time_s: presentation time, the film's first picture being 0.
        plane: luma [h, w], averaged over whole k×k blocks (so at most ``plane_width_px`` wide).
        sparse: luma [h', w'], every k-th sample without averaging: sensor noise and dither survive in it.
        black_level, white_level: the signalled range (16..235 limited, 0..255 full), on the 8-bit scale.
        interlaced: the decoder's flag.
        torn: whether something that it was to be made of did not decode.
    """

    index: int
    time_s: float
    plane: Plane
    sparse: Plane
    black_level: float
    white_level: float
    interlaced: bool = False
    torn: bool = False


@dataclass(frozen=True)
class Still:
    """One frame of the stated sample: full-size luma [H, W], small colour [h, w, 3] RGB, the small plane, and the
    decoded picture itself for what needs colour at another size."""

    time_s: float
    luma: Plane
    rgb: Plane
    plane: Plane
    black_level: float
    white_level: float
    frame: VideoFrame


@dataclass(frozen=True)
class Sound:
    """Decoded sound of the clip's range, on the clip's own clock (its first picture = 0).

    Attributes:
        samples: float32 [1 or 2, T]; more channels were mixed down to stereo by the standard matrix. Where the file
            has no sound for a stretch, zeros stand.
        rate_hz: native sampling rate.
        ranges: (first, behind the last) sample of each stretch for which the file has sound, in order.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    ranges: tuple[tuple[int, int], ...]

    @property
    def start_s(self) -> float:
        """When the sound begins, 0 where there is none."""
        return self.ranges[0][0] / self.rate_hz if self.ranges else 0.0

    @property
    def end_s(self) -> float:
        """When the sound ends, 0 where there is none."""
        return self.ranges[-1][1] / self.rate_hz if self.ranges else 0.0

    @property
    def gaps_s(self) -> list[tuple[float, float]]:
        """(start_s, length_s) of the stretches between for which the file has no sound."""
        between = zip(self.ranges, self.ranges[1:], strict=False)
        return [(a / self.rate_hz, (b - a) / self.rate_hz) for (_, a), (b, _) in between]

    @property
    def span(self) -> NDArray[np.float32]:
        """From the first sample that the file has to the last, [1 or 2, T']; a view."""
        return self.samples[:, self.ranges[0][0] : self.ranges[-1][1]] if self.ranges else self.samples[:, :0]

    @property
    def solid(self) -> NDArray[np.float32]:
        """The samples that the file has, without those that stand for none, [1 or 2, T']."""
        if len(self.ranges) < 2:
            return self.span
        return np.concatenate([self.samples[:, a:b] for a, b in self.ranges], axis=1)


@dataclass
class Evidence:
    """One clip's decode, after the per-frame checks have been fed.

    Attributes:
        end_s: of what was decoded, on the film's clock: sooner than asked for where the bound on pixels was met
            (``bounded``).
        pictures_end_s: when the last picture stops being shown, likewise.
        times_s: [N] presentation times of the decoded frames on the clip's clock.
        frame_s: usual interval between frames.
        video_bytes: size of the picture packets shown in the range.
        bad_packets: packets that did not decode, of ``packets``; ``first_error`` in FFmpeg's words.
        planes: small planes at evenly spaced times, for overlays.
        pairs: (plane, later plane, seconds between), for camera motion.
        sound_error: why there is a sound stream but no sound.
        torn_s: begin and end of each stretch of torn pictures.
        changes: where pictures take another form within the range, in words.
    """

    facts: MediaFacts
    start_s: float
    end_s: float
    bounded: bool
    pictures_end_s: float
    times_s: NDArray[np.float64]
    frame_s: float
    video_bytes: int
    packets: int
    bad_packets: int
    first_error: str | None
    planes: list[Plane]
    pairs: list[tuple[Plane, Plane, float]]
    thumbnails: list[Plane]
    sound: Sound | None
    sound_error: str | None = None
    torn_s: Sequence[tuple[float, float]] = ()
    changes: Sequence[str] = ()

    def without_sound(self) -> dict[str, Any]:
        """Status and reason of every measurement of sound, where there is none to measure."""
        if self.sound_error is not None:
            return {"status": "error", "reason": self.sound_error}
        known = self.facts.audio is not None or not self.facts.audio_streams
        return {
            "status": "unmeasurable",
            "reason": "no sound stream" if known else "the sound stream is of a codec that is not known here",
        }


class FrameCheck(Protocol):
    """A check that sees every frame once, as small planes."""

    def feed(self, frame: SmallFrame) -> None:
        """Take one frame into account."""

    def figures(self) -> dict[str, Any]:
        """What was measured; JSON values only."""


class StillCheck(Protocol):
    """A costly check that sees only the stated sample of frames, at full size."""

    def feed(self, still: Still) -> None:
        """Take one still into account."""

    def figures(self) -> dict[str, Any]:
        """What was measured; JSON values only."""


class FollowUp(Protocol):
    """A check that asks for further frames at full size after something in a still."""

    def wants(self, time_s: float) -> bool:
        """Whether it asks for the frame at this time."""

    def look(self, luma: Plane) -> None:
        """Take that frame into account, luma [H, W]."""
