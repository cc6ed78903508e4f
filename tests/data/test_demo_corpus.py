"""The demo corpus: the same bytes every time, ground truth that is true of the pictures and the sound, real faults."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.data.ingest.ingest_film import FetchRequest, IngestJob
from aiprod.data.params import IngestParams
from aiprod.data.sources.base import Offer
from aiprod.data.sources.demo.make import make_film
from aiprod.data.sources.demo.motion import simulate
from aiprod.data.sources.demo.plan import (
    CAMERAS,
    FAULTS,
    PACES,
    PLAIN,
    SHAPES,
    TEXTURES,
    DemoCorpusParams,
    FilmPlan,
    ScenePlan,
    plan_corpus,
)
from aiprod.data.sources.registry import load_sources, source_of
from aiprod.media.audio import read_sound
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from aiprod.storage.result_cache import Memo

PLANS = plan_corpus(DemoCorpusParams())
CLEAN = [plan for plan in PLANS if plan.fault is None]
SMALL = plan_corpus(DemoCorpusParams(height=240, width=426))  # a quarter of the pixels, with the same faults


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Makes a film of the corpus once, by its key: those with a fault small, but for the one that freezes.

    In small pictures what the encoder does at a key picture of a frozen scene is seen.
    """
    folder = tmp_path_factory.mktemp("demo")
    made: dict[str, tuple[Path, dict[str, Any], FilmPlan]] = {}

    def film(key: str) -> tuple[Path, dict[str, Any], FilmPlan]:
        if key not in made:
            small = (key.startswith("fault-") and key != "fault-freeze") or key == "clean-000"
            plan = next(p for p in (SMALL if small else PLANS) if p.key == key)
            path = folder / f"{key}.mp4"
            made[key] = (path, make_film(plan, path), plan)
        return made[key]

    return film


def pictures(path: Path) -> np.ndarray:
    """All pictures, uint8 [F, H, W, 3]."""
    with VideoReader(path) as reader:
        scaler = Scaler(reader.facts.width, reader.facts.height)
        return np.stack([scaler.array(t.frame) for t in reader.frames()])


def lights(path: Path) -> np.ndarray:
    """All pictures, the mean of each pixel's channels, float32 [F, H, W]."""
    with VideoReader(path) as reader:
        scaler = Scaler(reader.facts.width, reader.facts.height)
        return np.stack([scaler.array(t.frame).mean(axis=2, dtype=np.float32) for t in reader.frames()])


def test_the_corpus_is_varied_and_keys_are_unique() -> None:
    assert len(CLEAN) == 64
    assert len({plan.key for plan in PLANS}) == len(PLANS) == 64 + len(FAULTS)
    scenes = [scene for plan in CLEAN for scene in plan.scenes]
    assert {s.texture for s in scenes} == set(TEXTURES)
    assert min(Counter(s.camera for s in scenes).values()) >= 64 // len(CAMERAS) - 1
    assert {o.shape for s in scenes for o in s.objects} == set(SHAPES)
    assert Counter(len(s.objects) for s in scenes).keys() == {1, 2, 3}
    assert len({s.sentence() for s in scenes}) > 60


def test_a_seed_gives_one_corpus_and_another_seed_another() -> None:
    assert plan_corpus(DemoCorpusParams()) == PLANS
    other = plan_corpus(DemoCorpusParams(seed=1))
    assert not {p.digest() for p in other} & {p.digest() for p in PLANS}


@pytest.mark.parametrize("plan", CLEAN[:24], ids=lambda p: p.key)
def test_objects_stay_in_view_and_each_film_is_heard_and_quiet(plan: FilmPlan) -> None:
    scene = plan.scenes[0]
    motion = simulate(scene, plan.width, plan.height, plan.fps, 72)
    for item, path in zip(scene.objects, motion.paths, strict=True):
        for x, y, _ in path:
            assert item.radius_px * 0.7 <= x <= plan.width - item.radius_px * 0.7
            assert item.radius_px * 0.7 <= y <= plan.height - item.radius_px * 0.7
    assert motion.impacts, "a film without a sound teaches nothing"
    assert motion.impacts[0].time_s > 0.25, "silence before the first tone gives the noise floor"


