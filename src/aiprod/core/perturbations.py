"""Which attentions to skip, per block and per sample: the weakened model that perturbed guidance steers away from.

A skipped attention adds nothing, so the block passes its input on (residual skip; Hyung et al. 2024, arXiv:2411.18664).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor

from aiprod.errors import CoreError


class PerturbationType(StrEnum):
    """The attentions that can be skipped."""

    SKIP_VIDEO_SELF_ATTENTION = "skip_video_self_attention"
    SKIP_AUDIO_SELF_ATTENTION = "skip_audio_self_attention"
    SKIP_AUDIO_TO_VIDEO = "skip_audio_to_video"
    SKIP_VIDEO_TO_AUDIO = "skip_video_to_audio"


@dataclass(frozen=True)
class Perturbation:
    """Skip one attention in some blocks (None = in all)."""

    type: PerturbationType
    blocks: tuple[int, ...] | None = None

    def skips(self, type_: PerturbationType, block: int) -> bool:
        """Whether it skips this attention of this block."""
        return self.type == type_ and (self.blocks is None or block in self.blocks)


@dataclass(frozen=True)
class PerturbationSet:
    """The perturbations of each sample of a batch, in order; an empty tuple leaves that sample as it is."""

    samples: tuple[tuple[Perturbation, ...], ...]

    @classmethod
    def everywhere(cls, batch: int, *perturbations: Perturbation) -> PerturbationSet:
        """The same perturbations for every sample."""
        return cls((tuple(perturbations),) * batch)

    @classmethod
    def isolate(cls, batch: int) -> PerturbationSet:
        """Neither stream attends to the other, in any block: what modality guidance steers away from."""
        types = (PerturbationType.SKIP_AUDIO_TO_VIDEO, PerturbationType.SKIP_VIDEO_TO_AUDIO)
        return cls.everywhere(batch, *(Perturbation(t) for t in types))

    @classmethod
    def skip_self_attention(cls, batch: int, blocks: Iterable[int]) -> PerturbationSet:
        """Both self-attentions skipped in ``blocks``: what spatio-temporal guidance steers away from."""
        types = (PerturbationType.SKIP_VIDEO_SELF_ATTENTION, PerturbationType.SKIP_AUDIO_SELF_ATTENTION)
        chosen = tuple(blocks)
        return cls.everywhere(batch, *(Perturbation(t, chosen) for t in types))

    def keep(self, type_: PerturbationType, block: int, like: Tensor) -> Float[Tensor, "batch 1 1"] | None:
        """1 for samples that keep this attention in this block and 0 for those that skip it; None if all keep it."""
        skipped = [any(p.skips(type_, block) for p in sample) for sample in self.samples]
        if not any(skipped):
            return None
        kept = [0.0 if skip else 1.0 for skip in skipped]
        return torch.tensor(kept, dtype=like.dtype, device=like.device)[:, None, None]

    def check(self, batch: int, blocks: int) -> None:
        """Refuse a set that does not fit the batch or names a block that is not there.

        Raises:
            CoreError: says which.
        """
        if len(self.samples) != batch:
            raise CoreError(
                f"perturbations for {len(self.samples)} samples, the batch has {batch}", "give one tuple each"
            )
        for sample in self.samples:
            for perturbation in sample:
                unknown = [b for b in perturbation.blocks or () if not 0 <= b < blocks]
                if unknown:
                    raise CoreError(f"{perturbation.type} names block {unknown[0]}", f"blocks are 0 to {blocks - 1}")
