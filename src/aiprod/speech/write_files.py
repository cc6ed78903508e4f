"""A text spoken into a WAV file, with its times beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from aiprod.base.files import write_json, write_text
from aiprod.media.audio_resampling import StreamResampler
from aiprod.media.segments import wav_writer
from aiprod.speech.captions import as_json, as_srt, as_webvtt
from aiprod.speech.model import SpeechModel
from aiprod.speech.phones import SILENCE
from aiprod.speech.synthesis import Voice, speak_all
from aiprod.speech.text_to_phones import Phrase
from aiprod.speech.voice import RATE, TimedUnit

OUT_RATE = 48_000


@dataclass(frozen=True)
class SpeechFiles:
    """What was written.

    Attributes:
        late: how many phrases begin later than they should.
        late_s: by how much the latest does.
    """

    seconds: float
    words: int
    late: int = 0
    late_s: float = 0.0


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
    starts: Mapping[int, float] | None = None,
) -> SpeechFiles:
    """Write ``out`` (WAV, 48 kHz) and beside it ``.json``, ``.srt`` and ``.vtt``.

    The sound of a phrase is written before the next is spoken, so that a long text takes no more memory than a short.

    Args:
        starts: number of a phrase → second that it is to begin at; it waits for the end of what is before it.
    """
    resampler = StreamResampler(1, RATE, OUT_RATE)
    words: list[TimedUnit] = []
    phones: list[TimedUnit] = []
    cues: list[TimedUnit] = []
    samples, late, wanted = 0, [0.0], dict(starts or {})
    with wav_writer(out, 1, OUT_RATE) as put:
        for number, (phrase, spoken) in enumerate(
            zip(phrases, speak_all(model, phrases, Voice(speaker, language, speed, style), seed=seed), strict=True)
        ):
            if number in wanted:
                gap = round(wanted[number] * RATE) - samples
                late += [-gap / RATE] if gap < 0 else []
                if gap > 0:
                    put(resampler.put(np.zeros((1, gap), np.float32)))
                    phones.append(TimedUnit(SILENCE, samples / RATE, (samples + gap) / RATE))
                    samples += gap
            begin = samples / RATE
            put(resampler.put(spoken.sound[None].astype(np.float32)))
            samples += len(spoken.sound)
            own = _later(spoken.words, begin)
            words += own
            phones += _later(spoken.phones, begin)
            cues.append(TimedUnit(" ".join(word.text for word in phrase.words), own[0].start_s, own[-1].end_s))
        put(resampler.end())
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
    return SpeechFiles(samples / RATE, len(words), len(late) - 1, max(late))


def _later(times: Sequence[TimedUnit], by_s: float) -> list[TimedUnit]:
    return [TimedUnit(each.name, each.start_s + by_s, each.end_s + by_s) for each in times]
