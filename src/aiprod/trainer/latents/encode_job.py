"""Encodes clips and captions on workers of an engine, each of which loads the models once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import torch

from aiprod.errors import AiprodError
from aiprod.executors.executor import in_parts
from aiprod.executors.types import Bounds, Engine, Needs
from aiprod.models.artifacts import LATENT_MAKERS
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.encode import CacheJob, CacheLatentsParams, CacheModels, TextJob, encode_texts
from aiprod.trainer.latents.encode_clips import by_stretch, encode_clips
from aiprod.trainer.loop.accelerator import default_device

_CLIPS = 8  # that a worker is given at a time: enough that it never waits for the next ones
_BOUNDS = Bounds(deadline_s=3600.0, memory_bytes=0)  # a part; what the models take is their own


@dataclass(frozen=True)
class EncodeJob:
    """A few clips in all of their phases, or captions of one batch."""

    clips: tuple[CacheJob, ...]
    texts: tuple[TextJob, ...]
    params: CacheLatentsParams
    makers: Path
    memo: Memo
    threads: int

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine."""
        yield Needs(
            files={job.key: job.clip.path for job in self.clips},
            shared={f"models/{name}": self.makers / name for name in LATENT_MAKERS},
            private=(
                *(job.clip.clip_id for job in self.clips if is_private(job.clip.clip_id)),
                *(job.owner for job in self.texts if job.owner is not None),
            ),
        )

    def placed(self, at: Mapping[str, Path], memo: Memo) -> EncodeJob:
        """The same job on another machine."""
        clips = tuple(replace(job, clip=replace(job.clip, path=at[job.key])) for job in self.clips)
        return replace(self, clips=clips, makers=at[f"models/{LATENT_MAKERS[0]}"].parent, memo=memo)


def encode_part(job: EncodeJob) -> dict[str, str] | AiprodError:
    """Fill the memo entries of a job. Runs in a worker.

    Returns:
        key → why a clip could not be encoded; or why the models do not load, for any clip.
    """
    torch.set_num_threads(job.threads)
    try:
        models = _models(job.makers, job.params.model_dump_json())
    except AiprodError as error:
        return error
    if job.texts:
        encode_texts(job.texts, models, job.memo)
    encoded = encode_clips(job.clips, models, job.params.readers, job.memo)
    return {clip.key: why for clip, why in encoded if why is not None}


@lru_cache(maxsize=1)
def _models(makers: Path, params: str) -> CacheModels:
    return CacheModels.load(makers, CacheLatentsParams.model_validate_json(params), default_device())


def encode_on_workers(
    clips: Sequence[CacheJob],
    texts: Sequence[Sequence[TextJob]],
    params: CacheLatentsParams,
    makers: Path,
    *,
    memo: Memo,
    engine: Engine,
) -> Iterator[tuple[CacheJob, str | None]]:
    """Encode captions, then clips: each clip with None once its memo entry is there, or with a reason.

    Raises:
        AiprodError: the models do not load there, captions cannot be encoded, or as
            :func:`aiprod.executors.executor.ordered_map`.
    """

    def job(part: Sequence[CacheJob | TextJob]) -> EncodeJob:
        clips = tuple(one for one in part if isinstance(one, CacheJob))
        texts = tuple(one for one in part if isinstance(one, TextJob))
        return EncodeJob(clips, texts, params, makers, memo, torch.get_num_threads())

    parts: list[Sequence[CacheJob | TextJob]] = [*texts]
    stretches = by_stretch(clips)  # a worker gets all phases of a clip
    for _, group in groupby(stretches, key=lambda one: is_private(one[0].clip.clip_id)):
        alike = list(group)
        for start in range(0, len(alike), _CLIPS):
            parts.append([job for stretch in alike[start : start + _CLIPS] for job in stretch])
    for part, failed in in_parts(encode_part, job, parts, bounds=_BOUNDS, engine=engine, gpu=True):
        if isinstance(failed, AiprodError):
            raise failed
        for one in part:
            if isinstance(one, CacheJob):
                yield one, failed if isinstance(failed, str) else failed.get(one.key)
            elif isinstance(failed, str):
                raise AiprodError(f"captions could not be encoded: {failed}", "see the text encoder's stage")
