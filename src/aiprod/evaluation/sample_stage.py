"""The fixed set of samples: fixed prompts and seeds, held-out captions, and measures of what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from aiprod.base.params import Params
from aiprod.base.progress import ticker
from aiprod.evaluation.adherence_plot import draw_adherence
from aiprod.evaluation.attributes import MeasuredVideo
from aiprod.evaluation.audio_attributes import sound_onsets_s
from aiprod.evaluation.av_sync import SyncInput, synchrony
from aiprod.evaluation.clip_score import ClipScorer, clip_scores
from aiprod.evaluation.frechet import distances
from aiprod.evaluation.memorisation import TrainingClips, VaeEncoder, find_copies, sentence
from aiprod.evaluation.prompt_adherence import adherence
from aiprod.evaluation.prompt_parser import parse
from aiprod.evaluation.real_clips import Real, measured_together
from aiprod.evaluation.sample_job import SampleWorkers
from aiprod.inference.params import GenerationParams, made_by
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import GeneratedClip, Request
from aiprod.inference.video_writer import contact_sheet, write_video
from aiprod.storage.manifest.manifest import Row


class SampleParams(Params):
    """Generate videos with the trained model, and evaluate them."""

    generation: GenerationParams = GenerationParams()
    prompts: list[str] = Field(min_length=1, description="fixed prompts; prompt n gets seed + n")
    heldout_prompts: int = Field(default=4, ge=0, description="additional prompts: captions of held-out clips")
    measured_prompts: list[str] = Field(default=[], description="generated for the measures only, not written")
    reference_clips: int = Field(default=24, ge=0, description="real clips that the same measures are taken of")
    clip: str | None = Field(
        default=None,
        min_length=1,
        description="folder of a CLIP checkpoint that scores how pictures fit prompts; none: no score",
    )
    batch: int = Field(
        default=4, ge=1, le=1024, description="samples generated side by side on a CPU; results do not depend on it"
    )
    viewing_scale: int = Field(default=4, ge=1, le=16, description="enlargement of copies for viewing; 1: none")
    threads: int = Field(default=0, ge=0, le=1024, description="for torch on CPU; 0: all cores")


class SampleRow(Row):
    """One generated video."""

    sample_id: str
    status: str
    reasons: list[str] = Field(default_factory=list)
    prompt: str
    prompt_from: str = Field(description="params, or the id of the held-out clip whose caption it is")
    seed: int
    file: str
    view_file: str | None = None
    model_digest: str
    upsampler_digest: str | None = Field(
        default=None, description="of the latent upsampler, where it was made in two stages"
    )
    dataset_root: str
    nearest_clip: str | None = Field(default=None, description="the training clip whose latent is nearest")
    nearest_distance: float | None = Field(
        default=None, description="to it, over the median distance to all other real clips"
    )
    is_copy: bool | None = Field(default=None, description="of a training clip; none: not compared")
    copy_said: str | None = Field(default=None, description="what the search for copies found")


@dataclass(frozen=True)
class SampleResult:
    """Rows of the manifest and metrics."""

    rows: list[SampleRow]
    metrics: dict[str, Any]


def make_samples(
    pipeline: AVPipeline | SampleWorkers,
    params: SampleParams,
    folder: Path,
    *,
    seed: int,
    real: Sequence[Real] = (),
    training: TrainingClips | None = None,
) -> SampleResult:
    """Generate, write ``000.mp4`` … with descriptions, ``contact_sheet.png`` and ``adherence.png``, and measure.

    Args:
        pipeline: what generates, here or on workers; the result is the same.
        real: clips that the same measures are taken of.
        training: clips of which the samples may be copies; none: that is not looked for.

    Raises:
        AiprodError: settings that the model cannot follow, or a full disk.
    """
    record = pipeline.record
    config = params.generation.config(record)
    prompts = [(prompt, "params") for prompt in params.prompts]
    prompts += [(row["caption"], row["clip_id"]) for row in record.heldout[: params.heldout_prompts]]
    extra = [(prompt, "") for prompt in params.measured_prompts]
    requests = [Request(prompt, seed + number) for number, (prompt, _) in enumerate(prompts + extra)]
    with ticker("sampling", len(requests) * config.all_steps) as tick:
        results = pipeline.generate(requests, config, at_once=params.batch, on_step=tick.advance)
    encoder = (
        pipeline.encoder if isinstance(pipeline, SampleWorkers) else VaeEncoder(pipeline.video_vae, pipeline.device)
    )
    search = find_copies(results, encoder, training) if training is not None else None
    shown = results[: len(prompts)]
    facts = made_by(record, config)
    rows = []
    for number, (generated, (_, origin)) in enumerate(zip(shown, prompts, strict=True)):
        name = f"{number:03d}.mp4"
        about: dict[str, Any] = {**facts, "prompt_from": origin}
        compared: dict[str, Any] = {}
        if search is not None:
            nearest = search.nearest[number]
            about["nearest"] = {**nearest, "said": sentence(nearest)}
            compared = {
                "nearest_clip": nearest["clip"],
                "nearest_distance": nearest["distance"],
                "is_copy": nearest["copy"],
                "copy_said": sentence(nearest),
            }
        write_video(generated, folder / name, facts=about, viewing_scale=params.viewing_scale)
        rows.append(
            SampleRow(
                sample_id=f"{number:03d}",
                status="ok",
                prompt=generated.request.prompt,
                prompt_from=origin,
                seed=generated.request.seed,
                file=name,
                model_digest=record.model_digest,
                upsampler_digest=facts.get("upsampler_digest"),
                dataset_root=record.dataset_root,
                view_file=f"{number:03d}_view.mp4" if params.viewing_scale > 1 else None,
                **compared,
            )
        )
    contact_sheet(shown, folder / "contact_sheet.png")
    scorer = ClipScorer.from_pretrained(params.clip, pipeline.device) if params.clip else None
    metrics = measure(results, real, scorer)
    draw_adherence(folder / "adherence.png", metrics["adherence"])
    return SampleResult(rows, metrics if search is None else {**metrics, "copies": search.figures})


def measure(
    results: Sequence[GeneratedClip], real: Sequence[Real] = (), scorer: ClipScorer | None = None
) -> dict[str, Any]:
    """Figures of generated videos, and the same of real clips (``real``), for which a good measure is right."""
    shown = [MeasuredVideo(r.pictures, r.fps, r.sound, r.sample_rate) for r in results]
    prompts = [r.request.prompt for r in results]
    measured_together([*shown, *(r.shown for r in real)])
    report: dict[str, Any] = {"videos": len(results), **_figures(prompts, shown)}
    if scorer is not None:
        report["clip"] = clip_scores(scorer, prompts, shown)
    if real:
        report["real"] = {"videos": len(real), **_figures([r.caption for r in real], [r.shown for r in real])}
        if scorer is not None:
            report["real"]["clip"] = clip_scores(scorer, [r.caption for r in real], [r.shown for r in real])
        report["frechet"] = distances(shown, [r.shown for r in real])
    return report


def _figures(prompts: Sequence[str], videos: Sequence[MeasuredVideo]) -> dict[str, Any]:
    heard, watched = [], []
    for prompt, video in zip(prompts, videos, strict=True):
        if video.sound is None:
            continue
        times = sound_onsets_s(video.sound, video.sample_rate)
        heard.append(len(times))
        objects = parse(prompt).objects
        if len(objects) == 1:
            watched.append(SyncInput(video.pictures, video.fps, times, objects[0][0]))
    return {
        "adherence": adherence(prompts, videos),
        "sound_onsets_per_video": round(sum(heard) / len(heard), 3) if heard else None,
        "sound_to_picture": synchrony(watched),
    }
