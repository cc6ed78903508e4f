"""Model mathematics on torch alone: types, components, transformer, VAEs, text encoder, loader.

Public names are loaded on first use, so that importing one of them does not import them all.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "errors": "CoreError",
    "types": "AudioCompression AudioLatentShape AudioShape GenerationConfig LatentState ModalityType VideoCompression "
    "VideoLatentShape VideoPixelShape",
    "conditioning": "apply_conditions FrameCondition KeyframeCondition MaskCondition ReferenceVideoCondition "
    "TemporalRegionCondition",
    "perturbations": "Perturbation PerturbationSet PerturbationType",
    "components.schedulers": "AdaptiveFlowScheduler VFlowScheduler",
    "components.guiders": "AdaptiveProjectedGuider ClassifierFreeGuider MultiModalGuider",
    "components.diffusion_steps": "AncestralFlowStep EulerFlowStep HeunFlowStep NoiserStep ResFlowStep",
    "components.noiser": "Noiser",
    "components.patchifier": "AudioLatentPatchifier VideoLatentPatchifier",
    "transformer.config": "AVTransformerConfig",
    "transformer.costs": "Workload count_flops count_parameters",
    "transformer.modality": "AVOutput ModalityInput",
    "transformer.model": "AVTransformer",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
