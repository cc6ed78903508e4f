"""Captions all clips of a dataset: known ones from the memo, the rest in batches; a row for each clip."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiprod.base.files import digest_of
from aiprod.base.progress import ticker
from aiprod.base.stage import Counters
from aiprod.captions.caption_job import answers_of_workers, keep
from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.content import Content
from aiprod.captions.params import CaptionParams
from aiprod.captions.rows import CaptionRow
from aiprod.captions.rule_based import RuleBased
from aiprod.captions.taxonomy import camera_movement
from aiprod.data.rows import ClipRow
from aiprod.executors.types import Engine
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.clip_store import ClipStore, refuse_damaged
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.manifest.manifest import LeavedTable
from aiprod.storage.result_cache import Memo


def caption_all(
    clips: Sequence[ClipRow],
    measured: Sequence[MeasureRow],
    verdicts: Sequence[VerdictRow] | Mapping[str, str],
    captioner: Captioner,
    *,
    memo: Memo,
    store: ClipStore,
    instead: Captioner | None = None,
    params: CaptionParams | None = None,
    engine: Engine = "local",
    per_film: Mapping[str, int] | None = None,
) -> tuple[list[CaptionRow], Counters]:
    """A row for each clip, in the order of ``clips``. A clip that could not be measured is skipped with its reason.

    Each caption is kept as soon as it is known, so that a run that is stopped goes on where it was.

    Args:
        verdicts: rows, or clip id → status.
        instead: describes the clips that ``captioner`` may not be shown; by rules where none is given.
        params: what ``captioner`` was made of, for workers of another engine than this process.
        engine: where clips are described; ``local`` is here, with the captioner as it is. The result is the same.
        per_film: how many clips each film has, where ``clips`` are not all.
    """
    by_id = {row.clip_id: row for row in measured}
    judged = verdicts if isinstance(verdicts, Mapping) else {row.clip_id: row.status for row in verdicts}
    per_film = per_film or Counter(clip.film_id for clip in clips)
    instead = instead or RuleBased()
    counters = Counters()
    drafts: dict[str, Any] = {}
    refused: dict[str, str] = {}
    keys: dict[str, str] = {}
    waiting: dict[bool, list[Subject]] = {False: [], True: []}  # whether they were refused
    for clip in clips:
        row = by_id[clip.clip_id]
        if row.status != "ok":
            continue
        subject = subject_of(clip, row, store, alone=per_film[clip.film_id] == 1)
        if (reason := captioner.refusal(subject)) is not None:
            refused[clip.clip_id] = reason
        by = captioner if reason is None else instead
        keys[clip.clip_id] = memo.key(by.name, by.version, _identity(subject, clip))
        known = memo.get(keys[clip.clip_id])
        if known is not None:
            drafts[clip.clip_id] = known[0]
            counters.reused += 1
        else:
            waiting[reason is not None].append(subject)
    if captioner.looks:
        recorded = {clip.clip_id: clip.processed_sha256 for clip in clips}
        refuse_damaged((s.path, recorded[s.clip_id]) for s in waiting[False] if s.path is not None)
    with ticker("caption", sum(map(len, waiting.values()))) as tick:
        for by, subjects in ((captioner, waiting[False]), (instead, waiting[True])):
            if engine != "local" and params is not None and by is captioner and by.computes:
                answers = answers_of_workers(params, by, subjects, keys, memo=memo, engine=engine)
            else:
                answers = _answers_here(by, subjects, keys, memo)
            for subject, why_not in answers:
                known = memo.kept(keys[subject.clip_id]) if why_not is None else None
                if known is None:
                    drafts[subject.clip_id] = {"error": why_not or "the result could not be kept"}
                    counters.failed += 1
                else:
                    drafts[subject.clip_id] = known[0]
                    counters.processed += 1
                tick.advance()
    rows = [
        _row(
            clip,
            by_id[clip.clip_id],
            drafts.get(clip.clip_id),
            captioner=instead if clip.clip_id in refused else captioner,
            refused=refused.get(clip.clip_id),
            verdict=judged.get(clip.clip_id),
        )
        for clip in clips
    ]
    counters.failed += sum(1 for row in rows if row.status == "skipped")
    return rows, counters


def _answers_here(
    by: Captioner, subjects: Sequence[Subject], keys: Mapping[str, str], memo: Memo
) -> Iterator[tuple[Subject, str | None]]:
    """Each subject, with None once its memo entry is there, or with the reason why there is none."""
    for subject, draft in by.answers(subjects):
        if isinstance(draft, Draft):
            keep(memo, keys[subject.clip_id], subject.clip_id, draft)
        yield subject, draft if isinstance(draft, str) else None


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
        private=is_private(clip.clip_id),
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


def _row(
    clip: ClipRow,
    row: MeasureRow,
    draft: dict[str, Any] | None,
    *,
    captioner: Captioner,
    refused: str | None,
    verdict: str | None,
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
            "reasons": [refused] if refused else [],
            "caption": draft["caption"],
            "tags": draft["tags"],
            "camera_movement": camera_movement(row.measurements.get("camera"), declared),
            "confidence": draft["confidence"],
            "verdict": verdict,
            "content": Content.model_validate(draft["content"]),
        }
    )


def made_from(
    clips: LeavedTable[ClipRow], measured: LeavedTable[MeasureRow], verdicts: Mapping[str, str]
) -> dict[str, bytes]:
    """Clip id → digest of all that differs between clips and decides a caption's row.

    Args:
        verdicts: clip id → status.
    """
    measures = dict(zip(measured.ids, measured.leaves, strict=True))
    films = clips.cells("film_id")
    per_film = Counter(films)
    digests = {}
    for clip_id, film_id, leaf in zip(clips.ids, films, clips.leaves, strict=True):
        alone = b"1" if per_film[film_id] == 1 else b"0"
        text = leaf + measures[clip_id] + alone + verdicts.get(clip_id, "").encode()
        digests[clip_id] = hashlib.sha256(text).digest()
    return digests
