"""The state that sampling starts from: what is given of a request, encoded, with its denoise mask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.conditioning import (
    FrameCondition,
    MaskCondition,
    ReferenceVideoCondition,
    apply_conditions,
    audio_reference,
    video_reference,
)
from aiprod.core.generation import GenerationConfig
from aiprod.core.protocols import ConditioningItem
from aiprod.core.types import AudioLatentShape, LatentState, VideoLatentShape
from aiprod.data.latents.tasks import ConditionParams, TaskParams, tasks_of
from aiprod.errors import AiprodError
from aiprod.inference.request import Request
from aiprod.models.adapters.autoencoders import AnyAudioVAE, AnyVideoVAE
from aiprod.models.artifacts import TrainingRecord


def trained_tasks(record: TrainingRecord) -> list[TaskParams] | None:
    """The tasks that a model was trained on; None where its record does not say."""
    params = record.settings.get("params")
    return None if params is None else tasks_of({"strategy": record.strategy, **params})


def trained_reference(record: TrainingRecord, modality: str) -> ConditionParams | None:
    """How the references of a modality were made in training; None without any."""
    tasks = trained_tasks(record) or []
    return next((c for task in tasks if (c := getattr(task, modality).find("reference")) is not None), None)


class Starts:
    """Encodes what requests give.

    Args:
        video_vae, audio_vae: of the model, on one device.
        video, audio: patchifiers that match.
        record: of the training.
    """

    def __init__(
        self,
        vaes: tuple[AnyVideoVAE, AnyAudioVAE],
        patches: tuple[VideoLatentPatchifier, AudioLatentPatchifier],
        record: TrainingRecord,
        device: torch.device,
    ) -> None:
        (self.video_vae, self.audio_vae), (self.video_patches, self.audio_patches) = vaes, patches
        self.record, self.device = record, device

    def check(self, request: Request) -> None:
        """Refuse what the model cannot follow.

        Raises:
            AiprodError: says what.
        """
        spanned = self.video_patches.patch[0]
        if spanned > 1 and request.passed:
            raise AiprodError(
                f"this model takes no first frame: a token of its video_patch spans {spanned} latent frames, and"
                " none can be kept alone",
                "leave the picture out, or train with video_patch [1, y, x] and with frames given",
            )
        for modality, reference in (("video", request.reference), ("audio", request.reference_sound)):
            if reference is not None and trained_reference(self.record, modality) is None:
                name = "video" if modality == "video" else "sound"
                raise AiprodError(
                    f"this model takes no reference {name}",
                    f"train with strategy: video_to_video, or with a task whose {modality} has the condition reference",
                )

    def video(
        self, request: Request, config: GenerationConfig, shape: VideoLatentShape, latent_before: Tensor | None = None
    ) -> LatentState:
        """Clean tokens of the video of one sample: zeros where nothing is given.

        Args:
            latent_before: the normalised latent ``[1, C, F, H, W]`` of an earlier stage, instead of the source.
        """
        size = (config.frames, config.height_px, config.width_px)
        latent = torch.zeros(shape.shape) if latent_before is None else latent_before.cpu()
        if request.source is not None and latent_before is None:
            latent = self.pictures(request.source, size)
        state = LatentState.start(*self.video_patches.patchify(latent, fps=config.fps))
        items: list[ConditioningItem] = []
        if request.video is not None:
            _check_kept(request.video.kept, size, "pixels")
            tokens, _ = self.video_patches.patchify(self.pictures(request.video.pictures, size), fps=config.fps)
            items.append(MaskCondition(tokens, self.video_patches.free(torch.from_numpy(request.video.kept))))
        items += [self._still(number, picture, config, shape) for number, picture in request.passed]
        if request.reference is not None:
            how = trained_reference(self.record, "video")
            assert how is not None
            reference = self.pictures(request.reference, size)[0]
            seen = video_reference(
                reference, self.video_patches, config.fps, block=how.block, small=how.small, every=how.every
            )
            items.append(ReferenceVideoCondition(*seen))
        return apply_conditions(state, items)

    def audio(self, request: Request, shape: AudioLatentShape) -> LatentState:
        """The same of the sound: silence where a source has none."""
        latent = torch.zeros(*shape.shape)
        if request.source is not None:
            latent = self.sound(request.source_sound, shape)
        state = LatentState.start(*self.audio_patches.patchify(latent))
        items: list[ConditioningItem] = []
        if request.audio is not None:
            samples, kept = request.audio.samples, request.audio.kept
            _check_kept(kept, samples.shape[1:], "samples")
            room = shape.to_audio(self.audio_vae.compression).samples
            whole = np.pad(kept[:room], (0, max(0, room - len(kept))), constant_values=bool(kept[-1]))
            tokens, _ = self.audio_patches.patchify(self.sound(samples, shape))
            items.append(MaskCondition(tokens, self.audio_patches.free(torch.from_numpy(whole))))
        if request.reference_sound is not None:
            how = trained_reference(self.record, "audio")
            assert how is not None
            reference_wave = self.sound(request.reference_sound, shape)[0]
            reference = audio_reference(reference_wave, self.audio_patches, block=how.block, small=how.small)
            items.append(ReferenceVideoCondition(*reference))
        return apply_conditions(state, items)

    def pictures(self, pictures: np.ndarray, size: tuple[int, int, int]) -> Tensor:
        """Normalised latents [1, C, F', H', W'] of uint8 RGB [F, H, W, 3].

        Raises:
            AiprodError: they have another size.
        """
        if pictures.shape != (*size, 3):
            raise AiprodError(f"the given pictures have the shape {pictures.shape}", f"give {[*size, 3]}")
        pixels = torch.from_numpy(pictures.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        return self.video_vae.normalize(self.video_vae.encode(pixels.to(self.device)).mode()).cpu()

    def sound(self, samples: np.ndarray | None, shape: AudioLatentShape) -> Tensor:
        """Normalised latents of sound [2, S], cut or filled with silence."""
        wave = torch.zeros(1, 2, shape.to_audio(self.audio_vae.compression).samples)
        if samples is not None:
            waveform = torch.from_numpy(samples[:, : wave.shape[-1]].copy()).float()
            wave[0, :, : waveform.shape[-1]] = waveform
        latent = torch.zeros(*shape.shape)
        encoded = self.audio_vae.normalize(self.audio_vae.encode(wave.to(self.device)).mode()).cpu()
        latent[..., : encoded.shape[-1]] = encoded[..., : shape.frames]
        return latent

    def _still(
        self, number: int, picture: np.ndarray, config: GenerationConfig, shape: VideoLatentShape
    ) -> ConditioningItem:
        """A still in the latent frame that shows it, as if it were held there."""
        if not 0 <= number < config.frames:
            raise AiprodError(f"there is no frame {number}", f"the video has the frames 0 to {config.frames - 1}")
        time = self.video_vae.compression.time
        repeats = 1 if number == 0 else 1 + 2 * time  # what the causal encoder makes of a still after a still
        latent = self.pictures(np.repeat(picture[None], repeats, axis=0), (repeats, config.height_px, config.width_px))
        tokens, _ = self.video_patches.patchify(latent[:, :, -1:], fps=config.fps)
        return FrameCondition(tokens, self.video_patches.grid(shape), -(-number // time))


def _check_kept(kept: np.ndarray, size: tuple[int, ...], what: str) -> None:
    if kept.shape != tuple(size) or kept.dtype != np.bool_:
        raise AiprodError(f"what is kept has the shape {kept.shape}", f"give a bool of all {what}, {list(size)}")
