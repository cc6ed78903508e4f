"""LTX-2's autoencoder of mel spectrograms with its vocoder (arXiv:2601.03233) behind the protocol of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from aiprod.core.types import AudioCompression, AudioShape
from aiprod.core.vae.posterior import LOGVAR_RANGE, Posterior
from aiprod.core.vae.statistics import LatentStatistics
from aiprod.errors import CheckpointError, words_of
from aiprod.models.checkpoint.folder import open_checkpoint, read_safetensors, save_checkpoint
from aiprod.models.checkpoint.json_files import read_json_object
from aiprod.models.checkpoint.load import strict_load

CLASS = "AutoencoderKLLTX2Audio"
VOCODERS = ("LTX2Vocoder", "LTX2VocoderWithBWE")
_CONFIG, _WEIGHTS = "vocoder.json", "vocoder.safetensors"
_FRAMES = 4  # mel frames a latent, but the first, which stands for one
_FFT = 1024
_SILENT = 1e-5


class MelAudioVAE(nn.Module):
    """Stereo waveforms ``[B, 2, T]`` to latents ``[B, C, T/hop]`` and back, at the rate that the vocoder gives.

    Sound is brought to the autoencoder's own rate, seen as a log-mel spectrogram, and encoded causally; a latent's
    channels are those of the autoencoder times its mel bins, as the transformer takes them. The first latent stands for
    one mel frame and the others for four, so the last three mel frames of a sound (30 ms) are in no latent: they
    come back silent.

    Args:
        model: ``AutoencoderKLLTX2Audio`` of diffusers.
        vocoder: ``LTX2Vocoder`` or ``LTX2VocoderWithBWE`` of diffusers.
    """

    model: Any
    vocoder: Any

    def __init__(self, model: Any, vocoder: Any) -> None:
        from torchaudio.transforms import MelSpectrogram

        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.vocoder = vocoder.eval().requires_grad_(False)
        c, rate = model.config, int(vocoder.config.output_sampling_rate)
        self._bins = int(c.mel_bins) // _FRAMES
        channels = int(c.latent_channels) * self._bins
        self.statistics = LatentStatistics(channels)
        self.statistics.mean.copy_(model.latents_mean)
        self.statistics.std.copy_(model.latents_std)
        self._frame = rate * int(c.mel_hop_length) // int(c.sample_rate)  # samples of the vocoder a mel frame
        self.compression = AudioCompression(_FRAMES * self._frame, channels, rate)
        self._mel = MelSpectrogram(
            sample_rate=int(c.sample_rate),
            n_fft=_FFT,
            hop_length=int(c.mel_hop_length),
            f_min=0.0,
            f_max=c.sample_rate / 2,
            n_mels=int(c.mel_bins),
            center=True,
            pad_mode="reflect",
            power=1.0,
            mel_scale="slaney",
            norm="slaney",
        )

    def normalize(self, z: Tensor) -> Tensor:
        """Latents to about mean 0 and variance 1 per channel, by the checkpoint's own figures."""
        return self.statistics.normalize(z)

    def denormalize(self, z: Tensor) -> Tensor:
        """The inverse of :meth:`normalize`."""
        return self.statistics.denormalize(z)

    def encode(self, x: Tensor) -> Posterior:
        """A distribution over latents.

        Raises:
            CoreError: a length that is not a multiple of the hop.
        """
        from torchaudio.functional import resample

        c = self.compression
        latents = AudioShape(x.shape[0], x.shape[2], c.sample_rate, x.shape[1]).to_latent(c).frames
        own = resample(x, c.sample_rate, int(self.model.config.sample_rate))
        mel = self._mel(own).clamp(min=_SILENT).log().transpose(2, 3)
        distribution = self.model.encode(mel[:, :, : _FRAMES * (latents - 1) + 1]).latent_dist
        return Posterior(self._flat(distribution.mean), self._flat(distribution.logvar).clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor) -> Tensor:
        """The waveform of latents (not normalised)."""
        mel = self.model.decode(z.unflatten(1, (-1, self._bins)).transpose(2, 3)).sample
        sound: Tensor = self.vocoder(mel)
        return nn.functional.pad(sound, (0, z.shape[2] * self.compression.hop - sound.shape[2]))

    def save_pretrained(self, folder: Path | str) -> str:
        """Write both in diffusers' format, the vocoder as two files beside the autoencoder; the digest."""

        def beside(place: Path) -> None:
            save_file(self.vocoder.state_dict(), place / _WEIGHTS, metadata={"format": "pt"})
            text = json.dumps(_described(self.vocoder), indent=1, sort_keys=True)
            (place / _CONFIG).write_text(text + "\n", encoding="utf-8")

        config = {k: v for k, v in _described(self.model).items() if k != "_class_name"}
        return save_checkpoint(
            folder,
            config,
            self.model.state_dict(),
            CLASS,
            weights_name="diffusion_pytorch_model.safetensors",
            beside=beside,
        )

    @staticmethod
    def _flat(latents: Tensor) -> Tensor:
        """``[B, channels, frames, bins]`` to ``[B, channels · bins, frames]``."""
        return latents.transpose(2, 3).flatten(1, 2)


def load_vocoder(folder: Path) -> Any:
    """The vocoder that goes with the audio autoencoder in ``folder``: beside it, or as a part of the same pipeline.

    Raises:
        CheckpointError: none, damaged, or of another kind.
    """
    from diffusers.pipelines import ltx2

    if (folder / _CONFIG).is_file():
        config: dict[str, Any] = read_json_object(folder / _CONFIG, "restore it with `dvc checkout`")
        name, tensors = config.pop("_class_name", None), read_safetensors(folder / _WEIGHTS)
        place = folder / _CONFIG
    else:
        place = folder.parent / "vocoder"
        if not (place / "config.json").is_file():
            what = f"{folder} holds LTX-2's audio autoencoder without its vocoder"
            raise CheckpointError(what, "put the pipeline's folder vocoder beside it")
        files = open_checkpoint(place, require_digest=False)
        name, config, tensors = files.class_name, dict(files.config), files.tensors()
    if name not in VOCODERS:
        raise CheckpointError(f"{place} holds a {name}, not one of {', '.join(VOCODERS)}", "give LTX-2's own vocoder")
    try:
        vocoder = getattr(ltx2, name).from_config(config)
    except Exception as error:  # the class raises many kinds
        raise CheckpointError(f"{place} does not describe a {name} ({words_of(error)})", "restore it") from None
    strict_load(vocoder, {n: t.float() for n, t in tensors.items()}, str(place))
    return vocoder


def _described(model: Any) -> dict[str, Any]:
    config = {k: v for k, v in dict(model.config).items() if not k.startswith("_")}
    return {**config, "_class_name": type(model).__name__}
