"""Encodes every admitted clip once per curriculum phase, and checks each latent by decoding it again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.files import digest_of, sha256_file
from aiprod.base.progress import ticker
from aiprod.base.stage import Counters
from aiprod.core.types import VideoCompression, VideoPixelShape
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError, CoreError
from aiprod.executors.types import Engine
from aiprod.models.artifacts import MODELS
from aiprod.storage.clip_store import refuse_damaged
from aiprod.storage.result_cache import CIPHERTEXT, Memo
from aiprod.trainer.latents.encode import (
    CacheJob,
    CacheLatentsParams,
    CacheModels,
    UnloadedModels,
    encode_texts,
    link_texts,
    text_keys,
)
from aiprod.trainer.latents.encode_clips import encode_clips
from aiprod.trainer.latents.encode_job import encode_on_workers
from aiprod.trainer.loop.curriculum import PhaseGeometry
from aiprod.trainer.training_set import Selection, TrainingClip


def geometry_digest(phases: Mapping[str, PhaseGeometry]) -> str:
    """What latents depend on in the curriculum."""
    return digest_of({name: phase.model_dump(mode="json") for name, phase in phases.items()})


def cache_latents(
    selection: Selection,
    phases: Mapping[str, PhaseGeometry],
    models: CacheModels | UnloadedModels,
    params: CacheLatentsParams,
    *,
    folder: Path,
    memo: Memo,
    engine: Engine = "local",
    makers: Path = MODELS,
) -> tuple[list[LatentRow], Counters, dict[str, Any]]:
    """Write ``<phase>/<clip_id>.safetensors`` and ``text/<clip_id>.safetensors`` below ``folder``.

    Args:
        models: loaded here only where there is something to encode, and ``engine`` is local.
        engine: where clips and captions are encoded; ``local`` is here, with ``models``. The result is the same.
        makers: the folder that ``models`` are in, for workers of another engine.

    Returns:
        one row for each clip and phase (also of clips that are left out), counters, and metrics with the decode check.

    Raises:
        AiprodError: a resolution does not divide by the VAE's compression.
    """
    compression = models.compression
    _check_geometry(phases, compression)
    counters = Counters()
    keys, parts = text_keys(selection.all, params, memo)
    rows = [
        LatentRow(clip_id=clip_id, film_id=left.film_id, phase=phase, status="filtered", reasons=[left.reason])
        for phase in phases
        for clip_id, left in selection.left_out.items()
    ]
    todo: list[CacheJob] = []
    for phase, geometry in phases.items():
        for clip in selection.all:
            fitted = _fit(clip, geometry, compression.time)
            if fitted is None:
                reason = f"shorter than {1 + compression.time} frames at {geometry.fps:g} a second"
                rows.append(_row(clip, phase, "filtered", [reason]))
                continue
            key = memo.key(clip.sha256, clip.has_audio, fitted.model_dump(mode="json"))
            todo.append(CacheJob(clip, phase, fitted, key))
    missing = [job for job in todo if memo.get(job.key) is None]
    refuse_damaged((job.clip.path, job.clip.sha256) for job in missing)
    encoded: Iterable[tuple[CacheJob, str | None]] = ()
    if engine == "local" and (parts or missing):
        here = models.loaded()
        for part in parts:
            encode_texts(part, here, memo)
        encoded = encode_clips(missing, here, params.readers, memo)
    elif parts or missing:
        encoded = encode_on_workers(missing, parts, params, makers, memo=memo, engine=engine)
    failed: dict[str, str] = {}
    with ticker("caching latents", len(missing)) as tick:
        for job, why_not in encoded:
            if why_not is not None:
                failed[job.key] = why_not
            tick.advance()
    texts = link_texts(keys, folder, memo)
    if failed and len(failed) == len(todo):
        raise AiprodError(f"no clip could be encoded: {next(iter(failed.values()))}", "see the reason of the first")
    fresh = {job.key for job in missing}
    for job in todo:
        if job.key in failed:
            counters.failed += 1
            rows.append(_row(job.clip, job.phase, "error", [failed[job.key]]))
            continue
        entry = memo.get(job.key)
        if entry is None:
            raise AiprodError("a cached latent vanished while the stage ran", "run `dvc repro` again")
        counters.processed += job.key in fresh
        counters.reused += job.key not in fresh
        rows.append(_finish(job, entry, texts[job.clip.clip_id], params, folder=folder, memo=memo))
    return rows, counters, _metrics(rows, phases)


def _check_geometry(phases: Mapping[str, PhaseGeometry], compression: VideoCompression) -> None:
    for name, phase in phases.items():
        try:
            VideoPixelShape(1, phase.frames, phase.height, phase.width, phase.fps).to_latent(compression)
        except CoreError as error:
            raise AiprodError(f"params.yaml: curriculum.phases.{name}: {error.what}", error.hint) from None


def _fit(clip: TrainingClip, geometry: PhaseGeometry, time: int) -> PhaseGeometry | None:
    """The phase's geometry for this clip: sides swapped for portrait, the longest valid number of frames it has.

    Args:
        time: frames in a latent frame.
    """
    available = math.floor(clip.frames / clip.fps * geometry.fps + 1e-6) if clip.fps > 0 else 0
    frames = min(geometry.frames, 1 + (available - 1) // time * time)
    if frames < min(geometry.frames, 1 + time):
        return None
    height, width = geometry.height, geometry.width
    if clip.height > clip.width:
        height, width = width, height
    return geometry.model_copy(update={"height": height, "width": width, "frames": frames})


def _finish(
    job: CacheJob,
    entry: tuple[Any, Path],
    text: tuple[str, str],
    params: CacheLatentsParams,
    *,
    folder: Path,
    memo: Memo,
) -> LatentRow:
    facts, place = entry
    facts = {name: value for name, value in facts.items() if name != CIPHERTEXT}  # file_sha256 below says the same
    psnr = float(facts["psnr_db"])
    g = job.geometry
    measured = {
        **facts,
        "has_audio": job.clip.has_audio,
        "height": g.height,
        "width": g.width,
        "frames": g.frames,
        "fps": g.fps,
    }
    if psnr < params.min_psnr_db:
        reason = f"the decoded latent is below {params.min_psnr_db:g} dB"
        return _row(job.clip, job.phase, "filtered", [reason], **measured)
    name = f"{job.phase}/{job.clip.clip_id}.safetensors"
    memo.link(place, "latents.safetensors", folder / name)
    return _row(
        job.clip,
        job.phase,
        "ok",
        [],
        **measured,
        file=name,
        file_sha256=sha256_file(folder / name),
        text_file=text[0],
        text_sha256=text[1],
    )


def _row(clip: TrainingClip, phase: str, status: str, reasons: list[str], **facts: Any) -> LatentRow:
    return LatentRow(
        clip_id=clip.clip_id,
        film_id=clip.film_id,
        source_id=clip.source_id,
        phase=phase,
        status=status,
        reasons=reasons,
        split=clip.split,
        caption=clip.caption,
        **facts,
    )


def _metrics(rows: Sequence[LatentRow], phases: Mapping[str, PhaseGeometry]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for phase in phases:
        ok = [row for row in rows if row.phase == phase and row.status == "ok"]
        psnr = [row.psnr_db for row in ok if row.psnr_db is not None]
        snr = [row.audio_snr_db for row in ok if row.audio_snr_db is not None]
        result[phase] = {
            "clips": len(ok),
            "clips_with_sound": sum(row.has_audio for row in ok),
            "psnr_db_mean": round(float(np.mean(psnr)), 3) if psnr else None,
            "psnr_db_worst": round(min(psnr), 3) if psnr else None,
            "audio_snr_db_mean": round(float(np.mean(snr)), 3) if snr else None,
        }
    return result
