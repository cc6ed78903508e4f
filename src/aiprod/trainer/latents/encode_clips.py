"""Encodes clips one after the other, each in all of its phases, decoded ahead: here, or in a worker of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aiprod.errors import is_one_line, per_item
from aiprod.media.clips import read_in_sizes
from aiprod.media.errors import MediaError
from aiprod.storage.clip_store import decrypted_copy
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.encode import CacheJob, CacheModels, SoundLatents, encoder, seal_of


def encode_clips(
    jobs: Sequence[CacheJob], models: CacheModels, readers: int, memo: Memo
) -> Iterator[tuple[CacheJob, str | None]]:
    """Each clip in each phase, with None once its memo entry is there, or with the reason why it cannot be encoded.

    A clip is a batch of its own, for what shares a batch may differ in its last bits from the same alone. Phases that
    show the same stretch of a clip at the same rate follow one another and share its decoding and its sound.

    Args:
        readers: threads that decode film ahead.

    Raises:
        AiprodError: something that is no fault of a clip, such as a missing key.
    """
    stretches = by_stretch(jobs)
    for stretch, media in _read_ahead(stretches, readers, models.audio_vae.compression.sample_rate):
        if isinstance(media, str):
            yield from ((job, media) for job in stretch)
            continue
        pictures, sound = media[0], SoundLatents(media[1], models)
        for job, shown in zip(stretch, pictures, strict=True):
            try:
                memo.put(job.key, encoder(job, shown, sound, models), seal_of("latent", job.clip.clip_id))
            except Exception as error:  # one clip never costs the others
                yield job, per_item(error, "the autoencoder")
                continue
            yield job, None


def by_stretch(jobs: Sequence[CacheJob]) -> list[list[CacheJob]]:
    """Jobs that show the same stretch of the same clip together, in order of the first of each."""
    stretches: dict[tuple[str, float, int], list[CacheJob]] = {}
    for job in jobs:
        stretches.setdefault((job.clip.clip_id, job.geometry.fps, job.geometry.frames), []).append(job)
    return list(stretches.values())


_Media = tuple[list[np.ndarray], np.ndarray]
"""Pictures for each job of a stretch, and its sound."""


def _read_ahead(
    stretches: Sequence[list[CacheJob]], readers: int, sample_rate: int
) -> Iterator[tuple[list[CacheJob], _Media | str]]:
    """Decoded film in order, or why there is none, a few clips ahead of whoever consumes it."""

    def read(stretch: list[CacheJob]) -> _Media | str:
        first = stretch[0]
        sizes = [(job.geometry.height, job.geometry.width) for job in stretch]
        try:
            with decrypted_copy(first.clip.path) as path:
                return read_in_sizes(path, sizes, first.geometry.fps, first.geometry.frames, sample_rate=sample_rate)
        except MediaError as error:
            return error.reason
        except Exception as error:
            if is_one_line(error):  # no fault of the clip: its key is missing, for example
                raise
            return per_item(error, "the decoder")

    with ThreadPoolExecutor(readers) as pool:
        waiting = [(stretch, pool.submit(read, stretch)) for stretch in stretches[: 2 * readers]]
        for index in range(len(stretches)):
            stretch, future = waiting.pop(0)
            ahead = index + 2 * readers
            if ahead < len(stretches):
                waiting.append((stretches[ahead], pool.submit(read, stretches[ahead])))
            yield stretch, future.result()
