"""The video autoencoder: sizes, causality, pieces that join, and what the demo can rely on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from aiprod.core.types import VideoPixelShape
from aiprod.core.vae.causal import CausalTimeConv, Stream, fold, unfold
from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.tiling import (
    VideoStreamDecoder,
    VideoStreamEncoder,
    decode_stream,
    encode_stream,
)
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import CoreError
from tests.core.vae.tiled import decode_tiled, encode_tiled

pytestmark = pytest.mark.bitwise

FLAT = VideoVAEConfig(patch=(4, 4, 4), widths=(12,), encoder_depths=(2,), decoder_depths=(3,), latent_channels=4)
DEEP = VideoVAEConfig(
    patch=(1, 2, 2),
    strides=((2, 2, 2), (2, 1, 2)),
    widths=(6, 8, 12),
    encoder_depths=(1, 2, 1),
    decoder_depths=(2, 1, 1),
    latent_channels=4,
)
PLAIN = VideoVAEConfig(
    patch=(2, 4, 4),
    widths=(8,),
    encoder_depths=(1,),
    decoder_depths=(1,),
    latent_channels=3,
    shortcut=False,
    time_kernel=1,
)


def stirred(config: VideoVAEConfig, seed: int = 0) -> VideoVAE:
    """A model whose every layer does something (blocks start as the identity)."""
    torch.manual_seed(seed)
    vae = VideoVAE(config).eval()
    for module in vae.modules():
        if isinstance(module, CausalTimeConv):
            nn.init.normal_(module.mix.weight, std=0.2)
    return vae


def video(vae: VideoVAE, frames: int = 3, height: int = 5, width: int = 6, batch: int = 1) -> Tensor:
    c = vae.compression
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 3, 1 + frames * c.time, height * c.height, width * c.width, generator=generator) * 2 - 1


@pytest.mark.parametrize("config", [FLAT, DEEP, PLAIN])
@torch.no_grad()
def test_sizes_are_those_that_the_compression_promises(config: VideoVAEConfig) -> None:
    vae = stirred(config)
    x = video(vae, batch=2)
    shape = VideoPixelShape(2, x.shape[2], x.shape[3], x.shape[4], fps=24.0).to_latent(vae.compression)
    posterior = vae.encode(x)
    assert tuple(posterior.mean.shape) == shape.shape == tuple(posterior.sample().shape)
    assert vae.decode(posterior.mode()).shape == x.shape == vae(x).shape


@pytest.mark.parametrize("config", [FLAT, DEEP])
@torch.no_grad()
def test_no_latent_and_no_frame_depends_on_a_later_input(config: VideoVAEConfig) -> None:
    vae = stirred(config)
    x, t = video(vae, frames=4), vae.compression.time
    z = vae.encode(x).mode()
    y = vae.decode(z)
    for cut in range(1, 5):  # everything after latent frame `cut - 1` is other
        changed = x.clone()
        changed[:, :, 1 + (cut - 1) * t :] = torch.rand_like(changed[:, :, 1 + (cut - 1) * t :])
        other = vae.encode(changed).mode()
        assert torch.equal(other[:, :, :cut], z[:, :, :cut])
        assert not torch.allclose(other[:, :, cut], z[:, :, cut]), "what does change is seen"
        late = z.clone()
        late[:, :, cut:] = torch.randn_like(late[:, :, cut:])
        assert torch.equal(vae.decode(late)[:, :, : 1 + (cut - 1) * t], y[:, :, : 1 + (cut - 1) * t])


@pytest.mark.parametrize("config", [FLAT, DEEP, PLAIN])
@pytest.mark.parametrize(("tile", "frames"), [((2, 3), None), ((5, 6), 3), ((3, 2), 4), ((1, 9), 1)])
@torch.no_grad()
def test_pieces_join_to_the_whole(config: VideoVAEConfig, tile: tuple[int, int], frames: int | None) -> None:
    vae = stirred(config)
    x = video(vae)
    whole = vae.encode(x)
    pieces = encode_tiled(vae, x, tile, frames)
    assert torch.allclose(pieces.mean, whole.mean, atol=1e-5)
    assert pieces.logvar is not None and whole.logvar is not None
    assert torch.allclose(pieces.logvar, whole.logvar, atol=1e-5)
    y = vae.decode(whole.mode())
    assert torch.allclose(decode_tiled(vae, whole.mode(), tile, frames), y, atol=1e-5)


@torch.no_grad()
def test_a_stream_of_any_chunks_equals_one_shot() -> None:
    vae = stirred(DEEP)
    x = video(vae, frames=4)
    whole = vae.encode(x).mode()
    for lengths in ([1] * 17, [17], [3, 1, 7, 6], [16, 1], [2, 15]):
        parts = [p.mode() for p in encode_stream(vae, x.split(lengths, dim=2))]
        assert torch.allclose(torch.cat(parts, dim=2), whole, atol=1e-5)
    extra = torch.cat([x, x[:, :, :2]], dim=2)  # two frames that fill no latent
    assert torch.allclose(torch.cat([p.mode() for p in encode_stream(vae, [extra])], dim=2), whole, atol=1e-5)
    parts = list(decode_stream(vae, whole.split([1, 3, 1], dim=2)))
    assert [p.shape[2] for p in parts] == [1, 12, 4], "frames come out as soon as their latents are there"
    assert torch.allclose(torch.cat(parts, dim=2), vae.decode(whole), atol=1e-5)


@torch.no_grad()
def test_memory_of_a_stream_does_not_grow_with_its_length() -> None:
    vae = stirred(FLAT)
    encoder, decoder = VideoStreamEncoder(vae), VideoStreamDecoder(vae)

    def held() -> int:
        streams = [s for coder in (encoder, decoder) for columns in coder._streams.values() for s in columns.values()]
        return sum(past.untyped_storage().nbytes() for s in streams for past in s.past.values())

    chunk = torch.rand(1, 3, 8, 8, 8)
    sizes = []
    for _ in range(6):
        posterior = encoder.encode(chunk)
        assert posterior is not None
        decoder.decode(posterior.mode())
        sizes.append(held())
    assert len(set(sizes[1:])) == 1


def test_an_empty_tile_is_refused() -> None:
    with pytest.raises(CoreError, match="is empty"):
        VideoStreamDecoder(stirred(FLAT), (0, 4))


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 14), height=st.integers(1, 20), width=st.integers(1, 20))
def test_any_valid_size_passes_and_any_other_is_refused_with_the_nearest(frames: int, height: int, width: int) -> None:
    vae = VideoVAE(
        VideoVAEConfig(patch=(4, 4, 8), widths=(4,), encoder_depths=(0,), decoder_depths=(0,), latent_channels=2)
    )
    x = torch.zeros(1, 3, frames, height, width)
    if (frames - 1) % 4 or height % 4 or width % 8:
        with pytest.raises(CoreError, match="→"):
            vae.encode(x)
    else:
        with torch.no_grad():
            assert vae.decode(vae.encode(x).mode()).shape == x.shape


def test_wrong_ranks_and_channels_are_named() -> None:
    vae = stirred(FLAT)
    with pytest.raises(CoreError, match="video has the shape"):
        vae.encode(torch.zeros(1, 4, 5, 8, 8))
    with pytest.raises(CoreError, match="latent has the shape"):
        vae.decode(torch.zeros(1, 3, 2, 2, 2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": (8, 8)},
        {"encoder_depths": (1, 1)},
        {"bottleneck": "fsq"},
        {"patch": (0, 8, 8)},
        {"colour": 1},
        {"strides": ((2, 2, 2),)},
        {"bottleneck": "pca"},
        {"time_kernel": 0},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VideoVAEConfig.model_validate(wrong)


def test_presets_compress_as_they_say() -> None:
    demo, large = VideoVAEConfig.demo().compression, VideoVAEConfig.large().compression
    assert (demo.time, demo.height, demo.width, demo.channels) == (4, 8, 8, 16)
    assert (large.time, large.height, large.width, large.channels) == (8, 32, 32, 128)


@settings(max_examples=30, deadline=None)
@given(
    t=st.integers(1, 4), h=st.integers(1, 3), w=st.integers(1, 3), groups=st.integers(0, 3), channels=st.integers(1, 3)
)
def test_folding_loses_nothing(t: int, h: int, w: int, groups: int, channels: int) -> None:
    x = torch.rand(2, 1 + groups * t, 2 * h, 3 * w, channels)
    folded = fold(x, (t, h, w))
    assert folded.shape == (2, groups + 1, 2, 3, t * h * w * channels)
    assert torch.equal(unfold(folded, (t, h, w)), x)
    later = torch.rand(2, (groups + 1) * t, 2 * h, 3 * w, channels)
    assert torch.equal(unfold(fold(later, (t, h, w), first=False), (t, h, w), first=False), later)


def test_time_convolution_is_a_causal_convolution() -> None:
    """Against torch's 3-D convolution with the first frame repeated in front."""
    layer, x = CausalTimeConv(3, 3), torch.randn(2, 5, 4, 4, 3)
    kernel = layer.mix.weight.unflatten(1, (3, 3)).permute(0, 2, 1)[..., None, None]  # out, in, time, 1, 1
    padded = torch.cat([x[:, :1], x[:, :1], x], dim=1).movedim(-1, 1)
    wanted = nn.functional.conv3d(padded, kernel, layer.mix.bias).movedim(1, -1)
    assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_gradients_reach_every_weight() -> None:
    vae = stirred(DEEP).train()
    x = video(vae)
    posterior = vae.encode(x)
    ((vae.decode(posterior.sample()) - x).square().mean() + posterior.kl().mean()).backward()
    without = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_training_samples_and_evaluation_does_not() -> None:
    vae = stirred(FLAT)
    x = video(vae)
    with torch.no_grad():
        assert torch.equal(vae(x), vae(x))
        vae.train()
        first = vae(x, torch.Generator().manual_seed(3))
        assert torch.equal(first, vae(x, torch.Generator().manual_seed(3)))
        assert not torch.equal(first, vae(x, torch.Generator().manual_seed(4)))


def test_statistics_make_latents_standard() -> None:
    vae = stirred(FLAT)
    with torch.no_grad():
        latents = [vae.encode(video(vae, frames=f)).mode() * 3 + 1 for f in (1, 3)]
    vae.statistics.measure(latents)
    flat = torch.cat([vae.normalize(z).movedim(1, 0).flatten(1) for z in latents], dim=1)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(flat.std(1, correction=0), torch.ones(4), atol=1e-5)
    assert torch.allclose(vae.denormalize(vae.normalize(latents[0])), latents[0], atol=1e-5)
    with pytest.raises(ValueError, match="no latents"):
        vae.statistics.measure([])


def test_a_fresh_stream_knows_nothing_of_another() -> None:
    vae = stirred(FLAT)
    x = video(vae)
    with torch.no_grad():
        first = vae.encode(x, Stream()).mode()
        assert torch.equal(vae.encode(x, Stream()).mode(), first)
