"""Writes the films of the matrix and says what is in them: which picture is seen when, which sample is heard when."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.matrix import boxes, coding
from tests.media.matrix.combinations import LOSSLESS, Combination
from tests.media.matrix.marks import RATE, sound

SIZE = (96, 64)
OTHER_SIZE = (64, 96)
SECONDS = 2.5
_LATE = Fraction(7, 20)
_TRIM = 12  # pictures
_TURN = 30  # the picture at which a habit that begins in the middle begins
_PAUSE = Fraction(1, 2)
_FAR = Fraction(2**33, 90_000) - Fraction(5, 4)  # a second and a quarter before the clock of MPEG-TS wraps
_BEGUN = ("hybrid", "hmov")  # begin in the movie box and go on in fragments
_PCM = ("pcm", "pcm24", "pcm_be")  # of which the movie box lists every sample
_SOFT_S = 0.06  # lossy coding smears this far over a place where packets were taken out or moved

# container -> FFmpeg's writer, its options, pictures a second
FORMATS: dict[str, tuple[str, dict[str, str], Fraction]] = {
    "mp4": ("mp4", {}, Fraction(24)),
    "mov": ("mov", {}, Fraction(24)),
    "fmp4": ("mp4", {"movflags": "frag_keyframe+delay_moov+default_base_moof"}, Fraction(24)),
    "cmaf": ("mp4", {"movflags": "cmaf+frag_keyframe+delay_moov"}, Fraction(24)),
    "hybrid": ("mp4", {"movflags": "frag_keyframe"}, Fraction(24)),  # the first samples stand in the movie box
    "fmov": ("mov", {"movflags": "frag_keyframe+delay_moov+default_base_moof"}, Fraction(24)),
    "hmov": ("mov", {"movflags": "frag_keyframe"}, Fraction(24)),
    "mkv": ("matroska", {}, Fraction(24)),
    "webm": ("webm", {}, Fraction(24)),
    "avi": ("avi", {}, Fraction(24)),
    "ts": ("mpegts", {}, Fraction(24)),
    "m2ts": ("mpegts", {"mpegts_m2ts_mode": "1"}, Fraction(24)),
    "flv": ("flv", {}, Fraction(24)),
    "ogg": ("ogg", {}, Fraction(24)),
    "mxf": ("mxf", {}, Fraction(25)),
    "asf": ("asf", {}, Fraction(24)),
}


@dataclass
class Part:
    """A stretch of film of one clock and one size; times count from its first picture.

    Attributes:
        pictures: (seconds, number) in order.
        sound: float32 [2, T] at 48 kHz, what is heard.
        sure: bool [T], where it can be compared.
    """

    pictures: list[tuple[float, int]]
    size: tuple[int, int]
    sound: np.ndarray
    sure: np.ndarray


@dataclass
class Truth:
    """What a film holds."""

    parts: list[Part]
    rate: float
    constant: bool
    lossless: bool


def write(path: Path, combination: Combination) -> Truth:
    """Write one film.

    Raises:
        av.error.FFmpegError, ValueError: FFmpeg does not write this combination.
    """
    if combination.habit == "reset":
        first, second = path.with_suffix(".1"), path.with_suffix(".2")
        truth = _write(first, combination, 0)
        truth.parts += _write(second, combination, 100).parts
        path.write_bytes(first.read_bytes() + second.read_bytes())
        first.unlink()
        second.unlink()
        return truth
    return _write(path, combination, 0)


def _write(path: Path, combination: Combination, number: int) -> Truth:
    container, habit = combination.container, combination.habit
    writer, options, rate = FORMATS[container]
    options = dict(options)
    if habit == "ntsc":
        rate = Fraction(30_000, 1001)
    if habit == "empty_moov":
        options["movflags"] = options["movflags"].replace("delay_moov", "empty_moov")
    if container == "ogg" and habit in ("gap", "sound_gap"):
        options["page_duration"] = "1"  # a page says when it ends, and nothing of a pause within it
    if habit == "no_edit":
        options["use_editlist"] = "0"
    if habit == "negative_cts":
        options["movflags"] = "+".join([*filter(None, [options.get("movflags")]), "negative_cts_offsets"])
    reorder = "bframes" if habit in ("empty_moov", "negative_cts") else habit
    if number and container in ("ts", "m2ts"):
        options["mpegts_start_pid"] = "0x100"
    sample_rate, channels = 44_100 if habit == "cd" else RATE, 1 if habit == "mono" else 2
    count = round(SECONDS * rate)
    times = _Times(combination, rate)
    samples = sound(SECONDS, sample_rate, 5 if number else 0)[:channels]
    if combination.audio == "vorbis":  # FFmpeg's own coder spoils the second of two unlike channels
        samples = np.repeat(samples[:1], channels, axis=0)
    target: Any = _Pipe(path) if habit == "piped" else str(path)
    with av.open(target, "w", format=writer, container_options=options) as film:
        everything: list[_Stamped] = []
        order: list[int] = []  # numbers as they are coded
        tracks = 2 if habit == "two_pictures" else 1
        for track in range(tracks):
            codec = coding.VIDEO[combination.video][0]
            stream: Any = film.add_stream(codec, rate=rate)
            size = SIZE if track == 0 else (64, 48)
            coding.set_up_pictures(stream.codec_context, combination.video, size, rate, reorder)
            stream.time_base = times.base
            numbers = range(number, number + (count if habit != "size_change" else _TURN))
            coded = coding.pictures(stream, stream.codec_context, combination.video, numbers)
            if habit == "size_change":
                context: Any = av.CodecContext.create(codec, "w")
                coding.set_up_pictures(context, combination.video, OTHER_SIZE, rate, reorder)
                coded += coding.pictures(stream, context, combination.video, range(_TURN, count))
            order = order if track else [c.shown for c in coded]
            everything += [
                _Stamped(c.packet, times.picture(c.shown - number), times.decoded(c.decoded - number)) for c in coded
            ]
        kept: list[tuple[coding.Coded, Fraction]] = []
        for track in range(2 if habit in ("silent_first", "two_sounds") else 1):
            codec = coding.AUDIO[combination.audio][0]
            stream = film.add_stream(codec, rate=sample_rate)
            coding.set_up_sound(stream.codec_context, combination.audio, sample_rate, channels)
            stream.time_base = times.sound_base(sample_rate)
            other = np.zeros_like(samples) if habit == "silent_first" else samples  # either of two is right
            real = track == (1 if habit == "silent_first" else 0)
            coded = coding.sound(stream, stream.codec_context, combination.audio, samples if real else other)
            placed = times.sound(coded, sample_rate)
            everything += [_Stamped(c.packet, at, at, Fraction(c.length, sample_rate)) for c, at, _ in placed]
            if real:
                kept = [(c, true) for c, _, true in placed if c.packet.size]  # FLAC ends with a header alone
        for stamped in sorted(everything, key=lambda s: s.decoded):
            stamped.mux(film)
    if habit == "piped":
        target.close()
    shown = [(times.picture(n), n + number) for n in range(count) if times.picture(n) >= times.start]
    if writer in ("mp4", "mov"):
        found = boxes.tracks(path)
        shown = _as_stated(order, next(t for t in found if t.kind == "vide").times())
        sounding = [t for t in found if t.kind == "soun"][1 if habit == "silent_first" else 0]
        kept = _sound_as_stated(kept, sounding)
        # the writer stamps the first packet zero, whenever it sounds
        alone = container in _BEGUN and combination.audio not in _PCM and habit == "late_sound"
        if (habit == "empty_moov" or alone) and (length := kept[0][0].length):
            kept[0] = kept[0][0], kept[1][1] - Fraction(length, sample_rate)
    parts = _parts(shown, kept, samples, sample_rate, combination)
    return Truth(
        parts,
        float(rate),
        habit not in ("vfr", "gap", "dropped", "no_edit", "empty_moov")
        and container not in _BEGUN,  # longer first picture
        combination.audio in LOSSLESS and habit not in ("cd",),
    )


def _as_stated(order: list[int], times: list[Fraction]) -> list[tuple[Fraction, int]]:
    """Numbers that are shown, with the times that the file states."""
    assert len(order) == len(times)
    return sorted((at, n) for n, at in zip(order, times, strict=True) if at >= 0)


def _sound_as_stated(
    kept: list[tuple[coding.Coded, Fraction]], track: boxes.Track
) -> list[tuple[coding.Coded, Fraction]]:
    """Packets with the times that the file states: a sample of the file is a packet or, of PCM, one of its samples."""
    times, number, placed = track.times(), 0, []
    for c, _ in kept:
        placed.append((c, times[number]))
        left = c.length or 1
        while left > 0 and number < len(times):
            left -= track.lengths[number] or c.length or 1
            number += 1
        if len(times) == len(kept):
            number = len(placed)
    return placed


class _Pipe:
    """A file that cannot go back, so that a writer's header stays as it was at first."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.name = str(path)

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()


