"""The demo corpus as a source: films that are planned from parameters and made when they are ingested."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.data.sources.base import Listing, Offer, Source
from aiprod.data.sources.demo.plan import DemoCorpusParams, FilmPlan, plan_corpus
from aiprod.data.sources.scan_memory import FileDigests


@dataclass(frozen=True)
class DemoSource(Source):
    """Films that this program draws and synthesises."""

    adapter = "demo"
    summary = "films that AIPROD generates itself, from ingest.demo in params.yaml"
    generated = True
    placed = False

    def list(self, remembered: FileDigests) -> Listing:
        plans = plan_corpus(self.params.demo)
        return Listing([Offer(source_id=self.source_id, key=p.key, size=0, sha256=p.digest()) for p in plans])

    def watched(self) -> Sequence[Path]:
        return []  # parameters and code say it all

    def fetch(self, offer: Offer, part: Path, target: Path) -> dict[str, Any] | None:
        from aiprod.data.sources.demo.make import make_film

        return make_film(_plans(self.params.demo)[offer.key], target)


@functools.lru_cache(maxsize=1)
def _plans(params: DemoCorpusParams) -> dict[str, FilmPlan]:
    return {plan.key: plan for plan in plan_corpus(params)}
