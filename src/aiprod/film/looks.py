"""Grades of an edit: as the script states them, balanced by what is seen of each shot; and the scopes of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.base.files import read_json, write_json
from aiprod.color.grade import Grade
from aiprod.errors import AiprodError
from aiprod.film.edit import Edit, read_edit, renamed
from aiprod.film.ingredients import Ingredients
from aiprod.film.scopes import write_scopes

LOOKS, SCOPES = "film.grades.json", "film_scopes"
_KIND, _FORMAT = "grades", 1


def graded(edit: Edit) -> Edit:
    """An edit whose shots have the grades that they are rendered with.

    Raises:
        AiprodError: a model of white balance or a shot that is to be balanced does not open, or shots are to look like
            each other.
    """
    grades: dict[int, Grade] = {n: clip.grade for n, clip in enumerate(edit.shots) if clip.grade is not None}
    found: dict[int, Grade] = {}
    for n in edit.balances:
        balanced = _balanced(edit, n, found, ())
        grades[n] = _on_top(balanced, grades.get(n, Grade()))
    return edit.with_grades(grades)


def _balanced(edit: Edit, n: int, found: dict[int, Grade], asked: tuple[int, ...]) -> Grade:
    """What brings a shot to where it is to be, before anything that is stated: by itself, or through another shot."""
    from aiprod.montage.balancing import gains_of  # takes PyTorch

    clips, balance = edit.timeline.pictures[0].clips, edit.balances[n]
    if n in asked:
        raise AiprodError(f"{clips[n].film.name} is to look like itself", "let one shot of the scene stand for itself")
    if n not in found:
        like = balance.like
        gains = gains_of(clips[n].film, balance.model, None if like is None else clips[like].film)
        own = Grade(exposure=gains.exposure, white_balance=gains.white_balance)
        moved = like is not None and like in edit.balances  # what it is to look like is balanced, too
        found[n] = _on_top(own, _balanced(edit, like, found, (*asked, n))) if moved and like is not None else own
    return found[n]


def _on_top(balanced: Grade, stated: Grade) -> Grade:
    """A grade after gains of light, which are its first step: stops add up, gains multiply."""
    stops = min(10.0, max(-10.0, round(stated.exposure + balanced.exposure, 4)))
    pairs = zip(stated.white_balance, balanced.white_balance, strict=True)
    red, green, blue = (round(own * found, 4) for own, found in pairs)
    return stated.model_copy(update={"exposure": stops, "white_balance": (red, green, blue)})


def grade(seen: Path, folder: Path) -> Edit:
    """What the stage ``grade`` does: decide the grade of each shot of an edit, and show what it does in scopes.

    Args:
        seen: the edit's pictures, as the stage ``montage`` hands them on.

    Raises:
        AiprodError: as :func:`graded`, or the edit is not what was made.
    """
    with Ingredients(seen.parent, personal=False) as ingredients:
        edit = graded(read_edit(seen, ingredients))
        write_looks(edit, folder / LOOKS)
        (folder / SCOPES).mkdir()
        write_scopes(edit, folder / SCOPES)
        if not any((folder / SCOPES).iterdir()):
            (folder / SCOPES).rmdir()
    return edit


def write_looks(edit: Edit, path: Path) -> None:
    """Write the grades of an edit by the number of the shot, tables and corrections by their digest."""
    names = {str(file): each.sha256 for file, each in edit.used.items()}
    grades = [
        {"shot": n, **renamed(clip.grade.model_dump(mode="json", exclude_defaults=True), names)}
        for n, clip in enumerate(edit.shots)
        if clip.grade is not None
    ]
    write_json(path, {"kind": _KIND, "format": _FORMAT, "grades": grades})


def with_looks(edit: Edit, path: Path) -> Edit:
    """An edit with the grades of a file of :func:`write_looks`.

    Raises:
        AiprodError: it is of another version, or names a table that the edit does not.
    """
    value: Any = read_json(path)
    if not isinstance(value, dict) or value.get("kind") != _KIND or value.get("format") != _FORMAT:
        raise AiprodError(f"{path} holds no grades of this version", "`dvc repro grade`")
    names = {each.sha256: str(file) for file, each in edit.used.items()}
    try:
        grades = {each.pop("shot"): Grade(**renamed(each, names)) for each in value["grades"]}
    except KeyError as error:
        raise AiprodError(f"{path} is of another edit (it has no {error})", "`dvc repro grade`") from None
    return edit.with_grades(grades)
