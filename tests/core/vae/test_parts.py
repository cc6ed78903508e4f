"""Posterior, quantisers and discriminator against independent mathematics."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.bottlenecks import FiniteScalarBottleneck, GaussianBottleneck, VectorBottleneck
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.discriminator import PatchDiscriminator
from aiprod.core.vae.posterior import LOGVAR_RANGE, Posterior
from aiprod.core.vae.tiling import encode_sound
from aiprod.core.vae.video import VideoVAE
from tests.core.vae.tiled import encode_tiled

pytestmark = pytest.mark.bitwise


def test_kl_agrees_with_torch_distributions() -> None:
    mean, logvar = torch.randn(2, 4, 3, 5, 5), torch.randn(2, 4, 3, 5, 5)
    own = Posterior(mean, logvar).kl()
    wanted = kl_divergence(Normal(mean.double(), (0.5 * logvar.double()).exp()), Normal(0.0, 1.0)).flatten(1).sum(1)
    assert torch.allclose(own.double(), wanted, rtol=1e-5)


def test_samples_have_the_mean_and_deviation_they_claim() -> None:
    mean, logvar = torch.full((1, 1, 200_000), 2.0), torch.full((1, 1, 200_000), -2.0)
    sample = Posterior(mean, logvar).sample(torch.Generator().manual_seed(0))
    deviation = float(torch.exp(torch.tensor(-1.0)))
    assert abs(float(sample.mean()) - 2.0) < 5 * deviation / 200_000**0.5
    assert abs(float(sample.std()) / deviation - 1) < 5 / (2 * 200_000) ** 0.5
    again = Posterior(mean, logvar).sample(torch.Generator().manual_seed(0))
    assert torch.equal(sample, again)


def test_log_variance_stays_in_its_range() -> None:
    posterior = GaussianBottleneck()(torch.full((1, 2, 4), 1e4))
    assert posterior.mean.shape == (1, 2, 2)
    assert posterior.logvar is not None and float(posterior.logvar.max()) == LOGVAR_RANGE[1]


def test_finite_scalars_take_the_levels_they_have() -> None:
    levels = (5, 3)
    bottleneck = FiniteScalarBottleneck(levels)
    hidden = torch.randn(4, 6, 7, 2, requires_grad=True)
    posterior = bottleneck(hidden * 3)
    assert posterior.mean.shape == (4, 2, 6, 7) and posterior.codes is not None and posterior.logvar is None
    for channel, count in enumerate(levels):
        assert len(posterior.mean[:, channel].unique()) <= count
    assert int(posterior.codes.max()) < 15 and posterior.codes.shape == (4, 6, 7)
    by_code: dict[int, torch.Tensor] = {}
    values = posterior.mean.movedim(1, -1).flatten(0, 2)
    for code, value in zip(posterior.codes.flatten().tolist(), values, strict=True):
        assert torch.allclose(by_code.setdefault(code, value), value), "a code is one value"
    posterior.mean.sum().backward()
    assert hidden.grad is not None and hidden.grad.abs().sum() > 0, "gradients pass straight through"
    assert torch.equal(posterior.sample(), posterior.mode()) and torch.equal(posterior.kl(), torch.zeros(4))


def test_vectors_come_from_the_codebook() -> None:
    torch.manual_seed(0)
    bottleneck = VectorBottleneck(3, 8).eval()
    posterior = bottleneck(torch.randn(2, 5, 5, 3))
    codebook = bottleneck.quantiser.codebook
    assert posterior.codes is not None and posterior.commitment is not None
    assert torch.allclose(posterior.mean.movedim(1, -1), codebook[posterior.codes], atol=1e-6)
    hidden = torch.randn(6, 1, 1, 3)
    nearest = torch.cdist(hidden.flatten(1), codebook).argmin(1)
    assert torch.equal(bottleneck(hidden).codes.flatten(), nearest)


@pytest.mark.parametrize("bottleneck", ["fsq", "vq"])
@torch.no_grad()
def test_quantised_autoencoders_join_from_pieces_too(bottleneck: str) -> None:
    more = {"bottleneck": bottleneck, "fsq_levels": (5, 5, 3) if bottleneck == "fsq" else (), "codebook_size": 16}
    torch.manual_seed(0)
    vae = VideoVAE(
        VideoVAEConfig(
            patch=(2, 4, 4), widths=(8,), encoder_depths=(1,), decoder_depths=(1,), latent_channels=3, **more
        )
    ).eval()
    x = torch.rand(1, 3, 5, 16, 24)
    whole, pieces = vae.encode(x), encode_tiled(vae, x, (2, 3), 2)
    assert torch.equal(whole.codes, pieces.codes) and torch.allclose(whole.mean, pieces.mean, atol=1e-6)
    sound = AudioVAE(
        AudioVAEConfig(block=4, strides=(5,), widths=(4, 6), depths=(1, 0), latent_channels=3, **more)
    ).eval()
    wave = torch.rand(1, 2, 20 * 30)
    assert torch.equal(sound.encode(wave).codes, encode_sound(sound, wave, 7).codes)


@pytest.mark.parametrize("frames", [1, 5])
def test_the_discriminator_judges_patches_of_any_length(frames: int) -> None:
    verdicts = PatchDiscriminator(width=4)(torch.rand(2, 3, frames, 32, 48))
    assert verdicts.shape[:3] == (2, 1, frames)
    assert verdicts.shape[3] > 1 and verdicts.shape[4] > 1, "more than one verdict a frame"


def test_the_discriminator_learns_to_tell_noise_from_smoothness() -> None:
    torch.manual_seed(0)
    critic = PatchDiscriminator(width=8, layers=2)
    optimizer = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for _ in range(30):
        real = torch.rand(4, 3, 1, 1, 1).expand(-1, -1, 2, 16, 16) * 2 - 1
        made = (real + 0.3 * torch.randn_like(real)).clamp(-1, 1)
        loss = (1 - critic(real)).relu().mean() + (1 + critic(made)).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert float(critic(real).mean()) > float(critic(made).mean()) + 0.5
