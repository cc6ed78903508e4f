"""A camera that follows something is told from one that does not: drawn shots coded as H.264, demo film, real film.

Every shot is encoded and measured as any film is. The figures beside the parameters are speeds in widths a second and
sizes in picture heights; what a hand does to a followed thing's place in the picture (``sway``) is never nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprod.captions.taxonomy import camera_movement
from aiprod.data.sources.demo.motion import simulate
from aiprod.data.sources.demo.picture import draw
from aiprod.data.sources.demo.plan import DemoCorpusParams, plan_corpus
from aiprod.media.encoding import encode
from aiprod.media.probing import probe
from aiprod.qc.checks import camera, tracking
from aiprod.qc.checks.tracking import Flow
from aiprod.qc.measure.measure_clip import measure_clip
from aiprod.qc.params import QcMeasureParams
from tests.qc.films import texture
from tests.qc.followed import HEIGHT, WIDTH, Shot, Thing, creature, still, straight, sway, together

PARAMS = QcMeasureParams()


def measured(shot: Shot, folder: Path, crf: float = 23.0) -> dict[str, Any]:
    """The camera's figures of a shot, through the encoder and the pass over the film."""
    path = folder / "shot.mp4"
    encode(path, (np.repeat(p[..., None], 3, axis=2) for p in shot.pictures()), 24, crf=crf)
    return measure_clip(path, probe(path), 0.0, shot.seconds, PARAMS, whole=True, only=["camera"])[0]["camera"]


def follows(found: dict[str, Any]) -> bool:
    return str(found["movement"]).startswith("tracks") or "subject" in found


def at(thing: Thing, x: float, y: float = 0.55) -> Thing:
    return dataclasses.replace(thing, place=(x, y))


def swaying(size: float = 0.55, seed: int = 0, by: float = 0.02, **more: Any) -> Thing:
    return dataclasses.replace(creature(size, seed, **more), path=sway(by, seed))


def going(x: float, speed: float, size: float = 0.6, seed: int = 5) -> Thing:
    """Goes through the picture from ``x`` on."""
    return dataclasses.replace(at(creature(size, seed), x), path=straight(speed))


def train(speed: float) -> Thing:
    """Passes from side to side without an end, before the middle of the picture."""
    long = texture(1600, round(0.7 * HEIGHT), 41, 4)
    return Thing([long], np.ones(long.shape, np.float32), (0.5, 0.5), straight(speed))


def posts() -> np.ndarray:
    """A plate with upright posts in the middle, which show no movement up or down."""
    plate = texture(700, 420, 42, 4)
    across = texture(700, 1, 43, 4)[0, 280:420]
    plate[:, 280:420] = np.clip((across.astype(np.float32) - 120) * 2.5 + 120, 0, 255).astype(np.uint8)
    return plate


PAN, BACK, TILT = straight(0.3), straight(-0.3), straight(0, 0.25)

FOLLOWED = {
    "to the left": (Shot([swaying()], PAN), "tracks left"),
    "to the right": (Shot([swaying(seed=1)], BACK), "tracks right"),
    "upwards": (Shot([swaying(seed=2, grain=2)], TILT), "tracks up"),
    "downwards": (Shot([swaying(seed=3, grain=2)], straight(0, -0.25)), "tracks down"),
    "fast": (Shot([swaying(seed=4)], straight(0.7)), "tracks left"),
    "slowly": (Shot([swaying(seed=5, by=0.01)], straight(-0.12)), "tracks right"),
    "a large thing": (Shot([swaying(0.85, 6)], PAN), "tracks left"),
    "a small thing": (Shot([swaying(0.35, 7, grain=2)], PAN), "tracks left"),
    "a stiff thing, such as a car": (Shot([swaying(seed=8, alive=0.0)], BACK), "tracks right"),
    "away from the middle": (Shot([at(swaying(seed=9), 0.28)], BACK), "tracks right"),
    "by a hand that sways": (Shot([swaying(seed=10)], together(PAN, sway(0.02, 3, 1.5))), "tracks left"),
    "before ground near and far": (Shot([swaying(seed=11)], PAN, depth=0.8), "tracks left"),
    "in noise": (Shot([swaying(seed=12)], PAN, noise=7.0), "tracks left"),
    "between black bars": (Shot([swaying(0.45, 13)], BACK, bars=0.12), "tracks right"),
    "beside a logo": (Shot([at(swaying(0.5, 14), 0.62)], PAN, marks=[("TV", (0.03, 0.2))]), "tracks left"),
}

