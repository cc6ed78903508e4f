"""Whether a film is there to its end: the length that its file states against where pictures and sound stop."""

from __future__ import annotations

from collections.abc import Callable

from aiprod.media.media_info import MediaFacts
from aiprod.media.truncation_rule import Ending, is_truncated


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
