"""Faces in profile: found on film by the cascade that confirms them, whichever way they look, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media.probing import probe, require_video
from aiprod.qc.bundled import blazeface, profile_cascade
from tests.bench.real_scenes import stills
from tests.qc.films import texture

LUMA = (0.299, 0.587, 0.114)


@pytest.fixture(scope="module")
def office(shared_clips: Path) -> np.ndarray:
    """Two women, [480, 640, 3] RGB: one with a hat looks this way, the other is seen in profile at (240, 228)."""
    film = shared_clips / "open" / "friday_480p30_6s.mp4"
    if not film.is_file():
        pytest.skip("needs the open films")
    video = require_video(probe(film))
    return stills(film, [1.5 * (video.duration_s or 6.0) / 6], video.display_width, video.display_height)[0]


def near(faces: list[dict[str, Any]], picture: np.ndarray, x: float, y: float) -> int:
    """How many of the faces lie at a point."""
    h, w = picture.shape[:2]
    boxes = [face["box"] for face in faces]
    return sum(np.hypot((left + wide / 2) * w - x, (top + tall / 2) * h - y) < 30 for left, top, wide, tall in boxes)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_profile_is_found_whichever_way_it_looks(office: np.ndarray, mirrored: bool) -> None:
    picture = np.ascontiguousarray(office[:, ::-1]) if mirrored else office
    x = office.shape[1] - 270 if mirrored else 270
    assert near(blazeface.find(picture, profiles=True), picture, x, 258) == 1


def test_the_networks_alone_miss_that_profile(office: np.ndarray) -> None:
    assert near(blazeface.find(office), office, 270, 258) == 0


def test_what_the_networks_find_stays_as_it_is(office: np.ndarray) -> None:
    portrait = cv2.imread(str(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"))[:, :, ::-1]
    for picture in (office, np.ascontiguousarray(portrait)):
        alone, more = blazeface.find(picture), blazeface.find(picture, profiles=True)
        assert [face for face in more if face in alone] == alone


def test_a_profile_answers_many_times_more_often_than_the_scene_around_it(office: np.ndarray) -> None:
    luma = (office @ LUMA).astype(np.uint8)
    assert profile_cascade.windows(luma, 240, 228, 63) >= 2 * profile_cascade.WINDOWS_MIN
    for left, top in ((30, 30), (150, 30), (480, 200), (400, 350), (60, 380), (570, 400)):
        assert profile_cascade.windows(luma, left, top, 63) < profile_cascade.WINDOWS_MIN / 2


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    left=st.floats(-40, 300),
    top=st.floats(-40, 160),
    size=st.floats(20, 200),
)
def test_no_place_of_a_picture_of_nothing_is_a_profile(seed: int, left: float, top: float, size: float) -> None:
    """At the edge and beyond it, too."""
    luma = texture(320, 180, seed=seed)
    assert profile_cascade.windows(luma, left, top, size) < profile_cascade.WINDOWS_MIN
