"""Every way to ask: what was given comes back unchanged, as tokens and as pixels and samples; the rest is made."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

import aiprod.inference.pipeline as module
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.inference.input_files import read_film
from aiprod.inference.inputs import GenerationInputs, gather, parsed_box, parsed_keyframe, parsed_make
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request
from aiprod.media.encoding import encode, write_wav
from aiprod.media.probing import probe
from tests.inference.test_generation import _invoke
from tests.inference.upsampled import with_upsampler

RATE, FPS, WINDOW = 48_000, 12.0, 9
CONFIG = GenerationConfig(frames=WINDOW, height_px=32, width_px=48, fps=FPS, steps=2)
AREA = 4 * 6  # tokens of a latent frame of 32 x 48 pixels


@dataclass(frozen=True)
class Files:
    """Films, sound and pictures to give."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name.replace("_png", ".png").replace("_wav", ".wav").replace("_mp4", ".mp4")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(0)
    for name, frames, heard in (("long", 20, True), ("short", 6, True), ("silent", 20, False)):
        pictures = [cv2.resize(random.integers(0, 255, (4, 6, 3), np.uint8), (48, 32)) for _ in range(frames)]
        tone = np.sin(np.arange(round(frames / FPS * RATE)) / 20).astype(np.float32) * 0.4
        encode(folder / f"{name}.mp4", pictures, FPS, np.stack([tone, -tone]) if heard else None)
    write_wav(folder / "tone.wav", np.stack([np.sin(np.arange(2 * RATE) / 30).astype(np.float32) * 0.5] * 2), RATE)
    for name, grey in (("first", 40), ("middle", 130), ("last", 220)):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((32, 48, 3), grey, np.uint8))
    mask = np.zeros((32, 48, 3), np.uint8)
    mask[8:20, 10:30] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    return Files(folder)


@dataclass(frozen=True)
class Seen:
    """What a call made: the result, and the state and outcome of each stream."""

    made: Any
    free: dict[str, torch.Tensor]
    unchanged: bool


def _make(pipeline: AVPipeline, monkeypatch: pytest.MonkeyPatch, given: GenerationInputs) -> Seen:
    """As the command makes it, before anything is encoded."""
    kept: dict[str, torch.Tensor] = {}
    same = []
    inner = module.denoise

    def watched(model, video, audio, texts, **rest):
        ends = inner(model, video, audio, texts, **rest)
        for name, state, end in zip(("video", "audio"), (video, audio), ends, strict=True):
            assert (state is None) == (end is None)
            if state is not None:
                kept[name] = state.denoise_mask[0]
                still = state.denoise_mask == 0
                same.append(torch.equal(end[still], state.clean_latent[still]))
        return ends

    monkeypatch.setattr(module, "denoise", watched)
    given.check()
    edit, _ = gather(given, pipeline, CONFIG)
    picture = module.np.asarray(cv2.imread(str(given.image))[..., ::-1]) if given.image else None
    made = edit.result(pipeline.generate([Request("a red circle", 3, picture, **edit.conditions)], CONFIG)[0])
    return Seen(made, kept, all(same))


def _frames(seen: Seen) -> list[int]:
    """Tokens that are given of each latent frame."""
    return [int((frame == 0).sum()) for frame in seen.free["video"][: 3 * AREA].split(AREA)]


def test_stills_are_passed_through_where_they_stand(pipeline, files, monkeypatch):
    """First and last frame, and a keyframe: each is the one latent frame that shows its instant."""
    first = _make(pipeline, monkeypatch, GenerationInputs(image=files.first_png))
    assert first.unchanged and _frames(first) == [AREA, 0, 0]
    ends = _make(pipeline, monkeypatch, GenerationInputs(image=files.first_png, last_image=files.last_png))
    assert ends.unchanged and _frames(ends) == [AREA, 0, AREA]
    between = _make(pipeline, monkeypatch, GenerationInputs(keyframes=((0.2, files.middle_png),)))
    assert between.unchanged and _frames(between) == [0, AREA, 0]
    several = GenerationInputs(keyframes=((0.0, files.first_png), (0.7, files.last_png)))
    assert _frames(_make(pipeline, monkeypatch, several)) == [AREA, 0, AREA]
    with pytest.raises(AiprodError, match="no frame 24 → the video has the frames 0 to 8"):
        _make(pipeline, monkeypatch, GenerationInputs(keyframes=((2.0, files.middle_png),)))


