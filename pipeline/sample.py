"""Stage sample: generate videos with sound for fixed prompts and seeds and for held-out captions, and measure them."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import atomic_folder, digest_of, write_json
from aiprod.base.metrics import mean, write_headline
from aiprod.base.params import load_params, load_value
from aiprod.base.stage import Counters, record_counters
from aiprod.data.latents.dataset import LatentDataset
from aiprod.evaluation.memorisation import TrainingClips
from aiprod.evaluation.real_clips import read_reference
from aiprod.evaluation.sample_job import SampleWorkers
from aiprod.evaluation.sample_stage import SampleParams, SampleRow, make_samples
from aiprod.executors.executor import chosen_engine
from aiprod.inference.pipeline import AVPipeline
from aiprod.models.artifacts import LATENT_MAKERS
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import write_manifest
from aiprod.trainer.loop.accelerator import default_device
from aiprod.trainer.loop.threads import use_threads
from aiprod.trainer.stage import read_selection
from pipeline.running import run

DATA = Path("datasets/v1")
OUT, METRICS = Path("reports/samples"), Path("reports/sample/metrics.json")


def main() -> None:
    """Load the models, sample, write films, contact sheet, manifest and metrics."""
    params, seed = load_params(SampleParams, "sample"), int(load_value("seed"))
    use_threads(params.threads)
    engine = chosen_engine()
    pipeline = AVPipeline.from_pretrained(device=default_device()) if engine == "local" else SampleWorkers.of(engine)
    upsampler = pipeline.record.upsampler
    selection, _ = read_selection(DATA)
    real = read_reference(selection, params.generation.config(pipeline.record), params.reference_clips)
    with_models = {name: pipeline.record.made_with[name] for name in LATENT_MAKERS}
    trained_on = {clip.clip_id for clip in selection.train}
    parts = MeasurementTable.parts(DATA / "qc/measure", Vault())
    prints = {name: words for part in parts for name, words in part.prints().items() if name in trained_on}
    training = TrainingClips(
        LatentDataset(DATA / "latents", with_models),
        params.generation.phase or pipeline.record.phase_order[-1],
        prints,
    )
    with atomic_folder(OUT) as folder:
        sampled = make_samples(pipeline, params, folder, seed=seed, real=real, training=training)
        write_manifest(
            folder,
            sampled.rows,
            row_model=SampleRow,
            stage="sample",
            key=lambda row: row.sample_id,
            params_digest=digest_of({"params": params.model_dump(mode="json"), "seed": seed}),
            inputs={
                "model": pipeline.record.model_digest,
                **pipeline.record.made_with,
                **({"upsampler": upsampler.digest} if params.generation.two_stage and upsampler is not None else {}),
            },
        )
    write_json(METRICS, sampled.metrics)
    rates = [float(attribute["rate"]) for attribute in sampled.metrics["adherence"].values()]
    write_headline("sample", {"adherence": mean(rates)})
    record_counters("sample", Counters(processed=sampled.metrics["videos"]))


if __name__ == "__main__":
    run(main)
