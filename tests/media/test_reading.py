"""Reading: pictures by presentation time, exact seeking, sound windows, clips for training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.media.audio import read_sound
from aiprod.media.clips import read_clip
from aiprod.media.demuxing import demuxed
from aiprod.media.encoding import encode
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.media_info import Orientation
from aiprod.media.packets import PacketSizes, sound_end_s
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler, upright
from tests.qc.films import turned

Number = Callable[[np.ndarray], int]


def test_pictures_come_in_order_with_their_times(film: Path, read_number: Number) -> None:
    with VideoReader(film) as reader:
        scaler = Scaler(192, 96, "gray")
        seen = [(round(t.time_s * 24), read_number(scaler.array(t.frame))) for t in reader.frames()]
    assert seen == [(n, n) for n in range(48)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1.99), length=st.floats(0.02, 1.0))
def test_a_window_holds_exactly_the_pictures_of_its_time(
    film: Path, read_number: Number, start: float, length: float
) -> None:
    with VideoReader(film) as reader:
        scaler = Scaler(192, 96, "gray")
        seen = [read_number(scaler.array(t.frame)) for t in reader.frames(start, start + length)]
    assert seen == [n for n in range(48) if start - 1e-6 <= n / 24 < start + length - 1e-6]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1.9), length=st.floats(0.02, 2.0))
def test_bytes_of_a_window_are_those_of_the_packets_shown_in_it(film: Path, start: float, length: float) -> None:
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        known = [(float(p.pts * p.time_base), p.size) for p in container.demux(stream) if p.pts is not None]
    first = min(time_s for time_s, _ in known)
    sizes = PacketSizes()
    with VideoReader(film, watch=sizes) as reader:
        for _ in reader.frames(start, start + length):
            pass
    inside = [size for time_s, size in known if start - 1e-6 <= time_s - first < start + length - 1e-6]
    assert sizes.total(reader.facts.start_s, start, start + length) == sum(inside)


def test_a_second_pass_reads_the_same(film: Path) -> None:
    with VideoReader(film) as reader:
        first = [t.time_s for t in reader.frames()]
        second = [t.time_s for t in reader.frames()]
    assert first == second
    assert len(first) == 48


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 90_000), length=st.integers(1, 30_000))
def test_a_window_of_sound_is_a_slice_of_the_whole(film: Path, start: int, length: int) -> None:
    whole, part = read_sound(film), read_sound(film, start_s=start / 48_000, duration_s=length / 48_000)
    assert whole is not None
    assert part is not None
    expected = np.zeros((2, length), np.float32)
    piece = whole[:, start : start + length]
    expected[:, : piece.shape[1]] = piece
    assert part.shape == expected.shape
    assert np.abs(part - expected).max() < 1e-3


def test_resampling_keeps_pitch_and_length(tmp_path: Path) -> None:
    time = np.arange(44_100) / 44_100
    tone = np.stack([np.sin(2 * np.pi * 1000 * time)] * 2).astype(np.float32) * 0.5
    encode(tmp_path / "tone.mp4", [np.zeros((64, 64, 3), np.uint8)] * 24, 24, tone, sample_rate=44_100)
    heard = read_sound(tmp_path / "tone.mp4", 48_000, 1)
    assert heard is not None
    assert abs(heard.shape[1] - 48_000) <= 2
    spectrum = np.abs(np.fft.rfft(heard[0, 4_800:43_200]))
    assert abs(np.argmax(spectrum) * 48_000 / 38_400 - 1000) < 2
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.03)


def test_one_channel_sounds_on_both_sides_at_its_own_level(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    encode(tmp_path / "one.mp4", [np.zeros((64, 64, 3), np.uint8)] * 24, 24, tone[None].astype(np.float32))
    heard = read_sound(tmp_path / "one.mp4")
    assert heard is not None
    assert heard.shape == (2, 48_000)
    assert np.array_equal(heard[0], heard[1])
    assert np.abs(heard[:, 5_000:40_000]).max() == pytest.approx(0.5, abs=0.01)


def test_five_channels_become_two_by_the_standard_matrix(tmp_path: Path) -> None:
    """ITU-R BS.775: Lo = L + C/sqrt 2 + Ls/sqrt 2; the low-frequency channel is left out."""
    levels = {"FL": 0.2, "FR": 0.1, "FC": 0.15, "LFE": 0.3, "BL": 0.05, "BR": 0.12}
    with av.open(str(tmp_path / "five.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000, layout="5.1")
        samples = np.concatenate([np.full((1, 48_000), level) for level in levels.values()])
        packed = (samples.T.reshape(1, -1) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(packed, "s16", "5.1")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard = read_sound(tmp_path / "five.mkv")
    assert heard is not None
    left, right = heard[:, 24_000]
    assert left == pytest.approx(0.2 + (0.15 + 0.05) / 2**0.5, abs=0.002)
    assert right == pytest.approx(0.1 + (0.15 + 0.12) / 2**0.5, abs=0.002)


def test_a_clip_takes_the_nearest_pictures_and_the_sound_of_the_same_time(film: Path, read_number: Number) -> None:
    pictures, sound = read_clip(film, 48, 96, 12, 12, 0.5)
    assert pictures.shape == (12, 48, 96, 3)
    assert pictures.dtype == np.uint8
    assert [read_number(p[..., 0]) for p in pictures] == list(range(12, 36, 2))
    assert sound.shape == (2, 48_000)
    assert sound.dtype == np.float32
    assert int(np.argmax(np.abs(sound[1]))) == 36_000  # the click at 1.25 s
    assert int(np.argmax(np.abs(sound[0]))) == 0  # the click at 0.5 s


def test_a_clip_past_the_end_holds_the_last_picture_and_silence(film: Path, read_number: Number) -> None:
    pictures, sound = read_clip(film, 48, 96, 24, 30, 1.5)
    assert [read_number(p[..., 0]) for p in pictures] == [*range(36, 48), *[47] * 18]
    assert np.abs(sound[:, 26_000:]).max() < 1e-3
    with pytest.raises(MediaError, match="no picture between"):
        read_clip(film, 48, 96, 24, 4, 60.0)


def test_a_clip_of_another_shape_is_covered_and_cropped_about_the_centre(tmp_path: Path) -> None:
    picture = np.full((96, 192, 3), 128, np.uint8)
    picture[:, :32], picture[:, -32:] = (250, 20, 20), (20, 20, 250)  # coloured edges
    encode(tmp_path / "wide.mp4", [picture] * 4, 24, crf=5)
    square, sound = read_clip(tmp_path / "wide.mp4", 32, 32, 24, 2)
    assert np.abs(square.astype(int) - 128).max() < 24, "a square from the middle shows no edge"
    assert not sound.any()
    tall, _ = read_clip(tmp_path / "wide.mp4", 48, 96, 24, 2)
    assert tall[0, 24, 2, 0] > 200
    assert tall[0, 24, -3, 2] > 200


@settings(deadline=None)
@given(st.booleans(), st.booleans(), st.booleans())
def test_turning_agrees_with_the_track_matrix(transpose: bool, flip_x: bool, flip_y: bool) -> None:
    """Each stored pixel (x, y) is carried to (a x + c y, b x + d y), shifted into view."""
    stored = np.arange(12).reshape(3, 4)
    sx, sy = (-1 if flip_x else 1), (-1 if flip_y else 1)
    a, b, c, d = (0, sy, sx, 0) if transpose else (sx, 0, 0, sy)
    points = {(a * x + c * y, b * x + d * y): stored[y, x] for y in range(3) for x in range(4)}
    left, top = min(p[0] for p in points), min(p[1] for p in points)
    turned = upright(stored, Orientation(transpose=transpose, flip_x=flip_x, flip_y=flip_y))
    assert all(turned[y - top, x - left] == value for (x, y), value in points.items())


@pytest.mark.parametrize("degrees", [45, 10, 93, 225, 320])
def test_a_picture_turned_by_no_right_angle_is_refused_by_name(film: Path, tmp_path: Path, degrees: int) -> None:
    """Shown as if it were upright, people and captions would stand askew in what is trained on."""
    path = turned(film, tmp_path / "askew.mp4", degrees)
    for read in (probe, lambda p: VideoReader(p).__enter__()):
        with pytest.raises(MediaError, match=f"turns the picture by {degrees} degrees") as caught:
            read(path)
        assert caught.value.kind == "unsupported"


@pytest.mark.parametrize(("degrees", "seen"), [(0.4, 0), (90.4, 90), (179.6, 180), (270, 270)])
def test_a_matrix_a_hair_off_a_right_angle_is_taken_for_one(
    film: Path, tmp_path: Path, degrees: float, seen: int
) -> None:
    video = probe(turned(film, tmp_path / "turned.mp4", degrees)).video
    assert video is not None
    assert video.orientation.rotation_deg == seen


def test_real_rotated_film_is_upright(shared_clips: Path) -> None:
    facts = {
        "decord_video_90.mov": (320, 568, 90, False),
        "decord_video_180.mov": (568, 320, 180, False),
        "ax_dog_rot270.mp4": (720, 1280, 270, False),
        "mp4p_video_rotation_90.mp4": (60, 100, 90, False),
    }
    for name, (width, height, degrees, mirrored) in facts.items():
        video = probe(shared_clips / "bad" / name).video
        assert video is not None
        turned = video.orientation
        assert (video.display_width, video.display_height) == (width, height), name
        assert (turned.rotation_deg, turned.mirrored) == (degrees, mirrored), name
    mirror = probe(shared_clips / "bad" / "ax_rotate_and_reflect.mp4").video
    assert mirror is not None
    assert mirror.orientation.mirrored


def test_facts_of_real_film_agree_with_the_table(shared_clips: Path) -> None:
    import csv

    with open(shared_clips / "open" / "SOURCES.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) > 3
    for line in lines:
        facts = probe(shared_clips / "open" / line["file"])
        assert facts.video is not None
        assert (facts.video.width, facts.video.height) == (int(line["width"]), int(line["height"])), line["file"]
        assert facts.video.codec == line["vcodec"]
        assert facts.video.fps == pytest.approx(float(line["fps"]), rel=0.002)
        assert (facts.audio.codec if facts.audio else "") == line["acodec"]
        assert str(facts.audio.channels if facts.audio else "") == line["channels"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ax_encrypted_clearkey.mp4", "encrypted"),
        ("fl_encrypted_bee2.ts", "not-media"),
        ("mp4p_chunk_out_of_range.mp4", "not-media"),
        ("mp4p_invalid_userdata.mp4", "no-frames"),
        ("mp4p_short-cenc.mp4", "encrypted"),
        ("mp_zero_bytes.webm", "empty"),
        ("shaka_init_only.mp4", "encrypted"),
    ],
)
def test_what_cannot_be_opened_says_why(shared_clips: Path, name: str, kind: str) -> None:
    with pytest.raises(MediaError) as caught:
        probe(shared_clips / "bad" / name)
    assert caught.value.kind == kind, caught.value.reason


def test_pictures_of_a_damaged_film_are_skipped_and_counted(shared_clips: Path) -> None:
    with VideoReader(shared_clips / "bad" / "decord_corrupted.mp4") as reader:
        times = [t.time_s for t in reader.frames()]
    assert reader.damage.bad_packets > 0
    assert times == sorted(times)
    assert len(times) >= 28


def test_no_seek_misses_in_transport_streams(shared_clips: Path) -> None:
    path = shared_clips / "bad" / "fl_bee1.ts"
    with VideoReader(path) as reader:
        times = [t.time_s for t in reader.frames()]
    assert times[0] == 0.0
    with VideoReader(path) as reader:
        assert [t.time_s for t in reader.frames(1.2, 1.6)] == [t for t in times if 1.2 <= t < 1.6]


def test_a_fraction_is_a_rate(tmp_path: Path) -> None:
    encode(tmp_path / "ntsc.mp4", [np.zeros((64, 64, 3), np.uint8)] * 30, Fraction(24_000, 1_001))
    video = probe(tmp_path / "ntsc.mp4").video
    assert video is not None
    assert video.fps_exact == (24_000, 1_001)


def test_the_end_of_the_sound_is_the_same_by_the_index_and_by_walking_to_it(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 96_000 + 777)).astype(np.float32)
    pictures = (np.full((64, 64, 3), 4 * n, np.uint8) for n in range(48))
    encode(path, pictures, Fraction(24), noise, preset="ultrafast")
    ends = [sound_end_s(path)]
    assert ends[0] is not None and 2.0 < ends[0] < 2.1
    walked: list[int] = []

    def walking(container: Any, stream: Any) -> Iterator[Any]:
        walked.append(0)
        for packet in demuxed(container, stream):
            walked[-1] += 1
            yield packet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiprod.media.packets.demuxed", walking)
        ends += [sound_end_s(path), sound_end_s(path, by_index=True)]
    assert len(set(ends)) == 1 and walked[1] < 4 and walked[0] > 90, walked
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])  # its index lists what is not there
    assert sound_end_s(path, by_index=True) == sound_end_s(path) != ends[0]
