"""A small finished workspace, written with the real row models and the real manifest writer."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import pytest

from aiprod.base.files import sha256_file, write_json
from aiprod.data.latents.rows import LatentRow
from aiprod.data.rows import ClipRow, FilmRow, clip_id_of, film_id_of
from aiprod.governance.lineage.verify import model_digest
from aiprod.qc.rows import CheckResult, MeasureRow, VerdictRow
from aiprod.rights.declarations import SidecarRecord, layers, load_sources
from aiprod.rights.effective_right import effective_right
from aiprod.storage.manifest.manifest import write_manifest
from tests.governance.erasable import project  # noqa: F401 - fixtures
from tests.rows import clip_row

REPOSITORY = Path(__file__).resolve().parents[2]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def build_workspace(root: Path, films: int = 6) -> Path:
    """``films`` demo films, one CC-BY film, one refused film; verdicts, latents, a model, two samples, dvc.lock."""
    for name, data in _files(films).items():
        _put(root / name, data)
    return root


@functools.cache
def _files(films: int) -> dict[str, bytes]:
    """Every file of such a workspace: hundreds of tests begin with one, and to compute it takes a tenth of a second."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _build(root, films)
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def _build(root: Path, films: int) -> None:
    (root / "datasets").mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text("lr: 0.001\ntrack: {}\ndossier: {}\n")
    (root / "datasets/sources.yaml").write_text((REPOSITORY / "datasets/sources.yaml").read_text())
    declared = load_sources(root / "datasets/sources.yaml")
    film_rows, clip_rows, measures, verdicts, latents = [], [], [], [], []
    offers = [("demo", f"film-{i:03d}", None) for i in range(films)]
    credit = SidecarRecord(media_license="CC-BY-3.0", attribution="(c) Blender Foundation")
    offers.append(("open-film", "bbb.mp4", credit))
    offers.append(("open-film", "holiday.mp4", SidecarRecord(media_license="CC-BY-NC-4.0")))
    for number, (source_id, key, side) in enumerate(offers):
        content = f"film {key}".encode() * 50
        sha = hashlib.sha256(content).hexdigest()
        film_id = film_id_of(source_id, key, sha)
        decision = effective_right(declared.get(source_id), side)
        refused = not decision.permits_training
        if not refused:
            _put(root / f"datasets/v1/raw/{film_id}.mp4", content)
        license_ = side.media_license if side else declared.get(source_id).media_license
        film_rows.append(
            FilmRow(
                film_id=film_id,
                source_id=source_id,
                key=key,
                title=f"Film {number}",
                status="refused" if refused else "ok",
                reasons=decision.reasons,
                content_sha256=sha,
                size_bytes=len(content),
                media_license=license_,
                raw_name=None if refused else f"{film_id}.mp4",
                rights=layers(declared.get(source_id), side),
                effective_right=decision.right,
                rights_proof=decision.proof,
                obligations=decision.obligations,
                attribution=side.attribution if side else None,
                n_clips=0 if refused else 1,
            )
        )
        if refused:
            verdicts.append(VerdictRow(clip_id=film_id, film_id=film_id, status="REJECTED", reasons=decision.reasons))
            continue
        clip_id = clip_id_of(film_id, 0)
        processed = f"clip {key}".encode() * 40
        _put(root / f"datasets/v1/processed/{clip_id}.mp4", processed)
        split = "heldout" if number == 1 else "train"
        clip_rows.append(
            clip_row(
                clip_id,
                film_id,
                source_id=source_id,
                end_s=3,
                frames=72,
                width=854,
                height=480,
                has_audio=True,
                split=split,
                processed_name=f"{clip_id}.mp4",
                processed_sha256=hashlib.sha256(processed).hexdigest(),
                steps=["scaled to 480 lines"],
            )
        )
        _put(root / f"datasets/v1/qc/measure/thumbs/{clip_id}.jpg", PNG)
        measures.append(
            MeasureRow(
                clip_id=clip_id,
                film_id=film_id,
                status="ok",
                thumbnails=f"{clip_id}.jpg",
                measurements={"black": {"status": "ok", "seconds": 0.0}},
            )
        )
        status = "REVIEW_NEEDED" if number == 2 else "APPROVED"
        check = CheckResult(
            check="black",
            value=0.0,
            score=1.0,
            status="ok",
            method="luma",
            version="1",
            params_digest="0" * 8,
            reason="no black frames",
        )
        verdicts.append(
            VerdictRow(
                clip_id=clip_id,
                film_id=film_id,
                status=status,
                score=0.8 if number == 2 else 0.95,
                checks=[check],
                reasons=["faces: 1 face found"] if number == 2 else [],
                privacy_flags=["face"] if number == 2 else [],
            )
        )
        for phase in ("low", "high"):
            used = status == "APPROVED"
            name = f"{phase}/{clip_id}.safetensors"
            if used:
                _put(root / "datasets/v1/latents" / name, f"latent {phase} {key}".encode())
            latents.append(
                LatentRow(
                    clip_id=clip_id,
                    film_id=film_id,
                    phase=phase,
                    status="ok" if used else "filtered",
                    split=split,
                    source_id=source_id,
                    reasons=[] if used else ["not admitted: REVIEW_NEEDED"],
                    file=name if used else None,
                    psnr_db=30.0 if used else None,
                    file_sha256=sha256_file(root / "datasets/v1/latents" / name) if used else None,
                )
            )
    folders = {
        "datasets/v1/ingest/films": (film_rows, FilmRow, "ingest", lambda r: r.film_id),
        "datasets/v1/ingest/clips": (clip_rows, ClipRow, "ingest", lambda r: r.clip_id),
        "datasets/v1/qc/measure": (measures, MeasureRow, "qc_measure", lambda r: r.clip_id),
        "datasets/v1/qc/decide": (verdicts, VerdictRow, "qc_decide", lambda r: r.clip_id),
        "datasets/v1/latents": (latents, LatentRow, "cache_latents", lambda r: r.row_id),
    }
    heads = {}
    for folder, (rows, model, stage, key_of) in folders.items():
        heads[folder] = write_manifest(
            root / folder,
            rows,
            row_model=model,
            stage=stage,
            key=key_of,
            params_digest="p",
            inputs={name: head.merkle_root for name, head in heads.items()},
        )
    _models_and_samples(root, clip_rows, verdicts, heads["datasets/v1/latents"].merkle_root)
    _captions(root, clip_rows)
    write_lock(root)


