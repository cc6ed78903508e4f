"""Whether a face may be given another mouth, and a voice be put into it: asked of the consent records, and logged."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aiprod.base.denials import Refusal
from aiprod.base.files import sha256_file
from aiprod.lips.rows import FaceRow
from aiprod.rights.agreements import FACE, VOICE, against, record_id
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import HEAD, read_rows

FACES, SPEECH = Path("datasets/v1/faces"), Path("datasets/v1/speech")
Basis = Literal["drawn", "consent"]
"""Why it may be done: nobody is seen or heard, or the person has agreed."""


def require_face(file: Path, reference: str) -> Basis:
    """Refuse to give a face another mouth, unless it was drawn or its person has agreed to that.

    Args:
        reference: of a record in ``datasets/consent``; empty: none was named.

    Raises:
        Refusal: it may not; it is logged.
    """
    return _required(file, reference, FACE, "this face may not be given another mouth", "--face-consent")


def require_voice(file: Path, reference: str) -> Basis:
    """Refuse to put a recorded voice into a face, unless it was drawn or its person has agreed to that.

    Raises:
        Refusal: it may not; it is logged.
    """
    return _required(file, reference, VOICE, "this voice may not be used", "--voice-consent")


def _required(file: Path, reference: str, purpose: str, what: str, option: str) -> Basis:
    if not reference and _is_drawn(file):
        return "drawn"
    why = against(reference, purpose)
    if why:
        name = record_id(reference)
        raise Refusal(
            f"{what}: {why}",
            f"name the person's record with {option}; `aiprod consent record` adds one, for the purpose {purpose}",
            lack="consent",
            action=purpose,
            subject=f"consent/{name}" if name else "",
        )
    return "consent"


def _is_drawn(file: Path) -> bool:
    """Whether the very bytes of a file are among what this project drew and spoke itself."""
    digest, vault = sha256_file(file), Vault()
    if (FACES / HEAD).is_file() and any(
        row.synthetic and row.file_sha256 == digest for row in read_rows(FACES, FaceRow, vault)
    ):
        return True
    return (SPEECH / HEAD).is_file() and any(
        row.synthetic and row.sound_sha256 == digest for row in read_rows(SPEECH, SpeechRow, vault)
    )
