"""Models with a latent upsampler of chance weights beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from aiprod.base.files import read_json, write_json
from aiprod.core.latent_upsampler import LatentUpsampler, LatentUpsamplerConfig
from aiprod.models.artifacts import TRAINING
from aiprod.models.latent_upsampler import FOLDER, save_upsampler


def with_upsampler(models: Path, folder: Path, **ways: bool) -> Path:
    shutil.copytree(models, folder)
    torch.manual_seed(0)
    model = LatentUpsampler(LatentUpsamplerConfig(in_channels=4, mid_channels=32, **ways))
    torch.nn.init.normal_(model.final_conv.weight, std=0.05)
    time, space, _ = model.config.factors
    digest = save_upsampler(model, folder / FOLDER)
    record = {"digest": digest, "space": space, "time": time, "steps": 5}
    write_json(folder / TRAINING, {**read_json(folder / TRAINING), "upsampler": record})
    return folder
