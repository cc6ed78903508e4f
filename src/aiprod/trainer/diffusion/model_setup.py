"""The transformer that is trained: a new one, ours from a folder, or a public one, with adapters or not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from aiprod.base.files import digest_of
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.types import AudioCompression, VideoCompression
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError, CoreError
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae
from aiprod.models.adapters.backbone import DiffusersBackbone
from aiprod.models.adapters.load_backbone import EXPERT_PARTS, experts_in
from aiprod.models.adapters.load_text_encoder import padded_tokens
from aiprod.models.artifacts import CLASS_NAME
from aiprod.models.checkpoint.folder import WEIGHTS, folder_digest, open_checkpoint, save_checkpoint
from aiprod.models.load_transformer import Transformer, has_sound, load_transformer
from aiprod.trainer.diffusion.latent_scaling import measure_tokens, recorded_gains, video_gains
from aiprod.trainer.diffusion.lora import add_lora
from aiprod.trainer.diffusion.params import TrainDiffusionParams, TransformerParams
from aiprod.trainer.loop.int8_weights import quantise_frozen
from aiprod.trainer.stage import init_folder, part_of
from aiprod.trainer.unused_parts import name_unused

_THEIR_WEIGHTS = "diffusion_pytorch_model.safetensors"
_INSIDE = "model."  # where a backbone holds the diffusers model


@dataclass(frozen=True)
class TrainableModel:
    """What is trained.

    Attributes:
        model: with adapters where they are asked for.
        video, audio: patchifiers that fit it; the model takes no sound where ``sound`` is False.
        class_name, config: what its checkpoint says of it.
        start_digest: digest of the folder that it comes from; None for a new model.
        original: reads the weights that were put into 8 bits, named as in ``model`` without adapters; None where none
            were.
    """

    model: Transformer
    video: VideoLatentPatchifier
    audio: AudioLatentPatchifier
    class_name: str
    config: dict[str, Any]
    start_digest: str | None = None
    original: Callable[[], dict[str, Tensor]] | None = None

    @property
    def sound(self) -> bool:
        """Whether the model has an audio stream."""
        return has_sound(self.model)

    @property
    def ours(self) -> bool:
        """Whether it is our own transformer."""
        return self.class_name == CLASS_NAME

    def plain(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights by the names that the checkpoint format has for them."""
        return weights if self.ours else {name.removeprefix(_INSIDE): w for name, w in weights.items()}

    def save(self, folder: Path, weights: dict[str, Tensor]) -> str:
        """Write weights (named as :meth:`plain` does) in the model's own format, and return the digest."""
        name = WEIGHTS if self.ours else _THEIR_WEIGHTS
        return save_checkpoint(folder, self.config, weights, self.class_name, weights_name=name)


def make_subject(params: TrainDiffusionParams, models: Path, dataset: LatentDataset, seed: int) -> TrainableModel:
    """A new model, or the one in ``init``, with adapters where they are asked for.

    Raises:
        AiprodError: ``init`` is no transformer, takes other latents or text, or is missing while ``lora`` is given.
    """
    pictures, sound = compressions(models)
    audio, text = AudioLatentPatchifier(sound), dataset.null_text()[0].shape[1]
    if params.init is None:
        if params.lora is not None:
            raise AiprodError(
                "train_diffusion.lora adapts a given model and init names none", "set init, or lora to null"
            )
        gains = video_gains(dataset, models, params.transformer.picture_gains)
        video = VideoLatentPatchifier(pictures, params.transformer.video_patch, gains)
        config = transformer_config(params.transformer, video, audio, text)
        new = AVTransformer(config)
        measure_tokens(new, (video, audio), dataset)
        return TrainableModel(new, video, audio, CLASS_NAME, config.model_dump(mode="json"))
    whole = init_folder(params.init)
    pair = experts_in(whole)
    folder = whole if pair else part_of(whole, "transformer")
    if not pair:
        name_unused(whole, folder, "train_diffusion.init")
    padded = params.transformer.text_tokens or padded_tokens(models / "text_encoder")
    model = load_transformer(folder, pictures, padded, sound=params.transformer.sound).train().requires_grad_(True)
    video = VideoLatentPatchifier(
        pictures, patch_of(model, params.transformer), recorded_gains(whole / EXPERT_PARTS[0] if pair else folder)
    )
    _refuse_misfit(model, params.init, {"video": video.token_channels, "audio": audio.token_channels, "text": text})
    if isinstance(model, DiffusersBackbone):
        name = type(model.model).__name__
        described = {k: v for k, v in model.config.items() if not k.startswith("_")}
    else:
        name, described = CLASS_NAME, model.config.model_dump(mode="json")
    original = None
    if params.lora is not None:
        add_lora(model, params.lora, seed)
        if params.lora.quantize:
            quantise_frozen(model.blocks)
            original = functools.partial(_weights_in, folder, pictures, padded, params.transformer.sound)
    digest = digest_of([folder_digest(folder / n) for n in EXPERT_PARTS]) if pair else folder_digest(folder)
    return TrainableModel(model, video, audio, name, described, digest, original)


