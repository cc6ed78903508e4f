"""The one place that knows where the objects of films and clips lie: one file for each, named by opaque id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiprod.base.files import contained

Kind = Literal["raw", "processed"]


@dataclass(frozen=True)
class ClipStore:
    """Objects of one dataset version.

    Args:
        root: its folder, ``datasets/v1`` relative to the workspace.
    """

    root: Path = Path("datasets/v1")

    def folder(self, kind: Kind) -> Path:
        """The folder of one kind of object."""
        return self.root / kind

    def path(self, kind: Kind, name: str) -> Path:
        """The file of an object, by the name that its row gives.

        Raises:
            AiprodError: the name leads out of the folder.
        """
        return contained(self.root / kind, name)

    def keep_only(self, kind: Kind, names: set[str]) -> None:
        """Remove every object that is not in ``names`` (left by an earlier run)."""
        folder = self.folder(kind)
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()
