"""Reads what lies beside films: CSV tables with one line a file, or a JSON object named like the film.

Columns (either spelling; unknown columns are ignored, because size, rate and codecs are measured here):

| column | becomes |
| --- | --- |
| file, filename, key | the film it speaks of, a path relative to the sidecar's folder |
| title | title |
| notes, note, description | description |
| url, source_url | url |
| repo, path, commit | origin, as ``repo:path@commit`` |
| licence, license, media_license | media licence as an SPDX expression; the words used are kept too |
| licence_evidence, license_evidence | licence evidence |
| annotation_license | licence of captions and labels |
| attribution, credit, author | attribution |
| labels, tags | labels, separated by ``;`` or ``,`` (in JSON: a list) |
| consent_ref, consent | consent reference |
| tdm_reservation, do_not_train | 1 where training is reserved (as in TDMRep), else 0 |
| tdm_policy | where that is stated |
| personal_data_basis | none, consent, contract, … (GDPR Art. 6) |
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.errors import AiprodError
from aiprod.base.params import validate
from aiprod.data.sources import OWN, UNKNOWN, SidecarRecord
from aiprod.media.finding import files_below, is_media, key_of, problem_of

_KEY = ("file", "filename", "key")
_FIELDS: dict[str, tuple[str, ...]] = {
    "title": ("title",),
    "description": ("description", "notes", "note"),
    "url": ("url", "source_url"),
    "media_license_declared": ("media_license", "licence", "license"),
    "annotation_license": ("annotation_license", "annotation_licence"),
    "license_evidence": ("licence_evidence", "license_evidence"),
    "attribution": ("attribution", "credit", "author"),
    "consent_ref": ("consent_ref", "consent"),
    "personal_data_basis": ("personal_data_basis",),
    "tdm_reservation": ("tdm_reservation", "tdm-reservation", "do_not_train"),
    "tdm_policy": ("tdm_policy", "tdm-policy"),
}
_BARE = {  # words in common use for licences, where they mean one SPDX licence; "CC-BY" without a version means none
    "own": OWN,
    "public domain": "LicenseRef-public-domain",
    "unlicense": "Unlicense",
    "bsd-3": "BSD-3-Clause",
    "bsd-2": "BSD-2-Clause",
    "cc0": "CC0-1.0",
    "unclear": UNKNOWN,
    "unknown": UNKNOWN,
    "none": UNKNOWN,
}


def spdx_of(words: str) -> str:
    """A licence in a person's words as an SPDX expression, ``unknown`` where the words say that.

    A remark in brackets or after a semicolon is dropped; "X / Y" means that both are claimed and becomes "X", the
    licence proper. Words that are no licence come back as they are and are then refused for what they are.
    """
    stated = re.split(r"[;]", words)[0]
    inner = re.search(r"public domain\s*\(\s*unlicense\s*\)", stated, re.IGNORECASE)
    if inner:
        return "Unlicense"
    stated = re.sub(r"\([^)]*\)", " ", stated) if not re.search(r"\b(AND|OR|WITH)\b", stated) else stated
    stated = " ".join(stated.split(" / ")[0].split())
    return _BARE.get(stated.lower(), stated) if stated else UNKNOWN


@dataclass(frozen=True)
class Sidecars:
    """What lies beside the films of a folder.

    Args:
        records: by key, the film's path relative to the folder.
        problems: key of a film whose own JSON cannot be believed → why. What it would have said is unknown, so such a
            film must not be taken for one that nothing is said of.
        strays: lines of tables that name files outside of the folder, as ``table, line``.
    """

    records: dict[str, SidecarRecord] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)


def read_sidecars(folder: Path, unread: Mapping[str, str] | None = None) -> Sidecars:
    """All sidecars below ``folder``. JSON goes over CSV. What is a film by its bytes is none, whatever its name.

    Args:
        unread: keys of files here whose content could not be had → why.

    Raises:
        AiprodError: a table that cannot be read or has no file column (of which films it speaks is not known, so none
            can be taken in), a line that is wrong, a file that is named twice.
    """
    found, unread = Sidecars(), unread or {}
    files = [path for path in files_below(folder, hidden=True) if not path.is_dir()]
    for table in (path for path in files if path.suffix == ".csv" and _may_be_sidecar(path)):
        for key, record in _read_table(table, folder, unread.get(key_of(table, folder)), found.strays).items():
            if key in found.records:
                raise AiprodError(
                    f"two tables speak of {key} in {folder.name}", f"remove one line, e.g. in {table.name}"
                )
            found.records[key] = record
    for path in (path for path in files if path.suffix == ".json" and _may_be_sidecar(path)):
        for key in _films_of(path, folder):
            try:
                found.records[key] = _read_object(path, unread.get(key_of(path, folder)))
            except AiprodError as error:
                found.problems[key] = f"sidecar: {error.what}"
    return found


def _may_be_sidecar(path: Path) -> bool:
    try:
        return problem_of(path) is not None or not is_media(path)
    except OSError:  # whoever reads it will say so
        return True


def is_sidecar_of(path: Path, names: set[str]) -> bool:
    """Whether a JSON file is named like one of the films beside it (``a.mp4.json`` or ``a.json``)."""
    return path.suffix.lower() == ".json" and bool({path.stem} & names or {path.stem} & {Path(n).stem for n in names})


def record_of(values: Mapping[str, Any], where: str) -> SidecarRecord:
    """A record from named values (CSV cells or a JSON object).

    Raises:
        AiprodError: a value is wrong; names the place.
    """
    cells = {str(k).strip().lower(): v for k, v in values.items() if k is not None and v not in (None, "")}
    record: dict[str, Any] = {}
    for name, columns in _FIELDS.items():
        for column in columns:
            if column in cells:
                record[name] = str(cells[column]).strip()
                break
    if "media_license_declared" in record:
        record["media_license"] = spdx_of(record["media_license_declared"])
    if "annotation_license" in record:
        record["annotation_license"] = spdx_of(record["annotation_license"])
    parts = [str(cells[c]) for c in ("repo", "path") if c in cells]
    if "repo" in cells:
        record["origin"] = ":".join(parts) + (f"@{cells['commit']}" if "commit" in cells else "")
    labels = cells.get("labels", cells.get("tags"))
    if labels is not None:
        pieces = labels if isinstance(labels, list) else re.split(r"[;,]", str(labels))
        record["labels"] = [str(p).strip() for p in pieces if str(p).strip()]
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise AiprodError(f"{where}: there is half a character in it (a lone surrogate)", "write it anew") from None
    return validate(SidecarRecord, record, where)


def _read_table(path: Path, root: Path, problem: str | None, strays: list[str]) -> dict[str, SidecarRecord]:
    problem = problem or problem_of(path)
    if problem is not None:
        raise AiprodError(f"the table {path.name}: {problem}", "save it as CSV in UTF-8, or remove it")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
            names = [n.strip().lower() for n in (lines[0] if lines else {}) if n]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AiprodError(f"the table {path.name} cannot be read ({error})", "save it as CSV in UTF-8") from None
    column = next((c for c in _KEY if c in names), None)
    if lines and column is None:
        raise AiprodError(f"the table {path.name} has no column `file`", "add one that names each film")
    found: dict[str, SidecarRecord] = {}
    for number, line in enumerate(lines, start=2):
        cells = {(k or "").strip().lower(): v for k, v in line.items() if isinstance(v, str | None)}
        name = (cells.get(column or "") or "").strip()
        if not name:
            continue
        place = Path(os.path.normpath(path.parent / name))
        if not place.is_relative_to(root):
            strays.append(f"{key_of(path, root)}, line {number}")
            continue
        key = key_of(place, root)
        if key in found:
            raise AiprodError(f"{path.name}, line {number}: {name} is named twice", "remove one of the lines")
        found[key] = record_of(cells, f"{path.name}, line {number}")
    return found


def _films_of(path: Path, root: Path) -> list[str]:
    """Keys of the films that a JSON sidecar is named like."""
    exact = path.with_name(path.stem)
    if exact.is_file():
        return [key_of(exact, root)]
    beside = [p for p in path.parent.glob(_escape(path.stem) + ".*") if p.is_file() and p.stem == path.stem]
    return sorted(key_of(p, root) for p in beside if p.suffix.lower() not in (".json", ".csv"))


def _escape(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _read_object(path: Path, problem: str | None) -> SidecarRecord:
    problem = problem or problem_of(path)
    if problem is not None:
        raise AiprodError(f"{path.name}: {problem}", "mend or delete it")
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(value, dict):
            return record_of(value, path.name)
    except (OSError, ValueError) as error:
        raise AiprodError(f"{path.name} is not valid JSON ({error})", "mend or delete it") from None
    except RecursionError:
        raise AiprodError(f"{path.name} is nested too deep", "mend or delete it") from None
    raise AiprodError(f"{path.name} is not a JSON object", 'write {"license": "own"}')
