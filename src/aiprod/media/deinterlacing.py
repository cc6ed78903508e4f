"""From interlaced to progressive pictures, motion-adaptive (FFmpeg's bwdif)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av

from aiprod.media.frames import TimedFrame


def deinterlaced(timed: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
    """Each picture that is marked as interlaced as one progressive picture, the others as they are."""
    graph = av.filter.Graph()
    base = Fraction(1, 1_000_000)
    sink = None
    for item in timed:
        frame = item.frame
        if sink is None:
            source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=base)
            filter_ = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            sink = graph.add("buffersink")
            graph.link_nodes(source, filter_, sink).configure()
        frame.pts, frame.time_base = round(item.time_s * 1_000_000), base
        graph.vpush(frame)
        yield from _pull(graph)
    if sink is not None:
        graph.vpush(None)
        yield from _pull(graph)


def _pull(graph: av.filter.Graph) -> Iterator[TimedFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield TimedFrame(float((frame.pts or 0) * (frame.time_base or 0)), frame)
