"""Rows of manifests for tests that care about a few of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiprod.data.latents.rows import LatentRow
from aiprod.data.rows import ClipRow
from aiprod.storage.manifest.manifest import write_manifest

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


def write_latent_rows(folder: Path, rows: Iterable[LatentRow], inputs: Mapping[str, str]) -> None:
    """The manifest of cached latents in ``folder``, as stage cache_latents writes it."""
    write_manifest(
        folder,
        list(rows),
        row_model=LatentRow,
        stage="cache_latents",
        key=lambda row: row.row_id,
        params_digest="p",
        inputs=dict(inputs),
    )
