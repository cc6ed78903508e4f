"""Where the trained models lie, what they are called in digests, and what a diffusion model says about its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.files import read_json
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.folder import folder_digest

MODELS = Path("models")
CLASS_NAME = "AVTransformer"
TRANSFORMER = "diffusion/transformer"
TRAINING = "diffusion/training.json"
EXPOSURE = "diffusion/exposure.json"
LATENT_MAKERS = ("video_vae", "audio_vae", "text_encoder")


class UpsamplerRecord(BaseModel):
    """The latent upsampler of two-stage sampling, in ``upsampler`` beside the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    space: int = Field(description="how much larger height and width become")
    time: int = Field(description="how much faster the frames follow each other")
    steps: int = Field(
        description="0 if it was copied from a checkpoint; its training clips are in phase upsampler of the ledger"
    )


class TrainingRecord(BaseModel):
    """What is beside the weights as ``training.json``: all that a sampler has to know about how they were trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_digest: str
    made_with: dict[str, str] = Field(description="latent maker → digest")
    dataset_root: str = Field(description="Merkle root of the latent manifest")
    phases: dict[str, dict[str, Any]] = Field(description="phase → size, length and rate of its clips")
    phase_order: list[str] = Field(description="names as they followed each other; JSON objects have no order")
    steps: int
    strategy: str
    text_quantize: Literal["int8"] | None = None
    video_patch: tuple[int, int, int]
    video_gains: list[float] = Field(default=[], description="factor of each latent channel in tokens; empty: none")
    heldout: list[dict[str, str]] = Field(description="clip_id and caption of clips that were held out")
    settings: dict[str, Any]
    upsampler: UpsamplerRecord | None = Field(default=None, description="none: samples are made in one stage")

    @property
    def first_frame(self) -> float | None:
        """Share of the samples that were trained with their first frame given; None where the record does not say."""
        share = self.settings.get("params", {}).get("task", {}).get("first_frame")
        return None if share is None else float(share)


def latent_maker_digests(models: Path = MODELS) -> dict[str, str]:
    """Digest of each model that latents depend on.

    Raises:
        AiprodError: one is missing.
    """
    for name in LATENT_MAKERS:
        if not (models / name).is_dir():
            raise AiprodError(f"{models / name} does not exist", "run `dvc repro` to make it")
    return {name: folder_digest(models / name) for name in LATENT_MAKERS}


def read_record(models: Path = MODELS) -> TrainingRecord:
    """Read ``training.json``.

    Raises:
        AiprodError: missing or invalid.
    """
    try:
        return TrainingRecord.model_validate(read_json(models / TRAINING))
    except ValidationError as error:
        raise AiprodError(f"{models / TRAINING} is invalid ({error.errors()[0]['msg']})", "run `dvc repro`") from None