def _captions(root: Path, clips: list[ClipRow]) -> None:
    try:
        from aiprod.captions.rows import CaptionRow
    except ImportError:
        return
    known = set(CaptionRow.model_fields)
    given = {
        "status": "ok",
        "caption": "a red circle moves left",
        "tags": [],
        "camera_movement": "static",
        "captioner": "rules",
        "captioner_version": "1",
        "confidence": 0.9,
        "facts": {},
        "reasons": [],
    }
    rows = [
        CaptionRow.model_validate(
            {"clip_id": c.clip_id, "film_id": c.film_id, **{k: v for k, v in given.items() if k in known}}
        )
        for c in clips
    ]
    write_manifest(
        root / "datasets/v1/captions",
        rows,
        row_model=CaptionRow,
        stage="caption",
        key=lambda r: r.clip_id,
        params_digest="p",
        inputs={},
    )


def _models_and_samples(root: Path, clips: list[ClipRow], verdicts: list[VerdictRow], dataset_root: str) -> None:
    for name in ("text_encoder", "video_vae", "audio_vae", "diffusion/transformer"):
        _put(root / "models" / name / "model.safetensors", f"weights of {name}".encode())
        _put(root / "models" / name / "config.json", b"{}")
    digest = {
        n: model_digest(root / "models" / n)
        for n in ("text_encoder", "video_vae", "audio_vae", "diffusion/transformer")
    }
    write_json(
        root / "models/diffusion/training.json",
        {
            "model_digest": digest["diffusion/transformer"],
            "dataset_root": dataset_root,
            "steps": 40,
            "made_with": {n: digest[n] for n in ("text_encoder", "video_vae", "audio_vae")},
        },
    )
    approved = {v.clip_id for v in verdicts if v.status == "APPROVED"}
    seen = [c for c in clips if c.split == "train" and c.clip_id in approved]
    shown = [
        {"clip_id": c.clip_id, "film_id": c.film_id, "times": 3 + i, "by_phase": {"low": 1 + i, "high": 2}}
        for i, c in enumerate(seen)
    ]
    write_json(
        root / "models/diffusion/exposure.json",
        {"model_digest": digest["diffusion/transformer"], "unit": "times", "clips": shown},
    )
    for number, prompt in enumerate(["a red circle bounces", "<b>rain</b> & wind"]):
        _put(root / f"reports/samples/{number:03d}.mp4", f"sample {number}".encode())
        write_json(
            root / f"reports/samples/{number:03d}.json",
            {"prompt": prompt, "seed": number, "model_digest": digest["diffusion/transformer"]},
        )
    _put(root / "reports/samples/contact_sheet.png", PNG)
    write_json(root / "reports/diffusion/metrics.json", {"loss": {"final": 0.5, "start": 1.0}})
    write_json(root / "reports/video_vae/metrics.json", {"heldout": {"psnr_db": 27.5, "mean_frame_psnr_db": 14.0}})
    curve = "step,phase,loss\n" + "".join(f"{s},{'low' if s < 20 else 'high'},{1 / (s + 1):.4f}\n" for s in range(40))
    _put(root / "reports/diffusion/curve.csv", curve.encode())
    _put(root / "reports/video_vae/curve.csv", b"step,loss\n0,1.0\n1,0.5\n2,0.3\n")
    _put(root / "reports/video_vae/reconstructions.png", PNG)


