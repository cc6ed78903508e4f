"""Losses, metrics and the optimizer against formulas and independent implementations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aiprod.core.vae.posterior import Posterior
from aiprod.trainer.loop.muon import Muon, muon_groups, orthogonalised
from aiprod.trainer.vae.losses import (
    AudioLossParams,
    AudioVAELoss,
    SpectralLoss,
    VideoLossParams,
    VideoVAELoss,
    kl_per_value,
)
from aiprod.trainer.vae.metrics import is_silent, psnr_db, si_sdr_db, snr_db, ssim
from aiprod.trainer.vae.perceptual import PerceptualLoss


def tone(hz: float, level: float = 0.5, seconds: float = 0.5) -> torch.Tensor:
    time = torch.arange(int(48_000 * seconds)) / 48_000
    return (level * torch.sin(2 * math.pi * hz * time)).expand(1, 2, -1)


def test_spectral_magnitudes_read_full_scale_and_agree_with_scipy() -> None:
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    loss = SpectralLoss((1024,), overlap=4)
    sine = tone(48_000 * 64 / 1024, level=1.0)  # exactly on a bin
    assert float(loss.magnitudes(sine, 1024)[:, :, 20].max()) == pytest.approx(1.0, abs=1e-3)
    noise = torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    window = hann(1024, sym=False)
    theirs = np.abs(ShortTimeFFT(window / window.sum() * 2, hop=256, fs=1).stft(noise[0, 0].double().numpy()))
    ours = loss.magnitudes(noise, 1024)[0].numpy()
    inner = theirs[:, 1:]  # theirs starts one hop earlier; compare where neither pads
    wanted = np.sqrt(inner**2 + (0.01 * loss.floor) ** 2)[:, 4:24]
    assert np.abs(ours[:, 4:24] - wanted).max() <= 1e-5 * wanted.max()
    assert np.median(np.abs(ours[:, 4:24] / wanted - 1)) < 1e-6


def test_spectral_distance_is_zero_for_equal_sound_and_grows_with_the_fault() -> None:
    loss = SpectralLoss((256, 1024))
    x = tone(440)
    assert float(loss(x, x)) == 0.0
    distances = [
        float(loss(x + amount * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), x))
        for amount in (0.001, 0.01, 0.1)
    ]
    assert 0 < distances[0] < distances[1] < distances[2]
    quiet = 1e-6 * torch.randn(1, 2, 4800)
    assert float(loss(torch.zeros(1, 2, 4800), quiet)) < 0.03, "inaudible noise against silence is hardly a distance"
    with pytest.raises(ValueError, match="too few"):
        loss(torch.zeros(1, 2, 512), torch.zeros(1, 2, 512))


def test_gradients_of_the_spectral_loss_are_finite_in_silence() -> None:
    x = torch.zeros(1, 2, 4800, requires_grad=True)
    SpectralLoss((256, 1024))(x, tone(440)[..., :4800]).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_totals_are_the_weighted_sums_that_their_names_say() -> None:
    generator = torch.Generator().manual_seed(0)
    posterior = Posterior(torch.randn(2, 4, 2, 3, 3), torch.randn(2, 4, 2, 3, 3))
    x, y = torch.rand(2, 3, 5, 24, 24), torch.rand(2, 3, 5, 24, 24)
    for kind, wanted in (("mse", (x - y).square().mean()), ("l1", (x - y).abs().mean())):
        params = VideoLossParams(alpha=2, beta=3, gamma=5, reconstruction=kind, perceptual_layers=1)  # type: ignore[arg-type]
        total, parts = VideoVAELoss(params, PerceptualLoss(1))(x, y, posterior, generator)
        assert parts["reconstruction"] == pytest.approx(float(wanted))
        assert parts["kl"] == pytest.approx(float(posterior.kl().sum()) / posterior.mean.numel(), rel=1e-5)
        assert float(total) == pytest.approx(
            2 * float(parts["reconstruction"]) + 3 * float(parts["kl"]) + 5 * float(parts["perceptual"]), rel=1e-5
        )
    without, parts = VideoVAELoss(VideoLossParams(gamma=0), PerceptualLoss(1))(x, y, posterior)
    assert "perceptual" not in parts and torch.isfinite(without)
    a, b = tone(440), tone(440, level=0.4)
    sound = Posterior(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
    total, parts = AudioVAELoss(AudioLossParams(alpha=2, beta=1, gamma=3))(b, a, sound)
    assert float(parts["reconstruction"]) == pytest.approx(0.04, rel=1e-3), "error power over signal power"
    assert float(total) == pytest.approx(2 * 0.04 + 3 * float(parts["stft"]), rel=1e-3)
    _, absolute = AudioVAELoss(AudioLossParams(relative=False, gamma=0))(b, a, sound)
    assert float(absolute["reconstruction"]) == pytest.approx(0.1**2 / 2, rel=1e-3) and "stft" not in absolute
    assert float(kl_per_value(Posterior(sound.mean, commitment=torch.tensor(0.7)))) == pytest.approx(0.7)


def test_perceptual_distance_sees_structure_says_its_weights_and_repeats() -> None:
    loss, again = PerceptualLoss(3), PerceptualLoss(3)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert float(loss(x, x)) == 0.0
    assert "random" in loss.name or "imagenet" in loss.name
    y = x.flip(3)
    assert float(loss(y, x)) == float(again(y, x)) > 0.05
    z = x.clone().requires_grad_()
    loss(z * 0.9, x).backward()
    assert z.grad is not None and z.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.parameters())


def test_perceptual_weights_of_torchvision_load_when_they_are_on_disk(tmp_path: Path) -> None:
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    theirs = make_layers(cfgs["D"]).eval()  # the convolutions of VGG16 without its large classifier
    torch.save({f"features.{k}": v for k, v in theirs.state_dict().items()}, tmp_path / "vgg.pth")
    loss = PerceptualLoss(5, weights=tmp_path / "vgg.pth")
    assert loss.name == "vgg16-imagenet"
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    normal = ((x + 1) / 2 - loss.mean) / loss.std
    with torch.no_grad():
        for ours, end in zip(loss.features(x), (4, 9, 16, 23, 30), strict=True):  # after the last ReLU of each block
            wanted = nn.functional.normalize(theirs[:end](normal), dim=1, eps=1e-6)
            assert torch.allclose(ours, wanted, atol=1e-4)


def test_psnr_and_ssim_agree_with_independent_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 40, 48, generator=generator) * 2 - 1
    y = (x + 0.2 * torch.randn(x.shape, generator=generator)).clamp(-1, 1)
    mean_square = ((x - y).double() / 2).square().flatten(1).mean(1).numpy()
    assert np.allclose(psnr_db(y, x).numpy(), 10 * np.log10(1 / mean_square), atol=1e-3)
    assert float(psnr_db(x, x)[0]) == pytest.approx(100, abs=0.01)
    wanted = [
        np.mean([_ssim_numpy(a, b) for a, b in zip(u, v, strict=True)])
        for u, v in zip(((x + 1) / 2).double().numpy(), ((y + 1) / 2).double().numpy(), strict=True)
    ]
    assert np.allclose(ssim(y, x).numpy(), wanted, atol=1e-4)
    assert float(ssim(x, x).min()) == pytest.approx(1.0, abs=1e-5)


def _ssim_numpy(x: np.ndarray, y: np.ndarray) -> float:
    """Wang's formula with scipy's Gaussian filter, valid pixels only."""
    from scipy.ndimage import gaussian_filter

    def blur(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    value = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return float(value.mean())


@settings(max_examples=25, deadline=None)
@given(level=st.floats(0.05, 20), noise_db=st.floats(-30, 20))
def test_si_sdr_ignores_loudness_and_reads_the_noise(level: float, noise_db: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 20_000, generator=generator)
    noise = torch.randn(1, 2, 20_000, generator=generator)
    flat_x, flat_n = x.flatten() - x.mean(), noise.flatten() - noise.mean()
    flat_n = flat_n - (flat_n @ flat_x) / (flat_x @ flat_x) * flat_x  # orthogonal, so that the ratio is exact
    flat_n = flat_n / flat_n.norm() * flat_x.norm() * 10 ** (noise_db / 20)
    output = (flat_x + flat_n).view(1, 2, -1)
    assert float(si_sdr_db(level * output, x)[0]) == pytest.approx(-noise_db, abs=0.05)
    assert float(snr_db(output, flat_x.view(1, 2, -1))[0]) == pytest.approx(-noise_db, abs=0.05)


def test_silence_is_the_baseline_that_it_should_be() -> None:
    x = tone(440)
    assert float(snr_db(torch.zeros_like(x), x)[0]) == 0.0
    assert float(si_sdr_db(torch.zeros_like(x), x)[0]) <= -99
    assert is_silent(torch.zeros(2, 2, 100)).all() and not is_silent(x).any()


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 24), columns=st.integers(1, 24))
def test_orthogonalised_matrices_keep_their_directions(rows: int, columns: int) -> None:
    """Singular vectors stay, singular values come to about 1; the bounds are the quintic's fixed interval."""
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows * 31 + columns))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = torch.linalg.multi_dot([u.T, orthogonalised(matrix), v.T])
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-3
    big = s > 0.02 * s.sum()
    assert ((inner.diagonal()[big] > 0.5) & (inner.diagonal()[big] < 1.3)).all()