def test_calm_scenes_show_one_whole_object_on_a_plain_ground_and_are_heard() -> None:
    plans = plan_corpus(DemoCorpusParams(films=32, calm_share=0.75, width=640, duration_s=2.125))
    clean = [plan for plan in plans if plan.fault is None]
    calm = [plan for plan in clean if plan.scenes[0].texture == PLAIN]
    assert len(calm) == 24
    assert all(plan.scenes[0].texture != PLAIN for plan in plans if plan.fault is not None)
    assert {plan.scenes[0].objects[0].shape for plan in calm} == set(SHAPES)
    for plan in calm:
        [item] = plan.scenes[0].objects
        motion = simulate(plan.scenes[0], plan.width, plan.height, plan.fps, 51)
        for x, y, _ in motion.paths[0]:  # whole even in a picture of 5:4
            assert item.radius_px <= x - 20 <= plan.width - 40 - item.radius_px
            assert item.radius_px <= y + 4 <= plan.height + 8 - item.radius_px
        assert 0.25 < motion.impacts[0].time_s < 1.5
    assert " plain background " in calm[0].scenes[0].sentence()


def test_calm_scenes_show_each_shape_on_each_way_in_each_colour_and_on_each_ground_equally_often() -> None:
    plans = plan_corpus(DemoCorpusParams(films=192, calm_share=0.875, width=640, duration_s=2.125, faults=False))
    scenes = [plan.scenes[0] for plan in plans if plan.scenes[0].texture == PLAIN]
    shapes = [scene.objects[0].shape for scene in scenes]
    ways = [(scene.gravity_px_s2 > 0, scene.objects[0].heading) for scene in scenes]
    colours = [scene.objects[0].colour for scene in scenes]
    grounds = [scene.ground for scene in scenes]
    for one, other in itertools.combinations((shapes, ways, colours, grounds), 2):
        pairs = Counter(zip(one, other, strict=True))
        assert len(pairs) == len(set(one)) * len(set(other)), "each pair is there"
        assert max(pairs.values()) - min(pairs.values()) <= 3


GENTLE = DemoCorpusParams(films=384, gentle_share=1.0, width=640, duration_s=2.125)


def _words(scene: ScenePlan) -> dict[str, object]:
    """What a gentle scene's caption says, by kind."""
    said: dict[str, object] = {
        "motion": scene.gravity_px_s2 > 0,
        "pace": scene.pace,
        "camera": scene.camera,
        "ground": scene.ground,
        **{f"shape {n}": item.shape for n, item in enumerate(scene.objects)},
        **{f"colour {n}": item.colour for n, item in enumerate(scene.objects)},
    }
    return said | ({"heading": scene.objects[0].heading} if len(scene.objects) == 1 else {})


@pytest.mark.parametrize(("films", "count"), [(384, 1), (448, 1), (384, 2)])
def test_gentle_scenes_show_each_pair_of_words_about_equally_often(films: int, count: int) -> None:
    plans = plan_corpus(GENTLE.model_copy(update={"films": films}))
    scenes = [plan.scenes[0] for plan in plans if plan.fault is None]
    assert {len(scene.objects) for scene in scenes} == {1, 2}
    chosen = [_words(scene) for scene in scenes if len(scene.objects) == count]
    assert len(chosen) == films * (3 if count == 1 else 1) // 4
    for one, other in itertools.combinations(chosen[0], 2):
        seen = Counter((words[one], words[other]) for words in chosen)
        cells = len({words[one] for words in chosen}) * len({words[other] for words in chosen})
        least = min(seen.values()) if len(seen) == cells else 0
        assert max(seen.values()) - least <= max(5, 0.75 * len(chosen) / cells), (one, other)
        if count == 1:
            assert len(seen) == cells, "each pair is there"


