"""Meters of speech that need no recogniser: phones, speakers and languages by the nearest centroid, pitch and length.

The centroids come from the drawn voice itself, whose phone times are exact. A recogniser of others, where it is
installed, is in ``aiprod.speech.recogniser``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct

from aiprod.speech.features import FRAME_HZ, log_mel
from aiprod.speech.fundamental import fundamental
from aiprod.speech.phones import PHONES, SILENCE
from aiprod.speech.voice import TimedUnit

Floats = NDArray[np.float64]
_COEFFICIENTS = 13


@dataclass(frozen=True)
class MeterInput:
    """An utterance as a meter takes it: sound, and what is said when and by whom."""

    sound: NDArray[np.float32]
    phones: Sequence[TimedUnit]
    language: str
    speaker: str


class Meters:
    """Knows phones, speakers and languages from utterances whose truth is known."""

    def __init__(self, examples: Iterable[MeterInput]) -> None:
        vectors: dict[tuple[str, str], list[Floats]] = {}
        voices: dict[str, list[Floats]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        for heard in examples:
            for key, vector in _segments(heard):
                vectors.setdefault(key, []).append(vector)
                self.counts[key] += 1
            voices.setdefault(heard.speaker, []).append(_voice(heard.sound))
        self.phones = {key: np.mean(each, 0) for key, each in sorted(vectors.items())}
        within = np.concatenate([np.array(each) - self.phones[key] for key, each in sorted(vectors.items())])
        covariance = within.T @ within / len(within)
        covariance += 0.05 * np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
        self._whiten = np.linalg.cholesky(np.linalg.inv(covariance))
        everyone = np.concatenate([np.array(each) for each in voices.values()])
        self._voice_scale = everyone.std(0) + 1e-3
        self.voices = {name: np.mean(each, 0) for name, each in sorted(voices.items())}

    def phone_accuracy(self, utterances: Iterable[MeterInput]) -> float:
        """Share of phones whose nearest centroid, among those of its language, is its own."""
        right = total = 0
        for heard in utterances:
            known = {symbol: centre for (language, symbol), centre in self.phones.items() if language == heard.language}
            for (_, symbol), vector in _segments(heard):
                right += min(known, key=lambda name: self._distance(vector, known[name])) == symbol
                total += 1
        return right / max(1, total)

    def phone_chance(self, utterances: Iterable[MeterInput]) -> float:
        """Share of right phones for one who always says the most frequent phone of the language."""
        right = total = 0
        for heard in utterances:
            often = {key[1]: count for key, count in self.counts.items() if key[0] == heard.language}
            guess = max(sorted(often), key=lambda name: often[name])
            symbols = [symbol for (_, symbol), _ in _segments(heard)]
            right += symbols.count(guess)
            total += len(symbols)
        return right / max(1, total)

    def language_accuracy(self, utterances: Iterable[MeterInput]) -> float:
        """Share of utterances whose phones that are written alike in both languages sound like their own language's."""
        right = total = 0
        shared = set.intersection(*(set(table) for table in PHONES.values())) - {SILENCE}
        for heard in utterances:
            apart: Counter[str] = Counter()
            for (_, symbol), vector in _segments(heard):
                if symbol in shared:
                    for language in PHONES:
                        centre = self.phones.get((language, symbol))
                        apart[language] += 1e6 if centre is None else self._distance(vector, centre)  # type: ignore[assignment]
            if apart:
                right += min(sorted(apart), key=lambda name: apart[name]) == heard.language
                total += 1
        return right / max(1, total)

    def speaker_accuracy(self, utterances: Iterable[MeterInput]) -> float:
        """Share of utterances whose voice is nearest to that of their speaker."""
        results = [self.speaker_of(heard.sound) == heard.speaker for heard in utterances]
        return sum(results) / max(1, len(results))

    def speaker_of(self, sound: NDArray[np.float32]) -> str:
        """The nearest voice."""
        voice = _voice(sound)
        return min(
            self.voices, key=lambda name: float(np.square((voice - self.voices[name]) / self._voice_scale).sum())
        )

    def _distance(self, vector: Floats, centre: Floats) -> float:
        return float(np.square((vector - centre) @ self._whiten).sum())


def _segments(heard: MeterInput) -> list[tuple[tuple[str, str], Floats]]:
    """Language and symbol, and cepstra of the three thirds of each phone against the mean of the utterance."""
    mel = log_mel(torch.from_numpy(heard.sound)).numpy().astype(np.float64)
    cepstra = dct(mel, axis=0, norm="ortho")[:_COEFFICIENTS].T
    spoken = [phone for phone in heard.phones if phone.name != SILENCE]
    if not spoken:
        return []
    first, last = (int(at * FRAME_HZ) for at in (spoken[0].start_s, spoken[-1].end_s))
    cepstra = cepstra - cepstra[first : max(first + 1, last)].mean(0)
    segments = []
    for phone in spoken:
        edges = np.linspace(phone.start_s, phone.end_s, 4) * FRAME_HZ
        parts = []
        for a, b in itertools.pairwise(edges):
            low = min(int(a), len(cepstra) - 1)
            parts.append(cepstra[low : max(low + 1, int(np.ceil(b)))].mean(0))
        segments.append(((heard.language, phone.name), np.concatenate(parts)))
    return segments


def _voice(sound: NDArray[np.float32]) -> Floats:
    """Mean and spread of the cepstra where the sound is loud, and its mean log F0."""
    mel = log_mel(torch.from_numpy(sound)).numpy().astype(np.float64)
    loud = mel.mean(0) > np.percentile(mel.mean(0), 40)
    cepstra = dct(mel, axis=0, norm="ortho")[1 : _COEFFICIENTS + 6].T[loud]
    pitch = fundamental(sound)
    voiced = np.log(pitch[pitch > 0])
    tone = float(np.median(voiced)) if len(voiced) else np.log(120.0)
    return np.concatenate([cepstra.mean(0), [tone, tone, tone, tone]])  # F0 says as much as several cepstra


def pitch_correlation(pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.float32], str]]) -> tuple[float, float]:
    """Correlation of log F0 within speakers, and the RMS difference in semitones, of frames that are voiced in both.

    Args:
        pairs: F0 that was made, F0 that was wanted, speaker.
    """
    synthetic: dict[str, list[Floats]] = {}
    wanted: dict[str, list[Floats]] = {}
    for a, b, speaker in pairs:
        length = min(len(a), len(b))
        both = (a[:length] > 0) & (b[:length] > 0)
        synthetic.setdefault(speaker, []).append(np.log2(a[:length][both]).astype(np.float64))
        wanted.setdefault(speaker, []).append(np.log2(b[:length][both]).astype(np.float64))
    x = np.concatenate([_centred(each) for each in synthetic.values()]) if synthetic else np.zeros(0)
    y = np.concatenate([_centred(each) for each in wanted.values()]) if wanted else np.zeros(0)
    if len(x) < 2 or not x.std() or not y.std():
        return 0.0, 0.0
    difference = np.concatenate([np.concatenate(synthetic[name]) - np.concatenate(wanted[name]) for name in synthetic])
    return float(np.corrcoef(x, y)[0, 1]), float(12 * np.sqrt(np.mean(difference**2)))


def _centred(parts: list[Floats]) -> Floats:
    joined = np.concatenate(parts)
    return joined - joined.mean() if len(joined) else joined
