"""What a model is trained to do: of each modality what is generated, given or absent, and under which conditions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from aiprod.base.params import Params

Role = Literal["generated", "given", "absent"]
Kind = Literal["first_frame", "last_frame", "keyframes", "prefix", "suffix", "mask", "crop", "reference"]
Share = Annotated[float, Field(ge=0, le=1)]

STILLS: tuple[Kind, ...] = ("first_frame", "last_frame", "keyframes")
AUDIO_KINDS: tuple[Kind, ...] = ("prefix", "suffix", "mask", "reference")
_TAKES = {
    "keyframes": {"count"},
    "prefix": {"seconds"},
    "suffix": {"seconds"},
    "mask": {"share", "boxes"},
    "crop": {"share"},
    "reference": {"block", "small", "every"},
}  # kind → what it takes besides its probability


class ConditionParams(Params):
    """One part of a modality that is given in some of the samples."""

    kind: Kind
    probability: float = Field(default=1.0, gt=0, le=1, description="share of the task's samples that have it")
    count: int = Field(default=1, ge=1, le=1024, description="keyframes: maximum number of latent frames")
    seconds: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = Field(
        default=(0.25, 0.5), description="prefix, suffix: shortest and longest stretch that is given"
    )
    share: tuple[Share, Share] = Field(
        default=(0.25, 0.75),
        description="mask: of each side, or of the length of sound, that is made; crop: of each side that is given",
    )
    boxes: list[tuple[Share, Share, Share, Share]] = Field(
        default=[],
        max_length=64,
        description="mask: (left, top, right, bottom) of the generated region, in shares of the frame; empty: random",
    )
    block: int = Field(default=2, ge=1, le=1024, description="reference: latent cells on a side that are averaged")
    small: bool = Field(default=False, description="reference: one cell a block, instead of all")
    every: int = Field(default=1, ge=1, le=1024, description="reference: keep one of this many token frames")

    @model_validator(mode="after")
    def _takes(self) -> ConditionParams:
        own = {"kind", "probability"} | _TAKES.get(self.kind, set())
        for name, field in type(self).model_fields.items():
            if name not in own and getattr(self, name) != field.default:
                takes = ", ".join(sorted(_TAKES.get(self.kind, {"probability alone"})))
                raise ValueError(f"{self.kind} takes no {name!r} → it takes {takes}")
        for name in ("seconds", "share"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} {low:g} to {high:g} is not a range → give the smaller number first")
        for left, top, right, bottom in self.boxes:
            if left >= right or top >= bottom:
                raise ValueError("a box of boxes is empty → give left < right and top < bottom")
        return self


class ModalityParams(Params):
    """What becomes of one modality."""

    role: Role = Field(default="generated", description="given: all of it is clean and not trained on")
    conditions: list[ConditionParams] = Field(default=[], description="in the order in which they are drawn")

    def find(self, kind: Kind) -> ConditionParams | None:
        """The condition of a kind, if there is one."""
        return next((condition for condition in self.conditions if condition.kind == kind), None)

    @model_validator(mode="after")
    def _together(self) -> ModalityParams:
        kinds = [condition.kind for condition in self.conditions]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ValueError(f"{kind} is given twice → give each kind once")
        if self.role != "generated" and kinds:
            raise ValueError(f"what is {self.role} has the condition {kinds[0]} → only what is generated may")
        if "mask" in kinds and "crop" in kinds:
            raise ValueError("mask and crop are both set → make them two tasks, since both say what is kept")
        return self


class TaskParams(Params):
    """One task of a mix."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_]+$")
    weight: float = Field(default=1.0, gt=0, le=1e6, description="relative frequency")
    video: ModalityParams = ModalityParams()
    audio: ModalityParams = ModalityParams()

    @property
    def modalities(self) -> tuple[tuple[Literal["video", "audio"], ModalityParams], ...]:
        """Both, by name."""
        return ("video", self.video), ("audio", self.audio)

    @model_validator(mode="after")
    def _sound_sense(self) -> TaskParams:
        if all(part.role != "generated" for _, part in self.modalities):
            raise ValueError(f"task {self.name!r} generates nothing → set the role of video or audio to generated")
        for condition in self.audio.conditions:
            if condition.kind not in AUDIO_KINDS:
                raise ValueError(
                    f"task {self.name!r}: audio has no {condition.kind} → it takes {', '.join(AUDIO_KINDS)}"
                )
            if condition.boxes or condition.every != 1:
                raise ValueError(f"task {self.name!r}: boxes and every are of video → leave them out of audio")
        if self.audio.find("mask") and (self.audio.find("prefix") or self.audio.find("suffix")):
            raise ValueError(
                f"task {self.name!r}: mask of audio beside prefix or suffix may leave nothing to make → make two tasks"
            )
        return self


def refuse_odd_mix(tasks: list[TaskParams], patch_frames: int, sound: bool) -> None:
    """Refuse tasks that cannot stand together, or that a model of this shape cannot learn.

    Args:
        patch_frames: latent frames in a token.
        sound: whether the model has an audio stream.

    Raises:
        ValueError: says which task and what about it.
    """
    names = [task.name for task in tasks]
    for task in tasks:
        if names.count(task.name) > 1:
            raise ValueError(f"two tasks are called {task.name!r} → give each a name of its own")
        needs_sound = task.audio.role == "given" or task.video.role != "generated"
        if needs_sound and not sound:
            raise ValueError(
                f"task {task.name!r} needs sound and transformer.sound is false → drop the task, or set sound to true"
            )
        for kind in STILLS:
            if task.video.find(kind) and patch_frames > 1:
                raise ValueError(
                    f"task {task.name!r} has {kind} and a token of transformer.video_patch spans {patch_frames} latent"
                    f" frames, so that none can be given alone → drop {kind}, or set video_patch[0] to 1"
                )


def preset(strategy: str, first_frame: float, reference: ConditionParams | None) -> list[TaskParams]:
    """The tasks that the names ``text_to_video`` and ``video_to_video`` stand for.

    Args:
        first_frame: share of the samples that have their first frame given.
        reference: of video to video.
    """
    conditions = [ConditionParams(kind="first_frame", probability=first_frame)] if first_frame else []
    if strategy == "video_to_video" and reference is not None:
        conditions.append(reference)
    return [TaskParams(name=strategy, video=ModalityParams(conditions=conditions))]


def tasks_of(params: dict[str, Any]) -> list[TaskParams]:
    """The tasks of a training from the record of its parameters (section ``train_diffusion``), presets written out."""
    task = params.get("task", {})
    if task.get("tasks"):
        return [TaskParams.model_validate(one) for one in task["tasks"]]
    strategy, section = params.get("strategy", "text_to_video"), params.get("reference", {})
    reference = ConditionParams(
        kind="reference", probability=1 - section.get("dropout", 0.0), block=section.get("block", 2)
    )
    return preset(strategy, task.get("first_frame", 0.0), reference)
