"""The mix: loudness, peaks, ducking and fades against other implementations and arithmetic."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media.audio import read_sound
from aiprod.media.segments import write_wav
from aiprod.montage.dynamics import STEP, Limiter, ducked_db, fade, gain_curve, pan_gains
from aiprod.montage.loudness import Meter
from aiprod.montage.mix import mix, opened_mix
from aiprod.montage.sources import Samples, look
from aiprod.montage.timeline import Ducking, LoudnessTarget, Sound, Timeline
from aiprod.qc.checks.loudness import integrated_lufs, true_peak_dbtp

RATE = 48_000


def pink(seconds: float, seed: int, level: float = 0.1) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((2, round(seconds * RATE))))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 20))
    noise = np.fft.irfft(spectrum, round(seconds * RATE))
    return (noise / noise.std() * level).astype(np.float32)


@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_loudness_is_that_of_the_whole_however_it_is_given(pieces: list[int], seed: int) -> None:
    samples = pink(sum(pieces) / RATE + 0.5, seed)
    meter = Meter()
    at = 0
    for piece in [*pieces, samples.shape[1]]:
        meter.add(samples[:, at : at + piece])
        at += piece
    whole = integrated_lufs(samples, RATE)[0]
    found = meter.integrated_lufs()
    assert found is not None and abs(found - whole) < 0.02
    assert abs(meter.true_peak_dbtp - true_peak_dbtp(samples)) < 0.05


def test_loudness_agrees_with_another_implementation() -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm", reason="pyloudnorm is not installed")
    samples = np.concatenate([pink(3, 1, 0.2), pink(3, 2, 0.01), pink(3, 3, 0.1)], axis=1)
    meter = Meter()
    meter.add(samples)
    found = meter.integrated_lufs()
    assert found is not None and abs(found - pyloudnorm.Meter(RATE).integrated_loudness(samples.T)) < 0.1


@given(st.integers(0, 50), st.floats(-12, 18), st.lists(st.integers(1, 40_000), min_size=1, max_size=5))
@settings(max_examples=12, deadline=None)
def test_the_limiter_holds_true_peaks_and_keeps_length_and_what_is_quiet(
    seed: int, gain_db: float, pieces: list[int]
) -> None:
    samples = pink(1.0, seed, 0.2) * np.float32(10 ** (gain_db / 20))
    samples[:, 30_000:] *= 0.01
    limiter, out, at = Limiter(-1.0), [], 0
    for piece in [*pieces, samples.shape[1]]:
        out.append(limiter.push(samples[:, at : at + piece]))
        at += piece
    out.append(limiter.flush())
    done = np.concatenate(out, axis=1)
    assert done.shape == samples.shape
    assert true_peak_dbtp(done) <= -1.0
    assert np.allclose(done[:, 40_000:], samples[:, 40_000:], rtol=1e-4)
    assert np.all(np.abs(done) <= np.abs(samples) + 1e-7)


def test_fades_keep_power_or_sum() -> None:
    share = np.linspace(0, 1, 101)
    assert np.allclose(fade(share, "equal_power") ** 2 + fade(1 - share, "equal_power") ** 2, 1)
    assert np.allclose(fade(share, "linear") + fade(1 - share, "linear"), 1)
    assert np.allclose(fade(share, "s_curve") + fade(1 - share, "s_curve"), 1)
    for law in ("equal_power", "linear", "s_curve", "log"):
        curve = fade(share, law)
        assert curve[0] == 0 and curve[-1] == pytest.approx(1) and np.all(np.diff(curve) >= 0)
    assert np.allclose(pan_gains(0), 1) and pan_gains(1)[0] < 1e-6 and pan_gains(-1)[1] < 1e-6


def test_music_is_down_by_what_was_asked_while_somebody_speaks_and_up_otherwise(tmp_path: Path) -> None:
    music, speech = pink(8, 1, 0.1), np.zeros((2, 8 * RATE), np.float32)
    speech[:, 3 * RATE : 5 * RATE] = pink(2, 2, 0.1)
    for name, samples in (("music", music), ("speech", speech)):
        write_wav(tmp_path / f"{name}.wav", samples)
    ducking = Ducking(depth_db=9.0)
    sounds = [
        Sound(film=tmp_path / "music.wav", bus="music", record_in=0, record_out=200),
        Sound(film=tmp_path / "speech.wav", bus="dialogue", record_in=0, record_out=200),
    ]
    made = Timeline.checked(sounds=sounds, ducking=ducking, loudness=LoudnessTarget(lufs=None, true_peak_dbtp=-1))
    done = mix(made, {s.film: look(s.film) for s in sounds}, tmp_path)
    ducked = opened_mix(done.stems["music"], done.samples)

    def change_db(first: float, behind: float) -> float:
        part = slice(round(first * RATE), round(behind * RATE))
        return float(10 * np.log10((ducked[:, part] ** 2).mean() / (music[:, part] ** 2).mean()))

    assert change_db(3.0, 5.0) == pytest.approx(-9.0, abs=0.05)
    assert change_db(0, 2.7) == pytest.approx(0, abs=0.05) and change_db(6.5, 8) == pytest.approx(0, abs=0.05)
    total = opened_mix(done.path, done.samples)
    assert np.allclose(total, ducked + speech, atol=1e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=400))
@settings(max_examples=30, deadline=None)
def test_ducking_never_goes_below_its_depth_and_ramps_no_quicker_than_stated(speaks: list[bool]) -> None:
    ducking = Ducking(depth_db=12, attack_s=0.1, release_s=0.5)
    gain = ducked_db(np.where(speaks, -20.0, -90.0), ducking)
    assert gain.min() >= -12 and gain.max() <= 0
    steps = np.diff(np.concatenate(([0.0], gain)))
    assert steps.min() >= -12 / (0.1 * RATE / STEP) - 1e-9 and steps.max() <= 12 / (0.5 * RATE / STEP) + 1e-9
    assert gain_curve(gain, 0, gain.size * STEP).min() >= 10 ** (-12 / 20) - 1e-6


@pytest.mark.parametrize("lufs", [-23.0, -16.0])
def test_the_mix_reaches_its_loudness_and_holds_its_peaks(lufs: float, tmp_path: Path) -> None:
    samples = pink(6, 4, 0.05)
    samples[:, 100_000::20_000] = 0.9  # peaks that the limiter has to take
    write_wav(tmp_path / "x.wav", samples)
    sound = Sound(film=tmp_path / "x.wav", record_in=0, record_out=150, fade_in=10, fade_out=25)
    made = Timeline.checked(sounds=[sound], loudness=LoudnessTarget(lufs=lufs, true_peak_dbtp=-1))
    done = mix(made, {sound.film: look(sound.film)}, tmp_path)
    mixed = np.array(opened_mix(done.path, done.samples))
    assert abs(integrated_lufs(mixed, RATE)[0] - lufs) <= 0.1
    assert true_peak_dbtp(mixed) <= -1.0


def test_a_film_is_decoded_once_for_parts_that_are_near_and_not_between_parts_that_are_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, (2, 60 * 48_000)).astype(np.float32)
    write_wav(tmp_path / "noise.wav", noise)
    source, read = look(tmp_path / "noise.wav"), []

    def counted(*given: Any, **more: Any) -> Any:
        read.append((more["start_s"], more["duration_s"]))
        return read_sound(*given, **more)

    monkeypatch.setattr("aiprod.montage.sources.read_sound", counted)
    bank, parts = Samples(tmp_path), [(0.5, 1.0), (48.0, 1.5), (5.25, 1.0), (9.0, 2.0)]
    spans = [(round(at * 48_000), round(length * 48_000)) for at, length in parts]
    for first, count in spans:
        bank.will_ask(source, Fraction(1), first, count)
    for first, count in spans:
        assert np.array_equal(bank.of(source, Fraction(1), first, count), noise[:, first : first + count])
    assert len(read) == 2 and sum(seconds for _, seconds in read) <= 17
    later = bank.of(source, Fraction(1), 30 * 48_000, 48_000)  # what was not said is found too
    assert np.array_equal(later, noise[:, 30 * 48_000 : 31 * 48_000])
