"""Decide whether a file is truncated: where pictures and sound stop against the duration that it states."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aiprod.media.media_info import MediaFacts

_MISSING_S, _MISSING_SHARE, _MISSING_PICTURES = 0.25, 0.05, 2.0


class Ending(NamedTuple):
    """How a film ends.

    Attributes:
        stated_s: length in seconds, of the pictures where the file says it, else of the whole file.
        missing_s: seconds of it that are not there; negative where there is more than is stated.
    """

    stated_s: float
    missing_s: float


def is_truncated(end: Ending, fps: float) -> bool:
    """Whether more is missing than the rounding of containers, a priming of sound or a picture explains.

    Args:
        fps: pictures per second; 0 where it is not known.
    """
    allowed_s = max(_MISSING_S, _MISSING_SHARE * end.stated_s, _MISSING_PICTURES / fps if fps > 0 else 0.0)
    return end.missing_s > allowed_s


def truncated_words(end: Ending) -> str:
    """What is missing, in words."""
    return f"the film ends {end.missing_s:.2f} s before the {end.stated_s:.2f} s that the file states"


def ending(facts: MediaFacts, end_s: float, sound_end_s: Callable[[], float | None]) -> Ending | None:
    """What of the stated length is missing; None where the file states none.

    Matroska and others state one length for the whole file: it may be that of the sound. The sound is asked for only
    where the pictures end early, for that is another walk through the file.

    Args:
        end_s: when the last picture that decodes stops being shown, seconds after the first.
        sound_end_s: gives the end of the sound in seconds on the container's clock.
    """
    video = facts.video
    if video is None:
        return None
    whole_file = facts.container == "ASF"  # states one length, which FFmpeg says of each of its streams
    if video.duration_s is not None and not whole_file:
        # Where every picture is listed, the length is the sum of theirs. Where they are not (fragments), writers state
        # it from zero on the file's clock, also of pictures that begin late.
        late_s = max(0.0, video.start_s) if video.frames is None else 0.0
        return Ending(video.duration_s, video.duration_s - (late_s + end_s))
    stated_s = video.duration_s if whole_file else facts.duration_s
    if stated_s is None:
        return None
    missing_s = stated_s - (video.start_s + end_s)
    if facts.audio is not None and is_truncated(Ending(stated_s, missing_s), video.fps):
        heard_s = sound_end_s()
        if heard_s is not None:
            missing_s = min(missing_s, stated_s - heard_s)
    return Ending(stated_s, missing_s)
