"""Whether everything that a scan depends on is as it was at the last one, so that what that one wrote still holds.

Reading the rights of 100,000 films again takes half a minute; looking whether any file changed takes a second. What
counts is in one digest: size, time of change, mode and inode of each file and folder that a source lists; declarations,
parameters, lapsed agreements and tombstones; and the code of the stage. A source on a server has none.
That no key of a film is missing is looked at too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiprod.base.files import digest_of, sha256_file
from aiprod.base.state_cache import SETTLED_NS, everything_below, recall, remember
from aiprod.data import retries
from aiprod.data.params import IngestParams
from aiprod.data.sources.registry import source_of
from aiprod.rights.declarations import SourcesFile
from aiprod.storage.crypto.film_encryption import Vault

_NOTE = "scan"


@dataclass(frozen=True)
class ScanSummary:
    """What the scan said, in counts: names of films stay out of what is remembered.

    Attributes:
        offered: source → number of films.
        refused: films that cannot be ingested.
        notes: lines about tables and documents that no film was found for.
    """

    offered: dict[str, int]
    refused: int
    notes: int


def fingerprint(params: IngestParams, sources: SourcesFile, lapsed: Sequence[str], code: str | None) -> str | None:
    """SHA-256 (hex) of all that a scan depends on; None where that cannot be told without listing.

    Args:
        lapsed: agreements whose time is over.
        code: digest of the stage's code, None where none is recorded.
    """
    if code is None:
        return None
    digest = hashlib.sha256()
    stated = [params.model_dump_json(), sources.model_dump_json(), list(lapsed), retries.times(), code]
    stated.append(sorted(stone.model_dump_json() for stone in Vault().tombstones.values()))
    digest.update(json.dumps(stated, ensure_ascii=True).encode())
    newest = 0
    for source_id in dict.fromkeys(params.sources):
        place = source_of(source_id, sources.get(source_id), params).watched()
        if place is None:
            return None
        for folder in place:
            digest.update(os.fsencode(f"\0\0{folder}"))
            try:
                for name, facts in everything_below(str(folder), len(str(folder))):
                    newest = max(newest, facts.st_mtime_ns)
                    values = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)
                    digest.update(b"\0%s\0%d,%d,%d,%d" % (os.fsencode(name), *values))
            except OSError:
                return None  # listing will say what it is
    return None if time.time_ns() - newest < SETTLED_NS else digest.hexdigest()


def remembered(seen: str | None, offers: Path) -> ScanSummary | None:
    """What the scan with this fingerprint said, if the offers that it wrote are still as it wrote them."""
    if seen is None or not offers.is_file():
        return None
    summary = recall(_NOTE, _decided_by(seen, offers))
    return None if summary is None else ScanSummary(**summary)


def remember_scan(seen: str | None, offers: Path, summary: ScanSummary) -> None:
    """Note what a scan found, after it has written its offers; ``seen`` was taken before it began."""
    if seen is not None:
        remember(_NOTE, _decided_by(seen, offers), dataclasses.asdict(summary))


def _decided_by(seen: str, offers: Path) -> str:
    return digest_of([seen, _keys(), sha256_file(offers)])


def _keys() -> str:
    """Digest of which films have a key, for a scan makes those that are missing, also its own."""
    return hashlib.sha256("\0".join(Vault().keys.subjects()).encode()).hexdigest()
