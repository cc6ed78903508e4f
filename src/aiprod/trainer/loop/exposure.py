"""The exposure ledger: how often each clip was shown to the model, by phase, for every checkpoint.

It answers "which weights have seen this clip" when a clip is erased or a right withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class ExposureLedger:
    """Counts showings of clips."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}

    def add(self, phase: str, clip_ids: Iterable[str]) -> None:
        """Count one showing of each."""
        for clip_id in clip_ids:
            phases = self._seen.setdefault(clip_id, {})
            phases[phase] = phases.get(phase, 0) + 1

    def joined(self, other: ExposureLedger) -> ExposureLedger:
        """The showings of both."""
        both = ExposureLedger()
        for ledger in (self, other):
            for clip_id, phases in ledger._seen.items():
                counted = both._seen.setdefault(clip_id, {})
                for phase, times in phases.items():
                    counted[phase] = counted.get(phase, 0) + times
        return both

    def state_dict(self) -> dict[str, Any]:
        """Clip id → phase → times, sorted."""
        return {clip: dict(sorted(phases.items())) for clip, phases in sorted(self._seen.items())}

    def load_state_dict(self, state: Mapping[str, Mapping[str, int]]) -> None:
        """Restore."""
        self._seen = {clip: {p: int(n) for p, n in phases.items()} for clip, phases in state.items()}

    def document(self, model_digest: str, film_of: Mapping[str, str]) -> dict[str, Any]:
        """The file that is beside the weights."""
        return {
            "model_digest": model_digest,
            "unit": "times a clip stood in a training batch",
            "clips": [
                {"clip_id": clip, "film_id": film_of.get(clip), "times": sum(phases.values()), "by_phase": phases}
                for clip, phases in self.state_dict().items()
            ],
        }
