"""Which clips a training stage may use: the verdict, the right and the split of each, with a reason for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aiprod.base.params import Params
from aiprod.captions.rows import CaptionRow
from aiprod.data.latents.buckets import reasons_table
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.qc.rows import VerdictRow
from aiprod.rights.right import Right
from aiprod.storage.manifest.encrypted_columns import as_shown
from aiprod.trainer.revocable import RevocableParams

PROCESSED = Path("datasets/v1/processed")


class TrainClipsParams(Params):
    """Which clips every training stage uses."""

    admit: list[Literal["APPROVED", "REVIEW_NEEDED"]] = Field(
        default=["APPROVED"], min_length=1, description="verdicts that may be trained on"
    )
    revocable: RevocableParams = RevocableParams()


@dataclass(frozen=True)
class TrainingClip:
    """One clip that may be trained on or validated with."""

    clip_id: str
    film_id: str
    source_id: str
    split: str
    path: Path
    sha256: str
    has_audio: bool
    fps: float
    frames: int
    height: int
    width: int
    caption: str
    ground_truth: dict[str, Any] | None


@dataclass(frozen=True)
class LeftOut:
    """Why a clip, or a film that yielded none, is not used."""

    film_id: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """Clips by split, and for every other clip (or film without clips, by its film id) why it is left out."""

    train: list[TrainingClip]
    heldout: list[TrainingClip]
    left_out: dict[str, LeftOut]

    @property
    def all(self) -> list[TrainingClip]:
        """Both splits, by clip id."""
        return sorted([*self.train, *self.heldout], key=lambda c: c.clip_id)

    @property
    def ids(self) -> list[str]:
        """Every clip, and every film without clips."""
        return sorted([*(clip.clip_id for clip in self.all), *self.left_out])

    def without_revocable(self, params: RevocableParams) -> Selection:
        """Without the clips that wait for the end of training, for models that other models depend on.

        Raises:
            AiprodError: no clip is left.
        """
        if not any(params.apart(clip.clip_id) for clip in self.all):
            return self
        why = "it can be erased, and is shown to the diffusion model alone (train_clips.revocable)"
        waiting = {c.clip_id: LeftOut(c.film_id, why) for c in self.all if params.apart(c.clip_id)}
        train = [clip for clip in self.train if clip.clip_id not in waiting]
        if not train:
            raise AiprodError(
                "train_clips.revocable.place is last, and every clip to train on is of a film that can be erased",
                "set it to mixed, or add clips of films with personal_data_basis: none",
            )
        heldout = [clip for clip in self.heldout if clip.clip_id not in waiting]
        return Selection(train, heldout, {**self.left_out, **waiting})

    def line(self) -> str:
        """Counts, as every training stage says them."""
        line = f"  {len(self.train)} clips to train on, {len(self.heldout)} held out, {len(self.left_out)} left out"
        return line + " (cache_latents says why)" if self.left_out else line

    def table(self) -> str:
        """Counts and reasons as text."""
        reasons = Counter(left.reason for left in self.left_out.values())
        head = f"  {len(self.train):>6}  clips to train on\n  {len(self.heldout):>6}  clips held out"
        return head + ("\n" + reasons_table(reasons) if reasons else "")


def select_clips(
    films: Iterable[FilmRow],
    clips: Iterable[ClipRow],
    verdicts: Iterable[VerdictRow],
    captions: Iterable[CaptionRow],
    params: TrainClipsParams,
    *,
    processed: Path = PROCESSED,
) -> Selection:
    """Join the manifests of ingest, QC and captions.

    Raises:
        AiprodError: no clip is left to train on; the message counts the reasons.
    """
    film_of = {film.film_id: film for film in films}
    verdict_of = {verdict.clip_id: verdict for verdict in verdicts}
    caption_of = {caption.clip_id: caption for caption in captions}
    train: list[TrainingClip] = []
    heldout: list[TrainingClip] = []
    left_out = {
        film.film_id: LeftOut(film.film_id, f"ingest: {film.reasons[0] if film.reasons else film.status}")
        for film in map(as_shown, film_of.values())
        if not film.n_clips
    }
    for clip in sorted(clips, key=lambda c: c.clip_id):
        reason = _reason_against(clip, film_of.get(clip.film_id), verdict_of.get(clip.clip_id), params)
        if reason:
            left_out[clip.clip_id] = LeftOut(clip.film_id, reason)
            continue
        caption = caption_of.get(clip.clip_id)
        chosen = TrainingClip(
            clip_id=clip.clip_id,
            film_id=clip.film_id,
            source_id=clip.source_id,
            split=str(clip.split),
            path=processed / str(clip.processed_name),
            sha256=clip.processed_sha256 or "",
            has_audio=bool(clip.has_audio),
            fps=float(clip.fps or 0),
            frames=int(clip.frames or 0),
            height=int(clip.height or 0),
            width=int(clip.width or 0),
            caption=(caption.caption or "") if caption is not None else "",
            ground_truth=clip.ground_truth,
        )
        (heldout if chosen.split == "heldout" else train).append(chosen)
    if not train:
        reasons = Counter(left.reason for left in left_out.values()).most_common(5)
        raise AiprodError(
            "no clip is left to train on: " + "; ".join(f"{n} × {why}" for why, n in reasons),
            "add clips to datasets/inbox or lower the thresholds of qc_decide",
        )
    return Selection(train, heldout, left_out)


def _reason_against(
    clip: ClipRow, film: FilmRow | None, verdict: VerdictRow | None, params: TrainClipsParams
) -> str | None:
    if clip.status != "ok" or not clip.processed_name:
        return f"ingest: {as_shown(clip).reasons[0] if clip.reasons else clip.status}"
    if film is None:
        return "its film is in no manifest"
    if not Right(film.effective_right).permits_training:
        return "its rights do not permit training"
    if verdict is None:
        return "QC has not judged it"
    if verdict.status not in params.admit:
        return f"QC says {verdict.status}"
    return None
