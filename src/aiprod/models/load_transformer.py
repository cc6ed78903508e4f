"""Opens the folder of a transformer: ours, or one of diffusers behind our call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from aiprod.base.files import read_json
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.model import AVTransformer
from aiprod.core.types import VideoCompression
from aiprod.errors import AiprodError, CoreError
from aiprod.models.adapters.backbone import DiffusersBackbone
from aiprod.models.adapters.load_backbone import experts_in, load_backbone, load_experts
from aiprod.models.adapters.wan import EXPERTS, WanBackbone, WanExperts
from aiprod.models.artifacts import CLASS_NAME
from aiprod.models.checkpoint.folder import check_folder
from aiprod.models.checkpoint.load import load_checkpoint

Transformer = AVTransformer | DiffusersBackbone


def load_transformer(
    folder: Path,
    compression: VideoCompression,
    text_tokens: int | None = None,
    *,
    sound: bool = True,
    device: str | torch.device = "cpu",
) -> Transformer:
    """The transformer in a folder, ours or of diffusers, in eval mode; of a pipeline of two experts, both.

    Args:
        compression: of the video autoencoder that goes with it.
        text_tokens: see :class:`~aiprod.models.adapters.wan.WanBackbone`.
        sound: see :class:`~aiprod.models.adapters.ltx2.LTX2Backbone`.

    Raises:
        AiprodError: none, damaged, or of a class without an adapter.
    """
    if experts_in(folder):
        return load_experts(folder, compression, text_tokens=text_tokens).eval().to(device)
    path = folder / "config.json"
    if not path.is_file():
        raise AiprodError(f"{folder} holds no transformer (no config.json)", "give the folder of a saved transformer")
    try:
        if read_json(path).get("_class_name") == CLASS_NAME:
            return load_checkpoint(folder, _build, CLASS_NAME, device=device)
        if read_json(path).get("_class_name") == EXPERTS:
            experts = load_checkpoint(folder, WanExperts.from_config, EXPERTS, device=device)
            return WanBackbone(experts, compression, text_tokens).eval()
        check_folder(folder)
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None
    backbone = load_backbone(folder, compression, text_tokens=text_tokens, sound=sound)
    return backbone.eval().to(device)


def has_sound(model: nn.Module) -> bool:
    """Whether a transformer has an audio stream."""
    return not isinstance(model, DiffusersBackbone) or bool(model.sizes.audio)


def _build(config: dict[str, Any]) -> AVTransformer:
    return AVTransformer(AVTransformerConfig.model_validate(config))
