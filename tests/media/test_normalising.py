"""What ingest makes of film that has not the training form: the form, the picture and sound as meant, and the steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.normalising import Form, conforms
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from aiprod.storage.result_cache import Memo

RATE = 48_000


def taken(path: Path) -> tuple[dict[str, Any], Path]:
    """The only clip of a film that was taken in, and its file."""
    memo = Memo(path.parent / f"{path.name}.memo", "")
    params = IngestParams.model_validate({"shots": {"min_shot_s": 0.02}})
    ingest_film(IngestJob(str(path), None, sha256_file(path), "key", memo, params))
    known = memo.get("key")
    assert known is not None
    result, place = known
    assert result["error"] is None, result["error"]
    [clip] = result["clips"]
    assert clip["status"] == "ok", clip["reasons"]
    return clip, place / clip["file"]


def pictures(path: Path) -> tuple[list[float], np.ndarray]:
    """Times and RGB pictures."""
    facts = probe(path).video
    assert facts is not None
    scaler = Scaler(facts.width, facts.height, "rgb24", exact=True)
    with VideoReader(path) as reader:
        seen = [(timed.time_s, scaler.array(timed.frame)) for timed in reader.frames()]
    return [time for time, _ in seen], np.stack([picture for _, picture in seen])


def wandering(count: int) -> list[np.ndarray]:
    """Pictures that carry their number as the place of a bar."""
    made = []
    for n in range(count):
        made.append(np.full((64, 128, 3), 60, np.uint8))
        made[-1][:, 2 * n + 2 : 2 * n + 10] = 220
    return made


def numbers(shown: np.ndarray) -> list[int]:
    """The numbers that pictures of ``wandering`` carry."""
    bright = shown.mean(axis=(1, 3)) > 140
    return [round((float(np.flatnonzero(line).mean()) - 5.5) / 2) for line in bright]


def anamorphic(path: Path) -> None:
    """A disc that is stored narrow, for pixels of 4:3."""
    y, x = np.mgrid[0:96, 0:96]
    disc = np.where(((x - 47.5) * 4 / 3) ** 2 + (y - 47.5) ** 2 < 30**2, 220, 40).astype(np.uint8)
    encode(path, [disc[..., None].repeat(3, 2)] * 12, 24, video_options={"x264-params": "sar=4/3"})


def variable(path: Path) -> None:
    """24 pictures a second, then every third of them is missing."""
    times = [n / 24 for n in range(48) if n < 24 or n % 3]
    encode(path, [wandering(48)[round(t * 24)] for t in times], 24, times_s=times)


def several_streams(path: Path) -> None:
    """Two picture and two sound streams."""
    with av.open(str(path), "w", format="matroska") as container:
        videos = [container.add_stream("libx264", rate=24) for _ in range(2)]
        sounds = [container.add_stream("pcm_s16le", rate=RATE, layout="stereo") for _ in range(2)]
        for stream, side in zip(videos, (32, 96), strict=True):
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for stream, side in zip(videos, (32, 96), strict=True):
            for n in range(24):
                frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 100, np.uint8), "rgb24")
                frame.pts, frame.time_base = n, Fraction(1, 24)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for stream in sounds:
            write_sound(container, stream, np.zeros((2, RATE)), "stereo")


def write_sound(container: Any, stream: Any, samples: np.ndarray, layout: str) -> None:
    packed = np.ascontiguousarray((samples.T.reshape(1, -1) * 32_767).astype(np.int16))
    frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def with_sound(path: Path, samples: np.ndarray, layout: str) -> None:
    """A second of gray with sound, Matroska."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout=layout)
        for n, picture in enumerate(wandering(24)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 24)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        write_sound(container, sound, samples, layout)


def surround(path: Path) -> None:
    """5.1 of which front, centre and rear left are loud together: by the standard's matrix 2.17 times full scale."""
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    with_sound(path, np.stack([0.9 * tone, 0.3 * tone, 0.9 * tone, 0.9 * tone, 0.9 * tone, 0 * tone]), "5.1")


def broken_sound(path: Path) -> None:
    """AAC whose packets hold nothing that decodes."""
    whole = path.with_suffix(".whole.mp4")
    tone = np.sin(np.arange(RATE) / 20)[None].astype(np.float32)
    encode(whole, wandering(24), 24, tone)
    with av.open(str(whole)) as old, av.open(str(path), "w", format="mp4") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                other = av.Packet(b"\xa5" * packet.size)
                other.pts, other.dts, other.time_base, other.duration = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                    packet.duration,
                )
                other.stream = streams[packet.stream.index]
                new.mux(other)
            else:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)


