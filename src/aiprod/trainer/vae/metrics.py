"""How good a reconstruction is: PSNR and SSIM for pictures, SI-SDR, SNR and STFT distance for sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SILENT_RMS = 1e-4


def psnr_db(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each video ``[B, …]`` with values in [−1, 1], in dB, at most 100: ``[B]``."""
    error = ((output - target) / 2).square().flatten(1).mean(1)
    return -10 * torch.log10(error.clamp_min(1e-10))


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of pictures ``[N, 3, H, W]`` in [−1, 1], mean over pixels: ``[N]``.

    Gaussian window 11×11, σ 1.5, K1 0.01, K2 0.03, windows inside the picture only, on each colour channel.
    """
    x, y = (output + 1) / 2, (target + 1) / 2
    offsets = torch.arange(11, dtype=x.dtype, device=x.device) - 5
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    line = line / line.sum()
    channels = x.shape[1]
    down, along = (line.view(shape).expand(channels, 1, *shape[2:]) for shape in ((1, 1, 11, 1), (1, 1, 1, 11)))

    def blur(image: Tensor) -> Tensor:
        return functional.conv2d(functional.conv2d(image, down, groups=channels), along, groups=channels)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return value.flatten(1).mean(1)


def si_sdr_db(output: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019) of waveforms ``[B, …]``, in dB: ``[B]``.

    Channels are taken as one signal, means are removed. Minus infinity in theory for a silent output; floored at
    −100 dB.
    """
    x, y = output.flatten(1).double(), target.flatten(1).double()
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    scaled = (x * y).sum(1, keepdim=True) / y.square().sum(1, keepdim=True).clamp_min(1e-20) * y
    ratio = scaled.square().sum(1) / (x - scaled).square().sum(1).clamp_min(1e-20)
    return (10 * torch.log10(ratio.clamp_min(1e-10))).clamp_max(100).float()


def snr_db(output: Tensor, target: Tensor) -> Tensor:
    """Signal-to-noise ratio of waveforms ``[B, …]`` in dB: ``[B]``. An output of silence has exactly 0."""
    x, y = output.flatten(1).double(), target.flatten(1).double()
    ratio = y.square().sum(1).clamp_min(1e-20) / (y - x).square().sum(1).clamp_min(1e-20)
    return (10 * torch.log10(ratio)).float()


def is_silent(sound: Tensor) -> Tensor:
    """Whether each waveform ``[B, …]`` has an RMS below −80 dB of full scale: no ratio means anything there."""
    return sound.flatten(1).square().mean(1).sqrt() < _SILENT_RMS
