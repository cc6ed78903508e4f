"""Films that `aiprod film` made and that stand on what is to be erased."""

from __future__ import annotations

from pathlib import Path

from aiprod.film.record import films_below, shots_standing_on
from aiprod.storage.crypto.film_encryption import film_of


def standing_on(root: Path, films: set[str], models: set[str]) -> dict[str, list[str]]:
    """Films in the workspace → their shots and sounds of these source films, or made by these models."""
    lines_by_film = {}
    for path, record in films_below(root):
        clips = {
            each["name"] for each in record["ingredients"] if each["kind"] == "clip" and film_of(each["name"]) in films
        }
        lines = shots_standing_on(record, clips, models)
        if lines:
            lines_by_film[path.with_name(record["file"]).relative_to(root).as_posix()] = lines
    return lines_by_film
