"""The text parts of a small LTX-2 pipeline, in the files that the public one has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio
from diffusers.pipelines.ltx2 import LTX2Vocoder
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

from tests.models.test_gemma import SIZES, save


def connectors(*, late: bool = False, heads: tuple[int, int] = (2, 1), registers: int | None = 16) -> Any:
    """Of LTX-2.0, or (``late``) of 2.3, whose streams read widths of their own."""
    torch.manual_seed(3)
    sides: dict[str, Any] = {}
    for side, count in zip(("video", "audio"), heads if late else (2, 2), strict=True):
        sides |= {
            f"{side}_connector_num_attention_heads": count,
            f"{side}_connector_attention_head_dim": 16,
            f"{side}_connector_num_layers": 1,
            f"{side}_connector_num_learnable_registers": registers,
        }
    return LTX2TextConnectors(
        caption_channels=SIZES["hidden_size"],
        text_proj_in_factor=SIZES["num_hidden_layers"] + 1,
        per_modality_projections=late,
        video_hidden_dim=16 * heads[0],
        audio_hidden_dim=16 * heads[1],
        **sides,
    )


def save_sound(folder: Path) -> Path:
    """``audio_vae`` and ``vocoder``: 16 channels of 1 · 16 mel bins, and sound at 24 kHz."""
    torch.manual_seed(5)
    AutoencoderKLLTX2Audio(base_channels=16, num_res_blocks=1, latent_channels=1).save_pretrained(folder / "audio_vae")
    LTX2Vocoder(hidden_channels=32, resnet_kernel_sizes=[3], resnet_dilations=[[1, 3]]).save_pretrained(
        folder / "vocoder"
    )
    return folder


def save_text(folder: Path, **options: Any) -> Path:
    """``text_encoder`` (multimodal), ``tokenizer``, ``connectors`` and ``model_index.json``."""
    save(folder / "text_encoder", "gemma3")
    (folder / "tokenizer").mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "text_encoder" / file).rename(folder / "tokenizer" / file)
    connectors(**options).save_pretrained(folder / "connectors")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "LTX2Pipeline"}))
    return folder
