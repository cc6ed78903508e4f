"""What a run depends on up to a step, so that a later run may go on from a checkpoint of an earlier one.

A run has one level or several. All steps of a level, and all that went before them, depend on its digest and on nothing
else. A run whose level of the same number has the same digest would therefore have come to the same checkpoint, to the
bit, and may start from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiprod.base.files import digest_of
from aiprod.storage.crypto.film_encryption import film_of, is_private
from aiprod.trainer.loop.phases import PhaseScheduler
from aiprod.trainer.loop.samplers import BatchSampler


@dataclass(frozen=True)
class Level:
    """One level.

    Attributes:
        digest: of the settings and of all clips that its steps, and those before, can depend on.
        films: those of these clips' films that can be erased.
        start: the step of the last phase at which it begins; the first begins with the run.
    """

    digest: str
    films: tuple[str, ...] = ()
    start: int = 0


@dataclass(frozen=True)
class Levels:
    """The levels of a run; all but the first begin in its last phase."""

    levels: tuple[Level, ...]

    def reached(self, phases: PhaseScheduler) -> int:
        """The number of the level that the steps made so far belong to."""
        if phases.finished:
            return len(self.levels) - 1
        if phases.name != list(phases.phases)[-1]:
            return 0
        return max(n for n, level in enumerate(self.levels) if n == 0 or level.start < phases.step_in_phase)

    def begins(self, phases: PhaseScheduler) -> bool:
        """Whether the coming step is the first of a level beyond the first."""
        last = not phases.finished and phases.name == list(phases.phases)[-1]
        return last and phases.step_in_phase in {level.start for level in self.levels[1:]}

    def values(self, phases: PhaseScheduler) -> dict[str, Any]:
        """What a checkpoint says of its level."""
        number = self.reached(phases)
        level = self.levels[number]
        return {"number": number, "digest": level.digest, "films": list(level.films)}


def clip_levels(
    settings: Mapping[str, Any], groups: Sequence[Iterable[Sequence[Any]]], starts: Sequence[int]
) -> Levels:
    """Levels that add clips to each other.

    Args:
        settings: of the run, without the roots of manifests, which name more clips than are trained on.
        groups: for each level the clips that it adds: the id, and all else that training reads of it.
        starts: of the levels beyond the first.
    """
    levels: list[Level] = []
    levels_before: list[
        tuple[int, list[list[Any]]]
    ] = []  # with where each began, which is part of what a level depends on
    films: set[str] = set()
    for start, group in zip((0, *starts), groups, strict=True):
        clips = [list(clip) for clip in group]
        levels_before.append((start, sorted(clips, key=str)))
        films |= {film_of(clip[0]) for clip in clips if is_private(clip[0])}
        levels.append(Level(digest_of([dict(settings), levels_before]), tuple(sorted(films)), start))
    return Levels(tuple(levels))


class LevelSampler:
    """Draws from one sampler after another: each takes over at its step.

    Args:
        samplers: (first step, sampler), of one batch size; the first begins at step 0.
    """

    def __init__(self, samplers: Sequence[tuple[int, Any]]) -> None:
        self._samplers = list(samplers)
        self._step = 0
        self.batch: int = samplers[0][1].batch

    @property
    def clips_per_epoch(self) -> int:
        """Of the first sampler: how long training lasts must not depend on the clips that join later."""
        return int(self._samplers[0][1].clips_per_epoch)

    def next(self) -> tuple[Any, list[str]]:
        """The next batch."""
        batch: tuple[Any, list[str]] = self._at(self._step)[1].next()
        self._step += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """How many batches were drawn, and the position of the sampler that drew the last."""
        number, sampler = self._at(max(0, self._step - 1))
        return {"step": self._step, "level": number, "position": sampler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position: the samplers behind it are at their beginning."""
        self._step = int(state["step"])
        for number, (_, sampler) in enumerate(self._samplers):
            if number == state["level"]:
                sampler.load_state_dict(state["position"])
            elif number > state["level"]:
                sampler.rewind()

    def _at(self, step: int) -> tuple[int, BatchSampler | Any]:
        number = max(n for n, (start, _) in enumerate(self._samplers) if n == 0 or start <= step)
        return number, self._samplers[number][1]
