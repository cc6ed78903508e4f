"""The curriculum: phases of rising resolution, each with its rate, regularisation, batch and duration."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field, model_validator

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.trainer.loop.lr_schedule import Decay, LRSchedule
from aiprod.trainer.loop.phases import Phase, PhaseScheduler, Plateau


class PhaseGeometry(Params):
    """What the clips of a phase look like. Sizes must divide by the VAE's compression (checked when caching)."""

    height: int = Field(ge=8, le=16_384, description="pixels of a landscape clip; a portrait clip swaps the two")
    width: int = Field(ge=8, le=16_384, description="pixels")
    frames: int = Field(
        ge=1, le=100_000, description="frames of a full clip; shorter clips use the longest valid number"
    )
    fps: float = Field(gt=0, le=120, description="frames per second")

    @property
    def duration_s(self) -> float:
        """Seconds that the frames last."""
        return self.frames / self.fps


class PhaseDuration(Params):
    """How long a phase lasts: exactly one of ``steps``, ``epochs`` and ``plateau``."""

    steps: int | None = Field(default=None, ge=0)
    epochs: float | None = Field(default=None, gt=0)
    plateau: Plateau | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PhaseDuration:
        stated = [n for n in ("steps", "epochs", "plateau") if getattr(self, n) is not None]
        if len(stated) != 1:
            raise ValueError(f"give exactly one of steps, epochs and plateau, not {stated or 'none'} → keep one")
        return self

    def most_steps(self, batch: int, clips_per_epoch: int) -> int:
        """The largest number of steps that the phase can take."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return math.ceil(self.epochs * clips_per_epoch / batch)
        assert self.plateau is not None
        return self.plateau.max_steps


class PhaseConfig(PhaseGeometry):
    """One phase: what its clips look like, and how it trains."""

    duration: PhaseDuration
    batch: int = Field(ge=1, le=65_536, description="clips in a global batch, over all ranks")
    lr_scale: float = Field(gt=0, description="times the top-level lr")
    weight_decay: float = Field(ge=0, le=1)
    warmup_steps: int = Field(default=0, ge=0)
    decay: Decay = "constant"
    final_lr_fraction: float = Field(default=0.1, ge=0, le=1, description="of the phase's rate, at its end")

    def planned(self, name: str, lr: float, clips_per_epoch: int) -> Phase:
        """The phase as the training loop takes it."""
        steps = self.duration.most_steps(self.batch, clips_per_epoch)
        return Phase(
            setting=f"curriculum.phases.{name}",
            steps=steps,
            lr=LRSchedule(lr * self.lr_scale, steps, self.warmup_steps, self.decay, self.final_lr_fraction),
            weight_decay=self.weight_decay,
            plateau=self.duration.plateau,
        )

    @property
    def geometry(self) -> PhaseGeometry:
        """The part that latents depend on."""
        return PhaseGeometry(**{name: getattr(self, name) for name in PhaseGeometry.model_fields})


class CurriculumConfig(Params):
    """Phases of training, in the order in which they are written."""

    phases: dict[str, PhaseConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _something_to_do(self) -> CurriculumConfig:
        if all(phase.duration.steps == 0 for phase in self.phases.values()):
            raise ValueError("every phase has 0 steps → give one of them steps")
        return self

    def geometry(self) -> dict[str, PhaseGeometry]:
        """Phase → what its clips look like."""
        return {name: phase.geometry for name, phase in self.phases.items()}

    def scheduler(self, lr: float, clips_per_epoch: Mapping[str, int]) -> PhaseScheduler:
        """The phases as the training loop walks through them.

        Args:
            lr: base learning rate, scaled by each phase.
            clips_per_epoch: phase → clips in one round, for durations in epochs.

        Raises:
            AiprodError: a phase has no clip.
        """
        missing = [name for name in self.phases if not clips_per_epoch.get(name)]
        if missing:
            raise AiprodError(f"phase {missing[0]!r} has no usable clip", "see the table of buckets")
        return PhaseScheduler({n: p.planned(n, lr, clips_per_epoch[n]) for n, p in self.phases.items()})
