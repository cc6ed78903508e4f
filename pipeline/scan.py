"""Stage scan: notice what the enabled sources offer now."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from aiprod.base.files import write_json
from aiprod.base.params import load_params
from aiprod.base.progress import say
from aiprod.base.stage import run
from aiprod.data.offers import scan
from aiprod.data.params import IngestParams
from aiprod.data.sources import load_sources
from aiprod.data.terms import lapsed, load_consents

OFFERS = Path("datasets/v1/offers.json")


def main() -> None:
    params = load_params(IngestParams, "ingest")
    sources = load_sources()
    over = lapsed(sources, load_consents(), dt.date.today())
    offers = scan(params, sources, over)
    write_json(OFFERS, offers.document())
    for name in offers.mute_sidecars:
        say(f"scan: a table names {name}, which is not there")
    for name in over:
        say(f"scan: the time of {name} is over")
    counts: dict[str, int] = {}
    for offer in offers.offers:
        counts[offer.source_id] = counts.get(offer.source_id, 0) + 1
    if offers.erased:
        counts["(erased)"] = len(offers.erased)
    say("scan: " + ", ".join(f"{source} offers {count}" for source, count in sorted(counts.items())))


if __name__ == "__main__":
    run(main)
