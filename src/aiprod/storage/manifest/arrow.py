"""Arrow columns and scalars from Python and NumPy values. ``pyarrow.array``, ``pyarrow.scalar``, ``to_numpy`` and
each function of ``pyarrow.compute`` that is given a Python value import pandas to ask whether the value is of its own,
which takes a stage longer than writing most manifests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprod.base.opening import special_kind
from aiprod.errors import AiprodError

_KINDS = {frozenset({str}): pa.string(), frozenset({int}): pa.int64(), frozenset({bool}): pa.bool_()}
_OFFSET_MAX = 2**31 - 1


def kind_of(cells: Sequence[Any], others: Iterable[type] = ()) -> pa.DataType:
    """The type of a column; an all-empty one is of strings, so that a schema does not depend on the data.

    Args:
        others: types of further cells.

    Raises:
        TypeError: values of types that do not go together.
    """
    kinds = frozenset([*map(type, cells), *others]) - {type(None)}
    if not kinds:
        return pa.string()
    if kinds <= {float, int} and float in kinds:
        return pa.float64()
    if kinds not in _KINDS:
        raise TypeError(f"a column of {', '.join(sorted(kind.__name__ for kind in kinds))}")
    return _KINDS[kinds]


def column(cells: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The column of these cells, None being null.

    Args:
        cells: text as it is or as bytes of UTF-8, where the kind is string.
        kind: string, int64, float64, bool, or JSON, of which the cells are text.
    """
    if isinstance(kind, pa.JsonType):
        return pa.ExtensionArray.from_storage(kind, column(cells, pa.string()))
    nulls = cells.count(None)
    valid = None
    if nulls:
        present = np.fromiter((cell is not None for cell in cells), np.bool_, len(cells))
        valid = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    if pa.types.is_string(kind):
        sizes, text = _text_buffer(cells)
        offsets = np.zeros(len(cells) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        if offsets[-1] > _OFFSET_MAX:
            return pa.array(cells, type=kind)  # in chunks
        buffers = [valid, pa.py_buffer(offsets.astype(np.int32).tobytes()), pa.py_buffer(text)]
        return pa.Array.from_buffers(kind, len(cells), buffers, nulls)
    dtype = np.float64 if pa.types.is_floating(kind) else np.bool_ if pa.types.is_boolean(kind) else np.int64
    values: Any = np.array([0 if cell is None else cell for cell in cells], dtype)
    data = np.packbits(values, bitorder="little") if dtype is np.bool_ else values
    return pa.Array.from_buffers(kind, len(cells), [valid, pa.py_buffer(data.tobytes())], nulls)


@cache
def text(value: str) -> pa.StringScalar:
    """A string to be joined with columns or compared with them."""
    return column([value], pa.string())[0]


def from_numpy(values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """The column of an array of booleans or numbers.

    Args:
        missing: where it is null; nowhere if left out.
    """
    data = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else values
    nulls = 0 if missing is None else int(np.count_nonzero(missing))
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little").tobytes()) if missing is not None and nulls else None
    buffers = [valid, pa.py_buffer(data.tobytes())]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers, nulls)


def to_numpy(values: pa.Array, missing: float) -> NDArray[Any]:
    """The booleans or numbers of a column, ``missing`` in place of null."""
    data, kind, extent = values.buffers()[1], values.type, slice(values.offset, values.offset + len(values))
    if pa.types.is_boolean(kind):
        bits = np.frombuffer(data or b"", np.uint8)
        array = np.unpackbits(bits, count=extent.stop, bitorder="little")[extent].view(np.bool_)
    else:
        form = f"{'f' if pa.types.is_floating(kind) else 'i'}{kind.bit_width // 8}"
        array = np.frombuffer(data or b"", form, extent.stop)[extent]
    if not values.null_count:
        return array
    return np.where(to_numpy(values.is_valid(), False), array, array.dtype.type(missing))


def _text_buffer(cells: Sequence[Any]) -> tuple[NDArray[np.int64], bytes]:
    """Bytes of each cell as UTF-8, and all of them one after the other; none where a cell is None."""
    kinds = set(map(type, cells))
    if kinds == {bytes}:
        return _sizes(cells), b"".join(cells)
    if bytes not in kinds:
        texts = [cell or "" for cell in cells] if type(None) in kinds else cells
        whole = "".join(texts)
        if whole.isascii():  # then a character is a byte, and all are encoded at once
            return _sizes(texts), whole.encode()
    encoded = [cell.encode() if type(cell) is str else cell or b"" for cell in cells]
    return _sizes(encoded), b"".join(encoded)


def _sizes(texts: Sequence[Any]) -> NDArray[np.int64]:
    return np.fromiter(map(len, texts), np.int64, len(texts))


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Where a table is read: a file that was changed says so in one line.

    Raises:
        AiprodError: it is not there, or holds what cannot be: text that is no UTF-8, other types, no numbers.
    """
    if (kind := special_kind(path)) is not None:  # Arrow would wait at a pipe
        raise AiprodError(f"{path} is {kind}, not a file", "restore it with `dvc checkout`")
    try:
        yield
    except AiprodError:
        raise
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", "run `dvc repro` to make it") from None
    except (pa.ArrowException, ValueError, OSError) as error:
        raise AiprodError(f"{path} is damaged ({error})", "restore it with `dvc checkout`") from None


def taken(cells: pa.Array, places: pa.Array) -> pa.Array:
    """The cells at these places, also of a column of JSON."""
    if isinstance(cells.type, pa.JsonType):
        return pa.ExtensionArray.from_storage(cells.type, cells.storage.take(places))
    return cells.take(places)
