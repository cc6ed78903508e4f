"""Training: strategies, VAE trainers, losses, curriculum, EMA, checkpoints, the loop."""

from __future__ import annotations

import importlib
import os
from typing import Any

# Idle OpenMP threads sleep instead of spinning: on a busy machine spinning ones slow each other down many times over.
# It is read when torch first starts its threads, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_MODULES = {
    "BaseStrategy": "strategy",
    "CheckpointStore": "checkpoints",
    "CurriculumConfig": "curriculum",
    "CurriculumScheduler": "curriculum",
    "Ema": "ema",
    "ExposureLedger": "exposure",
    "PhaseConfig": "curriculum",
    "PhaseDuration": "curriculum",
    "TextToVideoTrainer": "text_to_video",
    "VideoToVideoTrainer": "video_to_video",
    "AudioVAELoss": "losses",
    "AudioVAETrainer": "vae_audio",
    "PerceptualLoss": "perceptual",
    "SpectralLoss": "losses",
    "VAETrainer": "vae_trainer",
    "VAETrainerConfig": "vae_trainer",
    "VideoVAELoss": "losses",
    "VideoVAETrainer": "vae_video",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
