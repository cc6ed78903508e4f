"""Generates a part of the samples on a worker of an engine, which loads the models once; nothing is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.evaluation.memorisation import VaeEncoder
from aiprod.executors.executor import in_parts
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.inference.pipeline import AVPipeline, permitted_record
from aiprod.inference.request import GeneratedClip, Request
from aiprod.models.adapters.autoencoders import load_video_vae
from aiprod.models.artifacts import LATENT_MAKERS, MODELS, TRANSFORMER, TrainingRecord
from aiprod.storage.result_cache import Memo
from aiprod.trainer.loop.accelerator import default_device

_FOLDERS = (*LATENT_MAKERS, Path(TRANSFORMER).parts[0])
_VIDEO_VAE = LATENT_MAKERS[0]
_VIDEOS_AT_ONCE = 4
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


@dataclass(frozen=True)
class LatentJob:
    """Videos to encode, and latents to decode and soften, for the search for copies."""

    pictures: tuple[NDArray[np.uint8], ...]
    latents: tuple[NDArray[np.float32], ...]
    models: Path
    threads: int
    memo: Memo | None = None

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine."""
        yield Needs(shared={f"models/{_VIDEO_VAE}": self.models / _VIDEO_VAE})

    def placed(self, at: Mapping[str, Path], memo: Memo) -> LatentJob:
        """The same job on another machine."""
        return replace(self, models=at[f"models/{_VIDEO_VAE}"].parent)


def latents_part(job: LatentJob) -> list[NDArray[np.float32]]:
    """Latents of the videos, then of what was softened. Runs in a worker."""
    torch.set_num_threads(job.threads)
    shown, softened = _encoder(job.models)(job.pictures, [torch.from_numpy(one) for one in job.latents])
    return [latent.numpy() for latent in (*shown, *softened)]


@lru_cache(maxsize=1)
def _encoder(models: Path) -> VaeEncoder:
    device = default_device()
    return VaeEncoder(load_video_vae(models / _VIDEO_VAE, device=device).eval(), device)


@dataclass(frozen=True)
class SampleWorkers:
    """Samples as :class:`AVPipeline` does, on workers of an engine.

    Args:
        record: how the models were trained.
        models: the folder that they are in.
    """

    record: TrainingRecord
    engine: Engine
    models: Path = MODELS

    @classmethod
    def of(cls, engine: Engine, models: Path = MODELS) -> SampleWorkers:
        """For the models in a folder, none of which is loaded here.

        Raises:
            AiprodError: as :meth:`AVPipeline.from_pretrained`, weights that do not load aside.
        """
        return cls(permitted_record(models), engine, models)

    @property
    def device(self) -> torch.device:
        """Of this process, for networks that look at what was made."""
        return torch.device(default_device())

    def generate(
        self, requests: Sequence[Request], config: GenerationConfig, *, at_once: int, on_step: Callable[[], None]
    ) -> list[GeneratedClip]:
        """What was asked for, in order.

        Args:
            at_once: requests a worker is given at a time.
            on_step: called once for each step, after all of a sample's.

        Raises:
            AiprodError: one could not be made, or as :func:`aiprod.executors.executor.ordered_map`.
        """

        def job(part: Sequence[int]) -> SampleJob:
            chosen = tuple(requests[number] for number in part)
            return SampleJob(chosen, config, self.models, torch.get_num_threads())

        by_number: dict[int, GeneratedClip] = {}
        parts = _parts(len(requests), at_once)
        for part, clips in in_parts(sample_part, job, parts, bounds=_BOUNDS, engine=self.engine, gpu=True):
            if isinstance(clips, str):
                raise AiprodError(f"a sample could not be made: {clips}", "see the worker's machine")
            for number, clip in zip(part, clips, strict=True):
                by_number[number] = clip
                for _ in range(config.all_steps):
                    on_step()
        return [by_number[number] for number in range(len(requests))]

    def encoder(
        self, pictures: Sequence[NDArray[np.uint8]], latents: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As :class:`~aiprod.evaluation.memorisation.LatentEncoder`.

        Raises:
            AiprodError: as :meth:`generate`.
        """
        every: list[NDArray[np.uint8] | Tensor] = [*pictures, *latents]

        def job(part: Sequence[int]) -> LatentJob:
            chosen = [every[number] for number in part]
            return LatentJob(
                tuple(one for one in chosen if not isinstance(one, Tensor)),
                tuple(one.float().numpy() for one in chosen if isinstance(one, Tensor)),
                self.models,
                torch.get_num_threads(),
            )

        by_number: dict[int, Tensor] = {}
        parts = _parts(len(every), _VIDEOS_AT_ONCE)
        for part, encoded in in_parts(latents_part, job, parts, bounds=_BOUNDS, engine=self.engine, gpu=True):
            if isinstance(encoded, str):
                raise AiprodError(f"a sample could not be encoded: {encoded}", "see the worker's machine")
            by_number |= {number: torch.from_numpy(one) for number, one in zip(part, encoded, strict=True)}
        whole = [by_number[number] for number in range(len(every))]
        return whole[: len(pictures)], whole[len(pictures) :]


def _parts(count: int, at_once: int) -> list[range]:
    return [range(start, min(start + at_once, count)) for start in range(0, count, at_once)]
