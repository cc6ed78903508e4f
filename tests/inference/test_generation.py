"""Generated films play, with sound of the right length; a result depends on its request alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.evaluation.sample_stage import SampleParams, make_samples
from aiprod.inference.params import GenerationParams
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request
from aiprod.inference.video_writer import spectrogram
from aiprod.media.clips import read_clip
from aiprod.media.probing import probe
from tests.inference.conftest import CAPTIONS

SMALL = {"frames": 9, "height_px": 32, "width_px": 48, "fps": 12.0, "steps": 3}


def write_picture(path: Path, picture: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def _config(**changes) -> GenerationConfig:
    return GenerationConfig(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def sampled(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    params = SampleParams(
        prompts=CAPTIONS, heldout_prompts=1, batch=2, viewing_scale=2, generation=GenerationParams(steps=2)
    )
    return folder, make_samples(pipeline, params, folder, seed=7)


def test_films_play_with_sound_of_the_right_length(sampled):
    folder, result = sampled
    assert [row.file for row in result.rows] == ["000.mp4", "001.mp4", "002.mp4"]
    for row in result.rows:
        facts = probe(folder / row.file).video
        assert facts is not None
        assert (facts.width, facts.height) == (48, 32)
        assert facts.fps == pytest.approx(12)
        with av.open(str(folder / row.file)) as container:
            pictures = sum(1 for _ in container.decode(video=0))
        with av.open(str(folder / row.file)) as container:
            samples = sum(frame.samples for frame in container.decode(audio=0))
            assert container.streams.audio[0].codec_context.name == "aac"
            assert container.streams.video[0].codec_context.name == "h264"
            assert container.streams.audio[0].rate == 48_000
        assert pictures == 9
        assert abs(samples / 48_000 - 9 / 12) <= 2 * 1024 / 48_000  # AAC pads to whole packets of 1024


def test_each_film_has_a_true_description(sampled):
    folder, result = sampled
    for row in result.rows:
        about = json.loads((folder / row.file).with_suffix(".json").read_text())
        assert about["prompt"] == row.prompt
        assert about["seed"] == row.seed
        assert about["model_digest"] == row.model_digest
        assert about["dataset_root"] == "0" * 64
        assert about["synthetic"] is True
        assert about["view"] == {"file": row.view_file, "enlarged_by": 2, "method": "lanczos"}
        assert probe(folder / str(row.view_file)).video.width == 96
        assert str(folder) not in json.dumps(about)
        for name in (row.file, str(row.view_file)):
            with av.open(str(folder / name)) as film:
                assert film.metadata["title"] == row.prompt
                assert f"seed={row.seed}; model={row.model_digest}; dataset={'0' * 64}" in film.metadata["comment"]
    assert [row.seed for row in result.rows] == [7, 8, 9]
    assert result.rows[2].prompt_from == "c-heldout-000"
    for picture in ("contact_sheet.png", "adherence.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG"), picture
    assert set(result.metrics["adherence"]) >= {"ground_colour", "object_colour"}


@pytest.mark.bitwise
@pytest.mark.parametrize("step", ["euler", "heun", "res", "ancestral"])
@pytest.mark.parametrize("threads", [1, 2])
def test_neighbours_change_nothing(pipeline, step, threads):
    """Not a bit of it, whoever they are and however many, on one thread or several."""
    torch.set_num_threads(threads)
    requests = [Request(CAPTIONS[0], 1), Request(CAPTIONS[1], 2), Request("x", 3)]
    together = pipeline.generate(requests, _config(step=step))
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    for request, found in zip(requests, together, strict=True):
        alone = pipeline.generate([request], _config(step=step))[0]
        assert np.array_equal(alone.pictures, found.pictures) and np.array_equal(alone.sound, found.sound)


@pytest.mark.bitwise
def test_a_large_model_makes_its_samples_one_after_another(pipeline, monkeypatch):
    """On all threads, and again as if each were alone."""
    monkeypatch.setattr(pipeline, "_small", False)
    requests = [Request(CAPTIONS[0], 1), Request("x", 3)]
    together = pipeline.generate(requests, _config())
    for request, found in zip(requests, together, strict=True):
        alone = pipeline.generate([request], _config())[0]
        assert np.array_equal(alone.pictures, found.pictures) and np.array_equal(alone.sound, found.sound)


def test_an_error_in_one_of_several_is_the_error(pipeline):
    torch.set_num_threads(2)
    wrong = Request("x", 0, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(AiprodError, match=r"\(1, 8, 8, 3\)"):
        pipeline.generate([Request("x", 0), wrong, Request("x", 1)], _config())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


@pytest.mark.bitwise
def test_a_step_rule_that_remembers_starts_anew_for_each_sample(models):
    """A scheduler of diffusers that also takes the steps, and needs those before."""
    from diffusers import UniPCMultistepScheduler

    from aiprod.models.adapters.schedulers import SamplerFromDiffusers

    theirs = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    made = AVPipeline.from_pretrained(models)
    made.scheduler = SamplerFromDiffusers(theirs)
    requests = [Request(CAPTIONS[0], 1), Request(CAPTIONS[1], 2)]
    torch.set_num_threads(2)
    together = made.generate(requests, _config())
    torch.set_num_threads(1)
    for request, found in zip(requests, together, strict=True):
        assert np.array_equal(made.generate([request], _config())[0].pictures, found.pictures)


def test_seed_and_prompt_matter(pipeline):
    base, same, seed, prompt = (
        pipeline.generate([Request(p, s)], _config())[0].pictures.astype(int)
        for p, s in ((CAPTIONS[0], 1), (CAPTIONS[0], 1), (CAPTIONS[0], 2), (CAPTIONS[1], 1))
    )
    assert np.array_equal(base, same)
    assert np.abs(base - seed).mean() > 1
    assert not np.array_equal(base, prompt)


def test_guidance_of_one_is_the_plain_model(pipeline):
    """Scale 1 leaves out the call without text; a scale a hair above 1 makes it, with nearly the same result."""
    request = [Request(CAPTIONS[0], 3)]
    plain = pipeline.generate(request, _config(video_guidance=1.0, audio_guidance=1.0))[0]
    near = pipeline.generate(request, _config(video_guidance=1.0001, audio_guidance=1.0001))[0]
    assert np.abs(plain.pictures.astype(int) - near.pictures.astype(int)).max() <= 1


def test_every_guidance_runs(pipeline):
    config = _config(perturbed_guidance=1.0, perturbed_blocks=(1,), modality_guidance=2.0, guidance_rescale=0.5)
    full = pipeline.generate([Request(CAPTIONS[0], 3)], config)[0]
    assert np.isfinite(full.sound).all()
    assert not np.array_equal(full.pictures, pipeline.generate([Request(CAPTIONS[0], 3)], _config())[0].pictures)


def test_without_sound(pipeline):
    made = pipeline.generate([Request(CAPTIONS[0], 3)], _config(audio=False))[0]
    assert made.sound is None


def test_the_first_frame_is_kept(pipeline):
    """Its latent comes back unchanged, so the first picture is the autoencoder's version of the one that was given."""
    picture = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    made = pipeline.generate([Request(CAPTIONS[0], 3, picture)], _config())[0]
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None, :, None].float() / 127.5 - 1
    with torch.no_grad():
        vae = pipeline.video_vae
        expected = ((vae.decode(vae.encode(pixels).mode())[0, :, 0].clamp(-1, 1) + 1) * 127.5).round()
    assert np.abs(made.pictures[0].astype(float) - expected.permute(1, 2, 0).numpy()).max() <= 1


