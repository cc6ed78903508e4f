"""One row per clip: what it shows and sounds like, in a sentence and in tags."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from aiprod.captions.content import Content
from aiprod.storage.manifest.manifest import Row


class CaptionRow(Row):
    """The caption of a clip.

    Attributes:
        status: ``ok``; ``skipped`` for a clip that could not be measured; ``error`` when the captioner failed.
        caption: one sentence or a few, empty unless ``ok``.
        tags: content tags such as ``synthetic``, ``nature``, ``object_interaction``, ``human_action``.
        camera_movement: static, pan, tilt, zoom, roll, tracking, handheld or undetermined.
        captioner: that wrote it; `rule_based` too for a clip that the configured one may not be shown.
        captioner_version: of its rules, or a digest of its model and of all that shapes the answer.
        confidence: 0 to 1, the captioner's own.
        verdict: of quality control on the clip, when it was captioned.
        content: what the caption claims, part by part, each claim with its evidence.
        reasons: why there is no caption, or why another captioner than the configured one wrote it.
    """

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"caption", "tags", "camera_movement", "content"})

    clip_id: str
    film_id: str
    status: Literal["ok", "skipped", "error", "erased"]
    caption: str = ""
    tags: list[str] = Field(default_factory=list)
    camera_movement: str = "undetermined"
    captioner: str = ""
    captioner_version: str = ""
    confidence: float | None = Field(default=None, ge=0, le=1)
    verdict: str | None = None
    content: Content = Content()
    reasons: list[str] = Field(default_factory=list)
