"""How a video autoencoder compresses, by its configuration alone: for who plans clips and encodes none."""

from __future__ import annotations

from pathlib import Path

import torch

from aiprod.core.types import VideoCompression
from aiprod.core.vae.video import VideoVAE
from aiprod.errors import CheckpointError, words_of
from aiprod.models.adapters.autoencoders import VIDEO_CLASSES, DiffusersVideoVAE
from aiprod.models.checkpoint.folder import open_checkpoint

_OWN = VideoVAE.__name__


def video_compression(folder: Path | str) -> VideoCompression:
    """What :func:`~aiprod.models.adapters.autoencoders.load_video_vae` would give of that folder; no weight is read.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    files = open_checkpoint(folder, require_digest=False)
    if files.class_name not in (_OWN, *VIDEO_CLASSES):
        known = ", ".join((_OWN, *VIDEO_CLASSES))
        raise CheckpointError(f"{folder} holds a {files.class_name}, not one of {known}", "give another folder")
    try:
        if files.class_name == _OWN:
            return VideoVAE.config_class.model_validate(dict(files.config)).compression
        import diffusers

        with torch.device("meta"):
            return DiffusersVideoVAE(getattr(diffusers, files.class_name).from_config(dict(files.config))).compression
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}/config.json does not describe a {files.class_name} ({words_of(error)})", "restore it"
        ) from None
