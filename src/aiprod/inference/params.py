"""How to sample: the ``generation`` section of the parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from aiprod.base.params import Params
from aiprod.core.components.diffusion_steps import SamplerName
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.models.artifacts import TrainingRecord


class GenerationParams(Params):
    """How to sample. The size is that of a curriculum phase."""

    phase: str = Field(default="", description="whose size and length are generated; empty: the last phase")
    steps: int = Field(default=20, ge=1, le=1000)
    step: SamplerName = "euler"
    video_guidance: float = Field(default=3.0, ge=0, le=100)
    audio_guidance: float = Field(default=3.0, ge=0, le=100)
    perturbed_guidance: float = Field(default=0.0, ge=0, le=100)
    perturbed_blocks: list[Annotated[int, Field(ge=0, le=1000)]] = []
    modality_guidance: float = Field(default=1.0, ge=0, le=100)
    guidance_rescale: float = Field(default=0.0, ge=0, le=1)
    guider: Literal["multimodal", "projected"] = "multimodal"
    two_stage: bool = Field(
        default=False, description="steps at half size, then the model's upsampler, then refine_steps at full size"
    )
    refine_steps: int = Field(default=3, ge=1, le=1000, description="of the second stage")
    refine_sigma: float = Field(default=0.6, gt=0, le=1, description="noise level at which the second stage begins")

    def config(self, record: TrainingRecord) -> GenerationConfig:
        """Complete, with the size of the phase.

        Raises:
            AiprodError: the model was not trained in that phase.
        """
        name = self.phase or record.phase_order[-1]
        if name not in record.phases:
            raise AiprodError(f"the model knows no phase {name!r}", f"use one of {', '.join(record.phase_order)}")
        size = record.phases[name]
        values = self.model_dump(exclude={"phase"})
        try:
            return GenerationConfig(
                frames=size["frames"], height_px=size["height"], width_px=size["width"], fps=size["fps"], **values
            )
        except ValidationError as error:
            raise AiprodError(f"params.yaml: sample: {error.errors()[0]['msg']}", "fix the value") from None


def made_by(record: TrainingRecord, config: GenerationConfig) -> dict[str, Any]:
    """What the description of a result says of the models and settings that made it."""
    used = {"upsampler_digest": record.upsampler.digest} if config.two_stage and record.upsampler is not None else {}
    return {
        "model_digest": record.model_digest,
        **used,
        "dataset_root": record.dataset_root,
        "settings": config.model_dump(mode="json", exclude={"seed"}),
    }
