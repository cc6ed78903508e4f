"""A film's packets: their sizes by the time they are shown, and a digest that another wrapping leaves as it is."""

from __future__ import annotations

import contextlib
import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from aiprod.media.container import audio_stream, opened, video_stream
from aiprod.media.demuxing import demuxed
from aiprod.media.fragment_times import fragments_begin
from aiprod.media.media_info import VideoFacts
from aiprod.media.sniffing import sniff


class PacketSizes:
    """Sizes of the picture packets that a reader meets, to be summed over a range once the film's clock is known."""

    def __init__(self) -> None:
        self._shown: list[tuple[int | None, int]] = []
        self._base = Fraction(1)

    def add(self, packet: av.Packet) -> None:
        """Take one packet."""
        if not self._shown:  # the same for a whole stream
            self._base = packet.time_base
        self._shown.append((packet.dts if packet.pts is None else packet.pts, packet.size))

    def clear(self) -> None:
        """Forget them: the reader begins anew, from another place."""
        self._shown.clear()

    def total(self, origin_s: float, start_s: float, end_s: float) -> int:
        """Bytes of the packets that are shown in [start_s, end_s), seconds after ``origin_s`` on the container's clock.

        A packet without a time counts where the range begins with the film.
        """
        total, ticks, seconds = 0, self._base.denominator, self._base.numerator
        for stamp, size in self._shown:
            if stamp is None:
                inside = start_s <= 0
            else:
                inside = start_s - 1e-6 <= stamp * seconds / ticks - origin_s < end_s - 1e-6
            total += size if inside else 0
        return total


def sound_end_s(path: Path | str, track: int | None = None, *, by_index: bool = False) -> float | None:
    """When the last packet of the sound ends, in seconds on the container's clock; nothing is decoded.

    Args:
        by_index: jump to the last packets of a film whose index lists them (MP4, QuickTime) and read nothing of what
            lies before. Where the file ends early, all that is left of it is walked through.

    Returns:
        None where there is no sound with times.
    """
    listed = by_index and sniff(path).demuxer == "mov" and fragments_begin(path) is None
    # an index states all that is asked for here; else FFmpeg decodes the first pictures as the film is opened
    with opened(path, options={"codec_whitelist": "none"} if listed else None) as (container, _):
        stream = audio_stream(container, track)
        if stream is None:
            return None
        ends = None
        if listed and stream.duration:
            with contextlib.suppress(av.error.FFmpegError, ValueError):
                container.seek((stream.start_time or 0) + stream.duration, stream=stream, backward=True)
                ends = _last_end(container, stream)
            if ends is None:
                return sound_end_s(path, track)
        else:
            ends = _last_end(container, stream)
        return None if ends is None else float(ends * (stream.time_base or 1))


def _last_end(container: Any, stream: Any) -> int | None:
    """The latest end of the packets of a stream from where its container is, in ticks."""
    ends: int | None = None
    try:
        for packet in demuxed(container, stream):
            at = packet.pts  # each asks FFmpeg anew
            if at is not None and packet.size:
                at += packet.duration or 0
                ends = at if ends is None or at > ends else ends
    except (av.error.FFmpegError, ValueError):  # it ends here
        pass
    return ends


def packets_digest(path: Path | str) -> str:
    """SHA-256 over picture and sound packets in stream order: equal for the same film in another wrapping or with
    other metadata."""
    with opened(path) as (container, _):
        streams = [s for s in (container.streams.best("video"), audio_stream(container)) if s is not None]
        digests = {s.index: hashlib.sha256() for s in streams}
        try:
            for packet in container.demux(streams):
                if packet.size:
                    digests[packet.stream.index].update(bytes(packet))
        except (av.error.FFmpegError, ValueError):  # what was read up to there identifies the film
            pass
    return hashlib.sha256(b"".join(digest.digest() for digest in digests.values())).hexdigest()


def picture_times(path: Path | str, facts: VideoFacts) -> list[float]:
    """Presentation times of the picture packets in order, seconds after the first picture; nothing is decoded.

    Packets without a time are left out, and so is what lies before the first picture that decodes.
    """
    times = []
    with opened(path) as (container, _):
        stream = video_stream(container)
        if stream is None:
            return []
        base = stream.time_base
        try:
            for packet in demuxed(container, stream):
                if packet.size and packet.pts is not None:
                    times.append(packet.pts * base.numerator / base.denominator - facts.start_s)
        except (av.error.FFmpegError, ValueError):  # what was read up to there is there
            pass
    return sorted(time for time in times if time >= -1e-6)
