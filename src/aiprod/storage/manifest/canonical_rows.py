"""The canonical row: RFC 8785 JSON of a row, put together from the columns of a table, and its Merkle leaf.

Values are turned into text a column at a time, and the text of a row is joined in Arrow. It is the same as
:func:`aiprod.base.canonical_json.canonical_json` of the row as an object; nested fields hold such text already.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from aiprod.base.canonical_json import canonical_json

_AT_ONCE = 4096  # rows whose whole text is in memory at a time
_ESCAPED = r'["\\\x00-\x1f]'
_EXACT = 2**53  # whole numbers below it are doubles
_COMMA = ord(",")

Columns = Mapping[str, pa.Array]
"""Field → cells: strings, numbers, booleans, or JSON text (``pa.json_()``). A figure of a measurement is named
``<measurement>.<figure>``."""


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
            return pa.array([None if v is None else canonical_json(v).decode() for v in values.to_pylist()])
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        return _float_texts(values)
    return _string_texts(values.cast(pa.string()) if pa.types.is_null(kind) else values)


def _string_texts(values: pa.Array) -> pa.Array:
    whole = values.dictionary_encode()
    if 2 * len(whole.dictionary) < len(values):  # what is said of many rows is turned into text once
        return _quoted(whole.dictionary).take(whole.indices)
    return _quoted(values)


def _quoted(values: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(values, _ESCAPED)).as_py():
        known = [None if text is None else canonical_json(text).decode() for text in values.to_pylist()]
        return pa.array(known, pa.string())
    return pc.binary_join_element_wise('"', values, '"', "")


def _float_texts(values: pa.Array) -> pa.Array:
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    whole = (numbers == np.trunc(numbers)) & (np.abs(numbers) < _EXACT)
    if whole.all():
        found = pa.array(numbers.astype(np.int64)).cast(pa.string())
    else:
        found = _split(numbers)
        if whole.any():
            found = pc.if_else(
                pa.array(whole), pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast("string"), found
            )
        odd = ~whole & ((np.abs(numbers) < 1e-4) | (np.abs(numbers) >= 1e15))
        if odd.any():  # where exponents begin differs
            texts = [canonical_json(number).decode() for number in numbers[odd].tolist()]
            found = pc.replace_with_mask(found, pa.array(odd), pa.array(texts, pa.string()))
    return pc.if_else(values.is_valid(), found, pa.scalar(None, pa.string())) if values.null_count else found


def _split(numbers: np.ndarray) -> pa.Array:
    """The shortest text of each number, NaN and infinity refused."""
    if not np.isfinite(numbers).all():
        raise ValueError("canonical JSON holds neither NaN nor infinity")
    text = np.frombuffer(orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY), np.uint8)[1:-1]
    ends = np.append(np.flatnonzero(text == _COMMA), text.size)
    offsets = np.concatenate(([0], ends - np.arange(ends.size))).astype(np.int32)
    data = text[text != _COMMA]
    return pa.Array.from_buffers(pa.string(), numbers.size, [None, pa.py_buffer(offsets), pa.py_buffer(data.tobytes())])


def _object_of(members: Mapping[str, pa.Array], count: int, *, skip_null: bool) -> pa.Array:
    """The text of an object for each row; a member that is null is ``null``, or left out."""
    parts = []
    for name in in_order(list(members)):
        text, key = texts_of(members[name]), canonical_json(name).decode() + ":"
        if skip_null:
            parts.append(pc.binary_join_element_wise("," + key, text, ""))
        else:
            parts.append(pc.binary_join_element_wise(key, text.fill_null("null") if text.null_count else text, ""))
    if not parts:
        return pa.array(["{}"] * count, pa.string())
    if not skip_null:
        return pc.binary_join_element_wise("{", pc.binary_join_element_wise(*parts, ","), "}", "")
    # Arrow's own way to skip nulls drops rows in which all are null.
    inner = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
    return pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(inner, 1), "}", "")


def figures_text(figures: Columns, count: int) -> pa.Array:
    """Canonical JSON of the measurements of each row: an object for each that has a figure at all."""
    grouped: dict[str, dict[str, pa.Array]] = {}
    for name, values in figures.items():
        section, _, figure = name.partition(".")
        grouped.setdefault(section, {})[figure] = values
    whole: dict[str, pa.Array] = {}
    for section, members in grouped.items():
        present = np.logical_or.reduce([_valid(values) for values in members.values()])
        text = _object_of(members, count, skip_null=True)
        whole[section] = pa.ExtensionArray.from_storage(
            pa.json_(), pc.if_else(pa.array(present), text, pa.scalar(None, pa.string()))
        )
    return pa.ExtensionArray.from_storage(pa.json_(), _object_of(whole, count, skip_null=True))


def _valid(values: pa.Array) -> np.ndarray:
    found: np.ndarray = values.is_valid().to_numpy(zero_copy_only=False)
    return found


def object_text(members: Columns, count: int) -> pa.Array:
    """Canonical JSON of the object that these members are, for each row."""
    return _object_of(members, count, skip_null=False)


def row_leaves(columns: Columns, figures: str | None) -> list[bytes]:
    """The leaf hashes of rows as a table stores them.

    Args:
        figures: the field that figures belong to, if the rows have one.
    """
    if figures is None:
        return leaves_of(columns)
    fields = {name: values for name, values in columns.items() if "." not in name}
    split = {name: values for name, values in columns.items() if "." in name}
    return leaves_of({**fields, figures: figures_text(split, len(next(iter(fields.values()))))})


def leaves_of(fields: Columns) -> list[bytes]:
    """RFC 6962 leaf hashes: SHA-256 over a zero byte and the canonical row."""
    found: list[bytes] = []
    sha256, count = hashlib.sha256, len(next(iter(fields.values())))
    for start in range(0, count, _AT_ONCE):
        texts = object_text(
            {name: values.slice(start, _AT_ONCE) for name, values in fields.items()}, min(_AT_ONCE, count - start)
        )
        _, ends, data = texts.buffers()
        offsets = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1].tolist()
        view = memoryview(data)
        for begin, end in itertools.pairwise(offsets):
            leaf = sha256(b"\0")
            leaf.update(view[begin:end])
            found.append(leaf.digest())
    return found


def root_of(leaf_hashes: Sequence[bytes]) -> str:
    """RFC 6962 section 2.1 tree hash (hex) over leaf hashes."""
    if not leaf_hashes:
        return hashlib.sha256(b"").hexdigest()
    level = list(leaf_hashes)
    while len(level) > 1:  # pairing from the left and promoting an odd last node equals the recursive definition
        paired = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    return level[0].hex()
