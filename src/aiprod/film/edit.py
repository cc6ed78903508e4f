"""A film as it is edited: what it shows and sounds when, and of what, before anything of it is graded or rendered.

The stages hand it on as a file that names no place of this machine: files by where they lie from it, clips of the
dataset by their object in the store.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.files import link_or_copy, read_json, write_json
from aiprod.errors import AiprodError
from aiprod.film.ingredients import OWN, Ingredient, Ingredients
from aiprod.montage.timeline import Clip, PictureTrack, Timeline

KIND = "edit"
WHOLE, HEARD = "film.edit.json", "film.mix.wav"
PICTURES, SEEN = "pictures", "film.pictures.json"
"""What the stage ``montage`` hands on: all of the edit and the mix; in a folder of its own what is seen."""
REFUSED = "refused.json"
_FORMAT, _OWN_FILES = 1, "film_files"
_PLACES = ("film", "matte", "file")  # keys of a timeline and its grades that name files


@dataclass(frozen=True)
class Balance:
    """A shot whose exposure and white balance are to be found by looking at it.

    Attributes:
        model: weights of `aiprod grade --train`.
        like: number of the shot that it is to look like; None takes its cast away.
    """

    model: Path
    like: int | None = None


@dataclass
class Edit:
    """A film that is ready to be graded and rendered.

    Attributes:
        scenes: name of each scene, and its first frame.
        scene_of: number of the scene of each clip of the lowest track.
        lettered: stills with letters → their background; None is none.
        used: what it is made of, by where it is read from.
        credits: lines that the film shows.
        balances: clips of the lowest track that are to be balanced, by number.
        about: what the film's record says of its script, its models and what it owes.
    """

    timeline: Timeline
    scenes: list[tuple[str, int]]
    scene_of: list[int]
    lettered: dict[Path, tuple[int, int, int] | None]
    used: dict[Path, Ingredient]
    credits: list[str] = field(default_factory=list)
    balances: dict[int, Balance] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def shots(self) -> list[Clip]:
        """The clips of all tracks, in the order of the film's record."""
        return [clip for track in self.timeline.pictures for clip in track.clips]

    def pictures(self) -> Edit:
        """What of it is seen, and nothing of what is heard or owed."""
        mute = {"sounds": (), "subtitles": (), "ducking": None}
        files = {path for clip in self.shots for path in (clip.film, *(clip.grade.files() if clip.grade else ()))}
        files |= {balance.model for balance in self.balances.values()}
        return Edit(
            self.timeline.model_copy(update=mute),
            self.scenes,
            self.scene_of,
            self.lettered,
            {path: each for path, each in self.used.items() if path in files},
            balances=self.balances,
        )

    def with_grades(self, grades: Mapping[int, Any]) -> Edit:
        """The same with these grades, by the number of the shot; shots that are not named have none."""
        tracks, number = [], 0
        for track in self.timeline.pictures:
            clips = []
            for clip in track.clips:
                clips.append(clip.model_copy(update={"grade": grades.get(number)}))
                number += 1
            tracks.append(PictureTrack(name=track.name, clips=tuple(clips), transitions=track.transitions))
        timeline = self.timeline.model_copy(update={"pictures": tuple(tracks)})
        return Edit(**{**vars(self), "timeline": timeline})


def write_edit(edit: Edit, path: Path, *, whole: bool = False) -> None:
    """Write an edit; what was made for it lies beside the file.

    Args:
        whole: copy files of one's own beside it, too: what reads the edit then depends on no folder that holds more.
    """
    number = {str(file): n for n, file in enumerate(edit.used)}
    entries = []
    for n, each in enumerate(edit.used.values()):
        place = {"stored": each.stored} if each.stored else {"place": os.path.relpath(each.path, path.parent.resolve())}
        if whole and each.kind in OWN:
            place = {"place": f"{_OWN_FILES}/{n:03}-{each.path.name}"}
            (path.parent / _OWN_FILES).mkdir(exist_ok=True)
            shutil.copyfile(each.path, path.parent / place["place"])  # no link: its owner may write into it
        entries.append({**each.recorded(), **place})
    write_json(
        path,
        {
            "kind": KIND,
            "format": _FORMAT,
            "timeline": renamed(edit.timeline.model_dump(mode="json"), number),
            "scenes": edit.scenes,
            "scene_of": edit.scene_of,
            "lettered": [[number[str(file)], background] for file, background in edit.lettered.items()],
            "ingredients": entries,
            "credits": edit.credits,
            "balances": [[n, number[str(each.model)], each.like] for n, each in edit.balances.items()],
            "about": edit.about,
        },
    )


def read_edit(path: Path, ingredients: Ingredients) -> Edit:
    """Read an edit, and open what it is made of.

    Raises:
        AiprodError: there is none, it is of another version, or something is not what was edited.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get("kind") != KIND or value.get("format") != _FORMAT:
        raise AiprodError(f"{path} is not an edit of this version", "`dvc repro montage`")
    files = [ingredients.restored(entry, path.parent) for entry in value["ingredients"]]
    names = {n: str(file) for n, file in enumerate(files)}
    return Edit(
        Timeline.checked(**renamed(value["timeline"], names)),
        [(name, at) for name, at in value["scenes"]],
        value["scene_of"],
        {files[n]: None if background is None else tuple(background) for n, background in value["lettered"]},
        ingredients.used,
        value["credits"],
        {n: Balance(files[model], like) for n, model, like in value["balances"]},
        value["about"],
    )


def renamed(value: Any, names: Mapping[Any, Any]) -> Any:
    """Values of a timeline or a grade as JSON, each file under another name."""
    if isinstance(value, dict):
        return {
            key: names[part] if key in _PLACES and part is not None else renamed(part, names)
            for key, part in value.items()
        }
    return [renamed(part, names) for part in value] if isinstance(value, list | tuple) else value


def refuse(folder: Path, script: str, error: AiprodError) -> None:
    """Write why there is no film."""
    reasons = getattr(error, "reasons", [error.what])
    write_json(folder / REFUSED, {**({"script": script} if script else {}), "reasons": reasons, "hint": error.hint})


def refused_before(before: Path, folder: Path) -> bool:
    """Whether an earlier stage found that there can be no film; its reasons are then this one's, too."""
    if not (before / REFUSED).is_file():
        return False
    link_or_copy(before / REFUSED, folder / REFUSED)
    return True
