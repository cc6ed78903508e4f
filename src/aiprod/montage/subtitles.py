"""Subtitles of a timeline as SubRip and WebVTT."""

from __future__ import annotations

from fractions import Fraction

from aiprod.montage.timeline import Timeline


def _clock(frame: int, rate: Fraction, point: str) -> str:
    thousandths = round(frame / rate * 1000)
    seconds, thousandths = divmod(thousandths, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"


def _lines(text: str) -> str:
    """Text without empty lines and arrows, which would end or begin a cue."""
    return "\n".join(line.strip().replace("-->", "→") for line in text.splitlines() if line.strip())


def srt(timeline: Timeline) -> str:
    """SubRip text."""
    cues = []
    for number, cue in enumerate(timeline.subtitles, 1):
        first, behind = (_clock(frame, timeline.rate, ",") for frame in (cue.record_in, cue.record_out))
        cues.append(f"{number}\n{first} --> {behind}\n{_lines(cue.text)}\n")
    return "\n".join(cues)


def webvtt(timeline: Timeline) -> str:
    """WebVTT text."""
    cues = ["WEBVTT\n"]
    for cue in timeline.subtitles:
        first, behind = (_clock(frame, timeline.rate, ".") for frame in (cue.record_in, cue.record_out))
        text = _lines(cue.text).replace("&", "&amp;").replace("<", "&lt;")
        cues.append(f"{first} --> {behind}\n{text}\n")
    return "\n".join(cues)
