"""Sampling in two stages: at half size with most of the steps, then upsampled, noised and refined at full size."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from aiprod.core.components.patchifier import VideoLatentPatchifier
from aiprod.core.generation import GenerationConfig
from aiprod.core.latent_upsampler import LatentUpsampler, smaller
from aiprod.core.types import VideoCompression
from aiprod.errors import AiprodError, CoreError
from aiprod.inference.request import Request, VideoCondition

Factors = tuple[int, int, int]


def first_stage(
    config: GenerationConfig,
    upsampler: LatentUpsampler | None,
    compression: VideoCompression,
    patches: VideoLatentPatchifier,
) -> GenerationConfig:
    """The settings of the first stage.

    Raises:
        AiprodError: the model has no upsampler, or the size has no half.
    """
    if upsampler is None:
        raise AiprodError(
            "this model has no latent upsampler, which the second of two stages needs",
            "train one (train_diffusion.upsampler.steps above 0), or sample in one stage",
        )
    factors, patch = upsampler.config.factors, patches.patch
    cell = (compression.time, compression.height * patch[1], compression.width * patch[2])
    try:
        frames, height, width = smaller((config.frames, config.height_px, config.width_px), factors, cell)
    except CoreError as error:
        raise AiprodError(error.what, error.hint) from None
    if (1 + (frames - 1) // compression.time) % patch[0]:
        raise AiprodError(f"half of {config.frames} frames is {frames}, which makes no whole tokens", "use one stage")
    halved = {"frames": frames, "height_px": height, "width_px": width, "fps": config.fps / factors[0]}
    return config.model_copy(update=halved)


def halved(request: Request, factors: Factors) -> Request:
    """A request whose pictures have the size and rate of the first stage; a pixel is kept where all of it is."""
    if factors == (1, 1, 1):
        return request
    time, height, width = factors
    video = request.video
    if video is not None:
        kept = video.kept[::time]
        blocks = kept.reshape(len(kept), kept.shape[1] // height, height, kept.shape[2] // width, width)
        video = VideoCondition(_film(video.pictures, factors), np.asarray(blocks.all(axis=(2, 4))))
    return replace(
        request,
        first_frame=None if request.first_frame is None else _picture(request.first_frame, height, width),
        stills=tuple((number // time, _picture(picture, height, width)) for number, picture in request.stills),
        reference=None if request.reference is None else _film(request.reference, factors),
        source=None if request.source is None else _film(request.source, factors),
        video=video,
    )


def _film(pictures: np.ndarray, factors: Factors) -> np.ndarray:
    time, height, width = factors
    return np.stack([_picture(picture, height, width) for picture in pictures[::time]])


def _picture(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    size = (picture.shape[1] // width, picture.shape[0] // height)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
