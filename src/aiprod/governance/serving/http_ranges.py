"""HTTP byte ranges (RFC 9110, section 14), without which a browser cannot seek in a video."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Unsatisfiable(ValueError):
    """The range is outside the file: answer 416."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte (inclusive) that a ``Range`` header asks for; None where the whole file is to be sent.

    A header that is malformed, or asks for several ranges, may be ignored by a server, and is.

    Raises:
        Unsatisfiable: nothing of what is asked for is there.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":  # the last so many bytes
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or start > end:
        raise Unsatisfiable
    return start, end
