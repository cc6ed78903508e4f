"""Sound of a WAV file that is read where it is needed: an hour of a mix takes no memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.base.opening import open_file
from aiprod.errors import AiprodError


def mapped_wav(path: Path | str) -> NDArray[np.float32]:
    """The samples [channels, samples] of such a file of 32-bit float, which stay on the disk until they are read.

    Raises:
        AiprodError: it is no such file.
    """
    with open_file(path) as file:
        what, channels, size = file.read(12), 0, 0
        while len(head := file.read(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                length = size if length == 0xFFFFFFFF else length
                if what[8:] != b"WAVE" or not channels or not length or length % (4 * channels):
                    break
                shape = (length // (4 * channels), channels)
                return np.memmap(path, "<f4", "r", file.tell(), shape).T
            body = file.read(length + length % 2)
            if name == b"ds64":
                size = int.from_bytes(body[8:16], "little")
            if name == b"fmt ":
                bits = int.from_bytes(body[14:16], "little")
                channels = int.from_bytes(body[2:4], "little") if bits == 32 else 0
    raise AiprodError(f"{path} is no sound of 32-bit float", "make it again")
