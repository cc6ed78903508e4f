"""A complete folder of small models with random weights, in the formats that training writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aiprod.base.files import write_json
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.vae.audio import AudioVAE
from aiprod.core.vae.config import AudioVAEConfig, VideoVAEConfig
from aiprod.core.vae.video import VideoVAE
from aiprod.inference.pipeline import AVPipeline
from aiprod.models.adapters.autoencoders import save_vae
from aiprod.models.artifacts import CLASS_NAME, TRAINING, TRANSFORMER, TrainingRecord, latent_maker_digests
from aiprod.models.checkpoint.folder import save_checkpoint
from aiprod.trainer.text_encoder.train import GemmaSize, make_gemma, make_tokenizer

PHASES = {
    "low": {"height": 32, "width": 48, "frames": 5, "fps": 12.0},
    "high": {"height": 32, "width": 48, "frames": 9, "fps": 12.0},
}
CAPTIONS = ["a red circle bounces over a grey striped background", "a blue star drifts over a navy brick background"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    size = GemmaSize(vocabulary=300, width=32, layers=1, heads=2)
    tokenizer = make_tokenizer(CAPTIONS, size)
    make_gemma(size, len(tokenizer)).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "text_encoder")
    save_vae(VideoVAE(VideoVAEConfig(widths=(16,), latent_channels=4)), folder / "video_vae")
    audio = AudioVAEConfig(widths=(8, 8, 16), depths=(1, 1, 1), latent_channels=3)
    save_vae(AudioVAE(audio), folder / "audio_vae")
    config = AVTransformerConfig.demo(
        video_channels=4,
        audio_channels=3,
        text_dim=32,
        video_width=24,
        audio_width=12,
        cross_width=12,
        video_heads=2,
        audio_heads=2,
        cross_heads=2,
        depth=2,
    )
    model = AVTransformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    digest = save_checkpoint(folder / TRANSFORMER, config.model_dump(mode="json"), model.state_dict(), CLASS_NAME)
    record = TrainingRecord(
        model_digest=digest,
        made_with=latent_maker_digests(folder),
        dataset_root="0" * 64,
        phases=PHASES,
        phase_order=list(PHASES),
        steps=1,
        strategy="text_to_video",
        video_patch=(1, 1, 1),
        settings={},
        heldout=[{"clip_id": "c-heldout-000", "caption": CAPTIONS[1]}],
    )
    write_json(folder / TRAINING, record.model_dump(mode="json"))
    return folder


@pytest.fixture(scope="session")
def pipeline(models: Path) -> AVPipeline:
    torch.set_num_threads(1)
    return AVPipeline.from_pretrained(models)
