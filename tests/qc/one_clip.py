"""What a rule answers on the figures of a single clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from aiprod.qc.checks.judging import Judge
from aiprod.qc.metric_table import STATUSES, FigureTable
from aiprod.qc.params import QcDecideParams


class Answer(NamedTuple):
    """One clip's part of ``Judgements``."""

    status: str
    score: float | None
    reason: str
    caps: bool
    remark: bool


def answer(judge: Judge, figures: Mapping[str, Any], params: QcDecideParams | None = None) -> Answer:
    """The answer on one clip."""
    found = judge(FigureTable.of([figures]), params or QcDecideParams())
    score = None if np.isnan(found.score[0]) else float(found.score[0])
    [reason] = found.reasons()
    return Answer(STATUSES[found.status[0]], score, reason, bool(found.caps[0]), bool(found.remark[0]))
