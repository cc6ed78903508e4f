"""One shard: a tar archive (POSIX ustar), and behind its end an index that tar readers do not look at.

Layout: per object a header of 512 bytes and the content, filled up with zeros to whole blocks · two blocks of zeros
(the end of the archive, where ``tar``, Python's tarfile and WebDataset stop) · the index as JSON ``{"format": 1,
"members": [[name, size, sha256], …], "prefix": bits}``, sorted by name · its SHA-256 (32) · its length (8, big
endian) · magic (8). Offsets follow from the sizes, headers from names and sizes: nothing in a shard is free to lie.
Times, owners and modes are constants, so equal objects give equal bytes. An encrypted object is packed as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aiprod.base.structured import parse_json
from aiprod.errors import AiprodError
from aiprod.storage.shards.placing import bits_of, is_plain

MAGIC = b"AIPSHRD\x01"
_TRAILER = struct.Struct(">32sQ8s")
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_CHUNK = 1 << 20
_KEPT = 32  # indexes in memory
_LONGEST = 100  # bytes of a name in a plain header
REMEDY = "`aiprod dataset shards verify` lists what is damaged; delete the shard, then `dvc checkout` or `dvc pull`"


@dataclass(frozen=True)
class ShardMember:
    """One object in a shard; ``offset`` is that of its content, in bytes."""

    name: str
    size: int
    sha256: str
    offset: int


@dataclass(frozen=True)
class Index:
    """What a shard holds.

    Args:
        key: SHA-256 of the index, and so of all content.
    """

    prefix: str
    members: dict[str, ShardMember]
    key: str
    end: int


def file_name(prefix: str) -> str:
    """The name of the shard of these leading bits."""
    return f"shard-{prefix}.tar" if prefix else "shard.tar"


def prefix_of(name: str) -> str | None:
    """The leading bits that a file's name states; None if it is no shard."""
    bits = name.removeprefix("shard").removesuffix(".tar").removeprefix("-")
    return bits if file_name(bits) == name and not bits.strip("01") else None


def index_bytes(prefix: str, entries: Sequence[tuple[str, int, str]]) -> bytes:
    """The index of objects (name, size, SHA-256), sorted by name."""
    content = {"format": 1, "members": [list(entry) for entry in entries], "prefix": prefix}
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode("ascii")


def write(
    target: BinaryIO, index: bytes, entries: Sequence[tuple[str, int, str]], opened: Callable[[str], BinaryIO]
) -> None:
    """Write a shard.

    Raises:
        AiprodError: an object is not what its entry says, or changed while it was read.
    """
    for name, size, sha256 in entries:
        target.write(_header(name, size))
        written, digest = 0, hashlib.sha256()
        with opened(name) as source:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                digest.update(chunk)
                written += len(chunk)
        if (written, digest.hexdigest()) != (size, sha256):
            raise AiprodError(f"{name} changed while it was packed, or the disk gives other bytes", "run it again")
        target.write(bytes(-size % _BLOCK))
    target.write(_END)
    target.write(index)
    target.write(_TRAILER.pack(hashlib.sha256(index).digest(), len(index), MAGIC))


_indexes: OrderedDict[tuple[object, ...], Index] = OrderedDict()
_lock = threading.Lock()


def read_index(path: Path) -> Index:
    """The index of a shard, after checking it; the latest are kept in memory.

    Raises:
        AiprodError: it is cut off or damaged, or says something else than the file's name or size.
        FileNotFoundError: there is no such file.
    """
    about = os.stat(path)
    mark = (str(path), about.st_ino, about.st_size, about.st_mtime_ns)
    with _lock:
        index = _indexes.get(mark)
        if index is not None:
            _indexes.move_to_end(mark)
            return index
    with open(path, "rb") as file:
        index = parse_index(path.name, about.st_size, lambda start, size: os.pread(file.fileno(), size, start))
    with _lock:
        _indexes[mark] = index
        while len(_indexes) > _KEPT:
            _indexes.popitem(last=False)
    return index


