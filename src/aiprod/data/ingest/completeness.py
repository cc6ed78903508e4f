"""Whether all of a film is there, by what one decode of it showed: refuses what is cut off, damaged or out of step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aiprod.data.ingest.shot_detection import VideoAnalysis
from aiprod.media.errors import MediaError
from aiprod.media.frame_gaps import pauses, uncounted
from aiprod.media.frames import Damage
from aiprod.media.media_info import MediaFacts
from aiprod.media.packets import sound_end_s
from aiprod.media.truncation import ending, is_truncated, truncated_words


def check_whole(path: Path, facts: MediaFacts, watched: VideoAnalysis, max_damage: float) -> list[str]:
    """Refuse a film of which a part is missing or broken; return what is odd about one that passes.

    Raises:
        MediaError: truncated, damaged, or out of step with its sound.
    """
    damage = watched.damage
    notes = []
    if damage.bad_packets:
        words = f"{damage.bad_packets} of {damage.packets} packets do not decode ({damage.messages[0]})"
        if damage.bad_fraction > max_damage:
            raise MediaError("damaged", words)
        notes.append(f"damaged: {words}")
    end = ending(facts, watched.end_s, lambda: sound_end_s(path, facts.audio.index if facts.audio else None))
    if end is not None and is_truncated(end, watched.video.fps):
        raise MediaError("truncated", truncated_words(end))
    if damage.lost:
        notes.append(f"lost: {lost_words(damage)}")
        if watched.counts:
            check_in_step(path, facts, watched)
    notes += [f"torn: {b - a:.2f} s of picture from {a:.2f} s on lack what did not decode" for a, b in watched.torn_s]
    if damage.disordered or damage.untimed:
        counts = f"{damage.disordered} pictures whose time does not grow and {damage.untimed} without a time"
        notes.append(f"timing: {counts} shown between their neighbours")
    notes += [f"form: {change}: a shot begins there" for change in watched.changes]
    codec = watched.video.codec
    notes += [note for note in (pauses(watched.times_s, codec), watched.counts and uncounted(codec)) if note]
    return notes


def lost_words(damage: Damage) -> str:
    """How many pictures are missing, by their numbers."""
    places = f"{damage.lost} place{'s' * (damage.lost > 1)}"
    return f"{damage.missing} picture{'s' * (damage.missing > 1)} or more are missing from the stream in {places}"


def check_in_step(path: Path, facts: MediaFacts, watched: VideoAnalysis) -> None:
    """Refuse a film without times where what follows missing pictures is shown too early for its sound; where sound
    and pictures end together, an editor took both away.

    Raises:
        MediaError: timing.
    """
    video, audio = facts.video, facts.audio
    heard_s = None if video is None or audio is None else sound_end_s(path, audio.index)
    if video is None or heard_s is None:
        return
    step_s = float(np.median(np.diff(watched.times_s))) if len(watched.times_s) > 1 else 0.0
    if abs(heard_s - video.start_s - watched.end_s) >= 0.5 * step_s:
        raise MediaError(
            "timing",
            f"{lost_words(watched.damage)}, and {facts.container} counts pictures instead of timing them: those behind "
            "come too early for the sound",
            "use the recording before it was cut or repaired, or offer the stretches between the gaps by themselves",
        )
