"""Video to video: the preset of one task that looks at a reference clip beside the one that it makes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiprod.base.params import Params
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.data.latents.dataset import LatentDataset
from aiprod.data.latents.tasks import ConditionParams, preset
from aiprod.trainer.diffusion.tasks import DiffusionTaskParams, TaskTrainer


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


class VideoToVideoTrainer(TaskTrainer):
    """:class:`TaskTrainer` for video to video.

    References carry the positions of the tokens they stand for and noise level 0, so the model tells them apart by
    their noise level and finds them by their place. They do not count in the loss.
    """

    def __init__(
        self,
        dataset: LatentDataset,
        video: VideoLatentPatchifier,
        audio: AudioLatentPatchifier,
        params: DiffusionTaskParams,
        *,
        seed: int,
        reference: ReferenceParams,
    ) -> None:
        tasks = preset("video_to_video", params.first_frame, reference.condition())
        super().__init__(dataset, video, audio, params, seed, tasks=tasks)
