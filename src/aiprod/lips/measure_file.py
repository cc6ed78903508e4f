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
from aiprod.lips.file_audio import LONGEST_S, read_voice
from aiprod.media.frames import VideoReader
from aiprod.media.rgb_frames import rgb_frames
from aiprod.qc.bundled.face_mesh import Face, Picture, faces_in, follow
from aiprod.speech.lip_sync import MouthTrack, measure
from aiprod.speech.phones import ENGLISH
from aiprod.speech.visemes import VISEME_OF
from aiprod.speech.voice import TimedUnit

_SIDE = 720  # a longer side is made so small first: no face is found better in more
_LIPS_EVERY = 5
_TIMES_MAX = 16 << 20


@dataclass(frozen=True)
class MeasuredFilm:
    """The pictures of a film.

    Attributes:
        times_s: of the middle of each.
        faces: the face that is followed, in pictures that are ``scale`` times as large.
        start_s: when the first is shown, on the clock of the file.
        face_count: most faces that are seen at once.
        lips: how much redder lips are than cheeks (:meth:`Face.lips_redder`); None without a face, or without colour.
    """

    times_s: np.ndarray
    faces: list[Face | None]
    step_s: float
    start_s: float
    face_count: int
    scale: float
    lips: float | None


def pictures_of(path: Path, reader: VideoReader, side: int = 0) -> Iterator[tuple[float, Picture]]:
    """Time and upright RGB of each picture; ``side`` bounds the longer side, 0 leaves it.

    Raises:
        AiprodError: longer than ten minutes.
    """
    for time_s, picture in rgb_frames(reader, side):
        if time_s > LONGEST_S:
            raise AiprodError(f"{path} is longer than {LONGEST_S:g} s", "cut the part with the face out of it")
        yield time_s, picture


def see(path: Path, which: int = 0) -> MeasuredFilm:
    """Follow a face through a film.

    Raises:
        AiprodError: no film, or too long.
    """
    times: list[float] = []
    face_count, scale = 0, 1.0
    shown: list[Picture] = []

    def pictures() -> Iterator[Picture]:
        nonlocal face_count, scale
        for time_s, picture in pictures_of(path, reader, _SIDE):
            if len(times) % 25 == 0 and len(times) < 250:
                face_count = max(face_count, len(faces_in(picture)))
            scale = max(picture.shape[:2]) / max(reader.facts.display_width, reader.facts.display_height)
            times.append(time_s)
            shown[:] = [picture]
            yield picture

    with VideoReader(path) as reader:
        faces: list[Face | None] = []
        redness: list[float] = []
        for face in follow(pictures(), which):
            if face is not None and len(faces) % _LIPS_EVERY == 0:
                redness += [value] if (value := face.lips_redder(shown[0])) is not None else []
            faces.append(face)
        step = 1 / reader.facts.fps if reader.facts.fps > 0 else 0.04
        lips = float(np.median(redness)) if redness else None
        return MeasuredFilm(np.array(times) + step / 2, faces, step, reader.facts.start_s, face_count, scale, lips)


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
    sync = measure(MouthTrack(film.times_s, aperture, film.step_s), phones, language)
    figures: dict[str, Any] = {
        "frames": len(film.faces),
        "frames_with_face": len(present),
        "faces": film.face_count,
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
    from aiprod.speech.text_to_phones import bundled_dictionary, phrases

    words = [word for phrase in phrases(text, ENGLISH, bundled_dictionary()) for word in phrase.words]
    return Aligner().align(read_voice(path, origin_s), words, ENGLISH)[0]
