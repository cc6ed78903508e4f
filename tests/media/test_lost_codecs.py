"""A picture that is missing is named, or the film refused, whatever the codec and container; no whole film is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aiprod.data.ingest.completeness import check_whole
from aiprod.data.ingest.shot_detection import analyse_video
from aiprod.data.params import ShotParams
from aiprod.media.errors import MediaError
from aiprod.media.frame_gaps import pauses
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from tests.media.matrix import coding

COUNT = 60
_COUNTED = {"avi", "mxf"}


def written(path: Path, container: str, codec: str, reorder: str, lost: set[int], *, sound: bool = False) -> Path:
    """A film of even rate in which packets are left out; containers that count pictures close up."""
    with av.open(str(path), "w", format=container) as film:
        rate = Fraction(25)
        stream: Any = film.add_stream(coding.VIDEO[codec][0], rate=rate)
        coding.set_up_pictures(stream.codec_context, codec, (96, 64), rate, reorder)
        stream.time_base = 1 / rate
        kept = coding.pictures(stream, stream.codec_context, codec, range(COUNT))
        kept = [coded for n, coded in enumerate(kept) if n not in lost]
        order = sorted(coded.shown for coded in kept)
        packets: list[tuple[float, Any]] = []
        for n, coded in enumerate(kept):
            shown, decoded = coded.shown, coded.decoded
            if container in _COUNTED:
                shown, decoded = max(n, order.index(shown)) if container == "mxf" else n, n
            coded.packet.pts, coded.packet.dts, coded.packet.time_base = shown, decoded, 1 / rate
            packets.append((decoded / rate, coded.packet))
        if sound:
            track: Any = film.add_stream("pcm_s16le", rate=48_000, layout="stereo")
            for at in range(COUNT):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 3840), np.int16), "s16", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, at * 1920, Fraction(1, 48_000)
                packets += [(at / 25, packet) for packet in track.encode(frame)]
        for _, packet in sorted(packets, key=lambda item: item[0]):
            film.mux(packet)
    return path


def notes(path: Path) -> list[str]:
    """What ingest says of a film."""
    return check_whole(path, probe(path), analyse_video(path, ShotParams()), 0.5)


CODECS = [("mpeg2", "plain"), ("mpeg2", "bframes"), ("mpeg4", "plain"), ("mpeg4", "bframes"), ("h264", "bframes")]


@pytest.mark.parametrize(("codec", "reorder"), CODECS)
def test_any_missing_picture_is_counted_where_the_container_counts(codec: str, reorder: str, tmp_path: Path) -> None:
    """Those between the first and the last pictures, which nothing is compared with."""
    whole = written(tmp_path / "whole", "avi", codec, reorder, set())
    with VideoReader(whole) as reader:
        assert len(list(reader.frames())) == COUNT
        assert (reader.damage.lost, reader.damage.missing) == (0, 0)
    unseen = []
    for lost in [*({n} for n in range(14, 38)), {30, 31, 32}, {29, 41}]:
        with VideoReader(written(tmp_path / "film", "avi", codec, reorder, lost)) as reader:
            list(reader.frames())
            if not 0 < reader.damage.missing <= len(lost):
                unseen.append((sorted(lost), reader.damage.missing))
    assert not unseen


@pytest.mark.parametrize("container", ["avi", "matroska", "mpegts"])
def test_torn_from_the_missing_picture_to_the_next_key_picture(container: str, tmp_path: Path) -> None:
    with VideoReader(written(tmp_path / "film", container, "mpeg2", "plain", {28})) as reader:
        torn = [number for number, timed in enumerate(reader.frames()) if timed.torn]
    assert torn == list(range(28, 35)), "key pictures are 24 and 36, and one is missing before the second"


def test_a_missing_picture_of_which_no_other_is_made_tears_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "film", "matroska", "mpeg2", "bframes", set())
    with av.open(str(path)) as film:
        kinds = [bytes(p)[bytes(p).find(b"\0\0\1\0") + 5] >> 3 & 7 for p in film.demux(video=0) if p.size]
    between = next(n for n, kind in enumerate(kinds) if n > 26 and kind == 3)
    with VideoReader(written(tmp_path / "other", "matroska", "mpeg2", "bframes", {between})) as reader:
        assert not any(timed.torn for timed in reader.frames())
        assert reader.damage.missing == 1


@pytest.mark.parametrize("codec", ["mpeg2", "mpeg4", "h264"])
def test_refused_where_sound_and_pictures_part(codec: str, tmp_path: Path) -> None:
    assert notes(written(tmp_path / "whole", "avi", codec, "plain", set(), sound=True)) == []
    with pytest.raises(MediaError, match=r"missing from the stream.*AVI counts pictures"):
        notes(written(tmp_path / "film", "avi", codec, "plain", {30}, sound=True))
    said = notes(written(tmp_path / "silent", "avi", codec, "plain", {30}))
    assert any(note.startswith("lost: 1 picture or more") for note in said)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        *(("matroska", codec) for codec in ("mpeg2", "mpeg4", "vp8", "vp9", "hevc")),
        *(("mp4", codec) for codec in ("mpeg4", "vp9", "hevc", "mpeg2")),
        *(("mpegts", codec) for codec in ("mpeg2", "mpeg4", "hevc")),
    ],
)
def test_a_place_without_a_picture_is_named(container: str, codec: str, tmp_path: Path) -> None:
    assert notes(written(tmp_path / "whole", container, codec, "plain", set())) == []
    said = " ".join(notes(written(tmp_path / "film", container, codec, "plain", {30})))
    assert "no picture comes for" in said and ("lost: 1 picture" in said) == (codec == "mpeg2")
    assert (f"{codec} does not say so" in said) == (codec != "mpeg2")


def test_what_cannot_be_noticed_is_said(tmp_path: Path) -> None:
    said = notes(written(tmp_path / "film", "avi", "vp8", "plain", set()))
    assert said == [
        "timing: the container counts pictures, and vp8 does not number them: a missing one would not be noticed"
    ]


def test_numbers_that_mean_nothing_are_not_believed(tmp_path: Path) -> None:
    """A writer that numbers every second place."""
    path = written(tmp_path / "film", "avi", "mpeg2", "plain", set())
    data = bytearray(path.read_bytes())
    at = data.find(b"\0\0\1\0")
    while at >= 0:
        number = data[at + 4] << 2 | data[at + 5] >> 6
        data[at + 4], data[at + 5] = 2 * number >> 2, (2 * number & 3) << 6 | data[at + 5] & 63
        at = data.find(b"\0\0\1\0", at + 4)
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert not any(timed.torn for timed in reader.frames())
        assert reader.damage.lost == 0


def test_a_varying_rate_is_no_pause() -> None:
    rng = np.random.default_rng(3)
    assert pauses(np.cumsum(rng.uniform(0.02, 0.08, 200)).tolist(), "vp9") is None
    even = (np.arange(200) / 24).tolist()
    assert pauses(even, "vp9") is None
    assert "0.50 s in 1 place, first at 4.12 s" in str(pauses(even[:100] + [t + 0.5 for t in even[100:]], "vp9"))


def test_real_films_lack_nothing(shared_clips: Path) -> None:
    for name in ("ax_mpeg2_1080p.ts", "fc_xdcam-ex-1080i50.mov"):
        with VideoReader(shared_clips / "bad" / name) as reader:
            assert not any(timed.torn for timed in reader.frames())
            assert reader.damage.lost == 0
