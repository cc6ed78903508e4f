"""Samplers of all phases, in the last of which clips that can be erased join shard by shard (docs/unlearning.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiprod.base.progress import log
from aiprod.data.latents.buckets import Bucket, BucketSampler
from aiprod.data.latents.dataset import DIGESTS, LatentDataset, bucket_of
from aiprod.data.latents.rows import LatentRow
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.loop.levels import Levels, LevelSampler, clip_levels
from aiprod.trainer.revocable import RevocableParams

Sampled = Callable[[str, Mapping[str, Bucket], int], BucketSampler]  # phase, clips, batch
_OF_ALL_CLIPS = ("latents", "revocable")  # settings that the levels say more exactly


def joined(
    dataset: LatentDataset,
    curriculum: CurriculumConfig,
    revocable: RevocableParams,
    settings: Mapping[str, Any],
    sampler: Sampled,
) -> tuple[dict[str, Any], Levels]:
    """A sampler for each phase, and what the steps of each level depend on.

    Args:
        dataset: keeps apart the clips that join last.
        settings: of the run.
    """
    samplers: dict[str, Any] = {}
    for name, phase in curriculum.phases.items():
        buckets = dataset.buckets(name)
        samplers[name] = sampler(name, buckets, phase.batch)
        log(f"phase {name}: {len(buckets)} clips to train on, {len(dataset.usable(name, 'heldout'))} held out")
        log(samplers[name].table())
        why = dataset.why_not(name)
        log(f"  not used:\n{why}") if "none" not in why else None
    plain = {name: value for name, value in settings.items() if name not in _OF_ALL_CLIPS}
    plain["made_by"] = {name: dataset.head.inputs.get(name) for name in DIGESTS}
    settled = [(name, split) for name in curriculum.phases for split in ("train", "heldout")]
    groups = [[_read_of(row) for name, split in settled for row in dataset.usable(name, split)]]
    if revocable.place == "mixed":
        return samplers, clip_levels(plain, groups, [])
    last, phase = list(curriculum.phases.items())[-1]
    steps = phase.duration.most_steps(phase.batch, samplers[last].clips_per_epoch)
    starts = revocable.starts(phase, last, steps)
    waiting, buckets, joining = dataset.waiting(last), dataset.buckets(last), [(0, samplers[last])]
    for number, start in enumerate(starts, 1):
        group = [row for row in waiting if revocable.shard(row.clip_id) == number]
        buckets |= {row.clip_id: bucket_of(row) for row in group}
        joining.append((start, sampler(last, buckets, phase.batch)))
        groups.append([_read_of(row) for row in group])
        log(f"  from its step {start}: {len(group)} more that can be erased")
    return {**samplers, last: LevelSampler(joining)}, clip_levels(plain, groups, starts)


def _read_of(row: LatentRow) -> list[Any]:
    """All that training reads of a cached clip."""
    shape = bucket_of(row)
    files = [row.file_sha256, row.text_sha256]
    return [row.clip_id, row.phase, row.split, row.source_id, *files, str(shape), row.fps]
