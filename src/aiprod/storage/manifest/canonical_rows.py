"""The canonical row: RFC 8785 JSON of a row, put together from the columns of a table, and its Merkle leaf.

Values are turned into text a column at a time, and the text of a row is joined in Arrow. It is the same as
:func:`aiprod.base.canonical_json.canonical_json` of the row as an object; nested fields hold such text already.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from aiprod.base.canonical_json import canonical_json
from aiprod.storage.manifest.arrow import column, from_numpy, text, to_numpy

_AT_ONCE = 4096  # rows whose whole text is in memory at a time
_TASTE = 256  # cells that tell whether a column repeats itself
_ESCAPED = r'["\\\x00-\x1f]'
_EXACT = 2**53  # whole numbers below it are doubles
_COMMA = ord(",")
_NULL = column([None], pa.string())[0]

Columns = Mapping[str, pa.Array]
"""Field → cells: strings, numbers, booleans, or JSON text (``pa.json_()``). A figure of a measurement is named
``<measurement>.<figure>``."""
Piece: TypeAlias = str | pa.Array
"""Of the text of rows: what all have, or a column."""


def _join(*parts: pa.Array | pa.Scalar, null_handling: str = "emit_null") -> pa.Array:
    """The text of each row, its parts one after the other."""
    return pc.binary_join_element_wise(*parts, text(""), null_handling=null_handling, null_replacement="")


def in_order(names: Sequence[str]) -> list[str]:
    """Names as RFC 8785 sorts them: by UTF-16 code units."""
    return sorted(names, key=lambda name: name.encode("utf-16-be"))


def texts_of(values: pa.Array) -> pa.Array:
    """Canonical JSON of each cell; null stays null.

    Raises:
        AiprodError: a whole number that JSON readers would round.
    """
    kind = values.type
    if isinstance(kind, pa.JsonType):
        return values.storage
    if pa.types.is_boolean(kind):
        return values.cast(pa.string())
    if pa.types.is_integer(kind):
        if len(values) and (pc.max(pc.abs(values)).as_py() or 0) >= _EXACT:
            exact = [None if v is None else canonical_json(v).decode() for v in values.to_pylist()]
            return column(exact, pa.string())
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        return _float_texts(values)
    return _string_texts(values.cast(pa.string()) if pa.types.is_null(kind) else values)


def _string_texts(values: pa.Array) -> pa.Array:
    if 2 * len(values.slice(0, _TASTE).dictionary_encode().dictionary) < min(_TASTE, len(values)):
        whole = values.dictionary_encode()  # what is said of many rows is turned into text once
        return _quoted(whole.dictionary).take(whole.indices)
    return _quoted(values)


def _quoted(values: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(values, _ESCAPED)).as_py():
        known = [None if cell is None else canonical_json(cell).decode() for cell in values.to_pylist()]
        return column(known, pa.string())
    return _join(text('"'), values, text('"'))


def _float_texts(values: pa.Array) -> pa.Array:
    numbers = to_numpy(values, 0.0)
    whole = (numbers == np.trunc(numbers)) & (np.abs(numbers) < _EXACT)
    if whole.all():
        texts_of_numbers = from_numpy(numbers.astype(np.int64)).cast(pa.string())
    else:
        texts_of_numbers = _split(numbers)
        if whole.any():
            integers = from_numpy(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
            texts_of_numbers = pc.if_else(from_numpy(whole), integers, texts_of_numbers)
        odd = ~whole & ((np.abs(numbers) < 1e-4) | (np.abs(numbers) >= 1e15))
        if odd.any():  # where exponents begin differs
            texts = [canonical_json(number).decode() for number in numbers[odd].tolist()]
            texts_of_numbers = pc.replace_with_mask(texts_of_numbers, from_numpy(odd), column(texts, pa.string()))
    return pc.if_else(values.is_valid(), texts_of_numbers, _NULL) if values.null_count else texts_of_numbers


def _split(numbers: np.ndarray) -> pa.Array:
    """The shortest text of each number, NaN and infinity refused."""
    if not np.isfinite(numbers).all():
        raise ValueError("canonical JSON holds neither NaN nor infinity")
    text = np.frombuffer(orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY), np.uint8)[1:-1]
    ends = np.append(np.flatnonzero(text == _COMMA), text.size)
    offsets = np.concatenate(([0], ends - np.arange(ends.size))).astype(np.int32)
    data = text[text != _COMMA]
    return pa.Array.from_buffers(pa.string(), numbers.size, [None, pa.py_buffer(offsets), pa.py_buffer(data.tobytes())])


@dataclass(frozen=True)
class _Pieces:
    """The text of each row as what it is joined of: text that all rows have, and columns of text.

    Attributes:
        present: whether no row is without the text; without it, the parts are one column.
    """

    parts: tuple[Piece, ...]
    present: bool = True


def joined(pieces: Iterable[Piece], count: int) -> pa.Array:
    """The pieces of each row one after the other, a null being empty: each character is copied once."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    if all(isinstance(piece, str) for piece in merged):
        return column(["".join(merged)] * count, pa.string())
    if len(merged) == 1 and not isinstance(merged[0], str) and not merged[0].null_count:
        return merged[0]
    return _join(*(text(piece) if isinstance(piece, str) else piece for piece in merged), null_handling="replace")


