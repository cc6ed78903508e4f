"""Times of sound that shares a block of Matroska (a lace, RFC 9559, 10.3).

A block states one time, that of its first frame. FFmpeg gives the others times by the duration that the track states
for a frame, which writers get wrong, or by a guess. Those that do not fit what the frames decode to are taken away:
sound is then joined by the number of its samples, up to the next time that is stated.
"""

from __future__ import annotations

from typing import Any

_OFF_S = 0.002  # two roundings to a millisecond


class Laces:
    """Follows the packets of one stream and what they decode to."""

    def __init__(self, stream: Any) -> None:
        self._laced = stream.container.format.name.startswith("matroska")
        self._place: int | None = None
        self._begin: int | None = None
        self._within, self._believed, self._number = False, True, 0
        self._first_s: float | None = None
        self._since_s = 0.0

    def packet(self, packet: Any) -> None:
        """A packet goes into the decoder."""
        if not self._laced:
            return
        self._within = packet.pos is not None and packet.pos == self._place
        self._number = self._number + 1 if self._within else 0
        if self._within:
            self._believed &= packet.pts is None or self._begin is None or packet.pts > self._begin
        else:
            self._place, self._begin, self._believed = packet.pos, packet.pts, True
            self._first_s, self._since_s = None, 0.0

    def frame(self, frame: Any) -> None:
        """A frame that the packet decodes to; its time is taken away where it is none that the file states."""
        if not self._laced:
            return
        if self._within and self._first_s is None and self._begin is not None:  # the first was priming, and is dropped
            self._first_s = float(self._begin * frame.time_base)
            self._since_s = self._number * frame.samples / (frame.sample_rate or 1)
        now_s, before_s = frame.time, self._since_s
        self._since_s += frame.samples / (frame.sample_rate or 1)
        if not self._within:
            if self._first_s is None and now_s is not None:
                self._first_s, self._since_s = now_s, self._since_s - before_s
            return
        off = now_s is not None and self._first_s is not None and abs(now_s - self._first_s - before_s) > _OFF_S
        if off or not self._believed:
            frame.pts = None
