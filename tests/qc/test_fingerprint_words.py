"""The words of fingerprints: what is computed quickly is what the slow definition gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.qc.checks.fingerprint import _COLUMNS, _ROWS, _coefficients_of, halved, sound_words


@given(st.integers(10, 180), st.integers(10, 320), st.integers(0, 99))
def test_coefficients_are_those_of_the_picture_averaged_to_32_by_32(height: int, width: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    small = cv2.resize(noise.astype(np.float64), (32, 32), interpolation=cv2.INTER_AREA)
    n = np.arange(32)
    waves = np.cos(np.pi * (n + 0.5) * n[:, None] / 32) * np.where(n == 0, np.sqrt(1 / 32), np.sqrt(2 / 32))[:, None]
    assert _coefficients_of(noise) == pytest.approx((waves @ small @ waves.T)[_ROWS, _COLUMNS], abs=0.01)


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("length", [50_000, 50_001])
def test_halved_sound_keeps_what_bands_are_of_and_nothing_folds_into_them(rate: int, length: int) -> None:
    time_s = np.arange(length) / rate
    for hz in (150.0, 1_000.0, 6_000.0):
        tone = np.sin(2 * np.pi * hz * time_s).astype(np.float32)
        made = halved(tone)
        assert made.size == -(-length // 2)
        assert made[8:-8] == pytest.approx(tone[::2][8:-8], abs=1e-3)
    folding = np.sin(2 * np.pi * (rate / 2 - 5_900.0) * time_s).astype(np.float32)
    assert np.abs(halved(folding)[8:-8]).max() < 1e-3


def test_words_of_sound_are_those_of_the_same_sound_at_half_of_its_rate() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(96_000 * 8))
    spectrum *= np.exp(-np.arange(spectrum.size) / 30_000) * (np.arange(spectrum.size) < 15_000 * 8)
    sound = np.fft.irfft(spectrum)
    sound *= 0.05 * np.repeat(rng.uniform(0.2, 1.0, 64), sound.size // 64) / sound.std()
    high, low = (sound_words(np.ascontiguousarray(sound[None, ::step], np.float32), 96_000 // step) for step in (1, 2))
    n = min(len(high), len(low))
    known = (high[:n] != 0) & (low[:n] != 0)
    assert known.sum() > 40
    assert np.bitwise_count(high[:n] ^ low[:n])[known].mean() < 0.5


def test_what_is_silent_has_no_words() -> None:
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.standard_normal((1, 48_000 * 6))).astype(np.float32)
    assert not sound_words(np.zeros_like(sound), 48_000).any()
    sound[:, 48_000 * 3 :] = 0
    words = sound_words(sound, 48_000)
    assert words[4:18].all() and not words[28:].any()
