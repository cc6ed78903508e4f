"""Rows as cells of a table and as canonical JSON, each value turned into text once, a column at a time.

A value that is a list, a mapping or a model is stored as its canonical JSON. So the canonical JSON of a whole row, over
which Merkle roots are taken, is put together from the cells, when writing and when checking. Where such text is long,
the cells of its column are bytes.
"""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel

from aiprod.base.files import canonical_json

_SCALARS = (str, int, float, bool, type(None))
_EMPTY = {list: "[]", dict: "{}"}
_SORTED = orjson.OPT_SORT_KEYS
_AT_ONCE = 1024  # rows whose whole text is in memory at a time
_KEPT = 50_000  # texts of models that many rows share

Columns = Mapping[str, Sequence[Any]]
Ready = Callable[[Sequence[Any]], list[bytes]]
"""Gives the cells of a nested field of some rows."""


def is_nested(annotation: Any) -> bool:
    """Whether values of this type are stored as JSON text (lists, mappings and models are)."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, BaseModel | dict | list | tuple)
    origin = typing.get_origin(annotation)
    if origin in (list, dict, tuple, set):
        return True
    return any(is_nested(a) for a in typing.get_args(annotation)) if origin is not typing.Literal else False


def is_scalar(annotation: Any) -> bool:
    """Whether values of this type are JSON strings, numbers, booleans or null as they are."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation in _SCALARS
    if typing.get_origin(annotation) is typing.Literal:
        return all(type(value) in _SCALARS for value in typing.get_args(annotation))
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) in (typing.Union, types.UnionType) and all(map(is_scalar, arguments))


def _shared_model(annotation: Any) -> bool:
    """Whether values are lists of frozen models, of which many rows may hold the same one."""
    arguments = typing.get_args(annotation)
    return (
        typing.get_origin(annotation) is list
        and isinstance(arguments[0], type)
        and issubclass(arguments[0], BaseModel)
        and bool(arguments[0].model_config.get("frozen"))
    )


def scalar_text(value: Any) -> str:
    """Canonical JSON of one value, quick where it is a scalar or holds nothing but scalars by name."""
    return orjson.dumps(value, option=_SORTED).decode() if is_quick(value) else canonical_json(value).decode()


def is_quick(value: Any) -> bool:
    """Whether ``orjson`` writes a value as :func:`canonical_json` does: that of floating point has another notation
    for small and large numbers, and a number in Python may have more than 64 bits."""
    kind = type(value)
    if kind is float:
        number: float = value
        return 1e-4 <= number < 1e16 or number == 0.0
    if kind is int:
        whole: int = value
        return -(2**63) <= whole < 2**63
    if kind is dict:
        for key, part in value.items():  # a loop of its own: it is asked for each of very many results
            if type(key) is not str or type(part) is dict or not is_quick(part):
                return False
        return True
    return kind is str or kind is bool or value is None


def _all_quick(numbers: Sequence[float]) -> bool:
    """Whether all of these, floating point, are quick."""
    found = np.array(numbers)
    return bool((((found >= 1e-4) & (found < 1e16)) | (found == 0.0)).all())


def _texts(values: Sequence[Any], key: str, nested: bool) -> list[str]:
    """``key`` and canonical JSON for each value of a column, one kind of values at a time."""
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        distinct = set(values)
        if 2 * len(distinct) < len(values):
            known = {v: key + ("null" if v is None else v if nested else encode_basestring(v)) for v in distinct}
            return [known[v] for v in values]
        if nested:
            return [key + ("null" if v is None else v) for v in values]
        return [key + ("null" if v is None else encode_basestring(v)) for v in values]
    if kinds == {int}:
        return [f"{key}{v}" for v in values]
    if kinds <= {float, type(None)} and _all_quick([v for v in values if v is not None]):
        return [key + text for text in orjson.dumps(values)[1:-1].decode().split(",")]
    return [key + scalar_text(v) for v in values]


