"""The stages that train the autoencoders, on small real films: better than baselines, resumable, refusing nonsense."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.errors import AiprodError
from aiprod.media.clips import read_clip
from aiprod.media.encoding import encode
from aiprod.models.adapters.autoencoders import load_audio_vae, load_video_vae
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.training_set import LeftOut, Selection, TrainingClip
from aiprod.trainer.vae.audio import AudioVaeStageParams, train_audio_vae
from aiprod.trainer.vae.data import AudioDataParams, VideoDataParams, load_pictures, pixels
from aiprod.trainer.vae.losses import AudioLossParams, VideoLossParams
from aiprod.trainer.vae.strategy import VAETrainerConfig
from aiprod.trainer.vae.video import VideoVaeStageParams, train_video_vae
from tests.trainer.stopping import Stop

pytestmark = pytest.mark.bitwise

Run = tuple[Path, dict[str, Any]]  # folder of the outputs, metrics
FPS, SECONDS, HEIGHT, WIDTH = 12, 1.5, 48, 64


def film(path: Path, number: int) -> None:
    """A disc crosses a gradient, and a decaying tone sounds where it starts."""
    rng = np.random.default_rng(number)
    count = int(FPS * SECONDS)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    colour, start, speed = rng.integers(60, 255, 3), rng.uniform(8, 24, 2), rng.uniform(-0.5, 2.5, 2)
    pictures = []
    for n in range(count):
        cy, cx = start + speed * n
        inside = ((y - cy) ** 2 + (x - cx) ** 2 < 81)[..., None]
        ground = np.stack([40 + x, 60 + y, 90 + 0 * x], axis=-1)
        pictures.append(np.where(inside, colour, ground).astype(np.uint8))
    time = np.arange(int(48_000 * SECONDS)) / 48_000
    pitch = (220.0, 330.0, 440.0)[number % 3]
    sound = 0.4 * np.sin(2 * math.pi * pitch * time) * np.exp(-3 * ((time - 0.1 * (number % 4)) % 0.7))
    encode(path, pictures, FPS, np.stack([sound, 0.6 * sound]).astype(np.float32))


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    folder = tmp_path_factory.mktemp("films")
    clips = []
    for number in range(10):
        path = folder / f"c{number:016d}-000.mp4"
        film(path, number)
        clips.append(
            TrainingClip(
                path.stem,
                f"f{number:016d}",
                "test",
                "heldout" if number > 7 else "train",
                path,
                "",
                True,
                float(FPS),
                int(FPS * SECONDS),
                HEIGHT,
                WIDTH,
                f"disc {number}",
                None,
            )
        )
    silent = replace(clips[0], clip_id="silent-000", has_audio=False)
    return Selection([*clips[:8], silent], clips[8:], {"refused-000": LeftOut("frefused", "QC says REJECTED")})


VIDEO = VideoVaeStageParams(
    model=VideoVAEConfig(widths=(32,), encoder_depths=(1,), decoder_depths=(1,), latent_channels=8),
    data=VideoDataParams(height=32, width=40, smaller=[(16, 24)], frames=9, clip_frames=18),
    loss=VideoLossParams(perceptual_layers=1),
    trainer=VAETrainerConfig(steps=24, batch=2, checkpoint_every_s=0),
)
AUDIO = AudioVaeStageParams(
    model=AudioVAEConfig(block=96, strides=(4, 5), widths=(16, 24, 32), depths=(1, 1, 0), latent_channels=12),
    data=AudioDataParams(window_s=0.5),
    loss=AudioLossParams(stft_windows=(256, 1024)),
    trainer=VAETrainerConfig(steps=12, batch=2, checkpoint_every_s=0),
)


def around(folder: Path, stop_at: int = -1, **more: Any) -> TrainContext:
    def log(phase: str, step: int, figures: dict[str, float]) -> None:
        assert all(math.isfinite(v) for v in figures.values())
        if step == stop_at:
            raise Stop

    settings = {
        "lr": 1e-3,
        "seed": 7,
        "inputs": {},
        "code": "x",
        "log": log,
        "checkpoints": lambda fingerprint: folder / "state" / fingerprint,
    }
    return TrainContext(**{**settings, **more})


@pytest.fixture(scope="module")
def video_run(selection: Selection, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("video")
    return folder, train_video_vae(VIDEO, selection, around(folder), models=folder / "model", reports=folder / "report")


@pytest.fixture(scope="module")
def audio_run(selection: Selection, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("audio")
    return folder, train_audio_vae(AUDIO, selection, around(folder), models=folder / "model", reports=folder / "report")


def test_video_beats_the_mean_frame_on_films_it_has_not_seen(video_run: Run) -> None:
    folder, metrics = video_run
    assert metrics["split"] == "heldout" and metrics["clips"] == 2 and metrics["train_clips"] == 9
    assert metrics["psnr_db"] > metrics["baseline_psnr_db"] + 1
    assert metrics["ssim"] > metrics["baseline_ssim"]
    assert json.loads((folder / "report/metrics.json").read_text()) == metrics


def test_the_metric_is_that_of_the_saved_model(video_run: Run, selection: Selection) -> None:
    """PSNR computed here from the checkpoint on disk, without the trainer's code."""
    folder, metrics = video_run
    vae = load_video_vae(folder / "model")
    figures = []
    for frames in load_pictures(selection.heldout, VIDEO.data, 7, "again").tensors:
        x = pixels(frames[None, :17]).numpy()
        with torch.no_grad():
            y = vae.decode(vae.encode(torch.from_numpy(x)).mode()).clamp(-1, 1).numpy()
        figures.append(10 * np.log10(4 / np.mean((x.astype(np.float64) - y) ** 2)))
    assert metrics["psnr_db"] == pytest.approx(np.mean(figures), abs=0.01)


