"""What manual review found: per sample and stratum the defects and their bounds, and what is still to be looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.review.confidence_intervals import ConfidenceInterval, bounds
from aiprod.governance.review.recording import unlogged
from aiprod.governance.review.sampling import SHARE, ReviewSample, drawn_rightly, load_sample, sample_names
from aiprod.qc.decide.reviews import REVIEWS, Review, load_reviews

LIMIT = SHARE  # a defect rate that a finished sample is to exclude


@dataclass(frozen=True)
class Stratum:
    """One source and licence of a sample.

    Attributes:
        defects: clips of the sample that a reviewer did not approve.
    """

    stratum: str
    clips: int
    drawn: int
    looked_at: int
    defects: int
    bounds: ConfidenceInterval

    @property
    def excludes_limit(self) -> bool:
        """Whether 5 % defects are excluded at 95 %."""
        return self.bounds.upper < LIMIT

    @property
    def verdict(self) -> str:
        """In words."""
        if self.looked_at < self.drawn:
            return f"{self.drawn - self.looked_at} still to look at"
        return f"{LIMIT:.0%} excluded" if self.excludes_limit else f"{LIMIT:.0%} not excluded"


@dataclass(frozen=True)
class SampleReport:
    """One sample.

    Attributes:
        redrawn: whether drawing again gives the same clips; None where this state holds other clips, or none was drawn.
    """

    name: str
    public_value: str
    drawn: bool
    redrawn: bool | None
    strata: list[Stratum]

    @property
    def done(self) -> bool:
        """Whether every clip was looked at."""
        return self.drawn and all(s.looked_at == s.drawn for s in self.strata)

    def document(self) -> dict[str, Any]:
        """As plain values."""
        strata = [{**asdict(s), "excludes_limit": s.excludes_limit} for s in self.strata]
        return {**asdict(self), "done": self.done, "limit": LIMIT, "confidence": 0.95, "strata": strata}


@dataclass(frozen=True)
class ReviewReport:
    """Everything: samples, decisions, clips that wait for one, and lines that the log does not vouch for."""

    samples: list[SampleReport]
    reviews: int
    overridden: int
    waiting: list[str]
    unlogged: list[str]

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "samples": [sample.document() for sample in self.samples]}


def report(root: Path, name: str | None = None, log: AuditLog | None = None) -> ReviewReport:
    """Read samples, reviews and verdicts and put them together.

    Args:
        name: only this sample.
        log: the audit log that must vouch for each review; None leaves that question out.

    Raises:
        AiprodError: a file is missing or wrong.
    """
    facts, reviews = Records(root), load_reviews(root / REVIEWS)
    names = sample_names(root) if name is None else [name]
    lost = [] if log is None else [f"{r.clip_id} #{r.number}" for r in unlogged(reviews, log)]
    return ReviewReport(
        samples=[_sample(load_sample(root, n), facts, reviews) for n in names],
        reviews=len(reviews),
        overridden=sum(v.automatic is not None and v.automatic != v.status for v in facts.verdicts.values()),
        waiting=waiting(facts, reviews),
        unlogged=lost,
    )


def waiting(facts: Records, reviews: list[Review]) -> list[str]:
    """Clips at REVIEW_NEEDED that nobody has looked at."""
    seen = {review.clip_id for review in reviews}
    return sorted(
        clip_id
        for clip_id, verdict in facts.verdicts.items()
        if verdict.status == "REVIEW_NEEDED"
        and clip_id in facts.clips
        and clip_id not in seen
        and facts.clips[clip_id].processed_name
    )


def _sample(sample: ReviewSample, facts: Records, reviews: list[Review]) -> SampleReport:
    decided = {review.clip_id: review for review in reviews if review.sample == sample.name}
    strata = []
    for stratum, clips in sample.strata.items():
        drawn = sample.drawn.get(stratum, [])
        seen = [decided[clip] for clip in drawn if clip in decided]
        defects = sum(review.verdict != "APPROVED" for review in seen)
        interval = bounds(defects, len(seen), clips)
        strata.append(Stratum(stratum, clips, len(drawn), len(seen), defects, interval))
    return SampleReport(
        sample.name, sample.public_value, sample.value is not None, drawn_rightly(sample, facts), strata
    )
