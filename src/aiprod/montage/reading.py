"""Reads a timeline in whichever form it is written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from aiprod.errors import AiprodError
from aiprod.montage import interchange
from aiprod.montage.short_form import parse_size, read_short
from aiprod.montage.timeline import Timeline

_SHORT = frozenset({".yaml", ".yml", ".json"})


def read_timeline(
    path: Path, *, rate: Fraction = Fraction(25), size: str = "1280x720", media: Path | None = None
) -> Timeline:
    """Read a timeline by its suffix.

    Raises:
        AiprodError: it does not exist, or is written in a form that is not read.
    """
    if not path.is_file():
        raise AiprodError(f"{path} does not exist", "give the path of a timeline")
    suffix = path.suffix.lower()
    if suffix in _SHORT:
        return read_short(path)
    if suffix in interchange.SUFFIXES:
        width, height = parse_size(size)
        return interchange.read_interchange(path, rate=rate, width=width, height=height, media=media)
    known = ", ".join(sorted(_SHORT | interchange.SUFFIXES))
    raise AiprodError(f"{path.name} is not a supported timeline", f"give one of {known}")