def test_a_first_frame_is_refused_where_a_token_spans_several(pipeline, monkeypatch):
    monkeypatch.setattr(pipeline.video_patches, "patch", (2, 1, 1))
    with pytest.raises(AiprodError, match=r"no first frame: a token of its video_patch spans 2 latent frames"):
        pipeline.generate([Request("x", 0, np.zeros((32, 48, 3), np.uint8))], _config())


def test_wrong_sizes_are_one_clear_line(pipeline):
    with pytest.raises(AiprodError, match=r"frames is 10.*use 9 or 13"):
        pipeline.generate([Request("x", 0)], _config(frames=10))
    with pytest.raises(AiprodError, match=r"\(1, 8, 8, 3\)"):
        pipeline.generate([Request("x", 0, np.zeros((8, 8, 3), np.uint8))], _config())
    with pytest.raises(AiprodError, match=r"perturbed_blocks names block 2, and the model has 2 → .*0 to 1"):
        pipeline.generate([Request("x", 0)], _config(perturbed_guidance=1.0, perturbed_blocks=(0, 2)))
    with pytest.raises(AiprodError, match=r"no phase 'ultra'.*low, high"):
        GenerationParams(phase="ultra").config(pipeline.record)


def test_a_reference_video_is_followed(models):
    """The same request with other references differs; a model that was not trained for it refuses."""
    plain = AVPipeline.from_pretrained(models)
    film = np.random.default_rng(0).integers(0, 255, (2, 9, 32, 48, 3), dtype=np.uint8)
    with pytest.raises(AiprodError, match="takes no reference video"):
        plain.generate([Request("x", 0, reference=film[0])], _config())
    settings = {"params": {"reference": {"block": 2}}}
    plain.record = plain.record.model_copy(update={"strategy": "video_to_video", "settings": settings})
    made = [plain.generate([Request("x", 0, reference=given)], _config())[0].pictures for given in film]
    assert made[0].shape == (9, 32, 48, 3)
    assert not np.array_equal(made[0], made[1])
    with pytest.raises(AiprodError, match="batch them apart"):
        plain.generate([Request("x", 0), Request("x", 0, reference=film[0])], _config())


