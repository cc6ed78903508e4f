"""Elements of EBML, of which Matroska and WebM are built (RFC 8794)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


def elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Ids, beginnings and ends of the contents of EBML's elements in a part of a file, as far as they are whole."""
    at = start
    while at < end:
        file.seek(at)
        head = file.read(12)
        if not head or head[0] < 0x10:
            return
        begin = 9 - head[0].bit_length()
        if begin >= len(head) or not head[begin]:
            return
        width = 9 - head[begin].bit_length()
        length = int.from_bytes(head[begin : begin + width], "big") & ((1 << 7 * width) - 1)
        body, at = at + begin + width, at + begin + width + length
        if at > end:
            return
        yield int.from_bytes(head[:begin], "big"), body, at
