"""Text to video with sound: the preset of one task that generates both."""

from __future__ import annotations

from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.data.latents.dataset import LatentDataset
from aiprod.data.latents.tasks import preset
from aiprod.trainer.diffusion.tasks import DiffusionTaskParams, TaskTrainer


class TextToVideoTrainer(TaskTrainer):
    """:class:`TaskTrainer` for text to video, in a share of the samples with a first frame."""

    def __init__(
        self,
        dataset: LatentDataset,
        video: VideoLatentPatchifier,
        audio: AudioLatentPatchifier,
        params: DiffusionTaskParams,
        seed: int,
    ) -> None:
        super().__init__(
            dataset, video, audio, params, seed, tasks=preset("text_to_video", params.first_frame, reference=None)
        )
