"""A latent cache of random numbers and the trainer round it, small enough to train a step in milliseconds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.types import AudioCompression, VideoCompression
from aiprod.data.latents.buckets import BucketSampler
from aiprod.data.latents.dataset import NULL_TEXT, LatentDataset, latent_geometry
from aiprod.data.latents.rows import LatentRow
from aiprod.data.latents.tasks import TaskParams, preset
from aiprod.trainer.diffusion.flow import slot_generator
from aiprod.trainer.diffusion.tasks import AVBatch, DiffusionTaskParams, TaskTrainer
from aiprod.trainer.loop.accelerator import SingleEngine
from aiprod.trainer.loop.checkpoints import CheckpointStore
from aiprod.trainer.loop.context import Log, no_log
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.loop import LoopParams, TrainingRun
from aiprod.trainer.loop.optimizers import OptimizerParams, make_optimizer
from tests.rows import write_latent_rows

DIGESTS = {"video_vae": "v1", "audio_vae": "a1", "text_encoder": "t1", "geometry": "g1", "cache_params": "c1"}
VIDEO, AUDIO, TEXT = VideoCompression(4, 8, 8, 4), AudioCompression(1920, 3, 48_000), 8
PHASES = {"low": (2, 3, 5, 4.0), "high": (2, 4, 9, 4.0)}  # latent rows and columns, frames, frames a second
PLAIN = TaskParams(name="plain")
SELDOM = {"checkpoint_every_s": 1e6}  # for runs from which none goes on: saving takes twice as long as a step


def write_cache(folder: Path, *, clips: int = 6, silent: int = 2, digests: dict[str, str] | None = None) -> Path:
    """``clips`` clips to train on, the last ``silent`` of them without sound, and two held out."""
    made_by = digests or DIGESTS
    rows = []
    generator = torch.Generator().manual_seed(5)
    for number in range(clips + 2):
        clip_id = f"c{number:016d}-000"
        split = "heldout" if number >= clips else "train"
        sound = split == "heldout" or number < clips - silent
        text = {"hidden": torch.randn(2 + number % 3, TEXT, generator=generator), "mask": torch.ones(2 + number % 3)}
        _save(folder / f"text/{clip_id}.safetensors", text, {"text_encoder": made_by["text_encoder"]})
        for phase, (height, width, frames, fps) in PHASES.items():
            tensors = {"video": torch.randn(4, 1 + (frames - 1) // 4, height, width, generator=generator)}
            if sound:
                tensors["audio"] = torch.randn(3, round(frames / fps * 25), generator=generator)
            header = {
                **{k: made_by[k] for k in ("video_vae", "audio_vae", "text_encoder")},
                "geometry": latent_geometry(height * 8, width * 8, frames, fps),
            }
            _save(folder / f"{phase}/{clip_id}.safetensors", tensors, header)
            rows.append(
                LatentRow(
                    clip_id=clip_id,
                    film_id="f" + clip_id[1:17],
                    phase=phase,
                    status="ok",
                    split=split,
                    source_id="s",
                    file=f"{phase}/{clip_id}.safetensors",
                    text_file=f"text/{clip_id}.safetensors",
                    has_audio=sound,
                    height=height * 8,
                    width=width * 8,
                    frames=frames,
                    fps=fps,
                    caption=f"clip {number}",
                )
            )
    null = {"hidden": torch.zeros(1, TEXT), "mask": torch.ones(1)}
    _save(folder / NULL_TEXT, null, {"text_encoder": made_by["text_encoder"]})
    write_latent_rows(folder, rows, made_by)
    return folder


def small_model() -> AVTransformer:
    """About 20 k parameters, with outputs that are not zero, so that every path carries gradients."""
    torch.manual_seed(3)
    model = AVTransformer(
        AVTransformerConfig.demo(
            video_channels=4,
            audio_channels=3,
            text_dim=TEXT,
            video_width=24,
            audio_width=12,
            cross_width=12,
            video_heads=2,
            audio_heads=2,
            cross_heads=2,
            depth=2,
            time_ratio=1.0,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    return model


def make_run(cache: Path, checkpoints: Path, *, log: Log | None = None, **changes: Any) -> TrainingRun:
    """A complete run of two phases of 8 and 6 steps that saves after every step unless told otherwise.

    ``steps`` or ``durations`` by phase, ``engine``, ``seed``, ``settings`` and ``loop`` change it.
    """
    torch.set_num_threads(1)
    random.seed(1)
    dataset = LatentDataset(cache, DIGESTS)
    steps = changes.pop("steps", {"low": 8, "high": 6})
    durations = changes.pop("durations", {name: {"steps": count} for name, count in steps.items()})
    config = CurriculumConfig.model_validate(
        {
            "phases": {
                name: {
                    "height": h * 8,
                    "width": w * 8,
                    "frames": f,
                    "fps": fps,
                    "duration": durations[name],
                    "batch": 4,
                    "lr_scale": 1.0 if name == "low" else 0.5,
                    "weight_decay": 0.01,
                    "warmup_steps": 2,
                    "decay": "cosine",
                }
                for name, (h, w, f, fps) in PHASES.items()
            }
        }
    )
    samplers = {n: BucketSampler(dataset.buckets(n), batch=4, seed=0) for n in config.phases}
    model = small_model()
    strategy = TaskTrainer(
        dataset,
        VideoLatentPatchifier(VIDEO),
        AudioLatentPatchifier(AUDIO),
        DiffusionTaskParams(text_dropout=0.2, first_frame=0.2),
        changes.pop("seed", 11),
        tasks=preset("text_to_video", 0.2, reference=None),
    )
    loop = {"checkpoint_every_s": 0.0, "ema_decay": 0.9, **changes.pop("loop", {})}
    return TrainingRun(
        strategy=strategy,
        model=model,
        optimizer=make_optimizer(model, OptimizerParams()),
        phases=config.scheduler(2e-3, {n: s.clips_per_epoch for n, s in samplers.items()}),
        samplers=samplers,
        engine=changes.pop("engine", None) or SingleEngine(device=torch.device("cpu")),
        store=CheckpointStore(checkpoints, {"lr": 2e-3, **changes.pop("settings", {})}),
        params=LoopParams(**loop),
        log=log or no_log,
    )


def losses_at(
    run: TrainingRun, batch: AVBatch, sigma: float, task: TaskParams = PLAIN
) -> tuple[Tensor | None, Tensor | None]:
    """Losses of a batch of which every sample has the same task, at one noise level; slot i has generator (0, 0, i)."""
    random = [slot_generator("given", 0, i) for i in range(len(batch.clips))]
    return run.strategy._losses(
        run.model,
        run.strategy.streams(batch, [task] * len(batch.clips), random),
        batch.text,
        sigma=(torch.full((len(batch.clips),), sigma),) * 2,
        generators=[slot_generator(0, 0, i) for i in range(len(batch.clips))],
        device=torch.device("cpu"),
    )


def _save(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors.torch.save(tensors, metadata=header))
