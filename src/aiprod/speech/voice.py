"""The drawn voice: a source-filter synthesiser in NumPy that knows when each phone begins, and its fundamental.

Harmonics of the voice and noise of the breath pass through formant resonances that move from phone to phone; friction
and bursts have bands of their own. Room noise lies under everything, because silence that is digital has no logarithm
that a model could learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprod.speech.phones import PHONES, SILENCE, VOWELS, Articulation

RATE = 16_000
CONTROL = 80  # samples between two settings of the filters: 5 ms
_WINDOW, _FFT = 320, 512
_TOP_HZ = 7_600.0
_CLOSED = 0.55  # share of a stop in which the mouth is shut
ROOM_DB = -48.0
_LEVEL = 0.09  # RMS of the speech, full scale 1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Speaker:
    """A drawn person.

    Attributes:
        f0_hz: mean fundamental.
        size: factor on every formant; a short vocal tract has high ones.
        pace: factor on every length.
        breathiness: share of breath in vowels.
        tilt_db: how much weaker the voice is at 4 kHz than that of a speaker of 0.
    """

    f0_hz: float
    size: float
    pace: float = 1.0
    breathiness: float = 0.02
    tilt_db: float = 0.0


SPEAKERS: dict[str, Speaker] = {
    "alba": Speaker(195.0, 1.13, 0.98, 0.03, 2.0),
    "bruno": Speaker(122.0, 1.0, 1.0, 0.015, 0.0),
    "carlo": Speaker(98.0, 0.94, 1.04, 0.01, -1.0),
}


@dataclass(frozen=True)
class TimedUnit:
    """A phone or a word and when it is heard, in seconds."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Utterance:
    """What was spoken: sound in [−1, 1] at :data:`RATE`, phones without gaps, F0 at every control (0: unvoiced)."""

    sound: NDArray[np.float32]
    phones: tuple[TimedUnit, ...]
    words: tuple[TimedUnit, ...]
    f0_hz: NDArray[np.float32]


def speak(
    words: Sequence[tuple[str, Sequence[str]]], speaker: Speaker, language: str, rng: np.random.Generator
) -> Utterance:
    """Speak words that are given as (spelling, phones).

    Args:
        rng: of lengths, melody and noise: the same state gives the same sound.
    """
    table = PHONES[language]
    symbols, owners = _with_pauses(words)
    sounds = [table[symbol] for symbol in symbols]
    lengths = _lengths(symbols, owners, speaker, language, rng)
    edges = np.concatenate([[0], np.cumsum(lengths)])  # in controls
    f0 = _melody(edges, sounds, speaker, rng)
    sound = _synthesise(sounds, edges, f0, speaker, rng)
    seconds = edges * CONTROL / RATE
    phones = tuple(TimedUnit(s, float(seconds[n]), float(seconds[n + 1])) for n, s in enumerate(symbols))
    voiced = np.concatenate([np.full(n, s.voiced) for n, s in zip(lengths, sounds, strict=True)])
    return Utterance(sound, phones, _words(words, owners, phones), np.where(voiced, f0, 0.0).astype(np.float32))


def _with_pauses(words: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[str], list[int]]:
    """Phones between two silences, and the number of the word that each belongs to (−1: none)."""
    symbols, owners = [SILENCE], [-1]
    for number, (_, phones) in enumerate(words):
        symbols += phones
        owners += [number] * len(phones)
    return [*symbols, SILENCE], [*owners, -1]


def _words(
    words: Sequence[tuple[str, Sequence[str]]], owners: Sequence[int], phones: Sequence[TimedUnit]
) -> tuple[TimedUnit, ...]:
    timed = []
    for number, (name, _) in enumerate(words):
        own = [phone for phone, owner in zip(phones, owners, strict=True) if owner == number]
        timed.append(TimedUnit(name, own[0].start_s, own[-1].end_s))
    return tuple(timed)


