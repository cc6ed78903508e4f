"""Sends figures of each curriculum phase to a nested run of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol


class Sink(Protocol):
    """What a tracking run offers here."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record figures."""


class PhaseLog:
    """Callable as the loop's ``log``: opens a run when a phase begins and closes it when the next one does.

    Args:
        open_phase: name → context manager of a sink, for example ``logger.phase``.
        whole: a sink that gets everything as well, for curves over all phases.
        phases: their names in order; ``whole`` gets the figure ``phase``, which rises by one where a phase begins and
            so marks the place on every other curve.
    """

    def __init__(
        self,
        open_phase: Callable[[str], contextlib.AbstractContextManager[Any]],
        whole: Sink | None = None,
        phases: Sequence[str] = (),
    ) -> None:
        self._open, self._whole, self._phases = open_phase, whole, list(phases)
        self._stack = contextlib.ExitStack()
        self._phase: str | None = None
        self._sink: Sink | None = None

    def __call__(self, phase: str, step: int, figures: dict[str, float]) -> None:
        """Record figures of one step."""
        if phase != self._phase:
            self._stack.close()
            self._sink, self._phase = self._stack.enter_context(self._open(phase)), phase
        if self._sink is not None:
            self._sink.log(step, figures)
        if self._whole is not None:
            mark = {"phase": float(self._phases.index(phase) + 1)} if phase in self._phases else {}
            self._whole.log(step, {**figures, **mark})

    def __enter__(self) -> PhaseLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
