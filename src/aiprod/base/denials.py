"""An action refused for lack of a right, a role, consent or a key: one line for the user, one leaf in the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from aiprod.errors import AiprodError

Lack = Literal["right", "role", "consent", "key"]


class Refusal(AiprodError):
    """Somebody may not do this. ``aiprod`` and every stage write it to the audit log before they print its line.

    Args:
        what, fix: as of :class:`AiprodError`.
        lack: what was lacking.
        action: the verb that was refused, for example ``erase``; stands in the open in the log.
        subject: an opaque id of what it was to be done to (a clip, a film, a source), never a name.
        committed: what the log shall only commit to, for example who asked.
    """

    def __init__(
        self,
        what: str,
        hint: str = "",
        *,
        lack: Lack,
        action: str,
        subject: str = "",
        committed: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(what, hint)
        self.lack: Lack = lack
        self.action = action
        self.subject = subject or f"action/{action}"
        self.committed = dict(committed or {})
        self.logged = False

    def told(self) -> dict[str, Any]:
        """Its arguments, to send them to another process."""
        names = ("what", "hint", "lack", "action", "subject", "committed")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Refusal:
        """What another process was told."""
        return cls(**told)


class DenialLog(Protocol):
    """Where denials are written: ``aiprod.governance.audit.denials.append``."""

    def __call__(self, refusals: Sequence[Refusal], *, once: bool = False) -> None:
        """Append one entry per denial, and mark it as logged."""


_log: DenialLog | None = None


def log_to(log: DenialLog | None) -> None:
    """From now on, write the denials of this process to ``log``; None: to none.

    The entry points do this (``aiprod.cli``, ``pipeline.running``), and worker processes take it from their parent, so
    that nothing down here needs to know the audit log.
    """
    global _log  # noqa: PLW0603
    _log = log


def denial_log() -> DenialLog | None:
    """Where the denials of this process are written."""
    return _log


def log_refusals(refusals: Iterable[Refusal], *, once: bool = False) -> None:
    """Append refusals to the audit log; each at most once, however often it passes here.

    Args:
        once: leave out what was logged before in the same words (a stage that is run again says the same again).
    """
    fresh = [refusal for refusal in refusals if not refusal.logged]
    if fresh and _log is not None:
        _log(fresh, once=once)


def last_line(error: BaseException) -> str:
    """The line that a command or stage prints before it ends with an error; a refusal is logged first."""
    if isinstance(error, Refusal):
        try:
            log_refusals([error])
        except (AiprodError, OSError) as trouble:  # still refused, and said so
            return f"{error} (and the refusal could not be logged: {trouble})"
    return str(error)
