"""A drawn head that says a line of the script, and how well lips and sound go together in the finished film."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.film.record import place_of
from aiprod.film.script import HEAD_LEAD_S
from aiprod.lips.head import Picture, Pose, draw, looks_of
from aiprod.lips.measure_file import read_times
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.rgb_frames import rgb_frames
from aiprod.montage.timeline import SAMPLE_RATE
from aiprod.qc.bundled.face_mesh import follow
from aiprod.speech.lip_sync import MouthTrack, SyncResult, measure
from aiprod.speech.visemes import middles, mouth_at

_CRF = 12.0


def draw_head(  # noqa: PLR0917
    path: Path, times: Path, speaker: str, size: tuple[int, int], rate: Fraction, at_s: Fraction, lasts_s: Fraction
) -> None:
    """Write a silent film of a head that says a line; who speaks decides what it looks like.

    Args:
        times: of the line's phones, as they are written beside it.
        at_s: when the line begins.
        lasts_s: :data:`~aiprod.film.script.HEAD_LEAD_S` comes before and behind.
    """
    phones, language = read_times(times)
    seconds = middles(round((lasts_s + 2 * HEAD_LEAD_S) * rate), float(rate)) - HEAD_LEAD_S - float(at_s)
    spoken = seconds >= 0
    mouths = np.empty((len(seconds), 4))
    mouths[spoken] = mouth_at(phones, language, seconds[spoken])
    mouths[~spoken] = mouths[spoken][0]
    rng = np.random.default_rng(list(hashlib.sha256(speaker.encode()).digest()[:8]))

    def pictures() -> Iterator[Picture]:
        looks, phases = looks_of(rng), rng.uniform(0, 2 * np.pi, 3)
        width, height = size
        for second, mouth in zip(seconds, mouths, strict=True):
            sway, nod, turn = np.sin(2 * np.pi * np.array([0.23, 0.31, 0.17]) * second + phases)
            eyes = 0.27 * min(width, height)
            pose = Pose(width / 2 + 0.03 * eyes * sway, 0.4 * height + 0.03 * eyes * nod, eyes, 1.5 * turn)
            yield draw(looks, pose, mouth, size, blink=float(second % 2.6 < 0.12))

    encode(path, pictures(), rate, None, crf=_CRF, tags={"comment": "drawn; the person does not exist"})


def lip_sync(film: Path, record: dict[str, Any], root: Path) -> list[SyncResult]:
    """Of each drawn head: its mouth, as it is seen in the finished film, against the phones that are heard there."""
    ingredients, rate = record["ingredients"], Fraction(record["rate"])
    results = []
    for shot in record["shots"]:
        head = ingredients[shot["ingredient"]]
        if head["kind"] != "head":
            continue
        line = next(
            sound
            for sound in record["sounds"]
            if ingredients[sound["ingredient"]].get("sha256") == head["facts"]["line_sha256"]
        )
        spoken = place_of(root, film, record, ingredients[line["ingredient"]]["file"])
        if spoken is None:
            continue
        begins_s = line["samples"][0] / SAMPLE_RATE
        first_s, behind_s = (float(shot[edge] / rate) for edge in ("record_in", "record_out"))
        times: list[float] = []

        def pictures(first_s: float = first_s, behind_s: float = behind_s) -> Iterator[Picture]:
            with VideoReader(film) as reader:
                for at_s, picture in rgb_frames(reader, 720, first_s, behind_s):
                    times.append(at_s)  # noqa: B023 (it is read to its end before the next shot)
                    yield picture

        opened = [np.nan if face is None else face.aperture for face in follow(pictures())]
        step_s = float(1 / rate)
        seen = MouthTrack(np.array(times) + step_s / 2 - begins_s, np.array(opened), step_s)
        results.append(measure(seen, *read_times(spoken.with_suffix(".json"))))
    return results
