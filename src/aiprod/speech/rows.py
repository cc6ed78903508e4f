"""The rows of the speech dataset: one utterance each, with the times of its phones and words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiprod.speech.voice import TimedUnit
from aiprod.storage.manifest.manifest import Row

Split = Literal["train", "heldout", "unseen_pair"]


class SpeechRow(Row):
    """One utterance."""

    utterance_id: str
    status: Literal["ok", "refused"]
    reasons: list[str] = Field(default_factory=list)
    source_id: str
    provenance: str = Field(description="where the sound comes from, in words")
    synthetic: bool = Field(description="whether no person spoke it")
    consent_ref: str | None = Field(
        default=None, description="record of the consent of the person who spoke it; without one it is not trained on"
    )
    speaker: str
    language: str
    text: str
    split: Split = Field(
        description="heldout: its sentence is not trained on; unseen_pair: its speaker's language is not"
    )
    sound_name: str | None = None
    sound_sha256: str | None = None
    seconds: float | None = None
    phones: list[str] = Field(default_factory=list)
    phone_ends_s: list[float] = Field(default_factory=list, description="the first begins at 0, and there are no gaps")
    words: list[str] = Field(default_factory=list)
    word_starts_s: list[float] = Field(default_factory=list)
    word_ends_s: list[float] = Field(default_factory=list)
    f0_hz: list[float] = Field(default_factory=list, description="at every frame of 12.5 ms; 0: unvoiced")

    def timed_phones(self) -> list[TimedUnit]:
        """Phones with their times."""
        starts = [0.0, *self.phone_ends_s[:-1]]
        return [TimedUnit(*each) for each in zip(self.phones, starts, self.phone_ends_s, strict=True)]

    def timed_words(self) -> list[TimedUnit]:
        """Words with their times."""
        return [TimedUnit(*each) for each in zip(self.words, self.word_starts_s, self.word_ends_s, strict=True)]
