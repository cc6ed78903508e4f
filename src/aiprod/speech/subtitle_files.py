"""Reads SubRip, so that its lines are spoken at their times."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from aiprod.errors import AiprodError
from aiprod.speech.text_to_phones import CHARACTERS_MAX

LONGEST_S = 3600.0
_TIMES = re.compile(r"^\s*(\d{1,3}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})\s*-->\s*\d", re.MULTILINE)
_LOOKS = re.compile(r"</?(?:i|b|u|s|font)\b[^>]*>|\{\\[^{}]*\}", re.IGNORECASE)  # not {phones}, not <phoneme>


@dataclass(frozen=True)
class SubtitleCue:
    """A text and when it is to begin."""

    start_s: float
    text: str


def read_srt(text: str, name: str) -> list[SubtitleCue]:
    """The cues of a SubRip file, without what is said about their looks. A cue without text is left out: it is silence.

    Args:
        name: of the file, for errors.

    Raises:
        AiprodError: it has none, they are not in order, or one begins after :data:`LONGEST_S`.
    """
    if len(text) > CHARACTERS_MAX:
        raise AiprodError(f"{name} has more than {CHARACTERS_MAX:,} characters", "give it in parts")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    cues: list[SubtitleCue] = []
    times = [number for number, line in enumerate(lines) if _TIMES.match(line)]
    for here, following in itertools.pairwise([*times, len(lines) + 1]):
        match = _TIMES.match(lines[here])
        assert match is not None
        hours, minutes, seconds = (int(part) for part in match.groups()[:3])
        start = 3600 * hours + 60 * minutes + seconds + int(match[4].ljust(3, "0")) / 1000
        own = lines[here + 1 : following]
        if following <= len(lines) and own and own[-1].strip().isdigit() and (len(own) == 1 or not own[-2].strip()):
            own = own[:-1]  # the number of the next cue
        words = " ".join(_LOOKS.sub("", line).strip() for line in own).strip()
        if start > LONGEST_S:
            raise AiprodError(f"a cue of {name} begins after {LONGEST_S:.0f} s", "give it in parts of an hour")
        if cues and start < cues[-1].start_s:
            raise AiprodError(f"the cues of {name} are not in order: one at {start:g} s follows a later one", "sort it")
        if words:
            cues.append(SubtitleCue(start, words))
    if not cues:
        raise AiprodError(f"{name} holds no cue with a text", "give a SubRip file (.srt)")
    return cues
