"""Public checkpoints of diffusers go through every stage: autoencoders and text encoder as they are, adapters, samples.

Each comes as one whole pipeline folder that every stage is given, with its T5, its UMT5, or its Gemma and connectors.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers
from diffusers import (
    AutoencoderKLLTX2Video,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    AutoencoderOobleck,
    LTX2VideoTransformer3DModel,
    LTXVideoTransformer3DModel,
    WanTransformer3DModel,
)

from aiprod.core.components.noiser import Noiser
from aiprod.core.generation import GenerationConfig
from aiprod.data.latents.dataset import LatentDataset
from aiprod.errors import AiprodError
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request
from aiprod.models.adapters.load_text_encoder import load_text_encoder
from aiprod.models.adapters.schedulers import SamplerFromDiffusers
from aiprod.models.checkpoint.folder import read_safetensors
from aiprod.models.checkpoint.lora import fuse_lora
from aiprod.storage.result_cache import Memo
from aiprod.trainer.diffusion.outputs import write_model
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.train import train_diffusion
from aiprod.trainer.latents.cache import cache_latents, geometry_digest
from aiprod.trainer.latents.encode import CacheLatentsParams, CacheModels
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.loop.curriculum import CurriculumConfig
from aiprod.trainer.text_encoder.train import TrainTextEncoderParams, train_text_encoder
from aiprod.trainer.training_set import Selection
from aiprod.trainer.vae.audio import AudioVaeStageParams, train_audio_vae
from aiprod.trainer.vae.video import VideoVaeStageParams, train_video_vae
from tests.inference.test_train_then_sample import _clip
from tests.models.ltx2_folders import save_sound, save_text
from tests.models.t5_folders import PIPELINES, save_pipeline
from tests.rows import write_latent_rows
from tests.trainer.stopping import Stop, stop_at

pytestmark = pytest.mark.bitwise

CACHE = CacheLatentsParams(min_psnr_db=0.0)
WEIGHTS = "diffusion_pytorch_model.safetensors"
SIZES: dict[str, tuple[int, int, int]] = {"ltx": (64, 96, 9), "ltx2": (64, 96, 9), "wan": (32, 48, 5)}
TEXTS = {"ltx": "t5", "wan": "umt5"}
HEADS: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 1}


def video_vae(kind: str) -> Any:
    if kind == "wan":
        return AutoencoderKLWan(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            latents_mean=[0.1, 0.2, 0.3, 0.4],
            latents_std=[1.0, 2.0, 3.0, 4.0],
        )
    if kind == "ltx2":
        return AutoencoderKLLTX2Video(
            latent_channels=8,
            block_out_channels=(4, 8, 16, 32),
            decoder_block_out_channels=(16, 32, 64),
            layers_per_block=(1,) * 5,
            decoder_layers_per_block=(1,) * 4,
        )
    return AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1,) * 5,
        decoder_block_out_channels=(8, 8, 8, 8),
        decoder_layers_per_block=(1,) * 5,
    )


def transformer(kind: str) -> Any:
    if kind == "wan":
        return WanTransformer3DModel(
            patch_size=(1, 2, 2), in_channels=4, out_channels=4, text_dim=32, freq_dim=32, ffn_dim=64, **HEADS
        )
    if kind == "ltx":
        return LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, cross_attention_dim=32, caption_channels=32, **HEADS
        )
    return LTX2VideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        cross_attention_dim=32,
        caption_channels=32,
        audio_in_channels=16,
        audio_out_channels=16,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        **HEADS,
    )


def stock_pipeline(place: Place) -> tuple[Any, Any]:
    """diffusers' own pipeline on the folder, and another scheduler as it has."""
    text = {"t5": transformers.T5EncoderModel, "umt5": transformers.UMT5EncoderModel}[TEXTS[place.kind]]
    parts: dict[str, Any] = {
        "text_encoder": text.from_pretrained(place.given / "text_encoder"),
        "tokenizer": transformers.T5TokenizerFast.from_pretrained(place.given / "tokenizer"),
        "vae": type(video_vae(place.kind)).from_pretrained(place.vae),
        "transformer": type(transformer(place.kind)).from_pretrained(place.transformer),
    }
    if place.kind == "ltx":
        made = [
            diffusers.FlowMatchEulerDiscreteScheduler(
                use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, shift_terminal=0.1
            )
            for _ in range(2)
        ]
    else:  # Wan's own, UniPC, tells the model whole thousandths of the noise level: another model input than ours
        made = [diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0) for _ in range(2)]
    pipeline = getattr(diffusers, PIPELINES[TEXTS[place.kind]])(**parts, scheduler=made[0])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, made[1]