@pytest.mark.parametrize("name", ["long", "short"])
@pytest.mark.parametrize("before", [False, True])
def test_an_extended_film_stays_as_it_is(pipeline, files, monkeypatch, name, before):
    path = files.folder / f"{name}.mp4"
    film = read_film(path, CONFIG)
    seen = _make(pipeline, monkeypatch, GenerationInputs(extend=path, before=before))
    assert seen.unchanged
    assert _frames(seen) == ([0, 0, AREA] if before else [AREA, AREA, 0])
    new = WINDOW - (4 if before else 5)
    assert len(seen.made.pictures) == film.frames + new
    assert seen.made.sound.shape[1] == pytest.approx((film.frames + new) / FPS * RATE, abs=1)
    old = slice(new, None) if before else slice(0, film.frames)
    assert np.array_equal(seen.made.pictures[old], film.pictures)
    length = film.sound.shape[1]
    assert np.array_equal(seen.made.sound[:, -length:] if before else seen.made.sound[:, :length], film.sound)


@pytest.mark.parametrize("before", [False, True])
def test_extended_sound_stays_as_it_is(pipeline, files, monkeypatch, before):
    """Sound alone: no video stream is there at all."""
    sound = read_film(files.tone_wav, CONFIG).sound
    seen = _make(pipeline, monkeypatch, GenerationInputs(extend=files.tone_wav, before=before))
    assert seen.unchanged and set(seen.free) == {"audio"} and len(seen.made.pictures) == 0
    assert 0 < int((seen.free["audio"] == 0).sum()) < len(seen.free["audio"])
    length = sound.shape[1]
    assert seen.made.sound.shape[1] == length + round(WINDOW / FPS * RATE) // 2
    assert np.array_equal(seen.made.sound[:, -length:] if before else seen.made.sound[:, :length], sound)


@pytest.mark.parametrize("name", ["long", "short", "silent"])
@pytest.mark.parametrize("make", ["both", "video", "audio"])
def test_a_retake_changes_its_stretch_and_nothing_else(pipeline, files, monkeypatch, name, make):
    path = files.folder / f"{name}.mp4"
    film = read_film(path, CONFIG)
    given = GenerationInputs(retake=path, span_s=(0.25, 0.4), make=make)
    if name == "silent" and make == "audio":
        with pytest.raises(AiprodError, match=r"no sound to retake → .*--make audio"):
            _make(pipeline, monkeypatch, given)
        return
    seen = _make(pipeline, monkeypatch, given)
    made, outside = seen.made, np.r_[0:3, 5 : film.frames]
    assert seen.unchanged and made.pictures.shape == film.pictures.shape
    assert np.array_equal(made.pictures[outside], film.pictures[outside])
    assert np.array_equal(made.pictures[3:5], film.pictures[3:5]) == (make == "audio")
    if film.sound is None:
        assert made.sound is None
        return
    assert made.sound.shape == film.sound.shape
    begin, end = round(0.25 * RATE), round(0.4 * RATE)
    assert np.array_equal(made.sound[:, :begin], film.sound[:, :begin])
    assert np.array_equal(made.sound[:, end:], film.sound[:, end:])
    assert np.array_equal(made.sound[:, begin:end], film.sound[:, begin:end]) == (make == "video")


def test_a_retake_late_in_a_long_film(pipeline, files, monkeypatch):
    """The window is moved; its last stretch reaches the end of the film."""
    film = read_film(files.long_mp4, CONFIG)
    seen = _make(pipeline, monkeypatch, GenerationInputs(retake=files.long_mp4, span_s=(1.5, film.frames / FPS)))
    assert np.array_equal(seen.made.pictures[:18], film.pictures[:18])
    assert not np.array_equal(seen.made.pictures[18:], film.pictures[18:])
    for span, said in (((0.0, 1.0), "longer than the 0.75 s"), ((1.0, 9.0), "not within a film of 1.667 s")):
        with pytest.raises(AiprodError, match=said):
            _make(pipeline, monkeypatch, GenerationInputs(retake=files.long_mp4, span_s=span))


