"""What can be measured of the mouth in any film."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.structured import read_bounded
from aiprod.errors import AiprodError
from aiprod.lips.landmarks import Face, Picture, faces_in, follow
from aiprod.lips.sync import Seen, measure
from aiprod.lips.visemes import VISEME_OF
from aiprod.lips.voice_of_file import LONGEST_S, read_voice
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler, upright
from aiprod.speech.phones import ENGLISH
from aiprod.speech.voice import TimedUnit

_SIDE = 720  # a longer side is made so small first: no face is found better in more
_TIMES_MAX = 16 << 20


@dataclass(frozen=True)
class Film:
    """The pictures of a film with the times of their middles."""

    times_s: np.ndarray
    faces: list[Face | None]
    step_s: float
    start_s: float
    found: int


def pictures_of(path: Path, reader: VideoReader, side: int = 0) -> Iterator[tuple[float, Picture]]:
    """Time and upright RGB of each picture; ``side`` bounds the longer side, 0 leaves it.

    Raises:
        AiprodError: longer than ten minutes.
    """
    facts = reader.facts
    longest = max(facts.display_width, facts.display_height)
    scale = min(1.0, side / longest) if side else 1.0
    width, height = (max(2, round(v * scale)) for v in (facts.display_width, facts.display_height))
    turned = facts.orientation
    scaler = Scaler(height, width) if turned.transpose else Scaler(width, height)
    for timed in reader.frames():
        if timed.time_s > LONGEST_S:
            raise AiprodError(f"{path} is longer than {LONGEST_S:g} s", "cut the part with the face out of it")
        yield timed.time_s, np.ascontiguousarray(upright(scaler.array(timed.frame), turned))


def see(path: Path, which: int = 0) -> Film:
    """Follow a face through a film.

    Raises:
        AiprodError: no film, or too long.
    """
    times: list[float] = []
    found = 0

    def pictures() -> Iterator[Picture]:
        nonlocal found
        for time_s, picture in pictures_of(path, reader, _SIDE):
            if len(times) % 25 == 0 and len(times) < 250:
                found = max(found, len(faces_in(picture)))
            times.append(time_s)
            yield picture

    with VideoReader(path) as reader:
        faces = list(follow(pictures(), which))
        step = 1 / reader.facts.fps if reader.facts.fps > 0 else 0.04
        return Film(np.array(times) + step / 2, faces, step, reader.facts.start_s, found)


def measure_lips(path: Path, *, text: str = "", times: Path | None = None, which: int = 0) -> dict[str, Any]:
    """Whether mouth and sound go together, from when which phone is heard.

    Args:
        text: what is said, in English: it is aligned by PocketSphinx.
        times: a JSON file as ``aiprod speak`` writes it; by default that beside the film, where there is one.

    Raises:
        AiprodError: no face, no sound, or nothing that says when which phone is heard.
    """
    beside = path.with_suffix(".json")
    source = times or (beside if not text and beside.is_file() else None)
    if source is None and not text:
        raise AiprodError(
            "nothing says what is spoken", "give --text, or --times with a JSON file as `aiprod speak` writes it"
        )
    film = see(path, which)
    present = [face for face in film.faces if face is not None]
    if not present:
        raise AiprodError(f"no face is seen in {path}", "give a film with a face that looks towards the camera")
    phones, language = read_times(source) if source is not None else (_aligned(path, text, film.start_s), ENGLISH)
    aperture = np.array([np.nan if face is None else face.aperture for face in film.faces])
    sync = measure(Seen(film.times_s, aperture, film.step_s), phones, language)
    figures: dict[str, Any] = {
        "frames": len(film.faces),
        "frames_with_face": len(present),
        "faces": film.found,
        "aperture_mean": float(np.nanmean(aperture)),
        "aperture_deviation": float(np.nanstd(aperture)),
        "bilabials": sync.bilabials,
        "open_vowels": sync.open_vowels,
    }
    if sync.auc is not None:
        figures["auc"] = sync.auc
        figures["auc_mismatched"] = sync.auc_mismatched if sync.auc_mismatched is not None else "too short"
        figures["auc_by_shift"] = " ".join(f"{n:+d}:{value:.2f}" for n, value in sync.curve.items())
    else:
        figures["auc"] = "unmeasurable: it needs a P, B or M and an open vowel"
    late = sync.late_frames
    figures["sound_late_frames"] = "unmeasurable: the mouth does not do what is said" if late is None else late
    if sync.correlation is not None:
        figures["correlation"] = sync.correlation
        figures["correlation_mismatched"] = (
            sync.correlation_mismatched if sync.correlation_mismatched is not None else "too short"
        )
    return figures


def read_times(path: Path) -> tuple[list[TimedUnit], str]:
    """Phones and the language of a JSON file as ``aiprod speak`` writes it.

    Raises:
        AiprodError: it is not one.
    """
    wrong = AiprodError(f"{path} does not hold times of phones", "give the JSON file that `aiprod speak` wrote")
    try:
        content = json.loads(read_bounded(path, _TIMES_MAX))
        phones = [TimedUnit(str(p["phone"]), float(p["start_s"]), float(p["end_s"])) for p in content["phones"]]
        language = str(content.get("language", ENGLISH))
        known = VISEME_OF[language]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise wrong from None
    numbers = np.array([[p.start_s, p.end_s] for p in phones])
    if not phones or not np.isfinite(numbers).all() or any(phone.name not in known for phone in phones):
        raise wrong
    if (np.diff(numbers.reshape(-1)) < -1e-3).any() or numbers[0, 0] < 0 or numbers[-1, 1] > LONGEST_S:
        raise wrong
    return phones, language


def _aligned(path: Path, text: str, origin_s: float) -> list[TimedUnit]:
    from aiprod.speech.aligner import Aligner
    from aiprod.speech.text_to_phones import carried_dictionary, phrases

    words = [word for phrase in phrases(text, ENGLISH, carried_dictionary()) for word in phrase.words]
    return Aligner().align(read_voice(path, origin_s), words, ENGLISH)[0]
