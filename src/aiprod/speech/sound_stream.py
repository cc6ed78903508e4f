"""A text spoken into a stream: each phrase goes out as soon as it is made, to be heard while the next is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aiprod.errors import AiprodError
from aiprod.media.audio_resampling import StreamResampler
from aiprod.media.wav_stream import wav_header
from aiprod.speech.model import SpeechModel
from aiprod.speech.synthesis import _PAUSE_S, _STOP_S, Voice, speak_phrase
from aiprod.speech.text_to_phones import Phrase, phrases
from aiprod.speech.voice import RATE
from aiprod.speech.write_files import OUT_RATE, SpeechFiles

_QUIET_BLOCK = 10 * RATE


def phrases_of_lines(
    lines: Iterable[str], language: str, more: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[Phrase]:
    """Phrases of text that comes line by line, each as soon as its line is there; the end of a line ends a phrase.

    Args:
        more: further pronunciations, as for :func:`aiprod.speech.text_to_phones.phrases`.

    Raises:
        AiprodError: as there, when the line is reached; no line has a word.
    """
    empty: AiprodError | None = None
    said = False
    for line in lines:
        try:
            found = phrases(line, language, more)
        except AiprodError as error:
            if "has no words" not in str(error):
                raise
            empty = error
            continue
        said = True
        yield from found
    if not said:
        raise empty or AiprodError("the text has no words", "give a sentence to speak")


def speak_to_stream(
    model: SpeechModel,
    said: Iterable[Phrase],
    put: Callable[[bytes], object],
    *,
    speaker: str,
    language: str,
    speed: float = 1.0,
    style: Tensor | None = None,
    seed: int = 0,
    starts: Mapping[int, float] | None = None,
    raw: bool = False,
) -> SpeechFiles:
    """Put sound at 48 kHz, mono, 32-bit float, little-endian: the samples that ``speak_to_files`` writes.

    Phrases are asked for one at a time. The pause after a phrase is put before the next, for whether there is one may
    not be known yet. If asking for one fails, what was spoken before is put whole.

    Args:
        put: is given a header first (unless ``raw``), then the bytes of each phrase.
        starts: number of a phrase → second that it is to begin at; it waits for the end of what is before it.

    Raises:
        AiprodError: of what gives the phrases.
    """
    if not raw:
        put(wav_header(OUT_RATE))
    resampler, voice, wanted = StreamResampler(1, RATE, OUT_RATE), Voice(speaker, language, speed, style), starts or {}
    samples = words = 0
    late, pause_s = [0.0], 0.0

    def sound(part: NDArray[np.float32]) -> None:
        nonlocal samples
        samples += len(part)
        put(_bytes(resampler.put(part[None].astype(np.float32))))

    def quiet(count: int) -> None:
        for at in range(0, count, _QUIET_BLOCK):
            sound(np.zeros(min(_QUIET_BLOCK, count - at), np.float32))

    try:
        for number, phrase in enumerate(said):
            quiet(round(pause_s * RATE))
            if number in wanted:
                gap = round(wanted[number] * RATE) - samples
                late += [-gap / RATE] if gap < 0 else []
                quiet(gap)
            sound(speak_phrase(model, phrase, voice, seed=seed + number).sound)
            words += len(phrase.words)
            pause_s = (_STOP_S if phrase.ends else _PAUSE_S) / speed
    except AiprodError:
        put(_bytes(resampler.end()))
        raise
    put(_bytes(resampler.end()))
    return SpeechFiles(samples / RATE, words, len(late) - 1, max(late))


def _bytes(sound: NDArray[np.float32]) -> bytes:
    return sound[0].astype("<f4").tobytes()
