"""The times of an utterance's phones and words, cut to where something is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aiprod.errors import AiprodError
from aiprod.speech.features import HOP
from aiprod.speech.phones import SILENCE
from aiprod.speech.voice import RATE, TimedUnit

_BEFORE_S, _BEHIND_S = 0.1, 0.15  # of silence that is kept round the words


def edges(words: Sequence[TimedUnit], samples: int) -> tuple[int, int]:
    """Samples between which the words are, with a little silence; the first at a frame of F0.

    Raises:
        AiprodError: the words are not within the sound.
    """
    first = max(0, round((words[0].start_s - _BEFORE_S) * RATE)) // HOP * HOP
    last = min(samples, round((words[-1].end_s + _BEHIND_S) * RATE))
    if last - first < HOP or words[-1].end_s > samples / RATE + 0.1:
        raise AiprodError("its times are not those of its sound", "align it again")
    return first, last


def without_gaps(phones: Sequence[TimedUnit], offset: float, seconds: float) -> list[TimedUnit]:
    """From 0 to the end: what nothing is said of is silence, between two phones and at both ends."""
    units: list[TimedUnit] = []
    at = 0.0
    for phone in phones:
        start, end = max(0.0, phone.start_s - offset), min(seconds, phone.end_s - offset)
        if end <= at:
            continue
        if phone.name != SILENCE and start - at > 1e-3:
            units.append(TimedUnit(SILENCE, at, start))
            at = start
        units.append(TimedUnit(phone.name, at, end))
        at = end
    if seconds - at > 1e-3:
        units.append(TimedUnit(SILENCE, at, seconds))
    merged: list[TimedUnit] = []
    for phone in units:
        if merged and phone.name == SILENCE == merged[-1].name:
            merged[-1] = replace(merged[-1], end_s=phone.end_s)
        else:
            merged.append(phone)
    return [*merged[:-1], replace(merged[-1], end_s=seconds)]
