"""Model mathematics on torch alone: types, components, transformer, VAEs.

Public names are loaded on first use, so that importing one of them does not import them all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.core.components.diffusion_steps import AncestralFlowStep as AncestralFlowStep
    from aiprod.core.components.diffusion_steps import EulerFlowStep as EulerFlowStep
    from aiprod.core.components.diffusion_steps import HeunFlowStep as HeunFlowStep
    from aiprod.core.components.diffusion_steps import NoiserStep as NoiserStep
    from aiprod.core.components.diffusion_steps import ResFlowStep as ResFlowStep
    from aiprod.core.components.guiders import AdaptiveProjectedGuider as AdaptiveProjectedGuider
    from aiprod.core.components.guiders import ClassifierFreeGuider as ClassifierFreeGuider
    from aiprod.core.components.guiders import MultiModalGuider as MultiModalGuider
    from aiprod.core.components.noiser import Noiser as Noiser
    from aiprod.core.components.patchifier import AudioLatentPatchifier as AudioLatentPatchifier
    from aiprod.core.components.patchifier import VideoLatentPatchifier as VideoLatentPatchifier
    from aiprod.core.components.schedulers import AdaptiveFlowScheduler as AdaptiveFlowScheduler
    from aiprod.core.components.schedulers import VFlowScheduler as VFlowScheduler
    from aiprod.core.conditioning import FrameCondition as FrameCondition
    from aiprod.core.conditioning import KeyframeCondition as KeyframeCondition
    from aiprod.core.conditioning import MaskCondition as MaskCondition
    from aiprod.core.conditioning import ReferenceVideoCondition as ReferenceVideoCondition
    from aiprod.core.conditioning import TemporalRegionCondition as TemporalRegionCondition
    from aiprod.core.conditioning import apply_conditions as apply_conditions
    from aiprod.core.generation import GenerationConfig as GenerationConfig
    from aiprod.core.perturbations import Perturbation as Perturbation
    from aiprod.core.perturbations import PerturbationSet as PerturbationSet
    from aiprod.core.perturbations import PerturbationType as PerturbationType
    from aiprod.core.protocols import AudioAutoencoder as AudioAutoencoder
    from aiprod.core.protocols import ConditioningItem as ConditioningItem
    from aiprod.core.protocols import DiffusionStep as DiffusionStep
    from aiprod.core.protocols import Guider as Guider
    from aiprod.core.protocols import Scheduler as Scheduler
    from aiprod.core.protocols import TextEncoder as TextEncoder
    from aiprod.core.protocols import VideoAutoencoder as VideoAutoencoder
    from aiprod.core.text_features import TextFeatures as TextFeatures
    from aiprod.core.transformer.config import AVTransformerConfig as AVTransformerConfig
    from aiprod.core.transformer.costs import Workload as Workload
    from aiprod.core.transformer.costs import count_flops as count_flops
    from aiprod.core.transformer.costs import count_parameters as count_parameters
    from aiprod.core.transformer.modality import AVOutput as AVOutput
    from aiprod.core.transformer.modality import ModalityInput as ModalityInput
    from aiprod.core.transformer.model import AVTransformer as AVTransformer
    from aiprod.core.types import AudioCompression as AudioCompression
    from aiprod.core.types import AudioLatentShape as AudioLatentShape
    from aiprod.core.types import AudioShape as AudioShape
    from aiprod.core.types import LatentState as LatentState
    from aiprod.core.types import ModalityType as ModalityType
    from aiprod.core.types import VideoCompression as VideoCompression
    from aiprod.core.types import VideoLatentShape as VideoLatentShape
    from aiprod.core.types import VideoPixelShape as VideoPixelShape
    from aiprod.core.vae.audio import AudioVAE as AudioVAE
    from aiprod.core.vae.config import AudioVAEConfig as AudioVAEConfig
    from aiprod.core.vae.config import VideoVAEConfig as VideoVAEConfig
    from aiprod.core.vae.posterior import Posterior as Posterior
    from aiprod.core.vae.video import VideoVAE as VideoVAE

_MODULES = {
    "AVOutput": "transformer.modality",
    "AVTransformer": "transformer.model",
    "AVTransformerConfig": "transformer.config",
    "AdaptiveFlowScheduler": "components.schedulers",
    "AdaptiveProjectedGuider": "components.guiders",
    "AncestralFlowStep": "components.diffusion_steps",
    "AudioAutoencoder": "protocols",
    "AudioCompression": "types",
    "AudioLatentPatchifier": "components.patchifier",
    "AudioLatentShape": "types",
    "AudioShape": "types",
    "AudioVAE": "vae.audio",
    "AudioVAEConfig": "vae.config",
    "ClassifierFreeGuider": "components.guiders",
    "ConditioningItem": "protocols",
    "DiffusionStep": "protocols",
    "EulerFlowStep": "components.diffusion_steps",
    "FrameCondition": "conditioning",
    "GenerationConfig": "generation",
    "Guider": "protocols",
    "HeunFlowStep": "components.diffusion_steps",
    "KeyframeCondition": "conditioning",
    "LatentState": "types",
    "MaskCondition": "conditioning",
    "ModalityInput": "transformer.modality",
    "ModalityType": "types",
    "MultiModalGuider": "components.guiders",
    "Noiser": "components.noiser",
    "NoiserStep": "components.diffusion_steps",
    "Perturbation": "perturbations",
    "PerturbationSet": "perturbations",
    "PerturbationType": "perturbations",
    "Posterior": "vae.posterior",
    "ReferenceVideoCondition": "conditioning",
    "ResFlowStep": "components.diffusion_steps",
    "Scheduler": "protocols",
    "TemporalRegionCondition": "conditioning",
    "TextEncoder": "protocols",
    "TextFeatures": "text_features",
    "VFlowScheduler": "components.schedulers",
    "VideoAutoencoder": "protocols",
    "VideoCompression": "types",
    "VideoLatentPatchifier": "components.patchifier",
    "VideoLatentShape": "types",
    "VideoPixelShape": "types",
    "VideoVAE": "vae.video",
    "VideoVAEConfig": "vae.config",
    "Workload": "transformer.costs",
    "apply_conditions": "conditioning",
    "count_flops": "transformer.costs",
    "count_parameters": "transformer.costs",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
