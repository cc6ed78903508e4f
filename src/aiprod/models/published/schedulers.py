"""The sampler's settings that diffusers' conversion scripts write for these families (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiprod.models.published.parts import Part


def scheduler_of(wan: bool, vae: Part | None, names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Class and settings.

    Args:
        vae: of the pipeline; Wan 2.2's 5B is known by its residual autoencoder.
        names: of the files; distilled checkpoints of LTX-2 are known by theirs alone.
    """
    if wan:
        small = vae is not None and bool(vae.config.get("is_residual"))
        return "UniPCMultistepScheduler", {
            "prediction_type": "flow_prediction",
            "use_flow_sigmas": True,
            "num_train_timesteps": 1000,
            "flow_shift": 5.0 if small else 3.0,
        }
    distilled = any("distilled" in name for name in names)
    return "FlowMatchEulerDiscreteScheduler", {
        "use_dynamic_shifting": not distilled,
        "base_shift": 0.95,
        "max_shift": 2.05,
        "base_image_seq_len": 1024,
        "max_image_seq_len": 4096,
        "shift_terminal": None if distilled else 0.1,
    }
