"""Names of files that state rights, told without what reads them."""

from __future__ import annotations

import re
from pathlib import PurePath

_NAME = re.compile(
    r"(un)?licen[cs]es?|licen[cs]ing|copying|copyrights?|rights|usage|terms|tos|eula|legal|lizenz|"
    r"nutzungsbedingungen|licencia|permissions?|rechte|lizenzen|nutzungsrechte|droits|derechos|diritti|direitos|"
    r"restrictions"
)
_ENDING = re.compile(
    r"|\.(txt|text|md|markdown|rst|html?|pdf|rtf|docx?|odt|ya?ml|\d+|(cc|by|mit|apache|gpl|bsd|own)[\w-]*|[a-z]{2})"
)


def is_licence_name(path: PurePath | str) -> bool:
    """Whether a file is named as one that states the rights of its folder."""
    name = PurePath(path).name.casefold()
    first = re.split(r"[^a-z_]+", name.lstrip("._"))[0].strip("_")
    return _NAME.fullmatch(first) is not None and _ENDING.fullmatch(PurePath(name).suffix) is not None
