"""When each picture is shown, also where the container does not say, or says only in which order pictures are decoded.

Decoders hand pictures out in the order of presentation; that order is right by what the pictures themselves say. A
container's times may not be: AVI has none (FFmpeg makes some up from the place of a packet), and writers of other
formats leave the offset between decoding and presentation out. Then a picture that was decoded early and is shown late
bears the time of its decoding. Sorted, such times are right again: the n-th picture that is shown takes the n-th.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import av

from aiprod.media.errors import MediaError

_SLACK = 3  # packets that may wait in a decoder beyond its stated delay before they count as lost
_RECENT = 64  # packets; a decoder holds 16 pictures back at most
_ANEW = 3  # pictures in a row that agree with each other and not with what was shown before: another clock
_WAITING = 16  # pictures without a usable time that are kept until the next one that has it
_LEAP_S = 60.0  # a transport stream that leaps so far forward continues with another clock, or wrapped at a reset


class StampQueue:
    """The stamp of each picture that leaves a decoder, in ticks of its stream.

    Stamps that fall while decoding goes on show that the container knows the order of presentation: from there on each
    picture's own stamp is believed. Until then, and for ever in AVI, the smallest stamp among the packets whose
    pictures are not out yet is the one that is due.

    Attributes:
        sure: whether pictures keep their own stamps.
        synced: whether stamps are certain; after a jump in the middle of sorted stamps only from the second key picture
            on, because pictures that depend on what lies before the jump are lost without a word.
    """

    def __init__(self, stream: Any) -> None:
        self._context = stream.codec_context
        name = stream.container.format.name
        # Matroska that holds a track as AVI would (V_MS/VFW/FOURCC) has the four letters, and times of decoding alone.
        self._made_up = name == "avi" or (name.startswith("matroska") and self._context.codec_tag.strip("\0") != "")
        self._guessed = name == "asf"  # one time a packet, that of decoding; FFmpeg guesses how much later it is shown
        self.sure = not self._made_up and not self._context.has_b_frames
        self._in_order = self.sure and self._guessed
        self._first: list[int] = []
        self._later: int | None = None
        self.restart()

    def restart(self, synced: bool = True) -> None:
        """Decoding begins again, at another place."""
        self.synced = synced
        self._packets = self._keys = 0
        self._waiting: deque[tuple[int, int | None]] = deque()
        self._recent: dict[int, int] = {}
        self._out: deque[int] = deque(maxlen=_RECENT)
        self._latest: tuple[int | None, int | None] = (None, None)

    def packet(self, packet: av.Packet) -> None:
        """A packet goes into the decoder."""
        if self.sure:
            return
        pts, dts = packet.pts, packet.dts
        last, last_dts = self._latest
        if not self._made_up and pts is not None and last is not None and pts < last:
            self.sure = dts is None or last_dts is None or dts >= last_dts
            if self.sure:
                self.synced = True
                self._waiting.clear()
                return
        self._latest = (pts if last is None or pts is None else max(pts, last)), dts
        stamp = dts if pts is None or (dts is not None and (self._made_up or self._guessed)) else pts
        if self._guessed and self._later is None and dts is not None:
            self._first.append(dts)
        self._packets += 1
        self._waiting.append((self._packets, stamp))
        if pts is not None:
            self._recent[pts] = self._packets
            if len(self._recent) > 2 * _RECENT:
                self._recent = dict(list(self._recent.items())[-_RECENT:])

    def failed(self) -> None:
        """The packet that went in last will give no picture."""
        if self._waiting and self._waiting[-1][0] == self._packets:
            self._waiting.pop()

    def picture(self, frame: av.VideoFrame) -> int | None:
        """The stamp of the picture that comes out next; None where there is none."""
        if self.sure:
            return frame.dts if self._in_order and frame.dts is not None else frame.pts
        if self._later is None:  # pictures are shown as many later as the decoder holds back
            depth = self._context.reorder_depth
            self._later = self._first[depth] - self._first[0] if len(self._first) > depth else 0
        place = None if frame.pts is None else self._recent.get(frame.pts)
        if place is not None:
            if frame.key_frame:
                self._at_key(place)
            self._out.append(place)
        if len(self._waiting) > self._context.reorder_depth + 1 + _SLACK:
            if not self._made_up:  # not each packet is a picture, as with fields: what it says itself is nearer
                self.sure = self.synced = True
                return frame.pts
            self._waiting.popleft()
        if not self._waiting:
            return frame.pts
        due = min(self._waiting, key=lambda item: -1 << 63 if item[1] is None else item[1])
        self._waiting.remove(due)
        return None if due[1] is None else due[1] + self._later

    def _at_key(self, place: int) -> None:
        """What was decoded before a key picture is shown before it; what of the later has been shown counts, too."""
        self._keys += 1
        self.synced = self.synced or self._keys > 1
        before = sum(1 for shown in self._out if shown > place)
        self._waiting = deque(item for item in self._waiting if item[0] >= place + before)


class Timekeeping:
    """Times of pictures, each of which grows: what has none of its own that fits lies evenly between its neighbours.

    Args:
        step_s: between pictures, for those behind the last that has a time.
        leaps: whether a leap forward of minutes is another clock too, as in transport streams.

    Attributes:
        disordered: pictures whose time does not grow.
        untimed: pictures without any.
    """

    def __init__(self, step_s: float, leaps: bool = False) -> None:
        self.disordered = self.untimed = 0
        self._step_s = step_s
        self._most_s = _LEAP_S if leaps else math.inf
        self._last: float | None = None
        self._waiting: list[tuple[float | None, av.VideoFrame]] = []

    def placed(self, time_s: float | None, frame: av.VideoFrame) -> Sequence[tuple[float, av.VideoFrame]]:
        """The pictures whose time is known once the next one came, mostly itself.

        Args:
            time_s: its time in seconds as far as it has one. Pictures come in the order of presentation.

        Raises:
            MediaError: the clock starts anew in the middle.
        """
        last, waiting = self._last, self._waiting
        if time_s is None or (last is not None and time_s <= last):
            self.untimed += time_s is None
            self.disordered += time_s is not None
            waiting.append((time_s, frame))
            _check_anew(waiting, last)
            if len(waiting) <= _WAITING:
                return ()
            self._last = _shown_s(last, self._step_s)
            return ((self._last, waiting.pop(0)[1]),)
        if last is not None and time_s - last > self._most_s:
            raise _another_clock(last, f"leaps forward by {time_s - last:.0f} s")
        self._last = time_s
        if not waiting:
            return ((time_s, frame),)
        count = len(waiting) + 1
        begin = time_s - self._step_s * count if last is None else last
        shown = [(round(begin + (time_s - begin) * n / count, 6), late) for n, (_, late) in enumerate(waiting, 1)]
        waiting.clear()
        return [*shown, (time_s, frame)]

    def rest(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """The pictures that are left when no more come."""
        for _, frame in self._waiting:
            self._last = _shown_s(self._last, self._step_s)
            yield self._last, frame
        self._waiting.clear()


def _shown_s(last: float | None, step_s: float) -> float:
    return 0.0 if last is None else round(last + step_s, 6)


def _check_anew(waiting: list[tuple[float | None, av.VideoFrame]], last: float | None) -> None:
    """Raise where the latest pictures agree on a clock that is not the one before."""
    times = [time_s for time_s, _ in waiting[-_ANEW:] if time_s is not None]
    if last is not None and len(times) == _ANEW and times == sorted(set(times)):
        raise _another_clock(last, f"goes back by {last - times[0]:.2f} s")


def _another_clock(at_s: float, how: str) -> MediaError:
    return MediaError(
        "timing",
        f"the clock of the pictures {how} at {at_s:.2f} s: several recordings, joined without one clock for all",
        "split the file there and offer each recording by itself",
    )
