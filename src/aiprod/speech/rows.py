"""The rows of the speech dataset: one utterance each, with the times of its phones and words."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

from pydantic import Field

from aiprod.rights.right import RightWord
from aiprod.speech.voice import TimedUnit
from aiprod.storage.manifest.manifest import Row

Split = Literal["train", "heldout", "unseen_pair"]
TAUGHT = "synthetic, teacher:"
"""What the provenance of every row begins with that a teacher spoke, and with it every document that names a voice."""


class SpeechRow(Row):
    """One utterance. What a person said is encrypted under the key of their voice, and keeps an opaque id of it."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(
        {
            "consent_ref",
            "content_sha256",
            "f0_hz",
            "key",
            "phone_ends_s",
            "phones",
            "size_bytes",
            "speaker_name",
            "text",
            "text_key",
            "word_ends_s",
            "word_starts_s",
            "words",
        }
    )

    utterance_id: str = Field(description="opaque; keyed (`u0…`) where a person spoke")
    status: Literal["ok", "refused", "erased"]
    reasons: list[str] = Field(default_factory=list)
    source_id: str
    provenance: str = Field(description="where the sound comes from, in words")
    synthetic: bool = Field(description="whether no person spoke it")
    consent_ref: str | None = Field(
        default=None, description="record of the consent of the person who spoke it; without one it is not trained on"
    )
    speaker: str = Field(description="opaque and keyed (`s0…`) where it is a person")
    language: str
    text: str
    split: Split = Field(
        description="heldout: its sentence is not trained on; unseen_pair: its speaker's language is not"
    )
    sound_name: str | None = None
    sound_sha256: str | None = Field(default=None, description="of the file as stored, encrypted or not")
    seconds: float | None = None
    phones: list[str] = Field(default_factory=list)
    phone_ends_s: list[float] = Field(default_factory=list, description="the first begins at 0, and there are no gaps")
    words: list[str] = Field(default_factory=list)
    word_starts_s: list[float] = Field(default_factory=list)
    word_ends_s: list[float] = Field(default_factory=list)
    f0_hz: list[float] = Field(default_factory=list, description="at every frame of 12.5 ms; 0: unvoiced")
    key: str | None = Field(default=None, description="of a recording: its path within the source")
    text_key: str | None = Field(default=None, description="the file that has its text")
    speaker_name: str | None = Field(default=None, description="as the source calls who speaks")
    content_sha256: str | None = Field(default=None, description="of the recording as it was given")
    size_bytes: int = 0
    effective_right: RightWord = "train"
    rights_proof: list[str] = Field(default_factory=list)
    obligations: list[str] = Field(default_factory=list)

    @property
    def taught(self) -> bool:
        """Whether text to speech of others spoke it."""
        return self.provenance.startswith(TAUGHT)

    def timed_phones(self) -> list[TimedUnit]:
        """Phones with their times."""
        starts = [0.0, *self.phone_ends_s[:-1]]
        return [TimedUnit(*each) for each in zip(self.phones, starts, self.phone_ends_s, strict=True)]

    def timed_words(self) -> list[TimedUnit]:
        """Words with their times."""
        return [TimedUnit(*each) for each in zip(self.words, self.word_starts_s, self.word_ends_s, strict=True)]


def split_of(text: str, seed: int, heldout_fraction: float) -> Split:
    """By the sentence, so that what is held out is never trained on, whoever says it."""
    words = " ".join(text.lower().split())
    bucket = int(hashlib.sha256(f"{seed}:{words}".encode()).hexdigest(), 16) % 1000
    return "heldout" if bucket < 1000 * heldout_fraction else "train"
