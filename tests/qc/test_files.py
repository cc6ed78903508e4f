"""Files outside the pipeline: clocks that start late, ends that come early, and pages that take nothing's place."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.captions.frames import evenly_spread
from aiprod.captions.phrases import camera, motion
from aiprod.captions.phrasing import Wording
from aiprod.captions.taxonomy import camera_movement
from aiprod.cli import app
from aiprod.media.encoding import encode
from aiprod.qc.decide.decide import decide
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.params import QcDecideParams, QcMeasureParams
from aiprod.qc.rows import MeasureRow
from tests.qc.films import texture, write


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a pan with sound."""
    wide = texture(520, 240)
    time_s = np.arange(3 * 48_000) / 48_000
    tone = (0.2 * np.sin(2 * np.pi * 440 * time_s) * (np.floor(time_s * 4) % 2)).astype(np.float32)
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    return write(path, (wide[:, 2 * n : 2 * n + 320] for n in range(72)), np.stack([tone, tone]))


def on_another_clock(film: Path, target: Path, later_s: float, *, last_s: float = 1e9) -> Path:
    """The same packets in Matroska, all times ``later_s`` later; those from ``last_s`` on are left out."""
    with av.open(str(film)) as source, av.open(str(target), "w") as sink:
        streams = {s.index: sink.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.pts or 0) * packet.time_base >= last_s:
                continue
            ticks = round(later_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream.index]
            sink.mux(packet)
    return target


@pytest.mark.parametrize("later_s", [10.0, 100.0])
def test_a_clock_that_starts_late_changes_no_measurement(film: Path, tmp_path: Path, later_s: float) -> None:
    params = QcMeasureParams()
    plain, strip = measure_file(on_another_clock(film, tmp_path / "plain.mkv", 0.0), params)
    late, late_strip = measure_file(on_another_clock(film, tmp_path / "late.mkv", later_s), params)
    assert len(late_strip) == len(strip) == params.stills
    for check in ("faces", "watermark", "camera", "encoding", "black", "timing", "loudness", "snr"):
        assert late[check]["status"] == plain[check]["status"], check
    assert late["camera"]["movement"] == plain["camera"]["movement"] == "pans right"
    # A still may be the next picture, and blur is measured on a fifth of it.
    assert late["encoding"]["blur"] == pytest.approx(plain["encoding"]["blur"], rel=5e-3)
    assert len(evenly_spread(tmp_path / "late.mkv", 8, 64)) == 8


