"""How often quality control is right about real film: precision and recall of each question, with 95 % intervals.

``python -m tests.bench.real_film [FOLDER]`` prints the table for both halves of the films: thresholds were chosen on
half A (every other open film by name), none on half B. FOLDER holds ``open`` and ``bad``. What real film lacks in
number is put together from it (:mod:`tests.bench.real_scenes`), and each row says so.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aiprod.captions.captioner import Subject
from aiprod.captions.params import CaptionParams
from aiprod.captions.registry import make_captioner
from aiprod.data.ingest.shot_detection import analyse_video
from aiprod.data.params import ShotParams
from aiprod.media.probing import probe, require_video
from aiprod.qc.bundled import blazeface
from aiprod.qc.bundled.catalogue import missing
from aiprod.qc.checks import text_reader, voices
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.params import QcMeasureParams
from tests.bench.real_scenes import (
    Half,
    cut_outs,
    half,
    joined_shots,
    moving_scene,
    pieces,
    plates,
    sound_of,
    stills,
    with_faces,
    with_words,
)
from tests.qc.marks import MARKS, layer_of
from tests.qc.still_scenes import COUNT, pictures_of, still_scene
from tests.qc.test_bundled_on_film import interval, matched
from tests.qc.test_still_scenes import judged

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "clips"
OPEN_TRUTH = Path(__file__).parents[1] / "qc" / "open_truth.csv"
CLIPS = Path(__file__).parents[1] / "captions" / "open_clips.csv"
WINDOW_S = COUNT / 25
SEEDS = ((13, 100), (113, 1000), (213, 2000))
"""Of moving scenes, and of the first still one."""

Row = tuple[str, str, str]
"""A question, its figure with an interval, and what is wanted of it."""


def precision_recall(question: str, answers: Iterable[tuple[bool, bool]], wanted: tuple[float, float]) -> list[Row]:
    """Two rows from pairs of what was said and what is true."""
    pairs = list(answers)
    right = sum(said and true for said, true in pairs)
    said, true = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return [
        (f"{question}: precision", interval(right, said), f"{wanted[0]:.2f}"),
        (f"{question}: recall", interval(right, true), f"{wanted[1]:.2f}"),
    ]


def lettering(films: Half, count: int = 80) -> list[Row]:
    """A line is read in a picture, over plates with and without one."""
    rng, bare = np.random.default_rng(11), plates(films)
    lettered = [with_words(rng, bare[n % len(bare)]) for n in range(count)]
    answers = [(bool(text_reader.read_lines(picture)), True) for picture in lettered]
    for row in films.truth:
        if row["text"] == "no" and row["file"].startswith("open/"):
            video = require_video(probe(films.clips / row["file"]))
            times = [(n + 0.5) * (video.duration_s or 2.0) / 8 for n in range(8)]
            pictures = stills(films.clips / row["file"], times, *_fitted(video.display_width, video.display_height))
            answers += [(bool(text_reader.read_lines(picture)), False) for picture in pictures]
    return precision_recall(
        f"lettering (composite, {count} with and {len(answers) - count} without)", answers, (0.95, 0.85)
    )


def faces(films: Half, count: int = 30) -> list[Row]:
    """Faces of this half's people, pasted at known sizes into pictures without any."""
    rng, bare, heads = np.random.default_rng(12), plates(films), cut_outs(films)
    rows: list[Row] = []
    boxes_said = idle_boxes = 0
    for name, least, most, wanted in (("60 px and more", 60.0, 160.0, 0.95), ("30 to 60 px", 30.0, 60.0, 0.7)):
        hits = true = 0
        for n in range(count):
            picture, there = with_faces(rng, bare[n % len(bare)], heads, least, most)
            h, w = picture.shape[:2]
            said = [
                (0, face["box"][0] * w, face["box"][1] * h, face["box"][3] * h)
                for face in blazeface.find(picture, profiles=True, quick=True)
            ]
            hit, idle = matched(said, there)
            hits, true = hits + len(hit), true + len(there)
            boxes_said, idle_boxes = boxes_said + len(said), idle_boxes + idle
        rows.append((f"faces, {name} (composite): recall", interval(hits, true), f"{wanted:.2f}"))
    return [*rows, ("faces (composite): precision", interval(boxes_said - idle_boxes, boxes_said), "0.97")]


