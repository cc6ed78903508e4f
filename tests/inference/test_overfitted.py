"""A model that was trained on one clip until it repeats it is caught: in the samples' manifest, in what lies beside
each video and the dossier shows, and at the release. A model that was not is not accused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiprod.base.denials import Refusal
from aiprod.base.files import sha256_file
from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.video import VideoVAE
from aiprod.data.latents.dataset import LatentDataset
from aiprod.evaluation.memorisation import TrainingClips
from aiprod.evaluation.sample_stage import SampleParams, SampleResult, make_samples
from aiprod.governance.release.release import _compared
from aiprod.inference.pipeline import AVPipeline
from aiprod.media.encoding import encode
from aiprod.models.adapters.autoencoders import save_vae
from aiprod.storage.result_cache import Memo
from aiprod.trainer.diffusion.outputs import write_model
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.train import train_diffusion
from aiprod.trainer.latents.cache import cache_latents, geometry_digest
from aiprod.trainer.latents.encode import CacheLatentsParams, CacheModels
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.training_set import Selection, TrainingClip
from aiprod.trainer.vae.pca_init import start_video
from tests.rows import write_latent_rows

FRAMES, HEIGHT, WIDTH, FPS = 9, 32, 48, 12.0
CACHE = CacheLatentsParams(min_psnr_db=0.0)
TRAIN, HELD = 5, 5
SHOWN = "c2-000"


def pictures(number: int) -> np.ndarray:
    """A bright disc that goes its own way over a slope of its own colours, ``[frames, height, width, 3]``."""
    draw = np.random.default_rng(number)
    low, high, disc = draw.integers(0, 256, (3, 3)).astype(float)
    start, speed = draw.uniform((8, 10), (24, 38)), draw.uniform(-1.5, 1.5, 2)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    slope = np.clip((x / WIDTH + y / HEIGHT) / 2, 0, 1)[..., None]
    ground = low * (1 - slope) + high * slope
    made = []
    for frame in range(FRAMES):
        centre = start + frame * speed
        inside = np.clip(7.5 - np.hypot(y - centre[0], x - centre[1]), 0, 1)[..., None]
        made.append(ground * (1 - inside) + disc * inside)
    return np.stack(made).round().astype(np.uint8)


def clip(number: int, folder: Path) -> TrainingClip:
    path = folder / f"{number}.mp4"
    encode(path, list(pictures(number)), FPS)
    return TrainingClip(
        clip_id=f"c{number}-000",
        film_id=f"f{number}",
        source_id="shown" if f"c{number}-000" == SHOWN else "other",
        split="heldout" if number >= TRAIN else "train",
        path=path,
        sha256=sha256_file(path),
        has_audio=False,
        fps=FPS,
        frames=FRAMES,
        height=HEIGHT,
        width=WIDTH,
        caption="a disc",
        ground_truth=None,
    )


@pytest.fixture(scope="module")
def place(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LatentDataset, CurriculumConfig]:
    """Models but the transformer, and latents of ten clips, of which five are held out."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("overfitted")
    for name in ("audio_vae", "text_encoder"):
        shutil.copytree(models / name, root / "models" / name)
    torch.manual_seed(0)
    vae = VideoVAE(VideoVAEConfig(widths=(16,), latent_channels=16))
    shown = [torch.from_numpy(pictures(n)).permute(3, 0, 1, 2)[None] / 127.5 - 1 for n in range(TRAIN)]
    start_video(vae, shown, 0)
    save_vae(vae, root / "models/video_vae")
    phase = {"height": HEIGHT, "width": WIDTH, "frames": FRAMES, "fps": FPS, "batch": 4, "lr_scale": 1.0}
    curriculum = CurriculumConfig.model_validate(
        {"phases": {"only": {**phase, "weight_decay": 0.0, "duration": {"steps": 250}, "decay": "cosine"}}}
    )
    clips = [clip(n, tmp_path_factory.mktemp("films")) for n in range(TRAIN + HELD)]
    makers = CacheModels.load(root / "models", CACHE)
    memo = Memo(root / "memo", "x")
    split = Selection(clips[:TRAIN], clips[TRAIN:], {})
    rows, _, _ = cache_latents(split, curriculum.geometry(), makers, CACHE, folder=root / "latents", memo=memo)
    digests = {
        **makers.digests,
        "geometry": geometry_digest(curriculum.geometry()),
        "cache_params": CACHE.digest(),
    }
    write_latent_rows(root / "latents", rows, digests)
    return root, LatentDataset(root / "latents", digests), curriculum


def sampled(place: Any, folder: Path, steps: int) -> SampleResult:
    """Two samples of a model that saw one clip alone for some steps."""
    root, dataset, curriculum = place
    sizes = {"video_width": 96, "audio_width": 12, "cross_width": 12, "video_heads": 4, "audio_heads": 2}
    params = TrainDiffusionParams.model_validate(
        {
            "threads": 1,
            "transformer": {"changes": {**sizes, "cross_heads": 2, "depth": 2, "place_features": True}},
            "task": {"text_dropout": 0.0, "heldout_clips": 1},
            "repeats": {"other": 0},
            "loop": {"ema_decay": 0.9},
        }
    )
    lasting = curriculum.phases["only"].model_copy(
        update={"duration": curriculum.phases["only"].duration.model_copy(update={"steps": steps})}
    )
    trained = train_diffusion(
        dataset,
        root / "models",
        curriculum.model_copy(update={"phases": {"only": lasting}}),
        params,
        TrainContext(4e-3, 1, "c", lambda fingerprint: folder / "checkpoints" / fingerprint),
    )
    for name in ("video_vae", "audio_vae", "text_encoder"):
        shutil.copytree(root / "models" / name, folder / "models" / name)
    write_model(trained, dataset, folder / "models/diffusion")
    pipeline = AVPipeline.from_pretrained(folder / "models")
    asked = SampleParams.model_validate(
        {
            "prompts": ["a disc", "another"],
            "heldout_prompts": 0,
            "generation": {"steps": 8, "video_guidance": 1.0, "audio_guidance": 1.0},
            "viewing_scale": 1,
        }
    )
    (folder / "samples").mkdir()
    known = TrainingClips(dataset, "only", {})
    return make_samples(pipeline, asked, folder / "samples", seed=3, training=known)


def test_a_model_that_learnt_one_clip_by_heart_is_caught(place: Any, tmp_path: Path) -> None:
    made = sampled(place, tmp_path, 250)
    for row in made.rows:
        assert (row.is_copy, row.nearest_clip) == (True, SHOWN), row.copy_said
        assert row.copy_said is not None and row.copy_said.startswith(f"a copy of training clip {SHOWN}")
        beside = json.loads((tmp_path / "samples" / row.file).with_suffix(".json").read_text())
        assert beside["nearest"]["copy"] is True and beside["nearest"]["said"] == row.copy_said
        with pytest.raises(Refusal, match=f"{row.file} is a copy of training clip {SHOWN}"):
            _compared([tmp_path / "samples" / row.file], "someone", cleared=False)
    assert made.metrics["copies"]["copies"] == 2
    assert made.metrics["copies"]["heldout_taken_for_copies"] == 0


def test_a_model_that_did_not_is_not_accused(place: Any, tmp_path: Path) -> None:
    made = sampled(place, tmp_path, 3)
    for row in made.rows:
        assert row.is_copy is False and (row.copy_said or "").startswith("no copy"), row.copy_said
        (line,) = _compared([tmp_path / "samples" / row.file], "someone", cleared=False)
        assert "no copy; nearest is training clip" in line
