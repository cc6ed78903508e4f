"""Where the coding of colours changes within a film, each part comes out in its own colours, or the film is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler
from aiprod.storage.result_cache import Memo

COLOUR = (200, 60, 40)
HALF = 12


def film(path: Path, container: str, *parts: dict[str, Any]) -> Path:
    """Pictures of one colour, coded in another way in each part."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.options = {"x264-params": "repeat-headers=1"}
        for number, part in enumerate(parts):
            context: Any = av.CodecContext.create("libx264", "w")
            context.width, context.height, context.pix_fmt = 96, 64, "yuv420p"
            context.time_base, context.framerate = Fraction(1, 24), Fraction(24)
            context.sample_aspect_ratio = part.get("sar", Fraction(1))
            codes, matrix = part.get("range", 1), part.get("matrix", 1)
            context.color_range, context.colorspace, context.color_primaries, context.color_trc = codes, matrix, 1, 1
            context.options = {
                "x264-params": "bframes=0:keyint=12:repeat-headers=1",
                "preset": "ultrafast",
                "tune": "zerolatency",
                "crf": "4",
            }
            packets = []
            for n in range(HALF):
                picture = av.VideoFrame.from_ndarray(np.full((64, 96, 3), COLOUR, np.uint8), "rgb24")
                sws = 5 if matrix == 6 else min(matrix, 7)
                frame = picture.reformat(format="yuv420p", dst_colorspace=sws, src_color_range=2, dst_color_range=codes)
                frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc = codes, matrix, 1, 1
                frame.pts, frame.time_base = number * HALF + n, Fraction(1, 24)
                packets += context.encode(frame)
            for packet in [*packets, *context.encode(None)]:
                packet.stream, packet.time_base = stream, Fraction(1, 24)
                out.mux(packet)
    return path


def taken(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What ingest says of a film, and the middle of each picture of its clips."""
    memo = Memo(path.parent / "memo", "")
    params = IngestParams.model_validate({"shots": {"min_shot_s": 0.1}})
    ingest_film(IngestJob(str(path), None, sha256_file(path), "key", memo, params))
    known = memo.get("key")
    assert known is not None
    result, place = known
    colours = []
    for clip in result["clips"]:
        with VideoReader(place / clip["file"]) as reader:
            scaler = Scaler(16, 16)
            colours += [scaler.array(timed.frame)[8, 8] for timed in reader.frames()]
    return result, colours


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"range": 2}, {"range": 1}, "full range to matrix 1 and limited range"),
        ({"range": 1}, {"range": 2}, "limited range to matrix 1 and full range"),
        ({"matrix": 1}, {"matrix": 6}, "matrix 1 and limited range to matrix 6"),
    ],
)
def test_each_part_keeps_its_colours(
    container: str, first: dict[str, Any], second: dict[str, Any], said: str, tmp_path: Path
) -> None:
    result, colours = taken(film(tmp_path / "film", container, first, second))
    assert result["error"] is None and len(result["clips"]) == 2
    assert any(said in note for note in result["notes"])
    assert len(colours) == 2 * HALF
    assert np.abs(np.array(colours) - COLOUR).max() <= 3  # 4:2:0, twice coded; a wrong range is 11 off


@pytest.mark.parametrize("container", ["mpegts", "mp4", "avi"])
def test_pixels_that_change_their_shape_begin_a_shot(container: str, tmp_path: Path) -> None:
    result, colours = taken(film(tmp_path / "film", container, {}, {"sar": Fraction(4, 3)}))
    assert [(clip["width"], clip["height"]) for clip in result["clips"]] == [(96, 64), (128, 64)]
    assert any("from pixels of 1:1 to pixels of 4:3" in note for note in result["notes"])
    assert len(colours) == 2 * HALF


def test_a_shape_that_matroska_does_not_state_changes_nothing(tmp_path: Path) -> None:
    result, colours = taken(film(tmp_path / "film", "matroska", {}, {"sar": Fraction(4, 3)}))
    assert [(clip["width"], clip["height"]) for clip in result["clips"]] == [(96, 64)]
    assert len(colours) == 2 * HALF and not [note for note in result["notes"] if note.startswith("form:")]


@pytest.mark.parametrize("matrix", [8, 11])
def test_a_coding_of_colours_that_is_not_understood_is_refused(matrix: int, tmp_path: Path) -> None:
    result, _ = taken(film(tmp_path / "film", "mp4", {"matrix": matrix}))
    assert result["error"].startswith("unsupported: its colours are coded as")
