"""The one decode of a clip: every frame scaled once for the per-frame checks, a stated sample for the costly ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aiprod.media.audio import hear
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader, runs_s
from aiprod.media.media_info import MediaFacts, VideoFacts
from aiprod.media.packets import PacketSizes
from aiprod.media.rgb_frames import rgb_frames
from aiprod.media.scaling import Scaler, first_plane
from aiprod.qc.clip_context import ClipContext, ClipSound, Plane, SmallFrame, Still
from aiprod.qc.measure.thumbnail_colour import StillColour, TinyColour, UprightColour
from aiprod.qc.measure_params import QcMeasureParams
from aiprod.qc.measurement import SOME_HZ, OfColours, OfDifferences, OfFrames, OfSomeFrames, OfStills
from aiprod.qc.planes import Shrinker, coarse_factor, scattered, shrink

if TYPE_CHECKING:
    from av import VideoFrame

_SOUND_AFTER_S = 10.0  # after the last picture: a missing or lying length would be minutes of zeros to measure
_APART_S = 0.015  # between frames that are looked at: every one of 60 a second, every second of 120
_TOGETHER = 32
_TOGETHER_BYTES = 8 << 20  # a picture may be as narrow and high as it likes
_PLANAR_8 = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}


class LumaTaker:
    """Luma of a frame at full size on the 8-bit scale: the decoder's own plane where it is 8-bit, else converted."""

    def __init__(self, video: VideoFacts) -> None:
        self._scaler: Scaler | None = None
        self._direct = video.pixel_format in _PLANAR_8
        full = video.full_range or not self._direct
        self.black_level, self.white_level = (0.0, 255.0) if full else (16.0, 235.0)

    def take(self, frame: VideoFrame) -> Plane:
        """uint8 [H, W]; a view of the decoder's memory, valid until the next frame is asked for."""
        if self._direct and frame.format.name in _PLANAR_8:
            return first_plane(frame)
        if self._scaler is None or (self._scaler.width, self._scaler.height) != (frame.width, frame.height):
            self._scaler = Scaler(frame.width, frame.height, "gray")
        gray = self._scaler.array(frame)
        if self.black_level:  # a film that changes its format half-way keeps one scale
            gray = (16.0 + gray.astype(np.float32) * (219.0 / 255.0)).astype(np.uint8)
        return gray


class Together:
    """Hands frames to the per-frame checks many at a time, each check all of them in turn.

    Between two decoded frames a processor's caches lose the code of every check: fed frame by frame, the same checks
    take a quarter longer.

    Args:
        most_hz: how many frames a second they see, each the first of its part of a second; all if None.
    """

    def __init__(self, checks: Sequence[OfFrames], most_hz: float | None = None) -> None:
        self._in_turn = [check for check in checks if isinstance(check, OfDifferences)]
        self._others = [check for check in checks if not isinstance(check, OfDifferences)]
        self._most_hz, self._slot = most_hz, 0
        self._waiting: list[SmallFrame] = []
        self._bytes = 0

    def feed(self, frame: SmallFrame) -> None:
        """Take one frame; the checks see it now or later."""
        if self._most_hz is not None:
            slot = int(frame.time_s * self._most_hz + 1e-6)
            if slot < self._slot:
                return
            self._slot = slot + 1
        self._waiting.append(frame)
        self._bytes += frame.plane.nbytes + frame.sparse.nbytes
        if len(self._waiting) >= _TOGETHER or self._bytes >= _TOGETHER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        for frame in self._waiting:
            for comparing in self._in_turn:
                comparing.feed(frame)
            frame.forget()
        for check in self._others:
            for frame in self._waiting:
                check.feed(frame)
        self._waiting, self._bytes = [], 0


class FrameSampler:
    """Picks the first frame at or after each of evenly spaced times of the range.

    Attributes:
        due_s: from when on it wants the next; a frame before it need not be asked about.
    """

    def __init__(self, count: int, start_s: float, end_s: float) -> None:
        step = (end_s - start_s) / count
        self._targets = [start_s + (i + 0.5) * step for i in range(count)]
        self._next = 0
        self.due_s = self._targets[0] - 1e-6 if count else float("inf")

    def wants(self, time_s: float) -> bool:
        """Whether this frame is in the sample; call once per frame, in order of time."""
        if time_s < self.due_s:
            return False
        while self._next < len(self._targets) and self._targets[self._next] <= time_s + 1e-6:
            self._next += 1
        self.due_s = self._targets[self._next] - 1e-6 if self._next < len(self._targets) else float("inf")
        return True


