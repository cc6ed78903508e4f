"""Names of copies that editors, shells and people leave beside a file: ``SOURCES.csv.bak``, ``LICENSE~``."""

from __future__ import annotations

import re

_BEHIND = re.compile(
    r"(?:~|#|\.(?:bak|backup|back|old|orig|original|save|saved|sav|tmp|temp|swp|swo|part|crdownload|download|copy|prev|rej|"
    r"disabled|off|ignore|unused|\d{1,3}|20\d{6}))$",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"^(?:~\$|#|\.~lock\.)")


def original_name(name: str) -> str:
    """The name of the file of which one with this name is a copy; the name itself where it is none."""
    last = None
    while name != last:
        last = name
        name = _BEFORE.sub("", _BEHIND.sub("", name)) or last
    return name
