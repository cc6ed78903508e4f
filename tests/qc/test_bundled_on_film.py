"""What bundled networks find in real film, against what a person saw in its stills.

Each row of ``bundled_truth.csv`` is a film: whether its stills show lettering that can be read, whether somebody
speaks, and the faces of the stills that are searched, as ``still/left/top/size`` in pixels of the upright picture.
Thresholds were chosen on the films of half A, every other one by name; half B is the others and the hostile films.
Boxes were drawn by the detector and looked through by eye, and the faces that it had missed were added. A face that
the edge cuts through the middle is not in the table.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.executors.executor import ordered_map
from aiprod.media.probing import probe
from aiprod.qc.bundled.catalogue import BY_ALL, missing
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.params import QcMeasureParams

TRUTH = Path(__file__).with_name("bundled_truth.csv")
Face = tuple[int, float, float, float]


def measured(film: Path) -> tuple[dict[str, Any], int, int]:
    """What the networks say of a film; width and height of its upright picture."""
    facts = probe(film)
    assert facts.video is not None
    length = facts.video.duration_s or facts.duration_s or 10.0
    found, _ = measure_clip(
        film, facts, 0.0, length, QcMeasureParams(models="all"), only=("text", "faces", "voices", "nsfw")
    )
    return found, facts.video.display_width, facts.video.display_height


def interval(right: int, of: int) -> str:
    """A share with Wilson's 95 % interval."""
    if not of:
        return "none"
    z, share = 1.96, right / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    reach = z * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{share:.2f} ({right} of {of}; {middle - reach:.2f} to {min(1.0, middle + reach):.2f})"


def matched(boxes: list[Face], faces: list[Face]) -> tuple[list[Face], int]:
    """The faces that a box of the same still lies on, and how many boxes lie on none."""
    hit, idle = set(), 0
    for still, left, top, size in boxes:
        near = [
            face
            for face in faces
            if face[0] == still
            and abs(face[1] + face[3] / 2 - left - size / 2) < face[3] / 2
            and abs(face[2] + face[3] / 2 - top - size / 2) < face[3] / 2
        ]
        hit.update(near)
        idle += not near
    return sorted(hit), idle


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(any(missing(use) for use in BY_ALL), reason="needs every bundled model")
def test_precision_and_recall_on_film_that_no_threshold_was_chosen_on(shared_clips: Path) -> None:
    rows = [row for row in csv.DictReader(TRUTH.open(encoding="utf-8")) if (shared_clips / row["file"]).is_file()]
    outcomes = list(ordered_map(measured, [shared_clips / row["file"] for row in rows]))
    for half in "AB":
        text, speech, large, small = ([0, 0, 0] for _ in range(4))  # right, said, true
        idle, unsafe = 0, []
        for row, outcome in zip(rows, outcomes, strict=True):
            assert outcome.value is not None, (row["file"], outcome.reason)
            if row["half"] != half:
                continue
            found, wide, tall = outcome.value
            said = found["text"]["stills_with_text"] > 0
            _count(text, said, row["text"] == "yes")
            if row["speech"]:
                assert found["voices"]["status"] == "ok", row["file"]
                _count(speech, found["voices"]["speech"], row["speech"] == "yes")
            faces = [_face(word) for word in row["faces"].split()]
            boxes = [
                (face["still"], face["box"][0] * wide, face["box"][1] * tall, face["box"][3] * tall)
                for face in found["faces"]["boxes"]
            ]
            hit, none = matched(boxes, faces)
            idle += none
            for face in faces:
                _count(large if face[3] >= 60 else small, face in hit, True)
            unsafe += [still[1] for still in found["nsfw"]["probabilities"]]
        boxes_said = large[0] + small[0] + idle
        print(f"\nhalf {half}")
        print(f"  lettering: precision {interval(text[0], text[1])}, recall {interval(text[0], text[2])}")
        print(f"  speech: precision {interval(speech[0], speech[1])}, recall {interval(speech[0], speech[2])}")
        print(f"  faces of 60 px and more: recall {interval(large[0], large[2])}")
        print(f"  faces of 30 to 60 px: recall {interval(small[0], small[2])}")
        print(f"  faces: precision {interval(boxes_said - idle, boxes_said)}")
        print(f"  unsafe: at most {max(unsafe):.2f} in {len(unsafe)} stills, none of which is")
        if half == "B":
            assert text[0] >= 0.85 * text[2]
            assert text[0] >= 0.95 * text[1]
            assert speech[0] == speech[1] == speech[2]
            assert large[0] >= 0.95 * large[2]
            assert small[0] >= 0.7 * small[2]
            assert idle <= 0.03 * boxes_said
            assert max(unsafe) < 0.5


def _face(word: str) -> Face:
    still, left, top, size = (int(part) for part in word.split("/"))
    return still, left, top, size


def _count(counts: list[int], said: bool, true: bool) -> None:
    for place, more in enumerate((said and true, said, true)):
        counts[place] += more
