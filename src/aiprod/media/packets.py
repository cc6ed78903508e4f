"""Walks through a film's packets and decodes none: their size, and a digest that another wrapping leaves as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av

from aiprod.media.facts import VideoFacts
from aiprod.media.opening import opened, video_stream


def packet_bytes(path: Path, facts: VideoFacts, start_s: float, end_s: float) -> int:
    """Bytes of the picture packets that are shown in [start_s, end_s) of the film's clock; nothing is decoded."""
    total = 0
    with opened(path) as (container, _):
        stream = video_stream(container)
        if stream is None:
            return 0
        if start_s > 1.0:
            try:
                container.seek(int((start_s + facts.start_s) / stream.time_base), stream=stream, backward=True)
            except av.error.FFmpegError:
                container.seek(0)
        late, base = 0, stream.time_base
        try:
            for packet in container.demux(stream):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None:
                    total += packet.size if start_s <= 0 else 0
                    continue
                time_s = stamp * base.numerator / base.denominator - facts.start_s
                if start_s - 1e-6 <= time_s < end_s - 1e-6:
                    total += packet.size
                    late = 0
                elif time_s >= end_s:
                    late += 1
                    if late > 32:  # reordering is never deeper than 16 pictures
                        break
        except (av.error.FFmpegError, ValueError):
            pass
    return total


def packets_digest(path: Path | str) -> str:
    """SHA-256 over picture and sound packets in stream order: equal for the same film in another wrapping or with
    other metadata."""
    with opened(path) as (container, _):
        streams = [s for s in (container.streams.best("video"), container.streams.best("audio")) if s is not None]
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
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    times.append(packet.pts * base.numerator / base.denominator - facts.start_s)
        except (av.error.FFmpegError, ValueError):  # what was read up to there is there
            pass
    return sorted(time for time in times if time >= -1e-6)
