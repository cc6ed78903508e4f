"""Stage scan: list what the enabled sources offer now, and record the code of each stage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from aiprod.base.code_identity import RECORD, record
from aiprod.base.files import read_json, write_json
from aiprod.base.params import load_params
from aiprod.base.progress import log
from aiprod.data.params import IngestParams
from aiprod.data.sources.recordings import folders_of_recordings, recordings_digest
from aiprod.data.sources.registry import load_sources
from aiprod.data.sources.scan import scan
from aiprod.data.sources.unchanged import ScanSummary, fingerprint, remember_scan, remembered
from aiprod.printable import counted, escape_controls
from aiprod.rights.agreements import lapsed, load_consents
from pipeline.running import run

OFFERS = Path("datasets/v1/offers.json")
_SAID = 20  # problems that are said one by one


def main() -> None:
    """Record the code of each stage and list what the sources offer."""
    sources = load_sources()
    over = lapsed(sources, load_consents(), dt.date.today())
    changed = record({"recordings": recordings_digest(folders_of_recordings(), sources, over)})
    if changed:
        log(f"scan: the code of {', '.join(changed)} changed")
    params = load_params(IngestParams, "ingest")
    seen = fingerprint(params, sources, over, read_json(RECORD).get("scan"))
    if (before := remembered(seen, OFFERS)) is not None:
        _say_unchanged(before)
        return
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
    remember_scan(seen, OFFERS, ScanSummary(counts, len(odd), notes))


def _say_unchanged(before: ScanSummary) -> None:
    """Say what the last scan found, of which nothing changed."""
    log(f"scan: {_counted(before.offered)} (nothing changed)")
    if before.refused:
        log(f"scan: {before.refused} cannot be ingested, as before; their rows state the reason")
    if before.notes:
        log(f"scan: {counted(before.notes, 'note')} on tables and documents, as before; change one to read it again")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{source} offers {count}" for source, count in sorted(counts.items()))


if __name__ == "__main__":
    run(main)
