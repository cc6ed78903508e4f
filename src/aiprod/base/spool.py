"""What a computation over very many rows needs again: on disk and not in memory, in a file that has no name.

Such a file is gone with its process, however that ends, so nothing of it has to be swept away.
"""

from __future__ import annotations

import os
import tempfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.base.tempdirs import private_root
from aiprod.errors import AiprodError

_KEPT = 4 << 20  # bytes that stay in memory: most datasets need no file
_GAP = 1 << 15  # bytes between two rows over which reading on is cheaper than reading again


class Spool:
    """Bytes that are appended, and read again from anywhere.

    Args:
        kept: so many bytes may be in memory.
    """

    def __init__(self, kept: int | None = None) -> None:
        self.size = 0
        self._most = _KEPT if kept is None else kept
        self._kept = bytearray()
        self._file: IO[bytes] | None = None

    def append(self, content: bytes | memoryview) -> None:
        """Keep some bytes after the others."""
        self._kept += content
        self.size += len(content)
        if len(self._kept) > self._most:
            self._file = self._file or _nameless()
            self._file.write(self._kept)
            self._kept = bytearray()

    def read(self, start: int, size: int) -> bytes:
        """The bytes from ``start`` on, ``size`` of them."""
        on_disk = self.size - len(self._kept)
        within = bytes(self._kept[max(0, start - on_disk) : max(0, start + size - on_disk)])
        if start >= on_disk or self._file is None:
            return within
        return _read(self._file.fileno(), start, min(size, on_disk - start)) + within


class Records:
    """Records of any size, by their numbers."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._ends = [0]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, content: bytes | memoryview) -> None:
        """Keep one more record."""
        self._spool.append(content)
        self._ends.append(self._spool.size)

    def __getitem__(self, number: int) -> bytes:
        start = self._ends[number]
        return self._spool.read(start, self._ends[number + 1] - start)


class ArraySpool:
    """Rows of an array: numbers of one kind, each row of the same shape.

    Args:
        kept: as of :class:`Spool`.
    """

    def __init__(self, kind: Any, shape: tuple[int, ...] = (), kept: int | None = None) -> None:
        self._kind, self._shape = np.dtype(kind), shape
        self._bytes = self._kind.itemsize * int(np.prod(shape, dtype=np.int64))
        self._spool = Spool(kept)

    def __len__(self) -> int:
        return self._spool.size // self._bytes

    def append(self, rows: NDArray[Any]) -> None:
        """Keep some more rows."""
        self._spool.append(np.ascontiguousarray(rows, self._kind).tobytes())

    def slice(self, start: int, stop: int) -> NDArray[Any]:
        """The rows from ``start`` on up to ``stop``, to be read only."""
        content = self._spool.read(start * self._bytes, max(0, stop - start) * self._bytes)
        return np.frombuffer(content, self._kind).reshape(-1, *self._shape)

    def take(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at these places, in any order."""
        taken = np.empty((places.size, *self._shape), self._kind)
        if not places.size:
            return taken
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        begins = np.flatnonzero(np.diff(ordered, prepend=-2 * _GAP) > max(1, _GAP // self._bytes))
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), places.size], strict=True):
            first = int(ordered[begin])
            taken[order[begin:end]] = self.slice(first, int(ordered[end - 1]) + 1)[ordered[begin:end] - first]
        return taken


def _nameless() -> IO[bytes]:
    """An open file without a name, where clear content of films may lie; outside of a project with temporary files."""
    try:
        place = private_root()
    except AiprodError:
        return tempfile.TemporaryFile(buffering=0)
    return tempfile.TemporaryFile(buffering=0, dir=place)


def _read(file: int, start: int, size: int) -> bytes:
    parts = []
    while size:  # one call reads 2 GiB at most
        part = os.pread(file, size, start)
        if not part:
            raise OSError("a file of intermediate results was cut short")
        parts.append(part)
        start, size = start + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
