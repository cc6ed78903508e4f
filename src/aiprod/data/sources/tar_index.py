"""The members of a tar file by their positions, read in bounded memory and without extracting anything.

Reads ustar, GNU and pax headers (POSIX.1-2001). The standard library's reader is not used to walk an archive because
it reads an extended header whole, however long it says that it is; its parser of one header block is.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiprod.errors import AiprodError

_BLOCK = tarfile.BLOCKSIZE
_MAX_EXTENDED = 1 << 20  # bytes of an extended header: a name of some kilobytes is the longest that is meant
_TAIL = 20  # blocks after the end mark that writers fill up with zeros
_NOT_FILES = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a file with holes",
}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}


class TarError(AiprodError):
    """An archive cannot be read on, and why."""


class TarEndError(TarError):
    """An archive was read to an end that is odd; all members before it are whole."""

    maybe_cut: bool = False


class TarMember(NamedTuple):
    """One member: its name as it is written, where its bytes are, and why they cannot be used."""

    name: str
    offset: int
    size: int
    problem: str | None = None


def members(file: Any, size: int = -1) -> Iterator[TarMember]:
    """The members of an archive but its folders, in order.

    Args:
        file: binary, with ``read`` and ``seek``.
        size: of the archive in bytes; negative if it is not known.

    Raises:
        TarError: it is not an archive, is damaged or ends early. What was given before holds.
    """
    position, extended = 0, dict[str, str]()
    while True:
        block = _read(file, position, _BLOCK)
        if not block.strip(b"\0"):
            _check_end(file, position, len(block), extended)
            return
        info = _header(block, position)
        position += _BLOCK
        if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, *_LONG):
            if info.size > _MAX_EXTENDED:
                raise TarError(f"a header says that it is {info.size} bytes long, {_MAX_EXTENDED} are read at most")
            data = _read(file, position, info.size)
            if len(data) < info.size:
                raise TarError("it is cut short within a header")
            if info.type in _LONG:
                extended[_LONG[info.type]] = _text(data.split(b"\0", 1)[0])
            elif info.type != tarfile.XGLTYPE:  # a global header says nothing of one member
                extended |= _records(data)
            position += _padded(info.size)
            continue
        name, length = extended.get("GNU.sparse.name") or extended.get("path") or info.name, info.size
        if "size" in extended:
            length = _number(extended["size"])
        problem = f"it is {_NOT_FILES[info.type]}, which is not read" if info.type in _NOT_FILES else None
        if any(key.startswith("GNU.sparse") for key in extended):
            problem = f"it is {_NOT_FILES[tarfile.GNUTYPE_SPARSE]}, which is not read"
        extended = {}
        if info.type == tarfile.GNUTYPE_SPARSE:
            position = _after_sparse_map(file, block, position)
        if info.type in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            length = 0  # nothing follows, whatever the header says
        if info.type != tarfile.DIRTYPE and not (info.type == tarfile.AREGTYPE and name.endswith("/")):
            if 0 <= size < position + length:
                problem = problem or "the archive is cut short within it"
            yield TarMember(name, position, length, problem)
        position += _padded(length)
        if 0 <= size < position - _BLOCK:
            raise TarError("it is cut short: what followed is lost")


_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}


def _header(block: bytes, position: int) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError) as error:
        if position == 0:
            kind = next((name for magic, name in _COMPRESSED.items() if block.startswith(magic)), None)
            what = f"it is compressed with {kind}: unpack it" if kind else "it is not a tar archive"
            raise TarError(what) from None
        what = "it is cut short within a header" if len(block) < _BLOCK else f"a header is damaged ({error})"
        raise TarError(f"{what}: what followed is lost") from None
    if info.size < 0:
        raise TarError("a header gives a negative size: what followed is lost")
    return info


def _check_end(file: Any, position: int, got: int, extended: dict[str, str]) -> None:
    if extended:
        raise TarError("it ends after a header whose member is missing")
    if position == 0:
        raise TarError("it is empty")
    if got < _BLOCK:
        error = TarEndError("it has no end mark, so it may be cut short")
        error.maybe_cut = True
        raise error
    rest = _read(file, position, _TAIL * _BLOCK)
    if rest.strip(b"\0"):
        raise TarEndError("more follows after its end mark, of which nothing is read")


def _after_sparse_map(file: Any, block: bytes, position: int) -> int:
    """Where the data of an old GNU sparse member begins: after as many more blocks of its map as say so."""
    more = block[482]
    while more:
        following = _read(file, position, _BLOCK)
        if len(following) < _BLOCK:
            raise TarError("it is cut short within a header")
        position, more = position + _BLOCK, following[504]
    return position


def _records(data: bytes) -> dict[str, str]:
    """The records of a pax header: ``LENGTH KEY=VALUE`` and a line feed each."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at : at + 1] != b"\0":
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = _number(_text(digits)) if space else 0
        record = data[at : at + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if len(record) != length or length <= len(digits) + 2 or not equals or record[-1:] != b"\n":
            raise TarError("an extended header is damaged: what followed is lost")
        records[_text(key)] = _text(value)
        at += length
    return records


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise TarError("an extended header is damaged: what followed is lost")
    return int(text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _padded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


def _read(file: Any, position: int, count: int) -> bytes:
    """Up to ``count`` bytes from a position; fewer only at the end."""
    file.seek(position)
    content = b""
    while len(content) < count and (piece := file.read(count - len(content))):
        content += piece
    return content
