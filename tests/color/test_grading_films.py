"""A film through a grade: the colours that arithmetic gives, the same length, the same sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.colour import planes
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler

pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")

PATCHES = np.array([[16, 64, 128, 200], [235, 90, 30, 180]], np.uint8)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    picture = np.kron(PATCHES, np.ones((32, 32), np.uint8))
    colours = np.stack([picture, picture[::-1], picture[:, ::-1]], axis=-1)
    tone = 0.3 * np.sin(np.arange(48_000) * 0.05).astype(np.float32)
    encode(tmp_path / "chart.mp4", [colours] * 25, Fraction(25), np.stack([tone, tone]), crf=1)
    return tmp_path / "chart.mp4"


def patches(film: Path) -> np.ndarray:
    """The mean colour of the inside of each patch."""
    with VideoReader(film) as reader:
        frame = next(iter(reader.frames())).frame
        green, blue, red = planes(Scaler(128, 64, "gbrp10le", exact=True).frame(frame))
    rgb = np.stack([red, green, blue], axis=-1).astype(np.float32) / 1023
    return rgb.reshape(2, 32, 4, 32, 3)[:, 8:24, :, 8:24].mean(axis=(1, 3))


def test_a_graded_film_has_the_colours_of_the_grade_and_the_same_sound(chart: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "exposure: -0.5\ncdl: {slope: [1.1, 1, 0.9], offset: [0, 0.02, 0], power: [1, 1.1, 1], saturation: 0.8}\n"
    )
    arguments = ["grade", str(chart), "--recipe", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "o.mp4")]
    done = CliRunner().invoke(app, [*arguments, "--crf", "1", "--workers", "1"])
    assert done.exit_code == 0, done.output
    from aiprod.color.grade import applied, read_grade

    wanted = np.clip(applied(read_grade(tmp_path / "x.yaml"), patches(chart)), 0, 1)
    assert np.abs(patches(tmp_path / "o.mp4") - wanted).max() < 2.5 / 255
    before, after = read_sound(chart), read_sound(tmp_path / "o.mp4")
    assert before is not None and after is not None and before.shape == after.shape
    assert np.abs(before - after)[:, 2000:-2000].max() < 0.02
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert sum(1 for _ in reader.frames()) == 25


def test_scopes_are_a_picture_and_no_film(chart: Path, tmp_path: Path) -> None:
    import cv2

    arguments = ["grade", str(chart), "--exposure", "1", "--scopes", str(tmp_path / "s.png"), "--at", "0.5s"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    picture = cv2.imread(str(tmp_path / "s.png"))
    assert picture is not None and picture.shape[0] == 2 * 256 + 8
    assert not (tmp_path / "graded.mp4").exists()


def test_what_cannot_be_done_is_one_line(chart: Path, tmp_path: Path) -> None:
    for arguments in (
        [str(chart)],
        [str(tmp_path / "none.mp4"), "--exposure", "1"],
        [str(chart), "--lut", "none.cube"],
        [str(chart), "--exposure", "1", "--out", str(chart)],
        [str(chart), "--exposure", "1", "--scopes", str(tmp_path / "s.png"), "--at", "99s"],
    ):
        raised = CliRunner().invoke(app, ["grade", *arguments]).exception
        assert isinstance(raised, AiprodError) and "\n" not in str(raised)
