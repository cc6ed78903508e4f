"""What is left of erased films: opaque ids and keyed commitments, so that they are known again and never taken in.

The list is in git (``datasets/erasures/tombstones.json``) for everybody, and in the state folder for working trees of
older commits. Without the project's secret it says nothing but a number of films.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aiprod.base.files import read_json, write_json
from aiprod.base.state import state, workspace
from aiprod.errors import AiprodError

FOLDER = Path("datasets/erasures")
NAME = "tombstones.json"
REASON = "erased on request"


class Tombstone(BaseModel):
    """One erased film."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    film_id: str
    source_id: str
    clips: int = Field(ge=0, description="shots it had")
    content: str = Field(description="commitment to the SHA-256 of its bytes")
    packets: str | None = Field(default=None, description="commitment to the SHA-256 of its packets")
    also: list[str] = Field(default_factory=list, description="of a voice: commitments to its further recordings")
    by: str | None = Field(default=None, description="commitment to its id: tells under which project key it was made")

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return self.model_dump(mode="json", exclude=None if self.also else {"also"})


def load(root: Path | None = None) -> dict[str, Tombstone]:
    """All tombstones by film id: those in the working tree and those in the state folder.

    Raises:
        AiprodError: a list is malformed.
    """
    tombstones: dict[str, Tombstone] = {}
    for path in places(root):
        if not path.is_file():
            continue
        try:
            tombstones.update({t.film_id: t for t in (Tombstone.model_validate(entry) for entry in read_json(path))})
        except (ValueError, TypeError):
            raise AiprodError(f"{path.name} is not a list of tombstones", "restore it from git") from None
    return tombstones


def places(root: Path | None = None) -> list[Path]:
    """The two lists, whether they are there or not."""
    return [state().root / NAME, (root or workspace()) / FOLDER / NAME]


def add(new: Iterable[Tombstone], root: Path | None = None, *, published: bool = True) -> None:
    """Write tombstones to both places.

    Args:
        published: also to the list in git; a stage, whose outputs are elsewhere, writes to the state folder alone.
    """
    every = {**load(root), **{t.film_id: t for t in new}}
    document = [every[film_id].document() for film_id in sorted(every)]
    write_json(state().make() / NAME, document)
    if published:
        write_json((root or workspace()) / FOLDER / NAME, document)
