"""Text in the picture (names and number plates are personal data): nothing looks for it yet, and the row says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.figure_table import FigureTable
from aiprod.qc.measurement import Measurement

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


def judge(found: FigureTable, params: QcDecideParams) -> Judgements:
    """Passes the measurement's status on."""
    return judged(found["text"], Case(True, None, "no reason is given", status="error"))


RULES = (Rule("text", "text", {"text": ()}, judge),)