class RowText:
    """Cells and leaf hashes of the rows of one model."""

    def __init__(self, model: type[BaseModel]) -> None:
        fields = {name: field.annotation for name, field in model.model_fields.items()}
        self.names = list(fields)
        self.all_names = set(fields)
        self.nested = {name for name, annotation in fields.items() if is_nested(annotation)}
        self.scalars = {name for name, annotation in fields.items() if is_scalar(annotation)}
        self._shared = {name for name, annotation in fields.items() if _shared_model(annotation)}
        self._words = {name for name, annotation in fields.items() if annotation == list[str]}
        self._others = set(self.names) - self.scalars - self._shared - self._words
        self._sorted = [
            (name, name in self.nested, f'{"," if place else chr(0) + "{"}"{name}":')
            for place, name in enumerate(sorted(self.names))
        ]
        self._known: dict[int, tuple[BaseModel, str]] = {}
        self.joinable = self.nested | self.scalars == set(self.names)

    def columns(self, rows: Sequence[BaseModel], ready: Mapping[str, Ready] | None = None) -> dict[str, list[Any]]:
        """The cells of rows by field: scalars as they are, everything nested as canonical JSON.

        Args:
            ready: field → a function that gives its cells, where they are known already.
        """
        ready = ready or {}
        found: dict[str, list[Any]] = {}
        for name in self.names:
            if name in ready:
                found[name] = ready[name](rows)
            elif name in self.scalars:
                found[name] = self.plain(rows, name)
            elif name in self._words:
                found[name] = [_words(row.__dict__[name]) for row in rows]
            elif name in self._shared:
                found[name] = ["[" + ",".join([self._text(m) for m in getattr(row, name)]) + "]" for row in rows]
        others = self._others - ready.keys()
        if others:
            dumped = [row.model_dump(mode="json", include=others) for row in rows]
            found |= {name: [_cell(values[name]) for values in dumped] for name in others}
        return found

    def plain(self, rows: Sequence[BaseModel], name: str) -> list[Any]:
        """The values of a field that is not nested, as JSON has them."""
        if name in self.scalars:
            return [row.__dict__[name] for row in rows]
        return [row.model_dump(mode="json", include={name})[name] for row in rows]

    def leaves(self, columns: Columns) -> list[bytes]:
        """RFC 6962 leaf hashes of the rows with these cells: SHA-256 over a zero byte and the row's canonical JSON."""
        sha256 = hashlib.sha256
        found: list[bytes] = []
        for start in range(0, len(columns[self.names[0]]), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            found += [sha256(text).digest() for text in self._leaf_texts({n: c[part] for n, c in columns.items()})]
        return found

    def _leaf_texts(self, columns: Columns) -> Iterator[bytes]:
        count = len(columns[self.names[0]])
        pieces: list[list[bytes]] = []
        run: list[Sequence[str]] = []  # columns of text, one after the other, become bytes together
        said = ""  # by the columns since the last one that differs from row to row
        for name, nested, key in self._sorted:
            values = columns[name]
            if _constant(values):
                [said] = _texts(values[:1], said + key, nested)
            elif nested and bytes in set(map(type, values)):
                pieces += [_joined([*run, [said + key] * count]), [b"null" if v is None else v for v in values]]
                run, said = [], ""
            else:
                run.append(_texts(values, said + key, nested))
                said = ""
        pieces.append(_joined([*run, [said + "}"] * count]))
        return map(b"".join, zip(*pieces, strict=True))

    def _text(self, item: BaseModel) -> str:
        known = self._known.get(id(item))  # the model is kept beside its text, so its id stays its own
        if known is not None:
            return known[1]
        text = canonical_json(item.model_dump(mode="json")).decode()
        if len(self._known) < _KEPT:
            self._known[id(item)] = (item, text)
        return text


def _words(words: Sequence[str]) -> str:
    return "[" + ",".join(map(encode_basestring, words)) + "]" if words else "[]"  # most lists of most rows are empty


def _constant(values: Sequence[Any]) -> bool:
    """Whether all have the same text; floating point, where zeros of both signs are equal, is not looked at."""
    first = values[0]
    if type(first) not in (str, int, bool, type(None)) or first != values[-1]:
        return False
    return values.count(first) == len(values) and set(map(type, values)) == {type(first)}


def _joined(columns: Sequence[Sequence[str]]) -> list[bytes]:
    return ["".join(texts).encode() for texts in zip(*columns, strict=True)]


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return canonical_json(value).decode() if value else _EMPTY[type(value)]
    return value


def root_of(leaf_hashes: Sequence[bytes]) -> str:
    """RFC 6962 section 2.1 tree hash (hex) over leaf hashes."""
    if not leaf_hashes:
        return hashlib.sha256(b"").hexdigest()
    level = list(leaf_hashes)
    while len(level) > 1:  # pairing from the left and promoting an odd last node equals the recursive definition
        paired = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    return level[0].hex()
