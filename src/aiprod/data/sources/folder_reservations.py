"""Rules of a web site that lie in a folder, as a copy of one has them: ``robots.txt``, ``ai.txt``, ``tdmrep.json``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aiprod.base.names import film_name
from aiprod.data.sources.web_reservations import MAX_SAID, SiteRules, site_rules
from aiprod.media.discovery import key_of, problem_of

_AS_ROBOTS = ("robots.txt", "ai.txt")  # of one form
_ABSENT = (404, "", b"")


def rules_below(folder: Path, files: Iterable[Path]) -> dict[str, list[SiteRules]]:
    """The rules in a folder and those below it, by the folder for which they hold (``.`` is the whole).

    Args:
        files: that lie there, without hidden ones.
    """
    by_place: dict[str, list[SiteRules]] = {}
    folders = {folder}
    for holding in {path.parent for path in files}:
        folders |= {above for above in (holding, *holding.parents) if above.is_relative_to(folder)}
    for place in sorted(folders):
        for name in (*_AS_ROBOTS, "tdmrep.json", ".well-known/tdmrep.json"):
            path = place / name
            if path.is_file():
                text = _read(path)
                robots = name in _AS_ROBOTS
                rules = site_rules(_ABSENT if robots else text, text if robots else _ABSENT, path.name)
                key = "." if place == folder else film_name(key_of(place, folder))
                by_place.setdefault(key, []).append(rules)
    return by_place


def _read(path: Path) -> tuple[int, str, bytes]:
    """A file as a server would give it: status, content type, content."""
    if problem_of(path) is not None:
        return 0, "", b""
    try:
        with open(path, "rb") as file:
            return 200, "", file.read(MAX_SAID + 1)
    except OSError:
        return 0, "", b""
