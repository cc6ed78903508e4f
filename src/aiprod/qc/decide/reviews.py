"""What people decided about clips: ``datasets/reviews/verdicts.jsonl`` in git, and what it does to the verdicts.

One line a review in canonical JSON, sorted by clip and number; the highest number of a clip holds. A line carries no
time and no digest of the film: when it was written stands in the audit log, and the clip id names nobody. Who may do
what was decided when the line was written (``aiprod.governance.review``); here it only has to fit the verdict as
it is now, because thresholds, privacy flags or the film's cut may have changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.canonical_json import canonical_json, former_canonical_json
from aiprod.base.files import write_bytes
from aiprod.errors import AiprodError
from aiprod.qc.decide.privacy_policy import has_basis
from aiprod.qc.decide.verdict_table import VerdictTable
from aiprod.qc.projections import ClipProjection, FilmProjection
from aiprod.qc.rows import Verdict, VerdictRow

REVIEWS = Path("datasets/reviews/verdicts.jsonl")
HEADER = b"# reviews of clips, one a line, written by `aiprod review`\n"  # DVC warns of dependencies that are empty
Authority = Literal["review", "override_verdict", "accept_privacy"]
_SPAN_S = 0.01  # a shot that begins or ends further off is another shot
_HINT = f"restore {REVIEWS} from git"


class Review(BaseModel):
    """One decision of a person on one clip."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    clip_id: str
    number: int = Field(ge=1, description="1 for the first review of this clip")
    verdict: Verdict
    automatic: Verdict = Field(description="what the rules said when it was looked at")
    start_s: float = Field(ge=0, description="what was looked at: the shot in its film")
    end_s: float
    reviewer: str
    authority: dict[Authority, str] = Field(description="what the reviewer might do, and by which role")
    sample: str | None = Field(default=None, description="the drawn sample that this clip was looked at for")
    basis: str | None = Field(default=None, description="GDPR Art. 6 basis named for the people shown")
    basis_ref: str | None = Field(default=None, description="the record of that basis, for example a balancing test")
    note: str = ""

    def line(self) -> bytes:
        """Canonical JSON and a line feed."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True)) + b"\n"

    def former_line(self) -> bytes:
        """The line as earlier releases wrote it."""
        return former_canonical_json(self.model_dump(mode="json", exclude_none=True)) + b"\n"


def needed(
    automatic: Verdict, verdict: Verdict, privacy_flags: Sequence[str], basis_on_record: bool
) -> list[Authority]:
    """What it takes to give ``verdict``: anybody who reviews may lower one or settle one that asks for a review."""
    wanted: list[Authority] = ["review"]
    if automatic == "REJECTED" and verdict != "REJECTED":
        wanted.append("override_verdict")
    if verdict == "APPROVED" and privacy_flags and not basis_on_record:
        wanted.append("accept_privacy")
    return wanted


def load_reviews(path: Path | str = REVIEWS) -> list[Review]:
    """All reviews, in order.

    Raises:
        AiprodError: missing, or a line that is wrong, not canonical, out of order or there twice.
    """
    try:
        lines = Path(path).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", f"{_HINT}; it is empty where nothing was reviewed") from None
    reviews: list[Review] = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and line == HEADER:
            continue
        try:
            review = Review.model_validate_json(line)
        except ValidationError as error:
            what = f"{path}, line {number}: {error.errors()[0]['msg']}"
            raise AiprodError(what, "lines are written by `aiprod review record`; " + _HINT) from None
        if line not in (review.line(), review.former_line()):
            raise AiprodError(f"{path}, line {number} is not as `aiprod review record` wrote it", _HINT)
        if reviews and _order(review) <= _order(reviews[-1]):
            what = f"{path}, line {number}: review {review.number} of {review.clip_id} is there twice or out of order"
            raise AiprodError(what, "after a merge, record one of the two again")
        reviews.append(review)
    return reviews


def save_reviews(reviews: Iterable[Review], path: Path | str = REVIEWS) -> None:
    """Write all reviews, sorted, atomically."""
    write_bytes(path, HEADER + b"".join(review.line() for review in sorted(reviews, key=_order)))


def latest(reviews: Iterable[Review]) -> dict[str, Review]:
    """The review of each clip that holds."""
    return {review.clip_id: review for review in sorted(reviews, key=_order)}


def apply_reviews(
    table: VerdictTable, films: Sequence[FilmProjection], clips: Sequence[ClipProjection], reviews: Sequence[Review]
) -> None:
    """Change the verdicts of a table as :func:`with_reviews` does."""
    rows = [table.number_of[clip_id] for clip_id in latest(reviews) if clip_id in table.number_of]
    for row, verdict in zip(rows, with_reviews(list(map(table.row, rows)), films, clips, reviews), strict=True):
        table.put(row, verdict)


def with_reviews(
    rows: Sequence[VerdictRow],
    films: Sequence[FilmProjection],
    clips: Sequence[ClipProjection],
    reviews: Sequence[Review],
) -> list[VerdictRow]:
    """The verdicts as people changed them, each with a reason ``review: …``; rows without a review stay as they are."""
    if not reviews:
        return list(rows)
    holds = latest(reviews)
    film_of, clip_of = {f.film_id: f for f in films}, {c.clip_id: c for c in clips}
    decided = []
    for row in rows:
        review, clip, film = holds.get(row.clip_id), clip_of.get(row.clip_id), film_of.get(row.film_id)
        decided.append(row if review is None or clip is None or film is None else _decided(row, review, clip, film))
    return decided


def _decided(row: VerdictRow, review: Review, clip: ClipProjection, film: FilmProjection) -> VerdictRow:
    if abs(review.start_s - clip.start_s) > _SPAN_S or abs(review.end_s - clip.end_s) > _SPAN_S:
        why = f"it was of {review.start_s:.2f} to {review.end_s:.2f} s, and the clip is another one now"
        return _noted(row, f"review: not applied: {why}")
    lacking = [
        a for a in needed(row.status, review.verdict, row.privacy_flags, has_basis(film)) if a not in review.authority
    ]
    if lacking:
        return _noted(row, f"review: not applied: {row.status} to {review.verdict} takes {' and '.join(lacking)}")
    by = (
        review.authority.get("accept_privacy") or review.authority.get("override_verdict") or review.authority["review"]
    )
    words = f"review: {review.verdict} by a {by}, {row.status} by the rules"
    words += f", basis {review.basis} ({review.basis_ref or 'no record named'})" if review.basis else ""
    update = {"status": review.verdict, "automatic": row.status}
    return _noted(row, words + (f": {review.note}" if review.note else "")).model_copy(update=update)


def _noted(row: VerdictRow, reason: str) -> VerdictRow:
    return row.model_copy(update={"reasons": [*row.reasons, reason]})


def _order(review: Review) -> tuple[str, int]:
    return review.clip_id, review.number
