"""The header of a safetensors file: what it holds, without reading a weight. Every number in it is checked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.opening import open_file
from aiprod.errors import CheckpointError

_HEADER_MOST = 100_000_000  # bytes; the format allows no more
_TENSORS_MOST = 1_000_000  # the largest public checkpoints have a hundredth of it
_AXES_MOST = 16
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_AGAIN = "restore it, or download it again"


@dataclass(frozen=True)
class StoredTensor:
    """What a header says of one tensor; ``dtype`` is safetensors' own name, such as ``BF16``."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int

    @property
    def numel(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The tensors of one file in the order of their bytes, and its free texts."""

    path: Path
    tensors: dict[str, StoredTensor]
    metadata: dict[str, str]


def read_header(path: Path | str) -> Header:
    """The header of a safetensors file, at most 100 MB of it.

    Raises:
        CheckpointError: missing, a pickle, truncated, or a header that contradicts itself or the file's size.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            start = file.read(9)
            refuse_pickle(path, start)
            size = int.from_bytes(start[:8], "little")
            whole = path.stat().st_size
            if len(start) < 8 or size > min(_HEADER_MOST, whole - 8):
                raise CheckpointError(f"{path} is truncated or not a safetensors file", _AGAIN)
            file.seek(8)
            read = json.loads(file.read(size).decode("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist", "give the path of a file") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a folder", "give a file in it") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})", "fix its permissions") from None
    except CheckpointError:
        raise
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is damaged or not a safetensors file (its header is not JSON)", _AGAIN) from None
    if not isinstance(read, dict) or len(read) > _TENSORS_MOST:
        raise CheckpointError(f"{path} is damaged or not a safetensors file (its header is not an object)", _AGAIN)
    metadata = read.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{path} has a damaged header (__metadata__ is not a table of texts)", _AGAIN)
    tensors = {name: _tensor(path, name, about) for name, about in read.items()}
    ends = sorted((about["data_offsets"][0], about["data_offsets"][1], name) for name, about in read.items())
    _refuse_gaps(path, ends, whole - 8 - size)
    return Header(path, {name: tensors[name] for _, _, name in ends}, metadata)


def refuse_pickle(path: Path, start: bytes) -> None:
    """Refuse a file whose first nine bytes are those of a pickle or of a ZIP of pickles.

    Raises:
        CheckpointError: they are.
    """
    # a header of 128, 384, … bytes begins like a pickle too; only a safetensors file continues with its JSON
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        named = "a pickle under a safetensors name" if path.suffix == ".safetensors" else "a pickle"
        raise CheckpointError(
            f"{path} is {named}, and pickles can run code", "convert it to safetensors where you trust it"
        )


def _tensor(path: Path, name: str, about: Any) -> StoredTensor:
    try:
        kind, shape, (begin, end) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
        numbers = (*shape, begin, end)
        whole = all(type(n) is int and 0 <= n < 1 << 62 for n in numbers) and len(shape) <= _AXES_MOST
        bits = _BITS[kind] * math.prod(shape) if whole else -1
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path} has a damaged header ({_short(name)} is not described)", _AGAIN) from None
    if not whole or bits != 8 * (end - begin):
        raise CheckpointError(f"{path} has a damaged header ({_short(name)} does not fit its bytes)", _AGAIN)
    return StoredTensor(kind, shape, end - begin)


def _refuse_gaps(path: Path, ends: list[tuple[int, int, str]], room: int) -> None:
    at = 0
    for begin, end, name in ends:
        if begin != at:
            raise CheckpointError(f"{path} has a damaged header ({_short(name)} overlaps, or leaves a gap)", _AGAIN)
        at = end
    if at != room:
        raise CheckpointError(f"{path} is truncated, or has bytes that belong to no tensor", _AGAIN)


def _short(name: str) -> str:
    return name if len(name) <= 120 else f"{name[:120]}…"


def ordered(data: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library writes them in another one in every process.

    The file is the header's length (8 bytes), the header as JSON padded with spaces to a multiple of 8, the tensors.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]
