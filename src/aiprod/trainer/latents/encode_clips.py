"""Encodes clips one after the other, with film decoded ahead: in this process, or in a worker of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aiprod.errors import is_one_line, per_item
from aiprod.media.clips import read_clip
from aiprod.media.errors import MediaError
from aiprod.storage.clip_store import decrypted_copy
from aiprod.storage.result_cache import Memo
from aiprod.trainer.latents.encode import CacheJob, CacheModels, encoder, seal_of


def encode_clips(
    jobs: Sequence[CacheJob], models: CacheModels, readers: int, memo: Memo
) -> Iterator[tuple[CacheJob, str | None]]:
    """Each clip, with None once its memo entry is there, or with the reason why it cannot be encoded.

    A clip is a batch of its own, for what shares a batch may differ in its last bits from the same alone.

    Args:
        readers: threads that decode film ahead.

    Raises:
        AiprodError: something that is no fault of a clip, such as a missing key.
    """
    for job, media in _read_ahead(jobs, readers, models.audio_vae.compression.sample_rate):
        if isinstance(media, str):
            yield job, media
            continue
        try:
            memo.put(job.key, encoder(job, media, models), seal_of("latent", job.clip.clip_id))
        except Exception as error:  # one clip never costs the others
            yield job, per_item(error, "the autoencoder")
            continue
        yield job, None


def _read_ahead(
    jobs: Sequence[CacheJob], readers: int, sample_rate: int
) -> Iterator[tuple[CacheJob, tuple[np.ndarray, np.ndarray] | str]]:
    """Decoded film in order, or why there is none, a few clips ahead of whoever consumes it."""

    def read(job: CacheJob) -> tuple[np.ndarray, np.ndarray] | str:
        g = job.geometry
        try:
            with decrypted_copy(job.clip.path) as path:
                return read_clip(path, g.height, g.width, g.fps, g.frames, sample_rate=sample_rate)
        except MediaError as error:
            return error.reason
        except Exception as error:
            if is_one_line(error):  # no fault of the clip: its key is missing, for example
                raise
            return per_item(error, "the decoder")

    with ThreadPoolExecutor(readers) as pool:
        waiting = [(job, pool.submit(read, job)) for job in jobs[: 2 * readers]]
        for index in range(len(jobs)):
            job, future = waiting.pop(0)
            ahead = index + 2 * readers
            if ahead < len(jobs):
                waiting.append((jobs[ahead], pool.submit(read, jobs[ahead])))
            yield job, future.result()