def compressions(models: Path) -> tuple[VideoCompression, AudioCompression]:
    """What the autoencoders in ``models`` make of a clip; of ours only the configuration is read."""
    return compression_of_video(models / "video_vae"), compression_of_audio(models / "audio_vae")


def compression_of_video(folder: Path) -> VideoCompression:
    """What the video autoencoder in a folder makes of pictures."""
    try:
        files = open_checkpoint(folder)
        if files.class_name == "VideoVAE":
            return VideoVAEConfig.model_validate(files.config).compression
        return load_video_vae(folder).compression
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None


def compression_of_audio(folder: Path) -> AudioCompression:
    """What the audio autoencoder in a folder makes of sound."""
    try:
        files = open_checkpoint(folder)
        if files.class_name == "AudioVAE":
            return AudioVAEConfig.model_validate(files.config).compression
        return load_audio_vae(folder).compression
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None


def transformer_config(
    params: TransformerParams, video: VideoLatentPatchifier, audio: AudioLatentPatchifier, text_dim: int
) -> AVTransformerConfig:
    """The preset with the changes, and with the widths that latents and text ask for."""
    widths = {"video_channels": video.token_channels, "audio_channels": audio.token_channels, "text_dim": text_dim}
    try:
        return AVTransformerConfig.preset(params.preset, **{**params.changes, **widths})
    except CoreError as error:
        raise AiprodError(f"params.yaml: train_diffusion.transformer: {error.what}", error.hint) from None


def _weights_in(folder: Path, pictures: VideoCompression, padded: int | None, sound: bool) -> dict[str, Tensor]:
    return load_transformer(folder, pictures, padded, sound=sound).state_dict()


def patch_of(model: Transformer, params: TransformerParams) -> tuple[int, int, int]:
    """Latent cells per token: a public model says it itself."""
    if not isinstance(model, DiffusersBackbone):
        return params.video_patch
    size = model.config.get("patch_size", 1)
    time, height, width = size if isinstance(size, list | tuple) else (model.config.get("patch_size_t", 1), size, size)
    return int(time), int(height), int(width)


def _refuse_misfit(model: Transformer, init: str, needed: dict[str, int]) -> None:
    if isinstance(model, DiffusersBackbone):
        takes = model.sizes._asdict()
        hint = "use the autoencoders and the text encoder that it was trained with: set their init, and steps to 0"
    else:
        c = model.config
        takes = {"video": c.video_channels, "audio": c.audio_channels, "text": c.text_dim}
        hint = "give a transformer that was trained on latents of these models"
    for name, have in needed.items():
        if name == "text" and isinstance(model, DiffusersBackbone):
            fits = have in model.text_widths
        else:
            fits = takes[name] == have
        if not fits and not (name == "audio" and not takes[name]):
            what = "text features" if name == "text" else f"{name} tokens"
            raise AiprodError(f"{init} takes {what} of {takes[name]} values, and these have {have}", hint)
