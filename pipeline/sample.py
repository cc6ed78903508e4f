"""Stage sample: generate videos with sound for fixed prompts and seeds and for held-out captions, and measure them."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import atomic_folder, digest_of, write_json
from aiprod.base.manifest import write_manifest
from aiprod.base.params import load_params, load_value
from aiprod.base.stage import Counters, record_counters, run
from aiprod.pipelines.av_pipeline import AVPipeline
from aiprod.pipelines.reference import read_reference
from aiprod.pipelines.sampling import SampleParams, SampleRow, make_samples
from aiprod.trainer.engine import default_device
from aiprod.trainer.threads import use_threads
from aiprod.trainer.vae_stage import read_selection

DATA = Path("datasets/v1")
OUT, METRICS = Path("reports/samples"), Path("reports/sample/metrics.json")


def main() -> None:
    """Load the models, sample, write films, contact sheet, manifest and metrics."""
    params, seed = load_params(SampleParams, "sample"), int(load_value("seed"))
    use_threads(params.threads)
    pipeline = AVPipeline.from_pretrained(device=default_device())
    selection, _ = read_selection(DATA)
    real = read_reference(selection, params.generation.config(pipeline.record), params.reference_clips)
    with atomic_folder(OUT) as folder:
        sampled = make_samples(pipeline, params, folder, seed=seed, real=real)
        write_manifest(
            folder, sampled.rows, row_model=SampleRow, stage="sample", key=lambda row: row.sample_id,
            params_digest=digest_of({"params": params.model_dump(mode="json"), "seed": seed}),
            inputs={"model": pipeline.record.model_digest, **pipeline.record.made_with},
        )
    write_json(METRICS, sampled.metrics)
    record_counters("sample", Counters(processed=sampled.metrics["videos"]))


if __name__ == "__main__":
    run(main)
