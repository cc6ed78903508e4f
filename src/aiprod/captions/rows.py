"""One row per clip: what it shows and sounds like, in a sentence and in tags."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from aiprod.storage.manifest.manifest import Row


class CaptionRow(Row):
    """The caption of a clip.

    Attributes:
        status: ``ok``; ``skipped`` for a clip that could not be measured; ``error`` when the captioner failed.
        caption: one sentence or a few, empty unless ``ok``.
        tags: content tags such as ``synthetic``, ``nature``, ``object_interaction``, ``human_action``.
        camera_movement: static, pan, tilt, zoom, roll, tracking, handheld or undetermined.
        confidence: 0 to 1, the captioner's own.
        facts: the measured and declared facts that the sentence was made of.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"caption", "tags", "camera_movement", "facts"})

    clip_id: str
    film_id: str
    status: Literal["ok", "skipped", "error", "erased"]
    caption: str = ""
    tags: list[str] = Field(default_factory=list)
    camera_movement: str = "undetermined"
    captioner: str = ""
    captioner_version: str = ""
    confidence: float | None = Field(default=None, ge=0, le=1)
    facts: dict[str, Any] = Field(default_factory=dict)
    reasons: list[str] = Field(default_factory=list)
