"""Of copies the better picture is kept: real films, made smaller, enlarged, blurred and ruined."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler
from aiprod.qc.decide.decide import verdicts
from aiprod.qc.duplicates.picture_quality import picture_quality
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.metric_table import FigureTable
from aiprod.qc.params import QcDecideParams, QcMeasureParams, Thresholds
from aiprod.qc.rows import MeasureRow
from tests.qc.test_duplicates import dataset, decided, figures, words
from tests.qc.test_scoring import GOOD

LIGHT = QcMeasureParams(stills=4, flow_pairs=2, watermark_frames=4, face_stills=4)


def copy(source: Path, target: Path, *, scale: float = 1.0, crf: int = 18, enlarged: bool = False) -> Path:
    """The first second and a half of a film: of another size, at another rate, or enlarged to its own size again."""
    video = require_video(probe(source))
    size = video.display_width // 2 * 2, video.display_height // 2 * 2
    small = round(size[0] * scale / 2) * 2, round(size[1] * scale / 2) * 2
    with VideoReader(source) as reader:
        scaler = Scaler(*small, exact=True)
        pictures = (scaler.array(t.frame) for t in reader.frames(0.0, 1.5))
        if enlarged:
            pictures = (np.ascontiguousarray(cv2.resize(p, size, interpolation=cv2.INTER_CUBIC)) for p in pictures)
        encode(target, pictures, Fraction(video.fps).limit_denominator(1001), None, crf=crf, preset="veryfast")
    return target


@pytest.mark.slow
@pytest.mark.parametrize("name", ["friday_480p30_6s.mp4", "mdn_crystal_480p30.mp4"])
def test_a_ruined_copy_is_not_kept_for_its_score(shared_clips: Path, tmp_path: Path, name: str) -> None:
    """Neither is an enlarged one; and a small clean one is better than a large ruined one."""
    source = shared_clips / "open" / name
    kinds = {
        "ruined": copy(source, tmp_path / "ruined.mp4", crf=44),
        "clean": copy(source, tmp_path / "clean.mp4"),
        "half": copy(source, tmp_path / "half.mp4", scale=0.5),
        "enlarged": copy(source, tmp_path / "enlarged.mp4", scale=0.34, enlarged=True),
    }
    measured = {kind: measure_file(path, LIGHT)[0] for kind, path in kinds.items()}
    quality = dict(zip(measured, picture_quality(FigureTable.of(list(measured.values()))).tolist(), strict=True))
    assert max(quality, key=quality.__getitem__) == "clean", quality
    assert min(quality, key=quality.__getitem__) == "ruined", quality
    films, clips = dataset(4)
    rows = [
        MeasureRow(clip_id=clip.clip_id, film_id=clip.film_id, status="ok", measurements=found)
        for clip, found in zip(clips, measured.values(), strict=True)
    ]
    found = {row.clip_id: row for row in verdicts(films, clips, rows, QcDecideParams())}
    assert found["c1"].duplicate_of is None  # the clean one
    assert {found[f"c{n}"].duplicate_of for n in (0, 2, 3)} == {"c1"}


def test_what_is_rejected_by_its_score_alone_is_kept_if_it_is_the_better_picture() -> None:
    """A face that ruin hides lowers the score of the clean film; that one stays, to be reviewed."""
    look, change = words(40), words(40)
    prints = [figures(look, change), figures(look, change)]
    films, clips = dataset(2)
    ruin = {"status": "ok", "bits_per_pixel": 0.004, "bitrate_bps": 9e3, "blur": 0.5, "blockiness": 1.8}
    seen = {"status": "ok", "stills": 4, "stills_with_faces": 3, "found": True}
    wide = GOOD["geometry"] | {"aspect": 3.0, "display_width": 2160, "display_height": 720}
    params = QcDecideParams(thresholds=Thresholds(approve=0.85, review=0.85))
    rows = decided(prints, films, clips, params, c0={"encoding": ruin}, c1={"faces": seen, "geometry": wide})
    assert (rows["c0"].score or 0) > 0.85 > (rows["c1"].score or 1)
    assert (rows["c0"].duplicate_of, rows["c1"].duplicate_of) == ("c1", None)
