"""A text spoken into a WAV file, with its times beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aiprod.base.files import write_json, write_text
from aiprod.media.segments import wav_writer
from aiprod.speech.captions import as_json, as_srt, as_webvtt
from aiprod.speech.model import SpeechModel
from aiprod.speech.sound_stream import OUT_RATE, SpokenSound, put_speech
from aiprod.speech.synthesis import PlacedSpeech, Synthesiser, Voice, speak_all
from aiprod.speech.text_to_phones import Phrase
from aiprod.speech.voice import TimedUnit


def speak_to_files(
    model: SpeechModel | Synthesiser,
    phrases: Sequence[Phrase],
    out: Path,
    voice: Voice,
    *,
    seed: int = 0,
    starts: Mapping[int, float] | None = None,
) -> SpokenSound:
    """Write ``out`` (WAV, 48 kHz) and beside it ``.json``, ``.srt`` and ``.vtt``.

    The sound of a phrase is written before the next is spoken, so that a long text takes no more memory than a short.

    Args:
        starts: number of a phrase → second that it is to begin at; it waits for the end of what is before it.
    """
    words: list[TimedUnit] = []
    phones: list[TimedUnit] = []
    cues: list[TimedUnit] = []

    def noted() -> Iterator[PlacedSpeech]:
        for part in speak_all(model, phrases, voice, seed=seed, starts=starts):
            own = part.words
            words.extend(own)
            phones.extend(part.phones)
            cues.append(TimedUnit(" ".join(word.name for word in own), own[0].start_s, own[-1].end_s))
            yield part

    with wav_writer(out, 1, OUT_RATE) as put:
        spoken = put_speech(noted(), put)
    about = {
        "synthetic": True,
        "speaker": voice.speaker,
        "language": voice.language,
        "speed": voice.speed,
        "seconds": round(spoken.seconds, 4),
        **(model.teachers if isinstance(model, SpeechModel) else {"model": model.identity()}),
    }
    write_json(out.with_suffix(".json"), as_json(words, phones, **about))
    write_text(out.with_suffix(".srt"), as_srt(cues))
    write_text(out.with_suffix(".vtt"), as_webvtt(cues))
    return spoken
