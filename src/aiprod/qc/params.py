"""Parameters of the two quality-control stages. Units are in the names; unknown keys are errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from aiprod.base.checkpoint_identity import pinned
from aiprod.base.files import digest_of, sha256_file
from aiprod.base.params import Params
from aiprod.errors import AiprodError

CheckName = Literal[
    "resolution", "fps", "audio", "aspect", "black", "watermark", "encoding", "faces", "duration", "freeze", "sync",
    "codec", "sound_codec", "sound_bitrate", "colour", "decodable", "shots", "nsfw", "text",
]  # fmt: skip
"""The checks that judge a clip by itself: ``qc.judges.JUDGES``, which reads this file and cannot be read here."""


_ALSO = {
    "h265": "hevc", "h.265": "hevc", "x265": "hevc", "hvc1": "hevc", "hev1": "hevc", "h.264": "h264", "x264": "h264",
    "avc": "h264", "avc1": "h264", "mp4a": "aac", "wav": "pcm",
}  # fmt: skip
# FFmpeg's names of what films come in; a name that is none of them is a typing error.
_KNOWN = frozenset(
    {"h264", "hevc", "av1", "vp8", "vp9", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "h263", "vc1",
     "wmv3", "theora", "dirac", "prores", "dnxhd", "cfhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "mjpeg",
     "jpeg2000", "png", "qtrle", "rawvideo", "v210", "dvvideo", "cinepak", "svq3", "flv", "aac", "mp3", "mp2",
     "pcm", "pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "opus", "vorbis", "speex", "flac", "alac",
     "wavpack", "tta", "ape", "ac3", "eac3", "truehd", "mlp", "dca", "wmav2", "wmapro", "wmalossless", "amrnb",
     "amrwb"}
)  # fmt: skip
_PCM = re.compile(r"pcm_[suf]\d")  # samples as they are; A-law, µ-law and ADPCM lose something


@cache
def sound_codec(decoder: str) -> str:
    """The codec of FFmpeg's decoder: ``mp3float`` is MP3, every linear PCM of any width is ``pcm``."""
    if _PCM.match(decoder):
        return "pcm"
    for family in ("mp3", "aac"):
        if re.fullmatch(rf"{family}(float|on4|on4float|adu|adufloat|_.*)?", decoder):
            return family
    return decoder


def _canonical(names: Sequence[str]) -> list[str]:
    """The names as films are compared with them: ``h265`` is ``hevc``, ``wav`` is ``pcm``.

    Raises:
        ValueError: no codec has such a name: it would refuse every film without a word.
    """
    found = [_ALSO.get(name.lower(), name.lower()) for name in names]
    for name in found:
        if name not in _KNOWN:
            close = difflib.get_close_matches(name, sorted(_KNOWN | _ALSO.keys()), n=1, cutoff=0.5)
            mend = f"did you mean {close[0]!r}?" if close else "give FFmpeg's name of it, such as 'h264'"
            raise ValueError(f"there is no codec {name!r} → {mend}")
    return list(dict.fromkeys(found))


def _shape(name: str) -> str:
    """``16:9``, or with decimals ``1.85:1``; both sides above zero."""
    sides = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", name)
    if sides is None or not all(float(side) > 0 for side in sides.groups()):
        raise ValueError(f"{name!r} is no shape → write width:height, as in '16:9'")
    return name


Codecs = Annotated[list[str], Field(min_length=1), AfterValidator(_canonical)]
Shapes = Annotated[list[Annotated[str, AfterValidator(_shape)]], Field(min_length=1)]


class _Limits(Params):
    """Limits of which some must not be above others; else nothing passes, or the worse counts as the better."""

    @model_validator(mode="after")
    def _ordered(self) -> _Limits:
        for low, high in _RISING:
            if {low, high} <= type(self).model_fields.keys() and getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not be above {high} → raise {high} or lower {low}")
        return self