def late_interlaced(path: Path) -> None:
    """MPEG-2 that begins progressive and goes on interlaced, as broadcasts do."""
    rng = np.random.default_rng(0)
    ground = rng.integers(40, 200, (96, 400), np.uint8)
    parts = []
    for part, flags in enumerate(("", "+ildct+ilme")):
        one = path.with_suffix(f".{part}.ts")
        with av.open(str(one), "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25, options={"flags": flags} if flags else {})
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, "yuv420p", 4_000_000
            for n in range(25):
                at = 25 * part + n
                picture = ground[:, 4 * at : 4 * at + 128].copy()
                if part:  # the lower field is a fiftieth of a second later
                    picture[1::2] = ground[1::2, 4 * at + 2 : 4 * at + 130]
                frame = av.VideoFrame.from_ndarray(picture[..., None].repeat(3, 2), "rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = n, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(one)
    with av.open(str(path), "w", format="mpegts") as new:
        target = None
        for part, one in enumerate(parts):
            with av.open(str(one)) as old:
                target = target or new.add_stream_from_template(old.streams.video[0])
                for packet in old.demux(video=0):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + 90_000 * part, packet.dts + 90_000 * part
                        packet.stream = target
                        new.mux(packet)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (anamorphic, "square pixels (were 4:3)"),
        (variable, "constant rate 24.000 fps (8 repeated, 0 dropped)"),
        (several_streams, "picture stream 0 taken, one of 2"),
        (several_streams, "sound stream 2 taken, one of 2"),
        (surround, "sound 6 to 2 channels (ITU-R BS.775)"),
        (surround, "sound lowered by 6.7 dB after the downmix"),
        (broken_sound, "sound left out"),
        (late_interlaced, "deinterlaced (bwdif)"),
    ],
)
def test_what_was_done_is_said_and_leaves_the_form(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    make(tmp_path / "film")
    clip, path = taken(tmp_path / "film")
    assert any(step.startswith(said) for step in clip["steps"]), clip["steps"]
    facts = probe(path)
    assert facts.video is not None
    assert conforms(facts, True, Form())
    found = (facts.video.width, facts.video.height, facts.video.frames)
    assert found == (clip["width"], clip["height"], clip["frames"])
    times, _ = pictures(path)
    assert np.allclose(np.diff(times), 1 / clip["fps"], atol=1e-4)
    assert (facts.audio is not None) == clip["has_audio"]


def test_a_disc_is_round_again(tmp_path: Path) -> None:
    anamorphic(tmp_path / "film")
    clip, path = taken(tmp_path / "film")
    assert (clip["width"], clip["height"]) == (128, 96)
    _, shown = pictures(path)
    disc = shown[5].mean(axis=2) > 130
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    assert len(rows) == pytest.approx(60, abs=2) and len(columns) == pytest.approx(60, abs=2)


def test_a_variable_rate_shows_each_picture_at_its_time(tmp_path: Path) -> None:
    variable(tmp_path / "film")
    _, path = taken(tmp_path / "film")
    times, shown = pictures(path)
    stored = [n for n in range(48) if n < 24 or n % 3]
    for time, number in zip(times, numbers(shown), strict=True):
        assert abs(number - time * 24) <= min(abs(n - time * 24) for n in stored) + 0.01


def test_a_down_mix_is_lowered_as_a_whole_and_not_cut_off(tmp_path: Path) -> None:
    """ITU-R BS.775: L + C/sqrt 2 + Ls/sqrt 2. What is over full scale lowers both sides alike."""
    surround(tmp_path / "film")
    _, path = taken(tmp_path / "film")
    heard = read_sound(path)
    assert heard is not None
    left, right = (float(np.abs(side[8_000:40_000]).max()) for side in heard)
    wanted = (0.9 + 2 * 0.9 / 2**0.5), (0.3 + 0.9 / 2**0.5)
    assert left == pytest.approx(1.0, abs=0.02)
    assert right / left == pytest.approx(wanted[1] / wanted[0], abs=0.01)
    spectrum = np.abs(np.fft.rfft(heard[0, 8_000:32_000]))
    assert spectrum[300] < 0.01 * spectrum[100]  # no third harmonic (600 Hz): nothing was cut off


def test_pictures_that_are_interlaced_later_on_lose_their_combs(tmp_path: Path) -> None:
    late_interlaced(tmp_path / "film")
    first = probe(tmp_path / "film").video
    assert first is not None and not first.interlaced  # the first picture says nothing
    _, path = taken(tmp_path / "film")

    def combs(shown: np.ndarray) -> float:
        """How much more neighbouring lines differ than lines of one field."""
        lines = shown[30:45].astype(float).mean(axis=3)
        return float(np.abs(lines[:, 1:] - lines[:, :-1]).mean() / np.abs(lines[:, 2:] - lines[:, :-2]).mean())

    assert combs(pictures(path)[1]) < 0.9 * combs(pictures(tmp_path / "film")[1])


@pytest.mark.parametrize(
    ("name", "turn", "said"),
    [
        ("decord_video_90.mov", lambda p: np.rot90(p, -1), "turned 90 degrees"),
        ("decord_video_180.mov", lambda p: np.rot90(p, 2), "turned 180 degrees"),
        ("mp4p_video_rotation_90.mp4", lambda p: np.rot90(p, -1), "turned 90 degrees"),
        ("tc_bt709_full_range.mp4", lambda p: p, "colour to BT.709 limited range"),
        ("ax_slow_motion_vfr.mp4", lambda p: p, "constant rate"),
    ],
)
def test_real_film_is_upright_and_looks_the_same(
    shared_clips: Path, tmp_path: Path, name: str, turn: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    source = tmp_path / name
    shutil.copy(shared_clips / "bad" / name, source)
    clip, path = taken(source)
    assert any(step.startswith(said) for step in clip["steps"]), clip["steps"]
    facts = probe(path)
    assert facts.video is not None and conforms(facts, True, Form())
    before, after = turn(pictures(source)[1][0]).astype(float), pictures(path)[1][0].astype(float)
    assert before.shape == after.shape
    assert np.mean((before - after) ** 2) < 255**2 / 1000  # 30 dB
