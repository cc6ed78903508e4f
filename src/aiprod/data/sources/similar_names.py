"""Names in tables that come near a film's: what was meant for it must not be lost because it is written another way."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from aiprod.base.addresses import split_address
from aiprod.base.names import film_name, leaves_its_folder
from aiprod.rights.training_opt_outs import latin, readable

_QUOTES = re.compile(r"[\"'`´“”„‟‘’‚«»‹›<>\[\]]")
_FILM = re.compile(r"\.(?:mp4|m4v|mov|mkv|webm|avi|mpe?g|m?ts|m2ts|wmv|asf|flv|f4v|mxf|ogv|3gp)$")
_ENDING = re.compile(r"\.[a-z0-9]{2,5}$", re.IGNORECASE)


class NearNames:
    """Finds which of some names may mean a film that none of them is.

    A name comes near a film's if it looks the same (letters of other alphabets, invisible characters, case, percent
    signs of addresses, what word processors and spreadsheets make of dashes, quotes, dots and spaces), has another
    ending or none, or is an address or a place outside of the folder that ends alike.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._looks: dict[str, str] = {}
        for name in sorted(names):
            for look in _looks(name):
                self._looks.setdefault(look, name)

    def of(self, key: str, whole: bool = False) -> str | None:
        """The name that comes near a film's.

        Args:
            whole: only one that looks the same as a whole counts.
        """
        if not self._looks:
            return None
        look = _look(film_name(key))
        if whole:
            return self._looks.get(look)
        base = posixpath.basename(look)
        forms = [look, _ENDING.sub("", look), f"*/{base}", _FILM.sub(".film", look)]
        return next((self._looks[form] for form in forms if form in self._looks), None)


def _looks(name: str) -> list[str]:
    address = split_address(name) if re.match(r"[a-z][a-z0-9+.-]*:/", name, re.IGNORECASE) else None
    if address is not None or leaves_its_folder(name):
        place = address.path if address is not None else name
        return [f"*/{posixpath.basename(_look(film_name(place)))}"]
    look = _look(name)
    return [look, _FILM.sub(".film", look)]


def _look(name: str) -> str:
    plain = latin(readable(unquote(unquote(name))))
    plain = "".join("-" if unicodedata.category(c) == "Pd" or c == "\N{MINUS SIGN}" else c for c in plain)
    plain = re.sub(r"[\s_+]+", " ", _QUOTES.sub("", plain))
    return re.sub(r" ?\.[. ]*", ".", plain.strip(" ;,:"))
