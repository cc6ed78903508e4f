"""The one place that knows where the objects of films and clips lie: one file for each, named by opaque id.

Objects of films with personal data are encrypted; :func:`decrypted_copy` and :func:`content` read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiprod.base.files import contained, sha256_once
from aiprod.errors import AiprodError
from aiprod.storage.crypto.film_encryption import Vault

Kind = Literal["raw", "processed"]


def decrypted_copy(path: Path) -> AbstractContextManager[Path]:
    """A path at which an object can be read in the clear while the block lasts, encrypted or not.

    Raises:
        AiprodError: no key, erased, damaged, or another clip's object.
    """
    return Vault().plain(path)


def content(path: Path) -> bytes:
    """The bytes of an object in the clear, encrypted or not.

    Raises:
        AiprodError: as :func:`decrypted_copy`.
    """
    return Vault().read(path)


def refuse_damaged(objects: Iterable[tuple[Path, str | None]]) -> None:
    """Compare objects that are about to be read with the SHA-256 that their rows state, each once per process.

    DVC restores an output from its cache without reading it, so a byte that the disk lost there arrives unnoticed.

    Args:
        objects: path and digest; without a digest (an encrypted film: its cipher tells) or without a file (whoever
            reads it says so) nothing is compared.

    Raises:
        AiprodError: some differ; names them.
    """
    wanted = {path: digest for path, digest in objects if digest}
    with ThreadPoolExecutor(2) as pool:  # hashing works outside Python's lock
        found = dict(zip(wanted, pool.map(_digest, wanted), strict=True))
    wrong = [str(path) for path, digest in wanted.items() if found[path] not in (None, digest)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise AiprodError(
            f"{', '.join(wrong[:3])}{more}: not what the manifest records, so damaged here or in DVC's cache",
            "`aiprod audit verify --files` lists every damaged file and how to restore it",
        )


def _digest(path: Path) -> str | None:
    try:
        return sha256_once(path)
    except FileNotFoundError:
        return None


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
