"""What one decode of a clip hands to the checks: small planes of all frames, a few full frames, sound, file facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame

    from aiprod.media.media_info import MediaFacts, VideoFacts
    from aiprod.qc.image_classifier import Classifier

CHANGES_TOLD = 32  # stretches or changes that a row names
Plane = np.ndarray
"""A picture of one channel, uint8 [h, w]; or of three, uint8 [h, w, 3]."""


@dataclass  # not frozen: one is made for every frame, which would take three times as long
class SmallFrame:
    """One frame, scaled down once for all per-frame checks.

    Attributes:
        time_s: presentation time, the film's first picture being 0.
        plane: luma [h, w], averaged over whole k×k blocks (so at most ``plane_width_px`` wide).
        sparse: luma [h', w'], single pixels from all over the picture: sensor noise and dither survive in it.
        black_level, white_level: the signalled range (16..235 limited, 0..255 full), on the 8-bit scale.
        interlaced: the decoder's flag.
        torn: whether something that it was to be made of did not decode.
        change: mean absolute difference of ``plane`` to the one before, once it was asked for.
    """

    index: int
    time_s: float
    plane: Plane
    sparse: Plane
    black_level: float
    white_level: float
    interlaced: bool = False
    torn: bool = False
    change: float | None = field(default=None, init=False, repr=False, compare=False)
    _mean: float | None = field(default=None, init=False, repr=False, compare=False)
    _difference: tuple[Plane, Plane] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def mean(self) -> float:
        """Mean of ``plane``, which several checks ask for."""
        if self._mean is None:
            self._mean = cv2.mean(self.plane)[0]
        return self._mean

    def difference(self, before: Plane) -> Plane:
        """Absolute difference to the plane before, made once for all checks to which the frame is shown in turn."""
        if self._difference is None or self._difference[0] is not before:
            made = cv2.absdiff(self.plane, before)
            self.change = cv2.norm(made, cv2.NORM_L1) / made.size
            self._difference = before, made
        return self._difference[1]

    def forget(self) -> None:
        """Let the difference go, whose memory is soonest back in the caches when the next one takes it."""
        self._difference = None


@dataclass(frozen=True)
class Still:
    """One frame of the stated sample.

    Attributes:
        luma: at full size [H, W].
        rgb: small colour [h, w, 3] RGB, as stored.
        plane: small luma [h, w].
        frame: the decoded picture itself.
        upright_rgb: makes RGB [h, w, 3] of it, upright and in square pixels, its shorter side of so many at most.
        shared: what one check has found in it that another asks for too, by name.
    """

    time_s: float
    luma: Plane
    rgb: Plane
    plane: Plane
    black_level: float
    white_level: float
    frame: VideoFrame
    upright_rgb: Callable[[int], Plane] = field(default=lambda _: _no_picture(), repr=False)
    shared: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def _no_picture() -> Plane:
    raise ValueError("this still was made without its picture")


@dataclass(frozen=True)
class ClipSound:
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
        return self.samples[:, self._within]

    @property
    def _within(self) -> slice:
        return slice(self.ranges[0][0], self.ranges[-1][1]) if self.ranges else slice(0)

    @cached_property
    def mono(self) -> NDArray[np.float32]:
        """The mean of all ``samples`` over the channels, [T], which several checks listen to."""
        if self.samples.shape[0] == 1:
            return self.samples[0]
        mono = self.samples[0] + self.samples[1]
        mono *= np.float32(0.5)
        return np.asarray(mono)

    @property
    def mono_span(self) -> NDArray[np.float32]:
        """The mean of ``span`` over the channels, [T']; a view."""
        return self.mono[self._within]

    @property
    def solid(self) -> NDArray[np.float32]:
        """The samples that the file has, without those that stand for none, [1 or 2, T']."""
        if len(self.ranges) < 2:
            return self.span
        return np.concatenate([self.samples[:, a:b] for a, b in self.ranges], axis=1)


@dataclass
class ClipContext:
    """One clip's decode, after the per-frame checks have been fed.

    Attributes:
        rgb: decodes a stretch of the film's clock once more, for what looks at few clips closely: longer side in
            pixels, begin, end, which pictures (1 is each, 2 every second) → time and upright RGB of each, whose colours
            are right to a few codes.
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
        asked_end_s: of the range as it was asked for: infinite where the file states no length.
        ending: how a whole film ends against what its file states (``media.truncation``); empty where it does as
            stated, or where the clip is a part.
        classifier: loads the image classifier that ``qc_measure.nsfw`` names; None where it names none.
    """

    rgb: Callable[[int, float, float, int], Iterator[tuple[float, NDArray[np.uint8]]]]
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
    sound: ClipSound | None
    sound_error: str | None = None
    torn_s: Sequence[tuple[float, float]] = ()
    changes: Sequence[str] = ()
    asked_end_s: float = float("inf")
    ending: Mapping[str, Any] = field(default_factory=dict)
    classifier: Callable[[], Classifier] | None = None

    @property
    def video(self) -> VideoFacts:
        """Facts of the pictures that the clip shows."""
        assert self.facts.video is not None, "without pictures there is no evidence"
        return self.facts.video

    @cached_property
    def slopes(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Slopes of ``planes`` to the right and downwards, [n, h, w] each, for the checks that look for edges."""
        from aiprod.qc.checks.persistent_edges import slopes_of

        return slopes_of(self.planes)

    @property
    def shown_s(self) -> float:
        """How long its pictures are shown."""
        return float(self.times_s[-1] - self.times_s[0]) + self.frame_s

    def without_sound(self) -> dict[str, Any]:
        """Status and reason of every measurement of sound, where there is none to measure."""
        if self.sound_error is not None:
            return {"status": "error", "reason": self.sound_error}
        known = self.facts.audio is not None or not self.facts.audio_streams
        return {
            "status": "unmeasurable",
            "reason": "no sound stream" if known else "the sound stream is of a codec that is not known here",
        }
