"""Captions all clips of a dataset: known ones from the memo, the rest in batches; a row for each clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from aiprod.base.files import digest_of
from aiprod.base.progress import ticker
from aiprod.base.stage import Counters
from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.params import CaptionParams
from aiprod.captions.rows import CaptionRow
from aiprod.captions.taxonomy import camera_movement
from aiprod.data.rows import ClipRow
from aiprod.errors import per_item
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.clip_store import ClipStore, refuse_damaged
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.result_cache import Memo, Seal


def make_captioner(params: CaptionParams) -> Captioner:
    """The captioner that the parameters name.

    Raises:
        AiprodError: a model is asked for and its checkpoint cannot be loaded.
    """
    if params.captioner == "signal":
        from aiprod.captions.rule_based import SignalCaptioner

        return SignalCaptioner(params.seed)
    from aiprod.captions.vlm import VlmCaptioner

    return VlmCaptioner(params.vlm)


def caption_all(
    clips: Sequence[ClipRow],
    measured: Sequence[MeasureRow],
    verdicts: Sequence[VerdictRow],
    captioner: Captioner,
    *,
    memo: Memo,
    store: ClipStore,
    batch: int = 64,
) -> tuple[list[CaptionRow], Counters]:
    """A row for each clip, in the order of ``clips``. A clip that could not be measured is skipped with its reason."""
    by_id = {row.clip_id: row for row in measured}
    judged = {row.clip_id: row for row in verdicts}
    per_film: dict[str, int] = {}
    for clip in clips:
        per_film[clip.film_id] = per_film.get(clip.film_id, 0) + 1
    counters = Counters()
    drafts: dict[str, Any] = {}
    waiting: list[tuple[Subject, str]] = []
    for clip in clips:
        row = by_id[clip.clip_id]
        if row.status != "ok":
            continue
        subject = subject_of(clip, row, store, alone=per_film[clip.film_id] == 1)
        key = memo.key(captioner.name, captioner.version, _identity(subject, clip))
        known = memo.get(key)
        if known is not None:
            drafts[clip.clip_id] = known[0]
            counters.reused += 1
        else:
            waiting.append((subject, key))
    if getattr(captioner, "looks", False):
        recorded = {clip.clip_id: clip.processed_sha256 for clip in clips}
        refuse_damaged((s.path, recorded[s.clip_id]) for s, _ in waiting if s.path is not None)
    with ticker("caption", len(waiting)) as tick:
        for start in range(0, len(waiting), batch):
            part = waiting[start : start + batch]
            for (subject, key), draft in zip(part, _describe(captioner, [s for s, _ in part]), strict=True):
                if isinstance(draft, str):
                    drafts[subject.clip_id] = {"error": draft}
                    counters.failed += 1
                else:
                    seal = Seal(subject.clip_id, str) if is_private(subject.clip_id) else None
                    drafts[subject.clip_id] = memo.put(key, partial(_as_json, draft), seal)[0]
                    counters.processed += 1
                tick.advance()
    rows = [
        _row(clip, by_id[clip.clip_id], judged.get(clip.clip_id), drafts.get(clip.clip_id), captioner) for clip in clips
    ]
    counters.failed += sum(1 for row in rows if row.status == "skipped")
    return rows, counters


def subject_of(clip: ClipRow, row: MeasureRow, store: ClipStore, *, alone: bool) -> Subject:
    """What the captioner is given of a clip."""
    scenes = (clip.ground_truth or {}).get("scenes") or []
    return Subject(
        clip_id=clip.clip_id,
        measurements=row.measurements,
        title=clip.title if not scenes else None,
        description=clip.description,
        labels=tuple(clip.labels),
        scene=scenes[0] if scenes else None,
        whole_film=alone,
        path=store.path("processed", clip.processed_name) if clip.processed_name else None,
    )


def _identity(subject: Subject, clip: ClipRow) -> str:
    """Digest of everything a caption may depend on."""
    return digest_of(
        [
            subject.clip_id,
            {k: dict(v) for k, v in subject.measurements.items()},
            subject.title,
            subject.description,
            list(subject.labels),
            dict(subject.scene) if subject.scene else None,
            subject.whole_film,
            clip.processed_sha256,
        ]
    )


def _describe(captioner: Captioner, subjects: list[Subject]) -> list[Draft | str]:
    """Drafts, or a reason in place of each that failed: one clip that cannot be described costs its own row."""
    try:
        return list(captioner.describe(subjects))
    except Exception as error:  # a captioner may be anybody's
        words = per_item(error, f"the captioner {captioner.name!r}")
        if len(subjects) == 1:
            return [words]
    return [draft for subject in subjects for draft in _describe(captioner, [subject])]


def _as_json(draft: Draft, _folder: Path) -> dict[str, Any]:
    return asdict(draft)


def _row(
    clip: ClipRow, row: MeasureRow, verdict: VerdictRow | None, draft: dict[str, Any] | None, captioner: Captioner
) -> CaptionRow:
    base = CaptionRow(
        clip_id=clip.clip_id,
        film_id=clip.film_id,
        status="erased" if row.status == "erased" else "skipped",
        captioner=captioner.name,
        captioner_version=captioner.version,
        reasons=row.reasons or ["not measured"],
    )
    if draft is None:
        return base
    if "error" in draft:
        return base.model_copy(update={"status": "error", "reasons": [draft["error"]]})
    scenes = (clip.ground_truth or {}).get("scenes") or []
    declared = scenes[0]["camera"]["movement"] if scenes else None
    return base.model_copy(
        update={
            "status": "ok",
            "reasons": [],
            "caption": draft["caption"],
            "tags": list(draft["tags"]),
            "camera_movement": camera_movement(row.measurements.get("camera"), declared),
            "confidence": draft["confidence"],
            "facts": {**draft["facts"], "verdict": verdict.status if verdict else None},
        }
    )
