"""Rows of manifests for tests that care about a few of their fields."""

from __future__ import annotations

from typing import Any

from aiprod.data.rows import ClipRow

_CLIP = {
    "source_id": "own",
    "shot_index": 0,
    "start_s": 0.0,
    "end_s": 1.0,
    "frames": 24,
    "fps": 24.0,
    "width": 64,
    "height": 48,
    "has_audio": False,
    "status": "ok",
    "split": "train",
}


def clip_row(clip_id: str, film_id: str, **fields: Any) -> ClipRow:
    """A clip of the training split, one second long and 64 by 48 pixels in size, except for the fields given."""
    return ClipRow(clip_id=clip_id, film_id=film_id, **{**_CLIP, **fields})
