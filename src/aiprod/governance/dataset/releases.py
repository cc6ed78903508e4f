"""What was released, in git: whoever has to call a video back must know which ones left, and what stands in them.

A file a video in ``datasets/releases``, called by the SHA-256 of the signed copy. It names no person: who released it
is committed to in the audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.files import read_json, write_json
from aiprod.errors import AiprodError
from aiprod.film.ingredients import MODEL_DIGESTS
from aiprod.storage.crypto.film_encryption import film_of

FOLDER = Path("datasets/releases")
_SAMPLE_DIGESTS = (*MODEL_DIGESTS, "upsampler_digest")


class Released(BaseModel):
    """One released video."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    file: str
    sha256: str = Field(description="of the signed copy that left")
    time: str = Field(description="UTC, RFC 3339, by this machine's clock")
    role: str = Field(description="of whoever released it")
    models: list[str] = Field(description="digests of the models that made it, or parts of it")
    clips: list[str] = Field(description="clips of the dataset that stand in it")

    def why(self, films: Collection[str], models: Collection[str]) -> str | None:
        """What connects it with these films, or with these models; None where nothing does."""
        shown = [clip for clip in self.clips if film_of(clip) in films]
        if shown:
            return f"it shows {', '.join(shown)}"
        return "it was made by a model that saw it" if set(models) & set(self.models) else None


def note(root: Path, path: Path, sha256: str, *, time: str, role: str, about: dict[str, Any]) -> Path:
    """Write down that a signed copy left.

    Args:
        about: its description: of a sample, or the record of a film.
    """
    parts: list[dict[str, Any]] = about.get("ingredients") or [{"kind": "sample", "name": "", "facts": about}]
    models = {part.get("facts", {}).get(name) for part in parts for name in _SAMPLE_DIGESTS} - {None}
    clips = {str(part["name"]) for part in parts if part["kind"] == "clip"}
    entry = Released(file=path.name, sha256=sha256, time=time, role=role, models=sorted(models), clips=sorted(clips))
    target = root / FOLDER / f"{sha256[:16]}.json"
    write_json(target, entry.model_dump(mode="json"))
    return target


def releases(root: Path) -> Iterator[Released]:
    """All of them, oldest first.

    Raises:
        AiprodError: an entry is none.
    """
    entries = []
    for path in (root / FOLDER).glob("*.json"):
        try:
            entries.append(Released.model_validate(read_json(path)))
        except ValidationError as error:
            what = f"{path.relative_to(root)} is no entry of a release ({error.errors()[0]['msg']})"
            raise AiprodError(what, "restore it from git") from None
    yield from sorted(entries, key=lambda entry: (entry.time, entry.file))
