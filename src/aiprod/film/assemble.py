"""Montage of a film: shots generated, lines spoken, titles drawn, all put in their places, and the sound mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.base.files import digest_of, sha256_file
from aiprod.errors import AiprodError
from aiprod.film.build_timeline import Builder, wanted_shots
from aiprod.film.credits import model_facts, obligations_of
from aiprod.film.dialogue import lines_to_speak, speak_lines
from aiprod.film.edit import HEARD, PICTURES, SEEN, WHOLE, Edit, write_edit
from aiprod.film.generation import generate
from aiprod.film.ingredients import OWN, Ingredients
from aiprod.film.script import Script, read_script
from aiprod.montage.mixdown import write_mix

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams
    from aiprod.storage.result_cache import Memo

MADE = ("shots", "drawn", "voice")
"""Folders of what was generated, drawn and spoken for a film, behind its name."""
VERSION = 1
"""Of how shots and lines are made; a raised one makes kept ones again."""


@dataclass(frozen=True)
class Assembled:
    """An edit, and what was made for it.

    Attributes:
        generated: shots that the model made now, of ``shots``.
        spoken: lines that the speech model spoke now, of ``lines``.
    """

    edit: Edit
    generated: int
    shots: int
    spoken: int
    lines: int


def assemble(  # noqa: PLR0917
    script_path: Path,
    folders: tuple[Path, Path],
    name: str,
    ingredients: Ingredients,
    settings: Callable[[], GenerationParams],
    memo: Memo | None,
    below: Path | None = None,
) -> Assembled:
    """Make what a script asks for into folders that begin with ``name``, and put it in its place.

    Args:
        folders: for what is seen, and for what is heard.
        settings: how shots are generated; asked only where there are prompts.
        memo: where generated shots and spoken lines are kept; None keeps nothing.
        below: files of one's own must lie in this folder, where DVC sees them change.

    Raises:
        AiprodError: something in the script cannot be used.
    """
    script = read_script(script_path)
    shots, drawn, voice = (folders[made == "voice"] / f"{name}_{made}" for made in MADE)
    for made in (shots, voice, drawn):
        made.mkdir()
    wanted, said = wanted_shots(script), lines_to_speak(script)
    paths, generated = generate([each for _, each in wanted], shots, memo, settings()) if wanted else ([], 0)
    lines, spoken = speak_lines([each for _, each in said], voice, memo) if said else ([], 0)
    edit = Builder(
        script,
        script_path.resolve().parent,
        ingredients,
        drawn,
        dict(zip([place for place, _ in wanted], paths, strict=True)),
        dict(zip([place for place, _ in said], lines, strict=True)),
    ).build()
    _refuse_outside(ingredients, below)
    edit.about.update(_about(script, script_path, ingredients))
    for made in (shots, voice, drawn):
        if not any(made.iterdir()):
            made.rmdir()
    return Assembled(edit, generated, len(wanted), spoken, len(said))


def montage(
    script_path: Path, folder: Path, settings: Callable[[], GenerationParams], memo: Memo, below: Path
) -> Assembled:
    """What the stage ``montage`` does: assemble a film into a folder, mix its sound, and hand both on.

    Raises:
        AiprodError: as :func:`assemble`; a clip of a film that is stored encrypted among the reasons.
    """
    (folder / PICTURES).mkdir()
    with Ingredients(script_path.resolve().parent, personal=False) as ingredients:
        made = assemble(script_path, (folder / PICTURES, folder), "film", ingredients, settings, memo, below)
        if made.edit.timeline.sounds:
            write_mix(made.edit.timeline, folder / HEARD)
        write_edit(made.edit, folder / WHOLE)
        write_edit(made.edit.pictures(), folder / PICTURES / SEEN, whole=True)
    return made


def _refuse_outside(ingredients: Ingredients, below: Path | None) -> None:
    for each in ingredients.used.values():
        if below is not None and each.kind in OWN and not each.path.is_relative_to(below.resolve()):
            raise AiprodError(f"{each.name} is outside of {below}", "move it there, where DVC sees it change")


def _about(script: Script, path: Path, ingredients: Ingredients) -> dict[str, object]:
    """What a film's record says of its script, its models and what it owes."""
    every, resolved = list(ingredients.used.values()), path.resolve()
    below = resolved.relative_to(Path.cwd()).as_posix() if resolved.is_relative_to(Path.cwd()) else path.name
    return {
        **model_facts(every),
        "script": below,
        "script_sha256": sha256_file(path),
        "profile": script.profile,
        "obligations": obligations_of(every),
    }


def context() -> str:
    """What all kept shots and lines of films share."""
    return digest_of(["montage", VERSION])
