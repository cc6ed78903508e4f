"""Consent for a voice: a purpose of its own, asked before a voice is trained on or followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from aiprod.base.denials import Refusal
from aiprod.rights.agreements import VOICE, against, record_id
from aiprod.speech.rows import SpeechRow

_HOW = "`aiprod consent record` adds one, for the purpose"


def require_voice_consent(reference: str, today: dt.date | None = None) -> None:
    """Refuse to follow a voice whose person has not agreed.

    Args:
        reference: of a record in ``datasets/consent``; empty: none was named.

    Raises:
        Refusal: no record, or one that is not given, has ended, or is for other purposes. It is logged.
    """
    why = against(reference, VOICE, today)
    if why:
        raise Refusal(
            f"this voice may not be followed: {why}",
            f"name the person's record with --consent; {_HOW} {VOICE}",
            lack="consent",
            action="clone-voice",
            subject=_subject(reference),
        )


def permitted(rows: Sequence[SpeechRow], today: dt.date | None = None) -> tuple[list[SpeechRow], list[Refusal]]:
    """The rows as they may be trained on: what a person spoke who has not agreed to this is refused, with the reason.

    Returns:
        every row, and a refusal for each voice (speaker and record) that may not be trained on.
    """
    if all(row.synthetic for row in rows):
        return list(rows), []
    named = {row.consent_ref or "" for row in rows if not row.synthetic}
    against_it = {reference: against(reference, VOICE, today) for reference in named}
    judged, refusals = [], dict[tuple[str, str], Refusal]()
    for row in rows:
        why = None if row.synthetic else against_it[row.consent_ref or ""]
        if why is None:
            judged.append(row)
            continue
        reason = f"the voice of {row.speaker} may not be trained on: {why}"
        judged.append(row.model_copy(update={"status": "refused", "reasons": [reason]}))
        refusals.setdefault(
            (row.speaker, row.consent_ref or ""),
            Refusal(
                reason,
                f"{_HOW} {VOICE}",
                lack="consent",
                action="train-voice",
                subject=_subject(row.consent_ref or "") or row.utterance_id,
                committed={"speaker": row.speaker},
            ),
        )
    return judged, list(refusals.values())


def _subject(reference: str) -> str:
    name = record_id(reference)
    return f"consent/{name}" if name else ""
