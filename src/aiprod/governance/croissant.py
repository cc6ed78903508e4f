"""Croissant 1.1 with the responsible-AI vocabulary: the dataset's manifests as JSON-LD that other tools can load."""

from __future__ import annotations

import typing
from collections import Counter
from typing import Any

from aiprod.base.files import sha256_file
from aiprod.base.manifest import ROWS
from aiprod.governance import dossier_facts as count
from aiprod.governance.licences import spdx
from aiprod.governance.records import Records, row_model

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
_TYPES = {int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean", str: "sc:Text"}


def croissant(facts: Records, url: str | None = None) -> dict[str, Any]:
    """The document. Every figure in it is counted from the manifests; dates are left to whoever publishes.

    Args:
        url: the page of the dataset, where it has one.
    """
    total = count.totals(facts)
    licences = Counter(f.media_license for f in facts.films.values() if f.effective_right != "deny" and f.media_license)
    flags = Counter(flag for v in facts.verdicts.values() for flag in v.privacy_flags)
    admitted = sum(facts.admitted(clip_id) for clip_id in facts.clips)
    version = next(iter(facts.heads.values())).merkle_root if facts.heads else ""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "aiprod-clips",
        "description": f"{total.films} films and {total.clips} clips with rights, verdicts, captions and latents.",
        **({"url": url} if url else {}),
        "version": "1.0.0",
        "identifier": f"sha256:{version}",
        "license": [_licence_url(text) for text in sorted(licences)],
        "creator": {"@type": "sc:Organization", "name": "AIPROD"},
        "isLiveDataset": False,
        "distribution": [_file(facts, name) for name in facts.heads],
        "recordSet": [_records(facts, name) for name in facts.heads],
        "rai:dataCollection": _collection(facts),
        "rai:dataPreprocessingProtocol": _steps(facts),
        "rai:annotationProtocol": "A program writes the captions from measurements and declared labels; no crowd work.",
        "rai:dataLimitations": "Quality verdicts rest on measurements; a face that the detector missed is possible.",
        "rai:personalSensitiveInformation": [
            f"{name}: {n} clips, held back for review" for name, n in sorted(flags.items())
        ]
        or ["none was detected"],
        "rai:dataUseCases": f"Training a text-to-video-with-audio model; {admitted} clips are admitted to training.",
        "rai:dataReleaseMaintenance": "A removal makes a new version; `aiprod lineage` names the models it touches.",
    }


def _file(facts: Records, name: str) -> dict[str, Any]:
    path = f"{name}/{ROWS}"
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "encodingFormat": "application/x-parquet",
        "sha256": sha256_file(facts.root / path),
        "description": f"{facts.heads[name].rows} rows of stage {facts.heads[name].stage}",
    }


def _records(facts: Records, name: str) -> dict[str, Any]:
    set_id = name.removeprefix("datasets/v1/").replace("/", "-")
    model = row_model(facts.heads[name].row_model)
    return {
        "@type": "cr:RecordSet",
        "@id": set_id,
        "name": set_id,
        "description": (model.__doc__ or "").split("\n")[0],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{set_id}/{field}",
                "name": field,
                "description": about.description or field.replace("_", " "),
                "dataType": _type(about.annotation),
                "source": {"fileObject": {"@id": f"{name}/{ROWS}"}, "extract": {"column": field}},
            }
            for field, about in model.model_fields.items()
        ],
    }


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
    plain = " " not in expression and not expression.startswith("LicenseRef-")
    return f"https://spdx.org/licenses/{expression}.html" if plain else expression


def _collection(facts: Records) -> str:
    sources = Counter(f.source_id for f in facts.films.values())
    return (
        "Films offered by source: "
        + ", ".join(f"{name} {n}" for name, n in sorted(sources.items()))
        + ". Each was admitted or refused by the minimum of its layers of rights."
    )


def _steps(facts: Records) -> list[str]:
    steps = Counter(step for clip in facts.clips.values() for step in clip.steps)
    return [f"{step} ({n} clips)" for step, n in sorted(steps.items())] or ["none"]