def parse_index(name: str, size: int, read: Callable[[int, int], bytes]) -> Index:
    """The index of a shard of ``size`` bytes, from what ``read(start, size)`` reads: a file, or ranges of an object.

    Raises:
        AiprodError: as :func:`read_index`.
    """
    end = size - _TRAILER.size
    if end < len(_END):
        raise _damaged(name, "it is cut off")
    sha256, length, magic = _TRAILER.unpack(read(end, _TRAILER.size))
    if magic != MAGIC or length > end - len(_END):
        raise _damaged(name, "it is cut off, or is none of ours")
    data = read(end - length, length)
    if hashlib.sha256(data).digest() != sha256:
        raise _damaged(name, "its index is damaged")
    try:
        content = parse_json(data, name)
        if content["format"] != 1:
            raise AiprodError(f"{name} has format version {content['format']}, known is 1", "use a newer AIPROD")
        prefix, members, offset = content["prefix"], dict[str, ShardMember](), 0
        for entry, size_, digest in content["members"]:
            if not isinstance(size_, int) or size_ < 0 or len(digest) != 64:
                raise ValueError
            if not is_plain(entry) or not bits_of(entry).startswith(prefix) or entry in members:
                raise _damaged(name, f"its index holds {entry!r}, which does not belong there")
            members[entry] = ShardMember(entry, size_, digest, offset + _BLOCK)
            offset += _BLOCK + size_ + -size_ % _BLOCK
    except (KeyError, TypeError, ValueError):
        raise _damaged(name, "its index is not one") from None
    if list(members) != sorted(members) or prefix != prefix_of(name):
        raise _damaged(name, f"its index is that of {file_name(str(prefix))}, or not in order")
    if offset + len(_END) != end - length:
        raise _damaged(name, f"its index is of {offset + len(_END)} bytes of content, there are {end - length}")
    return Index(prefix, members, sha256.hex(), offset)


def indexes_changed() -> None:
    """Forget the indexes in memory."""
    _indexes.clear()


def read_member(path: Path, member: ShardMember) -> bytes:
    """The bytes of an object, after comparing them with what the index says.

    Raises:
        AiprodError: they differ; names the object and the shard.
    """
    with open(path, "rb") as file:
        data = os.pread(file.fileno(), _BLOCK + member.size, member.offset - _BLOCK)
    return checked(path.name, member, data)


def checked(shard: str, member: ShardMember, data: bytes) -> bytes:
    """The content in ``data``, which begins with the header of the object.

    Raises:
        AiprodError: as :func:`read_member`.
    """
    content = data[_BLOCK:]
    if data[:_BLOCK] != _header(member.name, member.size) or len(content) != member.size:
        raise _damaged(shard, f"the header of {member.name} is not where the index says")
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise _damaged(shard, f"the bytes of {member.name} are not what the index says")
    return content


def faults(path: Path) -> Iterator[str]:
    """Read a whole shard and say everything that is not as it was written; any changed byte is one."""
    try:
        index = read_index(path)
    except FileNotFoundError:
        yield f"{path.name} is missing"
        return
    except AiprodError as error:
        yield error.what
        return
    with open(path, "rb") as file:
        for member in index.members.values():
            data = file.read(_BLOCK + member.size)
            try:
                checked(path.name, member, data)
            except AiprodError as error:
                yield error.what
            if file.read(-member.size % _BLOCK).strip(b"\0"):
                yield f"{path.name}: the filling after {member.name} is not zero"
        if file.read(len(_END)) != _END:
            yield f"{path.name}: the end of the archive is not zero"


def _tar_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


_NAMELESS = _tar_header("", 0)
_SIZE, _SUM = slice(124, 135), slice(148, 156)  # places of the two fields that differ, beside the name
_SUM_OF_REST = sum(_NAMELESS[: _SIZE.start]) + sum(_NAMELESS[_SIZE.stop : _SUM.start]) + sum(b" " * 8)
_SUM_OF_REST += sum(_NAMELESS[_SUM.stop :])


def _header(name: str, size: int) -> bytes:
    """The header that tarfile makes of a plain name, in a tenth of its time: reading and verifying ask for each."""
    header, text, octal = bytearray(_NAMELESS), name.encode("ascii"), b"%011o" % size
    if len(octal) > _SIZE.stop - _SIZE.start or len(text) > _LONGEST:
        return _tar_header(name, size)
    header[: len(text)], header[_SIZE] = text, octal
    header[_SUM] = b"%06o\0 " % (_SUM_OF_REST + sum(text) + sum(octal))
    return bytes(header)


def _damaged(name: str, what: str) -> AiprodError:
    return AiprodError(f"{name}: {what}", REMEDY)