def test_another_vae_is_refused_by_name(models, tmp_path):
    other = tmp_path / "models"
    shutil.copytree(models, other)
    config = other / "video_vae" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(AiprodError, match="another video VAE"):
        AVPipeline.from_pretrained(other)


def test_missing_models_are_one_clear_line(tmp_path):
    with pytest.raises(AiprodError, match=r"does not exist.*dvc repro"):
        AVPipeline.from_pretrained(tmp_path)


def test_spectrogram_shows_a_tone_at_its_pitch():
    time = np.arange(48_000) / 48_000
    picture = spectrogram(np.stack([np.sin(2 * np.pi * 1000 * time)] * 2).astype(np.float32), 48_000, 120, 60)
    row = int(picture.sum(axis=(1, 2)).argmax())
    hertz = np.geomspace(60, 24_000 * 0.98, 120)[::-1][row]
    assert hertz == pytest.approx(1000, rel=0.06)


def test_generate_command(models: Path, tmp_path, monkeypatch):
    import typer
    from typer.testing import CliRunner

    import aiprod.commands.generate as command

    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)  # two commands, so that the name is asked for
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "x.mp4"
    arguments = ["generate", "--prompt", "a red circle", "--out", str(out), "--models", str(models), "--steps", "2"]
    result = CliRunner().invoke(app, [*arguments, "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert probe(out).duration_s == pytest.approx(0.75, abs=0.05)
    assert json.loads(out.with_suffix(".json").read_text())["seed"] == 5


def _invoke(models: Path, *arguments: str):
    import typer
    from typer.testing import CliRunner

    import aiprod.commands.generate as command

    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["generate", "--models", str(models), "--steps", "2", *arguments])


def test_generate_runs_on_the_gpu_where_there_is_one(models: Path, tmp_path, monkeypatch):
    class Loading(Exception):
        pass

    def load(folder, *, device, affected=False):
        raise Loading(device)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(AVPipeline, "from_pretrained", load)
    result = _invoke(models, "--prompt", "x", "--out", "x.mp4")
    assert isinstance(result.exception, Loading) and result.exception.args == (torch.device("cuda"),)


@pytest.mark.parametrize(("share", "warned"), [(0.0, True), (0.1, False)])
def test_a_picture_for_a_model_that_never_saw_one_is_warned_of(models: Path, tmp_path, monkeypatch, share, warned):
    from aiprod.models.artifacts import TRAINING

    other = tmp_path / "models"
    shutil.copytree(models, other)
    record = json.loads((other / TRAINING).read_text())
    record["settings"] = {"params": {"task": {"first_frame": share}}}
    (other / TRAINING).write_text(json.dumps(record))
    write_picture(tmp_path / "first.png", np.full((32, 48, 3), 90, np.uint8))
    monkeypatch.chdir(tmp_path)
    result = _invoke(other, "--prompt", "x", "--image", "first.png", "--out", "x.mp4")
    assert result.exit_code == 0, result.output
    assert ("warning: this model was not trained with first_frame given" in result.output) == warned
    assert probe(tmp_path / "x.mp4").video is not None


def test_prompts_from_a_file_record_their_seeds(models: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = tmp_path / "prompts.txt"
    lines.write_text(f"# colours\n{CAPTIONS[0]}\n\n{CAPTIONS[1]}\n")
    result = _invoke(models, "--prompts", str(lines), "--out", "films", "--seed", "3", "--batch", "1")
    assert result.exit_code == 0, result.output
    about = [json.loads((tmp_path / "films" / f"00{n}.json").read_text()) for n in (0, 1)]
    assert [(a["prompt"], a["seed"]) for a in about] == [(CAPTIONS[0], 3), (CAPTIONS[1], 4)]
    again = _invoke(models, "--prompt", CAPTIONS[1], "--out", "one.mp4", "--seed", "4")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "films" / "001.mp4").read_bytes()


def test_a_given_film_is_changed_more_the_stronger(models: Path, pipeline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoded = pipeline.generate([Request(CAPTIONS[0], 1)], _config())[0]
    from aiprod.inference.video_writer import write_video

    write_video(encoded, tmp_path / "given.mp4", facts={})
    changes = []
    for strength in ("0.05", "0.9"):
        result = _invoke(
            models,
            "--prompt",
            CAPTIONS[1],
            "--video",
            "given.mp4",
            "--strength",
            strength,
            "--out",
            f"{strength}/x.mp4".replace("0.", "s"),
            "--guider",
            "projected",
            "--step",
            "heun",
        )
        assert result.exit_code == 0, result.output
        about = json.loads((tmp_path / strength.replace("0.", "s") / "x.json").read_text())
        assert about["video_strength"] == float(strength)
        assert (about["settings"]["guider"], about["settings"]["step"]) == ("projected", "heun")
        made, _ = read_clip(tmp_path / strength.replace("0.", "s") / "x.mp4", 32, 48, 12.0, 9)
        changes.append(np.abs(made.astype(int) - encoded.pictures.astype(int)).mean())
    assert changes[0] < changes[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--prompt"),
        (("--prompt", "x", "--guider", "magic"), "none, text, rescaled"),
        (("--prompt", "x", "--step", "leap"), "euler, heun"),
        (("--prompt", "x", "--steps", "5000"), "generation.steps"),
        (("--prompts", "nowhere.txt"), "looks like a file"),
        (("--prompt", "x", "--video", "nowhere.mp4"), "nowhere"),
    ],
)
def test_wrong_requests_are_one_clear_line(models: Path, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    result = _invoke(models, "--out", "x.mp4", *arguments)
    assert isinstance(result.exception, AiprodError)
    assert says in str(result.exception)
