"""The shards of one folder: what is in them, and reading one object without the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from aiprod.errors import AiprodError
from aiprod.storage.shards.archive import (
    Index,
    ShardMember,
    faults,
    file_name,
    indexes_changed,
    prefix_of,
    read_index,
    read_member,
)
from aiprod.storage.shards.placing import bits_of, is_plain

SHARDS = "shards"
"""The folder of shards, inside the folder of objects."""
_LEVELS = 2  # how deep below its folder an object lies at most: latents/<phase>/<file>


@dataclass(frozen=True)
class Shards:
    """Objects that are packed below one folder.

    Args:
        folder: for example ``datasets/v1/processed``.
    """

    folder: Path

    @property
    def place(self) -> Path:
        """The folder of the archives."""
        return self.folder / SHARDS

    def prefixes(self) -> frozenset[str]:
        """The leading bits of every shard."""
        try:
            return _prefixes(self.place, os.stat(self.place).st_mtime_ns)[0]
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()

    def paths(self) -> list[Path]:
        """Every shard."""
        return [self.place / file_name(prefix) for prefix in sorted(self.prefixes())]

    def shard_of(self, name: str) -> Path | None:
        """The shard that an object would be in; None if there is none for its place."""
        try:
            known, lengths = _prefixes(self.place, os.stat(self.place).st_mtime_ns)
        except (FileNotFoundError, NotADirectoryError):
            return None
        bits = bits_of(name)
        return next((self.place / file_name(bits[:n]) for n in lengths if bits[:n] in known), None)

    def find(self, name: str) -> tuple[Path, ShardMember] | None:
        """The shard and the entry of an object; None if it is not packed here.

        Raises:
            AiprodError: the shard's index is damaged.
        """
        path = self.shard_of(name) if is_plain(name) else None
        member = self.index(path).members.get(name) if path is not None else None
        return (path, member) if path is not None and member is not None else None

    def index(self, path: Path) -> Index:
        """The index of a shard.

        Raises:
            AiprodError: it is damaged.
        """
        try:
            return read_index(path)
        except AiprodError as error:
            raise AiprodError(f"{self.place}/{error.what}", error.hint) from None

    def members(self) -> Iterator[ShardMember]:
        """Every packed object, shard by shard.

        Raises:
            AiprodError: an index is damaged.
        """
        for path in self.paths():
            yield from self.index(path).members.values()

    def of_film(self, film_id: str) -> list[str]:
        """Names of the packed objects of a film and its clips, which are in one shard, or in few if it is large.

        Raises:
            AiprodError: an index is damaged.
        """
        start = bits_of(f"{film_id}.x")[:64]
        prefixes = [p for p in sorted(self.prefixes()) if p[:64] == start[: len(p)]]
        names = (name for prefix in prefixes for name in self.index(self.place / file_name(prefix)).members)
        return [name for name in names if name.rsplit("/", 1)[-1][1:].startswith(film_id[1:])]

    def read(self, name: str) -> bytes:
        """The bytes of an object as they were packed, compared with the index.

        Raises:
            AiprodError: they are damaged.
            FileNotFoundError: it is not packed here.
        """
        place = self.find(name)
        if place is None:
            raise FileNotFoundError(self.folder / name)
        path, member = place
        try:
            return read_member(path, member)
        except AiprodError as error:
            raise AiprodError(f"{self.place}/{error.what}", error.hint) from None

    def faults(self) -> Iterator[str]:
        """Everything in the archives that is not as it was written."""
        paths = self.paths()
        prefixes = sorted(self.prefixes())
        for one, other in pairwise(prefixes):
            if other.startswith(one):
                both = f"{file_name(one)} and {file_name(other)}"
                yield f"{self.place}: {both} are for the same objects: packing was interrupted; migrate again"
        for entry in sorted(os.listdir(self.place)) if paths else ():
            if prefix_of(entry) is None:
                yield f"{self.place}/{entry} is no shard"
        with ThreadPoolExecutor(2) as pool:  # hashing works outside Python's lock
            for texts in pool.map(lambda path: list(faults(path)), paths):
                yield from (f"{self.place}/{what}" for what in texts)


@lru_cache(16)
def _prefixes(place: Path, changed: int) -> tuple[frozenset[str], tuple[int, ...]]:
    prefixes = frozenset(p for entry in os.scandir(place) if (p := prefix_of(entry.name)) is not None)
    return prefixes, tuple(sorted({len(prefix) for prefix in prefixes}))


def forget() -> None:
    """Forget what was read of shards: they changed, perhaps faster than a file's time tells."""
    _prefixes.cache_clear()
    indexes_changed()


def locate(path: Path) -> tuple[Shards, str] | None:
    """Where an object is packed that has no file at ``path``; None if it is in no shard.

    Raises:
        AiprodError: the index of its shard is damaged.
    """
    for folder in list(path.parents)[:_LEVELS]:
        shards, name = Shards(folder), path.relative_to(folder).as_posix()
        if shards.prefixes() and shards.find(name) is not None:
            return shards, name
    return None
