"""Pictures that are made of one that is missing are torn, though each of them decodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from aiprod.media.frames import VideoReader
from tests.media.conftest import numbered

GROUP = 24


def write(path: Path, container: str, lost: int | None, coder: str, bframes: int = 0) -> Path:
    """Four seconds of numbered pictures; packet ``lost`` is left out."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream("libx264", rate=24)
        stream.height, stream.width = numbered(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {
            "x264-params": f"bframes={bframes}:keyint={GROUP}:scenecut=0:b-adapt=0:{coder}",
            "preset": "superfast",
        }
        packets = []
        for n in range(4 * GROUP):
            frame = av.VideoFrame.from_ndarray(numbered(n), "rgb24")
            frame.pts = n
            packets += stream.encode(frame)
        for at, packet in enumerate([*packets, *stream.encode(None)]):
            if at != lost:
                out.mux(packet)
    return path


def torn(path: Path, start_s: float = 0.0) -> Iterator[tuple[int, bool]]:
    """Which picture is due, by its time, and whether what is shown is torn."""
    with VideoReader(path) as reader:
        for timed in reader.frames(start_s):
            yield round(timed.time_s * 24), timed.torn
        assert reader.damage.bad_packets == 0


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
@pytest.mark.parametrize("lost", [30, 48])
def test_all_up_to_the_next_key_picture_is_torn(container: str, lost: int, tmp_path: Path) -> None:
    """Number 48 is a key picture itself."""
    found = list(torn(write(tmp_path / "film", container, lost, "cabac=1")))
    following = GROUP * (lost // GROUP + 1)
    assert [n for n, state in found if state] == [n for n, _ in found if lost <= n < following] != []
    assert {n for n, _ in found} >= {*range(lost), *range(following, 4 * GROUP)}


@pytest.mark.parametrize("coder", ["cabac=0", "b-pyramid=strict", "interlaced=1", "ref=4:weightp=2", "open-gop=1"])
@pytest.mark.parametrize("bframes", [0, 3])
def test_a_whole_film_is_not(coder: str, bframes: int, tmp_path: Path) -> None:
    path = write(tmp_path / "film", "matroska", None, coder, bframes)
    assert not any(state for _, state in torn(path))
    assert not any(state for _, state in torn(path, 1.7))  # after a jump


def test_a_picture_of_which_no_other_is_made_may_be_missing(tmp_path: Path) -> None:
    whole = write(tmp_path / "film", "matroska", None, "b-pyramid=none", 2)
    with av.open(str(whole)) as film:
        sizes = [bool(bytes(memoryview(p))[4] & 0x60) for p in film.demux(video=0) if p.size]
    free = next(n for n, reference in enumerate(sizes) if n > 30 and not reference)
    path = write(tmp_path / "film", "matroska", free, "b-pyramid=none", 2)
    assert not any(state for _, state in torn(path))


def test_real_films_lack_nothing(shared_clips: Path) -> None:
    for name in ("bee_720p30_4s.mp4", "intel_asl_yes_480p30.mkv", "butterfly_720p30_7s.mp4"):
        assert not any(state for _, state in torn(shared_clips / "open" / name))
