"""A workspace of as many clips as one likes: synthetic manifests, a model, a sample and dvc.lock, without media."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aiprod.base.files import write_json
from aiprod.captions.rows import CaptionRow
from aiprod.data.latents.rows import LatentRow
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of, film_id_of
from aiprod.qc.rows import CheckResult, MeasureRow, VerdictRow
from aiprod.repo.dvc_lock import folder_md5, hashes
from aiprod.storage.ledger import write_ledger
from aiprod.storage.manifest.manifest import write_manifest

REPOSITORY = Path(__file__).resolve().parents[2]
_CHECKS = ("resolution", "fps", "audio", "aspect_ratio", "black_frames", "watermark", "encoding", "faces")
_FOLDERS = {
    "ingest/films": "ingest",
    "ingest/clips": "ingest",
    "qc/measure": "qc_measure",
    "qc/decide": "qc_decide",
    "captions": "caption",
    "latents": "cache_latents",
}


def build(root: Path, clips: int) -> Path:
    """Films of two clips each, all admitted, all shown to the model in three phases."""
    (root / "datasets/v1").mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "datasets/sources.yaml").write_text((REPOSITORY / "datasets/sources.yaml").read_text())
    ids = [film_id_of("open-film", f"film-{n}", f"{n:064x}") for n in range(clips // 2)]
    pairs = [(film, clip_id_of(film, shot), shot) for film in ids for shot in range(2)]
    proof = [f"{layer}: CC-BY-4.0 permits training with credit" for layer in ("media", "annotation", "terms", "host")]
    films = [
        FilmRow(
            film_id=film,
            source_id="open-film",
            key=f"film-{n}.mp4",
            title=f"Film {n}",
            status="ok",
            content_sha256=f"{n:064x}",
            media_license="CC-BY-4.0",
            effective_right="train_with_obligations",
            rights_proof=proof,
            obligations=[f"credit: (c) Author {n % 500} (CC-BY-4.0)"],
            attribution=f"(c) Author {n % 500}",
            n_clips=2,
        )
        for n, film in enumerate(ids)
    ]
    common = {"fps": 24.0, "width": 854, "height": 480, "has_audio": True, "status": "ok", "split": "train"}
    rows = {
        "ingest/films": (films, FilmRow, lambda r: r.film_id),
        "ingest/clips": (
            [
                ClipRow(
                    clip_id=clip,
                    film_id=film,
                    source_id="open-film",
                    shot_index=shot,
                    start_s=3.0 * shot,
                    end_s=3.0 * shot + 3,
                    frames=72,
                    processed_sha256=f"{shot:064x}",
                    steps=["scaled to 480 lines"],
                    **common,
                )
                for film, clip, shot in pairs
            ],
            ClipRow,
            lambda r: r.clip_id,
        ),
        "qc/measure": (
            [
                MeasureRow(clip_id=c, film_id=f, status="ok", measurements={"black": {"seconds": 0.0}})
                for f, c, _ in pairs
            ],
            MeasureRow,
            lambda r: r.clip_id,
        ),
        "qc/decide": (
            [VerdictRow(clip_id=c, film_id=f, status="APPROVED", score=0.95, checks=_checks()) for f, c, _ in pairs],
            VerdictRow,
            lambda r: r.clip_id,
        ),
        "captions": (
            [CaptionRow(clip_id=c, film_id=f, status="ok", caption=f"clip {c} of a red circle") for f, c, _ in pairs],
            CaptionRow,
            lambda r: r.clip_id,
        ),
        "latents": (
            [
                LatentRow(clip_id=c, film_id=f, phase=p, status="ok", file=f"{p}/{c}.safetensors", file_sha256="0" * 64)
                for f, c, _ in pairs
                for p in ("low", "mid", "high")
            ],
            LatentRow,
            lambda r: r.row_id,
        ),
    }
    for name, (made, model, key) in rows.items():
        folder = root / "datasets/v1" / name
        write_manifest(folder, made, row_model=model, stage=_FOLDERS[name], key=key, params_digest="p", inputs={})
    shown = [{"clip_id": c, "film_id": f, "times": 9, "by_phase": {"low": 3, "mid": 3, "high": 3}} for f, c, _ in pairs]
    write_ledger(root / "models/diffusion/exposure.json", {"model_digest": "m", "unit": "times", "clips": shown})
    write_json(root / "models/diffusion/training.json", {"model_digest": "m", "dataset_root": "d", "steps": 1})
    write_json(root / "reports/samples/000.json", {"prompt": "a red circle", "seed": 1, "model_digest": "m"})
    (root / "reports/samples/000.mp4").write_bytes(b"sample")
    _lock(root)
    return root


def multiply(root: Path, clips: int) -> Path:
    """The same of as many clips as one likes, in seconds: the rows of two clips again and again, under other ids.

    Heads keep the Merkle roots of the two: what is recorded in dvc.lock is read without.
    """
    build(root, 2)
    films = [f"f{n:016d}" for n in range(clips // 2)]
    ids = [f"{films[n // 2].replace('f', 'c')}-{n % 2:03d}" for n in range(clips)]
    for name in _FOLDERS:
        path = root / "datasets/v1" / name / "manifest.parquet"
        table, rows = pq.read_table(path), 3 if name == "latents" else 1
        count = clips // 2 if name == "ingest/films" else clips * rows
        table = table.take(pa.array(np.arange(count) % len(table)))
        of = {"film_id": [films[n // (2 * rows)] for n in range(count)] if name != "ingest/films" else films}
        if name != "ingest/films":
            of["clip_id"] = [ids[n // rows] for n in range(count)]
        for key, values in of.items():
            table = table.set_column(table.schema.get_field_index(key), key, pa.array(values))
        pq.write_table(table, path, compression="zstd", row_group_size=4096)
    thrice = {"low": 3, "mid": 3, "high": 3}
    shown = [{"clip_id": c, "film_id": films[n // 2], "times": 9, "by_phase": thrice} for n, c in enumerate(ids)]
    write_ledger(root / "models/diffusion/exposure.json", {"model_digest": "m", "unit": "times", "clips": shown})
    _lock(root)
    return root


def _checks() -> list[CheckResult]:
    return [
        CheckResult(
            check=n, value=1.0, score=1.0, status="ok", method="m", version="1", params_digest="p", reason="fine"
        )
        for n in _CHECKS
    ]


def _lock(root: Path) -> None:
    """dvc.lock with the manifests' folders, the model and the samples, and DVC's lists of their files."""
    stages: dict[str, dict[str, object]] = {}
    before: list[str] = []
    outs = [(stage, f"datasets/v1/{name}") for name, stage in _FOLDERS.items()]
    for stage, out in [*outs, ("train_diffusion", "models/diffusion"), ("sample", "reports/samples")]:
        names = sorted(p.relative_to(root / out).as_posix() for p in (root / out).rglob("*") if p.is_file())
        md5 = folder_md5(root / out, names)
        place = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        listed = [{"md5": hashes(root / out / name)[0], "relpath": name} for name in names]
        place.write_text(json.dumps(listed, sort_keys=True))
        entry = stages.setdefault(stage, {"cmd": f"python -m pipeline.{stage}", "deps": [], "outs": []})
        entry["outs"].append({"path": out, "hash": "md5", "md5": md5})  # type: ignore[attr-defined]
        entry["deps"] = [{"path": path, "md5": "x"} for path in before if path != out]
        before.append(out)
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
