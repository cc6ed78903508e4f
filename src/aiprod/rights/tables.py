"""Tables that speak of films: CSV with commas, semicolons or tabs, JSON lists, and JSON lines, from their bytes.

Each line gives the film that it names and its columns. Nothing is guessed past: a line with more cells than the table
has columns, a cell under no column, or a line that speaks of no film is refused by name.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

from aiprod.base.names import film_name
from aiprod.errors import AiprodError
from aiprod.rights.columns import ALSO_FILE, FIELDS, FILE, field_of, plain_column
from aiprod.rights.licence_words import quoted
from aiprod.rights.training_opt_outs import objection

TABLES = {".csv", ".tsv", ".jsonl", ".ndjson"}
SPREADSHEETS = {".xlsx", ".xls", ".xlsm", ".xlsb", ".xltx", ".xlt", ".ods", ".fods", ".ots", ".numbers", ".gsheet"} | {
    *(".psv", ".ssv", ".tab", ".slk", ".sylk", ".dif", ".wk1", ".wks", ".dbf", ".mdb", ".accdb", ".sqlite", ".sqlite3")
}
PACKED = {".gz", ".bz2", ".xz", ".zst", ".zip"}  # behind a table's ending
_DELIMITERS = ",;\t|"
_MAX_DEPTH = 32


class TableLine(NamedTuple):
    """One line: where it stands, the film it names as it is written there, and its cells by column."""

    where: str
    film: str
    cells: list[tuple[str, Any]]


def read_table(name: str, content: bytes) -> list[TableLine]:
    """The lines of a table.

    Raises:
        AiprodError: it cannot be read, has no column that names films, or a line is wrong.
    """
    text = text_of(name, content)
    if PurePath(name).suffix.lower() in (".jsonl", ".ndjson"):
        return list(_json_lines(name, text))
    return list(_csv_lines(name, text))


def lines_of_json(name: str, value: Any) -> list[TableLine] | None:
    """The lines of a JSON list of objects, or of an object that names its film; None for any other value.

    Raises:
        AiprodError: an entry of such a list names no film.
    """
    if isinstance(value, dict) and _names_film(value):
        return [json_line(value, name)]
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value) and any(map(_names_film, value)):
        return [json_line(entry, f"{name}, entry {number}") for number, entry in enumerate(value, start=1)]
    return None


def text_of(name: str, content: bytes) -> str:
    """A document's text: UTF-8, or UTF-16 that begins with its mark.

    Raises:
        AiprodError: it is neither.
    """
    try:
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if wide else "utf-8-sig")
        if "\0" in text:  # UTF-32, or UTF-16 without its mark
            raise AiprodError(f"the table {name} is in no encoding that is read here", "save it as CSV in UTF-8")
        return text
    except UnicodeDecodeError as error:
        raise AiprodError(f"the table {name} cannot be read ({error})", "save it as CSV in UTF-8") from None


def parsed_json(name: str, text: str) -> Any:
    """A JSON value in which every key counts: one that is written twice is an error, not the last of the two.

    Raises:
        AiprodError: it is no JSON, is nested too deep, or names a key twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _each_once(pairs, name))
        _check_depth(value, name)
        return value
    except ValueError as error:
        raise AiprodError(f"{name} is not valid JSON ({error})", "fix or delete it") from None
    except RecursionError:
        raise AiprodError(f"{name} is nested too deep", "fix or delete it") from None