NOT_FOLLOWED = {
    "a pan": Shot([], PAN),
    "a tilt": Shot([], TILT),
    "a pan over ground near and far": Shot([], PAN, depth=1.0),
    "a sideways move past what is very near and very far": Shot([], PAN, depth=1.8),
    "a zoom": Shot([], zoom=0.3),
    "a zoom on a thing": Shot([swaying()], zoom=0.3),
    "a pan that zooms": Shot([], PAN, zoom=0.25),
    "a still camera": Shot([]),
    "a still camera before a living thing": Shot([swaying()]),
    "a still camera, something crosses": Shot([going(0.1, 0.3)]),
    "a still camera, a living thing before a train": Shot([train(0.3), swaying(0.5)]),
    "a hand that sways": Shot([], sway(0.06, 1, 1.2)),
    "a hand that sways round a thing that does not": Shot([swaying()], sway(0.06, 1, 1.2)),
    "a logo on a pan": Shot([], PAN, marks=[("LOGO", (0.35, 0.6))]),
    "a logo and a clock on a pan": Shot([], BACK, marks=[("LOGO 1", (0.55, 0.2)), ("12:34", (0.05, 0.95))]),
    "a picture burnt in on a pan": Shot([creature(0.6, 3, alive=0.0)], PAN),
    "a half transparent picture on a pan": Shot([creature(0.6, 4, 0.0, covers=0.6)], PAN),
    "a tilt along posts": Shot([], together(TILT, sway(0.02, 2)), plate=posts()),
    "a pan between black bars": Shot([], PAN, bars=0.13),
    "a tilt between black bars": Shot([], TILT, bars=0.13),
    "a pan past a living thing that stands": Shot([going(0.1, 0.3)], PAN),
    "a pan past a near thing": Shot([going(0.0, 0.5, seed=6)], PAN),
    "a thing that comes against the pan": Shot([going(0.0, 0.4, seed=7)], PAN),
    "a thing that overtakes the camera": Shot([going(0.75, -0.17, 0.5, 8)], PAN),
    "a thing that falls behind": Shot([going(0.25, 0.12, 0.5, 9)], PAN),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_camera_that_follows_a_thing_is_said_to(name: str, tmp_path: Path) -> None:
    shot, movement = FOLLOWED[name]
    found = measured(shot, tmp_path)
    assert found["movement"] == movement and camera_movement(found, None) == "tracking"
    x, y, _, _ = found["subject"]
    [thing] = shot.things
    assert (x, y) == pytest.approx(thing.place, abs=0.12)  # it is the thing, not something beside it
    way = np.array([found["dx_per_s"], found["dy_per_s"]])
    meant = np.array(shot.ground(1.0)) / WIDTH
    assert way == pytest.approx(meant, abs=0.06 + 0.2 * float(np.abs(meant).max()))  # the ground's, not the thing's


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_no_other_camera_is_said_to_follow(name: str, tmp_path: Path) -> None:
    assert not follows(measured(NOT_FOLLOWED[name], tmp_path))


pans = given(
    speed=st.floats(0.12, 0.6),
    left=st.booleans(),
    size=st.floats(0.45, 0.8),
    seed=st.integers(0, 10_000),
    noise=st.floats(0, 4),
    crf=st.floats(16, 28),
    depth=st.floats(0, 0.8),
)
drawn = functools.partial(
    settings, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.mark.slow
@drawn(max_examples=3)
@pans
def test_the_same_pan_is_tracking_with_a_thing_that_keeps_its_place_and_a_pan_without(
    tmp_path: Path, **pan: Any
) -> None:
    check_pan(tmp_path, **pan)


@pytest.mark.long
@drawn(max_examples=10)
@pans
def test_so_are_more_pans(tmp_path: Path, **pan: Any) -> None:
    check_pan(tmp_path, **pan)


def check_pan(
    folder: Path, *, speed: float, left: bool, size: float, seed: int, noise: float, crf: float, depth: float
) -> None:
    ground = straight(speed if left else -speed)
    way = "left" if left else "right"
    shot = Shot([swaying(size, seed, 0.015)], ground, noise=noise, depth=depth, seed=seed)
    assert measured(shot, folder, crf)["movement"] == f"tracks {way}"
    assert measured(dataclasses.replace(shot, things=[]), folder, crf)["movement"] == f"pans {way}"
    burnt = dataclasses.replace(shot, things=[creature(size, seed, alive=0.0)])
    assert not follows(measured(burnt, folder, crf))


def test_what_could_not_be_seen_to_move_is_not_seen_to_stay() -> None:
    """A flow that finds posts, or a wall without marks, where they were: such a place in a tilt is not followed."""

    def said(shot: Shot) -> bool:
        """The ground's movement everywhere but in the middle, where a sway is found that the pictures do show."""
        pictures, flows = shot.pictures(), []
        x, y = np.meshgrid(np.linspace(10, WIDTH - 10, 20), np.linspace(10, HEIGHT - 10, 12))
        start = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        middle = np.hypot(*((start - (WIDTH / 2, HEIGHT / 2)) / (50, 45)).T) < 1
        for n in range(2, 70, 6):
            ground, own = (np.subtract(path((n + 1) / 24), path(n / 24)) for path in (shot.ground, sway(0.02, 2)))
            flows.append(Flow(pictures[n], start, np.where(middle[:, None], own, ground).astype(np.float32)))
        return tracking.measure(flows, len(flows)) is not None

    ground = together(TILT, sway(0.02, 2))
    wall = texture(700, 420, 44, 4)
    y, x = np.mgrid[0:420, 0:700]
    wall[np.hypot((x - 350) / 140, (y - 210) / 420) < 1] = 120
    assert said(Shot([at(dataclasses.replace(creature(0.6, 2), path=sway(0.02, 2)), 0.5, 0.5)], ground))
    assert not said(Shot([], ground, plate=posts()))
    assert not said(Shot([], ground, plate=wall))


def test_a_single_look_is_not_enough(tmp_path: Path) -> None:
    """Followed for a third of a shot is not followed: the rest of the time the thing is gone."""
    shot = Shot([swaying()], PAN)
    gone = dataclasses.replace(shot, things=[]).pictures()
    pictures = [*shot.pictures()[: len(gone) // 3], *gone[len(gone) // 3 :]]
    pairs = [(pictures[n], pictures[n + 1], 1 / 24) for n in range(2, 70, 6)]
    assert camera.measure(pairs, 1 / 24, 3.0)["movement"] == "pans left"


@pytest.mark.slow
def test_no_film_of_the_demo_corpus_is_said_to_follow() -> None:
    """Its shapes go their own ways over a ground that the camera moves: none is followed."""
    cameras = set()
    for film in plan_corpus(DemoCorpusParams(films=28, faults=False, width=PARAMS.plane_width_px, height=180)):
        scene, count = film.scenes[0], 48
        drawn = draw(scene, simulate(scene, film.width, film.height, film.fps, count), film.width, film.height)
        planes = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in drawn]
        pairs = [(planes[n], planes[n + 1], 1 / film.fps) for n in range(1, count - 1, 4)]
        assert not follows(camera.measure(pairs, 1 / film.fps, count / film.fps)), scene
        cameras.add(scene.camera)
    assert len(cameras) == 7


@functools.lru_cache(maxsize=4)
def _real(path: Path, start: int, count: int) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        film.streams.video[0].thread_count = 1
        frames = itertools.islice(film.decode(video=0), start, start + count)
        return [frame.to_ndarray(format="gray") for frame in frames]


def _person(path: Path, size: float) -> Thing:
    """Someone who signs before a wall, cut out as an oval: hands and face move by themselves."""
    frames = _real(path, 5, 72)
    h, w = frames[0].shape
    scale = size * HEIGHT / (0.84 * h)
    looks = [
        cv2.resize(
            f[round(0.08 * h) : round(0.92 * h), w // 2 - round(0.31 * h) : w // 2 + round(0.31 * h)],
            None,
            fx=scale,
            fy=scale,
            interpolation=cv2.INTER_AREA,
        )
        for f in frames
    ]
    tall, wide = looks[0].shape
    y, x = np.mgrid[0:tall, 0:wide].astype(np.float32)
    oval = 1.0 - np.hypot((x - wide / 2) / (wide / 2), (y - tall / 2) / (tall / 2))
    return Thing(looks, np.clip(oval * 6, 0, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "plate"),
    [
        ("intel_asl_bird_480p30.mkv", "bbb_1080p60_2s.mp4"),
        ("intel_asl_book_480p30.mkv", "bee_720p30_4s.mp4"),
        ("intel_asl_bird_480p30.mkv", "mdn_frog_480p30.mp4"),
        *(
            pytest.param(who, plate, marks=pytest.mark.long)
            for who, plate in (
                ("intel_asl_book_480p30.mkv", "bbb_1080p60_2s.mp4"),
                ("intel_asl_bird_480p30.mkv", "bee_720p30_4s.mp4"),
                ("intel_asl_book_480p30.mkv", "mdn_frog_480p30.mp4"),
            )
        ),
    ],
)
def test_a_person_cut_from_real_film_before_a_real_picture(
    plate: str, who: str, shared_clips: Path, tmp_path: Path
) -> None:
    picture = _real(shared_clips / "open" / plate, 20, 1)[0]
    ground = cv2.resize(picture, (640, round(640 * picture.shape[0] / picture.shape[1])), interpolation=cv2.INTER_AREA)
    person = _person(shared_clips / "open" / who, 0.6)
    kept = dataclasses.replace(person, path=sway(0.02, 4))
    assert measured(Shot([kept], PAN, plate=ground, noise=1.0), tmp_path)["movement"] == "tracks left"
    for other in (
        Shot([], PAN, plate=ground, noise=1.0),
        Shot([kept], still, plate=ground, noise=1.0),
        Shot([dataclasses.replace(at(person, 0.1), path=PAN)], PAN, plate=ground, noise=1.0),
        Shot([dataclasses.replace(at(person, 0.9), path=straight(-0.25))], PAN, plate=ground, noise=1.0),
        Shot([Thing(person.looks[:1], person.alpha)], PAN, plate=ground, noise=1.0),
    ):
        assert not follows(measured(other, tmp_path))
