"""Persons whose face does not show, hands and things: found where a person sees them, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from aiprod.media.probing import probe, require_video
from aiprod.qc.bundled import face_mesh, fitting, hands, open_images, persons
from aiprod.qc.bundled.catalogue import BUNDLED, BundledNetwork, has_litert
from aiprod.qc.checks.persons import Persons, judge
from aiprod.qc.clip_context import Plane, Still
from aiprod.qc.params import QcMeasureParams
from tests.bench.real_scenes import stills
from tests.qc.films import texture
from tests.qc.one_clip import answer

FROM_BEHIND = ("open/intel_person_432p10_139s.mp4", 95.0)
HAND = ("open/intel_bottle_360p30_40s.mp4", 6.5)
NOBODY = (
    *(("open/bee_720p30_4s.mp4", 2.0), ("open/intel_car_432p12_30s.mp4", 6.0), ("open/mdn_frog_480p30.mp4", 4.0)),
    *(("open/nasa_sls_hotfire_360p60_52s.mkv", 14.0), ("open/tractor_288p25_10s.webm", 3.0)),
)


@pytest.fixture(scope="module")
def portrait() -> Plane:
    """A photograph of a person, [600, 512, 3] RGB."""
    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)))[:, :, ::-1])


def picture_of(clips: Path, film: str, time_s: float) -> Plane:
    """The picture [h, w, 3] RGB of a film at a time."""
    video = require_video(probe(clips / film))
    (picture,) = stills(clips / film, [time_s], video.display_width, video.display_height)
    return picture


def looked_at(*pictures: Plane, models: str = "all", faces: bool = False) -> dict[str, object]:
    """The figures of a clip of which these are the stills."""
    params = QcMeasureParams.model_validate({"models": models, "stills": len(pictures), "face_stills": len(pictures)})
    check = Persons("persons" in params.uses, len(pictures), len(pictures), faces)
    for number, picture in enumerate(pictures):
        gray = picture[:, :, 1]
        check.feed(Still(number / 2, gray, picture, gray, 0.0, 255.0, None, lambda _, shown=picture: shown))  # type: ignore[arg-type, misc]
    return check.figures()


def test_the_places_that_the_network_answers_for_are_those_of_its_layers() -> None:
    anchors = open_images._anchors()
    assert len(anchors) == 19 * 19 * 3 + 6 * sum(side * side for side in (10, 5, 3, 2, 1)) == 1917
    assert (anchors[:, :2] > 0).all() and (anchors[:, :2] < 1).all()
    assert anchors[-6:, :2] == pytest.approx(0.5)
    assert np.allclose(anchors[:3, 2:], [[0.1, 0.1], [0.2828, 0.1414], [0.1414, 0.2828]], atol=1e-4)


@pytest.mark.skipif(not has_litert(), reason="needs LiteRT: pip install 'aiprod[models]'")
@pytest.mark.parametrize("model", [BUNDLED["persons"], BUNDLED["faces"], face_mesh.MESH], ids=lambda m: m.title[:9])
def test_opencv_and_litert_say_the_same_of_a_picture(model: BundledNetwork, portrait: Plane) -> None:
    """Two implementations of the format: what one of them gets wrong is seen here."""
    for name in model.files:
        fast, plain = fitting.LiteRTNetwork(model.file(name)), fitting.OpenCVNetwork(model.file(name))
        side = int(fast._network.get_input_details()[0]["shape"][1])
        given = fitting.fitted(portrait, side).square / np.float32(127.5) - np.float32(1)
        if name.startswith("ssd"):
            pairs = list(zip(open_images._outputs(fast, given), open_images._outputs(plain, given), strict=True))
        elif name.startswith("hand"):  # the only one of its outputs that is used; OpenCV's landmarks are a pixel off
            pairs = [(fast(given, ("Identity_1",))[0], plain(given, ("Identity_1",))[0])]
        else:
            names = sorted(fast._outputs)
            pairs = list(zip(fast(given, names), plain(given, names), strict=True))
        for one, other in pairs:
            assert np.allclose(one.ravel(), other.ravel(), rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(one).max())))


def test_what_litert_announces_stays_off_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    fitting.fastest.cache_clear()
    persons.find(np.zeros((90, 160, 3), np.uint8), sure=0.4)
    assert capfd.readouterr().err == ""


def test_boxes_lie_where_the_thing_is_at_any_place_and_shape_of_the_picture(portrait: Plane) -> None:
    for corner, shape in (((0, 0), (600, 1067)), ((0, 555), (600, 1067)), ((300, 0), (900, 512))):
        scene = np.full((*shape, 3), 90, np.uint8)
        scene[corner[0] : corner[0] + 600, corner[1] : corner[1] + 512] = portrait
        found, _, _ = persons.find(scene, sure=0.46)
        x, y, w, h = found[0]["box"]
        middle = (x + w / 2) * shape[1] - corner[1], (y + h / 2) * shape[0] - corner[0]
        assert found[0]["confidence"] >= 0.4
        assert 100 < middle[0] < 412 and 100 < middle[1] < 500


def test_nothing_is_found_in_texture_noise_and_flat_grey() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
    flat, drawn = np.full((360, 640, 3), 128, np.uint8), np.repeat(texture(640, 360)[..., None], 3, axis=2)
    for picture in (noise, flat, drawn, flat[:40], flat[:, :20]):
        assert persons.find(picture, sure=0.4)[:2] == ([], []) and hands.find(picture) == []


def test_a_person_from_behind_is_found_and_asks_for_a_review(shared_clips: Path) -> None:
    figures = looked_at(picture_of(shared_clips, *FROM_BEHIND))
    assert figures["stills_with_persons"] == 1 and figures["persons_max"] == 1
    said = answer(judge, {"persons": figures})
    assert said.caps and said.reason == "a person in 1 of 1 stills"


def test_a_face_is_a_person_where_faces_are_looked_for_and_ends_the_search(portrait: Plane) -> None:
    small = np.full((480, 640, 3), 90, np.uint8)  # the network for persons is not sure of a head alone
    small[40:160, 260:362] = cv2.resize(portrait[:400, 86:426], (102, 120), interpolation=cv2.INTER_AREA)
    figures = looked_at(*[small] * 5, faces=True)
    assert figures["stills"] == 2, "one in squares, and one whole for the things in it"
    assert figures["stills_with_persons"] == 2 and figures["persons_max"] == 1
    (x, y, w, h) = figures["boxes"][0]["box"]  # type: ignore[index]
    assert 0.4 < x + w / 2 < 0.57 and y + h / 2 < 0.4


def test_a_hand_is_no_person_but_is_told_and_bottles_are_named(shared_clips: Path) -> None:
    shown = picture_of(shared_clips, *HAND)
    figures = looked_at(shown, shown[:, ::-1].copy())
    assert figures["stills_with_hands"] == 2 and figures["stills_with_persons"] == 0
    left, right = ([hand["box"] for hand in figures["hands"] if hand["still"] == still] for still in (0, 1))  # type: ignore[attr-defined]
    assert left[0][0] < 0.25 and right[0][0] > 0.6
    assert {thing["label"] for thing in figures["things"]} == {"bottle"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("film", "time_s"), NOBODY)
def test_nobody_is_found_where_nobody_is(shared_clips: Path, film: str, time_s: float) -> None:
    figures = looked_at(picture_of(shared_clips, film, time_s))
    assert figures["stills_with_persons"] == figures["stills_with_hands"] == 0


def test_without_the_networks_nothing_is_said() -> None:
    assert looked_at(np.zeros((90, 160, 3), np.uint8), models="none")["status"] == "not_evaluated"
