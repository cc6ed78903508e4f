"""What stage scan does when something may have changed: list what the sources offer, record the code of the stages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiprod.base.code_identity import RECORD, record
from aiprod.base.files import read_json, write_json
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.base.state import state, workspace
from aiprod.base.state_cache import InputState, remember_unchanged
from aiprod.data.params import IngestParams
from aiprod.data.sources.recordings import folders_of_recordings, recordings_digest, recordings_folder
from aiprod.data.sources.registry import load_sources, source_of
from aiprod.data.sources.scan import scan
from aiprod.data.sources.scan_fingerprint import ScanSummary, fingerprint, remember_scan, remembered
from aiprod.printable import counted, escape_controls
from aiprod.rights.agreements import CONSENT, lapsed, load_consents
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.crypto import tombstones

OFFERS = Path("datasets/v1/offers.json")
SOURCES = Path("datasets/sources.yaml")
NOTE = "scan-again"
"""Under which name what was found is kept."""
_SAID = 20  # problems that are said one by one


def scan_all(stated: Sequence[Any]) -> None:
    """Record the code of each stage and list what the sources offer; note it for the next scan.

    Args:
        stated: what a scan depends on that is in no file.
    """
    watched = _watched(*_settings())
    begun = watched.before(stated) if watched is not None else None
    params, sources, recordings = _settings()  # again: they may have been edited in between
    over = lapsed(sources, load_consents(), dt.date.today())
    changed = record({"recordings": recordings_digest(recordings, sources, over)})
    if changed:
        log(f"scan: the code of {', '.join(changed)} changed")
    seen = fingerprint(params, sources, over, read_json(RECORD).get("scan"))
    if (before := remembered(seen, OFFERS)) is None:
        before = _listed(params, sources, over)
        remember_scan(seen, OFFERS, before)
    else:
        for line in _unchanged(before):
            log(line)
    if watched is not None:
        remember_unchanged(NOTE, watched, begun, _unchanged(before))


def _settings() -> tuple[IngestParams, SourcesFile, dict[str, str]]:
    """Parameters, declarations and the folders of recordings."""
    return load_params(IngestParams, "ingest"), load_sources(), folders_of_recordings()


def _listed(params: IngestParams, sources: SourcesFile, over: Sequence[str]) -> ScanSummary:
    """List what the sources offer, write it, and say what is odd."""
    offers = scan(params, sources, over)
    write_json(OFFERS, offers.document())
    for name in offers.mute_sidecars:
        log(f"scan: a table names {escape_controls(name)}, which is not there")
    for line in offers.stray_lines:
        log(f"scan: {escape_controls(line)} names a file outside of the source")
    for line in offers.unread:
        log(f"scan: nothing is taken from {escape_controls(line)}")
    for name in over:
        log(f"scan: the time of {name} is over")
    counts: dict[str, int] = {}
    for offer in offers.offers:
        counts[offer.source_id] = counts.get(offer.source_id, 0) + 1
    if offers.erased:
        counts["(erased)"] = len(offers.erased)
    odd = [offer for offer in offers.offers if offer.problem is not None]
    for offer in odd[:_SAID]:
        log(f"scan: {escape_controls(f'{offer.source_id}/{offer.key}')}: {escape_controls(offer.problem or '')}")
    if len(odd) > _SAID:
        log(f"scan: and {len(odd) - _SAID} more cannot be ingested; their rows state the reason")
    log("scan: " + _counted(counts))
    notes = len(offers.mute_sidecars) + len(offers.stray_lines) + len(offers.unread)
    return ScanSummary(counts, len(odd), notes)


def _unchanged(before: ScanSummary) -> list[str]:
    """What the last scan found, of which nothing changed."""
    lines = [f"scan: {_counted(before.offered)} (nothing changed)"]
    if before.refused:
        lines.append(f"scan: {before.refused} cannot be ingested, as before; their rows state the reason")
    if before.notes:
        noted = counted(before.notes, "note")
        lines.append(f"scan: {noted} on tables and documents, as before; change one to read it again")
    return lines


def _watched(params: IngestParams, sources: SourcesFile, recordings: Mapping[str, str]) -> InputState | None:
    """All that a scan looks at; None where a source is on a server."""
    places: list[Path] = []
    for source_id in dict.fromkeys(params.sources):
        folders = source_of(source_id, sources.get(source_id), params).watched()
        if folders is None:
            return None
        places += folders
    places += [recordings_folder(name, place) for name, place in recordings.items()]
    root = workspace()
    existing = [folder for folder in (root / "src/aiprod", root / "pipeline", CONSENT) if folder.is_dir()]
    return InputState(
        read=[Path("params.yaml"), SOURCES, root / "constraints.txt", *tombstones.places()],
        below=[*existing, state().again, state().keys, *places],
        outputs=[RECORD, OFFERS],
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{source} offers {count}" for source, count in sorted(counts.items()))
