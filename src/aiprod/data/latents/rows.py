"""The manifest row of the latent cache: one row for each clip and curriculum phase."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from aiprod.storage.manifest.manifest import Row


class LatentRow(Row):
    """What became of one clip in one phase.

    ``status`` is ``ok`` (cached), ``filtered`` (not admitted, or too short for the phase), ``error`` or ``erased``.
    ``psnr_db`` compares the decoded latent with the picture it was made from (peak 2.0 on [-1, 1]);
    ``audio_snr_db`` compares decoded sound with its source. Both are None where the check was not made.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"caption"})

    clip_id: str
    film_id: str
    phase: str
    status: str
    reasons: list[str] = Field(default_factory=list)
    split: str | None = None
    source_id: str | None = None
    file: str | None = Field(default=None, description="path below the latents folder")
    file_sha256: str | None = None
    text_file: str | None = None
    text_sha256: str | None = None
    has_audio: bool = False
    height: int | None = None
    width: int | None = None
    frames: int | None = None
    fps: float | None = None
    video_shape: list[int] | None = Field(default=None, description="channels, frames, height, width of the latent")
    audio_shape: list[int] | None = Field(default=None, description="channels, frames of the latent")
    psnr_db: float | None = None
    audio_snr_db: float | None = None
    caption: str | None = None

    @property
    def row_id(self) -> str:
        """Unique id in the manifest."""
        return f"{self.clip_id}/{self.phase}"