def read_clip_sound(
    path: Path, facts: MediaFacts, start_s: float, end_s: float, params: QcMeasureParams
) -> tuple[ClipSound | None, str | None]:
    """The range's sound at its own rate, or why there is none."""
    if facts.audio is None or facts.video is None:
        return None, None
    try:
        heard = hear(
            path,
            rate=facts.audio.sample_rate,
            channels=min(2, max(1, facts.audio.channels)),
            start_s=start_s,
            duration_s=min(end_s - start_s, params.sound_max_s),
            origin_s=facts.video.start_s,
            track=facts.audio.index,
        )
    except MediaError as error:
        return None, error.reason
    if heard is None:
        return None, None
    begin_s = facts.audio.start_s + facts.audio.priming_s - facts.video.start_s - start_s
    first = round(begin_s * facts.audio.sample_rate)  # what decodes before it is no sound of the film
    ranges = tuple((max(a, first), b) for a, b in heard.ranges if b > first)
    return ClipSound(heard.samples, facts.audio.sample_rate, ranges), None


def _again(
    path: Path, side: int, start_s: float, end_s: float, every: int
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    with VideoReader(path, find_missing=False) as reader:  # they were counted the first time
        yield from rgb_frames(reader, side, start_s, end_s, every, quick=True)


def _is_due(waiting: Sequence[tuple[float, Plane]], until_s: float) -> bool:
    """Whether the first of the pictures that wait was taken by then, to a microsecond."""
    return bool(waiting) and waiting[0][0] <= until_s + 1e-6


def observe(
    path: Path,
    facts: MediaFacts,
    start_s: float,
    end_s: float,
    params: QcMeasureParams,
    *,
    of_frames: Sequence[OfFrames],
    of_stills: Sequence[OfStills],
    of_colours: Sequence[OfColours] = (),
    sampled_s: float | None = None,
) -> ClipContext:
    """Decode [start_s, end_s) once, up to the bound on pixels, and feed the measurements.

    Args:
        facts: of the film, by ``media.probe``.
        start_s, end_s: on the film's clock (first picture = 0).
        sampled_s: length over which samples are spread, where less than the range is expected to be decoded.

    Raises:
        MediaError: the film does not open or nothing in the range decodes.
    """
    times: list[float] = []
    torn: list[bool] = []
    planes: list[Plane] = []
    thumbnails: list[Plane] = []
    pairs: list[tuple[Plane, Plane, float]] = []
    waiting: list[tuple[float, Plane]] = []
    spread_s = end_s if sampled_s is None else min(end_s, start_s + sampled_s)
    stills, overlays = (
        FrameSampler(params.stills, start_s, spread_s),
        FrameSampler(params.watermark_frames, start_s, spread_s),
    )
    flows = FrameSampler(params.flow_pairs, start_s, spread_s - params.flow_gap_s)
    due_s = min(flows.due_s, overlays.due_s, stills.due_s)
    asking = [costly for costly in of_stills if type(costly).wants is not OfStills.wants]
    known = 0
    pixels_left, bounded = round(params.decoded_gigapixels_max * 1e9), False
    sizes, together = PacketSizes(), Together([each for each in of_frames if not isinstance(each, OfSomeFrames)])
    some_together = Together([each for each in of_frames if isinstance(each, OfSomeFrames)], SOME_HZ)
    next_s, next_slot, was_torn = -1.0, 0, False
    with VideoReader(path, watch=sizes) as reader:
        video = reader.facts
        colour, colours = StillColour(params.thumbnail_width_px, video), UprightColour(facts.video or video)
        luma_of = LumaTaker(video)
        levels = luma_of.black_level, luma_of.white_level
        coloured = [(each, TinyColour(each.size, facts.video or video)) for each in of_colours if each.asks]
        factor = max(1, -(-video.width // params.plane_width_px))
        coarse = coarse_factor(video.width, params.plane_width_px)
        shrunk, alike = Shrinker(coarse), coarse == factor  # whether planes of all frames serve for samples
        on_the_way = coarse == 2 * factor and factor > 1  # whether those of samples are made with them
        for time_s, frame, is_torn in reader.frames(start_s, end_s):
            if not times:  # a shot may have another form than what the film begins with
                facts, known = facts.model_copy(update={"video": reader.shown}), len(reader.changes)
            pixels_left -= frame.width * frame.height
            if pixels_left < 0 and times:  # counted, for a header may state any rate and any length
                bounded, end_s = True, time_s
                break
            at_s = time_s - start_s
            times.append(at_s)
            torn.append(is_torn)
            if is_torn:
                was_torn = True
            seen = time_s >= next_s
            sampled = time_s >= due_s or (bool(waiting) and _is_due(waiting, time_s - params.flow_gap_s))
            if not (seen or sampled):
                continue
            luma = luma_of.take(frame)
            sparse = scattered(luma, factor)
            if seen or alike:
                fine = shrunk(luma)
                small = SmallFrame(len(times) - 1, at_s, fine, sparse, *levels, bool(frame.interlaced_frame), was_torn)
                if seen:
                    together.feed(small)
                if alike:
                    some_together.feed(small)
            if not alike and (sampled or int(at_s * SOME_HZ + 1e-6) >= next_slot):
                fine = shrunk.larger(luma) if seen and on_the_way else shrink(luma, factor)
                next_slot = int(at_s * SOME_HZ + 1e-6) + 1
                some_together.feed(
                    SmallFrame(len(times) - 1, at_s, fine, sparse, *levels, bool(frame.interlaced_frame), was_torn)
                )
            if seen:
                for each, tiny in coloured:
                    if each.asks:
                        each.take(at_s, tiny.take(frame), was_torn)
                next_s, was_torn = time_s + _APART_S, False
            for curious in asking:
                if curious.wants(at_s):
                    curious.look(luma)
            if not sampled:  # mostly: no sample wants this frame
                continue
            while _is_due(waiting, time_s - params.flow_gap_s):
                began, first = waiting.pop(0)
                if first.shape == fine.shape:
                    pairs.append((first, fine, time_s - began))
            if flows.wants(time_s):
                waiting.append((time_s, fine))
            if overlays.wants(time_s) and (not planes or planes[0].shape == fine.shape):
                planes.append(fine)
            taken = stills.wants(time_s)
            due_s = min(flows.due_s, overlays.due_s, stills.due_s)
            if taken:
                rgb = colour.take(frame)
                thumbnails.append(rgb)
                still = Still(at_s, luma, rgb, fine, *levels, frame, partial(colours.take, frame))
                for costly in of_stills:
                    costly.feed(still)
        together.flush()
        some_together.flush()
        pictures_end_s = reader.end_s
        damage, shown_bytes = reader.damage, sizes.total(video.start_s, start_s, end_s)
    if not times:
        detail = f" ({damage.messages[0]})" if damage.messages else ""
        raise MediaError("no-frames", f"no picture decodes between {start_s:.3f} s and {end_s:.3f} s{detail}")
    steps = np.diff(times)
    frame_s = float(np.median(steps)) if steps.size else (1 / video.fps if video.fps > 0 else 1 / 24)
    heard_s = min(end_s, start_s + times[-1] + frame_s + _SOUND_AFTER_S)
    sound, sound_error = read_clip_sound(path, facts, start_s, heard_s, params)
    return ClipContext(
        rgb=partial(_again, path),
        facts=facts,
        start_s=start_s,
        end_s=end_s,
        bounded=bounded,
        pictures_end_s=max(pictures_end_s, start_s + times[-1] + frame_s),
        times_s=np.array(times),
        frame_s=frame_s,
        video_bytes=shown_bytes,
        packets=damage.packets,
        bad_packets=damage.bad_packets,
        first_error=damage.messages[0] if damage.messages else None,
        planes=planes,
        pairs=pairs,
        thumbnails=thumbnails,
        sound=sound,
        sound_error=sound_error,
        torn_s=runs_s(times, torn, frame_s),
        changes=reader.changes[known:],
    )