def _lengths(
    symbols: Sequence[str],
    owners: Sequence[int],
    speaker: Speaker,
    language: str,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Controls of each phone; the last vowel of a word, and even more of the sentence, is longer."""
    ms = np.array([PHONES[language][symbol].ms for symbol in symbols]) * speaker.pace
    vowels = [n for n, symbol in enumerate(symbols) if symbol in VOWELS[language]]
    last_of = {owners[n]: n for n in vowels}
    for n in last_of.values():
        ms[n] *= 1.15
        if owners.count(owners[n]) <= 2:  # the name of a letter, a short word: said clearly
            ms[n] *= 1.25
    if vowels:
        ms[vowels[-1]] *= 1.35
        ms[vowels[-1] + 1 : -1] *= 1.2
    ms *= np.exp(rng.normal(0.0, 0.06, len(ms)))
    ms[0], ms[-1] = 90.0, 130.0
    lengths: NDArray[np.int64] = np.maximum(4, np.round(ms * RATE / 1000 / CONTROL)).astype(np.int64)
    return lengths


def _melody(
    edges: NDArray[np.int64], sounds: Sequence[Articulation], speaker: Speaker, rng: np.random.Generator
) -> Floats:
    """F0 at every control: falls along the sentence, with a rise on each vowel and a slow wander."""
    total = int(edges[-1])
    at = np.linspace(0.0, 1.0, total)
    semitones = 2.0 - 4.5 * at - 2.5 * np.clip((at - 0.85) / 0.15, 0, 1)
    for n, sound in enumerate(sounds):
        if sound.kind == "vowel":
            middle, width = (edges[n] + edges[n + 1]) / 2, max(6.0, float(edges[n + 1] - edges[n]))
            semitones += 1.4 * rng.lognormal(0.0, 0.2) * np.exp(-0.5 * ((np.arange(total) - middle) / width) ** 2)
    semitones += _smooth(rng.normal(0.0, 1.0, total), 25) * 0.6
    return speaker.f0_hz * 2.0 ** (semitones / 12)


def _smooth(values: Floats, width: int) -> Floats:
    """Along the first axis, by a Hann window of about ``width`` controls."""
    window = np.hanning(width + 2)
    window /= window.sum()
    padded = np.pad(values, [(width, width), *[(0, 0)] * (values.ndim - 1)], mode="edge")
    if values.ndim == 1:
        return np.convolve(padded, window, mode="same")[width:-width]
    return np.stack([np.convolve(column, window, mode="same")[width:-width] for column in padded.T], 1)


def _synthesise(
    sounds: Sequence[Articulation], edges: NDArray[np.int64], f0: Floats, speaker: Speaker, rng: np.random.Generator
) -> NDArray[np.float32]:
    total = int(edges[-1])
    tracks = _Tracks(sounds, edges, speaker)
    samples = total * CONTROL
    level = {name: _to_samples(track) for name, track in tracks.levels.items()}
    phase = 2 * np.pi * np.cumsum(np.interp(np.arange(samples), np.arange(total) * CONTROL, f0)) / RATE
    source = harmonics(phase, int(_TOP_HZ / float(f0.max()))) * level["voice"]
    white = rng.normal(0.0, 1.0, (3, samples))
    breath = white[0] * (level["breath"] + speaker.breathiness * level["voice"])
    resonance = _resonances(tracks.formants * speaker.size, tracks.widths, tracks.zeros * speaker.size)
    tilt = 10 ** (-(speaker.tilt_db / 20) * np.arange(_FFT // 2 + 1) * RATE / _FFT / 4000)
    voice = _filtered(source + 0.35 * breath, resonance * (tilt * _glottis())[None])
    friction = _filtered(white[1] * level["noise"], tracks.bands)
    sound = voice + friction
    active = level["voice"] + level["noise"] > 0.05
    sound *= _LEVEL / max(1e-6, float(np.sqrt(np.mean(sound[active] ** 2))) if active.any() else 1.0)
    sound += white[2] * _LEVEL * 10 ** (ROOM_DB / 20)
    peak = float(np.abs(sound).max())
    return (sound / max(1.0, peak / 0.95)).astype(np.float32)


class _Tracks:
    """Formants, levels and bands of noise at every control."""

    def __init__(self, sounds: Sequence[Articulation], edges: NDArray[np.int64], speaker: Speaker) -> None:
        total = int(edges[-1])
        self.formants = np.zeros((total, 3))
        self.widths = np.tile([70.0, 90.0, 130.0], (total, 1))
        self.zeros = np.zeros(total)
        self.levels = {name: np.zeros(total) for name in ("voice", "breath", "noise")}
        shapes: dict[tuple[tuple[float, float, float], ...], NDArray[np.float64]] = {}
        self.bands = np.zeros((total, _FFT // 2 + 1))
        for n, sound in enumerate(sounds):
            a, b = int(edges[n]), int(edges[n + 1])
            self._formants(a, b, sound, _follower(sounds, n))
            self._levels(a, b, sound)
            if sound.kind == "nasal":
                self.widths[a:b] = (100.0, 250.0, 300.0)
                self.zeros[a:b] = sound.formants[1] * 0.78
            if sound.bands:
                shape = shapes.setdefault(sound.bands, _band_shape(sound.bands, 0.5 + 0.5 * speaker.size))
                self.bands[a:b] = shape
        self.formants = _smooth(self.formants, 9)
        self.widths = _smooth(self.widths, 5)
        for name, width in (("voice", 5), ("breath", 3), ("noise", 3)):
            self.levels[name] = _smooth(self.levels[name], width)

    def _formants(self, a: int, b: int, sound: Articulation, follower: Articulation | None) -> None:
        start = np.array(sound.formants)
        if sound.kind == "fricative" and not sound.bands and follower is not None:
            start = np.array(follower.formants)  # an h is the breath of the vowel that follows
        velar = sound.kind == "stop" and sound.bands[0][0] < 2_000 < sound.formants[1] + 100
        if velar and follower is not None and follower.kind in {"vowel", "glide"}:
            front = float(np.clip(follower.formants[1], 900, 2_300))  # the back of the tongue is where it will be
            start[1:] = (0.6 * start[1] + 0.4 * front, 2_400.0)
        end = np.array(sound.ends) if sound.ends else start
        share = np.clip((np.linspace(0, 1, b - a) - 0.2) / 0.6, 0, 1)[:, None]
        self.formants[a:b] = start + share * (end - start)

    def _levels(self, a: int, b: int, sound: Articulation) -> None:
        voice, breath, noise = (self.levels[name] for name in ("voice", "breath", "noise"))
        if sound.kind not in {"stop", "affricate"}:
            voice[a:b], breath[a:b], noise[a:b] = sound.voice, sound.breath, sound.noise
            if sound.trill_hz:
                at = np.arange(b - a) * CONTROL / RATE
                voice[a:b] *= 0.55 + 0.45 * np.cos(2 * np.pi * sound.trill_hz * at)
            return
        opens = a + max(2, round((b - a) * _CLOSED))
        voice[a:opens] = sound.voice
        burst = opens + 3 if sound.kind == "stop" else b
        noise[opens:burst] = sound.noise
        if sound.kind == "stop":
            breath[opens + 1 : b] = sound.breath
            if sound.voice:
                voice[min(opens + 2, b) : b] = 0.6
            elif not sound.breath:
                noise[burst:b] = 0.0


def _follower(sounds: Sequence[Articulation], n: int) -> Articulation | None:
    return sounds[n + 1] if n + 1 < len(sounds) else None


def harmonics(phase: Floats, count: int) -> Floats:
    """Sum of ``cos(k·phase)`` for k = 1 … count, by Dirichlet's kernel, over its own RMS."""
    half = np.sin(phase / 2)
    near = np.abs(half) < 1e-4
    total = np.where(near, count, np.sin((count + 0.5) * phase) / np.where(near, 1.0, 2 * half) - 0.5)
    return total / np.sqrt(count / 2)


def _to_samples(track: Floats) -> Floats:
    return np.interp(np.arange(len(track) * CONTROL) / CONTROL, np.arange(len(track)), track)


def _glottis() -> Floats:
    """Amplitude of the voice before the formants: falls by 6 dB an octave above 500 Hz, radiation included."""
    hz = np.arange(_FFT // 2 + 1) * RATE / _FFT
    return 1.0 / np.sqrt(1 + (hz / 500.0) ** 2)


def _resonances(formants: Floats, widths: Floats, zeros: Floats) -> NDArray[np.complex128]:
    """Response of the vocal tract at each control: three moving and two fixed resonances, and the nose's zero."""
    hz = (np.arange(_FFT // 2 + 1) * RATE / _FFT)[None]
    s: NDArray[np.complex128] = (2j * np.pi * hz).astype(np.complex128)
    total = np.ones((len(formants), hz.shape[1]), np.complex128)
    ratio = float(np.median(formants[:, 2])) / 2_500.0
    fixed = [(3_500.0 * ratio, 220.0), (4_500.0 * ratio, 300.0)]
    moving = [(formants[:, n : n + 1], widths[:, n : n + 1]) for n in range(3)]
    for centre, width in [*moving, *((np.full((1, 1), c), np.full((1, 1), w)) for c, w in fixed)]:
        total *= _pole(s, centre, width)
    nasal = np.flatnonzero(zeros)
    if len(nasal):
        total[nasal] /= _pole(s, zeros[nasal, None], np.full((1, 1), 150.0))
        total[nasal] *= _pole(s, zeros[nasal, None] * 1.25, np.full((1, 1), 300.0))
    return total


def _pole(s: NDArray[np.complex128], centre: Floats, width: Floats) -> NDArray[np.complex128]:
    """A resonance with a gain of 1 at 0 Hz."""
    root = -np.pi * width + 2j * np.pi * centre
    square = np.abs(root) ** 2
    response: NDArray[np.complex128] = square / ((s - root) * (s - np.conj(root)))
    return response


def _band_shape(bands: Sequence[tuple[float, float, float]], size: float) -> Floats:
    hz = np.arange(_FFT // 2 + 1) * RATE / _FFT
    shape = sum(gain * np.exp(-0.5 * ((hz - centre * size) / width) ** 2) for centre, width, gain in bands)
    unit_power: Floats = np.asarray(shape) / np.sqrt(np.mean(np.square(shape)))
    return unit_power


def _filtered(source: Floats, response: NDArray[np.complex128] | Floats) -> Floats:
    """The source through a filter that changes at every control, by overlapping windows."""
    count = len(response)
    padded = np.pad(source, (_WINDOW // 2, _WINDOW // 2 + _FFT))
    window = np.hanning(_WINDOW + 1)[:-1] * (CONTROL * 2 / _WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[: count * CONTROL : CONTROL] * window
    spoken = np.fft.irfft(np.fft.rfft(frames, _FFT) * response, _FFT)
    out = np.zeros(len(padded) + _FFT)
    for part in range(0, _FFT, CONTROL):  # every CONTROL-th stretch of all frames at once: they do not overlap
        piece = spoken[:, part : part + CONTROL]
        stretch = np.zeros((count, CONTROL))
        stretch[:, : piece.shape[1]] = piece
        out[part : part + count * CONTROL] += stretch.reshape(-1)
    return out[_WINDOW // 2 : _WINDOW // 2 + len(source)]