def test_retaken_sound_alone_is_inpainted(pipeline, files, monkeypatch):
    sound = read_film(files.tone_wav, CONFIG).sound
    seen = _make(pipeline, monkeypatch, GenerationInputs(retake=files.tone_wav, span_s=(1.0, 1.2)))
    made = seen.made.sound
    assert seen.unchanged and made.shape == sound.shape and set(seen.free) == {"audio"}
    inside = slice(RATE, round(1.2 * RATE))
    assert not np.array_equal(made[:, inside], sound[:, inside])
    rest = np.ones(made.shape[1], bool)
    rest[inside] = False
    assert np.array_equal(made[:, rest], sound[:, rest])


@pytest.mark.parametrize("option", ["video", "retake"])
def test_a_masked_region_is_made_and_every_other_pixel_stays(pipeline, files, monkeypatch, option):
    film = read_film(files.long_mp4, CONFIG)
    span = (0.0, 0.5) if option == "retake" else (None, None)
    given = GenerationInputs(**{option: files.long_mp4}, mask=files.mask_png, span_s=span)
    seen = _make(pipeline, monkeypatch, given)
    assert seen.unchanged
    region = np.zeros(film.pictures.shape[:3], bool)
    region[: 6 if option == "retake" else WINDOW, 8:20, 10:30] = True
    assert np.array_equal(seen.made.pictures[~region], film.pictures[~region])
    assert not np.array_equal(seen.made.pictures[region], film.pictures[region])
    assert np.array_equal(seen.made.sound, film.sound)
    assert (seen.free["audio"] == 0).all()
    # tokens of 8 x 8 pixels: rows 1 and 2, columns 1 to 3 are touched
    touched = torch.zeros(3, 4, 6)
    touched[:, 1:3, 1:4] = 1
    if option == "video":
        assert torch.equal(seen.free["video"].reshape(3, 4, 6), touched)


@pytest.mark.parametrize("box", [(0.25, 0.25, 0.75, 0.75), (0.0, 0.0, 0.5, 1.0)])
def test_an_outpainted_film_stands_in_its_box(pipeline, files, monkeypatch, box):
    left, top, right, bottom = round(box[0] * 48), round(box[1] * 32), round(box[2] * 48), round(box[3] * 32)
    film = read_film(files.short_mp4, CONFIG, (bottom - top, right - left))
    seen = _make(pipeline, monkeypatch, GenerationInputs(outpaint=files.short_mp4, box=box))
    assert seen.unchanged and len(seen.made.pictures) == film.frames
    assert np.array_equal(seen.made.pictures[:, top:bottom, left:right], film.pictures)
    assert np.array_equal(seen.made.sound, film.sound)


def test_sound_for_a_film_leaves_its_pictures(pipeline, files, monkeypatch):
    for name, frames in (("silent", WINDOW), ("short", 6)):
        film = read_film(files.folder / f"{name}.mp4", CONFIG)
        seen = _make(pipeline, monkeypatch, GenerationInputs(video=files.folder / f"{name}.mp4", make="audio"))
        assert seen.unchanged and (seen.free["video"] == 0).all() and (seen.free["audio"] == 1).all()
        assert np.array_equal(seen.made.pictures, film.pictures[:frames])
        assert seen.made.sound.shape[1] == round(frames / FPS * RATE)


def test_a_film_for_sound_leaves_the_sound(pipeline, files, monkeypatch):
    for path in (files.tone_wav, files.short_mp4):
        sound = read_film(path, CONFIG).sound
        seen = _make(pipeline, monkeypatch, GenerationInputs(audio=path, image=files.first_png))
        assert seen.unchanged and (seen.free["audio"] == 0).all() and _frames(seen) == [AREA, 0, 0]
        length = round(WINDOW / FPS * RATE)
        heard = np.pad(sound[:, :length], ((0, 0), (0, max(0, length - sound.shape[1]))))
        assert np.array_equal(seen.made.sound, heard) and len(seen.made.pictures) == WINDOW


