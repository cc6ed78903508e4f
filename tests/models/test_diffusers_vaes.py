"""Small checkpoints in diffusers' real format, behind the protocol of our own autoencoders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from aiprod.core.protocols import AudioAutoencoder, VideoAutoencoder
from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.posterior import Posterior
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import CheckpointError, CoreError
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae, save_vae
from aiprod.models.adapters.video_compression import video_compression
from aiprod.models.checkpoint.folder import open_checkpoint

pytestmark = pytest.mark.bitwise

Foreign = tuple[Path, Any, int, int]  # folder, diffusers' model, compression in time and in space


def ltx() -> Any:
    from diffusers import AutoencoderKLLTXVideo

    return AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    )


def ltx_timed() -> Any:
    """As LTX-Video from 0.9.1 on: the decoder is told a noise level, and adds noise within."""
    from diffusers import AutoencoderKLLTXVideo

    model = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(16, 32, 64),
        spatio_temporal_scaling=(True, True, True, False),
        decoder_spatio_temporal_scaling=(True, True, True),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        timestep_conditioning=True,
        decoder_inject_noise=(True, True, False, False),
        upsample_residual=(True, True, True),
        upsample_factor=(2, 2, 2),
        scaling_factor=0.5,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "per_channel_scale" in name:
                parameter.add_(0.1)
    return model


def ltx2() -> Any:
    from diffusers import AutoencoderKLLTX2Video

    return AutoencoderKLLTX2Video(
        latent_channels=8,
        block_out_channels=(4, 8, 16, 32),
        decoder_block_out_channels=(16, 32, 64),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
    )


def wan() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, 0.2, 0.3, 0.4],
        latents_std=[1.0, 2.0, 3.0, 4.0],
    )


@pytest.fixture(
    scope="module",
    params=[(ltx, 8, 32), (ltx_timed, 8, 32), (ltx2, 8, 32), (wan, 4, 8)],
    ids=["ltx", "ltx_timed", "ltx2", "wan"],
)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    make, time, space = request.param
    torch.manual_seed(0)
    model = make().eval()
    folder = tmp_path_factory.mktemp("vae") / "model"
    model.save_pretrained(folder)
    return folder, model, time, space


@torch.no_grad()
def test_video_autoencoders_of_diffusers_do_what_diffusers_does(video: Foreign, tmp_path: Path) -> None:
    folder, model, time, space = video
    vae = load_video_vae(folder)
    assert isinstance(vae, VideoAutoencoder)
    assert (vae.compression.time, vae.compression.height, vae.compression.width) == (time, space, space)
    assert video_compression(folder) == vae.compression, "known without its weights"
    x = torch.rand(1, 3, 1 + time, 3 * space, 2 * space) * 2 - 1
    theirs = model.encode(x).latent_dist
    ours = vae.encode(x)
    assert ours.mean.shape == (1, vae.compression.channels, 2, 3, 2)
    assert torch.allclose(ours.mean, theirs.mean, atol=1e-5)
    assert torch.allclose(ours.kl(), theirs.kl().flatten(1).sum(1), rtol=1e-3), "theirs leaves the last axis"
    torch.manual_seed(0)  # of the noise that some decoders add
    clean = {"temb": torch.zeros(1)} if model.config.get("timestep_conditioning") else {}
    wanted = model.decode(theirs.mean, **clean).sample
    torch.manual_seed(1)
    assert torch.allclose(vae.decode(ours.mode()), wanted, atol=1e-5)
    assert torch.initial_seed() == 1 and torch.allclose(vae.decode(ours.mode()), wanted, atol=1e-5), "every time"
    assert torch.allclose(vae.denormalize(vae.normalize(ours.mean)), ours.mean, atol=1e-5)
    with pytest.raises(CoreError, match="→"):
        vae.encode(torch.zeros(1, 3, time, space, space))
    digest = vae.save_pretrained(tmp_path / "copy")
    assert open_checkpoint(tmp_path / "copy", type(model).__name__).digest == digest
    assert torch.equal(load_video_vae(tmp_path / "copy").encode(x).mean, ours.mean)


@torch.no_grad()
def test_wan_latents_are_normalised_by_its_own_figures(tmp_path: Path) -> None:
    wan().save_pretrained(tmp_path / "wan")
    vae = load_video_vae(tmp_path / "wan")
    z = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1, 1) + torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1, 1)
    assert torch.allclose(vae.normalize(z), torch.ones(1, 4, 1, 1, 1))


@torch.no_grad()
def test_ltx_latents_are_scaled_as_its_pipeline_scales_them(tmp_path: Path) -> None:
    from diffusers import LTXPipeline

    model = ltx_timed()
    model.latents_mean.copy_(torch.linspace(-1, 1, 8))
    model.latents_std.copy_(torch.linspace(1, 2, 8))
    model.save_pretrained(tmp_path / "ltx")
    vae, z = load_video_vae(tmp_path / "ltx"), torch.randn(1, 8, 2, 3, 4)
    wanted = LTXPipeline._normalize_latents(z, model.latents_mean, model.latents_std, model.config.scaling_factor)
    assert torch.allclose(vae.normalize(z), wanted, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_oobleck_does_what_diffusers_does(tmp_path: Path) -> None:
    from diffusers import AutoencoderOobleck

    torch.manual_seed(0)
    model = AutoencoderOobleck(  # the class ties latent channels to half of the encoder's width
        encoder_hidden_size=8,
        downsampling_ratios=[2, 4],
        channel_multiples=[1, 2],
        decoder_channels=4,
        decoder_input_channels=4,
        audio_channels=2,
        sampling_rate=48_000,
    ).eval()
    model.save_pretrained(tmp_path / "m")
    vae = load_audio_vae(tmp_path / "m")
    assert isinstance(vae, AudioAutoencoder) and vae.compression.hop == 8
    x = torch.rand(1, 2, 80) * 2 - 1
    theirs = model.encode(x).latent_dist
    ours: Posterior = vae.encode(x)
    assert torch.allclose(ours.mean, theirs.mean, atol=1e-5) and ours.logvar is not None
    assert torch.allclose((0.5 * ours.logvar).exp(), theirs.std, atol=1e-5)
    assert torch.allclose(vae.decode(ours.mean), model.decode(theirs.mean).sample, atol=1e-5)


def test_our_own_load_by_the_same_call_and_others_are_refused(tmp_path: Path) -> None:
    save_vae(VideoVAE(VideoVAEConfig(widths=(8,), encoder_depths=(0,), decoder_depths=(0,))), tmp_path / "v")
    save_vae(AudioVAE(AudioVAEConfig(widths=(4, 4, 4))), tmp_path / "a")
    assert isinstance(load_video_vae(tmp_path / "v"), VideoVAE)
    assert isinstance(load_audio_vae(tmp_path / "a"), AudioVAE)
    with pytest.raises(CheckpointError, match="holds a AudioVAE, not one of VideoVAE"):
        load_video_vae(tmp_path / "a")


def test_a_damaged_foreign_checkpoint_is_refused_with_one_line(video: Foreign, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(video[0], tmp_path / "m"))
    weights = next(folder.glob("*.safetensors"))
    tensors = load_file(weights)
    first = sorted(tensors)[0]
    save_file({k: v for k, v in tensors.items() if k != first}, weights, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="→"):
        load_video_vae(folder)
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(CheckpointError) as error:
        load_video_vae(folder)
    assert "\n" not in str(error.value)
