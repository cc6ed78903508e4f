"""A model of another project behind our transformer's call, so that our trainers and samplers take either.

Models in diffusers format know neither padding nor absent streams inside a batch. The adapter therefore calls them
once for each group of samples that have the same tokens and the same perturbations, without the absent tokens, and
puts the results together: exact, at the price of several calls for a mixed batch.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aiprod.core.perturbations import Perturbation, PerturbationSet, PerturbationType
from aiprod.core.transformer.modality import AVOutput, ModalityInput
from aiprod.errors import AiprodError


class Sizes(NamedTuple):
    """Values in a token of video and of audio (0 = no audio), and in a text feature."""

    video: int
    audio: int
    text: int


class DiffusersBackbone(nn.Module):
    """Base of the adapters; ``model`` is the diffusers model, whose parameters are trained and saved as they are.

    Args:
        model: a transformer in diffusers format.
        sizes: of its tokens and text.
    """

    model: Any
    config: dict[str, Any]

    def __init__(self, model: Any, sizes: Sizes) -> None:
        super().__init__()
        self.config = dict(model.config)
        self.model = model
        self.sizes = sizes

    @property
    def text_widths(self) -> tuple[int, ...]:
        """Values that a text feature may have."""
        return (self.sizes.text,)

    @property
    def blocks(self) -> list[nn.Module]:
        """Its transformer blocks, as our own model has them."""
        return list(getattr(self.model, "transformer_blocks", None) or self.model.blocks)

    @abstractmethod
    def call(
        self, video: ModalityInput | None, audio: ModalityInput | None, skips: tuple[Perturbation, ...]
    ) -> tuple[Tensor | None, Tensor | None]:
        """The model on samples that all have all tokens and the same perturbations."""

    def forward(
        self, video: ModalityInput | None, audio: ModalityInput | None, perturbations: PerturbationSet | None = None
    ) -> AVOutput:
        """Predicted velocity of every token; 0 for absent tokens.

        Raises:
            AiprodError: the model has no such stream, needs text, or cannot skip what is to be skipped.
        """
        self._check(video, audio)
        first = video if video is not None else audio
        assert first is not None
        batch = first.latent.shape[0]
        outputs = [None if s is None else torch.zeros_like(s.latent) for s in (video, audio)]
        for rows in _groups(batch, video, audio, perturbations):
            skips = perturbations.samples[rows[0]] if perturbations is not None else ()
            index = torch.tensor(rows, device=first.latent.device)
            kept = [_columns(s, rows[0]) for s in (video, audio)]
            parts = [_select(s, index, k) for s, k in zip((video, audio), kept, strict=True)]
            if parts[0] is None and parts[1] is None:
                continue
            results = self.call(parts[0], parts[1], skips)
            for which, (result, columns) in enumerate(zip(results, kept, strict=True)):
                whole = outputs[which]
                if result is None or whole is None:
                    continue
                where = torch.arange(whole.shape[1], device=index.device) if columns is None else columns
                outputs[which] = whole.to(result.dtype).index_put((index[:, None], where[None, :]), result)
        return AVOutput(outputs[0], outputs[1])

    def enable_gradient_checkpointing(self, enabled: bool = True) -> None:
        """Switch recomputation in the backward pass on or off."""
        getattr(self.model, "enable_gradient_checkpointing" if enabled else "disable_gradient_checkpointing")()

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the model in diffusers format (``config.json`` and safetensors)."""
        self.model.save_pretrained(folder, safe_serialization=True)

    def _check(self, video: ModalityInput | None, audio: ModalityInput | None) -> None:
        name = type(self.model).__name__
        if video is None and audio is None:
            raise AiprodError("neither video nor audio was given", "give at least one stream")
        if video is None and not self.sizes.audio:
            raise AiprodError(f"{name} makes video and was given none", "give video tokens")
        if audio is not None and not self.sizes.audio:
            raise AiprodError(f"{name} has no audio stream", "give audio=None, or use a model with sound")
        for stream, channels, kind in ((video, self.sizes.video, "video"), (audio, self.sizes.audio, "audio")):
            if stream is None:
                continue
            if stream.latent.shape[-1] != channels:
                raise AiprodError(
                    f"{kind} tokens have {stream.latent.shape[-1]} values", f"{name} takes {channels}: use its own VAE"
                )
            if stream.context is None or stream.context.shape[-1] not in self.text_widths:
                got = "no text" if stream.context is None else f"text features of {stream.context.shape[-1]} values"
                takes = " or ".join(map(str, self.text_widths))
                raise AiprodError(f"{name} was given {got}", f"it takes {takes}: use its own text encoder")


def refuse_skips(model: Any, skips: tuple[Perturbation, ...], can: str) -> None:
    """Say that a model cannot skip these attentions.

    Raises:
        AiprodError: always, with what the model can do instead.
    """
    names = ", ".join(sorted({skip.type.value for skip in skips}))
    raise AiprodError(f"{type(model).__name__} cannot do {names} in those blocks", can)


def without_cross_skips(skips: tuple[Perturbation, ...]) -> tuple[Perturbation, ...]:
    """The perturbations that mean anything to a model of one stream."""
    cross = (PerturbationType.SKIP_AUDIO_TO_VIDEO, PerturbationType.SKIP_VIDEO_TO_AUDIO)
    audio = PerturbationType.SKIP_AUDIO_SELF_ATTENTION
    return tuple(s for s in skips if s.type not in (*cross, audio))


def _groups(
    batch: int, video: ModalityInput | None, audio: ModalityInput | None, perturbations: PerturbationSet | None
) -> list[list[int]]:
    """Rows of the batch that have the same tokens and perturbations, in order of first appearance."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for row in range(batch):
        masks = tuple(
            None if s is None or s.token_mask is None else bytes(s.token_mask[row].byte().cpu().tolist())
            for s in (video, audio)
        )
        groups.setdefault((masks, perturbations.samples[row] if perturbations is not None else ()), []).append(row)
    return list(groups.values())


def _columns(stream: ModalityInput | None, row: int) -> Tensor | None:
    """Present tokens of a row; None = all."""
    if stream is None or stream.token_mask is None or bool(stream.token_mask[row].all()):
        return None
    return stream.token_mask[row].nonzero()[:, 0]


def _select(stream: ModalityInput | None, rows: Tensor, columns: Tensor | None) -> ModalityInput | None:
    """These rows and tokens of a stream; None if no token is left."""
    if stream is None or (columns is not None and not len(columns)):
        return None

    def pick(tensor: Tensor) -> Tensor:
        chosen = tensor[rows]
        return chosen if columns is None or tensor.shape[1] == 1 else chosen[:, columns]

    return ModalityInput(
        pick(stream.latent),
        pick(stream.timesteps),
        pick(stream.positions),
        None if stream.context is None else stream.context[rows],
        None if stream.context_mask is None else stream.context_mask[rows],
    )
