"""Source-filter vocoder: harmonics of F0 and noise, each with an envelope that a small network gives, back to sound.

The filters work on short-time spectra, so that sound is an inverse transform away: no network runs at the rate of
samples, and none has to learn what a fundamental is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aiprod.speech.features import BANDS, CHANNELS, F0, FFT, HOP, SHORT, VOICING, band_centres
from aiprod.speech.voice import RATE

_TOP_HZ = 7_600.0
_WHITE = math.log(math.sqrt(float(np.sum(np.hanning(SHORT + 1)[:-1] ** 2))))  # log magnitude of noise with an RMS of 1
_APART = 3.0  # how far below the harmonics the noise of a voiced frame begins


class Vocoder(nn.Module):
    """Features to sound.

    Args:
        width: channels of the network that gives the envelopes.
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.enter = nn.Conv1d(CHANNELS, width, 5, padding=2)
        self.middle = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.leave = nn.Conv1d(width, 2 * BANDS, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]
        self.register_buffer("to_bins", _interpolation(), persistent=False)

    def gains(self, features: Tensor, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Log gains ``[B, FFT/2 + 1, T]`` of harmonics and of noise."""
        x = nn.functional.silu(self.enter(normalised))
        for layer in self.middle:
            x = x + nn.functional.silu(layer(x))
        harmonic, noise = self.leave(x).chunk(2, 1)
        envelope, voicing = features[:, :BANDS], features[:, VOICING : VOICING + 1].clamp(-1, 1) * 0.5 + 0.5
        base = envelope - _WHITE
        to_bins: Tensor = self.to_bins  # type: ignore[assignment]
        return (
            torch.einsum("kb,nbt->nkt", to_bins, base + harmonic),
            torch.einsum("kb,nbt->nkt", to_bins, base - _APART * voicing + noise),
        )

    def forward(self, features: Tensor, normalised: Tensor, *, seed: int) -> Tensor:
        """Sound ``[B, T · HOP]``.

        Args:
            features: ``[B, CHANNELS, T]`` in their own units.
            normalised: the same with a mean of 0 and a deviation of 1, as the network sees them.
            seed: of the noise.
        """
        harmonic, noise = self.gains(features, normalised)
        count, frames = features.shape[0], features.shape[2]
        source = excitation(features[:, F0], features[:, VOICING])
        white = torch.randn(count, frames * HOP, generator=torch.Generator().manual_seed(seed)).to(source.device)
        spectrum = _analysed(source, frames) * harmonic.exp() + _analysed(white, frames) * noise.exp()
        return _overlapped(spectrum, frames)


def excitation(log_f0: Tensor, voicing: Tensor) -> Tensor:
    """Harmonics ``[B, T · HOP]`` with an RMS of 1 where the frames ``[B, T]`` are voiced, 0 elsewhere."""
    f0 = _to_samples(log_f0.clamp(math.log(50.0), math.log(600.0)).exp().double())
    phase = torch.cumsum(2 * math.pi * f0 / RATE, 1)
    count = torch.floor(_TOP_HZ / f0.amax(1, keepdim=True))
    half = torch.sin(phase / 2)
    near = half.abs() < 1e-4
    pulses = torch.where(near, count, torch.sin((count + 0.5) * phase) / torch.where(near, 1.0, 2 * half) - 0.5)
    voiced = _to_samples((voicing > 0).double())
    return (pulses / torch.sqrt(count / 2) * voiced).float()


def _to_samples(track: Tensor) -> Tensor:
    """Linear between the middles of frames."""
    samples: Tensor = nn.functional.interpolate(track[:, None], scale_factor=HOP, mode="linear", align_corners=False)
    return samples[:, 0]


def _analysed(sound: Tensor, frames: int) -> Tensor:
    """Complex spectra ``[B, FFT/2 + 1, T]`` of windows that are centred in their hops and sum to 1."""
    pad = (SHORT - HOP) // 2
    padded = nn.functional.pad(sound, (pad, pad))
    cut = padded.unfold(-1, SHORT, HOP)[:, :frames] * torch.hann_window(SHORT, device=sound.device)
    # the window in the middle of the transform leaves room on both sides for what a filter without phase spreads
    return torch.fft.rfft(nn.functional.pad(cut, (_ROOM, _ROOM)), FFT).transpose(1, 2)


def _overlapped(spectrum: Tensor, frames: int) -> Tensor:
    pieces = torch.fft.irfft(spectrum.transpose(1, 2), FFT).transpose(1, 2)
    total = (frames - 1) * HOP + FFT
    summed = nn.functional.fold(pieces, (1, total), (1, FFT), stride=(1, HOP))[:, 0, 0]
    first = _ROOM + (SHORT - HOP) // 2
    return summed[:, first : first + frames * HOP]


_ROOM = (FFT - SHORT) // 2


def _interpolation() -> Tensor:
    """``[FFT/2 + 1, BANDS]``: each bin from the two bands round it."""
    hz, centres = np.linspace(0, RATE / 2, FFT // 2 + 1), band_centres()
    columns = [np.interp(hz, centres, np.eye(BANDS)[band]) for band in range(BANDS)]
    return torch.tensor(np.stack(columns, 1), dtype=torch.float32)


def spectral_distance(generated: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of log magnitudes over three resolutions, in nepers, above a floor in the room noise."""
    total = generated.new_zeros(())
    for size in (256, 512, 1024):
        window = torch.hann_window(size, device=generated.device)
        options: dict[str, Any] = {"n_fft": size, "hop_length": size // 4, "window": window, "return_complex": True}
        scale = math.sqrt(size / 400)
        a, b = (torch.stft(x, **options, pad_mode="constant").abs() / scale for x in (generated, wanted))
        total = total + ((a + 5e-3).log() - (b + 5e-3).log()).abs().mean()
    return total / 3