class Place:
    """Models, cache and public checkpoint of one kind."""

    def __init__(self, kind: str, models: Path, root: Path) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.kind, self.root, self.given = kind, root, root / "public"
        height, width, frames = SIZES[kind]
        clips = [_clip(number, root) for number in (1, 2, 4)]
        selection = Selection(clips[:2], clips[2:], {})
        self.vae, self.transformer = self.given / "vae", self.given / "transformer"
        video_vae(kind).save_pretrained(self.vae)
        transformer(kind).save_pretrained(self.transformer)
        around = TrainContext(
            lr=1e-3, seed=1, inputs={}, code="c", checkpoints=lambda f: root / "vae-state" / f, log=lambda *_: None
        )
        save_pipeline(self.given, TEXTS[kind]) if kind in TEXTS else save_text(self.given)
        self.text = TrainTextEncoderParams.model_validate(
            {"init": str(self.given), "trainer": {"steps": 0}, "quantize_check": kind == "wan"}
        )
        train_text_encoder(
            self.text, selection, around, models=root / "models/text_encoder", reports=root / "reports/text"
        )
        self.video = VideoVaeStageParams.model_validate(
            {
                "init": str(self.given),
                "trainer": {"steps": 0},
                "data": {"height": height, "width": width, "smaller": [], "frames": frames},
            }
        )
        train_video_vae(self.video, selection, around, models=root / "models/video_vae", reports=root / "reports")
        if kind == "ltx":
            AutoencoderOobleck(
                encoder_hidden_size=8,
                downsampling_ratios=[2, 4],
                channel_multiples=[1, 2],
                decoder_channels=4,
                decoder_input_channels=4,
                audio_channels=2,
                sampling_rate=44_100,
            ).save_pretrained(root / "sound")
            given = AudioVaeStageParams.model_validate({"init": str(root / "sound"), "trainer": {"steps": 0}})
            train_audio_vae(given, selection, around, models=root / "models/audio_vae", reports=root / "reports")
        elif kind == "ltx2":
            save_sound(self.given)
            given = AudioVaeStageParams.model_validate({"init": str(self.given), "trainer": {"steps": 0}})
            train_audio_vae(given, selection, around, models=root / "models/audio_vae", reports=root / "reports")
        else:
            shutil.copytree(models / "audio_vae", root / "models/audio_vae")
        self.around, self.selection = around, selection
        self.curriculum = CurriculumConfig.model_validate(
            {
                "phases": {
                    "only": {
                        "height": height,
                        "width": width,
                        "frames": frames,
                        "fps": 12.0,
                        "batch": 2,
                        "lr_scale": 1.0,
                        "weight_decay": 0.0,
                        "duration": {"steps": 6},
                    }
                }
            }
        )
        phases, makers = self.curriculum.geometry(), CacheModels.load(root / "models", CACHE)
        memo = Memo(root / "m", "x")
        rows, _, _ = cache_latents(selection, phases, makers, CACHE, folder=root / "latents", memo=memo)
        inputs = {**makers.digests, "geometry": geometry_digest(phases), "cache_params": CACHE.digest()}
        write_latent_rows(root / "latents", rows, inputs)
        self.dataset = LatentDataset(root / "latents", inputs)

    def params(self, **changes: Any) -> TrainDiffusionParams:
        return TrainDiffusionParams.model_validate(
            {
                "init": str(self.given),
                "lora": {"rank": 2},
                "threads": 1,
                "optimizer": {"name": "adamw"},
                "loop": {"checkpoint_every_s": 0.0, "ema_decay": 0.0},
                **changes,
            }
        )

    def train(self, state: str, params: TrainDiffusionParams, stop: int = -1, lr: float = 2e-2) -> Any:
        return train_diffusion(
            self.dataset,
            self.root / "models",
            self.curriculum,
            params,
            TrainContext(lr, 1, "c", lambda fingerprint: self.root / state / fingerprint, log=stop_at(stop)),
        )