@pytest.mark.parametrize(("size", "smallest"), [(128, 0.01), (129, 0.003), (1025, 0.001)])
def test_singular_values_from_the_stated_smallest_come_to_about_one(size: int, smallest: float) -> None:
    """Values are next to the norm; larger matrices have smaller ones, and are brought further."""
    values = torch.full((size,), smallest)
    values[0] = (1 - smallest**2 * (size - 1)) ** 0.5  # so that the norm is 1
    turn = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(size)))[0]
    found = torch.linalg.svdvals(orthogonalised(turn * values))
    assert found.min() > 0.7 and found.max() < 1.3


def test_muon_learns_and_comes_back_from_its_state() -> None:
    def fresh() -> tuple[nn.Module, Muon]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
        model.add_module("shortcut", nn.Linear(3, 3))
        return model, Muon(muon_groups(model, 0.01, ("shortcut",)), lr=0.02)

    x, y = torch.randn(32, 2, 4, 4), torch.randn(32, 3)

    def step(model: nn.Module, optimizer: Muon) -> float:
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    model, optimizer = fresh()
    losses = [step(model, optimizer) for _ in range(6)]
    assert losses[-1] < losses[0]
    other, resumed = fresh()
    for _ in range(3):
        step(other, resumed)
    third, again = fresh()
    third.load_state_dict(other.state_dict())
    again.load_state_dict(resumed.state_dict())
    assert [step(third, again) for _ in range(3)] == losses[3:]
    assert [len(g["params"]) for g in optimizer.param_groups] == [2, 1, 3]
    with_closure = optimizer.step(lambda: 0.5)
    assert with_closure == 0.5


def test_muons_adam_is_adam() -> None:
    torch.manual_seed(0)
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    b.load_state_dict(a.state_dict())
    own = Muon([{"params": list(a.parameters())}], lr=0.01, weight_decay=0.1)
    theirs = torch.optim.AdamW(b.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(5):
        x = torch.randn(4, 3)
        for model, optimizer in ((a, own), (b, theirs)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    assert torch.allclose(a.weight, b.weight, atol=1e-6) and torch.allclose(a.bias, b.bias, atol=1e-6)
