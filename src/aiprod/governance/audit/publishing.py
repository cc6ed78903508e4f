"""Puts a signed checkpoint of the log below ``datasets/audit``, to be committed to git."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import write_text
from aiprod.governance.audit.checkpoint import FOLDER, PUBLIC, SignedCheckpoint, own_key, public_line, sign
from aiprod.governance.audit.log import AuditLog, Event


def write_checkpoint(root: Path, log: AuditLog) -> SignedCheckpoint:
    """Sign the present head and write it below ``datasets/audit`` for git."""
    key = own_key(root)
    folder = root / FOLDER
    public = public_line(key.public_key()) + "\n"
    log.append([Event("checkpoint", "log", {"size": log.size()})])
    point = sign(log, key)
    write_text(folder / PUBLIC, public)
    write_text(folder / point.name, point.text)
    return point
