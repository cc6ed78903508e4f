"""Reads and writes latent upsamplers: ours, and those of LTX-Video and LTX-2 as diffusers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aiprod.core.latent_upsampler import LatentUpsampler, LatentUpsamplerConfig
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.folder import building, open_checkpoint, save_checkpoint
from aiprod.models.checkpoint.load import strict_load

CLASS = "LatentUpsampler"
PUBLISHED = ("LTXLatentUpsamplerModel", "LTX2LatentUpsamplerModel")
FOLDER = "diffusion/upsampler"
"""Below ``models``: where the upsampler of the diffusion model lies, where it has one."""

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_DEFAULTS: dict[str, dict[str, Any]] = {  # of what a config.json leaves out
    PUBLISHED[0]: {"mid_channels": 512},
    PUBLISHED[1]: {"mid_channels": 1024, "rational_spatial_scale": 2.0, "use_rational_resampler": True},
}
_RATIONAL = "upsampler.conv."
_PLAIN = "upsampler.0."
_BLUR, _TAPS = "upsampler.blur_down.kernel", 5


def save_upsampler(model: LatentUpsampler, folder: Path | str) -> str:
    """Write a checkpoint folder, which diffusers opens where the model has no shortcut; its digest."""
    config, weights = model.config.model_dump(mode="json"), model.state_dict()
    if model.config.shortcut:
        return save_checkpoint(folder, config, weights, CLASS)
    config.pop("shortcut")
    return save_checkpoint(folder, config, weights, PUBLISHED[0], weights_name=_WEIGHTS)


def load_upsampler(folder: Path | str, *, device: str | torch.device = "cpu") -> LatentUpsampler:
    """The upsampler in a folder, in eval mode.

    Raises:
        AiprodError: missing, damaged, of another kind, or a published one that scales by another factor than 2.
    """
    with building(folder):
        files = open_checkpoint(folder, require_digest=False)
        if files.class_name not in (CLASS, *PUBLISHED):
            what = f"{folder} holds a {files.class_name}, not a latent upsampler"
            raise AiprodError(what, f"give a folder of one of {', '.join((CLASS, *PUBLISHED))}")
        ours = files.class_name == CLASS
        config, tensors = files.config if ours else _ours(folder, files.class_name, files.config), files.tensors(device)
        with torch.device("meta"):
            model = LatentUpsampler(LatentUpsamplerConfig.model_validate(config))
        strict_load(model, tensors if ours else _plain(tensors), str(folder), device)
    return model.eval()


def _ours(folder: Path | str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a published upsampler in our words."""
    known = {
        "in_channels": 128,
        "num_blocks_per_stage": 4,
        "dims": 3,
        "spatial_upsample": True,
        "temporal_upsample": False,
        **_DEFAULTS[name],
        **{key: value for key, value in config.items() if not key.startswith("_")},
    }
    scale, rational = known.pop("rational_spatial_scale", 2.0), known.pop("use_rational_resampler", False)
    if rational and known["spatial_upsample"] and not known["temporal_upsample"] and scale != 2.0:
        raise AiprodError(
            f"{folder} makes latents {scale:g} times as large, and two stages need 2", "use the upsampler of factor 2"
        )
    return {**known, "shortcut": False}


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The keys of LTX-Video: LTX-2 keeps the convolution inside a resampler, whose blur does nothing at factor 2."""
    blur = tensors.get(_BLUR)
    if blur is not None and list(blur.shape) == [1, 1, _TAPS, _TAPS]:
        tensors = {key: value for key, value in tensors.items() if key != _BLUR}
    return {
        _PLAIN + key.removeprefix(_RATIONAL) if key.startswith(_RATIONAL) else key: value
        for key, value in tensors.items()
    }
