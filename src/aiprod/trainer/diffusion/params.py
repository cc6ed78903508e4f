"""Section ``train_diffusion``: what is trained, from which weights, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from aiprod.base.params import Params, nearest, validate
from aiprod.base.values import refuse_odd
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.data.latents.tasks import ConditionParams, TaskParams, preset, refuse_odd_mix
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.lora import LoraParams
from aiprod.trainer.diffusion.tasks import DiffusionTaskParams
from aiprod.trainer.diffusion.upsampler import UpsamplerParams
from aiprod.trainer.loop.accelerator import Precision
from aiprod.trainer.loop.launch import LaunchParams
from aiprod.trainer.loop.loop import LoopParams
from aiprod.trainer.loop.optimizers import OptimizerParams

Cells = Annotated[int, Field(ge=1, le=64)]


class ReferenceParams(Params):
    """What the reference of a clip is, for ``strategy: video_to_video``."""

    kind: Literal["coarse"] = Field(
        default="coarse", description="the clip itself, its latent averaged over blocks of cells (restoration)"
    )
    block: int = Field(default=2, ge=1, le=1024, description="latent cells on a side of a block")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of the samples that see no reference")

    def condition(self) -> ConditionParams:
        """As a condition of a task."""
        return ConditionParams(kind="reference", probability=1 - self.dropout, block=self.block)


class TransformerParams(Params):
    """Size of a new transformer. A given one (``init``) keeps its own."""

    preset: str = Field(default="demo", description="a name of core.transformer.config.AVTransformerConfig.presets()")
    changes: dict[str, bool | int | float | list[float]] = Field(
        default={}, description="fields that differ from the preset"
    )
    video_patch: tuple[Cells, Cells, Cells] = Field(default=(1, 1, 1), description="latent cells per token: (t, y, x)")
    picture_gains: float = Field(
        default=0.0, ge=0, le=1, description="0: all latent channels alike; 1: scaled by what each does to the picture"
    )
    text_tokens: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="length that text is padded to; only for Wan; none: as its text encoder says (UMT5: 512)",
    )
    sound: bool = Field(
        default=True, description="false: pictures alone of a given model with sound (LTX-2, if without its audio VAE)"
    )

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in AVTransformerConfig.presets():
            raise ValueError(f"there is no preset {preset!r} → {nearest(preset, list(AVTransformerConfig.presets()))}")
        return preset

    @field_validator("changes", mode="before")
    @classmethod
    def _as_the_transformer_reads_them(cls, changes: Any, info: ValidationInfo) -> Any:
        if isinstance(changes, dict) and "preset" in info.data:
            names = list(AVTransformerConfig.model_fields)
            unknown = [str(name) for name in changes if name not in names]
            if unknown:
                raise ValueError(f"unknown key {unknown[0]!r} → {nearest(unknown[0], names)}")
            for name, value in changes.items():
                try:
                    refuse_odd(value, AVTransformerConfig.model_fields[name])
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from None
            try:
                validate(
                    AVTransformerConfig, AVTransformerConfig.preset_values(info.data["preset"]) | changes, "changes"
                )
            except AiprodError as error:
                raise ValueError(f"{error.what.removeprefix('changes.')} → {error.hint}") from None
        return changes


class ValidationParams(Params):
    """What is generated at the end of each phase, with the averaged weights, to be looked at."""

    prompts: list[str] = Field(default=[], description="fixed prompts; prompt n gets seed + n")
    steps: int = Field(default=8, ge=1, le=1000)
    guidance: float = Field(default=3.0, ge=0, le=100)


class TrainDiffusionParams(Params):
    """Train the diffusion transformer, or fine-tune a public one."""

    init: str | None = Field(
        default=None,
        min_length=1,
        description="transformer to fine-tune: ours, or LTX, LTX-2 or Wan of diffusers; none: a new one",
    )
    lora: LoraParams | None = Field(default=None, description="train adapters of `init`; none: all weights")
    transformer: TransformerParams = TransformerParams()
    task: DiffusionTaskParams = DiffusionTaskParams()
    optimizer: OptimizerParams = OptimizerParams()
    loop: LoopParams = LoopParams()
    repeats: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field(
        default={}, description="source → how often its clips occur per epoch (default 1; 0.5: every other; 0: never)"
    )
    precision: Precision = "no"
    compile: bool = False
    gradient_checkpointing: bool = Field(
        default=False, description="keep what enters each block, and compute the rest again in the backward pass"
    )
    swap_blocks: int = Field(
        default=0, ge=0, le=1000, description="blocks that stay in CPU memory and come to the GPU in turn; 0: none"
    )
    launch: LaunchParams = LaunchParams()
    threads: int = Field(default=0, ge=0, le=1024, description="for torch on CPU; 0: the quicker number, measured")
    strategy: Literal["text_to_video", "video_to_video"] = "text_to_video"
    reference: ReferenceParams = ReferenceParams()
    validation: ValidationParams = ValidationParams()
    upsampler: UpsamplerParams = UpsamplerParams()

    @field_validator("task")
    @classmethod
    def _first_frame_is_a_token(cls, task: DiffusionTaskParams, info: ValidationInfo) -> DiffusionTaskParams:
        transformer = info.data.get("transformer")  # absent where it is itself invalid
        if task.first_frame and task.tasks:
            raise ValueError(
                f"first_frame is {task.first_frame:g} beside tasks → set it to 0 and give the condition first_frame to"
                " the video of a task"
            )
        if transformer is None:
            return task
        if task.first_frame and transformer.video_patch[0] > 1:
            raise ValueError(
                f"first_frame is {task.first_frame:g} and a token of transformer.video_patch spans"
                f" {transformer.video_patch[0]} latent frames, so the first cannot be given alone: set first_frame to"
                " 0, or video_patch[0] to 1"
            )
        refuse_odd_mix(task.tasks, transformer.video_patch[0], transformer.sound)
        return task

    @model_validator(mode="after")
    def _swapping_frees_memory(self) -> TrainDiffusionParams:
        if self.swap_blocks and not self.gradient_checkpointing:
            raise ValueError(
                f"swap_blocks is {self.swap_blocks} without gradient_checkpointing, so the backward pass would keep"
                " every copy → set gradient_checkpointing to true, or swap_blocks to 0"
            )
        if self.swap_blocks and self.compile:
            raise ValueError(
                f"swap_blocks is {self.swap_blocks} beside compile: true, whose one graph holds all weights → set"
                " one of them to its default"
            )
        return self

    @model_validator(mode="after")
    def _one_declaration(self) -> TrainDiffusionParams:
        if self.task.tasks and self.strategy != "text_to_video":
            raise ValueError(
                f"strategy is {self.strategy} beside task.tasks → set it to text_to_video and give the condition"
                " reference to the video of a task"
            )
        return self

    def declared(self) -> list[TaskParams]:
        """The tasks that are trained, presets written out."""
        return self.task.tasks or preset(self.strategy, self.task.first_frame, self.reference.condition())
