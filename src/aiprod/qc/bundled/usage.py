"""Which bundled networks looked at the clips of a dataset, with digests and licence texts, for whoever has to answer.

The record lies beside the measurements, so that documents can be written where the packages are not installed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiprod.base.files import write_json
from aiprod.qc.bundled.catalogue import BUNDLED, USES, Use

PLACE = "networks.json"
_NAMES = {"speech": "voices", "lips": "lip_sync"}
_MEASUREMENTS: Mapping[Use, str] = {use: _NAMES.get(use, use) for use in USES}


def used_in(
    measured: Iterable[Mapping[str, Mapping[str, Any]]], column: Callable[[str], Sequence[Any]] | None = None
) -> dict[Use, int]:
    """How many clips each network gave figures of; a network that gave none is left out.

    Args:
        measured: the measurements of each clip, by name.
        column: of further clips, the values of ``<measurement>.<figure>``.
    """
    endings = {use: f"-{BUNDLED[use].identity()}" for use in USES}
    counts = dict.fromkeys(USES, 0)
    for clip in measured:
        for use, name in _MEASUREMENTS.items():
            figures = clip.get(name) or {}
            counts[use] += figures.get("status") == "ok" and str(figures.get("version")).endswith(endings[use])
    if column is not None:
        for use, name in _MEASUREMENTS.items():
            alike = Counter(zip(column(f"{name}.status"), column(f"{name}.version"), strict=True))
            counts[use] += sum(
                n for (status, of), n in alike.items() if status == "ok" and str(of).endswith(endings[use])
            )
    return {use: count for use, count in counts.items() if count}


def record_used(
    folder: Path,
    measured: Iterable[Mapping[str, Mapping[str, Any]]],
    column: Callable[[str], Sequence[Any]] | None = None,
) -> None:
    """Write ``networks.json`` into the folder; where no network was used there is none.

    Args:
        column: as for :func:`used_in`.
    """
    networks = [
        {
            "use": use,
            "title": model.title,
            "package": model.package or "aiprod",
            "package_version": model.version,
            "licence": model.licence,
            "files_sha256": {Path(name).name: digest for name, digest in model.files.items()},
            "clips": clips,
            "licence_text": model.licence_text(),
        }
        for use, clips in used_in(measured, column).items()
        for model in (BUNDLED[use],)
    ]
    if networks:
        write_json(folder / PLACE, {"networks": networks})
    else:
        (folder / PLACE).unlink(missing_ok=True)