def test_a_film_that_holds_less_than_it_states_is_sampled_where_it_has_pictures(film: Path, tmp_path: Path) -> None:
    cut = on_another_clock(film, tmp_path / "cut.mkv", 0.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    found, strip = measure_file(cut, QcMeasureParams())
    assert found["timing"]["measured_s"] < 2.0 and len(strip) == QcMeasureParams().stills


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
def test_a_short_film_gives_all_its_pictures_to_look_at(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.mp4"
    encode(path, (np.full((48, 64, 3), 20 * n + 20, np.uint8) for n in range(length)), Fraction(24), None)
    means = [float(p.mean()) for p in evenly_spread(path, 8, 64)]
    assert len(means) == min(8, length) and means == sorted(means)


def ask(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["qc", *arguments], catch_exceptions=True)
    return done.exit_code, " ".join([done.output, str(done.exception or "")])


def test_a_page_takes_the_place_of_nothing_but_an_earlier_page(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy, mine = tmp_path / "copy.mp4", tmp_path / "mine"
    copy.write_bytes(film.read_bytes())
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    for target in ("copy.mp4", "mine", ".", "/proc/page", "copy.mp4/page"):
        code, said = ask("--html", target, str(film))
        assert code != 0 and "--html" in said, (target, said)
    assert copy.read_bytes() == film.read_bytes() and (mine / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.mp4", "mine"], "nothing is left behind"
    for _ in range(2):  # an earlier page is replaced
        assert ask("--html", "page", str(film))[0] != 2
    assert (tmp_path / "page/index.html").is_file()


@pytest.mark.parametrize("grain", [2.0, 6.0])
def test_grain_before_a_still_camera_is_not_called_movement(tmp_path: Path, grain: float) -> None:
    rng, still = np.random.default_rng(0), texture(320, 240).astype(np.float32)
    noisy = (np.clip(still + rng.normal(0, grain, still.shape), 0, 255).astype(np.uint8) for _ in range(48))
    found, _ = measure_file(write(tmp_path / "grain.mp4", noisy), QcMeasureParams())
    assert found["camera"]["movement"] == "static" and found["motion"]["reversal_share"] > 0.4
    said = motion(found["motion"], found["camera"], Wording("grain", 0))
    assert "movement" not in said and "moves" not in said.replace("almost nothing moves", "")


def test_a_thing_that_crosses_before_a_still_camera_is_called_movement(tmp_path: Path) -> None:
    still, thing = texture(320, 240), texture(60, 60, seed=3)
    pictures = [still.copy() for _ in range(48)]
    for n, picture in enumerate(pictures):
        picture[90:150, 4 * n : 4 * n + 60] = thing
    found, _ = measure_file(write(tmp_path / "thing.mp4", pictures), QcMeasureParams())
    assert found["camera"]["movement"] == "static" and found["motion"]["reversal_share"] < 0.2
    said = motion(found["motion"], found["camera"], Wording("thing", 0))
    assert said and "almost nothing" not in said


@pytest.mark.parametrize(
    ("encoder", "ending", "reasons"),
    [
        ("libmp3lame", "mp4", []),
        ("pcm_s24le", "mov", []),
        ("flac", "mkv", ["sound_codec"]),
        ("libopus", "mkv", ["sound_codec", "sound_bitrate"]),
    ],
)
def test_the_sound_codec_of_a_film_is_held_to_the_policy(
    tmp_path: Path, encoder: str, ending: str, reasons: list[str]
) -> None:
    path = tmp_path / f"film.{ending}"
    with av.open(str(path), "w") as sink:
        pictures, sound = sink.add_stream("libx264", rate=24), sink.add_stream(encoder, rate=48_000)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound.layout, sound.bit_rate = "stereo", 320_000
        for n in range(48):
            picture = av.VideoFrame.from_ndarray(texture(64, 48, n), "gray8").reformat(format="yuv420p")
            sink.mux(pictures.encode(picture))
        noise = np.random.default_rng(1).uniform(-0.3, 0.3, (2, 96_000)).astype(np.float32)
        heard = av.AudioFrame.from_ndarray(noise, "fltp", "stereo")
        heard.sample_rate = 48_000
        for part in av.AudioResampler(sound.format.name, "stereo", 48_000, sound.frame_size or 4096).resample(heard):
            sink.mux(sound.encode(part))
        sink.mux([p for p in (*pictures.encode(), *sound.encode()) if p.size])  # of FLAC the last is empty
    found, _ = measure_file(path, QcMeasureParams())
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements=found)
    verdict = decide(row, QcDecideParams(hard_limits=[]))
    assert [r.split(":")[0] for r in verdict.reasons if r.startswith(("sound_", "colour"))] == reasons
    assert {"sound_codec", "sound_bitrate", "colour"} <= {check.check for check in verdict.checks}


def test_a_large_thing_that_crosses_is_not_called_a_turn_of_the_camera(tmp_path: Path) -> None:
    still, thing = texture(320, 240), texture(190, 210, seed=3)
    pictures = [still.copy() for _ in range(48)]
    for n, picture in enumerate(pictures):
        picture[15:225, 2 * n + 20 : 2 * n + 210] = thing
    found, _ = measure_file(write(tmp_path / "large.mp4", pictures), QcMeasureParams())
    assert "pan" not in camera(found["camera"], Wording("large", 0))
    assert "pan" not in camera_movement(found["camera"], None)


def test_files_are_said_to_be_compared_with_nothing(film: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    done = CliRunner().invoke(app, ["qc", "--json", "--html", str(tmp_path / "page"), str(film), str(copy)])
    for line in map(json.loads, done.stdout.splitlines()):
        [answer] = [check for check in line["checks"] if check["check"] == "duplicates"]
        assert (answer["status"], answer["score"]) == ("not_evaluated", None) and answer["method"], line["file"]
    assert "each file is judged by itself" in (tmp_path / "page/index.html").read_text()
