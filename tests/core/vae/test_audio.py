"""The waveform autoencoder: sizes, reach, pieces that join, and its lapped transform."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from aiprod.core.vae.audio import AudioVAE, Down, LappedTransform, ResidualUnit, Snake, Up
from aiprod.core.vae.config import AudioVAEConfig
from aiprod.core.vae.tiling import decode_sound, encode_sound
from aiprod.errors import CoreError

SMALL = AudioVAEConfig(block=8, strides=(3, 5), widths=(6, 8, 10), depths=(2, 1, 1), latent_channels=4)  # hop 120
PLAIN = AudioVAEConfig(
    block=4, strides=(2,), widths=(6, 8), depths=(1, 1), kernel=3, latent_channels=3, channels=1, shortcut=False
)


def stirred(config: AudioVAEConfig) -> AudioVAE:
    torch.manual_seed(0)
    vae = AudioVAE(config).eval()
    for module in vae.modules():
        if isinstance(module, ResidualUnit):
            nn.init.normal_(module.point.weight, std=0.3)
    return vae


@pytest.mark.parametrize("config", [SMALL, PLAIN])
@torch.no_grad()
def test_sizes_and_pieces(config: AudioVAEConfig) -> None:
    vae = stirred(config)
    x = torch.rand(2, config.channels, config.hop * 50) * 2 - 1
    whole = vae.encode(x)
    assert whole.mean.shape == (2, config.latent_channels, 50)
    y = vae.decode(whole.mode())
    assert y.shape == x.shape == vae(x).shape
    for chunk in (7, 50, 64):
        pieces = encode_sound(vae, x, chunk)
        assert torch.allclose(pieces.mean, whole.mean, atol=1e-5)
        assert pieces.logvar is not None and whole.logvar is not None
        assert torch.allclose(pieces.logvar, whole.logvar, atol=1e-5)
        parts = list(decode_sound(vae, whole.mode(), chunk))
        assert max(p.shape[-1] for p in parts) <= chunk * config.hop
        assert torch.allclose(torch.cat(parts, dim=-1), y, atol=1e-5)


@torch.no_grad()
def test_nothing_beyond_the_reach_matters() -> None:
    vae = stirred(SMALL)
    hop, far = SMALL.hop, 2 * vae.reach + 6
    x = torch.rand(1, 2, hop * far)
    z = vae.encode(x).mode()
    changed = x.clone()
    changed[..., : 3 * hop] = 0
    moved = (vae.encode(changed).mode() - z).abs().amax(dim=(0, 1)) > 0
    assert not moved[3 + vae.reach :].any() and moved[:3].all()
    late = z.clone()
    late[..., :3] = 0
    sound = (vae.decode(late) - vae.decode(z)).abs().amax(dim=(0, 1)) > 0
    assert not sound[(3 + vae.reach) * hop :].any() and sound[: 3 * hop].any()


def test_the_default_is_25_latents_a_second_of_48_khz_stereo() -> None:
    for config in (AudioVAEConfig.demo(), AudioVAEConfig.large()):
        assert config.compression.latents_per_s == 25.0 and config.compression.hop == 1920
        assert config.compression.sample_rate == 48_000 and config.channels == 2


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 400))
def test_only_whole_hops_pass(samples: int) -> None:
    vae = AudioVAE(AudioVAEConfig(block=4, strides=(5,), widths=(3, 4), depths=(0, 0), latent_channels=2))
    x = torch.zeros(1, 2, samples)
    if samples % 20:
        with pytest.raises(CoreError, match="→"):
            vae.encode(x)
    else:
        with torch.no_grad():
            assert vae.decode(vae.encode(x).mode()).shape == x.shape


def test_wrong_shapes_are_named() -> None:
    vae = stirred(SMALL)
    with pytest.raises(CoreError, match="sound has the shape"):
        vae.encode(torch.zeros(1, 1, 240))
    with pytest.raises(CoreError, match="latent has the shape"):
        vae.decode(torch.zeros(1, 5, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernel": 4},
        {"widths": (8, 8)},
        {"bottleneck": "fsq"},
        {"block": 1, "strides": (5,), "widths": (4, 4), "depths": (1, 1)},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AudioVAEConfig.model_validate(wrong)


def test_a_complete_lapped_transform_reconstructs_perfectly() -> None:
    """With as many coefficients as samples, windowing twice and overlapping gives the signal back (Princen–Bradley)."""
    hop, channels = 6, 2
    transform = LappedTransform(channels, hop, 2 * hop * channels)
    with torch.no_grad():
        for layer in (transform.analyse, transform.synthesise):
            layer.weight.copy_(torch.eye(2 * hop * channels))
            layer.bias.zero_()
        x = torch.randn(3, channels, 9 * hop)
        back = transform.decode(transform.encode(x))
    inner = slice(hop // 2, -(hop // 2))  # at the ends one of the two windows lies outside
    assert torch.allclose(back[..., inner], x[..., inner], atol=1e-5)


def test_snake_is_its_formula() -> None:
    snake = Snake(3)
    with torch.no_grad():
        snake.alpha.copy_(torch.tensor([[0.5], [1.0], [2.0]]))
    x = torch.randn(2, 3, 7, dtype=torch.float64)
    alpha = snake.alpha.detach().double()
    assert torch.allclose(snake.double()(x), x + (1 - torch.cos(2 * alpha * x)) / (2 * alpha), atol=1e-6)


def test_down_is_a_strided_convolution_over_three_strides() -> None:
    layer, x = Down(2, 5, 4), torch.randn(1, 2, 20)
    kernel = layer.conv.weight.unflatten(1, (2, 4)).transpose(2, 3).flatten(2)  # [out, in, 3·stride]
    wanted = nn.functional.conv1d(nn.functional.pad(x, (4, 4)), kernel, layer.conv.bias, stride=4)
    assert torch.allclose(layer(x), wanted, atol=1e-5)
    assert Up(5, 2, 4)(layer(x)).shape == x.shape


def test_gradients_reach_every_weight() -> None:
    vae = stirred(SMALL).train()
    x = torch.rand(1, 2, SMALL.hop * 12)
    posterior = vae.encode(x)
    ((vae.decode(posterior.sample()) - x).square().mean() + posterior.kl().mean()).backward()
    assert [n for n, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert vae.normalize(posterior.mean).equal(posterior.mean) and vae.denormalize(posterior.mean).equal(posterior.mean)
