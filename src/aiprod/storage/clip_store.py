"""The one place that knows where the objects of films and clips lie: in files named by opaque id, or in shards.

An object has one path in either layout, that of a file of its own. Whoever reads it uses the functions of this module,
which find it in the folder's shards where no such file is. Objects of films with personal data are encrypted in both;
:func:`decrypted_copy` and :func:`content` decrypt them.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiprod.base.files import contained, sha256_once, write_bytes
from aiprod.base.params import load_params
from aiprod.base.state import state
from aiprod.errors import AiprodError
from aiprod.storage.crypto import cipher
from aiprod.storage.crypto.film_encryption import Vault, nameless_file
from aiprod.storage.shards.packing import Packed, arrange
from aiprod.storage.shards.params import ShardParams
from aiprod.storage.shards.shards import locate

Kind = Literal["raw", "processed"]


@contextlib.contextmanager
def decrypted_copy(path: Path) -> Iterator[Path]:
    """A path at which an object can be read in the clear while the block lasts, encrypted or not, packed or not.

    Raises:
        AiprodError: no key, erased, damaged, or another clip's object.
    """
    inside = packed(path)
    if inside is None:
        with Vault().plain(path) as clear:
            yield clear
        return
    data = _in_the_clear(inside, path, Vault())
    with nameless_file(len(data)) as (file, place):
        file.write(data)
        file.flush()
        yield place


def content(path: Path, vault: Vault | None = None) -> bytes:
    """The bytes of an object in the clear, encrypted or not, packed or not.

    Raises:
        AiprodError: as :func:`decrypted_copy`.
    """
    inside, vault = packed(path), vault or Vault()
    return vault.read(path) if inside is None else _in_the_clear(inside, path, vault)


def present(path: Path) -> bool:
    """Whether there is such an object, packed or not.

    Raises:
        AiprodError: the index of its shard is damaged.
    """
    return path.is_file() or locate(path) is not None


def stored_sha256(path: Path) -> str:
    """SHA-256 (hex) of an object's bytes as they are stored, encrypted or not, which are read for it.

    Raises:
        FileNotFoundError: there is no such object.
        AiprodError: its shard is damaged.
    """
    inside = packed(path)
    return sha256_once(path) if inside is None else hashlib.sha256(inside).hexdigest()


def packed(path: Path) -> bytes | None:
    """The stored bytes, encrypted or not, of an object that is in a shard; None where it is a file or absent.

    Raises:
        AiprodError: its shard is damaged.
    """
    member = None if path.is_file() else locate(path)
    return member[0].read(member[1]) if member is not None else None


def copy_stored(path: Path, target: Path) -> None:
    """A copy of an object as it is stored, packed or not, and of any other file: of its own, for by a hard link a later
    writer would reach into DVC's cache.

    Raises:
        AiprodError: its shard is damaged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if (inside := packed(path)) is None:
        shutil.copyfile(path, target)
    else:
        write_bytes(target, inside)


def _in_the_clear(data: bytes, path: Path, vault: Vault) -> bytes:
    label = cipher.label_in(data, path.name)
    if label is None:
        return data
    if label.rsplit(":", 1)[-1] != path.name.split(".", 1)[0]:
        raise AiprodError(f"{path.name} holds {label}", "restore it with `dvc checkout`")
    return vault.unseal(label, data)


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
        digests = dict(zip(wanted, pool.map(_digest, wanted), strict=True))
    wrong = [str(path) for path, digest in wanted.items() if digests[path] not in (None, digest)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise AiprodError(
            f"{', '.join(wrong[:3])}{more}: not what the manifest records, so damaged here or in DVC's cache",
            "`aiprod audit verify --files` lists every damaged file and how to restore it",
        )


def _digest(path: Path) -> str | None:
    try:
        return stored_sha256(path)
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
        """The path of an object, by the name that its row gives; where it is packed, there is no such file.

        Raises:
            AiprodError: the name leads out of the folder.
        """
        return contained(self.root / kind, name)

    def keep_only(self, kind: Kind, names: set[str]) -> None:
        """Remove every object that is not in ``names`` (left by an earlier run)."""
        folder = self.folder(kind)
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.is_dir():  # shards are packed anew
                shutil.rmtree(path)
            elif path.name not in names:
                path.unlink()

    def pack(self, *kinds: Kind, digests: Mapping[str, str] | None = None) -> None:
        """Pack the objects of these kinds into shards where there are more than params.yaml says, or unpack them.

        Args:
            digests: name → SHA-256 (hex) of objects as they are stored, as far as it is known: others are read for it.

        Raises:
            AiprodError: no such section in params.yaml, the disk is full, or a shard is damaged.
        """
        for kind in kinds:
            pack_folder(self.folder(kind), kind, digests)


def pack_folder(folder: Path, kind: str, digests: Mapping[str, str] | None = None) -> Packed:
    """Pack a stage's folder of objects as params.yaml says; what a run before made is used again.

    Args:
        kind: raw, processed, thumbs or latents: whose shards of earlier runs are looked through.
        digests: as for :meth:`ClipStore.pack`.

    Raises:
        AiprodError: as :meth:`ClipStore.pack`.
    """
    return arrange(folder, load_params(ShardParams, "shards"), state().cache("shards") / kind, digests)
