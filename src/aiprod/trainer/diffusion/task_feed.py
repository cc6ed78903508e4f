"""Which buckets feed which tasks, checked before the first step."""

from __future__ import annotations

from aiprod.base.progress import log
from aiprod.core.types import VideoPixelShape
from aiprod.data.latents.buckets import Bucket
from aiprod.data.latents.conditions import Extent, misfit
from aiprod.data.latents.dataset import bucket_of
from aiprod.data.latents.rows import LatentRow
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.tasks import TaskTrainer


def check_feed(strategy: TaskTrainer, phases: list[str]) -> None:
    """Refuse a mix that a bucket cannot feed, and a task that no bucket feeds; of a mix, print which feeds which.

    Raises:
        AiprodError: with the table of reasons.
    """
    rows: dict[tuple[str, Bucket], LatentRow] = {}
    for phase in phases:
        strategy.dataset.buckets(phase)  # raises where there is none
        usable = [*strategy.dataset.usable(phase, "train"), *strategy.dataset.waiting(phase)]
        for row in sorted(usable, key=lambda row: (bucket_of(row), row.clip_id)):
            rows.setdefault((phase, bucket_of(row)), row)
    why = {
        key: {task.name: misfit(task, *_extents(strategy, row)) for task in strategy.tasks} for key, row in rows.items()
    }
    lines = [
        f"  {phase:<12}{bucket!s:<28}{name:<24}{reason or 'fed'}"
        for (phase, bucket), reasons in why.items()
        for name, reason in reasons.items()
    ]
    table = "\n".join([f"  {'phase':<12}{'bucket':<28}{'task':<24}", *lines])
    hungry = [f"{bucket} of phase {phase}" for (phase, bucket), reasons in why.items() if all(reasons.values())]
    unfed = [task.name for task in strategy.tasks if all(reasons[task.name] for reasons in why.values())]
    hint = "change task.tasks, the sizes of the curriculum or the clips that are admitted"
    if hungry:
        log(table)
        raise AiprodError(f"{hungry[0]} feeds none of the tasks: {_reasons(why, hungry[0])}", hint)
    if unfed:
        log(table)
        texts = sorted({str(reasons[unfed[0]]) for reasons in why.values()})
        raise AiprodError(f"no bucket feeds the task {unfed[0]!r}: {'; '.join(texts)}", hint)
    if len(strategy.tasks) > 1:
        log(table)


def _reasons(why: dict[tuple[str, Bucket], dict[str, str | None]], bucket: str) -> str:
    by_task = next(reasons for (phase, b), reasons in why.items() if f"{b} of phase {phase}" == bucket)
    return "; ".join(f"{name}: {reason}" for name, reason in by_task.items())


def _extents(strategy: TaskTrainer, row: LatentRow) -> tuple[Extent, Extent | None]:
    """How large the streams of a row's clip are."""
    frames, fps, video, audio = row.frames or 1, row.fps or 1.0, strategy.video, strategy.audio
    shape = VideoPixelShape(1, frames, row.height or 1, row.width or 1, fps).to_latent(video.compression)
    heard = row.has_audio and strategy.sound
    length = -int(-(frames / fps * audio.compression.latents_per_s) // 1)
    return (
        Extent.of_video(video, shape, fps),
        Extent.of_audio(audio, row.audio_shape[-1] if row.audio_shape else length) if heard else None,
    )
