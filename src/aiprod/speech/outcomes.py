"""Says what became of utterances that were to be taken in."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod.base.denials import log_refusals
from aiprod.base.progress import log
from aiprod.printable import counted, escape_controls
from aiprod.speech.recordings import refusals
from aiprod.speech.rows import SpeechRow


def tell_outcomes(what: str, rows: Sequence[SpeechRow]) -> None:
    """What became of rows, and which people are refused, in the log as well."""
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "refused", "erased")}
    if rows:
        by_status = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        log(f"make_speech: {counted(len(rows), what)} ({by_status})")
    denied = refusals(list(rows))
    for refusal in denied:
        log(f"  refused: {escape_controls(refusal.what)}")
    log_refusals(denied, once=True)
