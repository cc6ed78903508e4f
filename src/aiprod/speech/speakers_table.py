"""``speakers.csv`` in a folder of recordings: who speaks, in which language, and by which record of consent."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from aiprod.base.params import nearest
from aiprod.base.structured import read_bounded
from aiprod.errors import AiprodError
from aiprod.rights.declarations import SidecarRecord
from aiprod.speech.phones import ENGLISH
from aiprod.speech.text_to_phones import check_language

NAME = "speakers.csv"
_MOST = 16 << 20
_RIGHTS = ("consent_ref", "media_license", "personal_data_basis", "attribution", "url")
_COLUMNS = ("speaker", "language", *_RIGHTS)


@dataclass(frozen=True)
class SpeakerEntry:
    """A line of the table, or what holds of a speaker whom none is about.

    Attributes:
        statement: of rights, as a sidecar says it of a film.
    """

    language: str = ENGLISH
    statement: SidecarRecord = field(default_factory=SidecarRecord)


def read_speakers(folder: Path) -> dict[str, SpeakerEntry]:
    """Speaker → what the table says; empty without one.

    Raises:
        AiprodError: the table cannot be read, has a column that is not known, names a speaker twice, or a language that
            is not known.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        text = read_bounded(path, _MOST).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AiprodError(f"{NAME} is not UTF-8 text", "save it as UTF-8") from None
    rows = list(csv.reader(io.StringIO(text)))
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if "speaker" not in header:
        raise AiprodError(f"{NAME} has no column `speaker`", f"columns: {', '.join(_COLUMNS)}")
    for name in header:
        if name not in _COLUMNS:
            raise AiprodError(f"{NAME} has a column {name!r}", nearest(name, list(_COLUMNS)))
    speakers: dict[str, SpeakerEntry] = {}
    for number, cells in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            raise AiprodError(f"{NAME}, line {number} has more cells than columns", "put quotes round a comma")
        cells_by_name = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
        speaker = cells_by_name.pop("speaker", "")
        if not speaker or speaker in speakers:
            problem = "named twice" if speaker else "empty"
            raise AiprodError(f"{NAME}, line {number}: the speaker is {problem}", "fix that line")
        language = cells_by_name.pop("language", ENGLISH)
        check_language(language)
        try:
            speakers[speaker] = SpeakerEntry(language, SidecarRecord.model_validate(cells_by_name))
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise AiprodError(
                f"{NAME}, line {number}: {name} is {cells_by_name[name]!r}", "see docs/sources.md"
            ) from None
    return speakers
