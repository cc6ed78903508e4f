"""Films of which the end is missing are seen by quality control and by ingest alike, and whole ones are not accused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from aiprod.data.ingest.ingest_film import check_whole
from aiprod.data.ingest.shot_detection import analyse_video
from aiprod.data.params import ShotParams
from aiprod.media.encoding import encode
from aiprod.media.errors import MediaError
from aiprod.media.probing import probe
from aiprod.qc.decide.decide import decide
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.params import QcDecideParams, QcMeasureParams
from aiprod.qc.rows import MeasureRow, VerdictRow
from tests.qc.films import rewrap, texture, write

WRAPPINGS = [("mp4", {"movflags": "faststart"}), ("mkv", {}), ("mov", {"movflags": "faststart"})]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a pan, with sound to the end."""
    rng = np.random.default_rng(1)
    wide = texture(240 + 2 * 96, 160)
    sound = rng.normal(0, 0.05, (2, 4 * 48_000)).astype(np.float32)
    path = tmp_path_factory.mktemp("films") / "whole.mp4"
    return write(path, (wide[:, 2 * n : 2 * n + 240] for n in range(96)), sound)


def judged(path: Path) -> VerdictRow:
    row = MeasureRow(
        clip_id="c", film_id="f", status="ok", measurements=measure_file(path, QcMeasureParams(flow_pairs=2))[0]
    )
    return decide(row, QcDecideParams(hard_limits=["decodable"]))


def taken_in(path: Path) -> None:
    check_whole(path, probe(path), analyse_video(path, ShotParams()), 0.02)


@pytest.mark.parametrize(("extension", "options"), WRAPPINGS)
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_film_cut_off_is_rejected_whatever_its_wrapping(
    whole: Path, tmp_path: Path, extension: str, options: dict[str, str], share: float
) -> None:
    data = rewrap(whole, tmp_path / f"whole.{extension}", options).read_bytes()
    cut = tmp_path / f"cut.{extension}"
    cut.write_bytes(data[: int(len(data) * share)])
    verdict = judged(cut)
    assert verdict.status == "REJECTED"
    assert any(r.startswith("decodable: the film ends") and "4.0" in r for r in verdict.reasons), verdict.reasons
    with pytest.raises(MediaError, match=r"the film ends .* before the 4\.0") as caught:
        taken_in(cut)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize(("extension", "options"), [*WRAPPINGS, ("ts", {})])
@pytest.mark.parametrize("sound_s", [4.0, 1.0])
def test_a_whole_film_is_not_called_truncated(
    whole: Path, tmp_path: Path, extension: str, options: dict[str, str], sound_s: float
) -> None:
    """Nor one whose sound ends before its pictures: that is another check's business."""
    path = rewrap(whole, tmp_path / f"whole.{extension}", options, sound_s)
    assert not [r for r in judged(path).reasons if r.startswith("decodable")]
    taken_in(path)


def test_pictures_may_end_before_the_sound_and_begin_late_on_the_containers_clock(tmp_path: Path) -> None:
    """Matroska states one length for the whole file, from time zero on."""
    wide = texture(240 + 2 * 72, 160)
    sound = np.random.default_rng(2).normal(0, 0.05, (2, 6 * 48_000)).astype(np.float32)
    short = write(tmp_path / "short.mp4", (wide[:, 2 * n : 2 * n + 240] for n in range(72)), sound)
    late = tmp_path / "late.mkv"
    with av.open(str(short)) as old, av.open(str(late), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                for name in ("pts", "dts"):
                    setattr(packet, name, getattr(packet, name) + round(10 / packet.time_base))
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    for path in (rewrap(short, tmp_path / "short.mkv"), late):
        facts = probe(path)
        assert facts.video is not None and facts.video.duration_s is None and (facts.duration_s or 0) > 5.9
        assert not [r for r in judged(path).reasons if r.startswith("decodable")]
        taken_in(path)


def test_a_last_picture_that_is_held_for_long_is_shown_to_its_end(tmp_path: Path) -> None:
    """A screen recording at a variable rate ends with a picture on which nothing happens any more."""
    wide = texture(240 + 2 * 24, 160)
    pictures = (np.repeat(wide[:, 2 * n : 2 * n + 240, None], 3, axis=2) for n in range(24))
    moving, path = tmp_path / "moving.mp4", tmp_path / "held.mp4"
    encode(moving, pictures, 24, preset="ultrafast")  # without pictures out of order
    with av.open(str(moving)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [p for p in old.demux(video=0) if p.dts is not None]
        packets[-1].duration = round(5 / packets[-1].time_base)
        for packet in packets:
            packet.stream = stream
            new.mux(packet)
    facts = probe(path)
    assert facts.video is not None and (facts.video.duration_s or 0) > 5.9
    assert not [r for r in judged(path).reasons if r.startswith("decodable")]
    taken_in(path)