def pieces_of(values: pa.Array) -> Piece:
    """Canonical JSON of each cell, null being ``null``; a text where it is the same for all."""
    if _is_constant(values):
        return texts_of(values.slice(0, 1))[0].as_py() or "null"
    texts = texts_of(values)
    return texts.fill_null(text("null")) if texts.null_count else texts


def object_pieces(members: Mapping[str, Sequence[Piece]]) -> list[Piece]:
    """The pieces of the object that these members are."""
    pieces: list[Piece] = []
    for name in in_order(list(members)):
        pieces += ["," if pieces else "{", canonical_json(name).decode(), ":", *members[name]]
    return [*pieces, "}"] if pieces else ["{}"]


def _is_constant(values: pa.Array) -> bool:
    """Whether all cells are the same; most columns of most batches are."""
    count = len(values)
    if not count or values.null_count:
        return bool(count) and values.null_count == count
    if isinstance(values.type, pa.JsonType):
        values = values.storage
    first = values[0]
    if not first.equals(values[count - 1]) or not first.equals(values[count // 2]):
        return False
    return bool(pc.all(pc.equal(values, first)).as_py())


def _present_members(members: Mapping[str, _Pieces], count: int) -> _Pieces:
    """The object of those members that a row has; no text where it has none."""
    names = in_order(list(members))
    keys = {name: canonical_json(name).decode() + ":" for name in names}
    anchor = next((i for i, name in enumerate(names) if members[name].present), None)
    pieces: list[Piece] = ["{"]
    for i, name in enumerate(names):
        before, after = ("", ",") if anchor is not None and i < anchor else ("" if i == anchor else ",", "")
        if members[name].present:
            pieces += [before, keys[name], *members[name].parts, after]
        else:  # null where the member is
            parts = (before + keys[name], *members[name].parts, after)
            pieces.append(_join(*(text(part) if isinstance(part, str) else part for part in parts)))
    if anchor is not None:
        return _Pieces((*pieces, "}"))
    rest = joined(pieces[1:], count)
    whole = joined(["{", pc.utf8_slice_codeunits(rest, 1), "}"], count)  # without the first comma
    return _Pieces((pc.if_else(pc.equal(rest, text("")), _NULL, whole),), False)


def _figures_pieces(figures: Columns, count: int) -> Sequence[Piece]:
    """The measurements of each row: an object for each that has a figure at all."""
    grouped: dict[str, dict[str, _Pieces]] = {}
    for name, values in figures.items():
        section, _, figure = name.partition(".")
        if values.null_count == count:
            continue
        present = not values.null_count
        piece = pieces_of(values) if present else texts_of(values)
        grouped.setdefault(section, {})[figure] = _Pieces((piece,), present)
    if not grouped:
        return ["{}"]
    whole = _present_members({name: _present_members(members, count) for name, members in grouped.items()}, count)
    return whole.parts if whole.present else [pc.fill_null(whole.parts[0], text("{}"))]


def row_leaves(columns: Columns, figures: str | None) -> list[bytes]:
    """RFC 6962 leaf hashes of rows as a table stores them: SHA-256 over a zero byte and the canonical row.

    Args:
        figures: the field that figures belong to, if the rows have one.
    """
    leaves: list[bytes] = []
    count = len(next(iter(columns.values())))
    for start in range(0, count, _AT_ONCE):
        part = {name: values.slice(start, _AT_ONCE) for name, values in columns.items()}
        leaves += _leaves(part, figures, min(_AT_ONCE, count - start))
    return leaves


def _leaves(columns: Columns, figures: str | None, count: int) -> list[bytes]:
    fields = {name: values for name, values in columns.items() if figures is None or "." not in name}
    members: dict[str, Sequence[Piece]] = {name: [pieces_of(values)] for name, values in fields.items()}
    if figures is not None:
        split = {name: values for name, values in columns.items() if "." in name}
        members[figures] = _figures_pieces(split, count)
    texts = joined(["\0", *object_pieces(members)], count)
    _, ends, data = texts.buffers()
    offsets = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1].tolist()
    sha256, view = hashlib.sha256, memoryview(data)
    return [sha256(view[begin:end]).digest() for begin, end in itertools.pairwise(offsets)]


class RootHash:
    """RFC 6962 section 2.1 tree hash of leaf hashes that come one after the other.

    Only the roots of full subtrees are kept, a hash a bit of the number of leaves.
    """

    def __init__(self) -> None:
        self._full: list[bytes] = []  # the largest first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, leaf_hashes: Iterable[bytes]) -> None:
        """Take the next leaves."""
        sha256, full, count = hashlib.sha256, self._full, self._count
        for leaf in leaf_hashes:
            node, carry = leaf, count
            while carry & 1:
                node = sha256(b"\x01" + full.pop() + node).digest()
                carry >>= 1
            full.append(node)
            count += 1
        self._count = count

    def hex(self) -> str:
        """The root over the leaves so far."""
        if not self._full:
            return hashlib.sha256(b"").hexdigest()
        *larger, node = self._full
        for left in reversed(larger):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node.hex()


def root_of(leaf_hashes: Iterable[bytes]) -> str:
    """RFC 6962 section 2.1 tree hash (hex) over leaf hashes."""
    root = RootHash()
    root.add(leaf_hashes)
    return root.hex()
