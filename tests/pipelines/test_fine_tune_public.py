"""Public checkpoints of diffusers go through every stage: autoencoders as they are, adapters trained, sampled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    AutoencoderOobleck,
    LTX2VideoTransformer3DModel,
    LTXVideoTransformer3DModel,
    WanTransformer3DModel,
)

from aiprod.base.errors import AiprodError
from aiprod.base.manifest import write_manifest
from aiprod.base.memo import Memo
from aiprod.core.loader.files import read_safetensors
from aiprod.core.loader.lora import fuse_lora
from aiprod.core.types import GenerationConfig
from aiprod.data.latent_dataset import LatentDataset
from aiprod.data.latent_rows import LatentRow
from aiprod.pipelines.av_pipeline import AVPipeline, Request
from aiprod.trainer.clips import Selection
from aiprod.trainer.curriculum import CurriculumConfig
from aiprod.trainer.diffusion import train_diffusion
from aiprod.trainer.diffusion_outputs import write_model
from aiprod.trainer.diffusion_params import TrainDiffusionParams
from aiprod.trainer.latent_cache import cache_latents, geometry_digest
from aiprod.trainer.latent_encoding import CacheLatentsParams, CacheModels
from aiprod.trainer.vae_audio import AudioVaeStageParams, train_audio_vae
from aiprod.trainer.vae_stage import Surroundings
from aiprod.trainer.vae_video import VideoVaeStageParams, train_video_vae
from tests.pipelines.test_train_then_sample import _clip

CACHE = CacheLatentsParams(min_psnr_db=0.0)
WEIGHTS = "diffusion_pytorch_model.safetensors"
SIZES: dict[str, tuple[int, int, int]] = {"ltx": (64, 96, 9), "ltx2": (64, 96, 9), "wan": (32, 48, 5)}
HEADS: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 1}


def video_vae(kind: str) -> Any:
    if kind == "wan":
        return AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
                                latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0])
    return AutoencoderKLLTXVideo(latent_channels=8, block_out_channels=(8, 8, 8, 8), layers_per_block=(1,) * 5,
                                 decoder_block_out_channels=(8, 8, 8, 8), decoder_layers_per_block=(1,) * 5)


def transformer(kind: str) -> Any:
    if kind == "wan":
        return WanTransformer3DModel(patch_size=(1, 2, 2), in_channels=4, out_channels=4, text_dim=32, freq_dim=32,
                                     ffn_dim=64, **HEADS)
    if kind == "ltx":
        return LTXVideoTransformer3DModel(in_channels=8, out_channels=8, cross_attention_dim=32, caption_channels=32,
                                          **HEADS)
    return LTX2VideoTransformer3DModel(
        in_channels=8, out_channels=8, cross_attention_dim=32, caption_channels=32, audio_in_channels=3,
        audio_out_channels=3, audio_num_attention_heads=2, audio_attention_head_dim=8, audio_cross_attention_dim=16,
        **HEADS)


class Stop(Exception):
    """Stands for the end of the process."""


class Place:
    """Models, cache and public checkpoint of one kind."""

    def __init__(self, kind: str, models: Path, root: Path) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.kind, self.root, self.given = kind, root, root / "public"
        height, width, frames = SIZES[kind]
        clips = [_clip(number, root) for number in (1, 2, 4)]
        selection = Selection(clips[:2], clips[2:], {})
        shutil.copytree(models / "text_encoder", root / "models/text_encoder")
        video_vae(kind).save_pretrained(root / "vae")
        around = Surroundings(lr=1e-3, seed=1, inputs={}, code="c", checkpoints=lambda f: root / "vae-state" / f,
                              log=lambda *_: None)
        self.video = VideoVaeStageParams.model_validate({
            "init": str(root / "vae"), "trainer": {"steps": 0},
            "data": {"height": height, "width": width, "smaller": [], "frames": frames}})
        train_video_vae(self.video, selection, around, models=root / "models/video_vae", reports=root / "reports")
        if kind == "ltx":
            AutoencoderOobleck(
                encoder_hidden_size=8, downsampling_ratios=[2, 4], channel_multiples=[1, 2], decoder_channels=4,
                decoder_input_channels=4, audio_channels=2, sampling_rate=44_100).save_pretrained(root / "sound")
            given = AudioVaeStageParams.model_validate({"init": str(root / "sound"), "trainer": {"steps": 0}})
            train_audio_vae(given, selection, around, models=root / "models/audio_vae", reports=root / "reports")
        else:
            shutil.copytree(models / "audio_vae", root / "models/audio_vae")
        self.around, self.selection = around, selection
        self.curriculum = CurriculumConfig.model_validate({"phases": {"only": {
            "height": height, "width": width, "frames": frames, "fps": 12.0, "batch": 2, "lr_scale": 1.0,
            "weight_decay": 0.0, "duration": {"steps": 6}}}})
        phases, makers = self.curriculum.geometry(), CacheModels.load(root / "models", CACHE)
        memo = Memo(root / "m", "x")
        rows, _, _ = cache_latents(selection, phases, makers, CACHE, folder=root / "latents", memo=memo)
        inputs = {**makers.digests, "geometry": geometry_digest(phases), "cache_params": CACHE.digest()}
        write_manifest(root / "latents", rows, row_model=LatentRow, stage="cache_latents", key=lambda r: r.row_id,
                       params_digest="p", inputs=inputs)
        self.dataset = LatentDataset(root / "latents", inputs)
        transformer(kind).save_pretrained(self.given)

    def params(self, **changes: Any) -> TrainDiffusionParams:
        return TrainDiffusionParams.model_validate({
            "init": str(self.given), "lora": {"rank": 2}, "threads": 1, "optimizer": {"name": "adamw"},
            "loop": {"checkpoint_every_s": 0.0, "ema_decay": 0.0}, **changes})

    def train(self, state: str, params: TrainDiffusionParams, stop: int = -1) -> Any:
        def log(phase: str, step: int, figures: dict[str, float]) -> None:
            if step == stop and "loss" in figures:
                raise Stop

        return train_diffusion(
            self.dataset, self.root / "models", self.curriculum, params, lr=2e-2, seed=1, code="c", log=log,
            checkpoints=lambda fingerprint: self.root / state / fingerprint)


@pytest.fixture(scope="module", params=["ltx", "wan", pytest.param("ltx2", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(request.param, models, tmp_path_factory.mktemp(request.param))


def test_public_autoencoders_are_copied_and_make_the_latents(place: Place) -> None:
    copy, given = (read_safetensors(place.root / f / WEIGHTS) for f in ("models/video_vae", "vae"))
    assert copy.keys() == given.keys() and all(torch.equal(copy[n], given[n]) for n in given)
    ledger = json.loads((place.root / "models/video_vae/training/exposure.json").read_text())
    assert ledger["clips"] == []
    row = place.dataset.usable("only", "train")[0]
    assert row.has_audio and row.psnr_db is not None and row.audio_snr_db is not None
    if place.kind == "ltx":  # 9 frames at 12 a second, 44.1 kHz, 8 samples a latent: the sound was read at that rate
        assert place.dataset.load("only", row.clip_id).audio.shape == (4, round(9 / 12 * 44_100 / 8 + 0.49))


def test_a_public_autoencoder_is_not_trained_on(place: Place, tmp_path: Path) -> None:
    more = place.video.model_copy(update={"trainer": place.video.trainer.model_copy(update={"steps": 3})})
    with pytest.raises(AiprodError, match=r"used as it is.*train_video_vae.trainer.steps to 0"):
        train_video_vae(more, place.selection, place.around, models=tmp_path / "m", reports=tmp_path / "r")


def test_adapters_train_resume_fuse_and_sample(place: Place, tmp_path: Path) -> None:
    whole = place.train("whole", place.params())
    with pytest.raises(Stop):
        place.train("cut", place.params(), stop=3)
    again = place.train("cut", place.params())
    assert all(torch.equal(weight, whole.weights[name]) for name, weight in again.weights.items())
    moved = [n for n, w in again.weights.items() if "lora_B" in n and float(w.abs().sum()) > 0]
    assert moved, "adapters were trained"
    write_model(again, place.dataset, place.root / "models/diffusion")
    written = read_safetensors(place.root / "models/diffusion/transformer" / WEIGHTS)
    base = read_safetensors(place.given / WEIGHTS)
    fused = fuse_lora(base, place.root / "models/diffusion/lora")
    assert written.keys() == base.keys()
    assert all(torch.allclose(written[n], fused[n], atol=1e-6) for n in base)
    assert any(not torch.equal(written[n], base[n]) for n in base)
    theirs = type(transformer(place.kind)).from_pretrained(place.root / "models/diffusion/transformer")
    assert all(torch.equal(w, written[n]) for n, w in theirs.state_dict().items()), "diffusers reads what was written"
    pipeline = AVPipeline.from_pretrained(place.root / "models")
    height, width, frames = SIZES[place.kind]
    config = GenerationConfig(frames=frames, height_px=height, width_px=width, fps=12.0, steps=2)
    made, untuned = pipeline.generate([Request("picture 1", 0)], config)[0], None
    assert made.pictures.shape == (frames, height, width, 3)
    assert (made.sound is not None) == (place.kind == "ltx2")
    shutil.copytree(place.root / "models", tmp_path / "models")
    shutil.rmtree(tmp_path / "models/diffusion/transformer")
    shutil.copytree(place.given, tmp_path / "models/diffusion/transformer")
    untuned = AVPipeline.from_pretrained(tmp_path / "models").generate([Request("picture 1", 0)], config)[0]
    assert not np.array_equal(untuned.pictures, made.pictures), "the adapters reach the picture"


def test_all_weights_of_a_public_checkpoint_train(place: Place) -> None:
    trained = place.train("full", place.params(lora=None))
    losses = [row["loss"] for row in trained.run.curve]
    assert trained.metrics["heldout"]["trained"]["loss"] < trained.metrics["heldout"]["given"]["loss"], losses


def test_a_checkpoint_for_other_latents_is_refused(place: Place, tmp_path: Path) -> None:
    other = "wan" if place.kind != "wan" else "ltx"
    transformer(other).save_pretrained(tmp_path / "other")
    with pytest.raises(AiprodError, match=r"takes video tokens of .* values, and these have"):
        place.train("no", place.params(init=str(tmp_path / "other")))
