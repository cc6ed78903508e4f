"""A text spoken into a WAV file, with its times beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from aiprod.base.files import write_json, write_text
from aiprod.media.audio_resampling import resampled
from aiprod.media.segments import write_wav
from aiprod.speech.captions import as_json, as_srt, as_webvtt
from aiprod.speech.model import SpeechModel
from aiprod.speech.synthesis import Voice, speak_all
from aiprod.speech.text_to_phones import Phrase
from aiprod.speech.voice import RATE, Timed

OUT_RATE = 48_000


@dataclass(frozen=True)
class Written:
    """What was written."""

    seconds: float
    words: int


def speak_to_files(
    model: SpeechModel,
    phrases: Sequence[Phrase],
    out: Path,
    *,
    speaker: str,
    language: str,
    speed: float = 1.0,
    style: Tensor | None = None,
    seed: int = 0,
) -> Written:
    """Write ``out`` (WAV, 48 kHz) and beside it ``.json``, ``.srt`` and ``.vtt``."""
    sounds: list[np.ndarray] = []
    words: list[Timed] = []
    phones: list[Timed] = []
    cues: list[Timed] = []
    samples = 0
    for phrase, spoken in zip(
        phrases, speak_all(model, phrases, Voice(speaker, language, speed, style), seed=seed), strict=True
    ):
        begin = samples / RATE
        sounds.append(spoken.sound)
        samples += len(spoken.sound)
        own = _later(spoken.words, begin)
        words += own
        phones += _later(spoken.phones, begin)
        cues.append(Timed(" ".join(word.text for word in phrase.words), own[0].start_s, own[-1].end_s))
    sound = resampled(np.concatenate(sounds)[None].astype(np.float32), RATE, OUT_RATE)
    write_wav(out, sound, OUT_RATE)
    about = {
        "synthetic": True,
        "speaker": speaker,
        "language": language,
        "speed": speed,
        "seconds": round(samples / RATE, 4),
    }
    write_json(out.with_suffix(".json"), as_json(words, phones, **about))
    write_text(out.with_suffix(".srt"), as_srt(cues))
    write_text(out.with_suffix(".vtt"), as_webvtt(cues))
    return Written(samples / RATE, len(words))


def _later(times: Sequence[Timed], by_s: float) -> list[Timed]:
    return [Timed(each.name, each.start_s + by_s, each.end_s + by_s) for each in times]
