"""Stage train_diffusion: train the audio-video transformer on cached latents through the phases of the curriculum."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from aiprod.base.files import atomic_folder
from aiprod.base.metrics import write_headline
from aiprod.base.params import load_params, load_value
from aiprod.base.progress import quiet
from aiprod.base.stage import Counters, record_counters
from aiprod.data.latents.dataset import LatentDataset
from aiprod.evaluation.validation import PhaseSampler, gather_phases
from aiprod.models.artifacts import MODELS, latent_maker_digests
from aiprod.tracking.runs import stage_run
from aiprod.trainer.diffusion.model_setup import TrainableModel
from aiprod.trainer.diffusion.outputs import TrainingResult, write_model, write_reports
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.train import PhaseEnd, phase_samples, train_diffusion
from aiprod.trainer.diffusion.upsampler import NAME, TrainedUpsampler, finish, train_upsampler
from aiprod.trainer.latents.cache import geometry_digest
from aiprod.trainer.latents.encode import CacheLatentsParams
from aiprod.trainer.loop.accelerator import is_main_process
from aiprod.trainer.loop.context import Log, no_log, under
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.launch import launched
from aiprod.trainer.loop.phase_log import PhaseLog
from aiprod.trainer.training_set import TrainClipsParams
from pipeline.running import run
from pipeline.training import training_context

LATENTS, OUT, REPORTS = Path("datasets/v1/latents"), MODELS / "diffusion", Path("reports/diffusion")
SAMPLES, STAGE = REPORTS / "phases", "train_diffusion"


def main() -> None:
    """Check the cache, train (or continue), write weights, ledger and reports."""
    params, curriculum = load_params(TrainDiffusionParams, STAGE), load_params(CurriculumConfig, "curriculum")
    if launched("pipeline.train_diffusion", params.launch):
        return
    expected = {
        **latent_maker_digests(MODELS),
        "geometry": geometry_digest(curriculum.geometry()),
        "cache_params": load_params(CacheLatentsParams, "cache_latents").digest(),
    }
    revocable = load_params(TrainClipsParams, "train_clips").revocable
    dataset = LatentDataset(LATENTS, expected, apart=revocable.apart)
    lr, seed = float(load_value("lr")), int(load_value("seed"))
    sampler = PhaseSampler(params.validation, MODELS, dataset, curriculum, seed, params.strategy)

    def train(log: Log, log_upsampler: Log, shown: PhaseEnd) -> tuple[TrainingResult, TrainedUpsampler | None]:
        arguments, context = (dataset, MODELS, curriculum), training_context(STAGE, log)
        trained = train_diffusion(*arguments, params, context, revocable=revocable, sampler=shown)
        context = training_context(STAGE, log_upsampler, place=f"{STAGE}_{NAME}")
        return trained, train_upsampler(*arguments, params.upsampler, context, gains=trained.subject.video.gains)

    if not is_main_process():  # other ranks compute, and write and say nothing
        quiet()
        train(no_log, no_log, sampler)
        return
    logged = {"lr": lr, "seed": seed, **params.model_dump(mode="json"), **curriculum.model_dump(mode="json")}
    with (
        stage_run(STAGE, logged, dataset_root=dataset.head.merkle_root) as tracking,
        PhaseLog(tracking.phase, tracking, list(curriculum.phases)) as log,
    ):

        def shown(phase: str, subject: TrainableModel, model: nn.Module, folder: Path | None) -> dict[str, float]:
            figures = sampler(phase, subject, model, folder)
            for path in sorted((folder / phase).glob("*")) if folder is not None else ():
                tracking.artifact(path)  # while training goes on
            return figures

        trained, upsampler = train(log, under(NAME, tracking.log), shown)
        with atomic_folder(OUT) as folder:
            write_model(trained, dataset, folder, upsampler)
        write_reports(trained, REPORTS, upsampler)
        write_headline("diffusion", {"loss": trained.metrics["heldout"]["trained"].get("loss")})
        gather_phases(phase_samples(trained.run), list(curriculum.phases), SAMPLES)
        finish(trained.run, upsampler)
        for path in (REPORTS / "curve.csv", REPORTS / "curves.png"):
            tracking.artifact(path)
        waited = trained.run.data_wait_share
        tracking.log(trained.run.phases.step, {"data_wait_share": waited})
        record_counters(STAGE, Counters(processed=trained.metrics["clips_seen"]), data_wait_share=waited)


if __name__ == "__main__":
    run(main)
