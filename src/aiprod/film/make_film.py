"""Makes a film from a script in one go: montage, grade, finish."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiprod.base.files import digest_of
from aiprod.base.tempdirs import scratch, sweep
from aiprod.errors import AiprodError
from aiprod.film import assemble as montage
from aiprod.film import finish as finishing
from aiprod.film.assemble import assemble
from aiprod.film.finish import ProfileViolation, finish
from aiprod.film.ingredients import Ingredients
from aiprod.film.looks import graded
from aiprod.film.profiles import PROFILES
from aiprod.film.scopes import write_scopes
from aiprod.film.script import read_script
from aiprod.montage.mixdown import write_mix

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams
    from aiprod.storage.result_cache import Memo

__all__ = ["FinishedFilm", "ProfileViolation", "context", "make_film"]


@dataclass(frozen=True)
class FinishedFilm:
    """A film that was made and holds against its profile.

    Attributes:
        generated: shots that the model made now; others were kept.
        spoken: lines that the speech model spoke now; others were kept.
        rendered, reused: segments.
    """

    path: Path
    record: dict[str, Any]
    generated: int
    spoken: int
    rendered: int
    reused: int
    notes: list[str]


def make_film(
    script_path: Path,
    out: Path,
    settings: Callable[[], GenerationParams],
    memo: Memo | None,
    *,
    stems: bool = False,
    workers: int = 0,
) -> FinishedFilm:
    """Make the film of a script.

    Beside it: its record as .json, .otio and .edl of what was cut, .srt and .vtt where somebody speaks, its credits, a
    poster, folders of what was generated, spoken and drawn for it, which the .otio refers to, and one of its grades'
    scopes.

    Args:
        settings: how shots are generated; asked only where there are prompts.
        memo: where generated shots and rendered segments are kept; None keeps nothing. Nothing is kept of a film with
            clips that are stored encrypted.
        stems: also write dialogue, music and effects as WAV.

    Raises:
        AiprodError: something in the script cannot be used, or the film does not hold against its profile; it then
            lies beside with ``.refused`` in its name, and its own name is free.
    """
    profile = read_script(script_path).profile
    suffix = PROFILES[profile].suffix
    if out.suffix.lower() != suffix:
        raise AiprodError(f"{out.name} cannot hold {profile}", f"name it {out.stem}{suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    sweep(out.parent, ".film.*")
    with scratch(out.parent, ".film.") as work, Ingredients(script_path.resolve().parent) as ingredients:
        made = assemble(script_path, (work, work), out.stem, ingredients, settings, memo)
        mix, scopes = work / f"{out.stem}.mix.wav", work / f"{out.stem}_scopes"
        buses = write_mix(made.edit.timeline, mix, stems=stems) if made.edit.timeline.sounds else {}
        edit = graded(made.edit)
        done = finish(edit, script_path.parent, out, work, mix, None if ingredients.any_personal else memo, workers)
        for path in buses.values():
            path.replace(out.with_name(path.name))
        scopes.mkdir()
        write_scopes(edit, scopes)
        for name in (*montage.MADE, "scopes"):
            folder = out.with_name(f"{out.stem}_{name}")
            if folder.exists():
                shutil.rmtree(folder)
            new = work / folder.name
            if new.exists() and any(new.iterdir()):
                new.replace(folder)
    return FinishedFilm(out, done.record, made.generated, made.spoken, done.rendered, done.reused, done.notes)


def context() -> str:
    """What all that is kept of films shares."""
    return digest_of([montage.context(), finishing.context()])
