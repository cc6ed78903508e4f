"""What to generate and how."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from aiprod.core.components.diffusion_steps import SamplerName
from aiprod.core.types import AudioCompression, AudioShape, VideoPixelShape


class GenerationConfig(BaseModel):
    """What to generate and how; every bound is checked when it is made.

    Guidance scales of 1 (text, modality) and 0 (perturbed) switch that guidance, and its extra model call, off. The
    guider ``projected`` (APG) follows the text alone. With ``two_stage``, ``steps`` are made at half size, the latent
    is upsampled and noised to ``refine_sigma``, and ``refine_steps`` follow at full size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    frames: int = Field(25, ge=1, le=100_000)
    height_px: int = Field(64, ge=8, le=16_384)
    width_px: int = Field(112, ge=8, le=16_384)
    fps: float = Field(12.0, gt=0, le=240)
    audio: bool = True
    steps: int = Field(20, ge=1, le=1000)
    step: SamplerName = "euler"
    seed: int = Field(0, ge=0, lt=2**63)
    video_guidance: float = Field(3.0, ge=0, le=100)
    audio_guidance: float = Field(3.0, ge=0, le=100)
    perturbed_guidance: float = Field(0.0, ge=0, le=100)
    perturbed_blocks: tuple[int, ...] = ()
    modality_guidance: float = Field(1.0, ge=0, le=100)
    guidance_rescale: float = Field(0.0, ge=0, le=1)
    guider: Literal["multimodal", "projected"] = "multimodal"
    eta: float = Field(1.0, ge=0, le=1)
    two_stage: bool = False
    refine_steps: int = Field(3, ge=1, le=1000)
    refine_sigma: float = Field(0.6, gt=0, le=1)

    @property
    def all_steps(self) -> int:
        """Steps of both stages."""
        return self.steps + (self.refine_steps if self.two_stage else 0)

    def video(self, batch: int = 1) -> VideoPixelShape:
        """Size of the video to make."""
        return VideoPixelShape(batch, self.frames, self.height_px, self.width_px, self.fps)

    def sound(self, compression: AudioCompression, batch: int = 1) -> AudioShape:
        """Size of the sound that lasts as long as the video, rounded up to whole latents."""
        latents = -(-round(self.frames / self.fps * compression.sample_rate) // compression.hop)
        return AudioShape(batch, max(latents, 1) * compression.hop, compression.sample_rate)
