"""Every picture once, in order, within half a picture of its time, by what the pictures show; or refused in words."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.data.ingest.shot_detection import analyse_video
from aiprod.data.params import ShotParams
from aiprod.media.clock import Timekeeping
from aiprod.media.errors import MediaError
from aiprod.media.frame_rate import rate_of
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from tests.media.habits import B_FRAMES, joined, rewrapped, seen, write

COUNT, RATE = 60, 24
OPEN = {**B_FRAMES, "x264-params": "open-gop=1:bframes=3:keyint=24:b-adapt=0"}


def check_all(path: Path, count: int = COUNT, rate: int = RATE) -> None:
    """Whole, and from five places within."""
    numbers, times = seen(path)
    assert numbers == list(range(count))
    assert max(abs(time_s - n / rate) for n, time_s in enumerate(times)) < 0.5 / rate
    assert rate_of(times)[0] == rate
    for start_s in (0.3, 1.1, 1.26, 1.9, 2.3):
        end_s = start_s + 0.3
        wanted = [n for n, time_s in enumerate(times) if start_s - 1e-6 <= time_s < end_s - 1e-6]
        assert seen(path, start_s, end_s)[0] == wanted, start_s


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "avi", B_FRAMES),
        ("libx264", "avi", OPEN),
        ("libx264", "avi", {"bf": "0"}),
        ("mpeg4", "avi", {"bf": "2", "g": "12"}),
        ("mpeg2video", "avi", {"bf": "2", "g": "12"}),
        ("mpeg2video", "asf", {"bf": "2", "g": "12"}),
        ("mpeg4", "asf", {"bf": "2", "g": "12"}),
        ("libx264", "flv", B_FRAMES),
        ("libx264", "mpegts", B_FRAMES),
        ("libx264", "matroska", OPEN),
        ("mpeg2video", "mxf", {"bf": "2", "g": "12"}),
        ("mpeg2video", "mpeg", {"bf": "2", "g": "12"}),
    ],
)
def test_each_picture_is_there_once(codec: str, container: str, options: dict[str, str], tmp_path: Path) -> None:
    check_all(write(tmp_path / "film", codec=codec, container=container, options=options))


@pytest.mark.parametrize("options", [B_FRAMES, OPEN])
@pytest.mark.parametrize("container", ["mp4", "matroska", "flv", "mov", "mpegts"])
def test_stamps_of_decoding_alone_are_sorted(container: str, options: dict[str, str], tmp_path: Path) -> None:
    """As writers leave them that know nothing of B-frames."""
    whole = write(tmp_path / "whole.mp4", options=options)
    check_all(rewrapped(whole, tmp_path / "film", container, lambda n, _, tick: (n * tick, n * tick)))


def test_sound_and_picture_of_avi_begin_together(tmp_path: Path) -> None:
    video = probe(write(tmp_path / "film", container="avi")).video
    assert video is not None and video.start_s == 0


def test_packed_b_frames(tmp_path: Path) -> None:
    """Two pictures in one packet and none in the next, as DivX wrote them for AVI."""
    whole = write(tmp_path / "whole", codec="mpeg4", container="avi", options={"bf": "1", "g": "12", "b_strategy": "0"})
    with av.open(str(whole)) as old, av.open(str(tmp_path / "film"), "w", format="avi") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        coded = [bytes(packet) for packet in old.demux(video=0) if packet.size]
        packed: list[bytes] = []
        for data in coded:
            kind, begin = data[data.index(b"\0\0\1\xb6") + 4] >> 6, data.index(b"\0\0\1\xb6")
            if kind == 2:
                packed[-1] += data
                packed.append(b"\0\0\1\xb6\x50\0\1")
            else:
                packed.append(data[:begin] + b"\0\0\1\xb2DivX503b1393p" + data[begin:] if kind == 0 else data)
        assert len(packed) == COUNT
        for n, data in enumerate(packed):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, n, n, Fraction(1, RATE)
            new.mux(packet)
    check_all(tmp_path / "film")


@pytest.mark.parametrize("seconds", [0.0, 61.0, 1000.0, 95_413.0, 95_442.0])
def test_a_clock_that_wraps_is_one_clock(seconds: float, tmp_path: Path) -> None:
    """MPEG-TS counts to 2^33 in 1/90000 s: 95,443.7 s."""
    check_all(late(tmp_path / "film", seconds))


def late(path: Path, seconds: float, first: int = 0) -> Path:
    """A transport stream whose clock begins at any time."""
    whole = write(path.with_name(f"{path.name}.mp4"), first=first)
    with av.open(str(whole)) as old:
        muxing = {"mpegts_copyts": "1", "avoid_negative_ts": "disabled"}
        with av.open(str(path), "w", format="mpegts", container_options=muxing) as new:
            target = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if not packet.size:
                    continue
                ticks = packet.time_base * 90_000
                assert packet.pts is not None and packet.dts is not None
                packet.pts, packet.dts = (int(t * ticks + seconds * 90_000) for t in (packet.pts, packet.dts))
                packet.time_base, packet.stream = Fraction(1, 90_000), target
                new.mux(packet)
    return path


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1000, 5), (5, 1000), (100, 70), (100, 10)])
def test_joined_transport_streams_are_refused(one: float, other: float, tmp_path: Path) -> None:
    both = [late(tmp_path / "a", one), late(tmp_path / "b", other, first=100)]
    check_refused(joined(tmp_path / "film", both))


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("matroska", "libx264"),
        ("flv", "libx264"),
        ("mp4", "libx264"),
        ("avi", "mpeg4"),
        ("mpeg", "mpeg2video"),
        ("asf", "mpeg4"),
        ("mxf", "mpeg2video"),
    ],
)
def test_joined_recordings_are_refused(container: str, codec: str, tmp_path: Path) -> None:
    """The rest behind the first was dropped without a word, or mixed with its sound."""
    options = B_FRAMES if codec == "libx264" else {}
    both = [
        write(tmp_path / str(n), count=30, codec=codec, container=container, first=n, options=options) for n in (0, 100)
    ]
    check_refused(joined(tmp_path / "film", both))


def check_refused(path: Path) -> None:
    with pytest.raises(MediaError, match="recording") as caught:
        probe(path)
        seen(path)
    assert caught.value.kind == "timing"
    assert caught.value.hint


def test_the_faults_that_were_found(shared_faults: Path) -> None:
    for name, count, rate in (
        ("bframes_small.avi", 48, 24),
        ("c2pa_test_first5s.avi", 150, 30),
        ("avchd_small.mts", 48, 24),
    ):
        with VideoReader(shared_faults / name) as reader:
            times = [timed.time_s for timed in reader.frames()]
        assert max(abs(time_s - n / rate) for n, time_s in enumerate(times)) < 0.5 / rate
        assert len(times) == count
    check_refused(shared_faults / "joined_small.ts")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["timed", "none", "stray"]), min_size=1, max_size=60))
def test_pictures_without_a_fitting_time_lie_between_their_neighbours(kinds: list[str]) -> None:
    given_s = [
        n / 24 if kind == "timed" else None if kind == "none" else max(0, n - 5) / 24 for n, kind in enumerate(kinds)
    ]
    kept = Timekeeping(1 / 24)
    try:
        found = [shown for n, time_s in enumerate(given_s) for shown in kept.placed(time_s, n)]  # type: ignore[arg-type]
        found.extend(kept.rest())
    except MediaError as error:
        assert error.kind == "timing"
        return
    assert [n for _, n in found] == list(range(len(kinds)))
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("begin", "words"),
    [(b"\0\0\0\1\x67\x64", "H.264"), (b"\0\0\1\xb3", "MPEG-2"), (b"DKIF\0\0", "IVF"), (b"YUV4MPEG2 W16", "uncoded")],
)
def test_pictures_without_a_container_are_refused_by_name(begin: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(begin.ljust(4096, b"\x11"))
    with pytest.raises(MediaError, match=words) as caught:
        probe(tmp_path / "film")
    assert "ffmpeg" in caught.value.hint


@pytest.mark.parametrize(("before", "after", "extension"), [(4, 0, "mts"), (0, 16, "ts")])
def test_transport_streams_of_longer_packets(before: int, after: int, extension: str, tmp_path: Path) -> None:
    """192 bytes: cameras and discs. 204: with bytes that correct errors."""
    data = write(tmp_path / "whole", container="mpegts").read_bytes()
    packets = [bytes(before) + data[at : at + 188] + bytes(after) for at in range(0, len(data), 188)]
    (tmp_path / "film").write_bytes(b"".join(packets))
    assert probe(tmp_path / "film").extension == extension
    check_all(tmp_path / "film")


def test_a_broadcast_recorded_from_within_a_packet_is_read(tmp_path: Path) -> None:
    data = write(tmp_path / "whole", container="mpegts").read_bytes()
    for cut in (1, 90, 187):
        (tmp_path / "film").write_bytes(b"\x11" * (188 - cut) + data)
        assert seen(tmp_path / "film")[0] == list(range(COUNT))


def test_a_leap_in_a_transport_stream_is_no_picture_that_stands_still(tmp_path: Path) -> None:
    both = [late(tmp_path / "a", 5), late(tmp_path / "b", 20, first=100)]
    found = analyse_video(joined(tmp_path / "film", both), ShotParams()).shots
    [before, after] = [
        next(shot for shot in found if shot.first + shot.pictures == COUNT),
        next(shot for shot in found if shot.first == COUNT),
    ]
    assert before.end_s == pytest.approx(COUNT / RATE, abs=0.02)
    assert after.start_s == pytest.approx(15, abs=0.02)


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_reading_from_the_middle_decodes_no_more_than_lies_around_it(
    container: str, b_frames: int, tmp_path: Path
) -> None:
    """Two groups of pictures before the place are enough, whatever was seen of the stamps when the film was opened."""
    path = tmp_path / "film"
    options = {"x264-params": f"bframes={b_frames}:keyint=24:b-adapt=0:scenecut=0", "preset": "ultrafast"}
    write(path, container=container, count=240, rate=RATE, options=options)
    with VideoReader(path) as reader:
        opened = reader.damage.frames
        assert sum(1 for _ in reader.frames(5.0, 6.0)) == 24
        assert reader.damage.frames - opened <= 4 * 24