def test_gentle_scenes_go_through_all_combinations_of_shape_way_pace_and_camera() -> None:
    scenes = [plan.scenes[0] for plan in plan_corpus(GENTLE.model_copy(update={"films": 448, "faults": False}))]
    singles = [_words(scene) for scene in scenes if len(scene.objects) == 1]
    kinds = ("shape 0", "motion", "heading", "pace", "camera")
    four = Counter(tuple(words[kind] for kind in kinds) for words in singles)
    assert len(singles) == len(four) == len(SHAPES) * 4 * 2 * len(CAMERAS)
    assert all(scene.objects[0].shape != scene.objects[1].shape for scene in scenes if len(scene.objects) == 2)
    assert all(scene.objects[0].colour != scene.objects[1].colour for scene in scenes if len(scene.objects) == 2)


def test_gentle_scenes_show_whole_objects_that_are_heard_when_their_words_say() -> None:
    times: dict[tuple[str, str], list[float]] = {}
    for plan in plan_corpus(GENTLE.model_copy(update={"films": 96, "faults": False})):
        scene = plan.scenes[0]
        motion = simulate(scene, plan.width, plan.height, plan.fps, 51)
        for item, path in zip(scene.objects, motion.paths, strict=True):
            for x, y, _ in path:  # whole even in a picture of 5:4
                assert item.radius_px <= x - 20 <= plan.width - 40 - item.radius_px
                assert item.radius_px <= y + 4 <= plan.height + 8 - item.radius_px
        if len(scene.objects) == 2:
            (ax, _, _), (bx, _, _) = motion.paths[0][0], motion.paths[1][0]
            assert bx - ax > 2.2 * scene.objects[0].radius_px, "side by side, the first on the left"
        assert all(impact.kind in ("floor", "ceiling") for impact in motion.impacts)
        assert scene.sentence().count(f" {scene.pace} ") == 1
        group = ("bounce" if scene.gravity_px_s2 else "drift", scene.pace)
        times.setdefault(group, []).append(motion.impacts[0].time_s)
    assert len(times) == 4
    for (motion_name, pace), first in times.items():
        assert np.allclose(first, PACES[pace][motion_name], atol=0.04)
    for one, other in itertools.combinations(times.values(), 2):
        assert min(abs(a - b) for a in one for b in other) > 0.1, "no two groups sound at the same time"


def test_a_share_of_gentle_scenes_is_written_where_there_are_any() -> None:
    """What is recorded of a corpus without them is what it was before they could be asked for."""
    assert "gentle_share" not in DemoCorpusParams().model_dump()
    assert DemoCorpusParams.model_validate(GENTLE.model_dump()) == GENTLE
    calm = plan_corpus(DemoCorpusParams(films=8, calm_share=0.5, faults=False))
    assert all("pace" not in scene for plan in calm for scene in plan.json()["scenes"])
    both = plan_corpus(DemoCorpusParams(films=8, calm_share=0.5, gentle_share=1.0, faults=False))
    assert [one for one in both if one.scenes[0].texture == PLAIN] == [c for c in calm if c.scenes[0].texture == PLAIN]
    assert [len(plan.scenes[0].objects) for plan in both if plan.scenes[0].pace] == [1, 1, 1, 2]


@pytest.mark.parametrize("shares", [{}, {"calm_share": 0.875}, {"calm_share": 1.0}, {"gentle_share": 1.0}])
def test_the_duplicate_shows_what_the_first_film_shows(shares: dict[str, float]) -> None:
    plans = {plan.key: plan for plan in plan_corpus(DemoCorpusParams(films=2, **shares))}  # type: ignore[arg-type]
    assert plans["fault-duplicate"].scenes == plans["clean-000"].scenes


