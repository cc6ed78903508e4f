"""Makes a film from a script: shots, grade, cut, mix, check, and the record of what it is made of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from aiprod.base.files import digest_of, sha256_file, write_bytes, write_json, write_text
from aiprod.base.params import Params
from aiprod.base.tempdirs import scratch, sweep
from aiprod.errors import AiprodError
from aiprod.film.build_timeline import Builder, Built, wanted_shots
from aiprod.film.credits import credits_text, model_facts, obligations_of
from aiprod.film.delivery import DeliveryCheck, check_delivery
from aiprod.film.dialogue import lines_to_speak, speak_lines
from aiprod.film.generation import generate
from aiprod.film.ingredients import Ingredients
from aiprod.film.profiles import PROFILES
from aiprod.film.record import described
from aiprod.film.scopes import write_scopes
from aiprod.film.script import Script, read_script
from aiprod.media.audio import read_sound
from aiprod.montage import cut as cutting
from aiprod.montage.timeline import SAMPLE_RATE

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams
    from aiprod.storage.result_cache import Memo

_SHORTEST_S = 0.5
VERSION = 1
"""Of how films are made; a raised one makes kept shots and segments again."""


class ProfileViolation(AiprodError):
    """A film was made, and does not hold against its profile."""

    def __init__(self, reasons: list[str], what: str, hint: str) -> None:
        super().__init__(what, hint)
        self.reasons = reasons


class FilmParams(Params):
    """A finished film from a script."""

    script: str = Field(default="", description="script of the film, below datasets/films; empty: no film")

    def suffix(self) -> str:
        """Of the file, by the profile of the script."""
        return PROFILES[read_script(Path(self.script)).profile].suffix


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
    personal: bool = True,
    below: Path | None = None,
    stems: bool = False,
    workers: int = 0,
) -> FinishedFilm:
    """Make the film of a script.

    Beside it: its record as .json, .otio and .edl of what was cut, .srt and .vtt where somebody speaks, its credits, a
    poster, folders of what was generated, spoken and drawn for it, which the .otio refers to, and one of its grades'
    scopes.

    Args:
        settings: how shots are generated; asked only where there are prompts.
        memo: where generated shots and rendered segments are kept; None keeps nothing.
        personal: whether clips of films that are stored encrypted may be used; nothing of such a film is kept.
        below: files of one's own must lie in this folder, where DVC sees them change.
        stems: also write dialogue, music and effects as WAV.

    Raises:
        AiprodError: something in the script cannot be used, or the film does not hold against its profile; it then
            lies beside with ``.refused`` in its name, and its own name is free.
    """
    script = read_script(script_path)
    profile = PROFILES[script.profile]
    if out.suffix.lower() != profile.suffix:
        raise AiprodError(f"{out.name} cannot hold {script.profile}", f"name it {out.stem}{profile.suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    sweep(out.parent, ".film.*")
    shots_folder, voice_folder, drawn_folder, scopes_folder = (
        out.with_name(f"{out.stem}_{name}") for name in ("shots", "voice", "drawn", "scopes")
    )
    with (
        scratch(out.parent, ".film.") as work,
        Ingredients(script_path.resolve().parent, personal=personal) as ingredients,
    ):
        wanted = wanted_shots(script)
        made_now = 0
        files: dict[tuple[int, int], Path] = {}
        if wanted:
            folder = work / shots_folder.name
            folder.mkdir()
            paths, made_now = generate([each for _, each in wanted], folder, memo, settings())
            files = dict(zip([place for place, _ in wanted], paths, strict=True))
        spoken_lines = lines_to_speak(script)
        for folder in (voice_folder, drawn_folder, scopes_folder):
            (work / folder.name).mkdir()
        lines, spoken_now = (
            speak_lines([each for _, each in spoken_lines], work / voice_folder.name, memo) if spoken_lines else ([], 0)
        )
        spoken = dict(zip([place for place, _ in spoken_lines], lines, strict=True))
        stills = work / drawn_folder.name
        built = Builder(script, script_path.resolve().parent, ingredients, stills, files, spoken).build()
        _refuse_outside(ingredients, below)
        timeline = built.timeline
        form = cutting.form_of(timeline, profile.codec, profile.crf, "veryfast", out)
        done = cutting.cut(
            timeline,
            work / out.name,
            form=form,
            stems=True,
            workers=workers,
            tags=_tags(ingredients, script),
            kept=None if ingredients.any_personal else memo,
            segment_s=_SHORTEST_S,
        )
        checked = check_delivery(
            done.path, timeline, profile, lettered=built.lettered, mixed=_mix_of(done, timeline.samples)
        )
        if checked.reasons:
            raise _refused(done.path, out, checked)
        write_scopes(built, work / scopes_folder.name)
        record = _record(script, script_path, built, ingredients, done.path, checked)
        lists = cutting.write_lists(timeline, work / out.name)
        _hide_place(lists, work, out, script_path)
        for path in (done.path, *lists, *(work.glob(f"{out.stem}.srt")), *(work.glob(f"{out.stem}.vtt"))):
            path.replace(out.with_name(path.name))
        if stems:
            for path in done.stems.values():
                path.replace(out.with_name(path.name))
        for folder, holds in (
            (shots_folder, wanted),
            (voice_folder, spoken_lines),
            (drawn_folder, any(stills.iterdir())),
            (scopes_folder, any((work / scopes_folder.name).iterdir())),
        ):
            if folder.exists():
                shutil.rmtree(folder)
            if holds:
                (work / folder.name).replace(folder)
        write_text(
            out.with_name(f"{out.stem}.credits.txt"), credits_text(script.title, built.credits, record["obligations"])
        )
        write_bytes(out.with_name(f"{out.stem}.poster.png"), poster(out, built))
        write_json(out.with_suffix(".json"), record)
    return FinishedFilm(out, record, made_now, spoken_now, done.rendered, done.reused, done.notes)


def _refuse_outside(ingredients: Ingredients, below: Path | None) -> None:
    for each in ingredients.used.values():
        own = each.kind in ("file", "voice", "grade")
        if below is not None and own and not each.path.is_relative_to(below.resolve()):
            raise AiprodError(f"{each.name} is outside of {below}", "move it there, where DVC sees it change")


def _record(  # noqa: PLR0917
    script: Script, path: Path, built: Built, ingredients: Ingredients, film: Path, checked: DeliveryCheck
) -> dict[str, Any]:
    every = list(ingredients.used.values())
    resolved = path.resolve()
    below = resolved.relative_to(Path.cwd()).as_posix() if resolved.is_relative_to(Path.cwd()) else path.name
    more = {
        **model_facts(every),
        "script": below,
        "script_sha256": sha256_file(path),
        "profile": script.profile,
        "delivery": checked.figures,
        **({"fingerprint": checked.fingerprint} if checked.fingerprint else {}),
        "credits": built.credits,
        "obligations": obligations_of(every),
    }
    return described(built, ingredients, film.name, sha256_file(film), more)


def _tags(ingredients: Ingredients, script: Script) -> dict[str, str]:
    """What players show of the file: that a model made parts of it, and which."""
    facts = model_facts(ingredients.used.values())
    if not facts:
        return {"comment": "cut by AIPROD"}
    named = "; ".join(f"{key}={value}" for key, value in facts.items() if isinstance(value, str))
    return {"comment": f"parts were made by a model (AIPROD), synthetic; {named}".rstrip("; ")}


def _mix_of(done: cutting.Cut, samples: int) -> NDArray[np.float32] | None:
    """The sum of the buses, which the sound of the file is held against."""
    total = np.zeros((2, samples), np.float32)
    for path in done.stems.values():
        heard = read_sound(path, SAMPLE_RATE, 2)
        if heard is not None:
            total[:, : heard.shape[1]] += heard[:, :samples]
    return total if done.stems else None


def _refused(film: Path, out: Path, checked: DeliveryCheck) -> ProfileViolation:
    beside = out.with_name(f"{out.stem}.refused{out.suffix}")
    film.replace(beside)
    return ProfileViolation(
        checked.reasons,
        f"{out.name} is refused: {'; '.join(checked.reasons)}",
        f"{beside.name} is what it would have been; mend the script",
    )


def _hide_place(lists: list[Path], work: Path, out: Path, script: Path) -> None:
    """Take this machine's folders out of the lists: files are named from where the lists lie, as programs open them."""
    beside = out.parent.resolve()
    places = {work.resolve(): ""}
    for place in (Path.cwd().resolve(), script.resolve().parent):
        shared = len(Path(os.path.commonpath([place, beside])).parts) > 1
        places.setdefault(place, f"{os.path.relpath(place, beside)}/".removeprefix("./") if shared else "")
    for path in lists:
        text = path.read_text(encoding="utf-8")
        for place, name in places.items():
            text = text.replace(f"{place}/", name)
        write_text(path, text)


def poster(film: Path, built: Built) -> bytes:
    """A picture of the film as PNG: the middle of its first shot that is not lettering."""
    import cv2

    from aiprod.media.frames import VideoReader
    from aiprod.media.scaling import Scaler

    timeline = built.timeline
    clips = [clip for clip in timeline.pictures[0].clips if clip.film not in built.lettered]
    clip = (clips or list(timeline.pictures[0].clips))[0]
    at = float((clip.record_in + clip.record_out) // 2 / timeline.rate)
    with VideoReader(film) as reader:
        frame = next(iter(reader.frames(at, on_screen=True))).frame
        rgb = Scaler(timeline.width, timeline.height, "rgb24", exact=True).array(frame)
    done, data = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def context() -> str:
    """What all kept shots and segments of films share."""
    return digest_of(["film", VERSION])
