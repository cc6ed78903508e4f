"""Text, and optionally a first frame, to video with sound."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aiprod.core.components.noiser import Noiser
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.components.schedulers import AdaptiveFlowScheduler
from aiprod.core.conditioning import ReferenceVideoCondition, coarse
from aiprod.core.generation import GenerationConfig
from aiprod.core.protocols import DiffusionStep, Scheduler, TextEncoder
from aiprod.core.types import LatentState, VideoLatentShape
from aiprod.errors import AiprodError, CoreError
from aiprod.inference.denoise import denoise
from aiprod.inference.side_by_side import each, is_small
from aiprod.models.adapters.autoencoders import AnyAudioVAE, AnyVideoVAE, load_audio_vae, load_video_vae
from aiprod.models.adapters.load_text_encoder import load_text_encoder, padded_tokens
from aiprod.models.artifacts import MODELS, TRANSFORMER, TrainingRecord, latent_maker_digests, read_record
from aiprod.models.load_transformer import Transformer, has_sound, load_transformer

_NAMES = {"video_vae": "video VAE", "audio_vae": "audio VAE", "text_encoder": "text encoder"}


@dataclass(frozen=True)
class Request:
    """One video to make.

    ``first_frame`` is uint8 RGB [H, W, 3], and ``reference`` (for a model trained by video_to_video) uint8 RGB
    [F, H, W, 3], both of the size that is generated. ``source`` is a video, and its sound [channels, samples] as long
    or None, that any model changes: it is noised to the ``strength`` of the call and denoised under the prompt (Meng et
    al., SDEdit, 2021, arXiv:2108.01073).
    """

    prompt: str
    seed: int
    first_frame: np.ndarray | None = None
    reference: np.ndarray | None = None
    source: np.ndarray | None = None
    source_sound: np.ndarray | None = None


@dataclass(frozen=True)
class Generated:
    """Pictures uint8 [F, H, W, 3] at ``fps``, and sound float32 [channels, samples] that lasts as long, or None."""

    request: Request
    pictures: np.ndarray
    sound: np.ndarray | None
    fps: float
    sample_rate: int


class AVPipeline:
    """Models in memory, ready to generate.

    Args:
        transformer, video_vae, audio_vae, text_encoder: in eval mode, on one device.
        record: how the transformer was trained.
        scheduler: chooses noise levels; one that is a step rule as well also takes the steps.
    """

    def __init__(
        self,
        transformer: Transformer,
        video_vae: AnyVideoVAE,
        audio_vae: AnyAudioVAE,
        text_encoder: TextEncoder,
        *,
        record: TrainingRecord,
        scheduler: Scheduler | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.transformer, self.video_vae, self.audio_vae = transformer, video_vae, audio_vae
        self.text_encoder, self.record, self.device = text_encoder, record, torch.device(device)
        self.scheduler = scheduler or AdaptiveFlowScheduler(terminal=None)
        self.video_patches = VideoLatentPatchifier(video_vae.compression, record.video_patch, record.video_gains)
        self.audio_patches = AudioLatentPatchifier(audio_vae.compression)
        self._empty: tuple[Tensor, Tensor] | None = None
        self._small = is_small(transformer)

    @classmethod
    def from_pretrained(cls, models: Path | str = MODELS, *, device: str | torch.device = "cpu") -> AVPipeline:
        """Load everything below ``models/``.

        Raises:
            AiprodError: a model is missing, or is another one than the transformer was trained with.
        """
        models = Path(models)
        record = read_record(models)
        now = latent_maker_digests(models)
        other = [_NAMES[name] for name, digest in record.made_with.items() if now.get(name) != digest]
        if other:
            raise AiprodError(f"the diffusion model was trained with another {' and '.join(other)}", "run `dvc repro`")
        try:
            video_vae = load_video_vae(models / "video_vae", device=device).eval()
            said = record.settings.get("params", {}).get("transformer", {})
            padded = said.get("text_tokens") or padded_tokens(models / "text_encoder")
            sound = bool(said.get("sound", True))
            return cls(
                load_transformer(models / TRANSFORMER, video_vae.compression, padded, sound=sound, device=device),
                video_vae,
                load_audio_vae(models / "audio_vae", device=device).eval(),
                load_text_encoder(models / "text_encoder", record.text_quantize, device),
                record=record,
                device=device,
            )
        except CoreError as error:
            raise AiprodError(error.what, error.hint) from None

    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[Request],
        config: GenerationConfig,
        *,
        strength: float = 1.0,
        at_once: int = 4,
        on_step: Callable[[], None] = lambda: None,
    ) -> list[Generated]:
        """Make one video with sound for each request. A result depends on its request only, to the bit.

        Args:
            strength: noise level from which sources are denoised, in (0, 1]; 1 forgets them.
            at_once: samples that a small model may make beside each other on a CPU, at most one a thread.
            on_step: called after each step of each sample, from several threads.

        Raises:
            AiprodError: a size that the models cannot make.
        """
        try:
            return self._generate(requests, config, strength, at_once, on_step)
        except CoreError as error:
            raise AiprodError(error.what, error.hint) from None

    def _generate(
        self,
        requests: Sequence[Request],
        config: GenerationConfig,
        strength: float,
        at_once: int,
        on_step: Callable[[], None],
    ) -> list[Generated]:
        self._check_given(requests)
        self._check_blocks(config)
        if config.audio and not has_sound(self.transformer):
            config = config.model_copy(update={"audio": False})
        sourced = any(request.source is not None for request in requests)
        if not 0 < strength <= 1 or (sourced and any(request.source is None for request in requests)):
            raise AiprodError("a source video is missing, or strength is not in (0, 1]", "batch such requests apart")
        shape = config.video(1).to_latent(self.video_vae.compression)
        sound = config.sound(self.audio_vae.compression).to_latent(self.audio_vae.compression) if config.audio else None
        texts = [self._features([request.prompt])[0] for request in requests]
        empty, telling = self._nothing(), threading.Lock()

        def told() -> None:
            with telling:
                on_step()

        def make(number: int) -> Generated:
            request = requests[number]
            random = torch.Generator().manual_seed(request.seed)
            noiser = Noiser(generator=random)
            level = strength if sourced else 1.0
            video = _on(noiser(self._video_start(request, config, shape), level), self.device)
            audio = None
            if sound is not None:
                tokens, places = self.audio_patches.patchify(self._audio_start(request, sound.shape))
                audio = _on(noiser(LatentState.start(tokens, places), level), self.device)
            scheduler = copy.deepcopy(self.scheduler)  # one that takes the steps remembers those before
            sigmas = scheduler.sigmas(config.steps, self.video_patches.tokens(shape))
            clean_video, clean_audio = denoise(
                self.transformer,
                video,
                audio,
                ([texts[number]], empty),
                config=config,
                sigmas=_from(sigmas, strength, sourced),
                generator=[random],  # continues where the first noise ended
                step=scheduler if isinstance(scheduler, DiffusionStep) else None,
                on_step=told,
            )
            return self._decode(request, config, shape, clean_video, clean_audio)

        if self.device.type == "cpu" and self._small:
            return each(make, range(len(requests)), at_once=at_once)
        return [make(number) for number in range(len(requests))]

    def _check_given(self, requests: Sequence[Request]) -> None:
        spanned = self.video_patches.patch[0]
        if spanned > 1 and any(request.first_frame is not None for request in requests):
            raise AiprodError(
                f"this model takes no first frame: a token of its video_patch spans {spanned} latent frames, and the"
                " first cannot be kept alone",
                "leave the picture out, or train with video_patch [1, y, x] and task.first_frame above 0",
            )
        given = sum(request.reference is not None for request in requests)
        if given not in (0, len(requests)):
            raise AiprodError("some requests of a batch have a reference and some have none", "batch them apart")
        if given and self.record.strategy != "video_to_video":
            raise AiprodError("this model takes no reference video", "train with strategy: video_to_video")

    def _check_blocks(self, config: GenerationConfig) -> None:
        count = len(self.transformer.blocks)
        beyond = [block for block in config.perturbed_blocks if block >= count]
        if beyond and config.perturbed_guidance:
            raise AiprodError(
                f"sample.generation.perturbed_blocks names block {beyond[0]}, and the model has {count}",
                f"give numbers from 0 to {count - 1}",
            )

    def _video_start(self, request: Request, config: GenerationConfig, shape: VideoLatentShape) -> LatentState:
        """Clean tokens of one sample: zeros, or the encoded first frame with mask 0 where it stands."""
        latent = torch.zeros(shape.shape)
        if request.source is not None:
            latent = self._encode(request.source, (config.frames, config.height_px, config.width_px))
        if request.first_frame is not None:
            latent[:, :, :1] = self._encode(request.first_frame[None], (1, config.height_px, config.width_px))
        tokens, places = self.video_patches.patchify(latent, fps=config.fps)
        state = LatentState.start(tokens, places)
        if request.first_frame is not None:
            mask = state.denoise_mask.clone()
            mask[:, : tokens.shape[1] // (shape.frames // self.video_patches.patch[0])] = 0.0
            state = state.replace(denoise_mask=mask)
        if request.reference is not None:
            given = self._encode(request.reference, (config.frames, config.height_px, config.width_px))
            block = int(self.record.settings["params"]["reference"]["block"])
            given = coarse(given[0], block)[None]
            state = ReferenceVideoCondition(*self.video_patches.patchify(given, fps=config.fps)).apply(state)
        return state

    def _audio_start(self, request: Request, shape: Sequence[int]) -> Tensor:
        """Clean latents of the source's sound (silence where it has none), or zeros without a source."""
        latent = torch.zeros(*shape)
        if request.source is None:
            return latent
        wave = torch.zeros(1, 2, shape[-1] * self.audio_vae.compression.hop)
        if request.source_sound is not None:
            given = torch.from_numpy(request.source_sound[:, : wave.shape[-1]].copy()).float()
            wave[0, :, : given.shape[-1]] = given
        encoded = self.audio_vae.normalize(self.audio_vae.encode(wave.to(self.device)).mode()).cpu()
        latent[..., : encoded.shape[-1]] = encoded[..., : shape[-1]]
        return latent

    def _encode(self, pictures: np.ndarray, size: tuple[int, int, int]) -> Tensor:
        """Normalised latents [1, C, F', H', W'] of uint8 RGB [F, H, W, 3]."""
        if pictures.shape != (*size, 3):
            raise AiprodError(f"the given pictures have the shape {pictures.shape}", f"give {[*size, 3]}")
        pixels = torch.from_numpy(pictures.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        return self.video_vae.normalize(self.video_vae.encode(pixels.to(self.device)).mode()).cpu()

    def _nothing(self) -> tuple[Tensor, Tensor]:
        """Features of the empty prompt."""
        if self._empty is None:
            self._empty = self._features([""])[0]
        return self._empty

    def _features(self, prompts: list[str]) -> list[tuple[Tensor, Tensor]]:
        features = self.text_encoder.encode(prompts)
        result = []
        for hidden, mask in zip(features.hidden.float().cpu(), features.mask.bool().cpu(), strict=True):
            kept = hidden[mask if bool(mask.any()) else slice(0, 1)]
            result.append((kept, torch.ones(len(kept), dtype=torch.bool)))
        return result

    def _decode(
        self, request: Request, config: GenerationConfig, shape: VideoLatentShape, video: Tensor, audio: Tensor | None
    ) -> Generated:
        rate = self.audio_vae.compression.sample_rate
        own = video[:, : self.video_patches.tokens(shape)]  # a reference stands behind them
        latent = self.video_patches.unpatchify(own, shape)
        pixels = self.video_vae.decode(self.video_vae.denormalize(latent))[0].clamp(-1, 1)
        pictures = ((pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
        sound = None
        if audio is not None:
            wave = self.audio_vae.decode(self.audio_vae.denormalize(audio.transpose(1, 2)))
            sound = wave[0, :, : round(config.frames / config.fps * rate)].clamp(-1, 1).float().cpu().numpy()
        return Generated(request, pictures, sound, config.fps, rate)


def _from(sigmas: Tensor, strength: float, sourced: bool) -> Tensor:
    """The levels that are below ``strength``, begun at it."""
    if not sourced or strength >= 1:
        return sigmas
    return torch.cat([sigmas.new_tensor([strength]), sigmas[sigmas < strength]])


def _on(state: LatentState, device: torch.device) -> LatentState:
    """The state in the memory of a device."""
    names = ("latent", "denoise_mask", "positions", "clean_latent")
    return LatentState(**{name: getattr(state, name).to(device) for name in names})
