"""Times of words and phones as JSON, SubRip and WebVTT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiprod.speech.voice import TimedUnit


def as_json(words: Sequence[TimedUnit], phones: Sequence[TimedUnit], **more: Any) -> dict[str, Any]:
    """A document of every word and phone with its times in seconds."""
    return {
        **more,
        "words": [{"word": w.name, "start_s": round(w.start_s, 4), "end_s": round(w.end_s, 4)} for w in words],
        "phones": [{"phone": p.name, "start_s": round(p.start_s, 4), "end_s": round(p.end_s, 4)} for p in phones],
    }


def as_srt(cues: Sequence[TimedUnit]) -> str:
    """SubRip text, a cue for each phrase."""
    return "\n".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{_line(cue.name)}\n"
        for number, cue in enumerate(cues, 1)
    )


def as_webvtt(cues: Sequence[TimedUnit]) -> str:
    """WebVTT text, a cue for each phrase."""
    parts = [
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
        f"{_line(cue.name).replace('&', '&amp;').replace('<', '&lt;')}\n"
        for cue in cues
    ]
    return "\n".join(["WEBVTT\n", *parts])


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("-->", "→")
