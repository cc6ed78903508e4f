"""The rows that ingest writes: one for each film that was offered, one for each clip (shot) that came out of a film."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, ClassVar, Literal

from pydantic import Field

from aiprod.rights.right import RightWord
from aiprod.storage.manifest.manifest import Row

Split = Literal["train", "heldout"]


class FilmRow(Row):
    """One film that a source offered. A refused or undecodable film keeps its row, with the reason."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset(
        {
            "key",
            "title",
            "description",
            "content_sha256",
            "packets_sha256",
            "size_bytes",
            "facts",
            "rights",
            "labels",
            "attribution",
            "url",
            "origin",
            "license_evidence",
            "consent_ref",
        }
    )

    film_id: str = Field(description="opaque: film_id_of(), or keyed (`f0…`) where there is personal data")
    source_id: str
    key: str = Field(description="name within the source, a relative path for folders")
    title: str | None = None
    description: str | None = Field(default=None, description="what the source says about the film, in its own words")
    status: Literal["ok", "refused", "error", "erased"]
    reasons: list[str] = Field(default_factory=list)
    content_sha256: str | None = None
    packets_sha256: str | None = Field(default=None, description="over the packets: same film, other wrapping")
    size_bytes: int = 0
    raw_name: str | None = Field(default=None, description="file in raw/, None where nothing was stored")
    facts: dict[str, Any] | None = Field(default=None, description="media.media_info.MediaFacts as JSON")
    rights: dict[str, Any] = Field(default_factory=dict, description="layers of rights as declared, see data.sources")
    effective_right: RightWord = "deny"
    rights_proof: list[str] = Field(default_factory=list)
    obligations: list[str] = Field(default_factory=list)
    labels: list[str] = Field(default_factory=list)
    attribution: str | None = None
    url: str | None = None
    origin: str | None = Field(default=None, description="where the publisher keeps it: repository, path, revision")
    media_license: str | None = None
    license_evidence: str | None = None
    consent_ref: str | None = None
    personal_data_basis: str = "unknown"
    parents: list[str] = Field(default_factory=list, description="ids this film was made from")
    duplicate_of: str | None = Field(default=None, description="film_id of the film with the same packets that is kept")
    n_clips: int = Field(default=0, ge=0)


class ClipRow(Row):
    """One shot of a film, at exact frames [start_s, end_s) of the film's presentation time (first picture = 0)."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"title", "description", "labels", "ground_truth"})

    clip_id: str
    film_id: str
    source_id: str
    shot_index: int = Field(ge=0)
    start_s: float = Field(ge=0)
    end_s: float
    frames: int = Field(description="pictures in the processed file, else in the shot")
    fps: float
    width: int
    height: int
    has_audio: bool
    status: Literal["ok", "short", "error", "erased"]
    reasons: list[str] = Field(default_factory=list)
    processed_name: str | None = Field(default=None, description="file in processed/, None unless status is ok")
    processed_sha256: str | None = Field(default=None, description="of the file as stored, encrypted or not")
    split: Split
    steps: list[str] = Field(default_factory=list, description="normalisation steps that were applied, in order")
    made_by: int = Field(default=1, ge=1, description="media.normalising.VERSION that made it; 1 where it is not said")
    labels: list[str] = Field(default_factory=list)
    title: str | None = None
    description: str | None = None
    ground_truth: dict[str, Any] | None = Field(default=None, description="demo corpus only")
    duplicate_of: str | None = Field(default=None, description="clip_id of the clip that this one repeats")


class DeniedFilmRow(Row):
    """What is kept of a film that may not be trained on, so that its copies are found: fingerprints, no picture."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"prints"})

    film_id: str
    source_id: str
    status: Literal["ok", "error", "erased"]
    reasons: list[str] = Field(default_factory=list, description="why there is no fingerprint")
    prints: list[dict[str, Any]] = Field(
        default_factory=list, description="a fingerprint of each shot, as qc.checks.fingerprint gives it"
    )


def film_id_of(source_id: str, key: str, content_sha256: str) -> str:
    """``f`` and 16 characters of lowercase base32 over source, key and content."""
    digest = hashlib.sha256(f"{source_id}\0{key}\0{content_sha256}".encode()).digest()
    return "f" + base64.b32encode(digest)[:16].decode().lower()


def clip_id_of(film_id: str, shot_index: int) -> str:
    """``c``, the film's 16 characters, and the shot's number: ``cxxxxxxxxxxxxxxxx-000``."""
    return f"c{film_id[1:]}-{shot_index:03d}"


def split_of(film_id: str, seed: int, heldout_fraction: float) -> Split:
    """Which side of the split all clips of a film are on; independent of every other film."""
    bucket = int(hashlib.sha256(f"{seed}:{film_id}".encode()).hexdigest(), 16) % 1000
    return "heldout" if bucket < 1000 * heldout_fraction else "train"
