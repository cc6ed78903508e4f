"""Abort training when a metric is NaN or infinite, before weights or checkpoints are updated."""

from __future__ import annotations

import math

from aiprod.errors import AiprodError


def refuse_no_number(what: str, value: float, where: str, mend: str) -> None:
    """Pass a finite value.

    Args:
        what: the figure, for example ``loss``.
        where: step, and phase or model.
        mend: which setting to lower.

    Raises:
        AiprodError: NaN or infinite.
    """
    if not math.isfinite(value):
        raise AiprodError(f"the {what} is {value} at {where}", f"{mend}; checkpoints before this step are intact")