@dataclass
class _Stamped:
    packet: av.Packet
    shown: Fraction
    decoded: Fraction
    length: Fraction = Fraction(0)  # of pictures the writer finds it

    def mux(self, film: Any) -> None:
        base = self.packet.stream.time_base
        self.packet.time_base = base
        self.packet.pts, self.packet.dts = round(self.shown / base), round(self.decoded / base)
        self.packet.duration = round(self.length / base)
        film.mux(self.packet)


class _Times:
    """When pictures and samples are shown and heard on the container's clock, by habit."""

    def __init__(self, combination: Combination, rate: Fraction) -> None:
        self.habit, self.rate, self.container = combination.habit, rate, combination.container
        self.audio = combination.audio
        self.start = {"late_start": Fraction(5), "wrap": _FAR, "late_picture": _LATE}.get(self.habit, Fraction(0))
        plain = self.habit in ("plain", "bframes", "ntsc", "altref", "dropped")
        plain |= self.container in ("avi", "mxf", "ogg")  # count pictures
        self.base = 1 / rate if plain else Fraction(1, 90_000)

    def sound_base(self, sample_rate: int) -> Fraction:
        return Fraction(1, sample_rate)

    def picture(self, n: int) -> Fraction:
        at = n / self.rate
        if self.habit == "vfr" and n > 0:  # 24 a second in the mean, from 0.6 to 1.7 of an interval
            steps = (30, 71, 42, 25, 46, 36)
            whole, rest = divmod(n, len(steps))
            at = Fraction(whole * sum(steps) + sum(steps[:rest]), 1000)
        if self.habit == "dropped":  # every fifth place stays empty
            at += (n // 4) / self.rate
        if self.habit == "gap" and n >= _TURN:
            at += _PAUSE
        if self.habit == "edit_trim":
            at -= _TRIM / self.rate
        return at + self.start

    def decoded(self, n: int) -> Fraction:
        return self.picture(n) if n >= 0 else self.picture(0) + n / self.rate

    def sound(self, coded: list[coding.Coded], rate: int) -> list[tuple[coding.Coded, Fraction, Fraction]]:
        """Each packet that is kept, its stamp, and when its first sample is really heard."""
        rng = np.random.default_rng(5)
        first, swing = min((c.shown for c in coded), default=0), 0
        placed = []
        for c in coded:
            at = Fraction(c.shown, rate)
            if self.container == "avi":  # has no stamps: what a decoder gives first is heard first
                at -= Fraction(first, rate)
            turn = _TURN / self.rate
            if self.habit == "sound_gap" and turn <= at < turn + Fraction(3, 10):
                continue
            if self.habit == "gap" and at >= turn:
                at += _PAUSE
            if self.habit == "late_sound":
                at += _LATE
            if self.habit == "edit_trim":
                at -= _TRIM / self.rate
            at += self.start if self.habit != "late_picture" else 0
            stamp = at
            if self.habit == "jitter" and c.shown > 0:  # early by as much as the one before was late
                swing = -swing if len(placed) % 2 else int(rng.integers(-8, 9))
                stamp += Fraction(swing, 1000)
            placed.append((c, stamp, at))
        return placed


def _parts(
    shown: list[tuple[Fraction, int]],
    kept: list[tuple[coding.Coded, Fraction]],
    samples: np.ndarray,
    rate: int,
    combination: Combination,
) -> list[Part]:
    edges = [0, len(shown)] if combination.habit != "size_change" else [0, _TURN, len(shown)]
    parts = []
    for n, (a, b) in enumerate(itertools.pairwise(edges)):
        origin = shown[a][0]
        end = shown[b][0] if b < len(shown) else None
        heard, sure = _heard(kept, samples, rate, origin, combination.audio in LOSSLESS)
        if combination.audio == "wma":  # FFmpeg's decoder leaves out the first 2048 samples of its own coder
            begins = int(np.argmax(heard.any(axis=0)))
            sure[begins : begins + 4096] = False
        if end is not None:
            cut = round((end - origin) * RATE)
            heard, sure = heard[:, :cut], sure[:cut]
        pictures = [(float(at - origin), number) for at, number in shown[a:b]]
        parts.append(Part(pictures, OTHER_SIZE if n else SIZE, heard, sure))
    return parts


def _heard(
    kept: list[tuple[coding.Coded, Fraction]], samples: np.ndarray, rate: int, origin: Fraction, lossless: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What is heard from ``origin`` on, at 48 kHz, and where one can be sure of it."""
    source = samples if rate == RATE else _at_48k(samples, rate)
    ratio = Fraction(RATE, rate)
    ends = max(at + Fraction(c.length or 1, rate) for c, at in kept)
    total = max(0, round((ends - origin) * RATE))
    heard = np.zeros((2, total), np.float32)
    sure = np.ones(total, bool)
    soft = 0 if lossless and rate == RATE else round(_SOFT_S * RATE)
    expected: int | None = None
    last = 0
    for c, at in kept:
        first, length = round(c.shown * ratio), round((c.length or 0) * ratio)
        target = round((at - origin) * RATE)
        if expected is None or abs(target - expected) > 2:
            for edge in (target, *(() if expected is None else (expected,))):
                sure[max(0, edge - soft) : max(0, edge + soft)] = False
            if expected is None and target < 0:
                sure[: max(0, soft + first + target)] = False
        expected = target + length
        a, b = max(first, 0, first - target), min(first + length, source.shape[1])
        if b > a:
            heard[:, target + a - first : target + b - first] = source[:, a:b]
            last = target + b - first
    sure[max(0, last - soft) :] = False
    return heard, sure


def _at_48k(samples: np.ndarray, rate: int) -> np.ndarray:
    """The same sound at 48 kHz, made anew: marks of ``sound`` do not depend on the rate."""
    made = sound(samples.shape[1] / rate, RATE)
    return made[: samples.shape[0]] if not np.array_equal(samples[0], samples[-1]) else made[:1]
