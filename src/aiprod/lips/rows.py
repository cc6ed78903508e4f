"""The rows of the dataset of talking heads: a clip each, with the truth of every picture."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiprod.speech.visemes import NUMBERS
from aiprod.speech.voice import TimedUnit
from aiprod.storage.manifest.manifest import Row

Fault = Literal["none", "hand", "profile", "two_faces", "leaves"]


class FaceRow(Row):
    """A clip of a head that speaks."""

    clip_id: str
    status: Literal["ok"] = "ok"
    source_id: str
    provenance: str = Field(description="where picture and sound come from, in words")
    synthetic: bool = Field(description="true if it shows no person's face and no person's voice is heard")
    utterance_id: str = Field(description="of the speech dataset: what is said")
    speaker: str
    language: str
    text: str
    split: Literal["train", "heldout"] = Field(description="heldout: neither the sentence nor the face is trained on")
    fault: Fault = Field(description="what keeps the mouth from being seen; only `none` is trained on")
    file_name: str
    file_sha256: str
    fps: float
    frames: int
    phones: list[str]
    phone_ends_s: list[float] = Field(description="the first begins at 0, and there are no gaps")
    visemes: list[str] = Field(description="of each picture: the viseme that is heard then")
    mouth: list[float] = Field(description=f"of each picture, one after another: {', '.join(NUMBERS)}")
    aperture: list[float] = Field(description="of each picture: inner lips apart, over the distance of the eyes")
    pose: list[float] = Field(description="of each picture: point between the eyes (x, y), their distance, angle")

    def timed_phones(self) -> list[TimedUnit]:
        """Phones with their times."""
        starts = [0.0, *self.phone_ends_s[:-1]]
        return [TimedUnit(*each) for each in zip(self.phones, starts, self.phone_ends_s, strict=True)]
