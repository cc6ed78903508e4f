"""Writes refusals to the audit log. Names stay out of it: what could identify anybody is only committed to."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod.base.denials import Refusal
from aiprod.governance.audit.log import AuditLog, Event

KIND = "refused-action"


def append(refusals: Sequence[Refusal], *, once: bool = False, log: AuditLog | None = None) -> None:
    """One leaf a refusal: the action and what was lacking in the open, the line and who asked as commitments."""
    events = [
        Event(
            KIND,
            refusal.subject,
            {"action": refusal.action, "lack": refusal.lack},
            {"line": str(refusal), **refusal.committed},
        )
        for refusal in refusals
    ]
    (log or AuditLog()).append(events, once=once)
    for refusal in refusals:
        refusal.logged = True


def refuse(refusal: Refusal, log: AuditLog | None = None) -> Refusal:
    """Log a refusal and return it, so that the caller raises it."""
    append([refusal], log=log)
    return refusal
