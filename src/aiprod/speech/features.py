"""What the acoustic model predicts at 80 Hz: the envelope in 80 mel bands, log F0, voicing and energy."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiprod.speech.voice import RATE

HOP, WINDOW, FFT, BANDS = 200, 800, 1024, 80
SHORT = 400  # window of the envelope: 25 ms
_UNVOICED_HZ = 200.0  # width of the average where there is no fundamental
FRAME_HZ = RATE / HOP
CHANNELS = BANDS + 3  # mel, log F0, voicing, energy
F0, VOICING, ENERGY = BANDS, BANDS + 1, BANDS + 2
FLOOR = 1e-2
"""Of the magnitudes before the logarithm: about the room noise, below which nothing is to be learnt."""


@functools.lru_cache(maxsize=1)
def mel_matrix() -> Tensor:
    """``[BANDS, FFT/2 + 1]``: triangles, whose rows sum to 1, so that white noise is level."""
    hz = np.linspace(0, RATE / 2, FFT // 2 + 1)
    points = _hertz(np.linspace(_mel(np.array(0.0)), _mel(np.array(RATE / 2)), BANDS + 2))
    left, centre, right = points[:-2, None], points[1:-1, None], points[2:, None]
    rows = np.maximum(0, np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre)))
    empty = rows.sum(1) == 0
    rows[empty, np.abs(hz[None] - centre[empty]).argmin(1)] = 1.0  # bands narrower than a bin take the nearest
    return torch.tensor(rows / rows.sum(1, keepdims=True), dtype=torch.float32)


def band_centres() -> NDArray[np.float64]:
    """Hz of the middle of each band."""
    return _hertz(np.linspace(_mel(np.array(0.0)), _mel(np.array(RATE / 2)), BANDS + 2))[1:-1]


def _mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2595.0 * np.log10(1 + hz / 700.0)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700.0 * (10 ** (mel / 2595.0) - 1)


def frames_of(samples: int) -> int:
    """Frames of so many samples; frame n is centred in its hop."""
    return max(1, samples // HOP)


def spectra(sound: Tensor) -> Tensor:
    """Magnitudes ``[..., FFT/2 + 1, frames]`` of sound ``[..., samples]``."""
    window = torch.hann_window(WINDOW)
    pad = (WINDOW - HOP) // 2
    padded = torch.nn.functional.pad(sound, (pad, pad + FFT - WINDOW))
    frames = padded.unfold(-1, WINDOW, HOP)[..., : frames_of(sound.shape[-1]), :]
    return torch.fft.rfft(frames * window, FFT).abs().transpose(-1, -2)


def log_mel(sound: Tensor) -> Tensor:
    """``[..., BANDS, frames]``, natural logarithm of magnitudes."""
    return (mel_matrix() @ spectra(sound)).clamp_min(FLOOR).log()


def envelope(sound: Tensor, f0_hz: Tensor) -> Tensor:
    """``[BANDS, frames]``: log mel bands of the spectrum without its harmonics, which F0 says apart.

    Power is averaged over one fundamental, twice, so that lines of the voice merge into the envelope of the formants.
    """
    pad = (SHORT - HOP) // 2
    frames = frames_of(sound.shape[-1])
    padded = torch.nn.functional.pad(sound, (pad, pad + FFT - SHORT))
    cut = padded.unfold(-1, SHORT, HOP)[:frames] * torch.hann_window(SHORT)
    power = torch.fft.rfft(cut, FFT).abs().square()
    half = torch.where(f0_hz > 0, f0_hz, f0_hz.new_tensor(_UNVOICED_HZ))[:, None] * (FFT / RATE / 2)
    for _ in range(2):
        power = _boxed(power, half)
    return (mel_matrix() @ power.sqrt().T).clamp_min(FLOOR).log()


def _boxed(power: Tensor, half: Tensor) -> Tensor:
    """Mean over ``half`` bins to either side, with fractions of bins."""
    bins = power.shape[1]
    summed = torch.nn.functional.pad(power.double().cumsum(1), (1, 0))
    at = torch.arange(bins, dtype=torch.float64) + 0.5
    low, high = (at - half).clamp_min(0), (at + half).clamp_max(bins)

    def integral(where: Tensor) -> Tensor:
        floor = where.long().clamp_max(bins - 1)
        rest = where - floor
        before = summed.gather(1, floor)
        return before + rest * (summed.gather(1, floor + 1) - before)

    return ((integral(high) - integral(low)) / (high - low)).float().clamp_min(0)


def features_of(sound: NDArray[np.float32], f0_hz: NDArray[np.float32]) -> Tensor:
    """``[CHANNELS, frames]`` of a sound and its F0 (0: unvoiced) at any even rate."""
    frames = frames_of(len(sound))
    at = (np.arange(frames) + 0.5) / frames * len(f0_hz) - 0.5
    pitch = f0_hz[np.clip(np.round(at), 0, len(f0_hz) - 1).astype(int)].astype(np.float64)
    mel = envelope(torch.from_numpy(sound), torch.from_numpy(pitch))
    voiced = pitch > 0
    known = np.flatnonzero(voiced)
    log_f0 = np.interp(np.arange(frames), known, np.log(pitch[known])) if len(known) else np.full(frames, np.log(120.0))
    padded = np.pad(sound.astype(np.float64), (0, max(0, frames * HOP - len(sound))))
    energy = torch.from_numpy(padded[: frames * HOP].reshape(frames, -1)).square().mean(1)
    rows = [torch.from_numpy(log_f0), torch.from_numpy(np.where(voiced, 1.0, -1.0)), 0.5 * (energy + 1e-6).log()]
    return torch.cat([mel, torch.stack(rows).float()])


def griffin_lim(mel: Tensor, *, rounds: int = 32, seed: int = 0) -> Tensor:
    """Sound of log mel bands ``[BANDS, frames]`` by Griffin and Lim's iteration (1984): what a vocoder has to beat."""
    matrix = mel_matrix()
    magnitudes = (torch.linalg.pinv(matrix) @ mel.exp()).clamp_min(1e-4)
    generator = torch.Generator().manual_seed(seed)
    phases = torch.polar(torch.ones_like(magnitudes), 6.2832 * torch.rand(magnitudes.shape, generator=generator))
    window = torch.hann_window(WINDOW)
    options: dict[str, Any] = {"n_fft": FFT, "hop_length": HOP, "win_length": WINDOW, "window": window}
    samples = mel.shape[1] * HOP
    sound = torch.zeros(samples)
    for _ in range(rounds):
        sound = torch.istft(magnitudes * phases, **options, length=samples)
        again = torch.stft(sound, **options, return_complex=True, pad_mode="constant")
        phases = again[:, : mel.shape[1]] / again[:, : mel.shape[1]].abs().clamp_min(1e-8)
    return sound