def camera_and_overlay(films: Half, count: int = 24) -> list[Row]:
    """A still camera is called still, and a mark is claimed only where one is."""
    truth = {row["file"]: row["camera"] for row in csv.DictReader(OPEN_TRUTH.open(encoding="utf-8"))}
    real: list[tuple[bool, bool]] = []
    overlays: list[tuple[bool, bool]] = []

    def look(pictures: list[np.ndarray], still: bool, into: list[tuple[bool, bool]], marked: bool = False) -> None:
        moves, mark = judged(pictures)
        into.append((moves["movement"] == "static", still))
        overlays.append((mark["status"] == "ok" and mark["area_fraction"] > 0, marked))

    for path in films.open_films():
        if truth[path.name] in ("static", "moving"):
            for n in range(5):
                pictures = pictures_of(path, COUNT, from_s=n * WINDOW_S)
                if len(pictures) >= COUNT // 2:
                    look(pictures, truth[path.name] == "static", real)
    made: list[tuple[bool, bool]] = []
    bare = plates(films)
    gray = [p[:, :, 1] for p in bare]
    small = [np.ascontiguousarray(p[::2, ::2][:180, :320]) for p in gray if p.std() > 20]
    for seed, first in SEEDS:
        rng = np.random.default_rng(seed)
        for n in range(count):
            look(still_scene(first + n, small), True, made)
            pictures = moving_scene(rng, bare[n % len(bare)])
            look(pictures, False, made)
            layer = layer_of(list(MARKS)[n % len(MARKS)], *pictures[0].shape)
            look([layer.over(picture) for picture in pictures], False, [], marked=True)
    return [
        *precision_recall("still camera (windows of 4 s of film)", real, (0.95, 0.95)),
        *precision_recall(f"still camera (composite, {len(made)})", made, (0.95, 0.95)),
        *precision_recall(f"overlay ({len(overlays)} windows, {len(SEEDS) * count} marked)", overlays, (0.95, 0.0)),
    ]


def cuts(films: Half, count: int = 4) -> list[Row]:
    """Cuts between shots of different films, to a picture."""
    rng = np.random.default_rng(14)
    truth = {row["file"]: row["cuts"] for row in csv.DictReader(OPEN_TRUTH.open(encoding="utf-8"))}
    shots = [path for path in films.open_films() if truth[path.name] == "no"]
    right = said = true = 0
    with tempfile.TemporaryDirectory() as folder:
        for n in range(count):
            path = Path(folder) / f"{n}.mp4"
            there = joined_shots(rng, shots, path)
            found = [shot.first for shot in analyse_video(path, ShotParams()).shots][1:]
            right += sum(any(abs(cut - other) <= 1 for other in found) for cut in there)
            said, true = said + len(found), true + len(there)
    return [
        ("cuts (composite, joined shots): precision", interval(min(right, said), said), "0.98"),
        ("cuts (composite, joined shots): recall", interval(right, true), "0.95"),
    ]


def network_cuts(films: Half, count: int = 4, over: int = 0) -> list[Row]:
    """The same by the bundled network; of transitions that last, whether one is told that meets each."""
    if missing("shots") is not None:
        return []
    rng = np.random.default_rng(14)
    truth = {row["file"]: row["cuts"] for row in csv.DictReader(OPEN_TRUTH.open(encoding="utf-8"))}
    shots = [path for path in films.open_films() if truth[path.name] == "no"]
    met = said = right = true = classical = 0
    with tempfile.TemporaryDirectory() as folder:
        for n in range(count):
            path = Path(folder) / f"{n}.mp4"
            there = [(cut - 1.5, cut + over + 0.5) for cut in joined_shots(rng, shots, path, over=over)]
            told = measure_clip(path, probe(path), 0.0, 120.0, QcMeasureParams(models=["shots"]), only=["shots"])[0]
            spans = [(t * 25, t * 25) for t in told["shots"]["times_s"]]
            spans += [(t["start_s"] * 25, t["end_s"] * 25) for t in told["shots"]["transitions"]]
            right += sum(any(a <= end and b >= begin for a, b in spans) for begin, end in there)
            met += sum(any(a <= end and b >= begin for begin, end in there) for a, b in spans)
            found = [shot.first for shot in analyse_video(path, ShotParams()).shots][1:]
            classical += sum(any(begin <= cut <= end for cut in found) for begin, end in there)
            said, true = said + len(spans), true + len(there)
    what = f"dissolves of {over} pictures" if over else "cuts"
    return [
        (f"{what} by the network (composite, joined shots): precision", interval(met, said), "0.98"),
        (f"{what} by the network (composite, joined shots): recall", interval(right, true), "0.95"),
        (f"{what} by the classical detector: recall", interval(classical, true), ""),
    ]


