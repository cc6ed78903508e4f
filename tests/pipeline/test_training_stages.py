"""The three training stages from manifests to outputs, in a workspace of their own."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from aiprod.base.files import sha256_file
from aiprod.captions.rows import CaptionRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.media.encoding import encode
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae
from aiprod.models.adapters.gemma import GemmaTextEncoder
from aiprod.qc.rows import VerdictRow
from aiprod.storage.manifest.manifest import Row, write_manifest
from tests.rows import clip_row

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "seed": 3,
    "lr": 1e-3,
    "train_clips": {"admit": ["APPROVED"]},
    "train_text_encoder": {
        "model": {"width": 32, "layers": 1, "heads": 2},
        "trainer": {"steps": 3},
        "quantize_check": False,
    },
    "train_video_vae": {
        "model": {"widths": [16], "encoder_depths": [0], "decoder_depths": [1]},
        "data": {"height": 32, "width": 40, "smaller": [], "frames": 5},
        "loss": {"gamma": 0},
        "trainer": {"steps": 2, "batch": 1},
    },
    "train_audio_vae": {
        "model": {"widths": [8, 8, 8], "latent_channels": 8},
        "loss": {"stft_windows": [256]},
        "data": {"window_s": 0.2},
        "trainer": {"steps": 2, "batch": 1},
    },
}


def write(folder: Path, rows: list[Row], model: type[Row], name: str) -> None:
    write_manifest(
        folder, rows, row_model=model, stage=name, key=lambda r: getattr(r, name), params_digest="0", inputs={}
    )


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    """Four approved clips, one rejected one and one that may not be trained on."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    with open(folder / "params.yaml", "w") as file:
        YAML().dump(SMALL, file)
    films, clips, verdicts, captions = [], [], [], []
    for n in range(6):
        film, clip = f"f{n:016d}", f"c{n:016d}-000"
        path = folder / "datasets/v1/processed" / f"{clip}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(n)
        pictures = [np.full((48, 64, 3), rng.integers(0, 255, 3), np.uint8) for _ in range(8)]
        encode(path, pictures, 12, (0.1 * rng.standard_normal((2, 32_000))).astype(np.float32))
        films.append(
            FilmRow(
                film_id=film,
                source_id="test",
                key=f"{n}.mp4",
                status="ok",
                effective_right="deny" if n == 5 else "train",
            )
        )
        clips.append(
            clip_row(
                clip,
                film,
                source_id="test",
                end_s=8 / 12,
                frames=8,
                fps=12.0,
                has_audio=True,
                processed_name=path.name,
                processed_sha256=sha256_file(path),
                split="heldout" if n == 3 else "train",
            )
        )
        verdicts.append(VerdictRow(clip_id=clip, film_id=film, status="REJECTED" if n == 4 else "APPROVED"))
        captions.append(
            CaptionRow.model_validate(
                {
                    "clip_id": clip,
                    "film_id": film,
                    "status": "ok",
                    "caption": f"a plain colour, number {n}",
                    "confidence": 1.0,
                }
            )
        )
    data = folder / "datasets/v1"
    write(data / "ingest/films", films, FilmRow, "film_id")
    write(data / "ingest/clips", clips, ClipRow, "clip_id")
    write(data / "qc/decide", verdicts, VerdictRow, "clip_id")
    write(data / "captions", captions, CaptionRow, "clip_id")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.mark.slow
def test_each_stage_writes_what_dvc_expects_of_it(workspace: Path) -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for stage in ("train_text_encoder", "train_video_vae", "train_audio_vae"):
        importlib.import_module(f"pipeline.{stage}").main()
        if "datasets/v1/captions" in stages[stage]["deps"]:
            shutil.rmtree(workspace / "datasets/v1/captions")  # what follows must not look for it
        for out in [*stages[stage]["outs"], *stages[stage]["metrics"]]:
            name = out if isinstance(out, str) else next(iter(out))
            assert (workspace / name).exists(), name
        ledger = json.loads(
            (workspace / "models" / stage.removeprefix("train_") / "training/exposure.json").read_text()
        )
        shown = {c["clip_id"] for c in ledger["clips"]}
        assert shown <= {f"c{n:016d}-000" for n in range(3)}, "nothing rejected, forbidden or held out was shown"
        assert set(ledger["left_out"]) >= {f"c{n:016d}-000" for n in (4, 5)}
    load_video_vae("models/video_vae")
    load_audio_vae("models/audio_vae")
    GemmaTextEncoder.from_pretrained("models/text_encoder")
    leftovers = [p for p in workspace.rglob("*") if p.name.startswith(".")]
    assert leftovers == [], "no temporary file is left"
