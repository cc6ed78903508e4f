"""What precedes an erasure: everything that can fail is tried, and all that will be needed is gathered in a journal."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiprod.base.files import read_json, sha256_file
from aiprod.base.state import state
from aiprod.data.sources.sealed_offers import is_sealed, unseal
from aiprod.errors import AiprodError, is_disk_full
from aiprod.governance.audit.checkpoint import FOLDER as AUDIT
from aiprod.governance.audit.checkpoint import own_key
from aiprod.governance.erasure import journal, scan
from aiprod.governance.erasure import models as exposure
from aiprod.governance.erasure.erase import ErasurePlan, search
from aiprod.governance.erasure.journal import Journal
from aiprod.printable import escape_controls
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault, film_of
from aiprod.storage.result_cache import subjects

OFFERS = "datasets/v1/offers.json"
_ROOM = 1 << 16  # bytes that must fit beside whatever is written


def try_everything(todo: ErasurePlan, vault: Vault) -> None:
    """Everything that will be written or removed, tried without a trace."""
    own_key(todo.root)  # without the log's key nothing could be certified
    exposure.affected(todo.root)
    home = state().root
    written = {home: _ROOM, home / "erasures": _ROOM}
    written |= {todo.root / folder: _ROOM for folder in (tombstones.FOLDER, AUDIT)}
    for folder in written:
        folder.mkdir(parents=True, exist_ok=True)
    for name in (OFFERS, "cache/scan/digests.json"):
        path = (todo.root if name == OFFERS else home) / name
        if path.is_file():
            written[path.parent] = path.stat().st_size + _ROOM
    for path in todo.beside.tables:
        written[path.parent] = max(written.get(path.parent, 0), path.stat().st_size + _ROOM)
    gone = [todo.root / name for name in todo.objects] + _inside(todo, [*todo.sources, *todo.beside.about])
    memo = [place for subject, place in subjects(home / "memo") if film_of(subject) in todo.films]
    checkpoints = [home / "training" / place for place in todo.checkpoints.exposed]
    for path in [*gone, *memo, *checkpoints, *(p for place in (*memo, *checkpoints) for p in place.glob("*"))]:
        written.setdefault(path.parent, 1)
    for film_id in todo.films:
        if (key := vault.keys.path(film_id)).is_file():
            written.setdefault(key.parent, 1)
            with open(key, "r+b"):
                pass
    for folder, size in written.items():
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if is_disk_full(error):
                raise
            what = f"nothing was erased: the folder {escape_controls(folder)} cannot be written ({error.strerror})"
            raise AiprodError(what, "fix its permissions and run again") from None


def _inside(todo: ErasurePlan, paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_relative_to(todo.repository)]


def prepared(todo: ErasurePlan, vault: Vault, actor: str, role: str) -> Journal:
    """All that will be needed, while it can still be read."""
    before = search(todo)
    value = next(v for v in (todo.request.object_id, todo.request.sha256, todo.request.source_url) if v)
    stones = [target.tombstone(vault).document() for target in todo.targets]
    contents = {row.content_sha256 for t in todo.targets for row in [t.row, *t.rows] if row.content_sha256}
    name = f"{datetime.now(UTC):%Y%m%d}-{sorted(todo.films)[0][2:10]}"
    sources, about = _inside(todo, todo.sources), _inside(todo, todo.beside.about)
    places = todo.beside.keys
    place_of = {table: next(p for p in places if table.is_relative_to(p)) for table in todo.beside.tables}
    body: dict[str, Any] = {
        "format": 1,
        "id": name,
        "begun": now(),
        "request": {"by": todo.request.kind, "commitment": vault.keys.commitment("request", value)},
        "decided_by": {"role": role, "commitment": vault.keys.commitment("actor", actor)},
        "films": [{"film_id": t.film_id, "clips": sorted(t.clips)} for t in todo.targets],
        "tombstones": stones,
        "keys_destroyed": len(todo.targets),
        "deleted": {
            "objects": len(todo.objects),
            "memo": todo.memo,
            "checkpoints": len(todo.checkpoints.exposed),
            "source_files": len(sources),
            "files_about_it": len(about),
            "sidecar_lines": sum(todo.beside.tables.values()),
        },
        "searched_for": {
            "names": len(todo.needles.names),
            "hashes": len(todo.needles.hashes),
            "pieces": len(todo.needles.pieces),
            "ids_of_consent_records": len(todo.consents),
            "objects_read": todo.needles.objects,
        },
        "kept_on_purpose": {"consent_records": len(todo.consents)},
        "found_before": {store: counted(count) for store, count in before.items()},
        "models": exposure.document(todo.models),
        "training_checkpoints": asdict(todo.checkpoints),
        "samples_of_affected_models": todo.samples,
        "released": sorted(todo.released),
    }
    return Journal(
        name=name,
        actor=actor,
        films={t.film_id: sorted(t.clips) for t in todo.targets},
        also=_copies(todo.root, contents, todo.films, vault),
        tombstones=stones,
        objects=todo.objects,
        files=[journal.text_of(path) for path in [*sources, *about]],
        tables={journal.text_of(table): journal.text_of(place) for table, place in place_of.items()},
        keys={journal.text_of(place): sorted(mine) for place, mine in places.items()},
        checkpoints=todo.checkpoints.exposed,
        contents=sorted(contents),
        outside=[journal.text_of(path) for path in todo.outside],
        affected=exposure.document(todo.models),
        needles={
            kind: sorted(needle.hex() for needle in getattr(todo.needles, kind))
            for kind in ("names", "hashes", "pieces", "consents", "ids")
        },
        body=body,
        left={escape_controls(path): why for path, why in todo.beside.left.items()},
        digests={journal.text_of(path): sha256_file(path) for path in [*sources, *about]},
    )


def _copies(root: Path, contents: set[str], films: set[str], vault: Vault) -> list[str]:
    """Ids under which scan has written the same films by other names, which were not taken in yet."""
    path = root / OFFERS
    copies = set()
    for entry in (read_json(path).get("offers") or []) if path.is_file() else []:
        if is_sealed(entry) and entry["film_id"] not in films:
            with contextlib.suppress(AiprodError):  # of a film whose key is lost nothing can be read anyway
                if (unseal(entry, vault) or {}).get("sha256") in contents:
                    copies.add(str(entry["film_id"]))
    return sorted(copies)


def now() -> str:
    """The time in UTC, to the second, as RFC 3339 writes it."""
    return datetime.fromtimestamp(round(time.time()), UTC).isoformat().replace("+00:00", "Z")


def counted(count: scan.Count) -> dict[str, Any]:
    """What a search counted, without the places."""
    return {k: v for k, v in asdict(count).items() if k != "where" and (k != "skipped" or v)}
