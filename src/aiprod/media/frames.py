"""Pictures of a film in presentation order with their times, decoded by one thread."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import av
import numpy as np

from aiprod.media.clock import StampQueue, Timekeeping
from aiprod.media.container import DEFAULT, Limits, describe, opened, video_stream
from aiprod.media.demuxing import demuxed, hidden_ranges
from aiprod.media.errors import MediaError
from aiprod.media.media_info import VideoFacts
from aiprod.media.missing_frames import counts_pictures, numbers_of
from aiprod.media.picture_order import NOTHING, Skip
from aiprod.media.probing import aspect_of, check_size, is_full_range, orientation_of, video_facts
from aiprod.media.scaling import matrix_of

EPSILON_S = 1e-6
_EARLIER_S = 1.0  # how much earlier reading begins where stamps are sorted: no picture is held back for longer
_AHEAD = 16  # packets
_INTRA = 1  # FFmpeg's number of a picture that is made of no other
_NO_GAPS = ("mpegts", "mpeg")  # containers whose clock runs through: a leap in it is another clock


class TimedFrame(NamedTuple):
    """A decoded picture and its presentation time in seconds after the film's first picture.

    Attributes:
        torn: whether something that it was to be made of did not decode, since the last key picture or in itself.
    """

    time_s: float
    frame: av.VideoFrame
    torn: bool = False


@dataclass
class Damage:
    """What went wrong while decoding.

    Attributes:
        disordered: pictures whose time does not grow; they are kept, between their neighbours.
        untimed: pictures without a time, likewise.
        discarded: packets whose pictures are not to be shown, by an edit list.
        lost: places where pictures are missing, as far as the codec numbers them.
        missing: how many pictures at least.
    """

    packets: int = 0
    bad_packets: int = 0
    frames: int = 0
    disordered: int = 0
    untimed: int = 0
    discarded: int = 0
    lost: int = 0
    missing: int = 0
    messages: list[str] = field(default_factory=list)

    @property
    def odd(self) -> bool:
        """Whether anything at all went wrong."""
        return bool(self.bad_packets or self.disordered or self.untimed or self.discarded or self.lost)

    @property
    def bad_fraction(self) -> float:
        """Share of packets that did not decode."""
        return self.bad_packets / max(1, self.packets)


_Stamped = tuple[av.VideoFrame, int | None]
"""A picture and its stamp in ticks of its stream."""


class PacketWatch(Protocol):
    """Sees the packets that a reader decodes, so that nobody has to walk through the file for them again; some of them
    are still ahead of the pictures that it gives."""

    def add(self, packet: av.Packet) -> None:
        """Take one packet."""

    def clear(self) -> None:
        """Forget them: the reader begins anew, from another place."""


class VideoReader:
    """Reads the pictures of one film. Use as a context manager.

    ``facts`` are those of the first picture, ``shown`` those of the picture that was given last: size, shape and colour
    may change within a stream. Broken packets are skipped and counted in ``damage``.
    Frame order is that of presentation (see ``media.clock``); a picture whose time does not grow, or that has none, is
    placed between its neighbours and counted.

    Args:
        watch: is shown each packet before it is decoded, and at most 16 that are not.
        find_missing: look for missing pictures by the numbers in coded ones, a tenth of the decoding of small pictures.

    Raises:
        MediaError: the file does not open or holds no picture stream; while reading, its clock starts anew.
    """

    def __init__(
        self,
        path: Path | str,
        limits: Limits = DEFAULT,
        watch: PacketWatch | None = None,
        *,
        find_missing: bool = True,
    ) -> None:
        self.path, self.limits = Path(path), limits
        self._find_missing = find_missing
        self.damage = Damage()
        self.changes: list[str] = []  # where pictures took another form, in words
        self._last: tuple[float, int] = (0.0, 0)
        self._watch = watch
        self._facts: VideoFacts | None = None
        self._shown: VideoFacts | None = None
        self._form: tuple[Any, ...] = ()
        self._unsound = 0  # pictures that may still come out torn before a key picture can end that
        self._torn = False
        self._lost = False  # where a picture is missing, FFmpeg takes others for key pictures by their numbers
        self._opening: Any = None
        self._pending: _Stamped | None = None

    def __enter__(self) -> Self:
        self._opening = opened(self.path, self.limits)
        self._container, _ = self._opening.__enter__()
        try:
            stream = video_stream(self._container)
            if stream is None:
                raise MediaError("no-video", "the file has no picture stream")
            check_size(stream, self.limits)
            stream.thread_count = 1  # a quarter less CPU than automatic threads; the engine runs files side by side
            self._stream = stream
            base = stream.time_base or 1
            self._tick = base.numerator, base.denominator
            rate = stream.average_rate or stream.guessed_rate
            self._step_s = float(1 / rate) if rate else 1 / 24
            self._stamps = StampQueue(stream)
            self._numbers = numbers_of(stream) if self._find_missing else None
            self._hidden = hidden_ranges(stream)
            self._first = self._decode()
            self._pending = next(self._first, None)
            if self._pending is None:
                detail = f" ({self.damage.messages[0]})" if self.damage.messages else ""
                raise MediaError("no-frames", f"no picture decodes{detail}")
            self._facts = self._shown = video_facts(stream, *self._pending)
            self._start_s = self._facts.start_s
            self._form = self._form_of(self._pending[0])
        except BaseException:
            self._opening.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pending = None
        self._opening.__exit__(kind, error, trace)

    @property
    def facts(self) -> VideoFacts:
        """Facts of the picture stream."""
        assert self._facts is not None
        return self._facts

    @property
    def shown(self) -> VideoFacts:
        """Facts of the picture that was given last; where it starts is where the film does."""
        assert self._shown is not None
        return self._shown

    @property
    def counts(self) -> bool:
        """Whether the container only counts pictures and has no times."""
        return counts_pictures(self._container)

    @property
    def runs_through(self) -> bool:
        """Whether the container's clock knows no gaps, so that a leap in it is no picture that stands still."""
        return self._container.format.name in _NO_GAPS

    def _form_of(self, frame: av.VideoFrame) -> tuple[Any, ...]:
        """What of a picture makes it another to scale, turn or colour."""
        turned = orientation_of(frame)
        colour = int(frame.color_trc), int(frame.color_primaries), matrix_of(frame), is_full_range(frame)
        sar = self._stream.codec_context.sample_aspect_ratio if self._aspect_within else None
        return frame.width, frame.height, frame.format.name, *colour, turned, sar

    def _look(self, frame: av.VideoFrame, time_s: float) -> None:
        """Notice whether a picture is of another form: key pictures are looked at, and those of another size."""
        form = self._form_of(frame)
        if form == self._form:
            return
        before, self._form = self._form, form
        facts = video_facts(self._stream, frame, self._start)
        sar = self.shown.sar
        if form[-1] != before[-1]:
            sar = aspect_of(form[-1])
        facts = facts.model_copy(update={"sar": sar, "start_s": self.facts.start_s})
        self.changes.append(f"pictures change at {time_s:.3f} s from {facts.changed_from(self.shown)}")
        self._shown = facts

    @property
    def _aspect_within(self) -> bool:
        """Whether players believe what the coded pictures say of their shape; Matroska states one for all."""
        return not self._container.format.name.startswith("matroska")

    def _is_torn(self, frame: av.VideoFrame) -> bool:
        """Whether a picture that comes out now is damaged; up to the key picture behind the damage all may be."""
        if frame.is_corrupt:
            self._torn = True
        elif self._unsound > 0:
            self._unsound -= 1
        elif frame.key_frame and (not self._lost or int(frame.pict_type) == _INTRA):
            self._torn = self._lost = False
        return self._torn

    def _skipped(self, skip: Skip) -> None:
        if skip.pictures:
            self.damage.lost += 1
            self.damage.missing += skip.pictures
        if skip.torn:
            self._lost = True
            self._broke()

    def _broke(self) -> None:
        self._torn, self._unsound = True, self._stream.codec_context.reorder_depth + 1

    @property
    def end_s(self) -> float:
        """When the picture that was given last stops being shown, in seconds after the film's first; where the file
        states no length for it, when it begins to be."""
        time_s, ticks = self._last
        return time_s + float(max(0, ticks or 0) * (self._stream.time_base or 0))

    def frames(
        self, start_s: float = 0.0, end_s: float | None = None, *, on_screen: bool = False
    ) -> Iterator[TimedFrame]:
        """Pictures with ``start_s <= time < end_s``; seeks when ``start_s`` is well after the beginning.

        Args:
            on_screen: give the picture that is on screen at ``start_s`` first, although it began earlier.
        """
        before: TimedFrame | None = None
        begin_s, until_s = start_s - EPSILON_S, math.inf if end_s is None else end_s - EPSILON_S
        kept, stamps = Timekeeping(self._step_s, self.runs_through), self._stamps

        def placed(frame: av.VideoFrame, stamp: int | None) -> Sequence[tuple[float, av.VideoFrame]]:
            return kept.placed(self._time(stamp), frame) if stamps.synced else ()

        shown = itertools.starmap(placed, self._seek(start_s) if start_s > 1.0 else self._resume())
        try:
            for time_s, frame in itertools.chain.from_iterable(itertools.chain(shown, (kept.rest(),))):
                key = frame.key_frame
                torn = self._is_torn(frame) if key or self._unsound or frame.is_corrupt else self._torn
                if key or frame.width != self._form[0] or frame.height != self._form[1]:
                    self._look(frame, time_s)
                if time_s < begin_s:
                    if on_screen:
                        before = TimedFrame(time_s, frame, torn)
                    continue
                if before is not None:
                    if time_s > start_s + EPSILON_S:
                        yield before
                    before = None
                if time_s >= until_s:
                    return
                self._last = time_s, frame.duration
                yield TimedFrame(time_s, frame, torn)
            if before is not None:  # it is the last one
                self._last = before.time_s, before.frame.duration
                yield before
        finally:
            self.damage.disordered += kept.disordered
            self.damage.untimed += kept.untimed

    def _resume(self) -> Iterator[_Stamped]:
        if self._pending is None:  # a second pass from the beginning
            yield from self._seek(0.0)
            return
        (first, stamp), self._pending = self._pending, None
        yield first, (self._start if stamp is None else stamp)
        yield from self._first

    def _seek(self, start_s: float) -> Iterator[_Stamped]:
        """Decode from a key picture at or before ``start_s``; from the beginning where the file cannot seek."""
        self._pending = None
        base = self._stream.time_base
        target = int((max(0.0, start_s - 0.001) + self.facts.start_s) / base)
        if start_s > 0 and not self._stamps.sure:
            target = self._key_before(target - int(_EARLIER_S / base))
        for attempt in (target, int(self.facts.start_s / base), None):
            try:
                if attempt is None:
                    self._container.seek(0)
                else:
                    self._container.seek(attempt, stream=self._stream, backward=True)
                self._stream.codec_context.flush_buffers()
            except av.error.FFmpegError:
                continue
            self._torn, self._lost, self._unsound = False, False, 0
            if self._numbers is not None:
                self._numbers.restart()
            self._stamps.restart(synced=self._stamps.sure or attempt != target or target <= self._start)
            if self._watch is not None:
                self._watch.clear()
            first = None
            source = (item for item in self._decode() if self._stamps.synced)
            first = next(source, None)
            if first is None:
                continue
            landed = self._time(first[1])
            if landed is None or landed <= start_s + EPSILON_S or attempt is None:
                yield first
                yield from source
                return

    def _key_before(self, target: int) -> int:
        """Where the key picture before the one that a jump to ``target`` lands at can be found, in ticks; where the
        film begins if there is none."""
        if target > self._start:
            try:
                self._container.seek(target, stream=self._stream, backward=True)
                packet = next((p for p in self._container.demux(self._stream) if p.size and p.dts is not None), None)
            except (av.error.FFmpegError, ValueError):
                packet = None
            if packet is not None and packet.dts > self._start:
                return int(packet.dts) - 1
        return self._start

    @property
    def _start(self) -> int:
        """The first picture's stamp."""
        return round(self.facts.start_s * self._tick[1] / self._tick[0])

    def _time(self, stamp: int | None) -> float | None:
        if stamp is None:
            return None
        # by hand, for a fraction made for each picture would cost a tenth of the decoding
        over, under = self._tick
        return round(stamp * over / under - self._start_s, 6)

    def _read_ahead(self, packets: Iterator[av.Packet]) -> Iterator[Sequence[tuple[av.Packet, Skip | None]]]:
        """Packets some at a time, and with each that is not quite ordinary what is missing before its picture.

        Between two pictures that are decoded a processor's caches lose the code that looks at packets.
        """
        numbers, watch, ahead = self._numbers, self._watch, 1
        while True:
            some: list[av.Packet] = []
            failed: Exception | None = None
            try:
                some.extend(itertools.islice(packets, ahead))
            except (av.error.FFmpegError, ValueError) as error:  # what was read before it is decoded first
                failed = error
            looked_at: list[tuple[av.Packet, Skip | None]] = []
            for packet in some:
                skip = NOTHING
                if packet.size:
                    if numbers is not None:
                        skip = numbers.skips(packet)
                elif packet.dts is not None:
                    continue  # "as before" in Theora; a decoder would take it for the end of the film
                elif numbers is not None:  # one without a time ends the film
                    skip = numbers.ended()
                if watch is not None:
                    watch.add(packet)
                ordinary = skip is NOTHING and not packet.is_discard and not packet.is_corrupt
                looked_at.append((packet, None if ordinary else skip))
            yield looked_at
            if failed is not None:
                raise failed
            if not some:
                return
            ahead = min(2 * ahead, _AHEAD)  # whoever wants one picture does not wait for more

    def _failed(self, error: Exception) -> None:
        """A packet does not decode."""
        self.damage.bad_packets += 1
        self._stamps.failed()
        self._broke()
        if len(self.damage.messages) < 3:
            self.damage.messages.append(describe(error))

    def _decode(self) -> Iterator[_Stamped]:
        damage, stamps, hidden = self.damage, self._stamps, self._hidden
        try:
            for some in self._read_ahead(demuxed(self._container, self._stream)):
                for packet, skip in some:
                    damage.packets += 1
                    if not stamps.sure and packet.size:
                        stamps.packet(packet)
                    if skip is not None:
                        damage.discarded += packet.is_discard
                        if packet.is_corrupt:
                            self._broke()
                        self._skipped(skip)
                    try:
                        frames = packet.decode()
                    except (av.error.FFmpegError, ValueError) as error:
                        if isinstance(error, av.error.EOFError):
                            return
                        self._failed(error)
                        continue
                    for frame in frames:
                        stamp = stamps.picture(frame)
                        if hidden and stamp is not None and any(begin <= stamp < end for begin, end in hidden):
                            damage.discarded += 1
                            continue
                        damage.frames += 1
                        yield frame, stamp
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError) as error:
            damage.bad_packets += 1
            damage.messages.append(describe(error))


def runs_s(times_s: Sequence[float], which: Sequence[bool], step_s: float) -> list[tuple[float, float]]:
    """Begin and end of each run of pictures, in seconds.

    Args:
        which: the pictures that are meant.
        step_s: how long the last picture is shown.
    """
    edges = np.flatnonzero(np.diff(np.array([False, *which, False], np.int8))).reshape(-1, 2).tolist()
    return [(times_s[a], round(times_s[b] if b < len(times_s) else times_s[-1] + step_s, 6)) for a, b in edges]