@pytest.fixture(scope="module", params=["ltx", "wan", pytest.param("ltx2", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(request.param, models, tmp_path_factory.mktemp(request.param))


def test_public_autoencoders_are_copied_and_make_the_latents(place: Place) -> None:
    copy, given = (read_safetensors(f / WEIGHTS) for f in (place.root / "models/video_vae", place.vae))
    assert copy.keys() == given.keys() and all(torch.equal(copy[n], given[n]) for n in given)
    ledger = json.loads((place.root / "models/video_vae/training/exposure.json").read_text())
    assert ledger["clips"] == []
    row = place.dataset.usable("only", "train")[0]
    assert row.has_audio and row.psnr_db is not None and row.audio_snr_db is not None
    if place.kind == "ltx":  # 9 frames at 12 a second, 44.1 kHz, 8 samples a latent: the sound was read at that rate
        assert place.dataset.load("only", row.clip_id).audio.shape == (4, round(9 / 12 * 44_100 / 8 + 0.49))


def test_the_public_text_encoder_is_copied_and_makes_the_features(place: Place, tmp_path: Path) -> None:
    copy, given = (
        read_safetensors(f / "model.safetensors")
        for f in (place.root / "models/text_encoder", place.given / "text_encoder")
    )
    assert copy.keys() == given.keys() and all(torch.equal(copy[n], given[n]) for n in given)
    public = load_text_encoder(place.given)
    row = place.dataset.usable("only", "train")[0]
    item, wanted = place.dataset.load("only", row.clip_id), public.encode([row.caption or ""])
    assert torch.allclose(item.text, wanted.hidden[0, wanted.mask[0]], atol=1e-5), "what the public pipeline sees"
    empty = public.encode([""])
    assert torch.allclose(place.dataset.null_text()[0], empty.hidden[0, empty.mask[0]], atol=1e-5)
    metrics = json.loads((place.root / "reports/text/metrics.json").read_text())
    assert metrics["family"] == TEXTS.get(place.kind, "gemma3")
    assert metrics["captions_cut"] == 0 < metrics["tokens_mean"]
    assert place.kind != "wan" or metrics["int8_cosine_least"] > 0.99
    more = place.text.model_copy(update={"trainer": place.text.trainer.model_copy(update={"steps": 3})})
    with pytest.raises(AiprodError, match=r"used unchanged.*train_text_encoder.trainer.steps to 0"):
        train_text_encoder(more, place.selection, place.around, models=tmp_path / "m", reports=tmp_path / "r")


def test_a_public_autoencoder_is_not_trained_on(place: Place, tmp_path: Path) -> None:
    more = place.video.model_copy(update={"trainer": place.video.trainer.model_copy(update={"steps": 3})})
    with pytest.raises(AiprodError, match=r"used unchanged.*train_video_vae.trainer.steps to 0"):
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
    base = read_safetensors(place.transformer / WEIGHTS)
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
    shutil.copytree(place.transformer, tmp_path / "models/diffusion/transformer")
    untuned = AVPipeline.from_pretrained(tmp_path / "models").generate([Request("picture 1", 0)], config)[0]
    assert not np.array_equal(untuned.pictures, made.pictures), "the adapters reach the picture"


def test_what_we_sample_of_a_public_folder_is_what_diffusers_samples(place: Place, tmp_path: Path) -> None:
    """The same noise, prompt and scheduler through their pipeline and through ours: prompt to pixels."""
    if place.kind not in TEXTS:
        pytest.skip("its pipeline has parts of its own: connectors and a vocoder")
    trained = place.train("one", place.params(), lr=0.0)  # adapters that change nothing
    shutil.copytree(place.root / "models", tmp_path / "models", ignore=shutil.ignore_patterns("diffusion"))
    write_model(trained, place.dataset, tmp_path / "models/diffusion")
    stock, scheduler = stock_pipeline(place)
    ours = AVPipeline.from_pretrained(tmp_path / "models")
    ours.scheduler = SamplerFromDiffusers(scheduler)
    height, width, frames = SIZES[place.kind]
    config = GenerationConfig(frames=frames, height_px=height, width_px=width, fps=12.0, steps=3)
    made = ours.generate([Request("a red disc moves left", 7)], config)[0]
    shape = config.video(1).to_latent(ours.video_vae.compression)
    noise = Noiser(seed=7).noise(torch.zeros(1, ours.video_patches.tokens(shape), ours.video_patches.token_channels))
    arguments: dict[str, Any] = {"frame_rate": 12} if place.kind == "ltx" else {}
    theirs = stock(
        prompt="a red disc moves left",
        height=height,
        width=width,
        num_frames=frames,
        num_inference_steps=3,
        guidance_scale=config.video_guidance,
        output_type="np",
        **arguments,
        latents=noise if place.kind == "ltx" else ours.video_patches.unpatchify(noise, shape),
    ).frames[0]
    assert theirs.shape == made.pictures.shape and theirs.std() > 0.01
    assert np.abs(theirs * 255 - made.pictures).max() <= 0.5 + 0.02, "half a level is the rounding to bytes"


def test_all_weights_of_a_public_checkpoint_train(place: Place) -> None:
    trained = place.train("full", place.params(lora=None), lr=3e-3)
    losses = [row["loss"] for row in trained.run.curve]
    assert trained.metrics["heldout"]["trained"]["loss"] < trained.metrics["heldout"]["given"]["loss"], losses


def test_ltx2_trains_on_pictures_where_its_audio_autoencoder_is_not_here(place: Place) -> None:
    if place.kind != "ltx2":
        pytest.skip("has no sound")
    other = {"transformer": {"sound": False}}
    trained = place.train("silent", place.params(**other))
    assert all("loss_audio" not in row for row in trained.run.curve) and not trained.subject.sound


def test_a_checkpoint_for_other_latents_is_refused(place: Place, tmp_path: Path) -> None:
    other = "wan" if place.kind != "wan" else "ltx"
    transformer(other).save_pretrained(tmp_path / "other")
    with pytest.raises(AiprodError, match=r"takes video tokens of .* values, and these have"):
        place.train("no", place.params(init=str(tmp_path / "other")))


@pytest.mark.long
def test_two_experts_are_trained_written_and_sampled(models: Path, tmp_path: Path) -> None:
    """Wan 2.2: the whole pipeline folder as ``init``; what is written holds both, and samples with both."""
    place = Place("wan", models, tmp_path)
    shutil.copytree(place.transformer, place.given / "transformer_2")
    index = place.given / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"boundary_ratio": 0.6}))
    trained = place.train("pair", place.params())
    write_model(trained, place.dataset, place.root / "models/diffusion")
    written = read_safetensors(place.root / "models/diffusion/transformer" / WEIGHTS)
    base = read_safetensors(place.transformer / WEIGHTS)
    assert written.keys() == {f"{expert}.{name}" for expert in ("high", "low") for name in base}
    for expert in ("high", "low"):
        assert any(not torch.equal(written[f"{expert}.{name}"], base[name]) for name in base), expert
    height, width, frames = SIZES["wan"]
    config = GenerationConfig(frames=frames, height_px=height, width_px=width, fps=12.0, steps=3)
    pipeline = AVPipeline.from_pretrained(place.root / "models")
    assert pipeline.transformer.config["boundary_ratio"] == 0.6
    made = pipeline.generate([Request("picture 1", 0)], config)[0]
    assert made.pictures.shape == (frames, height, width, 3)
    before = made.pictures.copy()
    for name, weight in pipeline.transformer.model.low.named_parameters():
        if name.startswith("proj_out"):
            weight.data.zero_()
    after = pipeline.generate([Request("picture 1", 0)], config)[0].pictures
    assert not np.array_equal(before, after), "the expert of low noise has its say"
