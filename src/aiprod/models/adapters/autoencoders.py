"""Pretrained autoencoders of diffusers behind the protocol of our own: LTX-Video, LTX-2, Wan, Oobleck."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aiprod.core.types import AudioCompression, AudioShape, VideoCompression, VideoPixelShape
from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.autoencoder import Autoencoder
from aiprod.core.vae.posterior import LOGVAR_RANGE, Posterior
from aiprod.core.vae.statistics import LatentStatistics
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import CheckpointError
from aiprod.models.adapters import mel_audio
from aiprod.models.adapters.mel_audio import MelAudioVAE
from aiprod.models.checkpoint.folder import check_folder, open_checkpoint, save_checkpoint
from aiprod.models.checkpoint.load import load_checkpoint

VIDEO_CLASSES = ("AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video", "AutoencoderKLWan")
AUDIO_CLASSES = ("AutoencoderOobleck", mel_audio.CLASS)


class _Wrapped(nn.Module):
    """A diffusers autoencoder with per-channel statistics."""

    def __init__(self, model: Any, channels: int) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.statistics = LatentStatistics(channels)

    def normalize(self, z: Tensor) -> Tensor:
        """Latents to about mean 0 and variance 1 per channel, by the checkpoint's own figures."""
        return self.statistics.normalize(z)

    def denormalize(self, z: Tensor) -> Tensor:
        """The inverse of :meth:`normalize`."""
        return self.statistics.denormalize(z)

    def _take_statistics(self, mean: Any, std: Any, scale: float = 1.0) -> None:
        if mean is not None and std is not None:
            self.statistics.mean.copy_(torch.as_tensor(mean))
            self.statistics.std.copy_(torch.as_tensor(std) / scale)

    def save_pretrained(self, folder: Path | str) -> str:
        """Write the checkpoint in diffusers' format with a digest, and return it."""
        config = {k: v for k, v in dict(self.model.config).items() if not k.startswith("_")}
        return save_checkpoint(
            folder,
            config,
            self.model.state_dict(),
            type(self.model).__name__,
            weights_name="diffusion_pytorch_model.safetensors",
        )


class DiffusersVideoVAE(_Wrapped):
    """A class of ``VIDEO_CLASSES``: pixels in [−1, 1] ``[B, 3, F, H, W]`` to latents and back.

    A decoder that asks for a noise level (LTX-Video from 0.9.1 on) is told that its latents are clean, as its pipeline
    does, and the noise that it adds within is the same at every call.
    """

    def __init__(self, model: Any) -> None:
        config = model.config
        if type(model).__name__ == "AutoencoderKLWan":
            time = 2 ** sum(config.temperal_downsample)  # diffusers spells it so
            space = 2 ** (len(config.dim_mult) - 1) * (config.get("patch_size") or 1)
            channels, statistics = config.z_dim, (config.latents_mean, config.latents_std)
        else:
            time, space = _ltx_factors(model)
            channels, statistics = config.latent_channels, (model.latents_mean, model.latents_std)
        super().__init__(model, channels)
        self.compression = VideoCompression(int(time), int(space), int(space), int(channels))
        self._take_statistics(*statistics, config.get("scaling_factor") or 1.0)
        self._timed = bool(config.get("timestep_conditioning"))
        noise = config.get("decoder_inject_noise") or False
        self._noisy = noise if isinstance(noise, bool) else any(noise)

    def encode(self, x: Tensor) -> Posterior:
        """A distribution over latents.

        Raises:
            CoreError: the size does not divide; names the nearest valid one.
        """
        VideoPixelShape(x.shape[0], x.shape[2], x.shape[3], x.shape[4], fps=1.0).to_latent(self.compression)
        distribution = self.model.encode(x).latent_dist
        return Posterior(distribution.mean, distribution.logvar.expand_as(distribution.mean).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor) -> Tensor:
        """Pixels of latents (not normalised)."""
        more = {"temb": z.new_zeros(len(z))} if self._timed else {}
        if not self._noisy:
            pixels: Tensor = self.model.decode(z, **more).sample
            return pixels
        with torch.random.fork_rng(devices=[z.device] if z.is_cuda else []):
            torch.manual_seed(0)
            drawn: Tensor = self.model.decode(z, **more).sample
            return drawn


