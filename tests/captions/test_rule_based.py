"""The captioner without a model says what is declared and measured, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.owner_metadata import declared_topic
from aiprod.captions.params import CaptionParams
from aiprod.captions.rule_based import RuleBased
from aiprod.captions.stage import caption_all
from aiprod.captions.taxonomy import CAMERA, camera_movement, content_tags
from aiprod.data.rows import ClipRow
from aiprod.data.sources.demo.make import _scene_truth
from aiprod.data.sources.demo.motion import simulate
from aiprod.data.sources.demo.plan import COLOURS, SHAPES, DemoCorpusParams, plan_corpus
from aiprod.qc.checks.camera import classify
from aiprod.qc.checks.tracking import WAYS
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.rows import clip_row

HEARD = {"events": {"status": "ok", "kind": "tones"}, "loudness": {"status": "ok", "integrated_lufs": -20.0}}
REAL: dict[str, dict[str, Any]] = {
    "palette": {
        "status": "ok",
        "colours": [["green", 0.5], ["blue", 0.2]],
        "brightness": 0.7,
        "contrast": 0.2,
        "saturation": 0.4,
        "monochrome": False,
    },
    "camera": {"status": "ok", "movement": "pans left"},
    "motion": {"status": "ok", "energy_mean": 0.03, "reversal_share": 0.1, "luma_first": 0.5, "luma_last": 0.5},
    "black": {"status": "ok", "black_fraction": 0.0},
    "events": {"status": "unmeasurable"},
    "loudness": {"status": "unmeasurable"},
}


def scenes() -> list[dict[str, Any]]:
    found = []
    for film in plan_corpus(DemoCorpusParams(films=40, faults=False)):
        motion = simulate(film.scenes[0], film.width, film.height, film.fps, 72)
        found.append(_scene_truth(film.scenes[0], motion, 0.0, 3.0))
    return found


def test_demo_captions_name_what_the_scene_declares_and_nothing_more() -> None:
    for number, scene in enumerate(scenes()):
        [draft] = RuleBased().describe([Subject(f"c{number}", HEARD, scene=scene)])
        words = set(re.findall(r"[a-z]+", draft.caption.lower()))
        shapes, colours = {o["shape"] for o in scene["objects"]}, {o["colour"] for o in scene["objects"]}
        ground = scene["background"]["colour"]
        assert words & set(SHAPES) == shapes
        assert words & set(COLOURS) == colours | ({ground} & set(COLOURS))
        assert {ground, scene["background"]["texture"]} <= words
        verb, _, where = scene["camera"]["movement"].partition(" ")
        assert ("still" in words) == (verb == "static")
        if where:
            assert where in words
        assert scene["impacts"] or not words & {"tone", "tones"}
        going = re.search(r"towards? the (left|right)|to the (left|right)", draft.caption)
        assert (going is not None) == (len(scene["objects"]) == 1)
        if going:
            path = scene["objects"][0]["path"]
            assert (going[1] or going[2]) == ("right" if path[-1][0] > path[0][0] else "left")


def test_wording_varies_over_clips_and_is_the_same_for_one() -> None:
    scene = scenes()[0]
    captions = [RuleBased().describe([Subject(f"c{n}", HEARD, scene=scene)])[0].caption for n in range(30)]
    assert len(set(captions)) > 8
    assert captions[0] == RuleBased().describe([Subject("c0", HEARD, scene=scene)])[0].caption


def test_silent_scenes_do_not_sound() -> None:
    scene = next(s for s in scenes() if s["impacts"])
    silent = {**HEARD, "events": {"status": "ok", "kind": "silent"}}
    [draft] = RuleBased().describe([Subject("c", silent, scene=scene)])
    assert "tone" not in draft.caption.lower()


def test_real_film_is_described_by_its_figures() -> None:
    [draft] = RuleBased().describe([Subject("c", REAL, title="A meadow")])
    assert draft.caption.startswith("A meadow. A bright shot")
    assert "green and blue" in draft.caption and "left" in draft.caption and "no sound" in draft.caption
    assert draft.confidence == pytest.approx(4 / 5)


def test_of_several_shots_no_movement_is_said() -> None:
    cut = {**REAL, "motion": {**REAL["motion"], "cuts": 2, "luma_last": 0.9}}
    [draft] = RuleBased().describe([Subject("c", cut, description="a meadow, one cut")])
    assert draft.caption.startswith("A meadow. Several bright shots") and "green and blue" in draft.caption
    assert not re.search(r"left|camera|brighter|cut", draft.caption)


def test_what_could_not_be_measured_is_not_said() -> None:
    nothing = {name: {"status": "unmeasurable"} for name in REAL}
    [draft] = RuleBased().describe([Subject("c", nothing)])
    assert not re.search(r"camera|green|bright|moves", draft.caption)
    assert draft.confidence == 0.0


def test_a_black_picture_is_called_black_whatever_is_declared() -> None:
    [draft] = RuleBased().describe(
        [Subject("c", {**REAL, "black": {"status": "ok", "black_fraction": 0.9}}, scene=scenes()[0])]
    )
    assert draft.caption.startswith("The picture is black")


def test_declared_topic_leaves_technique_out() -> None:
    subject = Subject("c", {}, description="nature macro; audio rms -41 dBFS")
    assert declared_topic(subject) == "nature macro"
    shot_of_many = Subject("c", {}, description="two dogs run", whole_film=False)
    assert declared_topic(shot_of_many) == ""
    assert declared_topic(Subject("c", {}, title="Two dogs.", whole_film=False)) == "Two dogs"


def test_taxonomy() -> None:
    assert camera_movement({"movement": "moves in"}, None) == "zoom in"
    assert camera_movement({"movement": "pans left"}, "tilt up") == "tilt up"  # declared outranks measured
    assert camera_movement(None, None) in CAMERA


def test_jerks_of_a_head_are_no_pan() -> None:
    """Figures measured on film: a head that moves before a still camera, and a camera that follows a tractor."""
    head = {"status": "ok", "movement": "pans right", "dx_per_s": -0.0167, "dy_per_s": 0.0098, "speed_per_s": 0.0821}
    pan = {"status": "ok", "movement": "pans left", "dx_per_s": 0.3429, "dy_per_s": 0.0058, "speed_per_s": 0.3431}
    assert camera_movement(head, None) == "undetermined"
    assert camera_movement(pan, None) == "pan left"
    for figures, said in ((head, False), (pan, True)):
        [draft] = RuleBased().describe([Subject("c", {**REAL, "camera": figures})])
        assert bool(re.search("camera", draft.caption)) is said
    assert content_tags(["a bee on a flower"]) == ["nature"]
    assert content_tags(["no audio stream"]) == []


@pytest.mark.parametrize(
    "words",
    [
        "no people",
        "a road without animals, at sea level",
        "a man-made lake",
        "smash hits",
        "the second hand of a watch",
        "neither faces nor hands",
        "a hand-held shot",
    ],
)
def test_words_that_deny_or_mean_something_else_give_no_tag(words: str) -> None:
    assert content_tags([words]) == []
    assert content_tags([words, "a bee on a flower"]) == ["nature"], "another sentence is not denied by it"
    assert content_tags([f"a man walks a dog, {words}"]) == ["human_action"]


def _clip(n: int) -> ClipRow:
    return clip_row(f"c{n}", f"f{n}", end_s=3, frames=72, title=f"film {n}")


def test_every_clip_has_a_row_and_known_captions_are_reused(tmp_path: Path) -> None:
    clips = [_clip(n) for n in range(3)]
    rows = [MeasureRow(clip_id=f"c{n}", film_id=f"f{n}", status="ok", measurements=REAL) for n in range(2)]
    rows.append(MeasureRow(clip_id="c2", film_id="f2", status="error", reasons=["no-frames: nothing"]))
    memo, store = Memo(tmp_path / "memo", ""), ClipStore(tmp_path)
    made, counters = caption_all(clips, rows, [], RuleBased(), memo=memo, store=store)
    assert [r.status for r in made] == ["ok", "ok", "skipped"] and made[2].reasons == ["no-frames: nothing"]
    assert (counters.processed, counters.reused, counters.failed) == (2, 0, 1)
    again, counters = caption_all(clips, rows, [], RuleBased(), memo=memo, store=store)
    assert again == made and (counters.processed, counters.reused) == (0, 2)


class _Moody(Captioner):
    """Fails on one clip, as a model can."""

    name, summary, version = "moody", "", "1"

    @classmethod
    def begin(cls, params: CaptionParams) -> _Moody:
        return cls()

    def describe(self, subjects: Any) -> list[Draft]:
        from aiprod.errors import AiprodError

        if any(s.clip_id == "c1" for s in subjects):
            raise AiprodError("out of words")
        return [Draft("fine") for _ in subjects]


def test_a_caption_that_fails_costs_its_own_row(tmp_path: Path) -> None:
    clips = [_clip(n) for n in range(3)]
    rows = [MeasureRow(clip_id=f"c{n}", film_id=f"f{n}", status="ok", measurements=REAL) for n in range(3)]
    made, _ = caption_all(clips, rows, [], _Moody(), memo=Memo(tmp_path, ""), store=ClipStore(tmp_path))
    assert [r.status for r in made] == ["ok", "error", "ok"] and made[1].reasons == ["out of words"]


def test_every_camera_word_is_one_that_something_measures() -> None:
    assert set(CAMERA) - {"undetermined"} == {
        camera_movement({"status": "ok", "movement": name, "speed_per_s": 0.0}, None) for name in measured_names()
    }


def measured_names() -> set[str]:
    """What the camera check answers for movement along each axis, either way, none, and all ways."""
    step = np.ones((6, 1)) * 0.2
    found = {name for axis in range(4) for sign in (1, -1) for name in classify(sign * step * np.eye(4)[axis], 0.04)}
    sway = np.array([[0.2, 0, 0, 0], [-0.2, 0, 0, 0]] * 3)
    tracks = {f"tracks {way}" for way in WAYS}
    return found | tracks | set(classify(np.zeros((6, 4)), 0.04)) | set(classify(sway, 0.04))


@pytest.mark.parametrize("way", WAYS)
def test_a_camera_that_follows_is_said_to_follow_and_which_way(way: str) -> None:
    figures = {"status": "ok", "movement": f"tracks {way}", "dx_per_s": 0.3, "dy_per_s": 0.0, "speed_per_s": 0.3}
    assert camera_movement(figures, None) == "tracking"
    captions = {RuleBased().describe([Subject(f"c{n}", {**REAL, "camera": figures})])[0].caption for n in range(12)}
    assert len(captions) > 1
    for caption in captions:
        assert "subject" in caption and way in caption and "pans" not in caption


@pytest.mark.parametrize(
    ("fraction", "contrast", "said"),
    [
        (1.0, 0.0, "The picture is black"),
        (1.0, 0.021, "Almost all of the picture is black"),
        (0.7, 0.2, "The picture is black most of the time"),
    ],
)
def test_how_much_of_a_clip_is_black_is_not_overstated(fraction: float, contrast: float, said: str) -> None:
    dark = {**REAL, "black": {"status": "ok", "black_fraction": fraction}}
    dark["palette"] = {**REAL["palette"], "contrast": contrast}
    [draft] = RuleBased().describe([Subject("c", dark)])
    assert draft.caption.split(";")[0].rstrip(".") == said


def test_a_title_on_black_is_read() -> None:
    lines = [{"still": n, "box": [0.4, 0.4, 0.2, 0.05], "text": "THE END", "confidence": 0.97} for n in range(3)]
    titled = {
        **REAL,
        "black": {"status": "ok", "black_fraction": 1.0},
        "palette": {**REAL["palette"], "contrast": 0.021},
        "text": {"status": "ok", "times_s": [0.5, 1.5, 2.5], "stills_with_text": 3, "personal": [], "lines": lines},
    }
    [draft] = RuleBased().describe([Subject("c", titled)])
    assert draft.caption.startswith("The words “THE END” can be read. Almost all of the picture is black")
    assert draft.content.text[0].evidence[0].source == "text"


@pytest.mark.parametrize(("saturation", "colourless"), [(0.004, True), (0.02, False)])
def test_a_grey_road_in_colour_is_no_black_and_white_film(saturation: float, colourless: bool) -> None:
    colours = [["grey", 0.99]]
    grey = {**REAL, "palette": {**REAL["palette"], "colours": colours, "saturation": saturation, "monochrome": True}}
    [draft] = RuleBased().describe([Subject("c", grey)])
    assert ("black-and-white" in draft.caption) == colourless
    assert ("grey" in draft.caption) != colourless
