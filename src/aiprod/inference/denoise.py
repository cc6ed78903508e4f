"""The sampling loop: video and audio tokens go from noise to clean together, guided by text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from aiprod.core.components.diffusion_steps import SAMPLERS
from aiprod.core.components.guiders import AdaptiveProjectedGuider, MultiModalGuider
from aiprod.core.generation import GenerationConfig
from aiprod.core.perturbations import Perturbation, PerturbationSet, PerturbationType
from aiprod.core.protocols import DiffusionStep, Random, Sigma
from aiprod.core.text_features import pad_text
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.types import LatentState

Texts = list[tuple[Tensor, Tensor]]  # per sample: hidden [T, D], mask [T]


@dataclass(frozen=True)
class Guidance:
    """Which model calls guidance needs and how their outputs are combined, per stream."""

    video: MultiModalGuider | AdaptiveProjectedGuider
    audio: MultiModalGuider | AdaptiveProjectedGuider
    blocks: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: GenerationConfig) -> Guidance:
        """As configured."""

        def guider(scale: float) -> MultiModalGuider | AdaptiveProjectedGuider:
            if config.guider == "projected":
                return AdaptiveProjectedGuider(scale, rescale=config.guidance_rescale)
            return MultiModalGuider(scale, config.perturbed_guidance, config.modality_guidance, config.guidance_rescale)

        return cls(guider(config.video_guidance), guider(config.audio_guidance), config.perturbed_blocks)

    def calls(self) -> list[str]:
        """Names of the calls, the conditional one first."""
        both = (self.video, self.audio)
        needed = {
            "unconditional": any(g.needs_unconditional if _many(g) else g.enabled for g in both),
            "perturbed": any(_many(g) and g.needs_perturbed for g in both),
            "isolated": any(_many(g) and g.needs_isolated for g in both),
        }
        return ["conditional", *(name for name, wanted in needed.items() if wanted)]


def _many(guider: MultiModalGuider | AdaptiveProjectedGuider) -> TypeGuard[MultiModalGuider]:
    return isinstance(guider, MultiModalGuider)


def make_step(config: GenerationConfig) -> DiffusionStep:
    """The step that the configuration names."""
    return SAMPLERS[config.step](config.eta)


@torch.no_grad()
def denoise(
    model: nn.Module,
    video: LatentState | None,
    audio: LatentState | None,
    texts: tuple[Texts, tuple[Tensor, Tensor]],
    *,
    sigmas: Tensor,
    config: GenerationConfig,
    generator: Random | None = None,
    step: DiffusionStep | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> tuple[Tensor | None, Tensor | None]:
    """Denoise the streams that are there.

    Args:
        video, audio: noised to σ = 1 (tokens with mask 0 hold their clean value and stay so); None = absent, one at
            most.
        texts: features of each prompt, and of the empty one.
        sigmas: [steps + 1], from 1 to 0.
        generator: for steps that add noise; one per sample.
        step: used instead of the one that the configuration names.

    Returns:
        clean tokens of video and audio.
    """
    guidance = Guidance.of(config)
    step, packing = step or make_step(config), _Packing(video, audio)
    sample = packing.pack(*(None if state is None else state.latent for state in (video, audio)))

    def predict(packed: Tensor, sigma: Sigma) -> Tensor:
        return packing.pack(*_velocity(model, packing.states(packed), texts, float(sigma), guidance))

    for sigma, sigma_next in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        moved = step.step(sample, predict(sample, sigma), sigma, sigma_next, predict=predict, generator=generator)
        sample = packing.keep(moved)
        on_step()
    return packing.unpack(sample)


class _Packing:
    """Both streams as one [B, D] tensor, so that every step rule treats them as one sample."""

    def __init__(self, video: LatentState | None, audio: LatentState | None) -> None:
        self._streams = (video, audio)
        self._clean = self.pack(*(None if state is None else state.clean_latent for state in self._streams))
        masks = [
            state.denoise_mask[..., None].expand_as(state.latent).flatten(1)
            for state in self._streams
            if state is not None
        ]
        self._mask = torch.cat(masks, 1)

    def pack(self, video: Tensor | None, audio: Tensor | None) -> Tensor:
        return torch.cat([part.flatten(1) for part in (video, audio) if part is not None], 1)

    def unpack(self, packed: Tensor) -> tuple[Tensor | None, Tensor | None]:
        parts: list[Tensor | None] = []
        at = 0
        for state in self._streams:
            count = 0 if state is None else state.latent[0].numel()
            parts.append(None if state is None else packed[:, at : at + count].reshape(state.latent.shape))
            at += count
        return parts[0], parts[1]

    def states(self, packed: Tensor) -> tuple[LatentState | None, LatentState | None]:
        now = [
            state.replace(latent=latent) if state is not None and latent is not None else None
            for state, latent in zip(self._streams, self.unpack(packed), strict=True)
        ]
        return now[0], now[1]

    def keep(self, packed: Tensor) -> Tensor:
        """Kept tokens back to their clean values."""
        return torch.where(self._mask > 0, packed, self._clean)


def _velocity(
    model: nn.Module,
    states: tuple[LatentState | None, LatentState | None],
    texts: tuple[Texts, tuple[Tensor, Tensor]],
    sigma: float,
    guidance: Guidance,
) -> tuple[Tensor | None, Tensor | None]:
    """Guided velocities; all guidance calls stand in one batch."""
    calls = guidance.calls()
    prompts, empty = texts
    batch = len(prompts)
    rows = [[empty] * batch if call == "unconditional" else prompts for call in calls]
    hidden, mask = pad_text([text for row in rows for text in row])
    device = next(state.latent.device for state in states if state is not None)
    context, context_mask = hidden.to(device), mask.to(device)
    inputs = [
        None
        if state is None
        else ModalityInput(
            latent=state.latent.repeat(len(calls), 1, 1),
            timesteps=_times(state, sigma).repeat(len(calls), 1),
            positions=state.positions.repeat(len(calls), 1, 1),
            context=context,
            context_mask=context_mask,
            token_mask=None,
            own=state.own,
        )
        for state in states
    ]
    output = model(inputs[0], inputs[1], _perturbations(calls, batch, guidance.blocks))
    results: list[Tensor | None] = []
    for predicted, guider in ((output.video, guidance.video), (output.audio, guidance.audio)):
        parts = dict(zip(calls, predicted.chunk(len(calls)), strict=True)) if predicted is not None else {}
        if isinstance(guider, AdaptiveProjectedGuider):
            results.append(_projected(guider, parts))
        else:
            results.append(guider(**parts) if parts else None)
    return results[0], results[1]


def _projected(guider: AdaptiveProjectedGuider, parts: dict[str, Tensor]) -> Tensor | None:
    conditional = parts.get("conditional")
    if conditional is None or not guider.enabled:
        return conditional
    return guider(conditional, parts["unconditional"])


def _times(state: LatentState, sigma: float) -> Tensor:
    """[B, N], or [B, 1] where all tokens share one noise level (the model is then quicker)."""
    times = state.timesteps(sigma)
    return times[:, :1] if bool((state.denoise_mask == 1).all()) else times


def _perturbations(calls: list[str], batch: int, blocks: tuple[int, ...]) -> PerturbationSet | None:
    skip = [
        Perturbation(t, blocks or None)
        for t in (PerturbationType.SKIP_VIDEO_SELF_ATTENTION, PerturbationType.SKIP_AUDIO_SELF_ATTENTION)
    ]
    kinds = {"perturbed": tuple(skip), "isolated": PerturbationSet.isolate(1).samples[0]}
    if not set(calls) & set(kinds):
        return None
    return PerturbationSet(tuple(kinds.get(call, ()) for call in calls for _ in range(batch)))
