"""Croissant 1.1 with the responsible-AI vocabulary: the dataset's manifests as JSON-LD that other tools can load."""

from __future__ import annotations

import typing
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aiprod.base.files import sha256_file
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records, row_model
from aiprod.governance.dataset.version import describe
from aiprod.governance.dataset.voices import taught
from aiprod.governance.exports.document import plain_text
from aiprod.rights.licences import spdx
from aiprod.storage.manifest.manifest import ROWS, Row

_TERMS = (
    "annotation",
    "arrayShape",
    "citeAs",
    "column",
    "containedIn",
    "equivalentProperty",
    "excludes",
    "extract",
    "field",
    "fileProperty",
    "fileObject",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "readLines",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "sdVersion",
    "separator",
    "source",
    "subField",
    "transform",
    "unArchive",
    "value",
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in _TERMS},
}
FIGURES = {  # what the document says in numbers → the query that counts it
    "films": "count of films",
    "clips": "count of clips",
    "clips admitted to training": "count of clips where admitted = true",
    "films by source": "by source of films",
    "licences": "list license of films where right != deny",
    "steps applied": "by steps of clips",
    "privacy flags": "by privacy_flags of clips",
}
_TYPES = {int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean", str: "sc:Text"}


def croissant(facts: Records, url: str | None = None, top: str = "") -> dict[str, Any]:
    """The document. Every figure in it is counted from the manifests; dates are left to whoever publishes.

    Args:
        url: the page of the dataset, where it has one.
        top: the top of the workspace as seen from the document's folder: readers resolve addresses from where it lies.
    """
    tables, version = Tables(facts), describe(facts)
    counted = {name: tables.ask(query) for name, query in FIGURES.items()}
    sources, steps, flags = counted["films by source"], counted["steps applied"], counted["privacy flags"]
    films, clips, admitted = counted["films"], counted["clips"], counted["clips admitted to training"]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "aiprod-clips",
        "description": f"{films} films and {clips} clips with rights, verdicts, captions and latents.",
        **({"url": url} if url else {}),
        "version": version.version,
        "identifier": f"sha256:{version.merkle_root}",
        "citeAs": f"{version.dataset} {version.version}, Merkle root sha256:{version.merkle_root}",
        "license": [_licence_url(text) for text in counted["licences"] if text != "unknown"],
        "creator": {"@type": "sc:Organization", "name": "AIPROD"},
        "isLiveDataset": False,
        "distribution": [_file(facts, name, top) for name in facts.heads],
        "recordSet": [_records(facts, name) for name in facts.heads],
        "variableMeasured": [_figure(name, query, counted[name]) for name, query in FIGURES.items()],
        "rai:dataCollection": f"Films offered by source: {plain_text(sources)}. "
        + "Each was admitted or refused by the minimum of its layers of rights."
        + "".join(f" Some utterances are {by}." for by in taught(facts)),
        "rai:dataPreprocessingProtocol": [f"{step} ({n} clips)" for step, n in steps.items()] or ["none"],
        "rai:annotationProtocol": "A program writes the captions from measurements and declared labels; no crowd work.",
        "rai:dataLimitations": "Quality verdicts rest on measurements; a face that the detector missed is possible.",
        "rai:personalSensitiveInformation": [f"{name}: {n} clips, held back for review" for name, n in flags.items()]
        or ["none was detected"],
        "rai:dataUseCases": f"Training a text-to-video-with-audio model; {admitted} clips are admitted to it.",
        "rai:dataReleaseMaintenance": "A removal makes a new version; `aiprod lineage` names the models it touches.",
    }


def _file(facts: Records, name: str, top: str) -> dict[str, Any]:
    path = f"{name}/{ROWS}"
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": f"{top}/{path}" if top not in ("", ".") else path,
        "encodingFormat": "application/x-parquet",
        "sha256": sha256_file(facts.root / path),
        "description": f"{facts.heads[name].rows} rows of stage {facts.heads[name].stage}",
    }


# Not the docstrings of the models: those are no part of a stage's code, so that a changed one would not reach the page.
_ROWS_TELL = {
    "FilmRow": "One film that a source offered. A refused or undecodable film keeps its row, with the reason.",
    "ClipRow": "One shot of a film, at exact frames [start_s, end_s) of the film's presentation time "
    "(first picture = 0).",
    "MeasureRow": "Everything that was measured on one clip, by check.",
    "VerdictRow": "The decision on one clip (or on a film that yielded no clip), with its reasons in words.",
    "CaptionRow": "The caption of a clip.",
    "LatentRow": "What became of one clip in one phase.",
    "SpeechRow": "One utterance, with the times of its phones and words, whose voice it is, and by what right.",
}


def _records(facts: Records, name: str) -> dict[str, Any]:
    set_id = name.removeprefix("datasets/v1/").replace("/", "-")
    model = row_model(facts.heads[name].row_model)
    return {
        "@type": "cr:RecordSet",
        "@id": set_id,
        "name": set_id,
        "description": _ROWS_TELL[model.__name__],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{set_id}/{field}",
                "name": field,
                "description": description,
                "dataType": kind,
                "source": {"fileObject": {"@id": f"{name}/{ROWS}"}, "extract": {"column": field}},
            }
            for field, description, kind in _columns(facts, name, model)
        ],
    }


def _columns(facts: Records, name: str, model: type[Row]) -> list[tuple[str, str, str]]:
    """Name, description and type of each column of a table; each figure of a measurement is one."""
    columns = [
        (field, about.description or field.replace("_", " "), _type(about.annotation))
        for field, about in model.model_fields.items()
        if field != model.FIGURES
    ]
    schema = pq.read_schema(facts.root / name / ROWS) if model.FIGURES else ()
    figures = [column for column in schema if "." in column.name]
    return columns + [(c.name, c.name.replace(".", ": ", 1).replace("_", " "), _arrow_type(c.type)) for c in figures]


def _arrow_type(kind: pa.DataType) -> str:
    known = {pa.int64(): "sc:Integer", pa.float64(): "sc:Float", pa.bool_(): "sc:Boolean"}
    return known.get(kind, "sc:Text")


def _type(annotation: Any) -> str:
    """The scalar type of a column; nested values are stored as JSON text."""
    if annotation in _TYPES:
        return _TYPES[annotation]
    inner = [a for a in typing.get_args(annotation) if a is not type(None)]
    return _TYPES.get(inner[0], "sc:Text") if len(inner) == 1 and not _nested(annotation) else "sc:Text"


def _nested(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, dict, tuple)


def _licence_url(text: str) -> str:
    """SPDX's page of a plain licence; the expression itself otherwise."""
    expression = spdx(text)
    plain_text = " " not in expression and not expression.startswith("LicenseRef-")
    return f"https://spdx.org/licenses/{expression}.html" if plain_text else expression


def _figure(name: str, query: str, value: Any) -> dict[str, Any]:
    """A figure with the command that counts it again, in schema.org's words."""
    return {
        "@type": "sc:PropertyValue",
        "name": name,
        "value": value if isinstance(value, int | float) else plain_text(value),
        "measurementTechnique": f"aiprod dataset count '{query}'",
    }
