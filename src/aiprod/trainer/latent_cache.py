"""Encodes every admitted clip once per curriculum phase, and checks each latent by decoding it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from aiprod.base.errors import AiprodError
from aiprod.base.files import digest_of, sha256_file, write_bytes
from aiprod.base.memo import Memo
from aiprod.base.params import Params
from aiprod.base.progress import ticker
from aiprod.base.stage import Counters
from aiprod.core.errors import CoreError
from aiprod.core.text.gemma import GemmaTextEncoder
from aiprod.core.types import VideoPixelShape
from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.video import VideoVAE
from aiprod.data.latent_dataset import NULL_TEXT, latent_geometry
from aiprod.data.latent_rows import LatentRow
from aiprod.media.clips import read_clip
from aiprod.media.errors import MediaError
from aiprod.trainer.clips import Selection, TrainingClip
from aiprod.trainer.curriculum import PhaseGeometry
from aiprod.trainer.model_folders import latent_maker_digests

_TEXTS_AT_ONCE = 32


class CacheLatentsParams(Params):
    """Section ``cache_latents``."""

    min_psnr_db: float = Field(default=10.0, ge=0, description="a clip whose decoded latent is worse is left out")
    text_quantize: Literal["int8"] | None = Field(default=None, description="precision of the text encoder's weights")
    readers: int = Field(default=2, ge=1, le=64, description="threads that decode film ahead of the encoder")


@dataclass(frozen=True)
class CacheModels:
    """The models that make latents, and the digest of each by the names in ``data.latent_dataset.DIGESTS``."""

    video_vae: VideoVAE
    audio_vae: AudioVAE
    text_encoder: GemmaTextEncoder
    digests: Mapping[str, str]

    @classmethod
    def load(cls, models: Path, params: CacheLatentsParams) -> CacheModels:
        """Read all three below ``models``, in eval mode.

        Raises:
            AiprodError: one is missing or damaged.
        """
        digests = latent_maker_digests(models)
        try:
            return cls(
                VideoVAE.from_pretrained(models / "video_vae").eval(),
                AudioVAE.from_pretrained(models / "audio_vae").eval(),
                GemmaTextEncoder.from_pretrained(models / "text_encoder", quantize=params.text_quantize),
                digests,
            )
        except CoreError as error:
            raise AiprodError(error.what, error.mend) from None


@dataclass(frozen=True)
class _Job:
    """One clip in one phase."""

    clip: TrainingClip
    phase: str
    geometry: PhaseGeometry  # of this clip: turned for portrait, shortened for a short clip
    key: str


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
    texts = _cache_texts(selection.all, models, params, folder, memo)
    rows = [
        LatentRow(clip_id=clip_id, film_id=left.film_id, phase=phase, status="filtered", reasons=[left.reason])
        for phase in phases
        for clip_id, left in selection.left_out.items()
    ]
    todo: list[_Job] = []
    for phase, geometry in phases.items():
        for clip in selection.all:
            fitted = _fit(clip, geometry, models)
            if fitted is None:
                reason = f"shorter than {1 + models.video_vae.compression.time} frames at {geometry.fps:g} a second"
                rows.append(_row(clip, phase, "filtered", [reason]))
                continue
            key = memo.key(clip.sha256, clip.has_audio, fitted.model_dump(mode="json"))
            todo.append(_Job(clip, phase, fitted, key))
    missing = [job for job in todo if memo.get(job.key) is None]
    failed: dict[str, str] = {}
    with ticker("caching latents", len(missing)) as tick:
        for job, media in _read_ahead(missing, params.readers):
            if isinstance(media, MediaError):
                failed[job.key] = media.reason
            else:
                memo.put(job.key, _encoder(job, media, models))
            tick.advance()
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
            raise AiprodError(f"params.yaml: curriculum.phases.{name}: {error.what}", error.mend) from None


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
    jobs: Sequence[_Job], readers: int
) -> Iterator[tuple[_Job, tuple[np.ndarray, np.ndarray] | MediaError]]:
    """Decoded film in order, a few clips ahead of whoever consumes it."""

    def read(job: _Job) -> tuple[np.ndarray, np.ndarray] | MediaError:
        g = job.geometry
        try:
            return read_clip(job.clip.path, g.height, g.width, g.fps, g.frames)
        except MediaError as error:
            return error

    with ThreadPoolExecutor(readers) as pool:
        waiting = [(job, pool.submit(read, job)) for job in jobs[: 2 * readers]]
        for index in range(len(jobs)):
            job, future = waiting.pop(0)
            ahead = index + 2 * readers
            if ahead < len(jobs):
                waiting.append((jobs[ahead], pool.submit(read, jobs[ahead])))
            yield job, future.result()


def _encoder(job: _Job, media: tuple[np.ndarray, np.ndarray], models: CacheModels) -> Callable[[Path], dict[str, Any]]:
    """Writes ``latents.safetensors`` and returns what the row says about it."""

    @torch.no_grad()
    def build(folder: Path) -> dict[str, Any]:
        pixels = torch.from_numpy(media[0]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        z = models.video_vae.encode(pixels).mode()
        error = float((models.video_vae.decode(z).clamp(-1, 1) - pixels).square().mean())
        psnr = 10 * math.log10(4.0 / max(error, 1e-10))
        tensors = {"video": models.video_vae.normalize(z)[0]}
        facts: dict[str, Any] = {"psnr_db": round(psnr, 3), "video_shape": list(tensors["video"].shape)}
        if job.clip.has_audio:
            hop = models.audio_vae.compression.hop
            sound = torch.from_numpy(media[1])[None]
            sound = torch.nn.functional.pad(sound, (0, -sound.shape[-1] % hop))
            za = models.audio_vae.encode(sound).mode()
            tensors["audio"] = models.audio_vae.normalize(za)[0]
            facts["audio_shape"] = list(tensors["audio"].shape)
            facts["audio_snr_db"] = _snr_db(sound, models.audio_vae.decode(za))
        g = job.geometry
        header = {
            "clip_sha256": job.clip.sha256,
            "has_audio": str(job.clip.has_audio).lower(),
            **models.digests,
            "geometry": latent_geometry(g.height, g.width, g.frames, g.fps),
        }
        _write(folder / "latents.safetensors", tensors, header)
        return facts

    return build


def _snr_db(sound: Tensor, decoded: Tensor) -> float | None:
    """Signal to error ratio in decibels; None for silence."""
    power = float(sound.square().sum())
    if power == 0:
        return None
    return round(10 * math.log10(power / max(float((decoded - sound).square().sum()), 1e-12)), 3)


def _cache_texts(
    clips: Sequence[TrainingClip], models: CacheModels, params: CacheLatentsParams, folder: Path, memo: Memo
) -> dict[str, tuple[str, str]]:
    """Text features of every caption, and of the empty prompt; clip id → (file, sha256)."""
    captions = sorted({"", *(clip.caption for clip in clips)})
    keys = {caption: memo.key("text", params.text_quantize, caption) for caption in captions}
    missing = [caption for caption in captions if memo.get(keys[caption]) is None]
    for start in range(0, len(missing), _TEXTS_AT_ONCE):
        part = missing[start : start + _TEXTS_AT_ONCE]
        with torch.no_grad():
            features = models.text_encoder.encode(part)
        for row, caption in enumerate(part):
            kept = features.mask[row].bool()
            hidden = features.hidden[row][kept if bool(kept.any()) else slice(0, 1)].float()
            tensors = {"hidden": hidden, "mask": torch.ones(len(hidden), dtype=torch.uint8)}
            header = {"text_encoder": models.digests["text_encoder"]}
            memo.put(keys[caption], lambda place, t=tensors, h=header: _write(place / "text.safetensors", t, h))  # type: ignore[misc]
    places: dict[str, tuple[str, str]] = {}
    for name, caption in [("null", ""), *((clip.clip_id, clip.caption) for clip in clips)]:
        entry = memo.get(keys[caption])
        assert entry is not None
        target = NULL_TEXT if name == "null" else f"text/{name}.safetensors"
        memo.link(entry[1], "text.safetensors", folder / target)
        places[name] = (target, sha256_file(folder / target))
    return places


def _finish(
    job: _Job, entry: tuple[Any, Path], text: tuple[str, str], params: CacheLatentsParams, *, folder: Path, memo: Memo
) -> LatentRow:
    facts, place = entry
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


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(whole, metadata=dict(header)))
