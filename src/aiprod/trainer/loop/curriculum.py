"""The curriculum: phases of rising resolution, each with its rate, regularisation, batch and duration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from aiprod.base.params import Params
from aiprod.errors import AiprodError


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


class Plateau(Params):
    """Ends a phase when the loss stops falling."""

    window_steps: int = Field(ge=1, description="losses are averaged over windows of this many steps")
    patience: int = Field(ge=1, description="windows without improvement before the phase ends")
    min_improvement: float = Field(ge=0, lt=1, description="relative fall that counts as an improvement")
    min_steps: int = Field(ge=1)
    max_steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Plateau:
        if self.max_steps < self.min_steps:
            raise ValueError("max_steps is below min_steps → raise max_steps")
        return self


class PhaseDuration(Params):
    """How long a phase lasts: exactly one of ``steps``, ``epochs`` and ``plateau``."""

    steps: int | None = Field(default=None, ge=0)
    epochs: float | None = Field(default=None, gt=0)
    plateau: Plateau | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PhaseDuration:
        given = [n for n in ("steps", "epochs", "plateau") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of steps, epochs and plateau, not {given or 'none'} → keep one")
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
    decay: Literal["constant", "linear", "cosine"] = "constant"
    final_lr_fraction: float = Field(default=0.1, ge=0, le=1, description="of the phase's rate, at its end")

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


class CurriculumScheduler:
    """Where training stands: the phase, the step in it, its learning rate, and when to move on.

    Args:
        config: the phases.
        lr: base learning rate, scaled by each phase.
        clips_per_epoch: phase → clips in one round, for durations in epochs.
    """

    def __init__(self, config: CurriculumConfig, lr: float, clips_per_epoch: Mapping[str, int]) -> None:
        self.config, self.base_lr = config, lr
        missing = [name for name in config.phases if not clips_per_epoch.get(name)]
        if missing:
            raise AiprodError(f"phase {missing[0]!r} has no usable clip", "see the table of buckets")
        self._most = {n: p.duration.most_steps(p.batch, clips_per_epoch[n]) for n, p in config.phases.items()}
        self._names = list(config.phases)
        self._index = self._step_in_phase = self.step = 0
        self._window: list[float] = []
        self._best: float | None = None
        self._stale = 0
        self._skip_empty()

    @property
    def finished(self) -> bool:
        """Whether every phase is over."""
        return self._index >= len(self._names)

    @property
    def phase(self) -> str:
        """Name of the present phase (the last one, when finished)."""
        return self._names[min(self._index, len(self._names) - 1)]

    @property
    def settings(self) -> PhaseConfig:
        """Of the present phase."""
        return self.config.phases[self.phase]

    @property
    def step_in_phase(self) -> int:
        """Steps done in the present phase."""
        return self._step_in_phase

    @property
    def most_steps(self) -> int:
        """Upper bound of all steps: the exact number unless a phase ends by plateau."""
        return self.step + sum(self._most[n] for n in self._names[self._index :]) - self._step_in_phase

    def lr(self) -> float:
        """Learning rate of the coming step: linear warm-up, then the phase's decay to its final fraction."""
        settings, done = self.settings, self._step_in_phase
        peak = self.base_lr * settings.lr_scale
        if done < settings.warmup_steps:
            return peak * (done + 1) / (settings.warmup_steps + 1)
        if settings.decay == "constant":
            return peak
        span = max(1, self._most[self.phase] - settings.warmup_steps)
        at = min(1.0, (done - settings.warmup_steps) / span)
        shape = 1 - at if settings.decay == "linear" else 0.5 * (1 + math.cos(math.pi * at))
        return peak * (settings.final_lr_fraction + (1 - settings.final_lr_fraction) * shape)

    def advance(self, loss: float) -> bool:
        """Count one step with its loss; True when it ended the phase."""
        if self.finished:
            raise RuntimeError("the curriculum is finished")
        self.step += 1
        self._step_in_phase += 1
        plateau = self.settings.duration.plateau
        over = self._step_in_phase >= self._most[self.phase]
        if plateau is not None and self._flat(plateau, loss) and self._step_in_phase >= plateau.min_steps:
            over = True
        if over:
            self._next_phase()
            self._skip_empty()
        return over

    def state_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "step": self.step,
            "phase": self._names[self._index] if not self.finished else None,
            "step_in_phase": self._step_in_phase,
            "window": self._window,
            "best": self._best,
            "stale": self._stale,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore."""
        name = state["phase"]
        if name is not None and name not in self._names:
            raise AiprodError(f"the saved phase {name!r} is not in the curriculum", f"phases: {', '.join(self._names)}")
        self._index = len(self._names) if name is None else self._names.index(name)
        self.step, self._step_in_phase = int(state["step"]), int(state["step_in_phase"])
        self._window = [float(x) for x in state["window"]]
        self._best, self._stale = state["best"], int(state["stale"])

    def _flat(self, plateau: Plateau, loss: float) -> bool:
        self._window.append(loss)
        if len(self._window) >= plateau.window_steps:
            mean = sum(self._window) / len(self._window)
            self._window = []
            if self._best is None or mean < self._best * (1 - plateau.min_improvement):
                self._best, self._stale = mean, 0
            else:
                self._stale += 1
        return self._stale >= plateau.patience

    def _next_phase(self) -> None:
        self._index += 1
        self._step_in_phase, self._window, self._best, self._stale = 0, [], None, 0

    def _skip_empty(self) -> None:
        while not self.finished and self._most[self._names[self._index]] == 0:
            self._next_phase()
