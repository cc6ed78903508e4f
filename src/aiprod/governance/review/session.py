"""What the review page shows: the clips of a sample or those that wait, each with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import Actor
from aiprod.governance.review.recording import Decision, record, undo
from aiprod.governance.review.report import waiting
from aiprod.governance.review.sampling import load_sample
from aiprod.qc.decide.privacy_policy import has_basis
from aiprod.qc.decide.reviews import REVIEWS, Review, latest, load_reviews, needed
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault


@dataclass
class Sitting:
    """One sitting of one reviewer.

    Args:
        root: the workspace.
        actor: who reviews; was let through by ``require(…, "review")``.
        sample: name of a drawn sample; None shows the clips at REVIEW_NEEDED that nobody has looked at.

    Raises:
        AiprodError: the sample was not drawn, or nothing waits.
    """

    root: Path
    actor: Actor
    sample: str | None = None
    log: AuditLog = field(default_factory=AuditLog)
    _reviews: list[Review] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._facts = Records(self.root, vault=Vault())
        if self.sample is not None:
            drawn = load_sample(self.root, self.sample)
            if drawn.value is None:
                hint = f"`aiprod review sample {self.sample} --value V` when the public value is known"
                raise AiprodError(f"the sample {self.sample} was announced, but not drawn yet", hint)
            self._clips = drawn.clips
        else:
            self._clips = waiting(self._facts, load_reviews(self.root / REVIEWS))
        if not self._clips:
            raise AiprodError("no clip waits for a review", "`aiprod review sample NAME` draws some of the approved")

    @property
    def begun(self) -> bool:
        """Whether something was decided here that can be undone."""
        return bool(self._reviews)

    def clips(self) -> list[dict[str, Any]]:
        """The clips in order, with what was decided here so far."""
        decided = self._decided()
        return [self._clip(clip_id, decided.get(clip_id)) for clip_id in self._clips]

    def _decided(self) -> dict[str, str]:
        decided = latest(r for r in load_reviews(self.root / REVIEWS) if self.sample is None or r.sample == self.sample)
        return {clip_id: str(review.verdict) for clip_id, review in decided.items()}

    def video(self, clip_id: str) -> Path:
        """The file of a clip that is looked at.

        Raises:
            AiprodError: it is not.
        """
        clip = self._facts.clips.get(clip_id) if clip_id in self._clips else None
        if clip is None or clip.processed_name is None:
            raise AiprodError(f"{clip_id} is not in this sitting")
        return ClipStore(self.root / "datasets" / "v1").path("processed", clip.processed_name)

    def decide(self, values: dict[str, Any]) -> dict[str, Any]:
        """Record a decision that the page sent.

        Raises:
            AiprodError: malformed, or refused.
        """
        known = {"clip_id", "verdict", "note", "basis", "basis_ref"}
        if not set(values) <= known or not all(isinstance(v, str | None) for v in values.values()):
            raise AiprodError("the page sent something else than a decision", "reload it")
        filled = {name: value for name, value in values.items() if value}
        if filled.get("clip_id") not in self._clips:
            raise AiprodError("the page sent a clip that is not in this sitting", "reload it")
        if filled.get("verdict") == "REJECTED" and not filled.get("note", "").strip():
            raise AiprodError("a rejection takes a reason", "write it into the note (N), then reject again")
        decision = Decision(**{"verdict": "", **filled}, sample=self.sample)
        review = record(self.root, decision, self.actor.name, self.log)
        self._reviews.append(review)
        return {"clip_id": review.clip_id, "verdict": review.verdict, "number": review.number}

    def undo(self) -> dict[str, Any]:
        """Take back the last decision of this sitting that was not taken back yet.

        Raises:
            AiprodError: there is none, or somebody else decided since.
        """
        if not self._reviews:
            raise AiprodError("nothing decided in this session can be undone", "decide again instead")
        undo(self.root, self._reviews[-1], self.log)
        clip_id = self._reviews.pop().clip_id
        return {"clip_id": clip_id, "decided": self._decided().get(clip_id)}

    def _clip(self, clip_id: str, decided: str | None) -> dict[str, Any]:
        clip, row = self._facts.clips.get(clip_id), self._facts.verdicts.get(clip_id)
        film = self._facts.films.get(clip.film_id) if clip is not None else None
        if clip is None or row is None or film is None or not clip.processed_name:
            return {"clip_id": clip_id, "gone": True, "decided": decided}
        caption = self._facts.captions.get(clip_id)
        automatic = row.automatic or row.status
        return {
            "clip_id": clip_id,
            "gone": False,
            "title": film.title or film.key,
            "shot": clip.shot_index,
            "decided": decided,
            "automatic": automatic,
            "score": row.score,
            "reasons": [reason for reason in row.reasons if not reason.startswith("review:")],
            "flags": row.privacy_flags,
            "takes": needed(automatic, "APPROVED", row.privacy_flags, has_basis(film)),
            "source": film.source_id,
            "licence": film.media_license,
            "basis": film.personal_data_basis,
            "consent_ref": film.consent_ref,
            "caption": caption.caption if caption is not None else None,
            "facts": f"{clip.width}×{clip.height}, {clip.fps:.3g} fps, {clip.end_s - clip.start_s:.2f} s, "
            + ("with sound" if clip.has_audio else "silent"),
        }
