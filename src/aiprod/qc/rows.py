"""The rows that quality control writes: measurements without thresholds, then verdicts with their reasons."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from aiprod.storage.manifest.manifest import Row
from aiprod.storage.manifest.measurement_columns import without_absent

CheckStatus = Literal["ok", "error", "unmeasurable", "not_evaluated"]
Verdict = Literal["APPROVED", "REVIEW_NEEDED", "REJECTED", "erased"]


class CheckResult(Row):
    """How one check answers. Only a status of ``ok`` carries a score; an error is never turned into a number."""

    check: str
    value: Any = Field(default=None, description="the figure the judgement rests on")
    score: float | None = Field(default=None, ge=0, le=1)
    status: CheckStatus
    method: str
    version: str
    params_digest: str
    reason: str


class MeasureRow(Row):
    """Everything that was measured on one clip, by check.

    ``error`` means that the film is at fault: no picture of it could be measured. ``unfinished`` means that measuring
    did not come to an end (a worker died, or ran out of time or memory), which says nothing about the film.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"measurements"})
    FIGURES: ClassVar[str | None] = "measurements"

    clip_id: str
    film_id: str
    status: Literal["ok", "error", "unfinished", "erased"]
    reasons: list[str] = Field(default_factory=list)
    measurements: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="check → {status, method, version, figures}; a figure without a value is absent. "
        "In the table each figure is a column, <check>.<figure>",
    )
    thumbnails: str | None = Field(default=None, description="file in thumbs/ beside the manifest: frames side by side")

    @field_validator("measurements")
    @classmethod
    def _without_absent(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return without_absent(value)


class VerdictRow(Row):
    """The decision on one clip (or on a film that yielded no clip), with its reasons in words.

    ``clip_id`` equals ``film_id`` where the film yielded no clip.
    """

    clip_id: str
    film_id: str
    status: Verdict
    score: float | None = Field(default=None, description="weighted mean over the checks that could be scored")
    checks: list[CheckResult] = Field(default_factory=list)
    reasons: list[str] = Field(default_factory=list)
    privacy_flags: list[str] = Field(default_factory=list)
    automatic: Verdict | None = Field(default=None, description="what the rules said, where a review changed it")
    duplicate_of: str | None = Field(default=None, description="clip_id of the kept clip that this one repeats")
    obligations: list[str] = Field(
        default_factory=list, description="of films that show or sound the same, beyond those of the clip's own film"
    )