def test_latents_of_the_trained_model_are_near_standard(video_run: Run, selection: Selection) -> None:
    vae = load_video_vae(video_run[0] / "model")
    decoded = load_pictures(selection.train, VIDEO.data, 7, "again")
    with torch.no_grad():
        z = torch.cat([vae.normalize(vae.encode(pixels(t[None, :9])).mode()) for t in decoded.tensors])
    flat = z.movedim(1, 0).flatten(1)
    assert (flat.mean(1).abs() < 0.5).all() and ((flat.std(1) > 0.5) & (flat.std(1) < 1.6)).all()


def test_audio_beats_silence_on_films_it_has_not_heard(audio_run: Run) -> None:
    folder, metrics = audio_run
    assert metrics["split"] == "heldout" and metrics["clips"] == 2 and metrics["train_clips"] == 8
    assert metrics["snr_db"] > metrics["baseline_snr_db"] + 3 and metrics["si_sdr_db"] > 3
    assert metrics["stft_distance"] < metrics["baseline_stft_distance"]
    load_audio_vae(folder / "model")


def test_the_film_of_reconstructions_holds_originals_and_what_became_of_them(
    video_run: Run, selection: Selection
) -> None:
    """Two held-out clips under each other, each beside its reconstruction, enlarged to be looked at."""
    film, _ = read_clip(video_run[0] / "report/reconstructions.mp4", 2 * 36 * 6, 84 * 6, FPS, 17)
    pairs = film.reshape(17, 2, 36, 6, 84, 6, 3)[:, :, :32].mean(axis=(3, 5))
    clips = load_pictures(selection.heldout, VIDEO.data, 7, "again").tensors
    for pair, frames in zip(pairs.swapaxes(0, 1), clips, strict=True):
        given = frames[:17].numpy().astype(float)
        left, right = pair[..., :40, :], pair[..., 44:, :]
        assert np.abs(left - given).mean() < 6, "the original on the left"
        assert np.abs(left - given).mean() < np.abs(right - given).mean() < 60, "the reconstruction on the right"


