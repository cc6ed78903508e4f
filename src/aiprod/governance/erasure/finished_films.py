"""Finished films, and the edit that the stage `montage` keeps, that stand on what is to be erased."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import read_json
from aiprod.film.edit import WHOLE
from aiprod.film.ingredients import MODEL_DIGESTS
from aiprod.film.record import films_below, shots_standing_on
from aiprod.storage.crypto.film_encryption import film_of

_MONTAGE = Path("reports/montage")


def standing_on(root: Path, films: set[str], models: set[str]) -> dict[str, list[str]]:
    """Films in the workspace → their shots and sounds of these source films, or made by these models; the edit, too."""
    lines_by_film = {}
    for path, record in films_below(root):
        clips = {
            each["name"] for each in record["ingredients"] if each["kind"] == "clip" and film_of(each["name"]) in films
        }
        lines = shots_standing_on(record, clips, models)
        if lines:
            lines_by_film[path.with_name(record["file"]).relative_to(root).as_posix()] = lines
    if lines := _of_the_edit(root, films, models):
        lines_by_film[_MONTAGE.as_posix()] = lines
    return lines_by_film


def _of_the_edit(root: Path, films: set[str], models: set[str]) -> list[str]:
    """What the edit, its mix or what was made for it is of."""
    path = root / _MONTAGE / WHOLE
    if not path.is_file():
        return []
    return [
        f"{each['kind']} {each['name']}"
        for each in read_json(path)["ingredients"]
        if (each["kind"] == "clip" and film_of(each["name"]) in films)
        or models & {each.get("facts", {}).get(name) for name in MODEL_DIGESTS}
    ]
