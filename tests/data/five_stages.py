"""The five stages that work a clip at a time, over one small inbox, on either engine; and every file they leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiprod.captions.params import CaptionParams
from aiprod.captions.registry import make_captioner
from aiprod.captions.rows import CaptionRow
from aiprod.captions.stage import caption_all
from aiprod.data.ingest.ingest import ingest
from aiprod.data.latents.rows import LatentRow
from aiprod.data.params import IngestParams
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.data.sources.registry import load_sources
from aiprod.data.sources.scan import scan
from aiprod.evaluation.sample_job import SampleWorkers
from aiprod.evaluation.sample_stage import SampleParams, SampleRow, make_samples
from aiprod.executors.types import Engine
from aiprod.inference.params import GenerationParams
from aiprod.inference.pipeline import AVPipeline
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.params import QcMeasureParams
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.cache import cache_latents
from aiprod.trainer.latents.encode import CacheLatentsParams, UnloadedModels
from aiprod.trainer.loop.curriculum import PhaseGeometry
from aiprod.trainer.training_set import Selection, TrainingClip

REPOSITORY = Path(__file__).resolve().parents[2]
PHASES = {
    "low": PhaseGeometry(height=32, width=48, frames=5, fps=12.0),
    "high": PhaseGeometry(height=32, width=48, frames=9, fps=12.0),
}
PROMPTS = ["a red circle bounces", "a blue star drifts", "a green square waits"]


def fill_inbox(make_film: Callable[..., Path], films: int = 4) -> None:
    """An inbox in the working directory: open films, one of which nothing says that it shows nobody, a broken one."""
    inbox = Path("datasets/inbox")
    inbox.mkdir(parents=True)
    for number in range(films):
        make_film(inbox / f"{number}.mp4", seed=number)
    (inbox / "broken.mp4").write_bytes((inbox / "0.mp4").read_bytes()[:3000])
    rows = [f"{path.name},CC0-1.0,{'' if path.stem == '1' else 'none'}\n" for path in sorted(inbox.glob("*.mp4"))]
    (inbox / "SOURCES.csv").write_text("file,licence,personal_data_basis\n" + "".join(rows))


def five_stages(folder: Path, engine: Engine, models: Path, vlm: Path) -> dict[str, bytes]:
    """Run them with memos of their own; every file below ``folder`` that they leave."""
    vault = Vault()

    def memo(stage: str) -> Memo:
        return Memo(folder.with_suffix(".memo") / stage, "")

    sources, store = load_sources(REPOSITORY / "datasets/sources.yaml"), ClipStore(folder)
    params = IngestParams(sources=["inbox"])
    films, clips, counters = ingest(
        scan(params, sources), sources, params, seed=1, memo=memo("ingest"), store=store, engine=engine
    )
    assert counters.failed == 1, [film.reasons for film in films]
    measured, counters = measure_all(
        films,
        clips,
        QcMeasureParams(),
        memo=memo("qc_measure"),
        store=store,
        thumbs=folder / "thumbs",
        engine=engine,
    )
    assert counters.failed == 0
    asked = CaptionParams.model_validate(
        {"captioner": "vlm", "vlm": {"checkpoint": str(vlm), "frames": 2, "tokens_max": 4, "device": "cpu", "batch": 2}}
    )
    captions, counters = caption_all(
        clips, measured, [], make_captioner(asked), memo=memo("caption"), store=store, params=asked, engine=engine
    )
    assert counters.failed == 0, [row.reasons for row in captions]
    said = {row.clip_id: row.caption or "" for row in captions}
    chosen = [_training_clip(clip, store, said[clip.clip_id]) for clip in clips if clip.status == "ok"]
    caching = CacheLatentsParams(min_psnr_db=0.0)
    makers = UnloadedModels(models, caching)
    latents, counters, _ = cache_latents(
        Selection(chosen, [], {}),
        PHASES,
        makers,
        caching,
        folder=folder / "latents",
        memo=memo("cache_latents"),
        engine=engine,
        makers=models,
    )
    assert counters.processed == 2 * len(chosen)
    sampling = SampleParams(prompts=PROMPTS, batch=2, viewing_scale=1, generation=GenerationParams(steps=2))
    (folder / "samples").mkdir()
    pipeline = AVPipeline.from_pretrained(models) if engine == "local" else SampleWorkers.of(engine, models)
    samples = make_samples(pipeline, sampling, folder / "samples", seed=3)
    tables: list[tuple[str, list[Any], Any, Callable[[Any], str]]] = [
        ("films", films, FilmRow, lambda row: row.film_id),
        ("clips", clips, ClipRow, lambda row: row.clip_id),
        ("measure", measured, MeasureRow, lambda row: row.clip_id),
        ("captions", captions, CaptionRow, lambda row: row.clip_id),
        ("latent_rows", latents, LatentRow, lambda row: row.row_id),
        ("sample_rows", samples.rows, SampleRow, lambda row: row.sample_id),
    ]
    for name, rows, model, key in tables:
        write_manifest(
            folder / name, rows, row_model=model, stage=name, key=key, params_digest="", inputs={}, vault=vault
        )
    assert any(row.film_id.startswith("f0") for row in films if row.status == "ok"), "one film is encrypted"
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _training_clip(clip: ClipRow, store: ClipStore, caption: str) -> TrainingClip:
    assert clip.processed_name is not None and clip.processed_sha256 is not None
    return TrainingClip(
        clip_id=clip.clip_id,
        film_id=clip.film_id,
        source_id=clip.source_id,
        split="train",
        path=store.path("processed", clip.processed_name),
        sha256=clip.processed_sha256,
        has_audio=clip.has_audio,
        fps=clip.fps,
        frames=clip.frames,
        height=clip.height,
        width=clip.width,
        caption=caption,
        ground_truth=None,
    )