def _ltx_factors(model: Any) -> tuple[int, int]:
    """Pixels a latent in time and space; LTX-2's class counts every level for both unless its file says otherwise."""
    config = model.config
    kinds, scaled = config.get("downsample_type"), config.spatio_temporal_scaling
    if type(model).__name__ != "AutoencoderKLLTX2Video":
        return int(model.temporal_compression_ratio), int(model.spatial_compression_ratio)
    if isinstance(scaled, bool):
        scaled = (scaled,) * len(kinds)
    factors = {
        axis: 2 ** sum(on and axis in kind for on, kind in zip(scaled, kinds, strict=False))
        for axis in ("temporal", "spati")  # "spatiotemporal" has both in it
    }
    return config.patch_size_t * factors["temporal"], config.patch_size * factors["spati"]


class DiffusersAudioVAE(_Wrapped):
    """``AutoencoderOobleck``: waveforms ``[B, channels, T]`` to latents ``[B, C, T/hop]`` and back."""

    def __init__(self, model: Any) -> None:
        config = model.config
        super().__init__(model, config.decoder_input_channels)
        hop = math.prod(config.downsampling_ratios)
        self.compression = AudioCompression(hop, config.decoder_input_channels, config.sampling_rate)

    def encode(self, x: Tensor) -> Posterior:
        """A distribution over latents.

        Raises:
            CoreError: a length that is not a multiple of the hop.
        """
        AudioShape(x.shape[0], x.shape[2], self.compression.sample_rate, x.shape[1]).to_latent(self.compression)
        distribution = self.model.encode(x).latent_dist
        return Posterior(distribution.mean, (2 * distribution.std.log()).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor) -> Tensor:
        """The waveform of latents (not normalised)."""
        sound: Tensor = self.model.decode(z).sample
        return sound


AnyVideoVAE = VideoVAE | DiffusersVideoVAE
AnyAudioVAE = AudioVAE | DiffusersAudioVAE | MelAudioVAE
AnyVAE = Autoencoder | DiffusersVideoVAE | DiffusersAudioVAE | MelAudioVAE


def save_vae(model: AnyVAE, folder: Path | str) -> str:
    """Write an autoencoder as a checkpoint folder, ours or in diffusers' format, and return its digest.

    Raises:
        CheckpointError: see :func:`~aiprod.models.checkpoint.folder.save_checkpoint`.
    """
    if isinstance(model, DiffusersVideoVAE | DiffusersAudioVAE | MelAudioVAE):
        return model.save_pretrained(folder)
    return save_checkpoint(folder, model.config.model_dump(mode="json"), model.state_dict(), type(model).__name__)


def load_video_vae(folder: Path | str, *, device: str | torch.device = "cpu") -> Any:
    """The video autoencoder in a folder: ours, or one of diffusers' (``VIDEO_CLASSES``).

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    return _load(folder, "VideoVAE", VideoVAE, VIDEO_CLASSES, DiffusersVideoVAE, device)


def load_audio_vae(folder: Path | str, *, device: str | torch.device = "cpu") -> Any:
    """The audio autoencoder in a folder: ours, or one of diffusers' (``AUDIO_CLASSES``).

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    return _load(folder, "AudioVAE", AudioVAE, AUDIO_CLASSES, DiffusersAudioVAE, device)


def _load(  # noqa: PLR0917
    folder: Path | str,
    own_name: str,
    own: type[Autoencoder],
    names: tuple[str, ...],
    wrapper: Any,
    device: str | torch.device,
) -> Any:
    files = open_checkpoint(folder, require_digest=False)
    if files.class_name == own_name:
        return load_checkpoint(folder, own.from_config, own_name, device=device)
    if files.class_name not in names:
        known = ", ".join((own_name, *names))
        raise CheckpointError(f"{folder} holds a {files.class_name}, not one of {known}", "give another folder")
    import diffusers

    check_folder(folder)
    try:
        model, report = getattr(diffusers, files.class_name).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, low_cpu_mem_usage=False
        )
    except Exception as error:  # diffusers, safetensors and the model's own constructor raise many kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{folder} does not load as a {files.class_name} ({first[:200]})", "restore it, or save it again"
        ) from None
    wrong = [*report["missing_keys"], *report["unexpected_keys"]]
    if wrong:
        raise CheckpointError(
            f"{folder} does not fit its configuration: {', '.join(sorted(wrong)[:5])}", "restore it, or save it again"
        )
    if files.class_name == mel_audio.CLASS:
        return MelAudioVAE(model, mel_audio.load_vocoder(Path(folder))).to(device)
    return wrapper(model).to(device)
