"""How well lips and sound of drawn heads go together in the finished film."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.film.record import place_of
from aiprod.lips.head import Picture
from aiprod.lips.measure_file import read_times
from aiprod.media.frames import VideoReader
from aiprod.media.rgb_frames import rgb_frames
from aiprod.montage.timeline import SAMPLE_RATE
from aiprod.qc.bundled.face_mesh import follow
from aiprod.speech.lip_sync import MouthTrack, SyncResult, measure


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
