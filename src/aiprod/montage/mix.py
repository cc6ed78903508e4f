"""Mixes the sound of a timeline: events to buses, ducking, loudness, true-peak limiting, in memory that stays small.

Each bus is written to a file of float32 at 48 kHz; what follows reads and writes such files block by block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.montage.dynamics import (
    STEP,
    Limiter,
    amplitude,
    ducked_db,
    fade,
    gain_curve,
    levels_db,
    mean_squares,
    pan_gains,
)
from aiprod.montage.loudness import Meter
from aiprod.montage.sources import Samples, SourceFacts, speed_of
from aiprod.montage.timeline import BUSES, SAMPLE_RATE, Bus, LoudnessTarget, Sound, Timeline

_BLOCK = STEP * 200 * 10  # ten seconds, of whole steps
_TRIES = 4
_NEAR_LU = 0.05
_LIMITED_MOST_DB = 12.0  # beyond it a limiter is heard more than what it limits


@dataclass(frozen=True)
class Mix:
    """A finished mix.

    Attributes:
        path: raw float32 [samples, 2] at 48 kHz.
        stems: the buses as they are in the mix before the limiter; their sum is the mix wherever it did nothing.
        lufs: integrated loudness; None where the sound is too short or too quiet to have one.
        limited_db: the most that the limiter took away.
        gain_db: of the whole mix, to reach the target.
    """

    path: Path
    stems: dict[Bus, Path]
    samples: int
    lufs: float | None
    true_peak_dbtp: float
    limited_db: float
    gain_db: float


def opened_mix(path: Path, count: int) -> NDArray[np.float32]:
    """The samples [2, count] of a raw file."""
    if not count:
        return np.zeros((2, 0), np.float32)
    return np.memmap(path, np.float32, "r", shape=(count, 2)).T


def mix(
    timeline: Timeline, sources: dict[Path, SourceFacts], folder: Path, advance: Callable[[int], None] = lambda _: None
) -> Mix:
    """Mix the sound of a timeline into files in ``folder``.

    Args:
        advance: is told how many samples are done; each sample passes three times.
    """
    count = timeline.samples
    bank = Samples(folder)
    for sound in timeline.sounds:
        _, speed, first, length = _taken(timeline, sound, sources[sound.film])
        bank.will_ask(sources[sound.film], speed, first, length)
    buses: dict[Bus, Path] = {}
    powers: list[NDArray[np.float64]] = []
    for bus in BUSES:
        sounds = [sound for sound in timeline.sounds if sound.bus == bus]
        if not sounds and bus != "effects":
            continue
        buses[bus] = folder / f"bus_{bus}.f32"
        with open(buses[bus], "wb") as file:
            for at, block in _bus(timeline, sounds, sources, bank, count):
                if bus == "dialogue":
                    powers.append(mean_squares(block))
                _write(file, block)
                advance(block.shape[1] if at >= 0 and bus == "effects" else 0)
    _duck(timeline, buses, powers, count)
    meter = Meter()
    for _, block in _sum(buses, count):
        meter.add(block)
        advance(block.shape[1])
    return _brought(timeline.loudness, buses, meter, count, folder, advance)


def _write(file: object, block: NDArray[np.float32]) -> None:
    np.ascontiguousarray(block.T).tofile(file)  # type: ignore[arg-type]


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for at in range(0, count, _BLOCK):
        yield at, min(_BLOCK, count - at)


def _bus(
    timeline: Timeline, sounds: list[Sound], sources: dict[Path, SourceFacts], bank: Samples, count: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The sounds of a bus, summed, block by block."""
    ordered = sorted(sounds, key=lambda sound: sound.record_in)
    waiting = deque((timeline.sample_of(s.record_in), timeline.sample_of(s.record_out), s) for s in ordered)
    sounding: list[tuple[int, int, Sound]] = []
    for at, length in _blocks(count):
        block = np.zeros((2, length), np.float32)
        while waiting and waiting[0][0] < at + length:
            sounding.append(waiting.popleft())
        for first, behind, sound in sounding:
            begin, end = max(at, first), min(at + length, behind)
            if begin < end:
                block[:, begin - at : end - at] += _heard(timeline, sound, sources[sound.film], bank, begin, end)
        sounding = [entry for entry in sounding if entry[1] > at + length]
        yield at, block


