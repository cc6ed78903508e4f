"""Sound checks against FFmpeg's ebur128 and signals of known value."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly, sosfilt

from aiprod.media.k_weighting import k_weighting
from aiprod.qc.checks import audio_defects, audio_events, loudness, snr, sync
from aiprod.qc.checks.weighted_power import weighted_power
from tests.qc.films import ffmpeg_sound

RATE = 48_000


def tone(hz: float, seconds: float, dbfs: float, rate: int = RATE) -> np.ndarray:
    """A stereo sine with this peak level, float32 [2, T]."""
    time = np.arange(round(seconds * rate)) / rate
    return np.tile((10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * time)).astype(np.float32), (2, 1))


def test_ebu_tech_3341_case_1() -> None:
    """A stereo sine of 1 kHz at -23 dBFS reads -23.0 LUFS within 0.1 LU (EBU Tech 3341, table 1, case 1)."""
    integrated, _, _ = loudness.integrated_lufs(tone(1000, 20, -23), RATE)
    assert integrated == pytest.approx(-23.0, abs=0.1)


def test_k_weighting_equals_the_listed_coefficients_at_48_khz() -> None:
    """ITU-R BS.1770-5, tables 1 and 2."""
    shelf, high = k_weighting(48_000)
    assert shelf == pytest.approx(
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585], abs=1e-8
    )
    assert high[3:] == pytest.approx([1.0, -1.99004745483398, 0.99007225036621], abs=1e-8)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 47_999])
def test_power_by_blocks_is_that_of_a_filter_sample_by_sample(rate: int) -> None:
    """Also after silence that is passed over, with a step in it, and at a rate that no block divides."""
    rng = np.random.default_rng(rate)
    sound = (rng.normal(size=round(9.57 * rate)) * 0.1 + 0.3).astype(np.float32)
    sound[round(1.3 * rate) : round(5.2 * rate)] = 0
    hop = round(0.1 * rate)
    exact = np.square(sosfilt(k_weighting(rate), sound.astype(np.float64)))
    count = sound.size // hop
    exact = exact[: count * hop].reshape(count, hop).sum(axis=1)
    np.testing.assert_allclose(weighted_power(sound, rate, hop), exact, rtol=1e-4, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 2]), gain=st.sampled_from([0.2, 0.8, 3.0]))
def test_the_true_peak_is_that_of_all_of_the_sound_oversampled(seed: int, channels: int, gain: float) -> None:
    rng = np.random.default_rng(seed)
    sound = (rng.normal(size=(channels, int(rng.integers(30, 20_000)))) * gain * 0.3).astype(np.float32)
    sound[:, rng.integers(sound.shape[1])] *= 3
    whole = np.abs(resample_poly(sound.astype(np.float64), 4, 1, axis=1, window=("kaiser", 5.0)))
    whole[:, ::4] = np.abs(sound)  # the samples themselves, which that filter raises by 0.005 dB
    assert loudness.true_peak_dbtp(sound) == pytest.approx(20 * np.log10(whole.max()), abs=0.02)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), bound=st.sampled_from([0.5, 0.95, 1.0, 1.2]))
def test_clipped_samples_are_counted_across_blocks(seed: int, bound: float) -> None:
    rng = np.random.default_rng(seed)
    sound = np.clip(np.cumsum(rng.normal(size=(2, 12_345)) * 0.1, axis=1), -bound, bound).astype(np.float32)
    sound[:, 4090:4100] = bound
    size, clipped = np.abs(sound), 0
    for channel in size if 0.9 <= size.max() <= 1.0001 else ():
        for top, run in itertools.groupby(channel >= size.max() - 1e-6):
            length = len(list(run))
            clipped += length if top and length >= 3 else 0
    known = float((size > 1.0).mean()) if size.max() > 1.0001 else clipped / sound.size
    assert loudness.clipped_fraction(sound) == known


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), rate=st.sampled_from([8000, 44_100, 48_000]))
def test_zeros_that_last_are_found_wherever_they_begin(seed: int, rate: int) -> None:
    rng = np.random.default_rng(seed)
    sound = tone(440, 1.5, -6, rate) + rng.normal(size=(2, round(1.5 * rate))).astype(np.float32) * 1e-3
    least = int(np.ceil(0.005 * rate))
    for _ in range(5):
        first, length = int(rng.integers(sound.shape[1])), int(rng.integers(1, 5 * least))
        sound[:, first : first + length] = 0
    quiet = (np.abs(sound) < 2.0**-15).all(axis=0)
    edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False))
    known = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]
    assert list(audio_defects._quiet_runs(sound, least)) == known


def test_two_equal_channels_are_as_loud_as_two_that_differ_by_a_hair() -> None:
    alike = np.tile(np.random.default_rng(4).normal(size=6 * RATE).astype(np.float32) * 0.1, (2, 1))
    apart = alike.copy()
    apart[1, 5] += 1e-6
    one, other = loudness.measure(alike, RATE), loudness.measure(apart, RATE)
    for name in ("integrated_lufs", "range_lu", "momentary_max_lufs", "true_peak_dbtp", "rms_dbfs"):
        assert one[name] == pytest.approx(other[name], abs=1e-5)


@pytest.mark.parametrize("window", [240, 2400])
def test_levels_in_single_precision_are_those_in_double(window: int) -> None:
    sound = np.random.default_rng(5).normal(size=(2, 10 * RATE + 7)).astype(np.float32) * 0.1
    exact = np.square(sound.astype(np.float64))
    known = exact[:, : exact.shape[1] // window * window].reshape(2, -1, window).mean(axis=(0, 2))
    assert audio_events.window_power(sound, window) == pytest.approx(known, rel=1e-6)
    assert loudness.mean_square(sound) == pytest.approx(exact.mean(), rel=1e-6)


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_loudness_and_true_peak_agree_with_ffmpeg(rate: int) -> None:
    rng = np.random.default_rng(1)
    sound = rng.normal(size=(2, 6 * rate)).astype(np.float32) * 0.05
    sound[:, 2 * rate : 4 * rate] *= 4
    sound += tone(997, 6, -12, rate)
    reference = ffmpeg_sound(sound, rate, "ebur128=metadata=1:peak=true")
    integrated, _, _ = loudness.integrated_lufs(sound, rate)
    assert integrated == pytest.approx(reference["lavfi.r128.I"], abs=0.1)
    known = max(reference["lavfi.r128.true_peaks_ch0"], reference["lavfi.r128.true_peaks_ch1"])
    assert loudness.true_peak_dbtp(sound) == pytest.approx(20 * np.log10(known), abs=0.3)


def test_true_peak_sees_between_samples() -> None:
    """A quarter-rate sine sampled at 45 degrees has its peaks 3.01 dB over its samples."""
    time = np.arange(RATE)
    sound = (0.5 * np.sin(np.pi / 2 * time + np.pi / 4)).astype(np.float32)[None]
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-9.03, abs=0.01)
    assert loudness.true_peak_dbtp(sound) == pytest.approx(-6.02, abs=0.15)


def test_clipping_is_the_share_at_the_flat_top() -> None:
    clean = tone(440, 2, -1)
    assert loudness.clipped_fraction(clean) < 1e-3
    driven = np.clip(clean * 4, -1, 1)
    known = 1 - 2 / np.pi * np.arcsin(1 / (4 * 10 ** (-1 / 20)))
    assert loudness.clipped_fraction(driven) == pytest.approx(known, rel=0.05)


@given(floor=st.floats(-70, -35), level=st.floats(-20, -6))
@settings(max_examples=15, deadline=None)
def test_snr_of_bursts_over_noise(floor: float, level: float) -> None:
    """Bursts of known power over white noise of known power: within the stated +0 to +6 dB, and 1 dB of rounding."""
    rng = np.random.default_rng(0)
    sound = rng.normal(size=(1, 4 * RATE)) * 10 ** (floor / 20)
    burst = tone(700, 0.4, level)[:1]
    for start in (0.5, 1.7, 2.9):
        sound[:, round(start * RATE) : round(start * RATE) + burst.shape[1]] += burst
    found = snr.measure(sound.astype(np.float32), RATE)
    known = level - 3.01 - floor
    if found["status"] == "ok":
        assert -1.5 <= found["snr_db"] - known <= 6.0
    else:
        assert known < 12


def test_sustained_sound_has_no_noise_floor_to_measure() -> None:
    assert snr.measure(tone(500, 3, -12), RATE)["status"] == "unmeasurable"
    assert snr.measure(np.zeros((2, 3 * RATE), np.float32), RATE)["status"] == "unmeasurable"


def test_dropouts_are_counted_and_fades_are_not() -> None:
    sound = tone(500, 3, -10)
    sound[:, RATE : RATE + 2400] = 0
    sound[:, 2 * RATE : 2 * RATE + 1200] = 0
    found = audio_defects.measure(sound, RATE, 2)
    assert found["dropouts"] == 2
    assert found["dropout_s"] == pytest.approx(0.075, abs=0.003)
    fading = tone(500, 3, -10) * np.interp(np.arange(3 * RATE) / RATE, [0, 1, 1.2, 1.8, 2, 3], [1, 1, 0, 0, 1, 1])
    assert audio_defects.measure(fading.astype(np.float32), RATE, 2)["dropouts"] == 0


@pytest.mark.parametrize("cutoff", [4_000, 8_000, 12_000])
def test_bandwidth_of_upsampled_sound(cutoff: int) -> None:
    rng = np.random.default_rng(2)
    spectrum = np.fft.rfft(rng.normal(size=(1, 2 * RATE)) * 0.1)
    spectrum[:, np.fft.rfftfreq(2 * RATE, 1 / RATE) > cutoff] = 0
    sound = np.fft.irfft(spectrum).astype(np.float32)
    assert audio_defects.bandwidth_hz(sound, RATE) == pytest.approx(cutoff, rel=0.05)


def test_dual_mono_is_told_from_stereo() -> None:
    rng = np.random.default_rng(3)
    left = rng.normal(size=RATE).astype(np.float32) * 0.1
    right = rng.normal(size=RATE).astype(np.float32) * 0.1
    assert audio_defects.measure(np.stack((left, left)), RATE, 2)["dual_mono"] is True
    assert audio_defects.measure(np.stack((left, right)), RATE, 2)["dual_mono"] is False


def _strikes(times: list[float], hz: float, seconds: float = 4.0) -> np.ndarray:
    sound = np.zeros((2, round(seconds * RATE)), np.float32)
    decay = np.exp(-np.arange(RATE // 2) / RATE / 0.06)
    strike = (0.5 * np.sin(2 * np.pi * hz * np.arange(RATE // 2) / RATE) * decay).astype(np.float32)
    for at in times:
        start = round(at * RATE)
        sound[:, start : start + strike.size] += strike[: sound.shape[1] - start]
    return sound


def test_onsets_and_pitch_of_strikes() -> None:
    times = [0.3, 1.1, 1.9, 3.2]
    found = audio_events.measure(_strikes(times, 587.33), RATE)
    assert found["kind"] == "tones"
    assert found["onset_times_s"] == pytest.approx(times, abs=0.02)
    assert found["pitches_hz"] == pytest.approx([587.33] * 4, rel=0.02)


@given(offset=st.floats(-0.4, 0.4))
@settings(max_examples=20, deadline=None)
def test_content_offset_is_found_within_a_frame(offset: float) -> None:
    seen = [0.6, 1.05, 1.9, 2.3, 3.1]
    times = np.arange(96) / 24
    energy = np.full(96, 0.01) + np.random.default_rng(0).normal(size=96) * 0.0005
    for at in seen:
        energy[int(np.ceil(at * 24))] += 0.05
    found = sync.content_offset(np.array(seen) + offset, times, [(energy, sync.JUMP_FRAMES)])
    assert found is not None
    assert found[0] == pytest.approx(offset, abs=0.06)


def test_even_rhythm_gives_no_offset() -> None:
    """Events at equal steps fit many offsets equally well: nothing can be said."""
    times = np.arange(120) / 24
    energy = np.full(120, 0.01)
    energy[6::12] += 0.05
    assert sync.content_offset(np.arange(0.25, 4.9, 0.5), times, [(energy, sync.JUMP_FRAMES)]) is None


def test_minutes_of_sound_are_not_held_in_several_copies() -> None:
    """Ten minutes of stereo at 48 kHz are 220 MiB; a worker is to stay under 1 GiB with them."""
    samples = np.random.default_rng(0).standard_normal((2, 48_000 * 40), dtype=np.float32) * np.float32(0.1)
    tracemalloc.start()
    try:
        loudness.measure(samples, 48_000)
        audio_defects.measure(samples, 48_000, 2)
        snr.measure(samples, 48_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * samples.nbytes
