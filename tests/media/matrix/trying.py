"""Makes one film of the matrix, reads it in every way that the package has, and says what came out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import av

from tests.media.matrix import readers, truth
from tests.media.matrix.combinations import Combination
from tests.media.matrix.films import Truth, write
from tests.media.matrix.marks import RATE


@dataclass(frozen=True)
class Outcome:
    """What came of one combination.

    Attributes:
        state: ``ok``, ``refused``, ``wrong`` or ``unwritten`` (FFmpeg does not write it; it is no combination).
    """

    combination: Combination
    state: str
    said: list[str] = field(default_factory=list)


def try_one(combination: Combination, folder: Path) -> Outcome:
    """Make and read one film; ``folder`` is emptied again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "film"
    try:
        try:
            held = write(path, combination)
        except (av.error.FFmpegError, ValueError) as error:
            return Outcome(combination, "unwritten", [str(error)])
        refused: list[str] = []
        wrong: list[str] = []
        if len(held.parts) == 1:
            _attempt("pictures", lambda: _pictures(path, held), wrong, refused)
            _attempt("sound", lambda: _sound(path, held), wrong, refused)
        _attempt("ingest", lambda: _ingest(path, held, refused), wrong, refused)
        return Outcome(combination, "wrong" if wrong else "refused" if refused else "ok", wrong or refused)
    finally:
        shutil.rmtree(folder)


def _attempt(name: str, act, wrong: list[str], refused: list[str]) -> None:  # type: ignore[no-untyped-def]
    try:
        wrong += [f"{name}: {said}" for said in act()]
    except readers.MediaError as error:
        refused.append(f"{name}: {error}")
    except Exception as error:  # another exception is no refusal: the user would see a traceback
        wrong.append(f"{name}: {type(error).__name__}: {error}")


def _pictures(path: Path, held: Truth) -> list[str]:
    return truth.judge_pictures(readers.pictures(path), held.parts[0], held.rate)


def _sound(path: Path, held: Truth) -> list[str]:
    [part] = held.parts
    wrong = truth.judge_sound(readers.sound(path), part, held.lossless)
    if not wrong:  # a window is the same samples
        said = truth.judge_sound(readers.sound(path, 1.4, 0.7), part, held.lossless, round(1.4 * RATE), whole=False)
        wrong += [f"from 1.4 s on, {words}" for words in said]
    return wrong


def _ingest(path: Path, held: Truth, refused: list[str]) -> list[str]:
    clips, unwritten = readers.taken(path)
    refused += [f"ingest: {words}" for words in unwritten]
    wrong: list[str] = []
    numbers: list[int | None] = []
    for clip in clips:
        seen = readers.pictures(clip.path)
        numbers += [n for _, n in seen]
        part = truth.part_of([n for _, n in seen], held)
        if part is None:
            wrong.append("a clip of no known picture")
            continue
        if clip.size != part.size:
            wrong.append(f"pictures of {part.size} written as {clip.size}")
        # The clip's clock on that of the film: by the first picture where it is one of many, else they are one.
        when = {n: at for at, n in part.pictures}
        first = next(when[n] for _, n in seen if n in when)
        begins = first if len(clips) > 1 or len(held.parts) > 1 else 0.0
        rate = (len(seen) - 1) / (seen[-1][0] - seen[0][0]) if len(seen) > 1 else held.rate
        wrong += truth.judge_grid([(begins + at, n) for at, n in seen], part, min(rate, held.rate))
        sound = readers.sound(clip.path) if clip.has_audio else None
        heard = truth.within_pictures(part, held.rate)
        wrong += truth.judge_sound(sound, heard, False, round(begins * RATE), whole=len(clips) == len(held.parts))
        if not wrong and held.constant and len(clips) == len(held.parts) == 1:
            wrong += _training(clip, part, held)
    expected = [n for part in held.parts for _, n in part.pictures]
    if held.constant:
        wrong += [words for words in truth.judge_numbers(numbers, expected) if words not in wrong]
    elif len(missing := set(expected) - set(numbers)) > len(expected) / 4 + 2:
        wrong.append(f"{len(missing)} of {len(expected)} pictures lost")
    return wrong


def _training(clip: readers.Clip, part: truth.Part, held: Truth) -> list[str]:
    """A stretch of the clip, as training reads it."""
    start = 18 / held.rate
    shown, heard = readers.clip_for_training(clip.path, part.size, held.rate, 12, start)
    wrong = [] if shown == [n for _, n in part.pictures[18:30]] else [f"training sees {shown} from picture 18 on"]
    return wrong + truth.judge_sound(heard, part, False, round(start * RATE), whole=False)
