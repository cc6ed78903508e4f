"""Tells the audit log of the pipeline's present state, unless it was told of the same before.

Putting a state together reads every manifest; that it is the one that the log was told of last is seen in dvc.lock.
"""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import digest_of
from aiprod.base.state_cache import code_stamp, recall, remember
from aiprod.errors import AiprodError
from aiprod.governance.audit.head import give_to_witness, sign_head
from aiprod.governance.audit.log import AuditLog
from aiprod.repo.dvc_lock import ALWAYS_RUN, Lock

_NAME = "audit"


def log_new_state(root: Path) -> int:
    """Append what the log does not know yet about the workspace at ``root``; returns the number of new entries.

    The log's head is signed and put with the witness either way.
    """
    log = AuditLog()
    stages = {name: entry for name, entry in Lock(root).stages.items() if name not in ALWAYS_RUN}
    decided_by = digest_of([stages, code_stamp()])
    if _follows(log, recall(_NAME, decided_by)):
        sign_head(log)
        give_to_witness(root, log)
        return 0
    from aiprod.governance.dataset.audit_events import log_state  # here: it loads all that reads manifests

    added = log_state(root, log)
    remember(_NAME, decided_by, [log.size(), log.root().hex()])
    return added


def _follows(log: AuditLog, recorded: list[int | str] | None) -> bool:
    """Whether the log still begins with what it was when it was told."""
    if recorded is None:
        return False
    try:
        size, root = int(recorded[0]), recorded[1]
        return 0 < size <= log.size() and log.root(size).hex() == root
    except AiprodError:  # a damaged log says so when it is written to
        return False
