"""Which sound stream of a film is heard: the one that FFmpeg ranks best among those that decode and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from aiprod.media.audio_mixing import floats
from aiprod.media.audio_reading import decoded_frames
from aiprod.media.container import DEFAULT, Limits, opened

SILENT = 1e-4  # full scale 1: -80 dB, under the noise of every recording; coders make of silence a little less


@dataclass(frozen=True)
class Choice:
    """Attributes:
    index: number of the stream in the file; None = there is no sound stream that has a decoder.
    passed_over: what the other sound streams are and why they were not taken, in words.
    """

    index: int | None
    passed_over: tuple[str, ...] = ()


def chosen(path: Path | str, limits: Limits = DEFAULT) -> Choice:
    """The sound stream to hear. Only a film with several is decoded for it, as far as the first sound of one."""
    with opened(path, limits) as (container, _):
        return choose(container, path, limits)


def choose(container: Any, path: Path | str, limits: Limits = DEFAULT) -> Choice:
    """:func:`chosen` of a file that is open already."""
    streams: list[Any] = list(container.streams.audio)
    if not streams:
        return Choice(None)
    best: Any = container.streams.best("audio") or streams[0]
    ranked = [best, *(stream for stream in streams if stream.index != best.index)]
    names = {stream.index: _name(stream) for stream in ranked}
    able = [s.index for s in ranked if s.codec_context is not None and s.codec_context.sample_rate]
    flaws = {index: "has no decoder" for index in names if index not in able}
    if len(streams) == 1:
        return Choice(able[0] if able else None, tuple(f"{names[i]} {flaw}" for i, flaw in flaws.items()))
    taken = None
    for index in able:
        state = _sounds(path, index, limits)
        if state == "sounds":
            taken = index
            break
        flaws[index] = state
    if taken is None:  # none sounds: a silent one rather than one that is broken
        taken = next((i for i in able if flaws[i] == "is silent"), able[0] if able else None)
    others = [" ".join([name, flaws[i]] if i in flaws else [name]) for i, name in names.items() if i != taken]
    return Choice(taken, tuple(others))


def _sounds(path: Path | str, index: int, limits: Limits) -> str:
    """``sounds``, or what is wrong with a stream."""
    decodes = False
    with opened(path, limits) as (container, _):
        stream: Any = container.streams[index]
        stream.thread_count = 1
        for frame in decoded_frames(container, stream):
            if frame is None:
                continue
            decodes = True
            if float(np.abs(floats(frame)).max()) > SILENT:
                return "sounds"
    return "is silent" if decodes else "does not decode"


def _name(stream: Any) -> str:
    """What a sound stream is called in notes: its number, codec, language and title."""
    context = stream.codec_context
    codec = context.name if context is not None else (_tag(stream) or "unknown codec")
    words = [codec, *(stream.metadata.get(key, "").strip()[:40] for key in ("language", "title"))]
    return f"sound stream {stream.index} ({', '.join(word for word in words if word and word != 'und')})"


def _tag(stream: Any) -> str:
    try:
        tag = stream.codec_tag
    except (AttributeError, av.error.FFmpegError, ValueError):
        return ""
    return str(tag).strip("\0 ") if str(tag).isprintable() else ""
