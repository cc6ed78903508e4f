"""LTX-2 checkpoints (HaCohen et al., 2026, arXiv:2601.03233) in diffusers format as a backbone: video and audio."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from aiprod.core.perturbations import Perturbation, PerturbationType
from aiprod.core.transformer.modality import ModalityInput
from aiprod.models.adapters.backbone import DiffusersBackbone, Sizes, refuse_skips

_CROSS = (PerturbationType.SKIP_AUDIO_TO_VIDEO, PerturbationType.SKIP_VIDEO_TO_AUDIO)
_SELF = (PerturbationType.SKIP_VIDEO_SELF_ATTENTION, PerturbationType.SKIP_AUDIO_SELF_ATTENTION)


_GATES: ContextVar[tuple[Tensor, Tensor]] = ContextVar("gates")  # of the call in this thread: for video, for audio


class LTX2Backbone(DiffusersBackbone):
    """``diffusers.LTX2VideoTransformer3DModel``. A missing stream is a single silent token that nothing attends to.

    Skipping self-attention means here what it means to this model: attention passes its values on.

    Where the noise levels of the streams differ, what a stream takes from the other is let through by the level of the
    other and scaled by its own, as in the code that was published with the weights. diffusers' class takes one of the
    two for both, so its gates are given their level here.

    Text features either are of the width of a stream, and both streams read the same, or hold one part for each stream
    as :class:`~aiprod.models.adapters.ltx2_text.LTX2TextEncoder` makes them.

    Args:
        model: the transformer.
        sound: False leaves the audio stream alone: the backbone is one for pictures.
    """

    def __init__(self, model: Any, *, sound: bool = True) -> None:
        config = model.config
        ready = config.get("use_prompt_embeddings", True)  # otherwise the connectors give what the blocks read
        self._texts: tuple[int, int] = (
            (config["caption_channels"],) * 2
            if ready
            else (config["cross_attention_dim"], config["audio_cross_attention_dim"])
        )
        audio = config["audio_in_channels"] if sound else 0
        super().__init__(model, Sizes(config["in_channels"], audio, sum(self._texts)))
        model.av_cross_attn_video_a2v_gate.register_forward_pre_hook(_video_gate)
        model.av_cross_attn_audio_v2a_gate.register_forward_pre_hook(_audio_gate)

    @property
    def text_widths(self) -> tuple[int, ...]:
        """Values that a text feature may have."""
        video, audio = self._texts
        return (video, video + audio) if video == audio else (video + audio,)

    def call(
        self, video: ModalityInput | None, audio: ModalityInput | None, skips: tuple[Perturbation, ...]
    ) -> tuple[Tensor | None, Tensor | None]:
        """The model on full batches of either stream or both: a velocity ``[B, N, C]`` for each that is given."""
        there = video if video is not None else audio
        assert there is not None and there.context is not None
        isolated, blocks = self._skips(skips)
        v = video if video is not None else _empty(there, self.sizes.video, 3)
        a = audio if audio is not None else _empty(there, self.config["audio_in_channels"], 1)
        assert v.context is not None and a.context is not None
        dtype = next(self.model.parameters()).dtype
        scale = self.config["timestep_scale_multiplier"]
        gate = self.config["cross_attn_timestep_scale_multiplier"]
        _GATES.set((gate * a.timesteps.amax(dim=1), gate * v.timesteps.amax(dim=1)))
        out, out_audio = self.model(
            hidden_states=v.latent.to(dtype),
            audio_hidden_states=a.latent.to(dtype),
            encoder_hidden_states=self._text(v.context, audio=False).to(dtype),
            audio_encoder_hidden_states=self._text(a.context, audio=True).to(dtype),
            timestep=scale * v.timesteps,
            audio_timestep=scale * a.timesteps,
            sigma=scale * v.timesteps.amax(dim=1),
            audio_sigma=scale * a.timesteps.amax(dim=1),
            encoder_attention_mask=v.context_mask,
            audio_encoder_attention_mask=a.context_mask,
            video_coords=_intervals(v.positions),
            audio_coords=_intervals(self.audio_seconds(a.positions)),
            isolate_modalities=isolated or video is None or audio is None,
            spatio_temporal_guidance_blocks=blocks or None,
            perturbation_mask=torch.zeros(v.latent.shape[0], device=v.latent.device) if blocks else None,
            return_dict=False,
        )
        return None if video is None else out, None if audio is None else out_audio

    def audio_seconds(self, positions: Tensor) -> Tensor:
        """Middle of each audio token ``[B, N, 1]`` in seconds for this model, whose causal VAE begins with one hop."""
        config = self.config
        factor = config["audio_scale_factor"]
        hop_s = config["audio_hop_length"] / config["audio_sampling_rate"]
        index = positions.double() / (factor * hop_s) - 0.5
        start = (index * factor + 1 - factor).clamp(min=0)
        end = ((index + 1) * factor + 1 - factor).clamp(min=0)
        return ((start + end) / 2 * hop_s).to(positions.dtype)

    def _text(self, context: Tensor, *, audio: bool) -> Tensor:
        """What one stream reads of the features."""
        if context.shape[-1] != sum(self._texts):
            return context
        return context[..., self._texts[0] :] if audio else context[..., : self._texts[0]]

    def _skips(self, skips: tuple[Perturbation, ...]) -> tuple[bool, list[int]]:
        """Whether the streams are isolated, and the blocks whose self-attentions are skipped."""
        depth = self.config["num_layers"]
        blocks = {kind: {b for b in range(depth) if any(s.skips(kind, b) for s in skips)} for kind in PerturbationType}
        cross, own = [blocks[kind] for kind in _CROSS], [blocks[kind] for kind in _SELF]
        if cross[0] != cross[1] or len(cross[0]) not in (0, depth) or own[0] != own[1]:
            refuse_skips(
                self.model, skips, "skip both self-attentions together, and the cross-attentions in all blocks"
            )
        if own[0] and not self.config.get("perturbed_attn"):
            refuse_skips(self.model, skips, 'set "perturbed_attn": true in its config.json')
        return bool(cross[0]), sorted(own[0])


def _video_gate(_module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (_GATES.get()[0], *args[1:])


def _audio_gate(_module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (_GATES.get()[1], *args[1:])


def _empty(other: ModalityInput, channels: int, axes: int) -> ModalityInput:
    """A stream of one token of zeros with the other stream's text."""
    batch = other.latent.shape[0]
    return ModalityInput(
        other.latent.new_zeros(batch, 1, channels),
        other.timesteps.new_zeros(batch, 1),
        other.positions.new_zeros(batch, 1, axes),
        other.context,
        other.context_mask,
    )


def _intervals(positions: Tensor) -> Tensor:
    """``[B, axes, N, 2]`` with both ends at the middle: the model uses the mean of the ends alone."""
    return positions.transpose(1, 2)[..., None].expand(-1, -1, -1, 2)
