"""The voices of the speech dataset: whose they are, by what right they are there, and how often a model heard them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiprod.governance.dataset.records import Records
from aiprod.rights.agreements import VOICE
from aiprod.storage.crypto.film_encryption import is_private


@dataclass
class VoiceFacts:
    """One speaker in one language, from one source.

    Attributes:
        right: why it may be heard: no person spoke it, or the person's record.
        heard: of its utterances, those that the model of speech was given to hear.
    """

    speaker: str
    language: str
    provenance: str
    right: str
    utterances: int = 0
    seconds: float = 0.0
    refused: int = 0
    heard: int = 0
    hearings: int = 0


def voices(facts: Records) -> list[VoiceFacts]:
    """Every voice, by speaker and language."""
    voices_by_key: dict[tuple[str, ...], VoiceFacts] = {}
    for utterance_id, row in facts.utterances.items():
        key = row.speaker, row.language, row.provenance, right_of(row)
        voice = voices_by_key.setdefault(key, VoiceFacts(*key))
        voice.utterances += 1
        voice.seconds += row.seconds or 0.0
        voice.refused += row.status == "refused"
        count = facts.heard.get(utterance_id)
        voice.heard += count is not None
        voice.hearings += count.times if count else 0
    return [voices_by_key[key] for key in sorted(voices_by_key)]


def taught(facts: Records) -> list[str]:
    """The teachers that spoke any of it, as the rows name them."""
    return sorted({row.provenance for row in facts.utterances.values() if row.taught})


def right_of(row: Any) -> str:
    """Why an utterance may be trained on, in words."""
    if row.synthetic:
        return "no person spoke it"
    if is_private(row.utterance_id) and not row.consent_ref:  # the record is sealed with the row
        return f"a consent for {VOICE}, sealed" if row.effective_right != "deny" else "denied"
    return f"consent {row.consent_ref} for {VOICE}" if row.consent_ref else "none is recorded"
