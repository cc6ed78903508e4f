"""Whether a file states how long it is. What is written to a pipe, or was never finished, does not, and FFmpeg then
makes a length up from the bit rate, which is no ground to call a film truncated or too long."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from aiprod.media.metadata_regions import parts

_HEAD = 1 << 20  # bytes at the beginning of AVI and ASF that hold their headers
_INFO, _DURATION, _CLUSTER = b"\x15\x49\xa9\x66", b"\x44\x89", b"\x1f\x43\xb6\x75"
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # Advanced Systems Format, 3.2
_BROADCAST = 1
_PLACEHOLDER = 1 << 30  # pictures; what FFmpeg's writer of AVI puts where it cannot go back


def states_length(path: Path | str, extension: str) -> bool:
    """Whether the header of a film says how long it is.

    Args:
        extension: of what the file is by its bytes.
    """
    try:
        with open(path, "rb") as file:
            if extension in ("mkv", "webm"):
                return _matroska(file)
            if extension == "asf":
                return _asf(file.read(_HEAD))
            if extension == "avi":
                return _avi(file.read(_HEAD))
    except (OSError, struct.error):  # whether the file is sound is not asked here
        pass
    return True


def _matroska(file: BinaryIO) -> bool:
    for start, end, _ in parts(file, "mkv", os.fstat(file.fileno()).st_size):
        file.seek(start)
        name = file.read(4)
        if name == _CLUSTER:
            break
        if name == _INFO:
            return _holds_duration(file.read(min(end - start, 1 << 16)))
    return False


def _holds_duration(info: bytes) -> bool:
    """Whether the content of an Info element, its own size before it, holds a Duration above zero."""
    at = 9 - info[0].bit_length() if info and info[0] else len(info)
    while at + 2 < len(info) and info[at]:
        id_bytes = 9 - info[at].bit_length()
        first = info[at + id_bytes] if at + id_bytes < len(info) else 0
        if not first:
            return False
        size_bytes = 9 - first.bit_length()
        begin = at + id_bytes + size_bytes
        length = int.from_bytes(info[at + id_bytes : begin], "big") & ((1 << 7 * size_bytes) - 1)
        if info[at : at + id_bytes] == _DURATION and length in (4, 8):
            return bool(struct.unpack_from(">f" if length == 4 else ">d", info, begin)[0] > 0)
        at = begin + length
    return False


def _asf(head: bytes) -> bool:
    at = head.find(_FILE_PROPERTIES)
    if at < 0:
        return True
    lasts, flags = struct.unpack_from("<Q", head, at + 64)[0], struct.unpack_from("<I", head, at + 88)[0]
    return bool(lasts and not flags & _BROADCAST)


def _avi(head: bytes) -> bool:
    """Whether the header of each stream states a length."""
    at = head.find(b"strh")
    while at >= 0:
        kind, length = head[at + 8 : at + 12], struct.unpack_from("<I", head, at + 40)[0]
        if kind == b"vids":
            return bool(0 < length < _PLACEHOLDER)
        at = head.find(b"strh", at + 4)
    return True
