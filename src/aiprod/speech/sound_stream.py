"""Speech as a stream of sound: each phrase goes out as soon as it is made, to a file or to who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError
from aiprod.media.audio_resampling import StreamResampler
from aiprod.media.wav_stream import wav_header
from aiprod.speech.synthesis import PlacedSpeech
from aiprod.speech.text_to_phones import NoWordsError, Phrase, phrases
from aiprod.speech.voice import RATE

OUT_RATE = 48_000
_QUIET_BLOCK = 10 * RATE


@dataclass(frozen=True)
class SpokenSound:
    """What was spoken.

    Attributes:
        late: how many phrases begin later than they should.
        late_s: by how much the latest does.
    """

    seconds: float
    words: int
    late: int = 0
    late_s: float = 0.0


def phrases_of_lines(
    lines: Iterable[str], language: str, more: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[Phrase]:
    """Phrases of text that comes line by line, each as soon as its line is there; the end of a line ends a phrase.

    Args:
        more: further pronunciations, as for :func:`aiprod.speech.text_to_phones.phrases`.

    Raises:
        AiprodError: as there, when the line is reached; no line has a word.
    """
    any_spoken = False
    for line in lines:
        try:
            spoken = phrases(line, language, more)
        except NoWordsError:
            continue
        any_spoken = True
        yield from spoken
    if not any_spoken:
        raise NoWordsError


def put_speech(parts: Iterable[PlacedSpeech], put: Callable[[NDArray[np.float32]], object]) -> SpokenSound:
    """Put sound at :data:`OUT_RATE`, float32 [1, T], phrase by phrase.

    If asking for a part fails, what was spoken before is put whole.

    Raises:
        AiprodError: of what gives the parts.
    """
    resampler = StreamResampler(1, RATE, OUT_RATE)
    samples = words = late = 0
    latest_s = 0.0

    def sound(part: NDArray[np.float32]) -> None:
        nonlocal samples
        samples += len(part)
        put(resampler.put(part[None].astype(np.float32)))

    try:
        for part in parts:
            blocks, rest = divmod(part.quiet, _QUIET_BLOCK)
            for _ in range(blocks):
                sound(np.zeros(_QUIET_BLOCK, np.float32))
            sound(np.concatenate([np.zeros(rest, np.float32), part.speech.sound]))
            words += len(part.speech.words)
            late, latest_s = late + (part.late_s > 0), max(latest_s, part.late_s)
    except AiprodError:
        put(resampler.end())
        raise
    put(resampler.end())
    return SpokenSound(samples / RATE, words, late, latest_s)


def speak_to_stream(parts: Iterable[PlacedSpeech], put: Callable[[bytes], object], *, raw: bool = False) -> SpokenSound:
    """As :func:`put_speech`, as the bytes of a WAV file of unknown length: mono, 32-bit float, little-endian.

    Args:
        put: is given a header first (unless ``raw``), then the bytes of each phrase.

    Raises:
        AiprodError: of what gives the parts.
    """
    if not raw:
        put(wav_header(OUT_RATE))
    return put_speech(parts, lambda sound: put(sound[0].astype("<f4").tobytes()))
