"""Encoding: the same bytes twice, picture and sound on one clock, colours that come back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler

PALETTE = [(200, 30, 40), (30, 180, 60), (20, 60, 220), (128, 128, 128), (240, 200, 30), (16, 16, 16)]


def bars(height: int = 96, width: int = 192) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    for n, colour in enumerate(PALETTE):
        picture[:, n * width // 6 : (n + 1) * width // 6] = colour
    return picture


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    grain = rng.integers(0, 25, (12, 120, 214, 3), np.uint8)
    pictures = [
        np.clip(np.roll(bars(120, 214), 5 * n, axis=1) // 2 + g, 0, 255).astype(np.uint8) for n, g in enumerate(grain)
    ]
    sound = (rng.standard_normal((2, 24_000)) * 0.1).astype(np.float32)
    files = []
    for n in range(6):
        encode(tmp_path / f"{n}.mp4", pictures, 24, sound)
        files.append((tmp_path / f"{n}.mp4").read_bytes())
    assert len(set(files)) == 1


def test_colours_come_back_and_are_tagged_rec_709(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", [bars()] * 3, 24, crf=10)
    facts = probe(tmp_path / "a.mp4").video
    assert facts is not None
    assert (facts.matrix, facts.primaries, facts.transfer, facts.full_range) == (1, 1, 1, False)
    with VideoReader(tmp_path / "a.mp4") as reader:
        scaler = Scaler(192, 96)
        picture = scaler.array(next(reader.frames()).frame)
    for n, colour in enumerate(PALETTE):
        seen = picture[40, n * 32 + 16].astype(int)
        assert np.abs(seen - colour).max() <= 5, (colour, seen)  # 8-bit limited range costs up to 2, the codec the rest


def test_unsignalled_small_film_is_read_as_rec_601(tmp_path: Path) -> None:
    """An independent encoder call with the 601 matrix and no tags: red must not turn orange."""
    with av.open(str(tmp_path / "b.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        stream.options = {"crf": "8"}
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(bars(), "rgb24").reformat(format="yuv420p", dst_colorspace="ITU601")
            frame.colorspace = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert reader.facts.matrix == 2
        picture = Scaler(192, 96).array(next(reader.frames()).frame)
    assert np.abs(picture[40, 16].astype(int) - PALETTE[0]).max() <= 6


def test_a_click_lies_at_its_sample_and_a_flash_at_its_picture(tmp_path: Path) -> None:
    pictures = [np.full((64, 64, 3), 235 if n == 30 else 16, np.uint8) for n in range(48)]
    sound = np.zeros((2, 96_000), np.float32)
    sound[:, 60_000] = 0.95  # 30 / 24 s
    encode(tmp_path / "c.mp4", pictures, Fraction(24), sound)
    heard = read_sound(tmp_path / "c.mp4")
    assert heard is not None
    assert heard.shape == (2, 96_000)
    assert int(np.argmax(np.abs(heard[0]))) == 60_000
    with VideoReader(tmp_path / "c.mp4") as reader:
        scaler = Scaler(64, 64, "gray")
        flash = [t.time_s for t in reader.frames() if scaler.array(t.frame).mean() > 128]
    assert flash == [1.25]
    assert abs(probe(tmp_path / "c.mp4").av_offset_s or 0.0) < 1e-4


@pytest.mark.parametrize("late_s", [0.1, 0.4])
def test_sound_that_starts_late_is_heard_late(tmp_path: Path, late_s: float) -> None:
    sound = np.zeros((2, 24_000), np.float32)
    sound[:, 4_800] = 0.9
    encode(tmp_path / "d.mp4", [bars()] * 24, 24, sound, sound_start_s=late_s)
    heard = read_sound(tmp_path / "d.mp4")
    assert heard is not None
    assert abs(int(np.argmax(np.abs(heard[0]))) - (4_800 + round(late_s * 48_000))) <= 48  # MP4 edit lists: 1 ms


def test_variable_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.25, 0.6]
    encode(tmp_path / "e.mp4", [bars()] * 5, 24, times_s=times)
    with VideoReader(tmp_path / "e.mp4") as reader:
        assert [t.time_s for t in reader.frames()] == pytest.approx(times, abs=1e-4)


def test_wrong_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="no picture to write"):
        encode(tmp_path / "f.mp4", [], 24)
    with pytest.raises(AiprodError, match="both sides must be even"):
        encode(tmp_path / "f.mp4", [np.zeros((63, 64, 3), np.uint8)], 24)
    with pytest.raises(AiprodError, match="was not"):
        encode(tmp_path / "f.mp4", [np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)], 24)
    with pytest.raises(AiprodError, match="sound of shape"):
        encode(tmp_path / "f.mp4", [bars()], 24, np.zeros((3, 10), np.float32))
    assert not list(tmp_path.iterdir())
