"""Names of columns and of JSON keys in what lies beside films, and the field that each of them fills.

A column that is not known is left out only where it cannot speak of rights: one whose name comes near a known one, or
holds a word of rights, is an error that names the nearest, because what it says would be lost.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import lru_cache

from aiprod.errors import AiprodError
from aiprod.rights.licence_words import quoted

FILE = "file"
ALSO_FILE = "path"  # a film's place where no other column says it, else the place in `repo`
FIELDS: dict[str, tuple[str, ...]] = {
    FILE: ("file", "filename", "file_name", "key"),
    "title": ("title",),
    "description": ("description", "notes", "note", "comment", "comments", "remark", "remarks"),
    "url": ("url", "source_url"),
    "repo": ("repo",),
    "path": ("path",),
    "commit": ("commit",),
    "media_license": ("media_license", "license", "license_url", "rights", "usage_terms"),
    "annotation_license": ("annotation_license",),
    "license_evidence": ("license_evidence",),
    "attribution": ("attribution", "credit", "author", "creator", "copyright", "copyright_holder", "rights_holder"),
    "labels": ("labels", "tags", "label", "tag"),
    "consent_ref": ("consent_ref", "consent"),
    "personal_data_basis": ("personal_data_basis",),
    "tdm_reservation": ("tdm_reservation", "do_not_train"),
    "tdm_policy": ("tdm_policy",),
}
"""Field → its columns, in lower case, with underscores, "license" spelt with an s."""
MEASURED = frozenset(
    {
        "width", "height", "fps", "duration", "duration_s", "vcodec", "acodec", "codec", "sample_rate", "channels",
        "bitrate", "bitrate_kbps", "size", "size_bytes", "bytes", "sha256", "md5", "frames", "format", "id", "number",
        "date", "year", "language",
    }
)  # fmt: skip
"""Columns that say what is measured here, or what nothing here asks for."""
_OF = {column: field for field, columns in FIELDS.items() for column in columns}
_OF_RIGHTS = re.compile(
    r"licen|(^|_|copy)rights?(_|$)|permi[ts]|forbid|prohib|reserv|consent|gdpr|personal|privacy|tdm|(^|_)(un)?train|mining|"
    r"restrict|usage|terms|do_not|no_?ai|(^|_)(ai|ml|nc|nd|allow|allowed|basis)(_|$)|model_release|commercial|copyleft"
)
_NEAR = 0.8


@lru_cache(maxsize=1024)
def plain_column(name: str) -> str:
    """A column's name as the table above spells it: ``Do-Not-Train`` is ``do_not_train``."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip("\ufeff\u200b \t\r\n\"'#*:")
    return re.sub(r"[\W_]+", "_", plain).strip("_").replace("licence", "license")


def field_of(name: str, where: str) -> str | None:
    """The field that a column fills; None for one that says nothing of rights.

    Raises:
        AiprodError: the name comes near a known one, or speaks of rights.
    """
    plain = plain_column(name)
    if plain in _OF:
        return _OF[plain]
    squeezed = {column.replace("_", ""): field for column, field in _OF.items()}
    if plain.replace("_", "") in squeezed:
        return squeezed[plain.replace("_", "")]
    if plain in MEASURED:
        return None
    near = difflib.get_close_matches(plain[:64], _OF, n=1, cutoff=_NEAR) if len(plain) > 3 else []
    if near or _OF_RIGHTS.search(plain):
        guess = near or difflib.get_close_matches(plain[:64], _OF, n=1, cutoff=0.0)
        raise AiprodError(
            f"{where}: the column {quoted(name)} is not known, and what it says might count",
            f"did you mean `{guess[0]}`? Rename it, or remove it if it says nothing of the film's rights",
        )
    return None
