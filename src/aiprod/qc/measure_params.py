"""Parameters of the stage qc_measure. Units are in the names; unknown keys are errors.

They stand apart from the policy, so that a change to a limit or its default measures nothing anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aiprod.base.checkpoint_identity import pinned
from aiprod.base.files import digest_of, sha256_file
from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.qc.bundled.catalogue import BUNDLED, BY_ALL, Use, missing


class NsfwParams(Params):
    """An image classifier for unsafe content, in the transformers format; none is part of this program."""

    checkpoint: str = Field(default="", description="its folder, or a name on the hub; empty = nothing is evaluated")
    revision: str = Field(default="", description="of a hub name: the commit, 40 hex digits")


class QcMeasureParams(Params):
    """How clips are sampled. Nothing here is a threshold of the policy."""

    plane_width_px: int = Field(default=320, ge=64, le=640, description="greatest width of the small plane")
    stills: int = Field(default=6, ge=1, le=64, description="full-size frames for faces, blur, blockiness, palette")
    flow_pairs: int = Field(default=12, ge=2, le=200, description="frame pairs for camera motion")
    flow_gap_s: float = Field(default=0.04, gt=0, le=1, description="time between the frames of a pair")
    watermark_frames: int = Field(default=24, ge=4, le=128, description="small planes for the overlay search")
    face_stills: int = Field(default=5, ge=1, le=64, description="how many of the stills are searched for faces")
    face_height_px: int = Field(default=288, ge=120, le=1080, description="height at which faces are looked for")
    face_yunet_onnx: str = Field(
        default="", description="file of the YuNet face detector; empty = the cascades that OpenCV brings along"
    )
    thumbnail_width_px: int = Field(default=160, ge=32, le=640)
    sound_max_s: float = Field(
        default=600.0, gt=0, le=7200, description="sound beyond this is not decoded (memory bound)"
    )
    decoded_gigapixels_max: float = Field(
        default=40.0, gt=0, description="more than this of one clip is not decoded: a bound on time (80 s of 4K60)"
    )
    nsfw: NsfwParams = NsfwParams()
    models: Literal["none", "all"] | list[Use] = Field(
        default="none",
        description="uses of bundled networks: none, all (but shots), or a list of text, faces, persons, speech, nsfw, "
        "lips, shots",
    )
    workers: int = Field(default=0, ge=0, le=256, description="worker processes; 0 = one per core")
    clip_timeout_s: float = Field(
        default=300.0, ge=1, description="a clip that takes longer gets a row with status error"
    )
    memory_gib: float = Field(default=3.0, ge=0.25, description="resident memory of one worker")

    @property
    def uses(self) -> frozenset[Use]:
        """What bundled networks are asked for."""
        if isinstance(self.models, str):
            return frozenset(BY_ALL if self.models == "all" else ())
        return frozenset(self.models)

    @property
    def files(self) -> dict[str, Path]:
        """Parameter → the file or folder of this machine that it names."""
        named = {"nsfw": self.nsfw.checkpoint, "face_yunet_onnx": self.face_yunet_onnx}
        return {name: Path(path) for name, path in named.items() if path and Path(path).exists()}

    def with_files(self, at: Mapping[str, Path]) -> QcMeasureParams:
        """With the files of :attr:`files` where they are on another machine."""
        changed: dict[str, Any] = {}
        if "nsfw" in at:
            changed["nsfw"] = self.nsfw.model_copy(update={"checkpoint": str(at["nsfw"])})
        if "face_yunet_onnx" in at:
            changed["face_yunet_onnx"] = str(at["face_yunet_onnx"])
        return self.model_copy(update=changed)

    def work_digest(self) -> str:
        """SHA-256 of what a clip's result depends on, a classifier's and a face detector's bytes too, and which bundled
        networks are installed; workers and bounds are none of it, nor is the place of a face detector.

        Raises:
            AiprodError: a classifier is named by a name without its commit, or the face detector is not there.
        """
        apart = {"workers", "clip_timeout_s", "memory_gib", "nsfw", "face_yunet_onnx", "models"}
        shape = self.model_dump(mode="json", exclude=apart)
        named = self.nsfw.checkpoint
        return digest_of(
            [
                shape,
                pinned(named, self.nsfw.revision, "qc_measure.nsfw") if named else None,
                *([yunet_sha256(self.face_yunet_onnx)] if self.face_yunet_onnx else []),
                *[[use, None if missing(use) else BUNDLED[use].identity()] for use in sorted(self.uses)],
            ]
        )


def yunet_sha256(onnx: str) -> str:
    """SHA-256 of a face detector's file, which results are pinned by.

    Raises:
        AiprodError: it is no file that can be read here.
    """
    try:
        return sha256_file(Path(onnx))
    except OSError as error:
        raise AiprodError(
            f"qc_measure.face_yunet_onnx: {onnx} cannot be read ({error.strerror})",
            "name the ONNX file of YuNet, or leave the parameter empty for the cascades that OpenCV brings along",
        ) from None
