"""Consent for a voice: a purpose of its own, asked before a voice is followed."""

from __future__ import annotations

import datetime as dt

from aiprod.base.denials import Refusal
from aiprod.rights.agreements import load_consents, record_id

VOICE = "clone-voice"
"""The purpose that a record of consent has to name: to train on a voice, or to follow it."""
_HOW = "`aiprod consent record` adds one, for the purpose"


def require_voice_consent(reference: str, today: dt.date | None = None) -> None:
    """Refuse a voice whose person has not agreed.

    Args:
        reference: of a record in ``datasets/consent``; empty: none was named.

    Raises:
        Refusal: no record, or one that is not given, has ended, or is for other purposes. It is logged.
    """
    name = record_id(reference)
    why = _against(name, today or dt.date.today())
    if why:
        raise Refusal(
            f"this voice may not be followed: {why}",
            f"name the person's record with --consent; {_HOW} {VOICE}",
            lack="consent",
            action="clone-voice",
            subject=f"consent/{name}" if name else "",
        )


def _against(name: str, today: dt.date) -> str | None:
    if not name:
        return "no consent is named"
    record = load_consents().get(name)
    if record is None:
        return f"there is no consent {name}"
    if record.state != "given":
        return f"consent {name} is {record.state}"
    if record.lapses_before(today):
        return f"consent {name} was valid until {record.events[-1].valid_until}"
    covered = any(purpose.purpose == VOICE for purpose in record.pii_processing.purposes)
    return None if covered else f"consent {name} is not for {VOICE}"
