"""What the package under test makes of a film: the one module here that imports it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.audio import hear
from aiprod.media.clips import read_clip
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from aiprod.storage.result_cache import Memo
from tests.media.matrix.marks import RATE, number_of

__all__ = ["Clip", "MediaError", "clip_for_training", "pictures", "sound", "taken"]


@dataclass(frozen=True)
class Clip:
    """A clip that ingest wrote, and what it says of it."""

    path: Path
    start_s: float
    size: tuple[int, int]
    has_audio: bool
    steps: list[str]


def pictures(path: Path) -> list[tuple[float, int | None]]:
    """Time after the first picture, and number, of every picture."""
    with VideoReader(path) as reader:
        return [
            (timed.time_s, number_of(timed.frame.to_ndarray(format="gray", threads=1))) for timed in reader.frames()
        ]


def sound(path: Path, start_s: float = 0.0, duration_s: float | None = None) -> np.ndarray | None:
    """Sound [2, T] on the clock of the pictures."""
    facts = probe(path)
    assert facts.video is not None
    heard = hear(path, RATE, 2, origin_s=facts.video.start_s, start_s=start_s, duration_s=duration_s)
    return None if heard is None else heard.samples


def clip_for_training(path: Path, size: tuple[int, int], fps: float, frames: int, start_s: float) -> tuple[Any, Any]:
    """Numbers and sound as training reads them."""
    shown, heard = read_clip(path, size[1], size[0], fps, frames, start_s, sample_rate=RATE)
    return [number_of(picture.mean(axis=2)) for picture in shown], heard


def taken(path: Path) -> tuple[list[Clip], list[str]]:
    """The clips that ingest makes of a film, and what it says of those that it does not write.

    Raises:
        MediaError: it refuses the film.
    """
    params = IngestParams.model_validate(
        {
            "shots": {"min_shot_s": 0.02, "adaptive_threshold": 1e6, "min_content_change": 1e6, "fade_level": 0},
            "normalise": {"crop_letterbox": False, "preset": "ultrafast"},
        }
    )
    memo = Memo(path.parent / f"{path.name}.memo", "")
    ingest_film(IngestJob(str(path), None, sha256_file(path), "key", memo, params))
    known = memo.get("key")
    assert known is not None
    result, place = known
    if result["error"] is not None:
        raise MediaError("refused", str(result["error"]))
    clips, unwritten = [], []
    for clip in result["clips"]:
        if clip["file"] is None:
            unwritten += [f"{clip['status']}: {reason}" for reason in clip["reasons"]]
            continue
        size = clip["width"], clip["height"]
        clips.append(Clip(place / clip["file"], clip["start_s"], size, clip["has_audio"], clip["steps"]))
    return clips, unwritten
