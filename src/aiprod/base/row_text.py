"""Rows as cells of a table and as canonical JSON, each value turned into text once.

A value that is a list, a mapping or a model is stored as its canonical JSON. So the canonical JSON of a whole row, over
which Merkle roots are taken, is put together from the cells, when writing and when checking.
"""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from pydantic import BaseModel

from aiprod.base.files import canonical_json

_SCALARS = (str, int, float, bool, type(None))
_EMPTY = {list: "[]", dict: "{}"}
_KEPT = 50_000  # texts of models that many rows share


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


class RowText:
    """Cells and leaf hashes of the rows of one model."""

    def __init__(self, model: type[BaseModel]) -> None:
        fields = {name: field.annotation for name, field in model.model_fields.items()}
        self.names = list(fields)
        self.all_names = set(fields)
        self.nested = {name for name, annotation in fields.items() if is_nested(annotation)}
        self.scalars = {name for name, annotation in fields.items() if is_scalar(annotation)}
        self._shared = {name for name, annotation in fields.items() if _shared_model(annotation)}
        self._others = set(self.names) - self.scalars - self._shared
        self._sorted = [(name, name in self.nested, f'"{name}":') for name in sorted(self.names)]
        self._known: dict[int, tuple[BaseModel, str]] = {}
        self.joinable = self.nested | self.scalars == set(self.names)

    def cells(self, row: BaseModel) -> dict[str, Any]:
        """Scalars as they are, everything nested as canonical JSON."""
        found: dict[str, Any] = {name: getattr(row, name) for name in self.scalars}
        for name in self._shared:
            found[name] = "[" + ",".join([self._text(item) for item in getattr(row, name)]) + "]"
        if self._others:
            for name, value in row.model_dump(mode="json", include=self._others).items():
                if isinstance(value, dict | list):
                    found[name] = canonical_json(value).decode() if value else _EMPTY[type(value)]
                else:
                    found[name] = value
        return found

    def plain(self, row: BaseModel, name: str) -> Any:
        """The value of a field that is not nested, as JSON has it."""
        return getattr(row, name) if name in self.scalars else row.model_dump(mode="json", include={name})[name]

    def leaf(self, cells: Mapping[str, Any]) -> bytes:
        """RFC 6962 leaf hash of the row with these cells: SHA-256 over a zero byte and its canonical JSON."""
        parts = []
        for name, nested, key in self._sorted:
            value = cells[name]
            if type(value) is str:
                parts.append(key + (value if nested else encode_basestring(value)))
            elif value is None:
                parts.append(key + "null")
            elif type(value) is int:
                parts.append(f"{key}{value}")
            else:
                parts.append(key + canonical_json(value).decode())
        return hashlib.sha256(b"\x00{" + ",".join(parts).encode() + b"}").digest()

    def _text(self, item: BaseModel) -> str:
        known = self._known.get(id(item))  # the model is kept beside its text, so its id stays its own
        if known is not None:
            return known[1]
        text = canonical_json(item.model_dump(mode="json")).decode()
        if len(self._known) < _KEPT:
            self._known[id(item)] = (item, text)
        return text


def root_of(leaf_hashes: Sequence[bytes]) -> str:
    """RFC 6962 section 2.1 tree hash (hex) over leaf hashes."""
    if not leaf_hashes:
        return hashlib.sha256(b"").hexdigest()
    level = list(leaf_hashes)
    while len(level) > 1:  # pairing from the left and promoting an odd last node equals the recursive definition
        paired = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    return level[0].hex()
