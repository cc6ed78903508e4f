"""Packets of a film with the times that the film states, where FFmpeg's readers say something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import av

from aiprod.media.edit_lists import hidden_until_s, pauses_s
from aiprod.media.fragment_times import Late, fragments_begin, late_ticks
from aiprod.media.ogg_times import Moves, moves


def demuxed(container: Any, streams: Any) -> Iterator[Any]:
    """Packets of one stream or several, as ``container.demux`` gives them, with the times that the file states.

    Raises:
        MediaError: FFmpeg moves the pictures by one amount here and by another there.
    """
    packets = container.demux(streams)
    wanted: Sequence[Any] = streams if isinstance(streams, list | tuple) else [streams]
    if container.format.name.startswith("mov"):
        late = late_ticks(container.name)
        by_stream = {stream.index: late[stream.id] for stream in wanted if stream.id in late}
        if (begin := fragments_begin(container.name)) is not None:
            packets = _none_left_out(packets, begin)
        return _earlier(packets, by_stream) if by_stream else packets
    if container.format.name == "ogg":
        later = {stream.index: moved for stream in wanted if (moved := moves(container, stream))}
        return _later(packets, later) if later else packets
    if delay := {stream.index: Late(ticks) for stream in wanted if (ticks := delay_ticks(stream))}:
        return _earlier(packets, delay)
    return packets


def hidden_ticks(stream: Any) -> int | None:
    """Before which time, in ticks of a stream, nothing of it is shown though FFmpeg gives it; None where it does not.

    What begins less than half a picture before is shown: writers round.

    Raises:
        MediaError: the edit list does not say that in one place.
    """
    container = stream.container
    if not container.format.name.startswith("mov") or (fragments_begin(container.name)) is None:
        return None
    until_s = hidden_until_s(container.name, stream.index, fragmented=True)
    if until_s is None:
        return None
    rate = getattr(stream, "average_rate", None)
    spare_s = 0.5 / float(rate) if rate else 0.0
    return round((until_s - spare_s) / float(stream.time_base))


def delay_ticks(stream: Any) -> int:
    """By how many ticks FFmpeg dates all of a stream late.

    MP3 files hold no times. The encoder's delay is cut off, and yet what is left is dated as if it were there.
    """
    return int(stream.start_time or 0) if stream.container.format.name == "mp3" else 0


def hidden_ranges(stream: Any) -> list[tuple[int, int]]:
    """Ranges of time, in ticks of a stream of pictures, in which nothing of it is shown though FFmpeg gives it."""
    container = stream.container
    if not container.format.name.startswith("mov"):
        return []
    until = hidden_ticks(stream)
    spare_s = 0.5 / float(stream.average_rate) if stream.average_rate else 0.0
    pauses = [[round((at_s - spare_s) / float(stream.time_base)) for at_s in pause] for pause in _pauses_s(stream)]
    return [*([] if until is None else [(-(1 << 63), until)]), *((begin, end) for begin, end in pauses)]


def _pauses_s(stream: Any) -> list[tuple[float, float]]:
    name = stream.container.name
    return [] if fragments_begin(name) is not None else pauses_s(name, stream.index)


def _none_left_out(packets: Iterator[av.Packet], begin: int) -> Iterator[av.Packet]:
    """What is in fragments whole: FFmpeg has a decoder pass over a sample whose decode time is not behind the last
    one's, as writers leave them where fragments are shorter than a packet of PCM and a picture together."""
    last: dict[int, int] = {}
    for packet in packets:
        if packet.dts is not None:
            before = last.get(packet.stream.index)
            last[packet.stream.index] = packet.dts
            if packet.is_discard and before is not None and packet.dts <= before and (packet.pos or 0) >= begin:
                packet = _not_left_out(packet)  # noqa: PLW2901
        yield packet


def _not_left_out(packet: av.Packet) -> av.Packet:
    """A copy without the mark, which PyAV does not let one take away."""
    kept = av.Packet(bytes(packet))
    kept.pts, kept.dts, kept.duration, kept.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    kept.is_keyframe, kept.stream = packet.is_keyframe, packet.stream
    return kept


def _earlier(packets: Iterator[av.Packet], late: dict[int, Late]) -> Iterator[av.Packet]:
    for packet in packets:
        by = late.get(packet.stream.index)
        if by is not None and packet.pts is not None and (packet.pos is None or packet.pos >= by.from_byte):
            packet.pts -= by.ticks
        yield packet


def _later(packets: Iterator[av.Packet], later: dict[int, Moves]) -> Iterator[av.Packet]:
    page: dict[int, tuple[int, int]] = {}
    for packet in packets:
        index = packet.stream.index
        if index in later and packet.pos is not None and (packet.size or packet.pts is not None):
            place, number = page.get(index, (-1, 0))
            page[index] = packet.pos, number + 1 if place == packet.pos else 0
            ticks = later[index].get(page[index], 0)
            if ticks and packet.pts is not None:
                packet.pts += ticks
            if ticks and packet.dts is not None:
                packet.dts += ticks
        yield packet
