"""Erasures that were begun and are not finished, by the audit log and by the journals that are there.

Light on purpose: ``aiprod doctor`` asks before every run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiprod.base.state import state
from aiprod.governance.audit.log import AuditLog

KIND = "erasure"
BEGUN = "begun"
RESUME = "finish it with `aiprod erase resume --as NAME`"
END, CLOSED = ".journal", ".closed"


def folder() -> Path:
    """Where journals lie."""
    return state().root / "erasures"


def unfinished(log: AuditLog | None = None) -> dict[str, str]:
    """Erasures that were begun and are not finished → when, by the log and by the journals that are there."""
    journals = {path.stem for end in (END, CLOSED) for path in folder().glob(f"[!.]*{end}")}
    erasures = dict.fromkeys(sorted(journals), "")
    if log is None and not (state().root / "audit" / "log.db").is_file():
        return erasures
    ended = set()
    for entry in entries(log or AuditLog()):
        name = str(entry["subject"]).removeprefix(f"{KIND}/")
        if entry["facts"].get("state") == BEGUN:
            erasures[name] = str(entry["time"])
        else:
            ended.add(name)
    return {name: when for name, when in sorted(erasures.items()) if name not in ended or name in journals}


def entries(log: AuditLog) -> Iterator[dict[str, Any]]:
    """Entries about erasures. One that was damaged is passed over: `aiprod audit verify` names it.

    Raises:
        AiprodError: the database cannot be read.
    """
    query = "select data from entries where instr(data, ?) > 0 order by idx"
    with log.reading() as connection:
        rows = [data for (data,) in connection.execute(query, (f'"subject":"{KIND}/'.encode(),))]
    for data in rows:
        try:
            entry = json.loads(data)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("kind") == KIND and isinstance(entry.get("facts"), dict):
            yield {"subject": "", "time": "", **entry}


def problems(log: AuditLog | None = None) -> list[str]:
    """One sentence for each erasure that is not finished."""
    lines = []
    for name, when in unfinished(log).items():
        begun = f"was begun on {when[:16].replace('T', ' at ')} UTC" if when else "was about to begin"
        lines.append(f"the erasure {name} {begun} and is not finished: {RESUME}")
    return lines
