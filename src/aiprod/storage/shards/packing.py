"""Brings a folder into the layout that the settings ask for, shards or one file for each object.

Shards are made complete before a file is removed, and appear by rename: whenever a process is killed, every object is
there once or twice, and the next call goes on. What did not change is not made again: a shard with the same index is
kept, or taken from the state folder, where the shards of the last run are other names of the same files. (DVC removes
the outputs of a stage before it runs, and does not hash a file again whose inode and times it knows.)
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from aiprod.base.files import atomic_path, contained, link_or_copy, sha256_once, write_bytes
from aiprod.errors import AiprodError
from aiprod.storage.shards.archive import ShardMember, faults, file_name, index_bytes, read_index, write
from aiprod.storage.shards.params import LARGE, ShardParams
from aiprod.storage.shards.placing import is_member, partition, room
from aiprod.storage.shards.shards import SHARDS, Shards, forget


@dataclass
class Packed:
    """What packing did: shards written anew, taken over, and objects in them; objects that are files of their own."""

    written: int = 0
    reused: int = 0
    members: int = 0
    files: int = 0
    bytes_written: int = 0


def arrange(
    folder: Path, params: ShardParams, shelf: Path | None = None, known: Mapping[str, str] | None = None
) -> Packed:
    """Pack the objects of films and clips below ``folder``, or unpack them, as the settings say.

    Args:
        shelf: where shards of earlier runs are kept; only those of this run stay there.
        known: name → SHA-256 (hex) of objects that need not be read to be told; those that are packed anew are.

    Raises:
        AiprodError: a shard that has to be read is damaged, the disk is full, an object changes meanwhile, or another
            process is at it.
    """
    with _alone(folder):
        return _arrange(folder, params, shelf, known or {})


def _arrange(folder: Path, params: ShardParams, shelf: Path | None, known: Mapping[str, str]) -> Packed:
    shards = Shards(folder)
    loose, packed = _objects(folder)
    if len(loose) + len(packed) <= params.above:
        if shards.place.is_dir():
            unpack(folder)
        if shelf is not None:
            _clear(shelf, set())
        return Packed(files=len(loose) + len(packed))
    sizes = {**loose, **{name: member.size for name, member in packed.items()}}
    small = _small(sizes, params)
    for name in packed.keys() - small.keys():
        write_bytes(contained(folder, name), shards.read(name))
    digests = {
        name: packed[name].sha256 if name in packed else known.get(name) or sha256_once(folder / name) for name in small
    }

    def opened(name: str) -> BinaryIO:
        return io.BytesIO(shards.read(name)) if name in packed else open(folder / name, "rb")

    done = Packed(members=len(small), files=len(sizes) - len(small))
    shards.place.mkdir(exist_ok=True)
    before, plan = shards.prefixes(), partition(small, params.max_bytes)
    with _making(shards.place) as making:
        maker = _Maker(making, shards.place, shelf, opened, done)
        for prefix, names in plan.items():
            maker.make(prefix, [(name, small[name], digests[name]) for name in names])
        for prefix in plan:  # only now, for an old shard may be read until the last new one is whole
            if (new := making / file_name(prefix)).exists():
                os.replace(new, shards.place / new.name)
    for prefix in before - plan.keys():
        (shards.place / file_name(prefix)).unlink()
    forget()
    for name in small.keys() & loose.keys():
        (folder / name).unlink()
    _remove_empty(folder)
    if shelf is not None:
        _clear(shelf, maker.used)
    return done


def planned(folder: Path, params: ShardParams) -> tuple[int, int]:
    """How many objects are below a folder, and in how many shards :func:`arrange` would pack them (0: none).

    Raises:
        AiprodError: the index of a shard is damaged.
    """
    loose, packed = _objects(folder)
    sizes = {**loose, **{name: member.size for name, member in packed.items()}}
    return len(sizes), len(partition(_small(sizes, params), params.max_bytes)) if len(sizes) > params.above else 0


def _objects(folder: Path) -> tuple[dict[str, int], dict[str, ShardMember]]:
    """Sizes of the objects that are files, and the others, which are packed."""
    loose = {name: size for name, size in _files(folder) if is_member(name)}
    return loose, {member.name: member for member in Shards(folder).members() if member.name not in loose}


def _small(sizes: dict[str, int], params: ShardParams) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if room(name, size) * LARGE < params.max_bytes}


@dataclass
class _Maker:
    """Makes shards in one folder that replace those of another, and counts what it did."""

    making: Path
    place: Path
    shelf: Path | None
    opened: Callable[[str], BinaryIO]
    done: Packed
    used: set[str] = field(default_factory=set)

    def make(self, prefix: str, entries: list[tuple[str, int, str]]) -> None:
        """Leave a shard that is as it should be, or take it from the shelf, or write it."""
        index, name = index_bytes(prefix, entries), file_name(prefix)
        kept = self.shelf / _shelf_name(index) if self.shelf is not None else None
        if kept is not None:
            self.used.add(kept.name)
        if _is(self.place / name, index):
            self.done.reused += 1
            return
        new = self.making / name
        if kept is not None and _from_shelf(kept, new, index):
            self.done.reused += 1
            return
        with atomic_path(new) as temporary, open(temporary, "wb") as target:
            write(target, index, entries, self.opened)
        os.chmod(new, 0o444)  # other names of it are kept: nobody may write through them
        self.done.written += 1
        self.done.bytes_written += new.stat().st_size
        if kept is not None:
            link_or_copy(new, kept)


def _shelf_name(index: bytes) -> str:
    """The name on the shelf of the shard with this index."""
    return f"{hashlib.sha256(index).hexdigest()}.tar"


def _is(path: Path, index: bytes) -> bool:
    try:
        return _shelf_name(index) == f"{read_index(path).key}.tar"
    except (FileNotFoundError, AiprodError):
        return False


def _from_shelf(kept: Path, target: Path, index: bytes) -> bool:
    """Link a kept shard, if it is there and whole: disks do flip bits, and DVC trusts a file whose times it knows."""
    try:
        link_or_copy(kept, target)
    except FileNotFoundError:  # another run cleared the shelf
        return False
    if _is(target, index) and not any(faults(target)):
        return True
    target.unlink()
    kept.unlink(missing_ok=True)
    return False


def unpack(folder: Path) -> int:
    """Give every packed object a file of its own, and remove the shards; how many there were.

    Raises:
        AiprodError: one is damaged; nothing is removed.
    """
    shards, count = Shards(folder), 0
    for member in shards.members():
        target = contained(folder, member.name)
        if not target.is_file():
            write_bytes(target, shards.read(member.name))
        count += 1
    shutil.rmtree(shards.place, ignore_errors=True)
    forget()
    return count


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Name and size of every file below a folder that is in no shard."""
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(folder / inner) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != SHARDS:
                        waiting.append(f"{inner}{entry.name}/")
                elif not entry.name.startswith("."):
                    yield f"{inner}{entry.name}", entry.stat().st_size


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second process out. The folder itself is locked: a file for it would become part of the output."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AiprodError(f"{folder} is being packed by another process", "wait until it has ended") from None
    finally:
        os.close(handle)


@contextlib.contextmanager
def _making(place: Path) -> Iterator[Path]:
    """Where shards are made: inside the folder, so that a rename suffices; what a killed process left goes first."""
    making = place / ".making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        yield making
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _clear(shelf: Path, names: set[str]) -> None:
    for path in shelf.glob("*.tar") if shelf.is_dir() else ():
        if path.name not in names:
            path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    for path in [p for p in folder.iterdir() if p.is_dir() and p.name != SHARDS]:
        with contextlib.suppress(OSError):
            path.rmdir()
