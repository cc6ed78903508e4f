"""Takes a film's lines out of a table that is beside films, whatever its encoding, and keeps every other byte."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_COLUMNS = ("file", "filename", "key", "filepath", "path", "name")  # the first that is there names the film
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_OLD = ("cp1252", "mac_roman", "cp850", "cp1250", "cp1251", "shift_jis", "gb18030")  # a table that is no UTF-8

Names = Callable[[str], bool]


def without(data: bytes, suffix: str, names: Names) -> tuple[bytes, int]:
    """A table without the lines for which ``names`` says that their cell names the film, and how many those were.

    Never fails: what cannot be read as a table is taken line by line.
    """
    mark, text, encoding = _decoded(data)
    read = _objects if suffix.lower() in (".jsonl", ".ndjson") else _records
    kept, dropped = [], 0
    for record, cells in read(text):
        if any(names(way) for cell in cells for way in _ways(cell, encoding)):
            dropped += 1
        else:
            kept.append(record)
    if not dropped:
        return data, 0
    return mark + "".join(kept).encode(encoding, "surrogateescape"), dropped


def _decoded(data: bytes) -> tuple[bytes, str, str]:
    """Byte order mark, text, and an encoding by which the text gives the very bytes again."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                text = data[len(mark) :].decode(encoding)
                if text.encode(encoding) == data[len(mark) :]:
                    return mark, text, encoding
            except UnicodeError:
                break
    try:
        return b"", data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return b"", data.decode("latin-1"), "latin-1"


def _ways(cell: str, encoding: str) -> Iterator[str]:
    """A cell as it may be meant: of old encodings nobody knows which it is."""
    yield cell
    if encoding == "latin-1" and not cell.isascii():
        raw = cell.encode("latin-1")
        yield raw.decode("utf-8", "surrogateescape")
        for old in _OLD:
            try:
                yield raw.decode(old)
            except UnicodeDecodeError:
                continue


def _records(text: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Each record as it stands in the text, with the cells that may name a film; the first is the header."""
    lines = list(io.StringIO(text, newline=""))
    delimiter = max(_DELIMITERS, key=lines[0].count) if lines else ","
    before, limit = 0, csv.field_size_limit(max(len(text), 1))
    column: int | None = None
    try:
        reader = csv.reader(lines, delimiter=delimiter)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                break
            record, first = "".join(lines[before : reader.line_num]), before == 0
            before = reader.line_num
            if first:
                column = _column(cells)
                if column is not None:
                    yield record, []
                    continue
            yield record, cells if column is None else cells[column : column + 1]
        yield "".join(lines[before:]), []
    except csv.Error:
        for line in lines[before:]:
            yield line, re.split(r"[,;\t|\"\r\n]", line)
    finally:
        csv.field_size_limit(limit)


def _column(header: Sequence[str]) -> int | None:
    plain = [re.sub(r"[\s_-]", "", cell).lower().lstrip("\ufeff") for cell in header]
    return next((plain.index(name) for name in _COLUMNS if name in plain), None)


def _objects(text: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Each line of JSON with the value that names a film; what is none names nothing."""
    for line in io.StringIO(text, newline=""):
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        cells: list[str] = []
        if isinstance(value, dict):
            named = {re.sub(r"[\s_-]", "", str(key)).lower(): cell for key, cell in value.items()}
            cells = [str(named[name]) for name in _COLUMNS if name in named][:1]
        yield line, cells