def network_dissolves(films: Half) -> list[Row]:
    """Shots that turn into each other within 12 pictures."""
    return network_cuts(films, count=2, over=12)


def speech(films: Half) -> list[Row]:
    """Yes or no in up to twelve seconds: this half's speech over its noise at 20, 10 and 5 dB, and the noise alone."""
    spoken = [p for r in films.truth if r["speech"] == "yes" for p in pieces(sound_of(films.clips / r["file"]))]
    noise = [p for r in films.truth if r["speech"] == "no" for p in pieces(sound_of(films.clips / r["file"]))]
    rng = np.random.default_rng(15)
    answers = [(_speaks(part), False) for part in noise]
    for part in spoken:
        for decibels in (20, 10, 5):
            other = np.resize(noise[rng.integers(len(noise))], part.size)
            gain = np.sqrt(np.mean(part**2) / np.mean(other**2)) * 10 ** (-decibels / 20)
            answers.append((_speaks(part + np.float32(gain) * other), True))
    right = sum(said == true for said, true in answers)
    title = f"speech, yes or no (composite, {len(answers) - len(noise)} with and {len(noise)} without)"
    return [(title, interval(right, len(answers)), "0.95")]


def _speaks(samples: np.ndarray) -> bool:
    return "speech" in voices.kinds_of(np.asarray(samples, np.float32))


def _fitted(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, 720 / min(width, height))
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def captions(folder: Path) -> list[Row]:
    """What captions of clips of open film state of people, text, speech and music, by a table that a person made."""
    writer = make_captioner(CaptionParams(captioner="rule_based"))
    stated: dict[str, list[tuple[bool, bool]]] = {}
    for row in csv.DictReader(CLIPS.open(encoding="utf-8")):
        path = folder / "open" / row["file"]
        found, _ = measure_clip(
            path, probe(path), float(row["start_s"]), float(row["end_s"]), QcMeasureParams(models="all")
        )
        content = writer.describe([Subject("clip", found, path=path, private=False)])[0].content
        heard = " ".join(claim.words for claim in content.sound)
        said = {
            "people": bool(content.people),
            "text": bool(content.text),
            "speech": "speak" in heard or "speech" in heard,
            "music": "music" in heard,
        }
        for kind, is_said in said.items():
            if row[kind]:
                stated.setdefault(kind, []).append((is_said, row[kind] != "no"))
        if row["people"] == "face":
            stated.setdefault("people whose face shows", []).append((said["people"], True))
    return [r for kind, pairs in stated.items() for r in precision_recall(f"captions: {kind}", pairs, (1.0, 0.9))]


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows as Markdown."""
    print(f"\n{title}\n\n| question | figure | wanted |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main(folder: Path = FOLDER) -> None:
    """Print both tables, then what captions state."""
    for name, title in (("B", "no threshold was chosen on these films"), ("A", "thresholds were chosen on these")):
        films = half(name, folder)
        rows = [
            row
            for part in (
                faces,
                lettering,
                camera_and_overlay,
                cuts,
                network_cuts,
                network_dissolves,
                speech,
            )
            for row in part(films)
        ]
        show(f"half {name}: {title}", rows)
    show("captions of clips of both halves", captions(folder))


if __name__ == "__main__":
    main(*[Path(argument) for argument in sys.argv[1:2]])
