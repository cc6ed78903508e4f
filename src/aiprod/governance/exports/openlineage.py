"""The pipeline as OpenLineage events (https://openlineage.io/spec/2-0-2/OpenLineage.json): one JobEvent for each stage.

Job events describe what a job reads and writes; nothing here claims when a stage ran, which dvc.lock does not know. The
time in an event is when the event was made, as the standard has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiprod.repo.dvc_lock import Lock
from aiprod.storage.manifest.manifest import HEAD, Head, read_head

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
_FACETS = "https://openlineage.io/spec/facets"
PRODUCER = "urn:aiprod:export"
NAMESPACE = "aiprod"


def job_events(root: Path, lock: Lock) -> Iterator[dict[str, Any]]:
    """One event a stage, in the order of the pipeline. Code files are not data and are not listed."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for name, entry in lock.stages.items():
        deps = [d for d in entry.get("deps", []) if d["path"] in lock.outs or d["path"].startswith("datasets/")]
        yield {
            "eventTime": now,
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
            "job": {
                "namespace": NAMESPACE,
                "name": name,
                "facets": {
                    "jobType": _facet(
                        "2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
                        {"processingType": "BATCH", "integration": "DVC", "jobType": "STAGE"},
                    ),
                    "documentation": _facet(
                        "1-1-0/DocumentationJobFacet.json#/$defs/DocumentationJobFacet",
                        {"description": str(entry.get("cmd", ""))},
                    ),
                },
            },
            "inputs": [_dataset(root, item) for item in deps],
            "outputs": [_dataset(root, item) for item in entry.get("outs", [])],
        }


def _dataset(root: Path, item: dict[str, Any]) -> dict[str, Any]:
    facets = {
        "version": _facet(
            "1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
            {"datasetVersion": str(item.get("md5", ""))},
        )
    }
    head = _head(root / item["path"])
    if head is not None:
        facets["tags"] = _facet(
            "1-0-0/TagsDatasetFacet.json#/$defs/TagsDatasetFacet",
            {
                "tags": [
                    {"key": "merkle_root", "value": head.merkle_root, "source": "AIPROD"},
                    {"key": "rows", "value": str(head.rows), "source": "AIPROD"},
                ]
            },
        )
    return {"namespace": NAMESPACE, "name": item["path"], "facets": facets}


def _head(folder: Path) -> Head | None:
    return read_head(folder) if (folder / HEAD).is_file() else None


def _facet(schema: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{_FACETS}/{schema}", **values}