def test_faulty_films_are_long_enough_for_their_faults_to_show() -> None:
    plans = plan_corpus(DemoCorpusParams(films=1, duration_s=2.125))
    lengths = {plan.fault: plan.duration_s for plan in plans}
    assert (lengths.pop(None), lengths.pop("duplicate"), lengths.pop("short")) == (2.125, 2.125, 1.0)
    assert min(lengths.values()) == 3.0


def test_two_makings_give_the_same_bytes_and_truth(films, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path, truth, plan = films("clean-003")
    again = make_film(plan, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()
    assert again == truth


def test_a_clean_film_meets_the_policy(films) -> None:  # type: ignore[no-untyped-def]
    path, _, _ = films("clean-003")
    facts = probe(path)
    assert facts.video is not None
    assert facts.audio is not None
    assert (facts.video.codec, facts.video.width, facts.video.height, facts.video.fps) == ("h264", 854, 480, 24.0)
    assert (facts.audio.codec, facts.audio.sample_rate, facts.audio.channels) == ("aac", 48_000, 2)
    assert facts.video.duration_s == pytest.approx(3.0)
    assert facts.av_offset_s == pytest.approx(0.0, abs=1e-4)
    assert (facts.video.bitrate_bps or 0) / (854 * 480 * 24) > 0.05


@pytest.mark.parametrize("key", ["clean-003", "clean-007"])
def test_each_object_is_where_the_truth_says_in_its_colour(films, key: str) -> None:  # type: ignore[no-untyped-def]
    path, truth, _ = films(key)
    seen = pictures(path)
    assert len(seen) == 72
    for number, item in itertools.product((0, 35, 71), truth["scenes"][0]["objects"]):
        x, y = item["path"][number]
        patch = seen[number, int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].reshape(-1, 3).mean(axis=0)
        lightened = np.array(item["rgb"]) + (255 - np.array(item["rgb"])) * 0.22
        assert np.abs(patch - lightened).max() < 14, (number, item["colour"], patch)


@pytest.mark.parametrize("key", ["clean-003", "clean-007"])
def test_each_impact_is_heard_at_its_time_pitch_and_side(films, key: str) -> None:  # type: ignore[no-untyped-def]
    path, truth, _ = films(key)
    sound = read_sound(path)
    assert sound is not None
    scene = truth["scenes"][0]
    first = scene["impacts"][0]
    at = round(first["time_s"] * 48_000)
    before, after = sound[:, at - 4_800 : at - 480], sound[:, at : at + 4_800]
    rms = [20 * np.log10(np.sqrt((piece**2).mean()) + 1e-9) for piece in (before, after)]
    assert rms[0] < -70
    assert rms[1] - rms[0] > 45
    onset = int(np.argmax(np.abs(sound).max(axis=0) > 0.02))
    assert abs(onset - at) < 480, "within 10 ms"
    heard = [i["objects"] for i in scene["impacts"] if i["time_s"] < first["time_s"] + 0.1]
    if all(who == first["objects"] for who in heard) and len(first["objects"]) == 1:
        spectrum = np.abs(np.fft.rfft(after.mean(axis=0) * np.hanning(4_800)))
        pitch = scene["objects"][first["objects"][0]]["pitch_hz"]
        assert abs(np.argmax(spectrum[5:]) + 5 - pitch / 10) <= 2  # bins of 10 Hz
    level = np.sqrt((after**2).mean(axis=1))
    assert (level[1] > level[0]) == (first["x"] > 0.5)


def test_the_ground_moves_as_the_camera_says(films) -> None:  # type: ignore[no-untyped-def]
    """Phase correlation of corners, independent of the drawing: pan right moves the ground left."""
    path, truth, _ = films("clean-003")
    assert truth["scenes"][0]["camera"]["movement"] == "pan right"
    speed = truth["scenes"][0]["camera"]["speed"]
    import cv2

    seen = pictures(path)[10:12, :200, :400].mean(axis=3).astype(np.float32)
    (dx, dy), _ = cv2.phaseCorrelate(seen[0], seen[1], cv2.createHanningWindow((400, 200), cv2.CV_32F))
    assert dx == pytest.approx(-speed, abs=0.5)
    assert abs(dy) < 0.5


def test_planted_picture_faults_are_there(films) -> None:  # type: ignore[no-untyped-def]
    black = pictures(films("fault-black")[0])
    assert (black.reshape(len(black), -1).max(axis=1) < 26).sum() == 60  # 2.5 s
    freeze = lights(films("fault-freeze")[0])
    moved = np.array([np.abs(after - before).mean() for before, after in itertools.pairwise(freeze)])
    still = moved < 0.001 * 255  # freezedetect's default
    assert (
        max(len(list(run)) for value, run in itertools.groupby(still) if value) >= 2.4 * 24
    )  # of 2.5 s; the encoder refines the first few
    with VideoReader(films("fault-variable-rate")[0]) as reader:
        steps = np.diff([t.time_s for t in reader.frames()])
    assert steps.max() > 3 * steps.min()
    assert probe(films("fault-wrong-codec")[0]).video.codec == "mpeg4"
    video = probe(films("fault-portrait")[0]).video
    assert (video.width, video.height) == (240, 426)
    light = lights(films("fault-flicker")[0]).mean(axis=(1, 2), dtype=np.float64)
    lines = np.abs(np.fft.rfft(light - light.mean()))
    assert lines.argmax() == 8 * 3 and np.ptp(light) > 0.1 * light.mean()  # 8 Hz in 3 s
    with VideoReader(films("fault-truncated")[0]) as reader:
        times = [t.time_s for t in reader.frames()]
    assert times[-1] < 2.5 < reader.facts.duration_s


def test_planted_sound_faults_are_there(films) -> None:  # type: ignore[no-untyped-def]
    assert not read_sound(films("fault-silent")[0]).any()
    assert read_sound(films("fault-no-sound")[0]) is None
    assert (np.abs(read_sound(films("fault-clipped")[0])) > 0.98).mean() > 0.005
    noisy = read_sound(films("fault-noisy")[0])
    assert 20 * np.log10(noisy[:, 2_000:12_000].std()) == pytest.approx(-34, abs=2)
    up = np.abs(np.fft.rfft(read_sound(films("fault-upsampled")[0]).mean(axis=0)))
    assert (up[3 * 5_000 :] ** 2).sum() < 1e-4 * (up**2).sum()  # nothing above 5 kHz in 3 s
    assert probe(films("fault-desync")[0]).av_offset_s == pytest.approx(0.4, abs=0.03)
    assert probe(films("fault-sound-rate")[0]).audio.sample_rate == 22_050


def test_what_is_no_film_is_none(films) -> None:  # type: ignore[no-untyped-def]
    for key, kind in (("fault-empty", "empty"), ("fault-not-media", "not-media")):
        with pytest.raises(MediaError) as caught:
            probe(films(key)[0])
        assert caught.value.kind == kind
    assert films("fault-duplicate")[0].read_bytes() == films("clean-000")[0].read_bytes()


def test_every_fault_says_what_is_expected_of_whom() -> None:
    for fault in FAULTS:
        assert fault.check
        assert fault.says
    assert dataclasses.is_dataclass(FAULTS[0])
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_a_film_that_is_drawn_needs_no_network(tmp_path: Path) -> None:
    """A worker that had the network takes no film after it, so each drawn film would cost the start of a process."""
    params = IngestParams(demo=DemoCorpusParams(films=1, faults=False))
    source = source_of("demo", load_sources(ROOT / "datasets/sources.yaml").get("demo"), params)
    offer = Offer(source_id="demo", key="clean-000", size=0, sha256="0" * 64)
    memo = Memo(tmp_path / "memo", "")
    job = IngestJob(None, FetchRequest(source, offer, tmp_path / "part"), offer.sha256, "key", memo, params)
    assert not job.fetches