def test_reports_and_ledger_are_there(video_run: Run, audio_run: Run) -> None:
    for folder, steps in ((video_run[0], 24), (audio_run[0], 12)):
        assert (folder / "report/reconstructions.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "report/reconstructions.mp4").is_file() == (folder == video_run[0])
        with open(folder / "report/curve.csv") as file:
            rows = list(csv.DictReader(file))
        assert [int(r["step"]) for r in rows] == list(range(steps))
        assert all(float(r["loss"]) >= 0 for r in rows)
        ledger = json.loads((folder / "model/training/exposure.json").read_text())
        assert sum(c["times"] for c in ledger["clips"]) == steps * 2, "every window of every batch is counted"
        assert ledger["model_digest"] == folder_digest(folder / "model")
        assert ledger["left_out"]["refused-000"] == "QC says REJECTED"
        assert {c["film_id"] for c in ledger["clips"]} <= {f"f{n:016d}" for n in range(8)}, "nothing held out was shown"
    assert ledger["left_out"]["silent-000"] == "no sound"


@pytest.mark.parametrize("stop_at", [0, 7, 11])
def test_a_killed_run_goes_on_to_the_same_weights(
    audio_run: Run, selection: Selection, tmp_path: Path, stop_at: int
) -> None:
    with pytest.raises(Stop):
        train_audio_vae(AUDIO, selection, around(tmp_path, stop_at), models=tmp_path / "m", reports=tmp_path / "r")
    assert not (tmp_path / "m").exists(), "nothing unfinished is left as a result"
    train_audio_vae(AUDIO, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    assert folder_digest(tmp_path / "m") == folder_digest(audio_run[0] / "model")
    assert (tmp_path / "r/curve.csv").read_bytes() == (audio_run[0] / "report/curve.csv").read_bytes()


def test_a_finished_run_on_other_clips_of_the_same_manifests_is_not_taken_for_this_one(
    audio_run: Run, selection: Selection, tmp_path: Path
) -> None:
    """As after a change of `train_clips.admit`, which changes no manifest."""
    seen = json.loads((audio_run[0] / "model/training/exposure.json").read_text())["clips"][0]["clip_id"]
    fewer = Selection([c for c in selection.train if c.clip_id != seen], selection.heldout, selection.left_out)
    train_audio_vae(AUDIO, fewer, around(audio_run[0]), models=tmp_path / "m", reports=tmp_path / "r")
    ledger = json.loads((tmp_path / "m/training/exposure.json").read_text())
    assert seen not in {clip["clip_id"] for clip in ledger["clips"]}
    assert folder_digest(tmp_path / "m") != folder_digest(audio_run[0] / "model")


def test_a_late_discriminator_joins_and_survives_a_kill(selection: Selection, tmp_path: Path) -> None:
    trainer = VIDEO.trainer.model_copy(update={"steps": 6, "adversarial": 0.1, "adversarial_from": 0.5})
    params = VIDEO.model_copy(update={"trainer": trainer})
    train_video_vae(params, selection, around(tmp_path / "a"), models=tmp_path / "a/m", reports=tmp_path / "a/r")
    with pytest.raises(Stop):
        train_video_vae(params, selection, around(tmp_path / "b", 4), models=tmp_path / "b/m", reports=tmp_path / "b/r")
    train_video_vae(params, selection, around(tmp_path / "b"), models=tmp_path / "b/m", reports=tmp_path / "b/r")
    with open(tmp_path / "b/r/curve.csv") as file:
        assert [bool(r["discriminator"]) for r in csv.DictReader(file)] == [False] * 3 + [True] * 3
    assert folder_digest(tmp_path / "a/m") == folder_digest(tmp_path / "b/m")


def test_a_given_model_and_no_steps_is_a_copy(
    video_run: Run, audio_run: Run, selection: Selection, tmp_path: Path
) -> None:
    none = VAETrainerConfig(steps=0)
    copy = VIDEO.model_copy(update={"init": str(video_run[0] / "model"), "trainer": none})
    metrics = train_video_vae(copy, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    assert folder_digest(tmp_path / "m") == folder_digest(video_run[0] / "model")
    assert metrics["psnr_db"] == video_run[1]["psnr_db"]
    assert json.loads((tmp_path / "m/training/exposure.json").read_text())["clips"] == []
    copy_audio = AUDIO.model_copy(update={"init": str(audio_run[0] / "model"), "trainer": none})
    train_audio_vae(copy_audio, selection, around(tmp_path), models=tmp_path / "a", reports=tmp_path / "s")
    assert folder_digest(tmp_path / "a") == folder_digest(audio_run[0] / "model")
    with pytest.raises(AiprodError, match="holds a VideoVAE, not one of AudioVAE"):
        wrong = AUDIO.model_copy(update={"init": str(video_run[0] / "model"), "trainer": none})
        train_audio_vae(wrong, selection, around(tmp_path), models=tmp_path / "x", reports=tmp_path / "y")


def test_training_goes_on_from_a_given_model(video_run: Run, selection: Selection, tmp_path: Path) -> None:
    fine = VIDEO.model_copy(
        update={
            "init": str(video_run[0] / "model"),
            "trainer": VIDEO.trainer.model_copy(update={"steps": 2, "lr_scale": 1e-9}),
        }
    )
    metrics = train_video_vae(fine, selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    assert metrics["psnr_db"] == pytest.approx(video_run[1]["psnr_db"], abs=0.05), "it did not start anew"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trainer": VAETrainerConfig(steps=0)}, "names no checkpoint"),
        ({"init": "nowhere"}, "init: nowhere is not a folder"),
        ({"data": VideoDataParams(height=30, width=40)}, "for example 32x40"),
        ({"data": VideoDataParams(height=32, width=40, smaller=[], frames=10)}, "for example 9"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(AiprodError, match=words):
        train_video_vae(
            VIDEO.model_copy(update=change), selection, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r"
        )


def test_no_usable_clip_is_an_error_and_a_broken_one_is_left_out(selection: Selection, tmp_path: Path) -> None:
    broken = replace(selection.train[0], clip_id="broken-000", path=tmp_path / "broken.mp4")
    broken.path.write_bytes(b"not a film")
    silent = Selection([selection.train[-1]], [], {})
    with pytest.raises(AiprodError, match="no clip to train on has sound"):
        train_audio_vae(AUDIO, silent, around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r")
    with pytest.raises(AiprodError, match="no clip's pictures could be decoded"):
        train_video_vae(
            VIDEO, Selection([broken], [], {}), around(tmp_path), models=tmp_path / "m", reports=tmp_path / "r"
        )
    decoded = load_pictures([broken, *selection.train[:2]], VIDEO.data, 7, "some")
    assert len(decoded) == 2 and set(decoded.left_out) == {"broken-000"}


def test_a_small_memory_budget_uses_a_fixed_choice_of_clips(selection: Selection) -> None:
    tight = VIDEO.data.model_copy(update={"clip_frames": 18, "height": 480, "width": 640, "cache_mb": 50})
    first, again = (load_pictures(selection.train, tight, 7, "some") for _ in range(2))
    assert [c.clip_id for c in first.clips] == [c.clip_id for c in again.clips] and len(first) == 3
    assert len(first.left_out) == 6


def test_pixels_are_scaled_to_cover_and_cropped() -> None:
    picture = torch.zeros(1, 1, 40, 60, 3, dtype=torch.uint8)
    picture[:, :, :, 20:40] = 255
    x = pixels(picture, (20, 20))
    assert x.shape == (1, 3, 1, 20, 20)
    assert float(x[0, 0, 0, 10, 10]) == pytest.approx(1.0) and float(x.min()) == pytest.approx(-1.0)
    assert torch.equal(pixels(picture, (40, 60)), pixels(picture))
