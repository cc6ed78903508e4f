"""An action refused for lack of a right, a role, consent or a key: one line for the user, one leaf in the log."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Literal

from aiprod.base.errors import AiprodError

Lack = Literal["right", "role", "consent", "key"]


class Refusal(AiprodError):
    """Somebody may not do this. ``aiprod`` and every stage write it to the audit log before they print its line.

    Args:
        what, mend: as of :class:`AiprodError`.
        lack: what was lacking.
        action: the verb that was refused, for example ``erase``; stands in the open in the log.
        subject: an opaque id of what it was to be done to (a clip, a film, a source), never a name.
        committed: what the log shall only commit to, for example who asked.
    """

    def __init__(
        self,
        what: str,
        mend: str = "",
        *,
        lack: Lack,
        action: str,
        subject: str = "",
        committed: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(what, mend)
        self.lack: Lack = lack
        self.action = action
        self.subject = subject or f"action/{action}"
        self.committed = dict(committed or {})
        self.logged = False


def log_refusals(refusals: Iterable[Refusal], *, once: bool = False) -> None:
    """Append refusals to the audit log; each at most once, however often it passes here.

    The log is found by its name: were it imported, a change of the log would be a change of every stage, and decode
    every film again.

    Args:
        once: leave out what was logged before in the same words (a stage that is run again says the same again).
    """
    fresh = [refusal for refusal in refusals if not refusal.logged]
    if fresh:
        importlib.import_module("aiprod.governance.refusals").append(fresh, once=once)


def last_line(error: BaseException) -> str:
    """The line that a command or stage prints before it ends with an error; a refusal is logged first."""
    if isinstance(error, Refusal):
        try:
            log_refusals([error])
        except (AiprodError, OSError) as trouble:  # still refused, and said so
            return f"{error} (and the refusal could not be logged: {trouble})"
    return str(error)