def _heard(  # noqa: PLR0917
    timeline: Timeline, sound: Sound, source: SourceFacts, bank: Samples, begin: int, end: int
) -> NDArray[np.float32]:
    """A sound between two samples of the timeline, with gain, pan and fades."""
    first, speed, starts, length = _taken(timeline, sound, source)
    behind = first + length
    samples = bank.of(source, speed, starts + begin - first, end - begin)
    gains = np.array(pan_gains(sound.pan), np.float32) * np.float32(amplitude(sound.gain_db))
    samples *= gains[:, None]
    for frames, from_start in ((sound.fade_in, True), (sound.fade_out, False)):
        length = timeline.sample_of(sound.record_in + frames) - first if from_start else 0
        if not from_start:
            length = behind - timeline.sample_of(sound.record_out - frames)
        if not frames or length <= 0:
            continue
        at = np.arange(begin, end)
        share = (at + 0.5 - first) / length if from_start else (behind - at - 0.5) / length
        samples *= fade(share, sound.fade_law).astype(np.float32)
    return samples


def _taken(timeline: Timeline, sound: Sound, source: SourceFacts) -> tuple[int, Fraction, int, int]:
    """The first sample of a sound in the timeline, its speed, the first one in its source, and how many there are."""
    first, behind = timeline.sample_of(sound.record_in), timeline.sample_of(sound.record_out)
    speed = speed_of(sound.conform, source, timeline.rate)
    return first, speed, round(sound.source_in / speed * SAMPLE_RATE), behind - first


def _duck(timeline: Timeline, buses: dict[Bus, Path], powers: list[NDArray[np.float64]], count: int) -> None:
    """Lower the buses that give way to dialogue, in their files."""
    if timeline.ducking is None or not powers or not timeline.ducking.depth_db:
        return
    gain_db = ducked_db(levels_db(np.concatenate(powers)), timeline.ducking)
    for bus in timeline.ducking.buses:
        if bus in buses and count:
            samples = np.memmap(buses[bus], np.float32, "r+", shape=(count, 2))
            for at, length in _blocks(count):
                samples[at : at + length] *= gain_curve(gain_db, at, length)[:, None]
            samples.flush()


def _sum(buses: dict[Bus, Path], count: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    opened = [opened_mix(path, count) for path in buses.values()]
    for at, length in _blocks(count):
        block = np.zeros((2, length), np.float32)
        for samples in opened:
            block += samples[:, at : at + length]
        yield at, block


def _brought(  # noqa: PLR0917
    target: LoudnessTarget,
    buses: dict[Bus, Path],
    meter: Meter,
    count: int,
    folder: Path,
    advance: Callable[[int], None],
) -> Mix:
    """The mix at its target: one gain for all, then the limiter, and once more where it took loudness away."""
    measured = meter.integrated_lufs()
    gain_db = 0.0 if target.lufs is None or measured is None else target.lufs - measured
    ceiling_db = 240.0 if target.true_peak_dbtp is None else target.true_peak_dbtp
    most_db = ceiling_db - meter.true_peak_dbtp + _LIMITED_MOST_DB
    gain_db = min(gain_db, most_db)
    path = folder / "mix.f32"
    for last in (n == _TRIES - 1 for n in range(_TRIES)):
        limiter = Limiter(ceiling_db)
        factor = np.float32(amplitude(gain_db))
        with open(path, "wb") as file:
            for _, block in _sum(buses, count):
                _write(file, limiter.push(block * factor))
                advance(block.shape[1])
            _write(file, limiter.flush())
        reached, peak_db = _levels(path, count, limiter, meter, gain_db)
        if last or target.lufs is None or reached is None or abs(reached - target.lufs) <= _NEAR_LU:
            break
        wanted = min(gain_db + target.lufs - reached, most_db)
        if wanted == gain_db:
            break
        gain_db = wanted
    stems = {}
    for bus, raw in buses.items():
        stems[bus] = raw
        if count and factor != 1.0:
            samples = np.memmap(raw, np.float32, "r+", shape=(count, 2))
            for at, length in _blocks(count):
                samples[at : at + length] *= factor
            samples.flush()
    limited = float(20 * np.log10(max(limiter.least, 1e-6)))
    return Mix(path, stems, count, reached, peak_db, -limited, gain_db)


def _levels(path: Path, count: int, limiter: Limiter, meter: Meter, gain_db: float) -> tuple[float | None, float]:
    """Loudness and true peak of a mix: measured where a limiter was at work, else those before it and the gain."""
    measured = meter.integrated_lufs()
    if limiter.least >= 1.0 and not (measured is None and gain_db):
        return (None if measured is None else measured + gain_db), meter.true_peak_dbtp + gain_db
    after = Meter()
    for _, block in _sum({"effects": path}, count):
        after.add(block)
    return after.integrated_lufs(), after.true_peak_dbtp
