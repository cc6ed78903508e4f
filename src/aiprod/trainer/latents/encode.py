"""Makes the latents of one clip, checks them by decoding, and makes the text features of captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from aiprod.base.files import sha256_file, write_bytes
from aiprod.base.params import Params
from aiprod.core.protocols import TextEncoder
from aiprod.core.types import VideoCompression
from aiprod.data.latents.dataset import NULL_TEXT, latent_geometry
from aiprod.errors import AiprodError, CoreError
from aiprod.models.adapters.autoencoders import AnyAudioVAE, AnyVideoVAE, load_audio_vae, load_video_vae
from aiprod.models.adapters.load_text_encoder import load_text_encoder
from aiprod.models.adapters.video_compression import video_compression
from aiprod.models.artifacts import latent_maker_digests
from aiprod.models.checkpoint.header import ordered
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.result_cache import Memo, Seal
from aiprod.trainer.loop.curriculum import PhaseGeometry
from aiprod.trainer.training_set import TrainingClip

_TEXTS_AT_ONCE = 32


class CacheLatentsParams(Params):
    """Encode clips and captions for training."""

    min_psnr_db: float = Field(default=10.0, ge=0, description="clips whose decoded latent is worse are left out")
    text_quantize: Literal["int8"] | None = Field(default=None, description="precision of the text encoder's weights")
    readers: int = Field(default=2, ge=1, le=64, description="threads that decode film ahead of the encoder")
    threads: int = Field(default=0, ge=0, le=1024, description="for torch on CPU; 0: one per core")


@dataclass(frozen=True)
class CacheModels:
    """The models that make latents, and the digest of each by the names in ``data.latent_dataset.DIGESTS``."""

    video_vae: AnyVideoVAE
    audio_vae: AnyAudioVAE
    text_encoder: TextEncoder
    digests: Mapping[str, str]
    device: str | torch.device = "cpu"

    @classmethod
    def load(cls, models: Path, params: CacheLatentsParams, device: str | torch.device = "cpu") -> CacheModels:
        """Read all three below ``models``, in eval mode.

        Raises:
            AiprodError: one is missing or damaged.
        """
        digests = latent_maker_digests(models)
        try:
            return cls(
                load_video_vae(models / "video_vae", device=device).eval(),
                load_audio_vae(models / "audio_vae", device=device).eval(),
                load_text_encoder(models / "text_encoder", params.text_quantize, device),
                digests,
                device,
            )
        except CoreError as error:
            raise AiprodError(error.what, error.hint) from None

    @property
    def compression(self) -> VideoCompression:
        """Of the video autoencoder."""
        compression: VideoCompression = self.video_vae.compression
        return compression

    def loaded(self) -> CacheModels:
        """These."""
        return self


@dataclass(frozen=True)
class UnloadedModels:
    """The same models where they lie, for a process that may have nothing to encode, or leaves that to workers.

    Raises:
        AiprodError: on first use of any attribute, where a model is missing or damaged.
    """

    models: Path
    params: CacheLatentsParams
    device: str | torch.device = "cpu"

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """The digest of each."""
        return latent_maker_digests(self.models)

    @cached_property
    def compression(self) -> VideoCompression:
        """Of the video autoencoder."""
        try:
            return video_compression(self.models / "video_vae")
        except CoreError as error:
            raise AiprodError(error.what, error.hint) from None

    def loaded(self) -> CacheModels:
        """Read from their folders."""
        return CacheModels.load(self.models, self.params, self.device)


@dataclass(frozen=True)
class CacheJob:
    """One clip in one phase."""

    clip: TrainingClip
    phase: str
    geometry: PhaseGeometry  # of this clip: turned for portrait, shortened for a short clip
    key: str


class SoundLatents:
    """The sound of a clip as latents, encoded for the first phase that asks and kept for the others.

    Args:
        samples: float32 [2, T].
    """

    def __init__(self, samples: np.ndarray, models: CacheModels) -> None:
        self._samples, self._models = samples, models

    @cached_property
    def made(self) -> tuple[Tensor, float | None]:
        """Normalised latents [C, T'], and the signal-to-error ratio of what they decode to in decibels."""
        vae = self._models.audio_vae
        sound = torch.from_numpy(self._samples)[None].to(self._models.device)
        sound = torch.nn.functional.pad(sound, (0, -sound.shape[-1] % vae.compression.hop))
        z = vae.encode(sound).mode()
        return vae.normalize(z)[0], _snr_db(sound, vae.decode(z))


def encoder(
    job: CacheJob, pictures: np.ndarray, sound: SoundLatents, models: CacheModels
) -> Callable[[Path], dict[str, Any]]:
    """Writes ``latents.safetensors`` and returns what the row says about it.

    Args:
        pictures: uint8 [F, H, W, 3], RGB.
    """

    @torch.no_grad()
    def build(folder: Path) -> dict[str, Any]:
        pixels = torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].to(models.device).float() / 127.5 - 1
        z = models.video_vae.encode(pixels).mode()
        error = float((models.video_vae.decode(z).clamp(-1, 1) - pixels).square().mean())
        psnr = 10 * math.log10(4.0 / max(error, 1e-10))
        tensors = {"video": models.video_vae.normalize(z)[0]}
        facts: dict[str, Any] = {"psnr_db": round(psnr, 3), "video_shape": list(tensors["video"].shape)}
        if job.clip.has_audio:
            tensors["audio"], snr_db = sound.made
            facts["audio_shape"], facts["audio_snr_db"] = list(tensors["audio"].shape), snr_db
        g = job.geometry
        header = {
            "clip_sha256": job.clip.sha256,
            "has_audio": str(job.clip.has_audio).lower(),
            **models.digests,
            "geometry": latent_geometry(g.height, g.width, g.frames, g.fps),
        }
        _write(folder / "latents.safetensors", tensors, header)
        return facts

    return build


