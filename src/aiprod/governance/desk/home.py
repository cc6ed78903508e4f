"""The first page: what the dossier counted, whether it still holds, and what waits for somebody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.structured import read_json_mapping
from aiprod.errors import AiprodError
from aiprod.governance.audit.unfinished_erasures import problems
from aiprod.governance.desk.comparison import figures
from aiprod.governance.review.sampling import load_sample, sample_names
from aiprod.storage.manifest.manifest import HEAD, read_head

DOSSIER = "reports/dossier"


@dataclass(frozen=True)
class Overview:
    """Read from what the stages wrote down, so that a million clips cost no more than ten.

    Attributes:
        summary: of the dossier; empty where there is none.
        changed: manifests that are not those that the dossier counted.
        metrics: headline figures, by name.
        drawn: samples for review that were drawn.
        notes: what somebody has to see to.
    """

    summary: dict[str, Any]
    changed: list[str]
    metrics: list[tuple[str, str]]
    drawn: list[str]
    notes: list[str]
    has_page: bool


def overview(root: Path) -> Overview:
    """The state of the workspace.

    Raises:
        AiprodError: a file is damaged.
    """
    place = root / DOSSIER / "summary.json"
    summary = dict(read_json_mapping(place)) if place.is_file() else {}
    roots = summary.get("manifest_roots") or {}
    changed = [name for name, stated in roots.items() if _merkle_root(root / name) != stated]
    metrics = sorted(figures(root / "metrics").items())
    drawn = [name for name in sample_names(root) if load_sample(root, name).value is not None]
    return Overview(summary, changed, metrics, drawn, problems(), (root / DOSSIER / "index.html").is_file())


def _merkle_root(folder: Path) -> str | None:
    try:
        return read_head(folder).merkle_root if (folder / HEAD).is_file() else None
    except AiprodError:  # damaged, so another one in any case; lineage says how
        return None
