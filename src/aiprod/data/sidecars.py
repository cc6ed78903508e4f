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
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiprod.base.errors import AiprodError
from aiprod.base.params import validate
from aiprod.data.sources import OWN, UNKNOWN, SidecarRecord

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


def read_sidecars(folder: Path) -> dict[str, SidecarRecord]:
    """Records of all sidecars below ``folder``, by key (the film's path relative to it). JSON goes over CSV.

    Raises:
        AiprodError: a table without a file column, a line or object that is wrong, a file that is named twice.
    """
    found: dict[str, SidecarRecord] = {}
    for table in sorted(folder.rglob("*.csv")):
        for key, record in _read_table(table, folder).items():
            if key in found:
                raise AiprodError(
                    f"two tables speak of {key} in {folder.name}", f"remove one line, e.g. in {table.name}"
                )
            found[key] = record
    for path in sorted(folder.rglob("*.json")):
        for key in _films_of(path, folder):
            found[key] = _read_object(path)
    return found


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
    return validate(SidecarRecord, record, where)


def _read_table(path: Path, root: Path) -> dict[str, SidecarRecord]:
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
        key = (path.parent / name).relative_to(root).as_posix()
        if key in found:
            raise AiprodError(f"{path.name}, line {number}: {name} is named twice", "remove one of the lines")
        found[key] = record_of(cells, f"{path.name}, line {number}")
    return found


def _films_of(path: Path, root: Path) -> list[str]:
    """Keys of the films that a JSON sidecar is named like."""
    exact = path.with_name(path.stem)
    if exact.is_file():
        return [exact.relative_to(root).as_posix()]
    beside = [p for p in path.parent.glob(_escape(path.stem) + ".*") if p.is_file() and p.stem == path.stem]
    return sorted(p.relative_to(root).as_posix() for p in beside if p.suffix.lower() not in (".json", ".csv"))


def _escape(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _read_object(path: Path) -> SidecarRecord:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AiprodError(f"the sidecar {path.name} is not valid JSON ({error})", "mend or delete it") from None
    if not isinstance(value, dict):
        raise AiprodError(f"the sidecar {path.name} is not a JSON object", 'write {"license": "own"}')
    return record_of(value, path.name)
