"""JSON Schemas (draft 2020-12) of every manifest: what a stranger needs to read and check the files without AIPROD."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aiprod.base.files import write_text
from aiprod.storage.manifest.manifest import HEAD, ROWS

FOLDER = Path("docs/schemas")

# Schema → the model, by name: loading some of these modules loads torch, and only this command needs them all.
MODELS = {
    "head": "aiprod.storage.manifest.manifest:Head",
    "film": "aiprod.data.rows:FilmRow",
    "clip": "aiprod.data.rows:ClipRow",
    "measure": "aiprod.qc.rows:MeasureRow",
    "verdict": "aiprod.qc.rows:VerdictRow",
    "caption": "aiprod.captions.rows:CaptionRow",
    "latent": "aiprod.data.latents.rows:LatentRow",
    "speech": "aiprod.speech.rows:SpeechRow",
    "face": "aiprod.lips.rows:FaceRow",
    "sample": "aiprod.evaluation.sample_stage:SampleRow",
    "training": "aiprod.models.artifacts:TrainingRecord",
    "version-row": "aiprod.governance.dataset.version:VersionRow",
    "version": "aiprod.governance.dataset.version:DatasetVersion",
    "published-version": "aiprod.governance.dataset.version:Published",
    "sources": "aiprod.rights.declarations:SourcesFile",
}

_WHERE = {
    "head": f"every {HEAD} beside a {ROWS}",
    "film": f"rows of datasets/v1/ingest/films/{ROWS}",
    "clip": f"rows of datasets/v1/ingest/clips/{ROWS}",
    "measure": f"rows of datasets/v1/qc/measure/{ROWS}",
    "verdict": f"rows of datasets/v1/qc/decide/{ROWS}",
    "caption": f"rows of datasets/v1/captions/{ROWS}",
    "latent": f"rows of datasets/v1/latents/{ROWS}",
    "speech": f"rows of datasets/v1/speech/{ROWS}",
    "face": f"rows of datasets/v1/faces/{ROWS}",
    "sample": f"rows of reports/samples/{ROWS}",
    "training": "models/diffusion/training.json",
    "version-row": "what the Merkle root of a dataset version is taken over",
    "version": "datasets/v1/manifest.json",
    "published-version": "datasets/versions/*.json",
    "sources": "datasets/sources.yaml",
}


def model_of(name: str) -> type[BaseModel]:
    """The pydantic model behind a schema."""
    module, _, attribute = MODELS[name].partition(":")
    model: type[BaseModel] = getattr(importlib.import_module(module), attribute)
    return model


def schema(name: str) -> dict[str, Any]:
    """The schema of one kind of file. Nested values of Parquet rows are JSON text there, and objects here."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:aiprod:schema:{name}",
        "$comment": f"Holds for {_WHERE[name]}. Written by `aiprod export schemas`.",
        **model_of(name).model_json_schema(mode="serialization"),
    }


def documents() -> Iterator[tuple[str, str]]:
    """File name and text of every schema."""
    for name in MODELS:
        yield f"{name}.schema.json", json.dumps(schema(name), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> list[str]:
    """Write every schema into ``folder``; returns the names."""
    written = []
    for name, text in documents():
        write_text(folder / name, text)
        written.append(name)
    return written
