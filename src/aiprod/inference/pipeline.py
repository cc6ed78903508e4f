"""Text to video with sound, under whatever is given of either."""

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
from aiprod.core.generation import GenerationConfig
from aiprod.core.latent_upsampler import LatentUpsampler, upsample
from aiprod.core.protocols import DiffusionStep, Scheduler, TextEncoder
from aiprod.core.types import LatentState, VideoLatentShape
from aiprod.errors import AiprodError, CoreError
from aiprod.inference.denoise import denoise
from aiprod.inference.initial_state import Starts
from aiprod.inference.request import GeneratedClip, Request
from aiprod.inference.revoked_models import refuse_affected
from aiprod.inference.side_by_side import each, is_small
from aiprod.inference.two_stage import first_stage, halved
from aiprod.models.adapters.autoencoders import AnyAudioVAE, AnyVideoVAE, load_audio_vae, load_video_vae
from aiprod.models.adapters.load_text_encoder import load_text_encoder, padded_tokens
from aiprod.models.artifacts import (
    LATENT_MAKERS,
    MODELS,
    TRAINING,
    TRANSFORMER,
    TrainingRecord,
    latent_maker_digests,
    read_record,
)
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.models.checkpoint.signing import refuse_unsigned
from aiprod.models.latent_upsampler import FOLDER as UPSAMPLER
from aiprod.models.latent_upsampler import load_upsampler
from aiprod.models.load_transformer import Transformer, has_sound, load_transformer

Clean = tuple[Tensor | None, Tensor | None]
"""Clean tokens of video and audio."""

_NAMES = {"video_vae": "video VAE", "audio_vae": "audio VAE", "text_encoder": "text encoder"}


