"""Two-stage sampling is deterministic, leaves the sound alone and says which upsampler was used; long films go on."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from aiprod.base.files import read_json
from aiprod.cli import app
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.evaluation.sample_stage import SampleParams, make_samples
from aiprod.inference.generate import make_long_films
from aiprod.inference.long_films import FilmWindows, make_long_film
from aiprod.inference.params import GenerationParams
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request, VideoCondition
from aiprod.media.clips import read_clip
from aiprod.media.probing import probe
from aiprod.models.artifacts import TRAINING
from aiprod.models.latent_upsampler import FOLDER
from tests.inference.conftest import CAPTIONS
from tests.inference.upsampled import with_upsampler

SMALL = {"frames": 9, "height_px": 32, "width_px": 48, "fps": 12.0, "steps": 2, "two_stage": True, "refine_steps": 2}


def config(**changes) -> GenerationConfig:
    return GenerationConfig(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory) -> Path:
    return with_upsampler(models, tmp_path_factory.mktemp("two") / "models")


@pytest.fixture(scope="module")
def two(folder) -> AVPipeline:
    return AVPipeline.from_pretrained(folder)


def test_a_result_depends_on_its_request_alone(two):
    asked = [Request(caption, seed) for seed, caption in enumerate(CAPTIONS)]
    together = two.generate(asked, config(), at_once=2)
    alone = [two.generate([request], config())[0] for request in asked]
    for a, b in zip(together, alone, strict=True):
        assert a.pictures.shape == (9, 32, 48, 3)
        assert np.array_equal(a.pictures, b.pictures)
        assert np.array_equal(a.sound, b.sound)


def test_the_second_stage_changes_the_pictures_and_leaves_the_sound(two):
    def made(**changes):
        return two.generate([Request(CAPTIONS[0], 3)], config(**changes))[0]

    base = made()
    for changes in ({"refine_steps": 4}, {"refine_sigma": 0.9}):
        other = made(**changes)
        assert not np.array_equal(base.pictures, other.pictures)
        assert np.array_equal(base.sound, other.sound)
    assert base.sound.shape == (2, 36_000)


@pytest.mark.parametrize(
    "ways", [{"spatial_upsample": False, "temporal_upsample": True}, {"temporal_upsample": True}], ids=["time", "both"]
)
def test_time_is_upsampled_to_the_rate_and_length_that_were_asked_for(models, tmp_path, ways):
    pipeline = AVPipeline.from_pretrained(with_upsampler(models, tmp_path / "models", **ways))
    made = pipeline.generate([Request(CAPTIONS[0], 3)], config(frames=17))[0]
    assert made.pictures.shape == (17, 32, 48, 3)
    assert made.fps == 12.0
    assert made.sound.shape == (2, 68_000)
    with pytest.raises(AiprodError, match=r"frames of 13 cannot be halved.*use 9 or 17, or one stage"):
        pipeline.generate([Request(CAPTIONS[0], 3)], config(frames=13))


def test_what_is_given_is_kept_at_full_size(two):
    pictures = np.random.default_rng(0).integers(0, 255, (9, 32, 48, 3), dtype=np.uint8)
    kept = np.zeros((9, 32, 48), bool)
    kept[:5] = True
    made = two.generate([Request(CAPTIONS[0], 3, video=VideoCondition(pictures, kept))], config())[0]
    assert np.array_equal(made.pictures[:5], pictures[:5])
    assert not np.array_equal(made.pictures[5:], pictures[5:])
    still = two.generate([Request(CAPTIONS[0], 3, first_frame=pictures[0])], config())[0]
    free = two.generate([Request(CAPTIONS[0], 3)], config())[0]
    assert not np.array_equal(still.pictures, free.pictures)


def test_the_manifest_and_descriptions_name_the_upsampler(two, folder, tmp_path):
    digest = read_json(folder / TRAINING)["upsampler"]["digest"]
    for stages, said in ((True, digest), (False, None)):
        generation = GenerationParams(steps=2, two_stage=stages, refine_steps=1)
        params = SampleParams(prompts=CAPTIONS[:1], heldout_prompts=0, viewing_scale=1, generation=generation)
        found = make_samples(two, params, tmp_path / str(stages), seed=7)
        assert found.rows[0].upsampler_digest == said
        assert json.loads((tmp_path / str(stages) / "000.json").read_text()).get("upsampler_digest") == said


def test_what_cannot_be_sampled_in_two_stages_is_one_line(pipeline, two, folder, tmp_path):
    with pytest.raises(AiprodError, match=r"no latent upsampler.*upsampler\.steps above 0"):
        pipeline.generate([Request(CAPTIONS[0], 1)], config())
    with pytest.raises(AiprodError, match=r"width of 40 cannot be halved.*use 32 or 48, or one stage"):
        two.generate([Request(CAPTIONS[0], 1)], config(width_px=40))
    other = shutil.copytree(folder, tmp_path / "models")
    with (other / FOLDER / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(AiprodError, match="is not the one that the model was trained with"):
        AVPipeline.from_pretrained(other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--two-stage"], "has no latent upsampler"),
        (["--overlap", "1"], "--overlap is of --duration"),
        (["--duration", "3", "--extend", "x.mp4"], "--duration cannot be combined with --extend"),
        (["--duration", "3", "--make", "video"], "--duration cannot be combined with --make"),
        (["--duration", "3", "--viewing-scale", "2"], "--duration cannot be combined with --viewing-scale"),
        (["--duration", "3", "--overlap", "2"], "leaves nothing to make"),
    ],
)
def test_the_command_refuses_in_one_line(models, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    command = ["generate", "--prompt", "a circle", "--out", "a.mp4", "--models", str(models), *arguments]
    result = CliRunner().invoke(app, command, catch_exceptions=True)
    told = f"{result.output} {result.exception}"
    assert result.exit_code != 0
    assert words in told
    assert os.listdir(tmp_path) == []


@settings(deadline=None, max_examples=80)
@given(
    window=st.integers(5, 60),
    time=st.sampled_from([1, 4, 8]),
    duration=st.floats(0.05, 100),
    overlap=st.none() | st.floats(0, 5),
)
def test_windows_cover_a_film_and_none_is_in_vain(window, time, duration, overlap):
    size = config(frames=window, fps=10.0, two_stage=False)
    try:
        windows = FilmWindows.of(size, time, duration, overlap)
    except AiprodError as error:
        assert "leaves nothing to make" in error.what
        return
    made = windows.window + (windows.count - 1) * (windows.window - windows.overlap)
    assert made >= windows.frames
    assert windows.count == 1 or made - (windows.window - windows.overlap) < windows.frames
    assert (windows.overlap - 1) % time == 0
    assert 1 <= windows.overlap < windows.window


def test_each_window_is_given_the_end_of_the_one_before_and_the_film_plays(pipeline, tmp_path):
    seen, made = [], []

    def generate(requests, *arguments, **more):
        seen.extend(requests)
        made.extend(pipeline.generate(requests, *arguments, **more))
        return made[-1:]

    names = ("video_vae", "audio_vae", "record")
    watched = SimpleNamespace(generate=generate, **{name: getattr(pipeline, name) for name in names})
    size = config(two_stage=False)
    windows = FilmWindows.of(size, 4, 2.0)
    said = make_long_film(watched, Request(CAPTIONS[0], 4), tmp_path / "a.mp4", size, windows)
    assert said == "48x32, 2.00 s, with sound"
    assert windows == FilmWindows(24, 9, 5)
    assert len(seen) == windows.count == 5
    assert len({request.seed for request in seen}) == 5
    for before, request, after in zip(made, seen[1:], made[1:], strict=False):
        assert np.array_equal(request.video.pictures[:5], before.pictures[-5:])
        assert np.array_equal(after.pictures[:5], before.pictures[-5:])
        kept = request.audio.kept.sum()
        assert 0 < kept < 20_000
        assert np.array_equal(after.sound[:, :kept], request.audio.samples[:, :kept])
        faded = 4_000  # from 16,000, where the window before was itself faded into up to 20,000
        assert np.array_equal(request.audio.samples[:, faded:kept], before.sound[:, 20_000 : 16_000 + kept])
    shown, sound = read_clip(tmp_path / "a.mp4", 32, 48, 12.0, 24, sample_rate=48_000)
    wanted = np.concatenate([made[0].pictures, *(m.pictures[5:] for m in made[1:])])[:24]
    grey, ours = (film.mean(axis=-1)[..., ::2, ::2] for film in (shown.astype(float), wanted.astype(float)))
    nearest = [int(np.abs(ours - picture).mean(axis=(1, 2)).argmin()) for picture in grey]
    assert nearest == list(range(24)), "every picture is there, in order, once"
    assert sound.shape == (2, 96_000)
    alone = pipeline.generate([Request(CAPTIONS[0], 4)], size)[0]
    assert np.array_equal(alone.pictures, made[0].pictures), "the first window is the film of one window"
    about = read_json(tmp_path / "a.json")
    assert about["windows"] == {"count": 5, "frames": 9, "overlap_s": round(5 / 12, 6)}
    assert probe(tmp_path / "a.mp4").video.frames in (24, None)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.json", "a.mp4"]


def test_the_sound_of_a_long_film_has_no_gap_and_nothing_twice(pipeline, tmp_path, monkeypatch):
    """A window whose sound is the time itself: what is written is the time, whatever the rate of pictures."""
    written = {}

    def generate(requests, size, **_):
        at = getattr(generate, "at", 0)
        begin = round(at / size.fps * 48_000)
        samples = round(size.frames / size.fps * 48_000)
        sound = np.tile(np.arange(begin, begin + samples, dtype=np.float32) / 1e6, (2, 1))
        generate.at = at + size.frames - 5
        return [SimpleNamespace(pictures=np.zeros((size.frames, 32, 48, 3), np.uint8), sound=sound)]

    def join(path, segments, form, sound, **_):
        written["sound"], written["frames"] = np.array(sound), segments[0][1]

    monkeypatch.setattr("aiprod.inference.long_films.join_segments", join)
    names = ("video_vae", "audio_vae", "record")
    pipeline = SimpleNamespace(generate=generate, **{name: getattr(pipeline, name) for name in names})
    size = config(two_stage=False, fps=23.976)
    make_long_film(pipeline, Request("x", 1), tmp_path / "a.mp4", size, FilmWindows.of(size, 4, 3.0))
    frames = round(3.0 * 23.976)
    assert written["frames"] == frames
    assert written["sound"].shape == (2, round(frames / 23.976 * 48_000))
    steps = np.diff(written["sound"][0] * 1e6)
    assert np.all((steps > -0.5) & (steps < 2.5))
    assert np.mean(np.abs(steps - 1) < 0.2) > 0.999


def test_long_films_in_two_stages_from_an_image(two, tmp_path):
    picture = np.zeros((32, 48, 3), np.uint8)
    import cv2

    (tmp_path / "first.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    requests = [(caption, seed, tmp_path / f"{seed}.mp4") for seed, caption in enumerate(CAPTIONS)]
    said = make_long_films(two, requests, config(), tmp_path / "first.png", duration_s=1.2, overlap_s=0.2)
    assert said == "48x32, 1.17 s, with sound"
    about = read_json(tmp_path / "0.json")
    assert about["upsampler_digest"] == two.record.upsampler.digest
    assert about["given"][0]["file"] == "first.png"
    with pytest.raises(AiprodError, match=r"name that ends in \.mp4"):
        make_long_films(two, [("x", 1, tmp_path / "a.wav")], config(), None, duration_s=1.0, overlap_s=None)


def test_a_model_without_sound_makes_long_silent_films(pipeline, tmp_path):
    size = config(two_stage=False, audio=False)
    said = make_long_film(pipeline, replace(Request("x", 1)), tmp_path / "a.mp4", size, FilmWindows.of(size, 4, 1.5))
    assert said.endswith("silent")
    assert probe(tmp_path / "a.mp4").audio is None