_RISING = (
    ("fps_min", "fps_max"), ("duration_min_s", "duration_max_s"), ("height_min_px", "height_target_px"),
    ("bitrate_min_bps", "bitrate_max_bps"), ("bpp_poor", "bpp_good"), ("blur_good", "blur_poor"),
    ("blockiness_good", "blockiness_poor"), ("sample_rate_poor_hz", "sample_rate_min_hz"),
    ("snr_poor_db", "snr_good_db"), ("bandwidth_poor_hz", "bandwidth_good_hz"), ("review", "approve"),
)  # fmt: skip


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
    workers: int = Field(default=0, ge=0, le=256, description="worker processes; 0 = one per core")
    clip_timeout_s: float = Field(
        default=300.0, ge=1, description="a clip that takes longer becomes a row of status error"
    )
    memory_gib: float = Field(default=3.0, ge=0.25, description="resident memory of one worker")

    def work_digest(self) -> str:
        """SHA-256 of what a clip's result depends on, a classifier's and a face detector's bytes too; workers and
        bounds are none of it, nor is the place of a face detector.

        Raises:
            AiprodError: a classifier is named by a name without its commit, or the face detector is not there.
        """
        apart = {"workers", "clip_timeout_s", "memory_gib", "nsfw", "face_yunet_onnx"}
        shape = self.model_dump(mode="json", exclude=apart)
        named = self.nsfw.checkpoint
        return digest_of(
            [
                shape,
                pinned(named, self.nsfw.revision, "qc_measure.nsfw") if named else None,
                *([yunet_sha256(self.face_yunet_onnx)] if self.face_yunet_onnx else []),
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


class Weights(Params):
    """Weights of the policy's score. They need not sum to 1: the score divides by the sum of what was scored."""

    resolution: float = Field(default=0.20, ge=0, le=1)
    fps: float = Field(default=0.15, ge=0, le=1)
    audio: float = Field(default=0.15, ge=0, le=1)
    aspect: float = Field(default=0.10, ge=0, le=1)
    black: float = Field(default=0.10, ge=0, le=1)
    watermark: float = Field(default=0.10, ge=0, le=1)
    encoding: float = Field(default=0.10, ge=0, le=1)
    faces: float = Field(default=0.10, ge=0, le=1)


class Thresholds(_Limits):
    """Verdicts by score."""

    approve: float = Field(default=0.85, ge=0, le=1)
    review: float = Field(default=0.70, ge=0, le=1)


class VideoLimits(_Limits):
    """The quality standard for pictures."""

    height_min_px: int = Field(
        default=480, ge=1, description="shorter side in stored lines or columns, upright, between black bars"
    )
    height_target_px: int = Field(default=1080, ge=1)
    fps_min: float = Field(default=24.0, gt=0, description="24000/1001 passes too")
    fps_max: float = Field(default=60.0, gt=0)
    duration_min_s: float = Field(default=2.0, ge=0)
    duration_max_s: float = Field(default=600.0, gt=0)
    codecs: Codecs = Field(default=["h264", "hevc"], description="as FFmpeg names them; h265 is hevc")
    aspects: Shapes = Field(default=["16:9", "4:3"])
    aspect_tolerance: float = Field(default=0.02, ge=0, le=0.5)
    bitrate_min_bps: int = Field(default=8_000_000, ge=0)
    bitrate_max_bps: int = Field(default=15_000_000, ge=0)
    black_max_s: float = Field(default=2.0, ge=0)
    black_max_fraction: float = Field(default=0.5, ge=0, le=1)
    freeze_max_s: float = Field(default=2.0, ge=0)
    interval_spread_max: float = Field(
        default=0.25, ge=0, description="share of frame intervals off the median at score 0"
    )
    bpp_poor: float = Field(default=0.005, gt=0, description="bits per pixel at score 0")
    bpp_good: float = Field(default=0.04, gt=0, description="bits per pixel at score 1")
    blur_good: float = Field(default=0.55, ge=0, le=1, description="Crété-Roffet blur at score 1")
    blur_poor: float = Field(default=0.80, ge=0, le=1, description="Crété-Roffet blur at score 0")
    blockiness_good: float = Field(
        default=1.6, ge=0, description="gradient on the 8-pixel grid over gradient off it, score 1"
    )
    blockiness_poor: float = Field(default=3.0, ge=0)
    watermark_max_fraction: float = Field(default=0.10, gt=0, le=1)
    watermark_seen_caps: bool = Field(default=True, description="any overlay found asks for a review, however small")


class SoundLimits(_Limits):
    """The quality standard for sound."""

    codecs: Codecs = Field(default=["mp3", "aac", "pcm"], description="as FFmpeg names them; wav is pcm")
    bitrate_min_bps: int = Field(default=256_000, ge=0, description="of sound that is not lossless")
    sample_rate_min_hz: int = Field(default=48_000, gt=0)
    sample_rate_poor_hz: int = Field(default=16_000, gt=0, description="sampling rate at score 0")
    mono_score: float = Field(default=0.8, ge=0, le=1)
    dual_mono_score: float = Field(default=0.9, ge=0, le=1)
    snr_poor_db: float = Field(default=10.0)
    snr_good_db: float = Field(default=60.0)
    clipped_max_fraction: float = Field(default=0.001, gt=0, le=1, description="share of clipped samples at score 0")
    dropout_max_s: float = Field(default=0.1, gt=0, description="missing sound at score 0")
    bandwidth_good_hz: float = Field(default=12_000.0, gt=0)
    bandwidth_poor_hz: float = Field(default=4_000.0, gt=0)
    silent_below_lufs: float = Field(default=-65.0)
    sync_max_s: float = Field(default=0.1, gt=0, description="sound against picture, either way")
    missing_end_max_s: float = Field(
        default=0.25, gt=0, description="pictures after the sound's end; a transport stream cut at a picture has 0.2 s"
    )


class DuplicateParams(Params):
    """When two clips count as the same, and what follows. Bits are of 64, means over the stretch both clips have."""

    look_bits_max: float = Field(default=12.0, ge=0, le=64, description="looks of the pictures")
    change_bits_max: float = Field(
        default=22.0, ge=0, le=64, description="changes within half a second; 32 = by chance"
    )
    still_bits_max: float = Field(default=6.0, ge=0, le=64, description="looks, where neither picture moves")
    sound_error_max: float = Field(
        default=0.25, ge=0, le=0.5, description="share of the sound's bits that contradict; 0.5 = by chance"
    )
    overlap_min: float = Field(default=0.8, gt=0, le=1, description="share of the shorter clip that must be the same")
    same_picture: Literal["reject", "review", "keep"] = Field(
        default="reject", description="what becomes of all but the best of the clips that show the same"
    )
    same_sound: Literal["review", "keep"] = Field(
        default="review",
        description="what becomes of all but the best of the clips that sound the same and look otherwise",
    )


class NsfwPolicy(Params):
    """What a classifier's answer means, and of which sources film may pass without one."""

    labels: list[str] = Field(
        default=["nsfw", "unsafe", "porn", "hentai"],
        description="labels that count as unsafe, as the classifier names them; upper case is lower case",
    )
    probability_max: float = Field(default=0.5, ge=0, le=1, description="of one still; above it a review is asked for")
    unevaluated_sources: list[str] = Field(
        default=["demo"], description="film of other sources that nothing judged is REVIEW_NEEDED at best"
    )


class QcDecideParams(Params):
    """The policy: weights, thresholds, limits."""

    weights: Weights = Weights()
    thresholds: Thresholds = Thresholds()
    video: VideoLimits = VideoLimits()
    sound: SoundLimits = SoundLimits()
    duplicates: DuplicateParams = DuplicateParams()
    nsfw: NsfwPolicy = NsfwPolicy()
    hard_limits: list[Literal["decodable", "resolution", "duration", "codec", "sound_codec", "fps", "nsfw"]] = Field(
        default=["decodable", "resolution", "duration", "codec"], description="a failure rejects whatever the score"
    )
    mandatory: list[CheckName] = Field(
        default=["resolution", "fps", "duration", "audio", "black", "encoding"],
        description="unmeasured, these cap the verdict at REVIEW_NEEDED",
    )
    fail_below: float = Field(
        default=0.5, ge=0, le=1, description="a check scored below this caps the verdict at REVIEW_NEEDED"
    )
    report_rows_max: int = Field(
        default=2000, ge=0, description="clips on the report page; those that need a look come first"
    )
