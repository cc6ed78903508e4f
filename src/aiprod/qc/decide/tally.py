"""How often the checks of a dataset answered what, and what their scores come to, counted a part at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from aiprod.qc.decide.check_results import CheckTable

DUPLICATES = "duplicates"


class CheckTally:
    """Counts by check, and the sums of scores."""

    def __init__(self) -> None:
        self._statuses: dict[str, Counter[str]] = {}
        self._totals: dict[str, float] = {}
        self._scored: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def add(self, checks: CheckTable) -> None:
        """Count the answers on some more clips."""
        for name, counts in checks.statuses().items():
            self._statuses.setdefault(name, Counter()).update(counts)
        for name, scores in checks.scored().items():
            # Added up one after the other, not in pairs as ``np.sum`` does, which rounds otherwise.
            self._totals[name] = float(np.cumsum(np.append(self._totals.get(name, 0.0), scores))[-1])
            self._scored[name] += scores.size
            self._failed[name] += int(np.count_nonzero(scores == 0.0))

    def add_compared(self, compared: int, clips: int) -> None:
        """Count clips whose fingerprints were compared, of some."""
        if clips:
            counts = {"ok": compared, "unmeasurable": clips - compared}
            self._statuses.setdefault(DUPLICATES, Counter()).update({name: n for name, n in counts.items() if n})
        self._totals[DUPLICATES] = self._totals.get(DUPLICATES, 0.0) + compared
        self._scored[DUPLICATES] += compared

    def add_copies(self, copies: int) -> None:
        """Count clips that repeat another, which were compared."""
        self._totals[DUPLICATES] = self._totals.get(DUPLICATES, 0.0) - copies
        self._failed[DUPLICATES] += copies

    def figures(self) -> dict[str, dict[str, Any]]:
        """Mean score, failures and statuses of each check; only what was measured, ``None`` where nothing was."""
        checks: dict[str, dict[str, Any]] = {}
        for name, counts in sorted(self._statuses.items()):
            scored = self._scored[name]
            checks[name] = {
                "mean_score": round(self._totals[name] / scored, 6) if scored else None,
                "failed": self._failed[name],
                **{
                    status: counts[status]
                    for status in ("ok", "unmeasurable", "not_evaluated", "error")
                    if counts[status]
                },
            }
        return checks