def _snr_db(sound: Tensor, decoded: Tensor) -> float | None:
    """Signal to error ratio in decibels; None for silence."""
    power = float(sound.square().sum())
    if power == 0:
        return None
    return round(10 * math.log10(power / max(float((decoded - sound).square().sum()), 1e-12)), 3)


@dataclass(frozen=True)
class TextJob:
    """One caption to encode: its memo key, and the clip that owns the result where that is private."""

    key: str
    caption: str
    owner: str | None = None


def text_keys(
    clips: Sequence[TrainingClip], params: CacheLatentsParams, memo: Memo
) -> tuple[dict[str, str], list[list[TextJob]]]:
    """Memo key of every caption by clip id, with ``null`` for the empty prompt; and what is to be encoded, in parts.

    Captions of a part share a batch, and stand in it as their texts are sorted: the same parts give the same bytes.
    """
    keys = {"null": memo.key("text", params.text_quantize, "")}
    wanted = {keys["null"]: TextJob(keys["null"], "")}  # equal captions are encoded once
    for clip in clips:
        owner = [clip.clip_id] if is_private(clip.clip_id) else []
        keys[clip.clip_id] = key = memo.key("text", params.text_quantize, clip.caption, *owner)
        wanted[key] = TextJob(key, clip.caption, *owner)
    missing = sorted((job for key, job in wanted.items() if memo.get(key) is None), key=lambda j: (j.caption, j.key))
    return keys, [missing[start : start + _TEXTS_AT_ONCE] for start in range(0, len(missing), _TEXTS_AT_ONCE)]


def encode_texts(part: Sequence[TextJob], models: CacheModels, memo: Memo) -> None:
    """Fill the memo entries of one part."""
    with torch.no_grad():
        features = models.text_encoder.encode([job.caption for job in part])
    for row, job in enumerate(part):
        kept = features.mask[row].bool()
        hidden = features.hidden[row][kept if bool(kept.any()) else slice(0, 1)].float().cpu()
        tensors = {"hidden": hidden, "mask": torch.ones(len(hidden), dtype=torch.uint8)}
        header = {"text_encoder": models.digests["text_encoder"]}
        seal = seal_of("text", job.owner) if job.owner is not None else None
        memo.put(job.key, partial(_write_text, tensors, header), seal)


def link_texts(keys: Mapping[str, str], folder: Path, memo: Memo) -> dict[str, tuple[str, str]]:
    """Put text features that are known below ``folder``; clip id → (file, sha256).

    Raises:
        AiprodError: one could not be kept.
    """
    places: dict[str, tuple[str, str]] = {}
    for name, key in keys.items():
        entry = memo.get(key)
        if entry is None:
            raise AiprodError("cached text features vanished while the stage ran", "run `dvc repro` again")
        target = NULL_TEXT if name == "null" else f"text/{name}.safetensors"
        memo.link(entry[1], "text.safetensors", folder / target)
        places[name] = (target, sha256_file(folder / target))
    return places


def seal_of(kind: str, clip_id: str) -> Seal | None:
    """How the latents or text features of a clip are encrypted; None for a plain clip."""
    return Seal(clip_id, lambda _: f"{kind}:{clip_id}") if is_private(clip_id) else None


def _write_text(tensors: Mapping[str, Tensor], header: Mapping[str, str], folder: Path) -> None:
    _write(folder / "text.safetensors", tensors, header)


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    whole = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, ordered(safetensors.torch.save(whole, metadata=dict(header))))
