"""The steps that a parameter file plans, phase by phase, with the model and the batches that they would have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aiprod.base.files import read_json
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.types import AudioCompression, VideoCompression
from aiprod.data.latents.conditions import ClipTokens
from aiprod.data.latents.dataset import LatentItem
from aiprod.errors import AiprodError, CoreError
from aiprod.models.adapters.load_backbone import empty_backbone, experts_in
from aiprod.models.artifacts import CLASS_NAME
from aiprod.models.load_transformer import Transformer, has_sound
from aiprod.trainer.diffusion.estimate import StepEstimate, StepInputs, estimate_step
from aiprod.trainer.diffusion.flow import slot_generator
from aiprod.trainer.diffusion.model_setup import (
    compression_of_audio,
    compression_of_video,
    patch_of,
    transformer_config,
)
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.tasks import Streams, TaskTrainer
from aiprod.trainer.loop.curriculum import CurriculumConfig, PhaseConfig
from aiprod.trainer.loop.microbatches import own_parts
from aiprod.trainer.stage import init_folder, part_of

_DRAWS = 4  # of what a task gives, of which the largest counts


@dataclass(frozen=True)
class PlannedStep:
    """A step of a phase, of clips of its full size, under the task that takes most.

    Attributes:
        batch: clips in one part of a step of one process.
        tokens: of video and of audio in a sample, references included.
    """

    phase: str
    task: str
    batch: int
    tokens: tuple[int, int]
    step: StepEstimate


def planned_steps(
    read: Mapping[str, Any], *, text_tokens: int, checkpoint: Path | None = None
) -> Iterator[PlannedStep]:
    """What training would take in each phase.

    Args:
        read: validated sections by name.
        text_tokens: of a caption.
        checkpoint: folder of a transformer, or of a pipeline, in the place of all ``init``.

    Raises:
        AiprodError: a folder holds no model, or a size does not fit.
    """
    params: TrainDiffusionParams = read["train_diffusion"]
    curriculum: CurriculumConfig = read["curriculum"]
    pictures, sound = _pictures(read["train_video_vae"], checkpoint), _sound(read["train_audio_vae"], checkpoint)
    audio = AudioLatentPatchifier(sound)
    build, video, text = _planned_model(params, pictures, audio, _text_width(read["train_text_encoder"]), checkpoint)
    if checkpoint is not None:
        params = params.model_copy(update={"init": str(checkpoint)})
    if params.lora is not None and params.init is None:
        raise AiprodError("train_diffusion.lora adapts a given model and init names none", "set init, or lora to null")
    with torch.device("meta"):
        hears = has_sound(build())
    for name, phase in curriculum.phases.items():
        strategy = TaskTrainer(_NoClips(text), video, audio, params.task, 0, tasks=params.declared())  # type: ignore[arg-type]
        strategy.sound = hears
        item = _item(phase, pictures, sound, text_tokens, text)
        parts = own_parts(phase.batch, 0, max(1, params.launch.processes), params.loop.accumulation)
        task, streams, batch = _largest(strategy, strategy.collate([item]).clips[0], len(parts[0]))
        heldout = _largest(strategy, strategy.collate([item]).clips[0], params.task.heldout_clips or 1)[2]
        step = estimate_step(build, params, batch, heldout if params.task.heldout_clips else None)
        tokens = tuple(0 if s is None else s.clean.shape[1] for s in streams)
        yield PlannedStep(name, task, len(parts[0]), (tokens[0], tokens[1]), step)


class _NoClips:
    """A dataset of which only the empty caption is asked for."""

    def __init__(self, text_dim: int) -> None:
        self._text = torch.zeros(1, text_dim), torch.ones(1, dtype=torch.bool)

    def null_text(self) -> tuple[Tensor, Tensor]:
        return self._text


def _planned_model(
    params: TrainDiffusionParams,
    pictures: VideoCompression,
    audio: AudioLatentPatchifier,
    text: int,
    checkpoint: Path | None,
) -> tuple[Callable[[], Transformer], VideoLatentPatchifier, int]:
    """How to build the model, its patches of pictures, and the width of its text."""
    where = checkpoint or (init_folder(params.init) if params.init else None)
    if where is None:
        video = VideoLatentPatchifier(pictures, params.transformer.video_patch)
        config = transformer_config(params.transformer, video, audio, text)
        return lambda: AVTransformer(config), video, text
    if experts_in(where):
        raise AiprodError(f"{where} holds two experts", "give the folder of one: transformer or transformer_2")
    folder = part_of(where / "diffusion" if (where / "diffusion").is_dir() else where, "transformer")
    path = folder / "config.json"
    if not path.is_file():
        raise AiprodError(f"{where} holds no transformer (no config.json)", "give a parameter file, or such a folder")
    described = read_json(path)
    if described.get("_class_name") == CLASS_NAME:
        fields = {k: v for k, v in described.items() if k in AVTransformerConfig.model_fields}
        config = AVTransformerConfig.model_validate(fields)
        patched = params.transformer.video_patch
        record = folder.parent / "training.json"
        if record.is_file():
            patched = tuple(read_json(record).get("video_patch", patched))
        video = VideoLatentPatchifier(pictures, patched)
        _refuse_other(video.token_channels, config.video_channels, where)
        return lambda: AVTransformer(config), video, config.text_dim

    def build() -> Transformer:
        return empty_backbone(
            folder, pictures, text_tokens=params.transformer.text_tokens, sound=params.transformer.sound
        )

    with torch.device("meta"):
        model = build()
    assert not isinstance(model, AVTransformer)
    video = VideoLatentPatchifier(pictures, patch_of(model, params.transformer))
    _refuse_other(video.token_channels, model.sizes.video, where)
    return build, video, model.sizes.text


def _refuse_other(have: int, takes: int, where: Path) -> None:
    if have != takes:
        raise AiprodError(
            f"{where} takes video tokens of {takes} values, and the autoencoder and patches make {have}",
            "put its autoencoder beside it (folder vae), or give a parameter file whose init names both",
        )


def _largest(strategy: TaskTrainer, clip: ClipTokens, batch: int) -> tuple[str, Streams, StepInputs]:
    """The task with most tokens, or noise levels, for a clip; and a batch of it."""
    best: tuple[tuple[int, bool], str, Streams, int] | None = None
    for task in strategy.feeding(clip):
        for draw in range(_DRAWS):
            random = slot_generator("estimate", draw, 0)
            streams = strategy.streams(_batch_of(clip, 1), [task], [random])
            size = sum(0 if s is None else int(s.present.sum()) for s in streams)
            known = any(s is not None and bool((s.free < 1).any()) for s in streams)
            if best is None or (size, known) > best[0]:
                best = ((size, known), task.name, streams, draw)
    if best is None:
        raise AiprodError("clips of this phase feed none of the tasks", "declare one that fits, or longer clips")
    task = next(one for one in strategy.tasks if one.name == best[1])
    randoms = [slot_generator("estimate", best[3], 0) for _ in range(batch)]
    streams = strategy.streams(_batch_of(clip, batch), [task] * batch, randoms)
    level = torch.full((batch,), 0.5)
    inputs, targets = strategy.noised(
        streams,
        [(clip.item.text, clip.item.text_mask)] * batch,
        sigma=(level, level),
        generators=randoms,
        device=torch.device("cpu"),
    )
    return task.name, streams, StepInputs(inputs, targets)


def _batch_of(clip: ClipTokens, count: int) -> Any:
    from aiprod.trainer.diffusion.tasks import AVBatch

    return AVBatch([clip] * count, [(clip.item.text, clip.item.text_mask)] * count)


def _item(
    phase: PhaseConfig, pictures: VideoCompression, sound: AudioCompression, text_tokens: int, text: int
) -> LatentItem:
    """A clip of the full size of a phase."""
    frames = 1 + (phase.frames - 1) // pictures.time
    size = (pictures.channels, frames, phase.height // pictures.height, phase.width // pictures.width)
    heard = max(1, round(phase.duration_s * sound.latents_per_s))
    mask = torch.ones(text_tokens, dtype=torch.bool)
    return LatentItem(
        "clip", torch.zeros(size), torch.zeros(sound.channels, heard), torch.zeros(text_tokens, text), mask, phase.fps
    )


def _pictures(section: Any, checkpoint: Path | None) -> VideoCompression:
    for folder in (checkpoint / "video_vae", checkpoint / "vae") if checkpoint is not None else ():
        if (folder / "config.json").is_file():
            return compression_of_video(folder)
    if section.init is None:
        compression: VideoCompression = section.model.compression
        return compression
    return compression_of_video(part_of(init_folder(section.init), "vae"))


def _sound(section: Any, checkpoint: Path | None) -> AudioCompression:
    for folder in (checkpoint / "audio_vae",) if checkpoint is not None else ():
        if (folder / "config.json").is_file():
            return compression_of_audio(folder)
    if section.init is None:
        compression: AudioCompression = section.model.compression
        return compression
    whole = init_folder(section.init)
    inner = whole / "audio_vae"
    return compression_of_audio(inner if (inner / "config.json").is_file() else part_of(whole, "vae"))


def _text_width(section: Any) -> int:
    """Values in a text feature."""
    if section.init is None:
        width: int = section.model.width
        return width
    folder = part_of(init_folder(section.init), "text_encoder")
    try:
        config = read_json(folder / "config.json")
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None
    inner = config.get("text_config", config)
    size = inner.get("hidden_size", inner.get("d_model"))
    if not isinstance(size, int):
        raise AiprodError(f"{folder}/config.json states no hidden_size", "give the folder of a text encoder")
    return size
