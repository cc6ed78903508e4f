"""Finishes a film: its graded pictures rendered, joined with its mix, checked as it is delivered, and recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiprod.base.files import digest_of, link_or_copy, sha256_file, write_bytes, write_json, write_text
from aiprod.base.tempdirs import scratch
from aiprod.errors import AiprodError
from aiprod.film.credits import credits_text, model_facts
from aiprod.film.delivery import DeliveryCheck, check_delivery
from aiprod.film.edit import HEARD, WHOLE, Edit, read_edit
from aiprod.film.ingredients import Ingredients
from aiprod.film.looks import LOOKS, SCOPES, with_looks
from aiprod.film.profiles import PROFILES, Profile
from aiprod.film.record import described
from aiprod.media.mapped_wav import mapped_wav
from aiprod.montage import cut as cutting

if TYPE_CHECKING:
    from aiprod.storage.result_cache import Memo

_SHORTEST_S = 0.5
VERSION = 1
"""Of how films are rendered; a raised one renders kept segments again."""


class ProfileViolation(AiprodError):
    """A film was made, and does not hold against its profile."""

    def __init__(self, reasons: list[str], what: str, hint: str) -> None:
        super().__init__(what, hint)
        self.reasons = reasons


@dataclass(frozen=True)
class Finished:
    """A film that was made and holds against its profile.

    Attributes:
        rendered, reused: segments.
    """

    path: Path
    record: dict[str, Any]
    rendered: int
    reused: int
    notes: list[str]


def finish(  # noqa: PLR0917
    edit: Edit, script_folder: Path, out: Path, work: Path, mix: Path, memo: Memo | None, workers: int = 0
) -> Finished:
    """Render an edit with its grades into ``out``, and check and record it.

    Args:
        script_folder: of the script, where files of one's own lie.
        work: folder beside ``out`` that is rendered in.
        mix: of :func:`~aiprod.montage.mixdown.write_mix`; need not be there where nothing is heard.
        memo: where rendered segments are kept; None keeps nothing.

    Raises:
        AiprodError: a film is too short, or the film does not hold against its profile; it then lies beside with
            ``.refused`` in its name, and its own name is free.
    """
    timeline, profile = edit.timeline, profile_of(edit)
    mixed = mapped_wav(mix) if timeline.sounds else None
    form = cutting.form_of(timeline, profile.codec, profile.crf, "veryfast", out)
    done = cutting.cut(
        timeline,
        work / out.name,
        form=form,
        mixed=mixed,
        workers=workers,
        tags=_tags(edit),
        kept=memo,
        segment_s=_SHORTEST_S,
    )
    checked = check_delivery(done.path, timeline, profile, lettered=edit.lettered, mixed=mixed)
    if checked.reasons:
        raise _refused(done.path, out, checked)
    record = _record(edit, done.path, checked)
    lists = cutting.write_lists(timeline, work / out.name)
    _hide_place(lists, work, out, script_folder)
    for path in (done.path, *lists, *(work.glob(f"{out.stem}.srt")), *(work.glob(f"{out.stem}.vtt"))):
        path.replace(out.with_name(path.name))
    write_text(
        out.with_name(f"{out.stem}.credits.txt"), credits_text(timeline.name, edit.credits, record["obligations"])
    )
    write_bytes(out.with_name(f"{out.stem}.poster.png"), poster(out, edit))
    write_json(out.with_suffix(".json"), record)
    return Finished(out, record, done.rendered, done.reused, done.notes)


def finish_edit(montage: Path, grades: Path, folder: Path, memo: Memo) -> Finished:
    """What the stage ``film`` does: finish the edit of one folder with the grades of another.

    Raises:
        AiprodError: as :func:`finish`, or something is not what was edited.
    """
    with Ingredients(montage, personal=False) as ingredients, scratch(folder, ".film.") as work:
        edit = with_looks(read_edit(montage / WHOLE, ingredients), grades / LOOKS)
        script, out = Path(edit.about["script"]), folder / f"film{profile_of(edit).suffix}"
        finished = finish(edit, script.parent, out, work, montage / HEARD, memo)
    for path in sorted((grades / SCOPES).glob("*.png")):
        (folder / SCOPES).mkdir(exist_ok=True)
        link_or_copy(path, folder / SCOPES / path.name)
    return finished


def profile_of(edit: Edit) -> Profile:
    """What the film of an edit is held against."""
    return PROFILES[edit.about["profile"]]


def _record(edit: Edit, film: Path, checked: DeliveryCheck) -> dict[str, Any]:
    more = {
        **edit.about,
        "delivery": checked.figures,
        **({"fingerprint": checked.fingerprint} if checked.fingerprint else {}),
        "credits": edit.credits,
    }
    return described(edit, film.name, sha256_file(film), more)


def _tags(edit: Edit) -> dict[str, str]:
    """What players show of the file: that a model made parts of it, and which."""
    facts = model_facts(edit.used.values())
    if not facts:
        return {"comment": "cut by AIPROD"}
    named = "; ".join(f"{key}={value}" for key, value in facts.items() if isinstance(value, str))
    return {"comment": f"parts were made by a model (AIPROD), synthetic; {named}".rstrip("; ")}


def _refused(film: Path, out: Path, checked: DeliveryCheck) -> ProfileViolation:
    beside = out.with_name(f"{out.stem}.refused{out.suffix}")
    film.replace(beside)
    return ProfileViolation(
        checked.reasons,
        f"{out.name} is refused: {'; '.join(checked.reasons)}",
        f"{beside.name} is what it would have been; mend the script",
    )


def _hide_place(lists: list[Path], work: Path, out: Path, script_folder: Path) -> None:
    """Take this machine's folders out of the lists: files are named from where the lists lie, as programs open them."""
    beside = out.parent.resolve()
    places = {work.resolve(): ""}
    for place in (Path.cwd().resolve(), script_folder.resolve()):
        shared = len(Path(os.path.commonpath([place, beside])).parts) > 1
        places.setdefault(place, f"{os.path.relpath(place, beside)}/".removeprefix("./") if shared else "")
    for path in lists:
        text = path.read_text(encoding="utf-8")
        for place, name in places.items():
            text = text.replace(f"{place}/", name)
        write_text(path, text)


def poster(film: Path, edit: Edit) -> bytes:
    """A picture of the film as PNG: the middle of its first shot that is not lettering."""
    import cv2

    from aiprod.media.frames import VideoReader
    from aiprod.media.scaling import Scaler

    timeline = edit.timeline
    clips = [clip for clip in timeline.pictures[0].clips if clip.film not in edit.lettered]
    clip = (clips or list(timeline.pictures[0].clips))[0]
    at = float((clip.record_in + clip.record_out) // 2 / timeline.rate)
    with VideoReader(film) as reader:
        frame = next(iter(reader.frames(at, on_screen=True))).frame
        rgb = Scaler(timeline.width, timeline.height, "rgb24", exact=True).array(frame)
    done, data = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def context() -> str:
    """What all kept segments of films share."""
    return digest_of(["film", VERSION])
