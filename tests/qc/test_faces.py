"""Faces on a frame of real film; without the films beside the checkout these are skipped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from aiprod.media.frames import VideoReader
from aiprod.media.media_info import Orientation
from aiprod.media.probing import probe, require_video
from aiprod.qc.checks import faces
from aiprod.qc.checks.faces import Faces, Find, find_again, find_faces
from aiprod.qc.clip_context import Plane, Still
from aiprod.qc.measure.decode_pass import LumaTaker
from aiprod.qc.measure_params import QcMeasureParams
from tests.qc.films import texture


@pytest.fixture(scope="module")
def signer(shared_clips: Path) -> np.ndarray:
    """A man before a wall, who looks into the camera: luma [480, 640]."""
    with VideoReader(shared_clips / "open" / "intel_asl_yes_480p30.mkv") as reader:
        return LumaTaker(reader.facts).take(next(reader.frames()).frame).copy()


def test_a_face_is_found_once_where_it_is(signer: np.ndarray) -> None:
    found = find_faces(signer, 288)
    assert len(found) == 1
    x, y, w, h = found[0]
    assert 0.2 < x + w / 2 < 0.8 and y + h / 2 < 0.5  # in the upper half, between the sides


def test_a_face_is_found_in_any_size_of_the_same_picture_and_mirrored(signer: np.ndarray) -> None:
    x, y, w, h = find_faces(signer, 288)[0]
    large = cv2.resize(signer, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for picture, centre in ((large, x + w / 2), (np.ascontiguousarray(signer[:, ::-1]), 1 - x - w / 2)):
        (a, b, c, d) = find_faces(picture, 288)[0]
        assert a + c / 2 == pytest.approx(centre, abs=0.03)
        assert b + d / 2 == pytest.approx(y + h / 2, abs=0.03)
        assert d == pytest.approx(h, rel=0.25)


@pytest.mark.parametrize("contrast", [0.7, 1.5])
def test_a_face_is_found_in_a_duller_and_in_a_harder_picture(signer: np.ndarray, contrast: float) -> None:
    [one], [other] = find_faces(signer, 288), find_faces(cv2.convertScaleAbs(signer, alpha=contrast), 288)
    assert other == pytest.approx(one, abs=0.03)


def test_a_face_is_found_again_near_its_place_and_nowhere_else(signer: np.ndarray) -> None:
    [(x, y, w, h)] = find_faces(signer, 288)
    [again] = find_again(signer, 288, [(x + 0.3 * w, y, w, h)])
    assert again == pytest.approx((x, y, w, h), abs=0.03)
    assert find_again(signer, 288, [(0.0, 1.0 - h, w, h)]) == []


@pytest.mark.parametrize(("later", "found"), [((), False), ((0.25,), True), ((0.5,), True)])
def test_a_face_in_one_still_only_counts_when_it_is_there_a_moment_later_too(
    signer: np.ndarray, later: tuple[float, ...], found: bool
) -> None:
    nobody, check, asked = np.full_like(signer, 90), Faces(288, 5, 6), []
    stills = {0.0: nobody, 2.0: signer, 4.0: nobody, 6.0: nobody, 8.0: nobody, 10.0: nobody}
    for n in range(48):  # four frames a second
        time_s = n / 4
        if check.wants(time_s):
            asked.append(time_s - 2.0)
            check.look(signer if time_s - 2.0 in later else nobody)
        if time_s in stills:
            luma = stills[time_s]
            check.feed(Still(time_s, luma, luma, luma, 16, 235, None))  # type: ignore[arg-type]
    assert check.figures()["found"] is found
    assert asked == ([0.25] if later == (0.25,) else [0.25, 0.5])


def test_without_the_smallest_a_face_is_found_where_the_search_begins_a_step_higher(
    signer: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins: list[float] = []
    hints = faces._hints
    monkeypatch.setattr(
        faces, "_hints", lambda luma, height_px, least_px: begins.append(least_px) or hints(luma, height_px, least_px)
    )
    [one], [other] = find_faces(signer, 288, smallest=False), find_faces(signer, 288)
    assert one == pytest.approx(other, abs=0.02)
    assert begins == [39, 26]


def test_the_smallest_faces_are_looked_for_in_every_second_still_and_in_every_second_look() -> None:
    heights: list[tuple[str, int]] = []
    picture = np.zeros((48, 64), np.uint8)

    def finds(name: str, at: int) -> Find:
        def find(luma: Plane, height_px: int) -> list[tuple[float, float, float, float]]:
            heights.append((name, height_px))
            return [(0.0, 0.0, 1.0, 1.0)] if len(heights) == at else []

        return find

    check = Faces(288, 5, 6, finds("all", 3), find_large=finds("large", 0))
    for n in range(6):
        check.feed(Still(2.0 * n, picture, picture, picture, 16, 235, None))  # type: ignore[arg-type]
        for later in (0.25, 0.5):
            if check.wants(2.0 * n + later):
                check.look(picture)
    assert [name for name, _ in heights] == ["all", "large", "all", "all", "all", "large", "all"]


def test_a_picture_without_anybody_shows_no_face() -> None:
    assert find_faces(texture(640, 480, 9), 288) == []
    assert find_faces(np.full((480, 640), 90, np.uint8), 288) == []
    assert find_faces(np.full((8, 8), 90, np.uint8), 288) == []


def test_a_face_on_film_that_lies_on_its_side_is_looked_for_upright(signer: np.ndarray, shared_clips: Path) -> None:
    """Phones store pictures as the sensor lies and say by how much to turn them."""
    video = require_video(probe(shared_clips / "open" / "intel_asl_yes_480p30.mkv"))
    turns = [Orientation(transpose=True, flip_x=True), Orientation(transpose=True, flip_y=True)]
    for turn in [*turns, Orientation(flip_x=True, flip_y=True)]:
        back = Orientation(transpose=turn.transpose, flip_x=turn.flip_x, flip_y=turn.flip_y)
        if turn.transpose:  # the inverse of a quarter turn goes the other way round
            back = Orientation(transpose=True, flip_x=turn.flip_y, flip_y=turn.flip_x)
        stored = back.turned(signer)
        assert (turn.turned(stored) == signer).all()
        search = Faces.begin(QcMeasureParams(stills=1, face_stills=1), video.model_copy(update={"orientation": turn}))
        search.feed(Still(0.0, stored, stored, stored, 16.0, 235.0, None))  # type: ignore[arg-type]
        assert search.figures()["found"], turn
