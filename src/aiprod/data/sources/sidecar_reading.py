"""Finds and reads the sidecars of a folder: tables, JSON, XMP and C2PA, and what texts say against training."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aiprod.base.names import caseless_name, film_name, leaves_its_folder
from aiprod.base.params import validate
from aiprod.data.sources.folder_reservations import rules_below
from aiprod.data.sources.other_files import (
    FILM,
    OF_REUSE,
    OF_WHICH,
    SHORTCUT,
    address_in,
    bearers_of,
    content_of,
    enter_marks,
    enter_text,
    is_copy_of_sidecar,
    place_of,
    said_by_reuse,
)
from aiprod.data.sources.sidecars import OBJECTS, Sidecars, is_spreadsheet, merge_records
from aiprod.errors import AiprodError
from aiprod.media.discovery import files_below, is_media, key_of, problem_of
from aiprod.media.training_mining import statement_beside
from aiprod.rights.columns import field_of
from aiprod.rights.copies import original_name
from aiprod.rights.declarations import SidecarRecord
from aiprod.rights.embedded import against_training, statement_from_xmp
from aiprod.rights.licence_names import is_licence_name
from aiprod.rights.licence_words import quoted
from aiprod.rights.statements import OF_RIGHTS, fields_of
from aiprod.rights.tables import TABLES, TableLine, lines_of_json, parsed_json, read_table, text_of

_AS_CSV = "save it as CSV, move it elsewhere, or write a line for the film in a table"
_EVERY = re.compile(
    r"all(?: (?:films?|files?|videos?|clips?))?|everything|every (?:film|file|video)|the rest|alle[sn]?|tous|todos",
    re.IGNORECASE,
)
_BETWEEN = re.compile(  # two names in one cell
    r"\s*[,;|&+]\s*|\s+(?:and|und|et|y|e|to|bis|-|–)\s+|(?<=\.\w{3})[-–]|(?<=\.\w{4})[-–]|\s*\.\.\.?\s*(?=\S+\.\w)"
)
_OF_TOOLS = (".info", ".meta", ".metadata")  # between a film's name and .json, as downloaders write
PACKETS = {".xmp", ".c2pa"}  # that speak of the film they are named like
_OF_A_FOLDER = {
    "metadata",
    "meta",
    "info",
    "dataset",
    "dataset_info",
    "datapackage",
    "package",
    "catalog",
    "collection",
    "about",
    "index",
    "source",
}


def read_sidecars(folder: Path, unread: Mapping[str, str] | None = None, without: Collection[str] = ()) -> Sidecars:
    """All sidecars below ``folder`` but hidden ones. What is a film by its bytes is none, whatever its name.

    Args:
        unread: keys of files here whose content could not be had → why.
        without: keys of documents that say nothing of rights, such as what is spoken in recordings.

    Raises:
        AiprodError: a table that cannot be read or has no file column (of which films it speaks is not known, so none
            can be taken in), a line that is wrong, a film that is named twice.
    """
    sidecars, unread = Sidecars(), unread or {}
    files = [path for path in files_below(folder) if not path.is_dir() and key_of(path, folder) not in without]
    names: dict[str, list[str]] = {}  # a film's name, and the name without its ending → films
    for path in files:
        name = film_name(key_of(path, folder))
        if path.suffix.lower() not in TABLES | OBJECTS or not _may_be_sidecar(path):
            names.setdefault(name, []).append(name)
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(str(PurePosixPath(name).parent / PurePosixPath(name).stem), []).append(name)
    sidecars.files = set(names)
    for path in files:
        if path.suffix.lower() in TABLES and _may_be_sidecar(path):
            key = key_of(path, folder)
            lines = read_table(path.name, content_of(path, unread.get(key), table=True))
            sidecars.records |= _by_film(lines, key, folder, sidecars)
    statements: dict[str, list[SidecarRecord]] = {name: [record] for name, record in sidecars.records.items()}
    for path in files:
        if path.suffix.lower() in OBJECTS and _may_be_sidecar(path):
            own = _named_like(film_name(key_of(path, folder))[: -len(path.suffix)], names, stems, sidecars, path.name)
            for name, record in _said_in(path, folder, own, unread, sidecars).items():
                statements.setdefault(name, []).append(record)
        elif path.suffix.lower() in OF_REUSE and (
            bearers := names.get(film_name(key_of(path, folder)).rpartition(".")[0])
        ):
            for name, record in said_by_reuse(path, bearers, sidecars).items():
                statements.setdefault(name, []).append(record)
        elif SHORTCUT.fullmatch(path.suffix) and (bearers := bearers_of(path, folder, names, stems)):
            for name in bearers:
                statements.setdefault(name, []).append(SidecarRecord(url=address_in(path)))
        elif is_spreadsheet(original_name(path.name)):
            why = f"{quoted(path.name)} may speak of it, and is not read: {_AS_CSV}"
            sidecars.sheets.setdefault(place_of(path, folder), f"sidecar: {why}")
            enter_text(path, folder, names, stems, sidecars)
        elif path.suffix.lower() in TABLES | OBJECTS or FILM.fullmatch(path.suffix):
            continue
        elif not is_copy_of_sidecar(path, folder, names, stems, sidecars):
            enter_text(path, folder, names, stems, sidecars)
    enter_marks(folder, files, sidecars)
    sidecars.sites = rules_below(folder, files)
    sidecars.records = {name: merge_records(records) for name, records in statements.items()}
    return sidecars


def _by_film(lines: Iterable[TableLine], table: str, folder: Path, sidecars: Sidecars) -> dict[str, SidecarRecord]:
    """What the lines of a table say, by the films that they name.

    Raises:
        AiprodError: a line is wrong, or names a film that another one names.
    """
    records: dict[str, SidecarRecord] = {}
    root = film_name(str(folder)) + "/"
    above: str | None = None  # where the licence that a cell below it may share is stated
    for line in lines:
        if not line.film:
            continue
        stated_here = _licence_cells(line)
        if any(stated_here):
            above = line.where
        stated = film_name(line.film)
        name = stated.removeprefix(root) if stated.startswith("/") else film_name(f"{table}/../{line.film}")
        if not name or name in sidecars.with_files:
            raise AiprodError(f"{line.where}: {quoted(line.film)} is a folder", "write a line for each file")
        if re.search(r"[*?]", name) and name not in sidecars.files:
            raise AiprodError(
                f"{line.where}: {quoted(line.film)} is not the name of a file", "write a line for each file"
            )
        if leaves_its_folder(name):
            sidecars.outside.append(name)
            sidecars.strays.append(f"{table}, {line.where.rpartition(', ')[2]}")
            continue
        if name not in sidecars.files and _EVERY.fullmatch(line.film.strip()):
            raise AiprodError(
                f"{line.where}: {quoted(line.film)} is not the name of a file", "write a line for each file"
            )
        if name not in sidecars.files and len(several := list(filter(None, _BETWEEN.split(line.film)))) > 1:
            for film in (film_name(f"{table}/../{each}") for each in several):
                if film in sidecars.files:
                    sidecars.problems[film] = (
                        f"sidecar: {line.where} names several files, {quoted(line.film)}: {OF_WHICH}"
                    )
        if name in records:
            raise AiprodError(f"{line.where}: {quoted(line.film)} is named twice", "remove one of the lines")
        if name in sidecars.tables:
            both = f"{sidecars.tables[name]} and {table}"
            raise AiprodError(f"two tables speak of {quoted(name)}: {both}", "remove one of the lines")
        records[name] = validate(SidecarRecord, fields_of(line.cells, line.where), line.where)
        if stated_here and not any(stated_here) and above is not None:
            sidecars.problems[name] = (
                f"sidecar: {line.where} leaves the licence empty below {above.rpartition(', ')[2]}, which states one, "
                "as merged cells are saved: write it in every line"
            )
    sidecars.tables.update(dict.fromkeys(records, table))
    return records


def _licence_cells(line: TableLine) -> list[bool]:
    """Of the columns for the licence in a line, whether each holds anything."""
    of_licence = [cell for column, cell in line.cells if _of_licence(column, line.where, reservations=False)]
    return [cell is not None and str(cell).strip() != "" for cell in of_licence]


def _named_like(
    stem: str, names: dict[str, list[str]], stems: dict[str, list[str]], sidecars: Sidecars, shown_as: str
) -> list[str]:
    """The films that a JSON file is named like. One of which only the case differs gets a problem."""
    bare = next((stem.removesuffix(end) for end in _OF_TOOLS if stem.lower().endswith(end)), stem)
    own = names.get(stem) or stems.get(stem) or names.get(bare) or stems.get(bare) or []
    if not own:
        for film in sidecars.caseless_films.get(caseless_name(stem), ()):
            sidecars.problems[film] = f"sidecar: {quoted(shown_as)} differs from it in case: rename one of them"
    return own


def _said_in(
    path: Path, folder: Path, own: list[str], unread: Mapping[str, str], sidecars: Sidecars
) -> dict[str, SidecarRecord]:
    """What a JSON file says of the films that it is named like, or of those that it names.

    Raises:
        AiprodError: it is a list of films, and an entry is wrong.
    """
    key = key_of(path, folder)
    try:
        content = content_of(path, unread.get(key), table=False)
        if path.suffix.lower() in PACKETS:
            if not own:
                sidecars.unread[key] = "it is named like no film or recording here"
            statement = statement_from_packet(path.name, content)
            return dict.fromkeys(own, validate(SidecarRecord, statement, path.name)) if statement else {}
        value = parsed_json(path.name, text_of(path.name, content))
    except AiprodError as error:
        if own:
            sidecars.problems.update(dict.fromkeys(own, f"sidecar: {error.what}"))
        else:
            sidecars.unread[key] = error.what
        return {}
    if not own:
        if (lines := lines_of_json(path.name, value) or _lines_within(path.name, value, sidecars)) is not None:
            return _by_film(lines, key, folder, sidecars)
        sidecars.unread[key] = "it is named like no film or recording here, and names none"
        if isinstance(value, dict) and _speaks_of_folder(path) and any(_of_rights(k, path.name) for k in value):
            place = place_of(path, folder)
            try:
                record = validate(SidecarRecord, fields_of(list(value.items()), path.name), path.name)
                sidecars.folders.setdefault(place, []).append(record)
                del sidecars.unread[key]
            except AiprodError as error:
                sidecars.unread[key] = error.what
                sidecars.folder_problems.setdefault(place, f"sidecar: {error.what}")
        elif path.name != "tdmrep.json" and (why := _against_within(value, path.name)) is not None:
            sidecars.folder_problems.setdefault(
                place_of(path, folder), f"sidecar: {quoted(path.name)}: {why}; {OF_WHICH}"
            )
        return {}
    try:
        if not isinstance(value, dict):
            raise AiprodError(f"{path.name} is not a JSON object", 'write {"license": "own"}')
        [line] = lines_of_json(path.name, value) or [TableLine(path.name, "", list(value.items()))]
        if line.film and film_name(f"{key}/../{line.film}") not in own:
            raise AiprodError(f"{path.name} is named like this file, and names {quoted(line.film)}", "rename it")
        return dict.fromkeys(own, validate(SidecarRecord, fields_of(line.cells, path.name), path.name))
    except AiprodError as error:
        sidecars.problems.update(dict.fromkeys(own, f"sidecar: {error.what}"))
        return {}


def statement_from_packet(name: str, content: bytes) -> dict[str, Any]:
    """What an XMP packet or a C2PA manifest in a file of its own says of its film."""
    if PurePosixPath(name).suffix.lower() == ".xmp":
        return statement_from_xmp(content)
    statement = statement_beside(content)
    return (
        statement | {"objections": [f"{quoted(name)}: {each}" for each in statement["objections"]]}
        if "objections" in statement
        else statement
    )


def _lines_within(name: str, value: Any, sidecars: Sidecars) -> list[TableLine] | None:
    """The lines of a JSON object with films as keys, or a list of them under a key, where they speak of rights."""
    if not isinstance(value, dict):
        return None
    lists = [entry for inner in value.values() if isinstance(inner, list) for entry in inner if isinstance(entry, dict)]
    lines = lines_of_json(name, lists) if lists else None
    lines = (lines or []) + [
        TableLine(f"{name}, {quoted(film)}", film, list(fields.items()))
        for film, fields in value.items()
        if isinstance(fields, dict) and film_name(film) in sidecars.files
    ]
    spoken = [line for line in lines if any(_of_rights(column, name) for column, _ in line.cells)]
    return spoken or None


def _against_within(value: Any, where: str) -> str | None:
    """What licences and reservations that stand anywhere in a JSON value say against training."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if not isinstance(one, dict):
            continue
        cells = [(key, cell) for key, cell in one.items() if _of_licence(key, where) and isinstance(cell, str | int)]
        try:
            if (why := against_training(fields_of(cells, where))) is not None:
                return why.partition("; if it is")[0]
        except AiprodError as error:
            return error.what
    return None


def _of_licence(column: str, where: str, reservations: bool = True) -> bool:
    try:
        return field_of(column, where) in ("media_license", "tdm_reservation")[: 1 + reservations]
    except AiprodError:  # one that is not known: what it is the name of is not known either
        return False


def _speaks_of_folder(path: Path) -> bool:
    """Whether a JSON file is named as one that speaks of all films in its folder."""
    return is_licence_name(path.stem) or path.stem.casefold() in _OF_A_FOLDER | {path.parent.name.casefold()}


def _of_rights(column: str, where: str) -> bool:
    try:
        return field_of(column, where) in OF_RIGHTS
    except AiprodError:  # one that is not known, and might count
        return True


def _may_be_sidecar(path: Path) -> bool:
    try:
        return problem_of(path) is not None or not is_media(path)
    except OSError:  # whoever reads it will say so
        return True