def _csv_lines(name: str, text: str) -> Iterator[TableLine]:
    delimiter, text = delimiter_of(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        header: list[str] | None = None
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [column.strip() for column in cells]
                place = film_columns(header, f"the table {name}")
                continue
            yield csv_line(header, place, cells, f"{name}, line {reader.line_num}")
    except csv.Error as error:
        where = f"{name}, line {reader.line_num}"
        raise AiprodError(f"the table {where} cannot be read ({error})", "save it as CSV in UTF-8") from None


def delimiter_of(text: str) -> tuple[str, str]:
    """What separates cells: the character by which the first line has most columns that are known here."""
    first, _, rest = text.partition("\n")
    if (stated := first.strip().lower()).startswith("sep=") and len(stated) == 5:  # as Excel writes it
        return stated[4], rest
    if first.strip("\r").lower() == "sep=\t":
        return "\t", rest
    head = next((line for line in text.splitlines() if line.strip()), "")
    known = {column for columns in FIELDS.values() for column in columns}

    def score(delimiter: str) -> int:
        return sum(plain_column(column) in known for column in head.split(delimiter))

    return max(_DELIMITERS, key=score), text


def film_columns(header: list[str], where: str) -> list[int]:
    """The columns that name the film.

    Raises:
        AiprodError: there is none.
    """
    fields = [field_of(column, where) if column else None for column in header]
    named = [index for index, field in enumerate(fields) if field == FILE]
    if not named and "repo" not in fields:
        named = [index for index, field in enumerate(fields) if field == ALSO_FILE]
    if not named:
        raise AiprodError(
            f"{where} has no column `file`", "add one that names each film or recording, as its first line's `file`"
        )
    return named


def csv_line(header: list[str], place: list[int], cells: list[str], where: str) -> TableLine:
    """What a line of a table says of which film; ``place`` is the field that each column means."""
    surplus = [cell for cell in cells[len(header) :] if cell.strip()]
    if surplus:
        raise AiprodError(
            f"{where}: {len(cells)} cells under {len(header)} columns ({quoted(surplus[0])} is left over)",
            "put a cell that holds the separator into quotes",
        )
    columns = dict(enumerate(zip(header, cells, strict=False)))
    for column, cell in columns.values():
        if not column and cell.strip():
            raise AiprodError(f"{where}: {quoted(cell)} is under a column without a name", "name the column")
    films = list(
        dict.fromkeys(_bare(columns[index][1]) for index in place if index in columns and columns[index][1].strip())
    )
    rest = [pair for index, pair in columns.items() if index not in place and pair[0]]
    return TableLine(where, _one_film(films, any(cell.strip() for _, cell in rest), where), rest)


def _bare(cell: str) -> str:
    """A cell without what Excel puts round a text that it is not to change."""
    text = cell.strip()
    return text[2:-1] if len(text) > 3 and text.startswith('="') and text.endswith('"') else text


def _one_film(films: list[str], says_something: bool, where: str) -> str:
    if len({film_name(film) for film in films}) > 1:
        raise AiprodError(f"{where}: it names two files, {quoted(films[0])} and {quoted(films[1])}", "keep one of them")
    if films and " " in films[0] and not re.search(r"\.\w{1,5}$", films[0]) and (against := objection(films[0])):
        raise AiprodError(
            f"{where}: it names no file, and says {against}", "say in the lines of files what holds for them"
        )
    if not films and says_something:
        raise AiprodError(f"{where}: it names no file", "name it in the column `file`, or remove the line")
    return films[0] if films else ""


def _json_lines(name: str, text: str) -> Iterator[TableLine]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{name}, line {number}"
            value = parsed_json(where, line)
            if not isinstance(value, dict):
                raise AiprodError(f"{where} is not a JSON object", 'write {"file_name": "a.mp4", "license": "own"}')
            yield json_line(value, where)


def json_line(value: dict[str, Any], where: str) -> TableLine:
    """What an object of a JSON list says of which film."""
    keys = [key for key in value if plain_column(key) in FIELDS[FILE]]
    if not keys and not any(plain_column(key) == "repo" for key in value):
        keys = [key for key in value if plain_column(key) == ALSO_FILE]
    films = [str(value[key]).strip() for key in keys if value[key] not in (None, "")]
    rest = [(key, cell) for key, cell in value.items() if key not in keys]
    return TableLine(where, _one_film(films, True, where), rest)


def _names_film(value: dict[str, Any]) -> bool:
    return any(plain_column(key) in FIELDS[FILE] for key in value)


def _each_once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values and values[key] != value:
            raise AiprodError(f"{name} says {quoted(key)} twice, and differently", "keep one of them")
        values[key] = value
    return values


def _check_depth(value: Any, name: str) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise AiprodError(f"{name} is nested too deep", "fix or delete it")