def test_one_modality_alone(pipeline, monkeypatch):
    sound = _make(pipeline, monkeypatch, GenerationInputs(make="audio"))
    assert set(sound.free) == {"audio"} and len(sound.made.pictures) == 0 and sound.made.sound.shape[1] == 36_000
    silent = _make(pipeline, monkeypatch, GenerationInputs(make="video"))
    assert set(silent.free) == {"video"} and silent.made.sound is None and len(silent.made.pictures) == WINDOW


def test_references_are_looked_at_and_listened_to_as_trained(models, files, monkeypatch):
    made = AVPipeline.from_pretrained(models)
    reference = {"kind": "reference", "block": 2, "small": True}
    both = [{"name": "follow", "video": {"conditions": [reference]}, "audio": {"conditions": [reference]}}]
    for tasks, streams in ((both, {"video", "audio"}), ([{**both[0], "video": {}}], {"audio"})):
        settings = {"params": {"task": {"tasks": tasks}}}
        made.record = made.record.model_copy(update={"settings": settings})
        seen = _make(made, monkeypatch, GenerationInputs(reference=files.long_mp4))
        own = {"video": 3 * AREA, "audio": 19}
        assert seen.unchanged
        for name, free in seen.free.items():
            behind = free[own[name] :]
            assert (free[: own[name]] == 1).all() and (behind == 0).all()
            assert len(behind) == ({"video": 3 * AREA // 4, "audio": 10}[name] if name in streams else 0)
    with pytest.raises(AiprodError, match="no reference of sound"):
        made.record = made.record.model_copy(update={"settings": {"params": {"task": {"tasks": [{"name": "x"}]}}}})
        _make(made, monkeypatch, GenerationInputs(reference=files.tone_wav))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"extend": "a", "retake": "b", "span_s": (0.0, 1.0)}, "--retake stands beside --extend"),
        ({"extend": "a", "image": "b"}, "--image stands beside --extend"),
        ({"video": "a", "mask": "m", "reference": "b"}, "--reference stands beside --video"),
        ({"before": True}, "--before is of --extend"),
        ({"span_s": (0.0, 1.0)}, "--from and --to are of --retake"),
        ({"retake": "a"}, "--retake needs --from and --to, or --mask"),
        ({"retake": "a", "span_s": (0.0, None), "mask": "m"}, "one of --from and --to is missing"),
        ({"mask": "m"}, "--mask says what is made of a film"),
        ({"box": (0.0, 0.0, 0.5, 0.5)}, "--box is of --outpaint"),
        ({"audio": "a", "make": "video"}, "--make video stands beside --audio"),
        ({"video": "a", "make": "video"}, "--video gives the pictures"),
        ({"video": "a", "mask": "m", "make": "audio"}, "--mask is of pictures"),
        ({"keyframes": ((0.1, "k"),), "make": "audio"}, "--keyframe is for pictures"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(given, said):
    with pytest.raises(AiprodError, match=said):
        GenerationInputs(**given).check()


def test_options_that_cannot_be_read():
    assert parsed_keyframe("0.5=a=b.png") == (0.5, Path("a=b.png"))
    for read, texts in (
        (parsed_keyframe, ("a.png", "x=a.png", "-1=a.png", "1=", "nan=a", "inf=a")),
        (parsed_box, ("", "1,2", "a,b,c,d", "0,0,1,1", "0.5,0,0.2,1", "nan,0,1,0.5", "0,0,nan,1", "0,0,2,1")),
        (parsed_make, ("", "sound")),
    ):
        for text in texts:
            with pytest.raises(AiprodError, match="--"):
                read(text)


def test_files_that_cannot_be_given_are_one_line(pipeline, files, monkeypatch, tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    dark = tmp_path / "dark.png"
    cv2.imwrite(str(dark), np.zeros((32, 48, 3), np.uint8))
    for given, said in (
        (GenerationInputs(extend=tmp_path / "text.mp4"), "text.mp4"),
        (GenerationInputs(extend=tmp_path / "none.mp4"), "none.mp4"),
        (GenerationInputs(audio=files.silent_mp4), "no sound"),
        (GenerationInputs(video=files.tone_wav, make="audio"), "no pictures"),
        (GenerationInputs(outpaint=files.tone_wav), "no pictures"),
        (GenerationInputs(video=files.long_mp4, mask=dark), "dark throughout"),
        (GenerationInputs(video=files.long_mp4, mask=files.tone_wav), "no pictures"),
    ):
        with pytest.raises(AiprodError, match=said):
            _make(pipeline, monkeypatch, given)


def test_the_description_says_what_was_given_and_what_was_not_checked(models, files, tmp_path, monkeypatch):
    """In the description and in the file itself; a mark against training is told and does not forbid the edit."""
    monkeypatch.chdir(tmp_path)
    marked = tmp_path / "marked.mp4"
    pictures = [np.full((32, 48, 3), 90, np.uint8)] * 9
    encode(marked, pictures, FPS, tags={"copyright": "All rights reserved. No AI training."})
    done = _invoke(models, "--prompt", "x", "--retake", "marked.mp4", "--from", "0.2", "--to", "0.4", "--out", "r.mp4")
    assert done.exit_code == 0, done.output
    about = json.loads((tmp_path / "r.json").read_text())
    assert [(part["option"], part["file"]) for part in about["given"]] == [("--retake", "marked.mp4")]
    assert "No AI training" in json.dumps(about["given"][0]["rights"]) and about["given"][0]["against_training"]
    assert "was not checked" in about["rights_of_given"] and "does not forbid" in about["rights_of_given"]
    with av.open(str(tmp_path / "r.mp4")) as film:
        assert about["given"][0]["sha256"][:16] in film.metadata["comment"]
        assert "rights_of_given=not checked" in film.metadata["comment"]
    assert probe(tmp_path / "r.mp4").audio is None
    heard = _invoke(models, "--prompt", "x", "--make", "audio", "--out", "t.wav")
    assert heard.exit_code == 0, heard.output
    assert probe(tmp_path / "t.wav").duration_s == pytest.approx(0.75, abs=0.01)
    wrong = _invoke(models, "--prompt", "x", "--make", "audio", "--out", "t.mp4")
    assert isinstance(wrong.exception, AiprodError) and "ends in .wav" in str(wrong.exception)


def test_a_model_that_was_never_shown_such_a_task_is_warned_of(models, files, monkeypatch, capsys):
    made = AVPipeline.from_pretrained(models)
    tasks = [
        {"name": "go_on", "video": {"conditions": [{"kind": "prefix"}]}},
        {"name": "foley", "video": {"role": "given"}},
    ]
    made.record = made.record.model_copy(update={"settings": {"params": {"task": {"tasks": tasks}}}})
    for given, warned in (
        (GenerationInputs(extend=files.long_mp4), None),
        (GenerationInputs(extend=files.long_mp4, before=True), "a suffix given"),
        (GenerationInputs(video=files.long_mp4, make="audio"), None),
        (GenerationInputs(audio=files.tone_wav), "sound given and video generated"),
        (GenerationInputs(make="audio"), "sound alone"),
        (GenerationInputs(last_image=files.last_png), "last_frame given"),
    ):
        gather(given, made, CONFIG)
        said = capsys.readouterr().err
        assert ("warning" in said) == (warned is not None) and (warned or "") in said


PAGE = Path(__file__).resolve().parents[2] / "docs/howto/generate_from_films.md"


@pytest.mark.slow
def test_every_command_of_the_page_runs(models, files, tmp_path, monkeypatch):
    """As they stand there, one after another, with files of those names."""
    monkeypatch.chdir(tmp_path)
    for name in ("first.png", "last.png", "mask.png", "tone.wav"):
        shutil.copy(files.folder / name, tmp_path / name)
    commands = re.findall(r"\| `aiprod generate (.*?)` \|", PAGE.read_text(encoding="utf-8"))
    assert len(commands) >= 18
    models = with_upsampler(models, tmp_path / "upsampled")
    for command in commands:
        words = shlex.split(command)
        done = _invoke(models, *words)
        assert done.exit_code == 0, (command, done.output, done.exception)
        out = tmp_path / words[words.index("--out") + 1]
        facts = probe(out)
        assert (facts.video is None) == (out.suffix == ".wav")
        assert (facts.audio is None) == (out.name == "silent.mp4")
