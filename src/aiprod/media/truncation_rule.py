"""Decide whether a file is truncated: its actual end against its stated duration."""

from __future__ import annotations

from typing import NamedTuple

_MISSING_S, _MISSING_SHARE, _MISSING_PICTURES = 0.25, 0.05, 2.0


class Ending(NamedTuple):
    """How a film ends.

    Attributes:
        stated_s: length in seconds, of the pictures where the file says it, else of the whole file.
        missing_s: seconds of it that are not there; negative where there is more than is stated.
    """

    stated_s: float
    missing_s: float


def is_truncated(end: Ending, fps: float) -> bool:
    """Whether more is missing than the rounding of containers, a priming of sound or a picture explains.

    Args:
        fps: pictures a second; 0 where it is not known.
    """
    allowed_s = max(_MISSING_S, _MISSING_SHARE * end.stated_s, _MISSING_PICTURES / fps if fps > 0 else 0.0)
    return end.missing_s > allowed_s


def truncated_words(end: Ending) -> str:
    """What is missing, in words."""
    return f"the film ends {end.missing_s:.2f} s before the {end.stated_s:.2f} s that the file states"
