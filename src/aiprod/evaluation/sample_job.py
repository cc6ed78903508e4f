"""Generates a part of the samples on a worker of an engine, which loads the models once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.executors.executor import in_parts
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import GeneratedClip, Request
from aiprod.models.artifacts import LATENT_MAKERS, TRANSFORMER
from aiprod.storage.result_cache import Memo
from aiprod.trainer.loop.accelerator import default_device

_FOLDERS = (*LATENT_MAKERS, Path(TRANSFORMER).parts[0])
_BOUNDS = Bounds(deadline_s=6 * 3600.0, memory_bytes=0)  # a part; what the models take is their own


@dataclass(frozen=True)
class SampleJob:
    """Requests that a worker is given at a time; a sample depends on its own request only."""

    requests: tuple[Request, ...]
    config: GenerationConfig
    models: Path
    threads: int
    memo: Memo | None = None

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine."""
        yield Needs(shared={f"models/{name}": self.models / name for name in _FOLDERS})

    def placed(self, at: Mapping[str, Path], memo: Memo) -> SampleJob:
        """The same job on another machine."""
        return replace(self, models=at[f"models/{_FOLDERS[0]}"].parent)


def sample_part(job: SampleJob) -> list[GeneratedClip]:
    """What was asked for, in order. Runs in a worker."""
    torch.set_num_threads(job.threads)
    return _pipeline(job.models).generate(job.requests, job.config, at_once=len(job.requests))


@lru_cache(maxsize=1)
def _pipeline(models: Path) -> AVPipeline:
    return AVPipeline.from_pretrained(models, device=default_device(), affected=True)  # whoever sends them has asked


def sample_on_workers(
    requests: Sequence[Request],
    config: GenerationConfig,
    models: Path,
    *,
    batch: int,
    engine: Engine,
    on_sample: Callable[[], None],
) -> list[GeneratedClip]:
    """What was asked for, in order.

    Args:
        batch: requests a worker is given at a time.
        on_sample: called once for each.

    Raises:
        AiprodError: one could not be made, or as :func:`aiprod.executors.executor.ordered_map`.
    """

    def job(part: Sequence[int]) -> SampleJob:
        return SampleJob(tuple(requests[number] for number in part), config, models, torch.get_num_threads())

    parts = [range(start, min(start + batch, len(requests))) for start in range(0, len(requests), batch)]
    by_number: dict[int, GeneratedClip] = {}
    for part, clips in in_parts(sample_part, job, parts, bounds=_BOUNDS, engine=engine, gpu=True):
        if isinstance(clips, str):
            raise AiprodError(f"a sample could not be made: {clips}", "see the worker's machine")
        for number, clip in zip(part, clips, strict=True):
            by_number[number] = clip
            on_sample()
    return [by_number[number] for number in range(len(requests))]
