"""Where training stands: the phase, the step in it, its learning rate, and when to move on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.trainer.loop.lr_schedule import LRSchedule


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


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own data, learning rate and length. A model without a curriculum has one.

    Attributes:
        setting: the section of params.yaml that holds its batch and learning rate, for messages.
        steps: how many it takes; at most, where ``plateau`` may end it.
    """

    setting: str
    steps: int
    lr: LRSchedule
    weight_decay: float = 0.0
    plateau: Plateau | None = None


class PhaseScheduler:
    """Walks through phases in their order; phases without steps are skipped.

    Args:
        phases: by name, in the order in which they are trained.
    """

    def __init__(self, phases: Mapping[str, Phase]) -> None:
        self.phases = dict(phases)
        self._names = list(self.phases)
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
    def name(self) -> str:
        """Of the present phase (the last one, when finished)."""
        return self._names[min(self._index, len(self._names) - 1)]

    @property
    def current(self) -> Phase:
        """The present phase."""
        return self.phases[self.name]

    @property
    def step_in_phase(self) -> int:
        """Steps done in the present phase."""
        return self._step_in_phase

    @property
    def most_steps(self) -> int:
        """Upper bound of all steps: the exact number unless a phase ends by plateau."""
        return self.step + sum(self.phases[n].steps for n in self._names[self._index :]) - self._step_in_phase

    def lr(self) -> float:
        """Learning rate of the coming step."""
        return self.current.lr.at(self._step_in_phase)

    def advance(self, loss: float) -> bool:
        """Count one step with its loss; True when it ended the phase."""
        if self.finished:
            raise RuntimeError("every phase is over")
        self.step += 1
        self._step_in_phase += 1
        phase = self.current
        over = self._step_in_phase >= phase.steps
        if phase.plateau is not None and self._flat(phase.plateau, loss):
            over = over or self._step_in_phase >= phase.plateau.min_steps
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
            raise AiprodError(f"the saved phase {name!r} is not among the phases", f"phases: {', '.join(self._names)}")
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
        while not self.finished and self.phases[self._names[self._index]].steps == 0:
            self._next_phase()
