"""Encodes every admitted clip once per curriculum phase, and checks each latent by decoding it again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.files import digest_of, sha256_file
from aiprod.base.progress import ticker
from aiprod.base.stage import Counters
from aiprod.core.types import VideoPixelShape
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError, CoreError, is_one_line, per_item
from aiprod.media.clips import read_clip
from aiprod.media.errors import MediaError
from aiprod.storage.clip_store import decrypted_copy, refuse_damaged
from aiprod.storage.result_cache import CIPHERTEXT, Memo
from aiprod.trainer.latents.encode import (
    CacheJob,
    CacheLatentsParams,
    CacheModels,
    cache_texts,
    encoder,
    is_mirrored,
    seal_of,
)
from aiprod.trainer.loop.curriculum import PhaseGeometry
from aiprod.trainer.training_set import Selection, TrainingClip


def geometry_digest(phases: Mapping[str, PhaseGeometry]) -> str:
    """What latents depend on in the curriculum."""
    return digest_of({name: phase.model_dump(mode="json") for name, phase in phases.items()})


def cache_latents(
    selection: Selection,
    phases: Mapping[str, PhaseGeometry],
    models: CacheModels,
    params: CacheLatentsParams,
    *,
    folder: Path,
    memo: Memo,
) -> tuple[list[LatentRow], Counters, dict[str, Any]]:
    """Write ``<phase>/<clip_id>.safetensors`` and ``text/<clip_id>.safetensors`` below ``folder``.

    Returns:
        one row for each clip and phase (also of clips that are left out), counters, and metrics with the decode check.

    Raises:
        AiprodError: a resolution does not divide by the VAE's compression.
    """
    _check_geometry(phases, models)
    counters = Counters()
    texts = cache_texts(selection.all, models, params, folder, memo)
    rows = [
        LatentRow(clip_id=clip_id, film_id=left.film_id, phase=phase, status="filtered", reasons=[left.reason])
        for phase in phases
        for clip_id, left in selection.left_out.items()
    ]
    todo: list[CacheJob] = []
    for phase, geometry in phases.items():
        for clip in selection.all:
            fitted = _fit(clip, geometry, models)
            if fitted is None:
                reason = f"shorter than {1 + models.video_vae.compression.time} frames at {geometry.fps:g} a second"
                rows.append(_row(clip, phase, "filtered", [reason]))
                continue
            mirrored = is_mirrored(clip, params)
            more = ["mirrored"] if mirrored else []
            key = memo.key(clip.sha256, clip.has_audio, fitted.model_dump(mode="json"), *more)
            todo.append(CacheJob(clip, phase, fitted, key, mirrored))
    missing = [job for job in todo if memo.get(job.key) is None]
    failed: dict[str, str] = {}
    refuse_damaged((job.clip.path, job.clip.sha256) for job in missing)
    with ticker("caching latents", len(missing)) as tick:
        for job, media in _read_ahead(missing, params.readers, models.audio_vae.compression.sample_rate):
            if isinstance(media, str):
                failed[job.key] = media
            else:
                try:
                    memo.put(job.key, encoder(job, media, models), seal_of("latent", job.clip.clip_id))
                except Exception as error:  # one clip never costs the others
                    failed[job.key] = per_item(error, "the autoencoder")
            tick.advance()
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


def _check_geometry(phases: Mapping[str, PhaseGeometry], models: CacheModels) -> None:
    compression = models.video_vae.compression
    for name, phase in phases.items():
        try:
            VideoPixelShape(1, phase.frames, phase.height, phase.width, phase.fps).to_latent(compression)
        except CoreError as error:
            raise AiprodError(f"params.yaml: curriculum.phases.{name}: {error.what}", error.hint) from None


def _fit(clip: TrainingClip, geometry: PhaseGeometry, models: CacheModels) -> PhaseGeometry | None:
    """The phase's geometry for this clip: sides swapped for portrait, the longest valid number of frames it has."""
    time = models.video_vae.compression.time
    available = math.floor(clip.frames / clip.fps * geometry.fps + 1e-6) if clip.fps > 0 else 0
    frames = min(geometry.frames, 1 + (available - 1) // time * time)
    if frames < min(geometry.frames, 1 + time):
        return None
    height, width = geometry.height, geometry.width
    if clip.height > clip.width:
        height, width = width, height
    return geometry.model_copy(update={"height": height, "width": width, "frames": frames})


def _read_ahead(
    jobs: Sequence[CacheJob], readers: int, sample_rate: int
) -> Iterator[tuple[CacheJob, tuple[np.ndarray, np.ndarray] | str]]:
    """Decoded film in order, or why there is none, a few clips ahead of whoever consumes it."""

    def read(job: CacheJob) -> tuple[np.ndarray, np.ndarray] | str:
        g = job.geometry
        try:
            with decrypted_copy(job.clip.path) as path:
                return read_clip(path, g.height, g.width, g.fps, g.frames, sample_rate=sample_rate)
        except MediaError as error:
            return error.reason
        except Exception as error:
            if is_one_line(error):  # no fault of the clip: its key is missing, for example
                raise
            return per_item(error, "the decoder")

    with ThreadPoolExecutor(readers) as pool:
        waiting = [(job, pool.submit(read, job)) for job in jobs[: 2 * readers]]
        for index in range(len(jobs)):
            job, future = waiting.pop(0)
            ahead = index + 2 * readers
            if ahead < len(jobs):
                waiting.append((jobs[ahead], pool.submit(read, jobs[ahead])))
            yield job, future.result()


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