class AVPipeline:
    """Models in memory, ready to generate.

    Args:
        transformer, video_vae, audio_vae, text_encoder: in eval mode, on one device.
        record: how the transformer was trained.
        upsampler: for sampling in two stages.
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
        upsampler: LatentUpsampler | None = None,
        scheduler: Scheduler | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.transformer, self.video_vae, self.audio_vae = transformer, video_vae, audio_vae
        self.text_encoder, self.record, self.device = text_encoder, record, torch.device(device)
        self.upsampler = upsampler
        self.scheduler = scheduler or AdaptiveFlowScheduler(terminal=None)
        self.video_patches = VideoLatentPatchifier(video_vae.compression, record.video_patch, record.video_gains)
        self.audio_patches = AudioLatentPatchifier(audio_vae.compression)
        self._empty: tuple[Tensor, Tensor] | None = None
        self._small = is_small(transformer)

    @classmethod
    def from_pretrained(
        cls, models: Path | str = MODELS, *, device: str | torch.device = "cpu", affected: bool = False
    ) -> AVPipeline:
        """Load everything below ``models/``.

        Args:
            affected: also models that saw a film which was erased, or whose right or consent has ended.

        Raises:
            AiprodError: a model is missing, unsigned where the workspace asks for signatures, saw such a film, or is
                another one than the transformer was trained with.
        """
        models = Path(models)
        record = permitted_record(models, affected=affected)
        try:
            video_vae = load_video_vae(models / "video_vae", device=device).eval()
            settings = record.settings.get("params", {}).get("transformer", {})
            padded = settings.get("text_tokens") or padded_tokens(models / "text_encoder")
            sound = bool(settings.get("sound", True))
            return cls(
                load_transformer(models / TRANSFORMER, video_vae.compression, padded, sound=sound, device=device),
                video_vae,
                load_audio_vae(models / "audio_vae", device=device).eval(),
                load_text_encoder(models / "text_encoder", record.text_quantize, device),
                record=record,
                upsampler=_upsampler(models, record, device),
                device=device,
            )
        except CoreError as error:
            raise AiprodError(error.what, error.hint) from None

    @property
    def starts(self) -> Starts:
        """What encodes the given parts of requests."""
        vaes, patches = (self.video_vae, self.audio_vae), (self.video_patches, self.audio_patches)
        return Starts(vaes, patches, self.record, self.device)

    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[Request],
        config: GenerationConfig,
        *,
        strength: float = 1.0,
        at_once: int = 4,
        on_step: Callable[[], None] = lambda: None,
    ) -> list[GeneratedClip]:
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
    ) -> list[GeneratedClip]:
        if config.audio and not has_sound(self.transformer):
            config = config.model_copy(update={"audio": False})
        self._check_given(requests, config.audio)
        self._check_blocks(config)
        sourced = any(request.source is not None for request in requests)
        if not 0 < strength <= 1 or (sourced and any(request.source is None for request in requests)):
            raise AiprodError("a source video is missing, or strength is not in (0, 1]", "batch such requests apart")
        whole, factors = config, (1, 1, 1)
        if config.two_stage:
            config = first_stage(whole, self.upsampler, self.video_vae.compression, self.video_patches)
            assert self.upsampler is not None
            factors = self.upsampler.config.factors
        compression = self.video_vae.compression
        shape, full = config.video(1).to_latent(compression), whole.video(1).to_latent(compression)
        sound = whole.sound(self.audio_vae.compression).to_latent(self.audio_vae.compression) if whole.audio else None
        texts = [self._features([request.prompt])[0] for request in requests]
        empty, telling = self._nothing(), threading.Lock()

        def told() -> None:
            with telling:
                on_step()

        def make(number: int) -> GeneratedClip:
            original = requests[number]
            request = halved(original, factors)
            random = torch.Generator().manual_seed(request.seed)
            noiser = Noiser(generator=random)
            level = strength if sourced else 1.0
            video = audio = None
            if "video" not in request.absent:
                video = _on(noiser(self.starts.video(request, config, shape), level), self.device)
            if sound is not None and "audio" not in request.absent:
                audio = _on(noiser(self.starts.audio(request, sound), level), self.device)

            def denoised(video: LatentState | None, audio: LatentState | None, stage: Stage) -> Clean:
                scheduler = copy.deepcopy(self.scheduler)  # one that takes the steps remembers those before
                sigmas = scheduler.sigmas(stage.steps, self.video_patches.tokens(stage.shape))
                return denoise(
                    self.transformer,
                    video,
                    audio,
                    ([texts[number]], empty),
                    config=config,
                    sigmas=stage.levels(sigmas),
                    generator=[random],  # continues where the last noise ended
                    step=scheduler if isinstance(scheduler, DiffusionStep) else None,
                    on_step=told,
                )

            clean_video, clean_audio = denoised(video, audio, Stage(config.steps, shape, level, cut=sourced))
            if whole.two_stage and clean_video is not None:
                own = clean_video[:, : self.video_patches.tokens(shape)]  # a reference stands behind them
                larger = self._larger(self.video_patches.unpatchify(own, shape))
                state = noiser(self.starts.video(original, whole, full, larger), whole.refine_sigma)
                heard = None if audio is None or clean_audio is None else _settled(audio, clean_audio)
                stage = Stage(whole.refine_steps, full, whole.refine_sigma)
                clean_video, _ = denoised(_on(state, self.device), heard, stage)
            return self._decode(original, whole, full, clean_video, clean_audio)

        if self.device.type == "cpu" and self._small:
            return each(make, range(len(requests)), at_once=at_once)
        return [make(number) for number in range(len(requests))]

    def _larger(self, latent: Tensor) -> Tensor:
        assert self.upsampler is not None
        return upsample(self.upsampler, self.video_vae, latent)

    def _check_given(self, requests: Sequence[Request], audio: bool) -> None:
        for field in ("reference", "reference_sound"):
            if sum(getattr(request, field) is not None for request in requests) not in (0, len(requests)):
                raise AiprodError("some requests of a batch have a reference and some have none", "batch them apart")
        for request in requests:
            self.starts.check(request)
            sound = request.audio is not None or request.reference_sound is not None or "video" in request.absent
            if sound and not audio:
                raise AiprodError(
                    "sound is given or asked for, and none is made", "use a model that was trained with it"
                )

    def _check_blocks(self, config: GenerationConfig) -> None:
        count = len(self.transformer.blocks)
        beyond = [block for block in config.perturbed_blocks if block >= count]
        if beyond and config.perturbed_guidance:
            raise AiprodError(
                f"sample.generation.perturbed_blocks names block {beyond[0]}, and the model has {count}",
                f"give numbers from 0 to {count - 1}",
            )

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
        self,
        request: Request,
        config: GenerationConfig,
        shape: VideoLatentShape,
        video: Tensor | None,
        audio: Tensor | None,
    ) -> GeneratedClip:
        rate = self.audio_vae.compression.sample_rate
        pictures = np.empty((0, config.height_px, config.width_px, 3), np.uint8)
        if video is not None:
            own = video[:, : self.video_patches.tokens(shape)]  # a reference stands behind them
            latent = self.video_patches.unpatchify(own, shape)
            pixels = self.video_vae.decode(self.video_vae.denormalize(latent))[0].clamp(-1, 1)
            pictures = ((pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
            if request.video is not None:
                pictures = np.where(request.video.kept[..., None], request.video.pictures, pictures)
        sound, length = None, round(config.frames / config.fps * rate)
        if audio is not None:
            own = audio[:, : config.sound(self.audio_vae.compression).to_latent(self.audio_vae.compression).frames]
            wave = self.audio_vae.decode(self.audio_vae.denormalize(own.transpose(1, 2)))
            sound = wave[0, :, :length].clamp(-1, 1).float().cpu().numpy()
            if request.audio is not None:
                sound = np.where(request.audio.kept[:length], request.audio.samples[:, :length], sound)
        return GeneratedClip(request, pictures, sound, config.fps, rate)


def permitted_record(models: Path, *, affected: bool = False) -> TrainingRecord:
    """How the models below a folder were trained, once it is known that they may be sampled from; none is loaded.

    Raises:
        AiprodError: as :meth:`AVPipeline.from_pretrained`.
    """
    refuse_unsigned(models, (*LATENT_MAKERS, Path(TRAINING).parent.name))
    if not affected:
        refuse_affected(models)
    record = read_record(models)
    now = latent_maker_digests(models)
    other = [_NAMES[name] for name, digest in record.made_with.items() if now.get(name) != digest]
    if other:
        raise AiprodError(f"the diffusion model was trained with another {' and '.join(other)}", "run `dvc repro`")
    return record


@dataclass(frozen=True)
class Stage:
    """A stretch of sampling at one size.

    Attributes:
        steps: of the scheduler.
        shape: of the latent.
        begin: noise level that it begins at.
        cut: whether the scheduler's levels above ``begin`` are left out; otherwise all are made smaller by it.
    """

    steps: int
    shape: VideoLatentShape
    begin: float
    cut: bool = False

    def levels(self, sigmas: Tensor) -> Tensor:
        """The noise levels, from those of a whole sampling."""
        if self.begin >= 1:
            return sigmas
        if self.cut:
            return torch.cat([sigmas.new_tensor([self.begin]), sigmas[sigmas < self.begin]])
        return sigmas * self.begin


def _settled(state: LatentState, clean: Tensor) -> LatentState:
    """A stream that is given as it is, to be looked at."""
    return state.replace(latent=clean, clean_latent=clean, denoise_mask=torch.zeros_like(state.denoise_mask))


def _upsampler(models: Path, record: TrainingRecord, device: str | torch.device) -> LatentUpsampler | None:
    if record.upsampler is None:
        return None
    if folder_digest(models / UPSAMPLER) != record.upsampler.digest:
        raise AiprodError(f"{models / UPSAMPLER} is not the one that the model was trained with", "run `dvc repro`")
    return load_upsampler(models / UPSAMPLER, device=device)


def _on(state: LatentState, device: torch.device) -> LatentState:
    """The state in the memory of a device."""
    names = ("latent", "denoise_mask", "positions", "clean_latent")
    return state.replace(**{name: getattr(state, name).to(device) for name in names})
