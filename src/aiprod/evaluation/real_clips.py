"""Real clips of the size that is generated: the measures are taken of them too, so that a wrong measure shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiprod.base.denials import Refusal
from aiprod.base.progress import log
from aiprod.core.generation import GenerationConfig
from aiprod.errors import per_item
from aiprod.evaluation.attributes import MeasuredVideo
from aiprod.media.clips import read_clip
from aiprod.storage.clip_store import decrypted_copy, refuse_damaged
from aiprod.trainer.training_set import Selection, TrainingClip


@dataclass(frozen=True)
class Real:
    """A real clip and its caption."""

    caption: str
    shown: MeasuredVideo


def read_reference(selection: Selection, config: GenerationConfig, count: int) -> list[Real]:
    """Up to ``count`` clips by id, held-out ones first, the first ``config.frames`` pictures of each."""
    clips = [*selection.heldout, *selection.train][:count]
    refuse_damaged((clip.path, clip.sha256) for clip in clips)
    with ThreadPoolExecutor(os.cpu_count()) as readers:
        read = list(readers.map(lambda clip: _read(clip, config), clips))
    for clip, clip_or_reason in zip(clips, read, strict=True):
        if isinstance(clip_or_reason, str):
            log(f"warning: clip {clip.clip_id} is left out of the measures: {clip_or_reason}")
    return [clip_or_reason for clip_or_reason in read if isinstance(clip_or_reason, Real)]


def _read(clip: TrainingClip, config: GenerationConfig) -> Real | str:
    try:
        return _read_whole(clip, config)
    except Exception as error:  # one clip never costs the others
        if isinstance(error, Refusal):
            raise
        return per_item(error, "the decoder")


def _read_whole(clip: TrainingClip, config: GenerationConfig) -> Real:
    with decrypted_copy(clip.path) as path:
        pictures, sound = read_clip(path, config.height_px, config.width_px, config.fps, config.frames)
    return Real(clip.caption, MeasuredVideo(pictures, config.fps, sound if clip.has_audio else None))


def measured_together(videos: Sequence[MeasuredVideo]) -> list[MeasuredVideo]:
    """The same videos, their costly measures taken side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(lambda video: (video.colours.most, video.camera), videos))
    return list(videos)
