"""Abort training when a metric is NaN or infinite, before weights or checkpoints are updated."""

from __future__ import annotations

import math

from aiprod.errors import AiprodError


def refuse_no_number(what: str, value: float, where: str, hint: str) -> None:
    """Pass a finite value.

    Args:
        what: the figure, for example ``loss``.
        where: step, and phase or model.
        hint: which setting to lower.

    Raises:
        AiprodError: NaN or infinite.
    """
    if not math.isfinite(value):
        raise AiprodError(f"the {what} is {value} at {where}", f"{hint}; checkpoints before this step are intact")