STAGES = {
    "ingest": ([], ["datasets/v1/raw", "datasets/v1/processed", "datasets/v1/ingest"]),
    "qc_measure": (["datasets/v1/raw", "datasets/v1/ingest"], ["datasets/v1/qc/measure"]),
    "qc_decide": (["datasets/v1/qc/measure"], ["datasets/v1/qc/decide"]),
    "caption": (["datasets/v1/qc/decide"], ["datasets/v1/captions"]),
    "train_text_encoder": (["datasets/v1/captions"], ["models/text_encoder"]),
    "train_video_vae": (["datasets/v1/processed"], ["models/video_vae"]),
    "train_audio_vae": (["datasets/v1/processed"], ["models/audio_vae"]),
    "cache_latents": (["models/video_vae", "models/audio_vae", "models/text_encoder"], ["datasets/v1/latents"]),
    "train_diffusion": (["datasets/v1/latents"], ["models/diffusion", "reports/diffusion/curve.csv"]),
    "sample": (["models/diffusion"], ["reports/samples"]),
}


def write_lock(root: Path) -> None:
    """dvc.lock and DVC's cache of folder listings, written by DVC's documented format and not by our reader."""
    (root / ".dvc").mkdir(exist_ok=True)
    stages = {}
    for name, (deps, outs) in STAGES.items():
        entries = []
        for out in outs:
            if not (root / out).exists():
                continue
            if (root / out).is_file():
                entries.append({"path": out, "hash": "md5", "md5": _md5((root / out).read_bytes())})
                continue
            files = sorted((p.relative_to(root / out).as_posix(), p) for p in (root / out).rglob("*") if p.is_file())
            data = json.dumps([{"md5": _md5(p.read_bytes()), "relpath": rel} for rel, p in files]).encode()
            _put(root / f".dvc/cache/files/md5/{_md5(data)[:2]}/{_md5(data)[2:]}.dir", data)
            entries.append({"path": out, "hash": "md5", "md5": f"{_md5(data)}.dir", "nfiles": len(files)})
        stages[name] = {
            "cmd": f"python -m pipeline.{name}",
            "deps": [{"path": d, "md5": "x"} for d in deps],
            "outs": entries,
        }
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    """A finished workspace of the test's own; the working directory is in it."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root = build_workspace(tmp_path / "work")
    monkeypatch.chdir(root)
    return root
