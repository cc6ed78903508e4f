"""Text in the picture (names and number plates are personal data): nothing looks for it yet, and the row says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiprod.qc.checks.judging import Judgement, Rule, absent
from aiprod.qc.measurement import Figures, Measurement

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams

VERSION = "1"
METHOD = "none: no text detector is configured"


class Text(Measurement):
    """An answer that is never a score."""

    name = "text"
    version = VERSION
    method = METHOD

    def figures(self) -> dict[str, Any]:
        """That nothing was looked for."""
        return {"status": "not_evaluated", "reason": "no text detector is configured"}


def judge(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Passes the measurement's status on."""
    return absent(found["text"])


RULES = (Rule("text", "text", {"text": ()}, judge),)
