"""Names of columns and of JSON keys in what lies beside films, and the field that each of them fills.

A column that is not known is left out only where it cannot speak of rights: one whose name comes near a known one,
holds a word of rights, or is of a language that is not read here, is an error that names the nearest, because what it
says would be lost.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import lru_cache

from aiprod.errors import AiprodError
from aiprod.rights.licence_words import quoted
from aiprod.rights.training_opt_outs import latin, readable

FILE = "file"
ALSO_FILE = "path"  # a film's place where no other column says it, else the place in `repo`
PEOPLE = "people"  # whether any are shown, which asks for a basis
FIELDS: dict[str, tuple[str, ...]] = {
    FILE: ("file", "filename", "file_name", "key", "datei", "dateiname", "fichier", "archivo"),
    "title": ("title", "titel", "titre", "titulo", "titolo"),
    "description": (
        "description",
        "notes",
        "note",
        "comment",
        "comments",
        "remark",
        "remarks",
        "beschreibung",
        "bemerkung",
        "bemerkungen",
        "anmerkung",
        "anmerkungen",
        "notiz",
        "notizen",
        "remarque",
        "remarques",
        "descripcion",
        "descrizione",
    ),
    "url": ("url", "source_url"),
    "repo": ("repo",),
    "path": ("path",),
    "commit": ("commit",),
    "media_license": (
        "media_license",
        "license",
        "license_url",
        "rights",
        "usage_terms",
        "spdx",
        "spdx_license_identifier",
        "lizenz",
        "licencia",
        "licenza",
        "licenca",
        "licentie",
    ),
    "origin": ("source", "origin", "platform", "host", "media_host", "website", "webpage_url"),
    "annotation_license": ("annotation_license",),
    "license_evidence": ("license_evidence",),
    "attribution": (
        "attribution",
        "credit",
        "author",
        "creator",
        "copyright",
        "copyright_holder",
        "rights_holder",
        "credit_line",
        "copyright_owner",
        "rightsholder",
        "rights_owner",
        "owner",
        "holder",
        "licensor",
        "urheber",
        "urheberin",
        "rechteinhaber",
        "autor",
        "auteur",
        "autore",
    ),
    "labels": (
        "labels",
        "tags",
        "label",
        "tag",
        "schlagworter",
        "schlagwoerter",
        "schlagworte",
        "stichworter",
        "stichworte",
        "mots_cles",
        "palabras_clave",
        "parole_chiave",
    ),
    "consent_ref": ("consent_ref", "consent", "einwilligung", "consentement", "consentimiento", "consenso"),
    "personal_data_basis": ("personal_data_basis",),
    PEOPLE: ("people", "persons", "person", "faces", "has_people", "personen", "personnes", "personas", "persone"),
    "tdm_reservation": ("tdm_reservation", "do_not_train"),
    "tdm_policy": ("tdm_policy",),
}
"""Field → its columns, in lower case, with underscores, "license" spelt with an s."""
OF_OWNERS = {
    "copyright_holder",
    "copyright_owner",
    "rights_holder",
    "rightsholder",
    "rights_owner",
    "owner",
    "holder",
    "licensor",
    "rechteinhaber",
    "urheber",
    "urheberin",
}
"""Columns that ask who may permit anything, of which a credit alone says nothing."""
MEASURED = frozenset(
    {
        "width",
        "height",
        "fps",
        "duration",
        "duration_s",
        "vcodec",
        "acodec",
        "codec",
        "sample_rate",
        "channels",
        "bitrate",
        "bitrate_kbps",
        "size",
        "size_bytes",
        "bytes",
        "sha256",
        "md5",
        "frames",
        "format",
        "id",
        "number",
        "date",
        "year",
        "language",
    }
)
"""Columns that say what is measured here, or what nothing here asks for."""
_OF_PEOPLE = re.compile(
    r"(^|_)(people|persons?|humans?|faces?|child|children|kids?|babies|baby|actors?|actress|actresses|performers?|"
    r"cast|talents?|speakers?|interviewees?|participants?|protagonists?|bystanders?|passers_?by|crowds?|identifiable|"
    r"recogni[sz]able|menschen|gesicht|gesichter|kinder|darsteller|visages?|personnes?|enfants?|personas?|caras?|"
    r"ninos|persone|volti|pessoas|rostos)(_|$)"
)
_OF_A_VERDICT = re.compile(
    r"(^|_)(ok|okay|good|bad|fine|use|using|useable|keep|safe|unsafe|valid|invalid|pass|passed|fail|failed|"
    r"accept(ed|able)?|reject(ed)?|include|included|skip|drop|remove|delete|hold|on_hold|verdict|decision|decided|"
    r"public|private|internal|secret|sensitive|release|released|releasable|publish|published|shareable|sharing|"
    r"sellable|eligible|suitable|trusted|go|no_go|green_light|greenlit|freigabe|freigegeben|erlaubt|gesperrt|"
    r"geprueft|gepruft)(_|$)"
)
_PLAIN_FLAGS = re.compile(
    r"(^|_)(hdr|audio|sound|mute|muted|silent|silence|interlaced|progressive|vfr|cfr|loop|looped|looping|colou?r|bw|"
    r"grayscale|greyscale|stabili[sz]ed|slow_?mo|slow_motion|time_?lapse|drone|indoors?|outdoors?|day|night|vertical|"
    r"portrait|landscape|rotated|static|handheld|live|embed|embeddable|subtitles?|captions?|alpha|stereo|mono|video|"
    r"transparent|animated|cartoon|compressed|lossless|cropped|resized|trimmed|cut|blurry|sharp|noisy|cfr|default)(_|"
    r"$)"
)
_OF = {column: field for field, columns in FIELDS.items() for column in columns}
_OF_RIGHTS = re.compile(
    r"licen|(^|_|copy)rights?(_|$)|permi[ts]|forbid|prohib|reserv|consent|gdpr|personal|privacy|tdm|(^|_)(un)?train|"
    r"mining|restrict|usage|terms|do_not|no_?ai|(^|_)(ai|ml|nc|nd|allow|allowed|basis)(_|$)|model_release|commercial|"
    r"copyleft|no_?train|opt(ed)?_?out|no_?index|robots|clear(ed|ance)|embargo|confiden|exclu|den(y|ied)|blocked|"
    r"creative_commons|approv|withdr|revo[kc]|expir|(^|_)(usable|until|valid_(until|to|through))(_|$)|take_?down|"
    r"(^|_)(uses?|ki|ia|cc|llms?|genai|tos|eula|legal|minors|dsgvo|rgpd|cgu|agb)(_|$)|lizenz|licen[czs]|lisens|droit|"
    r"derecho|diritt|direit|recht|nutzung|urheber|zustimm|einwillig|vertraulich|geheim|einschrank|beschrank|verbot|"
    r"datenschutz|entrain|entren|trein|addestr|personen|prohib|interdi|vietat"
)  # as names are without accents
_NEAR = 0.8
_MAYBE = 0.6  # below it a guess sends people to a column that means another thing


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
    bare = latin(re.sub(r"[\W_]+", "_", readable(plain)))  # as it looks: without accents, alphabets taken for one
    if bare in _OF:
        return _OF[bare]
    near = difflib.get_close_matches(bare[:64], _OF, n=1, cutoff=_NEAR) if len(bare) > 3 else []
    if _OF_PEOPLE.search(bare) and not _OF_RIGHTS.search(bare):
        return PEOPLE
    if (
        near or _OF_RIGHTS.search(bare) or _OF_A_VERDICT.search(bare) or not bare.isascii()
    ):  # of a language that is not read here
        guess = near or difflib.get_close_matches(bare[:64], _OF, n=1, cutoff=_MAYBE)
        raise AiprodError(
            f"{where}: the column {quoted(name)} is not known, and what it says might count",
            (f"did you mean `{guess[0]}`? " if guess else "docs/sources.md lists the columns. ")
            + "Rename it, or remove it if it says nothing of rights",
        )
    return None


def is_plain_flag(name: str) -> bool:
    """Whether yes or no in a column that is not known says how a film looks or sounds, and so nothing of rights."""
    plain = plain_column(name)
    return plain in MEASURED or _PLAIN_FLAGS.search(plain) is not None
