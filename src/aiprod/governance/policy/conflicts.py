"""Where policy and facts disagree: sources the policy approves that the facts deny, with the proof."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from aiprod.rights.declarations import PER_FILE, SourcesFile
from aiprod.rights.effective_right import effective_right


@dataclass(frozen=True)
class SourceFinding:
    """One source: what the policy says, what the facts allow.

    Attributes:
        verdict: ``agreed`` (both allow or both deny), ``contradiction`` (approved, but denied by the facts),
            ``withheld`` (the facts would allow it, the policy does not), or ``per film`` (each film decides).
        proof: the sentences that decide.
    """

    source_id: str
    title: str
    policy: str
    right: str
    verdict: str
    proof: list[str]
    note: str
    confidence: str


def check_sources(declared: SourcesFile, on: date | None = None) -> list[SourceFinding]:
    """Judge every declared source, in the order of the file."""
    findings = []
    for source_id, source in declared.sources.items():
        decision = effective_right(source, on=on)
        reasons = decision.reasons
        per_film = PER_FILE in (source.media_license, source.annotation_license)
        only_policy = not decision.permits_training and all(r.startswith("policy_approval") for r in reasons)
        if per_film and all(r.startswith(("media_license", "annotation_license")) for r in reasons):
            verdict = "per film"
        elif source.policy_approval == "approved" and not decision.permits_training:
            verdict = "contradiction"
        else:
            verdict = "withheld" if only_policy else "agreed"
        findings.append(
            SourceFinding(
                source_id,
                source.title,
                source.policy_approval,
                decision.right,
                verdict,
                reasons or decision.proof[-1:],
                source.note,
                source.confidence,
            )
        )
    return findings
