"""Records what a person decided about a clip, if they may: a line in git, a leaf in the log."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from aiprod.base.denials import Refusal
from aiprod.base.params import nearest
from aiprod.base.state import state
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.audit.denials import refuse
from aiprod.governance.audit.log import AuditLog, Event
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import require
from aiprod.governance.review.sampling import load_sample
from aiprod.qc.decide.privacy_policy import has_basis
from aiprod.qc.decide.reviews import REVIEWS, Authority, Review, load_reviews, needed, save_reviews
from aiprod.qc.rows import Verdict, VerdictRow
from aiprod.rights.declarations import PersonalDataBasis
from aiprod.storage.crypto.film_encryption import Vault

VERDICTS: tuple[Verdict, ...] = typing.get_args(Verdict)
BASES = tuple(b for b in typing.get_args(PersonalDataBasis) if b not in ("none", "per-file", "unknown"))
NOTE_MAX = 500


@dataclass(frozen=True)
class Decision:
    """What somebody wants to say about a clip.

    Attributes:
        sample: name of the drawn sample that it was looked at for.
        basis: GDPR Art. 6 basis for the people shown, where the film has none on record.
        basis_ref: the record of that basis, for example of a balancing test.
    """

    clip_id: str
    verdict: Verdict
    note: str = ""
    sample: str | None = None
    basis: str | None = None
    basis_ref: str | None = None


def record(root: Path, decision: Decision, named: str | None, log: AuditLog | None = None) -> Review:
    """Write a decision down; the verdict follows at the next ``dvc repro``.

    Args:
        named: who decides, as for :func:`aiprod.governance.policy.roles.require`.

    Raises:
        Refusal: they may not, the film may not be trained on, or people are shown and no basis is named.
        AiprodError: no such clip, sample or verdict.
    """
    log = log or AuditLog()
    facts = Records(root, vault=Vault())
    clip, film, row = _look_up(facts, decision)
    automatic = row.automatic or row.status
    wanted = needed(automatic, decision.verdict, row.privacy_flags, has_basis(film))
    authority: dict[Authority, str] = {}
    reviewer = ""
    for action in wanted:
        actor = require(named, action, subject=clip.clip_id, root=root, log=log)
        authority[action], reviewer = actor.role, actor.name
    if decision.verdict == "APPROVED":
        _check_right(film, clip, log)
    if "accept_privacy" in wanted:
        _check_basis(decision, row, log)
    if decision.sample is not None and clip.clip_id not in load_sample(root, decision.sample).clips:
        raise AiprodError(f"{clip.clip_id} was not drawn in the sample {decision.sample}", "leave --sample out")
    with FileLock(state().lock("reviews")):
        reviews = load_reviews(root / REVIEWS)
        review = Review(
            clip_id=clip.clip_id,
            number=1 + max((r.number for r in reviews if r.clip_id == clip.clip_id), default=0),
            verdict=decision.verdict,
            automatic=automatic,
            start_s=clip.start_s,
            end_s=clip.end_s,
            reviewer=reviewer,
            authority=authority,
            sample=decision.sample,
            basis=decision.basis,
            basis_ref=decision.basis_ref,
            note=" ".join(decision.note.split()),
        )
        log.append([event_of(review)])
        save_reviews([*reviews, review], root / REVIEWS)
    return review


def undo(root: Path, review: Review, log: AuditLog | None = None) -> None:
    """Take a review back: its line goes, and the log keeps that it was made and undone.

    Raises:
        AiprodError: it is not there any more, or another review of the clip followed it.
    """
    log = log or AuditLog()
    with FileLock(state().lock("reviews")):
        reviews = load_reviews(root / REVIEWS)
        if review not in reviews or any(r.clip_id == review.clip_id and r.number > review.number for r in reviews):
            raise AiprodError(f"the review of {review.clip_id} is no longer the latest", "decide again")
        facts: dict[str, Any] = {"undone": review.number, "verdict": review.verdict}
        log.append([Event("review", review.clip_id, facts, {"undone_line": review.model_dump(mode="json")})])
        save_reviews([r for r in reviews if r != review], root / REVIEWS)


def event_of(review: Review) -> Event:
    """The leaf of a review: the verdict in the open, the whole line committed to."""
    facts: dict[str, Any] = {"verdict": review.verdict, "automatic": review.automatic, "number": review.number}
    return Event("review", review.clip_id, facts, {"line": review.model_dump(mode="json", exclude_none=True)})


def unlogged(reviews: list[Review], log: AuditLog) -> list[Review]:
    """Reviews that no leaf of the log vouches for: written into the file by other means, or changed there.

    A review whose salt was destroyed (its clip was erased) can no longer be told from a changed one, and is left out.
    """
    vouched: set[tuple[str, int]] = set()
    by_clip: dict[str, list[Review]] = {}
    for review in reviews:
        by_clip.setdefault(review.clip_id, []).append(review)
    for entry in log.entries():
        value = entry.value
        if value["kind"] != "review" or value["subject"] not in by_clip:
            continue
        for review in by_clip[value["subject"]]:
            if log.opens(entry, "line", review.model_dump(mode="json", exclude_none=True)) is not False:
                vouched.add((review.clip_id, review.number))
    return [review for review in reviews if (review.clip_id, review.number) not in vouched]


def _look_up(facts: Records, decision: Decision) -> tuple[ClipRow, FilmRow, VerdictRow]:
    clip, row = facts.clips.get(decision.clip_id), facts.verdicts.get(decision.clip_id)
    film = facts.films.get(clip.film_id) if clip is not None else None
    if clip is None or row is None or film is None:
        raise AiprodError(f"there is no clip {decision.clip_id}", "`aiprod review list` names those that wait")
    if decision.verdict not in VERDICTS:
        raise AiprodError(
            f"{decision.verdict!r} is not a verdict", nearest(str(decision.verdict).upper(), list(VERDICTS))
        )
    if clip.status != "ok" or not clip.processed_name:
        raise AiprodError(f"{clip.clip_id} has no pictures to look at", f"its status is {clip.status}")
    if len(decision.note) > NOTE_MAX:
        raise AiprodError(f"the note is longer than {NOTE_MAX} characters", "shorten it, and do not name people")
    return clip, film, row


def _check_right(film: FilmRow, clip: ClipRow, log: AuditLog) -> None:
    """A review is about pictures; it cannot give a right."""
    if film.effective_right == "deny":
        line = Refusal(
            f"{clip.clip_id} may not be approved: its film may not be trained on",
            "settle the rights first (`aiprod lineage` shows the proof)",
            lack="right",
            action="review",
            subject=clip.clip_id,
        )
        raise refuse(line, log)


def _check_basis(decision: Decision, row: VerdictRow, log: AuditLog) -> None:
    """People are shown and no basis is on record: approving names one, with its record."""
    if decision.basis in BASES and decision.basis_ref:
        return
    raise refuse(
        Refusal(
            f"{row.clip_id} may not be approved: people may be shown ({', '.join(row.privacy_flags)}), without a basis",
            f"name it: --basis {'|'.join(BASES)} --basis-ref RECORD",
            lack="consent",
            action="review",
            subject=row.clip_id,
        ),
        log,
    )
